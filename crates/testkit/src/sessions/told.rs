//! What agents other than the recorded one call the same things.

use serde_json::{Value, json};

use super::Call;

/// What a call does, whatever its tool is called.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Deed {
    Command(String),
    Read(String),
    Write(String, String),
    Edit {
        path: String,
        old: String,
        new: String,
    },
    Fetch(String),
    Search(String),
    /// Something that only the recorded agent has.
    Own,
}

/// An agent: its dialect, and how it names what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) agent: &'static str,
    pub(super) dialect: &'static str,
}

/// Agents by what their tools are called.
pub(super) const STYLES: [Style; 11] = [
    Style { agent: "claude-code", dialect: "messages" },
    Style { agent: "opencode", dialect: "chat" },
    Style { agent: "codex", dialect: "responses" },
    Style { agent: "gemini-cli", dialect: "gemini" },
    Style { agent: "cline", dialect: "chat" },
    Style { agent: "cursor", dialect: "chat" },
    Style { agent: "opencode", dialect: "messages" },
    Style { agent: "copilot", dialect: "chat" },
    Style { agent: "goose", dialect: "messages" },
    Style { agent: "openhands", dialect: "chat" },
    Style { agent: "copilot", dialect: "responses" },
];

/// What a recorded call does.
pub(super) fn deed(call: &Call) -> Deed {
    let arguments = &call.arguments;
    let one = |names: &[&str]| {
        names.iter().find_map(|name| arguments.get(*name)?.as_str()).unwrap_or_default().to_owned()
    };
    let path = || one(&["file_path", "filePath", "path"]);
    match call.tool.as_str() {
        "Bash" | "bash" | "run_shell_command" | "exec_command" => Deed::Command(one(&["command", "cmd"])),
        "run_commands" => Deed::Command(
            arguments.pointer("/commands/0").and_then(Value::as_str).unwrap_or_default().to_owned(),
        ),
        "Read" | "read" | "read_file" => Deed::Read(path()),
        "read_files" => Deed::Read(
            arguments.pointer("/files/0/path").and_then(Value::as_str).unwrap_or_default().to_owned(),
        ),
        "Write" | "write" | "write_file" => Deed::Write(path(), one(&["content"])),
        "Edit" | "edit" | "replace" | "editor" => {
            let (old, new) = (
                one(&["old_string", "oldString", "old_text"]),
                one(&["new_string", "newString", "new_text"]),
            );
            if old.is_empty() { Deed::Write(path(), new) } else { Deed::Edit { path: path(), old, new } }
        }
        "apply_patch" => patched(&arguments.as_str().map_or_else(|| one(&["patchText"]), str::to_owned)),
        "exec" => script(arguments.as_str().unwrap_or_default()),
        "webfetch" => Deed::Fetch(one(&["url"])),
        "grep" | "grep_search" => Deed::Search(one(&["pattern"])),
        "search_codebase" => Deed::Search(
            arguments.pointer("/queries/0").and_then(Value::as_str).unwrap_or_default().to_owned(),
        ),
        _ => Deed::Own,
    }
}

/// What a patch of one file does.
fn patched(patch: &str) -> Deed {
    let lines = |sign: char| -> String {
        let with = |line: &str| line.strip_prefix(sign).map(|rest| format!("{rest}\n"));
        patch.lines().filter_map(with).collect()
    };
    let head = |words: &str| patch.lines().find_map(|line| line.strip_prefix(words));
    match (head("*** Add File: "), head("*** Update File: ")) {
        (Some(path), _) => Deed::Write(path.to_owned(), lines('+')),
        (_, Some(path)) => Deed::Edit { path: path.to_owned(), old: lines('-'), new: lines('+') },
        _ => Deed::Own,
    }
}

/// What a script of Codex does: one call of one tool.
fn script(input: &str) -> Deed {
    let text = |after: &str| -> Option<String> {
        let (_, rest) = input.split_once(after)?;
        serde_json::Deserializer::from_str(rest).into_iter::<String>().next()?.ok()
    };
    match (text("cmd: "), text("apply_patch(")) {
        (Some(command), _) => Deed::Command(command),
        (_, Some(patch)) => patched(&patch),
        _ => Deed::Own,
    }
}

/// The call by which an agent of this style does it; `None` if it is no one else's.
pub(super) fn call(style: Style, deed: &Deed, result: &str) -> Option<Call> {
    let (tool, arguments) = match style.agent {
        "claude-code" => claude(deed)?,
        "opencode" => opencode(deed)?,
        "codex" => codex(deed)?,
        "gemini-cli" => gemini(deed)?,
        "cline" => cline(deed)?,
        "cursor" => cursor(deed)?,
        "copilot" => copilot(deed)?,
        "goose" => goose(deed)?,
        _ => openhands(deed)?,
    };
    Some(Call::new(tool, arguments, result))
}

type Said = Option<(&'static str, Value)>;

fn claude(deed: &Deed) -> Said {
    Some(match deed {
        Deed::Command(line) => ("Bash", json!({"command": line, "description": "Do it"})),
        Deed::Read(path) => ("Read", json!({"file_path": path})),
        Deed::Write(path, text) => ("Write", json!({"file_path": path, "content": text})),
        Deed::Edit { path, old, new } => {
            ("Edit", json!({"file_path": path, "old_string": old, "new_string": new, "replace_all": false}))
        }
        Deed::Fetch(url) => ("WebFetch", json!({"url": url, "prompt": "What does it say?"})),
        Deed::Search(words) => ("Grep", json!({"pattern": words, "output_mode": "content"})),
        Deed::Own => return None,
    })
}

fn opencode(deed: &Deed) -> Said {
    Some(match deed {
        Deed::Command(line) => ("bash", json!({"command": line, "description": "Does it"})),
        Deed::Read(path) => ("read", json!({"filePath": path})),
        Deed::Write(path, text) => ("write", json!({"filePath": path, "content": text})),
        Deed::Edit { path, old, new } => {
            ("edit", json!({"filePath": path, "oldString": old, "newString": new}))
        }
        Deed::Fetch(url) => ("webfetch", json!({"url": url, "format": "markdown"})),
        Deed::Search(words) => ("grep", json!({"pattern": words})),
        Deed::Own => return None,
    })
}

fn codex(deed: &Deed) -> Said {
    let added =
        |text: &str, sign: char| text.lines().map(|line| format!("{sign}{line}\n")).collect::<String>();
    let patch =
        |body: String| ("apply_patch", Value::from(format!("*** Begin Patch\n{body}*** End Patch\n")));
    Some(match deed {
        Deed::Command(line) => ("exec_command", json!({"cmd": line})),
        Deed::Read(path) => ("exec_command", json!({"cmd": format!("sed -n '1,160p' '{path}'")})),
        Deed::Write(path, text) => patch(format!("*** Add File: {path}\n{}", added(text, '+'))),
        Deed::Edit { path, old, new } => {
            patch(format!("*** Update File: {path}\n@@\n{}{}", added(old, '-'), added(new, '+')))
        }
        Deed::Fetch(url) => ("exec_command", json!({"cmd": format!("curl -fsSL '{url}'")})),
        Deed::Search(words) => ("exec_command", json!({"cmd": format!("rg -n '{words}'")})),
        Deed::Own => return None,
    })
}

fn gemini(deed: &Deed) -> Said {
    Some(match deed {
        Deed::Command(line) => ("run_shell_command", json!({"command": line, "description": "Does it"})),
        Deed::Read(path) => ("read_file", json!({"file_path": path})),
        Deed::Write(path, text) => ("write_file", json!({"file_path": path, "content": text})),
        Deed::Edit { path, old, new } => (
            "replace",
            json!({"file_path": path, "instruction": "Change it", "old_string": old, "new_string": new}),
        ),
        Deed::Fetch(url) => ("web_fetch", json!({"prompt": format!("Read {url} and sum it up")})),
        Deed::Search(words) => ("grep_search", json!({"pattern": words})),
        Deed::Own => return None,
    })
}

fn cline(deed: &Deed) -> Said {
    Some(match deed {
        Deed::Command(line) => ("run_commands", json!({"commands": [line]})),
        Deed::Read(path) => ("read_files", json!({"files": [{"path": path}]})),
        Deed::Write(path, text) => ("editor", json!({"path": path, "new_text": text})),
        Deed::Edit { path, old, new } => ("editor", json!({"path": path, "old_text": old, "new_text": new})),
        Deed::Fetch(url) => {
            ("fetch_web_content", json!({"requests": [{"url": url, "prompt": "What does it say?"}]}))
        }
        Deed::Search(words) => ("search_codebase", json!({"queries": [words]})),
        Deed::Own => return None,
    })
}

fn cursor(deed: &Deed) -> Said {
    Some(match deed {
        Deed::Command(line) => (
            "run_terminal_cmd",
            json!({"command": line, "is_background": false, "explanation": "A step of the task"}),
        ),
        Deed::Read(path) => ("read_file", json!({"target_file": path, "should_read_entire_file": true})),
        Deed::Write(path, text) => {
            ("edit_file", json!({"target_file": path, "instructions": "Write it", "code_edit": text}))
        }
        Deed::Edit { path, old, new } => {
            ("search_replace", json!({"file_path": path, "old_string": old, "new_string": new}))
        }
        Deed::Fetch(url) => ("web_search", json!({"search_term": url, "explanation": "The docs"})),
        Deed::Search(words) => ("grep_search", json!({"query": words})),
        Deed::Own => return None,
    })
}

fn copilot(deed: &Deed) -> Said {
    Some(match deed {
        Deed::Command(line) => {
            ("run_in_terminal", json!({"command": line, "explanation": "A step", "isBackground": false}))
        }
        Deed::Read(path) => (
            "read_file",
            json!({"filePath": path, "startLineNumberBaseZero": 0, "endLineNumberBaseZero": 200}),
        ),
        Deed::Write(path, text) => ("create_file", json!({"filePath": path, "content": text})),
        Deed::Edit { path, old, new } => {
            ("replace_string_in_file", json!({"filePath": path, "oldString": old, "newString": new}))
        }
        Deed::Fetch(url) => ("fetch_webpage", json!({"urls": [url], "query": "how it is used"})),
        Deed::Search(words) => ("grep_search", json!({"query": words, "isRegexp": false})),
        Deed::Own => return None,
    })
}

fn goose(deed: &Deed) -> Said {
    Some(match deed {
        Deed::Command(line) => ("developer__shell", json!({"command": line})),
        Deed::Read(path) => ("developer__text_editor", json!({"command": "view", "path": path})),
        Deed::Write(path, text) => {
            ("developer__text_editor", json!({"command": "write", "path": path, "file_text": text}))
        }
        Deed::Edit { path, old, new } => (
            "developer__text_editor",
            json!({"command": "str_replace", "path": path, "old_str": old, "new_str": new}),
        ),
        Deed::Fetch(url) => ("mcp__docs__fetch", json!({"url": url})),
        Deed::Search(words) => ("developer__shell", json!({"command": format!("rg -n '{words}'")})),
        Deed::Own => return None,
    })
}

fn openhands(deed: &Deed) -> Said {
    Some(match deed {
        Deed::Command(line) => ("execute_bash", json!({"command": line, "is_input": "false"})),
        Deed::Read(path) => ("str_replace_editor", json!({"command": "view", "path": path})),
        Deed::Write(path, text) => {
            ("str_replace_editor", json!({"command": "create", "path": path, "file_text": text}))
        }
        Deed::Edit { path, old, new } => (
            "str_replace_editor",
            json!({"command": "str_replace", "path": path, "old_str": old, "new_str": new}),
        ),
        Deed::Fetch(url) => ("fetch", json!({"url": url, "max_length": 5000})),
        Deed::Search(words) => {
            ("execute_bash", json!({"command": format!("grep -rn '{words}' ."), "is_input": "false"}))
        }
        Deed::Own => return None,
    })
}
