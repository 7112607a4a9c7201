"""Records sessions of published agents at ordinary work, for `crates/testkit/sessions`.

    AGENTS_HOME=… SCRIPTED_PROVIDER_BIN=… python -m agents.record [--only NAME,…] [--out DIR]     (in e2e)

The scripted provider says what the model does; the agent does it, in a home and a project made for it; what it sends back
is kept, and nothing else of its requests: no prompt and no description of a tool of theirs. The home is `/home/dev`, so that
no path of the machine gets in. Programs of a scenario's `stubs` are not the real ones, and a page comes from `web`; the
recording says which.
"""

import argparse
import http.client
import http.server
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

from harness.process import ROOT
from harness.provider import Provider

from . import scenarios, workplace
from .fleet import FLEET
from .spoken import spoken

HOME = Path("/home/dev")
OURS = HOME / ".recorded"
FORGE = "git@forge.example.org"
# What Claude Code adds to results is its own prompt.
ADDED = re.compile(r"\s*<system-reminder>.*?</system-reminder>\s*", re.S)

SSH = """#!/bin/bash
# The forge is a folder; any other host says what the scenario says.
if [ "$1" = "-o" ]; then shift 2; fi
if [ "$1" = "%s" ]; then cd "%s" && eval "$2"; exit $?; fi
exec "%s" "$@"
"""
CURL = """#!/usr/bin/python3
import json, os, sys
pages = json.load(open("%s"))
words = sys.argv[1:]
url = next((word for word in words if word.startswith("http")), "")
if url not in pages:
    os.execv("/usr/bin/curl", ["curl", *words])
page = pages[url]
name = words[words.index("-o") + 1] if "-o" in words else url.rsplit("/", 1)[1] if any(w.startswith("-") and "O" in w for w in words) else ""
if name:
    open(name, "w").write(page)
else:
    sys.stdout.write(page)
"""


class Pages(http.server.BaseHTTPRequestHandler):
    """A proxy that has the pages of a scenario, for tools that fetch by themselves."""

    pages = {}

    def do_GET(self):
        page = self.pages.get(self.path)
        self.send_response(200 if page else 404)
        self.send_header("content-type", "text/markdown")
        self.end_headers()
        self.wfile.write((page or "no such page\n").encode())

    def log_message(self, *_):
        pass


class Straight:
    """In the place of a door: the agent talks to the provider itself."""

    def __init__(self, provider, protocol):
        self.base_url = provider.url + {"openai": "/v1", "anthropic": "", "gemini": ""}[protocol]
        self.running = self

    def transcript(self):
        return ""

    def stop(self):
        pass


class Desk(workplace.Scene):
    """An agent in `/home/dev`, with the scenario's project."""

    def __init__(self, agent, provider, scenario):
        if HOME.exists():
            if not OURS.exists():
                raise SystemExit(f"{HOME} is somebody's: record where there is none")
            shutil.rmtree(HOME)
        HOME.mkdir()
        OURS.touch()
        self.agent, self.provider, self.scenario = agent, provider, scenario
        self.home, self.project = HOME, HOME / scenario.get("project", "project")
        self.project.mkdir()
        self.door = Straight(provider, agent.protocol)
        Pages.pages = scenario.get("web", {})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        self.proxy = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def path(self):
        rust = sorted(Path.home().glob(".rustup/toolchains/1.*/bin"))
        found = [HOME / "bin", *([HOME / ".rust"] if rust else []), "/usr/local/bin", "/usr/bin", "/bin"]
        if rust:
            (HOME / ".rust").exists() or (HOME / ".rust").symlink_to(rust[-1])
        return ":".join(map(str, found))

    def env(self):
        own = {"PATH": self.path(), "GIT_PAGER": "cat", "PAGER": "cat", "LOGNAME": "dev", "USER": "dev"}
        return {**super().env(), **own, "HTTP_PROXY": self.proxy, "http_proxy": self.proxy}

    def program(self, name, text):
        path = HOME / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def prepare(self):
        """Programs, the project's files, and a remote that it can push to."""
        pages = HOME / ".pages.json"
        pages.write_text(json.dumps(self.scenario.get("web", {})))
        self.program("curl", CURL % pages)
        for name, answers in self.scenario.get("stubs", {}).items():
            cases = "".join(
                "%s) cat <<'END'\n%s\nEND\n;;\n" % (re.sub(r"([ ;&|()'\"])", r"\\\1", pattern), text)
                for pattern, text in answers
            )
            self.program(name if name != "ssh" else ".ssh-said", f'#!/bin/bash\ncase "$*" in\n{cases}esac\n')
        self.program("ssh", SSH % (FORGE, HOME / ".remotes", HOME / "bin" / ".ssh-said"))
        self.program("npm", '#!/bin/bash\nunset HTTPS_PROXY\nexec "%s" "$@"\n' % shutil.which("npm"))
        (HOME / ".npmrc").write_text("update-notifier=false\nfund=false\naudit=false\n")
        (HOME / ".profile").write_text(f'export PATH="{self.path()}"\n')
        (HOME / ".gitconfig").write_text("[user]\n\tname = Dev\n\temail = dev@example.org\n[init]\n\tdefaultBranch = main\n")
        for name, text in self.scenario.get("files", {}).items():
            path = self.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        remote = f"dev/{self.project.name}.git"
        self.shell(
            "git init -q && git config user.name Dev && git config user.email dev@example.org && "
            f"git add -A && git commit -q --allow-empty -m 'First version' && mkdir -p {HOME}/.remotes/dev"
            f" && git init -q --bare {HOME}/.remotes/{remote} && git remote add origin {FORGE}:{remote} && git push -q -u origin main"
        )
        if "setup" in self.scenario:
            self.shell(self.scenario["setup"])

    def settle(self):
        """The agent's settings; opencode is allowed to use the folder for temporary files, as the others are."""
        self.agent.settle(self)
        path = self.home / ".config" / "opencode" / "opencode.json"
        if path.exists():
            path.write_text(json.dumps({**json.loads(path.read_text()), "permission": {"external_directory": "allow"}}))

    def shell(self, script):
        subprocess.run(["bash", "-c", script], cwd=self.project, env=self.env(), check=True, stdin=subprocess.DEVNULL)


def tell(provider, name, turns):
    connection = http.client.HTTPConnection(provider.host, timeout=10)
    connection.request("PUT", f"/_plays/{name}", json.dumps(turns))
    assert connection.getresponse().status == 200, f"the provider does not understand {name}"


# --- what came back


def items(body):
    return body.get("messages") or body.get("input") or body.get("contents") or []


def text(value):
    """What a result says, in whatever parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(text(part.get("text", "")) for part in value if isinstance(part, dict))
    if isinstance(value, dict):
        return text(value["output"]) if isinstance(value.get("output"), str) else json.dumps(value, ensure_ascii=False)
    return ""


def task_of(words):
    """The play that a text names."""
    return words.rpartition("(play: ")[2].partition(")")[0] if isinstance(words, str) and "(play: " in words else None


def results(body):
    """The play that a person named last, and all results, in the order of their calls."""
    play, calls, found = None, [], {}
    for item in items(body):
        content = item.get("content") or item.get("parts") or []
        for part in [{"text": content}] if isinstance(content, str) else content:
            play = (task_of(part.get("text")) if item.get("role") == "user" else None) or play
            if part.get("type") == "tool_use":
                calls.append(part["id"])
            elif part.get("type") == "tool_result":
                found[part["tool_use_id"]] = text(part.get("content", ""))
            elif "functionCall" in part:
                calls.append(part["functionCall"]["id"])
            elif "functionResponse" in part:
                found[part["functionResponse"]["id"]] = text(part["functionResponse"]["response"])
        calls += [call["id"] for call in item.get("tool_calls") or []]
        kind = item.get("type") or ""
        if item.get("role") == "tool":
            found[item["tool_call_id"]] = text(content)
        elif kind.endswith("call_output"):
            found[item["call_id"]] = text(item["output"])
        elif kind.endswith("_call"):
            calls.append(item["call_id"])
    return play, [ADDED.sub("", found[call]) for call in calls if call in found]


def tools(value):
    """The names of the tools that a request declares, wherever they stand."""
    names = set()
    for tool in value or []:
        if tool.get("type") == "namespace":
            names |= tools(tool["tools"])
        elif "functionDeclarations" in tool:
            names |= {function["name"] for function in tool["functionDeclarations"]}
        else:
            names |= {tool.get("function", tool).get("name")} - {None}
    return names


def declared(body):
    more = [tool for item in items(body) if item.get("type") == "additional_tools" for tool in item["tools"]]
    return sorted(tools(body.get("tools")) | tools(more))


DIALECTS = [("/messages", "messages"), ("/chat/completions", "chat"), ("/responses", "responses"), ("enerateContent", "gemini")]


def dialect(target):
    return next((name for part, name in DIALECTS if part in target), None)


def fill(log, play, turns, before=0):
    """Writes what came back into the turns of a play, after the calls `before` it; what was declared, and in which dialect."""
    best, found = None, []
    for entry in log:
        if entry["method"] != "POST" or dialect(entry["target"]) is None:
            continue
        body = json.loads(entry["body"])
        named, came = results(body)
        if named == play and declared(body) and len(came) >= len(found):
            best, found = (dialect(entry["target"]), declared(body)), came
    calls, found = [call for turn in turns for call in turn["calls"]], found[before:]
    assert best and len(found) == len(calls), f"{play}: {len(found)} results for {len(calls)} calls\n" + "\n---\n".join(found)
    for call, result in zip(calls, found):
        call["result"] = result
    return best


def record(scenario):
    """Plays one scenario; the sessions that came of it: its own, and those of sub-agents."""
    agent = next(agent for agent in FLEET if agent.name == scenario["agent"])
    with Provider() as provider, Desk(agent, provider, scenario) as desk:
        desk.prepare()
        desk.settle()
        parts, plays = [], []
        for number, part in enumerate(scenario["turns"]):
            play = f"{scenario['name']}-{number}"
            turns = []
            for step in part["steps"]:
                for call in step["calls"]:
                    if call["do"] == "agent":
                        sub = f"{scenario['name']}-part{len(plays)}"
                        call["prompt"] += f" (play: {sub})"
                        inner = [{"say": s["say"], "calls": [spoken(agent.name, c, desk.project) for c in s["calls"]]} for s in call["steps"]]
                        tell(provider, sub, [*inner, {"say": "That part is done.", "calls": []}])
                        plays.append((sub, call["prompt"], inner))
                turns.append({"say": step["say"], "calls": [spoken(agent.name, call, str(desk.project)) for call in step["calls"]]})
            turns.append({"say": "That is done.", "calls": []})
            tell(provider, play, turns)
            done = (desk.task if number == 0 else desk.next_task)(play, part["typed"])
            parts.append((play, part["typed"], turns))
            assert done.status == 0
        log = provider.log()
        whole = {"turns": []}
        for play, typed, turns in parts:
            spoke, names = fill(log, play, turns, sum(len(turn["calls"]) for turn in whole["turns"]))
            turns[0]["typed"] = typed
            whole["turns"] += turns
        sessions = [{"name": scenario["name"], "tools": names, "dialect": spoke, **whole}]
        for play, typed, turns in plays:
            spoke, names = fill(log, play, turns)
            turns[0]["typed"] = typed
            sessions.append({"name": play, "tools": names, "dialect": spoke, "turns": turns})
    scripted = sorted(scenario.get("stubs", {})) + (["the pages read"] if scenario.get("web") else [])
    head = {"agent": agent.name, "version": agent.version, "scripted": ["the model", *scripted]}
    return [ordered({**session, **head}) for session in sessions]


def ordered(session):
    return {key: session[key] for key in ("name", "agent", "version", "dialect", "scripted", "tools", "turns")}


def cleaned(session, words):
    """The recording as text, without the names by which plays are found, and without anything of this machine."""
    made = re.sub(r" \(play: [a-z0-9-]+\)", "", json.dumps(session, ensure_ascii=False, indent=1))
    found = [word for word in words if word in made]
    assert not found, f"{session['name']}: {found} of this machine got in"
    return made + "\n"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default="", help="names of scenarios, separated by commas")
    options.add_argument("--out", type=Path, default=ROOT / "crates" / "testkit" / "sessions")
    options = options.parse_args()
    only = set(filter(None, options.only.split(",")))
    words = [str(ROOT), os.environ["AGENTS_HOME"], str(Path.home()) + "/"]
    words += [host for host in [socket.gethostname()] if len(host) > 4]
    failed = 0
    for scenario in scenarios.ALL:
        if only and scenario["name"] not in only:
            continue
        try:
            for session in record(scenario):
                (options.out / f"{session['name']}.json").write_text(cleaned(session, words))
                print(f"{session['name']}: {sum(len(turn['calls']) for turn in session['turns'])} calls", flush=True)
        except Exception as error:
            failed += 1
            print(f"{scenario['name']}: {str(error)[:3000]}", flush=True)
    if OURS.exists():
        shutil.rmtree(HOME)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
