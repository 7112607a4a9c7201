"""What scenarios are made of: what a model does, in words that every agent's tools have.

A scenario is a dict: `name`; `agent`, as the fleet names it; `files` of its project; `setup`, a shell script that prepares it;
`stubs`, programs that are not the real ones, each with what it prints for which arguments; `web`, pages by address; and
`turns`: what a person types, and the steps that follow it.
"""


def sh(command):
    return {"do": "shell", "command": command}


def read(path):
    return {"do": "read", "path": path}


def write(path, text):
    return {"do": "write", "path": path, "text": text}


def edit(path, old, new):
    """Whole lines for whole lines."""
    return {"do": "edit", "path": path, "old": old, "new": new}


def grep(pattern):
    return {"do": "grep", "pattern": pattern}


def glob(pattern):
    return {"do": "glob", "pattern": pattern}


def fetch(url):
    return {"do": "fetch", "url": url}


def todo(*items):
    return {"do": "todo", "items": items}


def agent(prompt, *steps):
    """Work for a sub-agent of its own."""
    return {"do": "agent", "prompt": prompt, "steps": [whole(step) for step in steps]}


def say(text, *calls):
    """One turn of the model: a sentence and its calls."""
    return {"say": text, "calls": list(calls)}


def turn(typed, *steps):
    """What a person types, and what the model does about it; a bare call is a turn of its own."""
    return {"typed": typed, "steps": [whole(step) for step in steps]}


def whole(step):
    return step if "say" in step else say("", step)


def patch(call):
    """The same as a patch of Codex's format."""
    if call["do"] == "write":
        body = f"*** Add File: {call['path']}\n" + "".join(f"+{line}\n" for line in call["text"].splitlines())
    else:
        old = "".join(f"-{line}\n" for line in call["old"].splitlines())
        new = "".join(f"+{line}\n" for line in call["new"].splitlines())
        body = f"*** Update File: {call['path']}\n@@\n{old}{new}"
    return f"*** Begin Patch\n{body}*** End Patch\n"
