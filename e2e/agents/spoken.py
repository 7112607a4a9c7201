"""How each agent's tools say what a step does: the tool's name and its arguments."""

import json

from .scenarios.steps import patch


def _claude(call, root):
    path = f"{root}/{call.get('path', '')}"
    match call["do"]:
        case "shell":
            return "Bash", {"command": call["command"], "description": "One step of the task"}
        case "read":
            return "Read", {"file_path": path}
        case "write":
            return "Write", {"file_path": path, "content": call["text"]}
        case "edit":
            return "Edit", {"file_path": path, "old_string": call["old"], "new_string": call["new"]}
        case "grep":
            return "Bash", {"command": f"grep -rn '{call['pattern']}' . --exclude-dir=.git", "description": "Search"}
        case "glob":
            return "Bash", {"command": f"find . -name '{call['pattern']}' -not -path './.git/*'", "description": "Find files"}
        case "fetch":
            return "Bash", {"command": f"curl -sS {call['url']}", "description": "Read the page"}
        case "todo":
            return "TaskCreate", {"subject": call["items"][0], "description": "; ".join(call["items"])}
        case "agent":
            arguments = {"description": "Part of the work", "prompt": call["prompt"], "subagent_type": "general-purpose"}
            return "Agent", arguments


def _opencode(call, root):
    path = f"{root}/{call.get('path', '')}"
    match call["do"]:
        case "shell":
            return "bash", {"command": call["command"], "description": "One step of the task"}
        case "read":
            return "read", {"filePath": path}
        case "write":
            return "write", {"filePath": path, "content": call["text"]}
        case "edit":
            return "edit", {"filePath": path, "oldString": call["old"], "newString": call["new"]}
        case "grep":
            return "grep", {"pattern": call["pattern"]}
        case "glob":
            return "glob", {"pattern": f"**/{call['pattern']}"}
        case "fetch":
            return "webfetch", {"url": call["url"], "format": "markdown"}
        case "todo":
            todos = [{"content": item, "status": "pending", "priority": "medium"} for item in call["items"]]
            return "todowrite", {"todos": todos}
        case "agent":
            return "task", {"description": "Part of the work", "prompt": call["prompt"], "subagent_type": "general"}


def _opencode_patch(call, root):
    if call["do"] in ("write", "edit"):
        return "apply_patch", {"patchText": patch(call)}
    return _opencode(call, root)


def _gemini(call, root):
    match call["do"]:
        case "shell":
            return "run_shell_command", {"command": call["command"], "description": "One step of the task"}
        case "read":
            return "read_file", {"file_path": call["path"]}
        case "write":
            return "write_file", {"file_path": call["path"], "content": call["text"]}
        case "edit":
            words = {"instruction": "Change these lines", "old_string": call["old"], "new_string": call["new"]}
            return "replace", {"file_path": call["path"], **words}
        case "grep":
            return "grep_search", {"pattern": call["pattern"]}
        case "glob":
            return "glob", {"pattern": f"**/{call['pattern']}"}
        case "fetch":
            return "run_shell_command", {"command": f"curl -sS {call['url']}", "description": "Read the page"}
        case "todo":
            return "write_todos", {"todos": [{"description": item, "status": "pending"} for item in call["items"]]}


def _cline(call, root):
    path = f"{root}/{call.get('path', '')}"
    match call["do"]:
        case "shell":
            return "run_commands", {"commands": [call["command"]]}
        case "read":
            return "read_files", {"files": [{"path": path}]}
        case "write":
            return "editor", {"path": path, "new_text": call["text"]}
        case "edit":
            return "editor", {"path": path, "old_text": call["old"], "new_text": call["new"]}
        case "grep":
            return "search_codebase", {"queries": [call["pattern"]]}
        case "glob":
            return "run_commands", {"commands": [f"find . -name '{call['pattern']}'"]}
        case "fetch":
            return "run_commands", {"commands": [f"curl -sS {call['url']}"]}


def _codex_patch(call, root):
    match call["do"]:
        case "write" | "edit":
            return "apply_patch", patch(call)
        case "shell":
            return "exec_command", {"cmd": call["command"]}
        case "read":
            return "exec_command", {"cmd": f"sed -n '1,200p' {call['path']}", "workdir": root}
        case "grep":
            return "exec_command", {"cmd": f"grep -rn '{call['pattern']}' --exclude-dir=.git ."}
        case "glob":
            return "exec_command", {"cmd": f"find . -name '{call['pattern']}' -not -path './.git/*'"}
        case "fetch":
            return "exec_command", {"cmd": f"curl -sS {call['url']}"}


def _codex_script(call, root):
    tool, arguments = _codex_patch(call, root)
    if tool == "apply_patch":
        return "exec", f"text(await tools.apply_patch({json.dumps(arguments)}));\n"
    words = ", ".join(f"{name}: {json.dumps(value)}" for name, value in arguments.items())
    return "exec", f"const r = await tools.exec_command({{{words}}});\ntext(r.output);\n"


SPEAK = {
    "claude-code": _claude,
    "opencode-chat": _opencode,
    "opencode-anthropic": _opencode,
    "opencode-responses": _opencode_patch,
    "gemini-cli": _gemini,
    "cline": _cline,
    "codex-patch": _codex_patch,
    "codex-script": _codex_script,
}


def spoken(agent, call, root):
    """The call as this agent's model would make it."""
    said = SPEAK[agent](call, root)
    assert said is not None, f"{agent} has no tool for {call['do']}"
    return {"tool": said[0], "arguments": said[1]}
