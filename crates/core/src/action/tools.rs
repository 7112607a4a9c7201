//! What a tool call would do, from the tool's name and its arguments.
//!
//! A name that is known maps to a capability; arguments are read by what they are called. A tool nobody
//! knows is [`Capability::Unknown`], never a mere read, and its arguments are read all the same: a member
//! called `command` is a command line whatever the tool is called.

use std::sync::Arc;

use super::shell::{self, Reading, Shell};
use super::{Action, AssetClass, Capability, Effect, Flow, Part, PartKind, Target, asset};
use crate::decision::Coverage;
use crate::syntax::Node;

/// How many strings of one call are looked at one by one.
const MAX_STRINGS: usize = 4096;

/// Names of tools, lower case, by capability: Claude Code, Cursor, Cline, Roo, Codex, Gemini CLI, aider,
/// opencode, `OpenHands`, Copilot, Windsurf, and common tool servers.
const NAMES: &[(Capability, &[&str])] = &[
    (
        Capability::Execute,
        &[
            "bash",
            "shell",
            "sh",
            "zsh",
            "exec",
            "execute",
            "run",
            "terminal",
            "cmd",
            "powershell",
            "pwsh",
            "run_terminal_cmd",
            "run_terminal_command",
            "execute_command",
            "run_command",
            "local_shell",
            "local_shell_call",
            "shell_command",
            "exec_command",
            "container.exec",
            "run_shell_command",
            "runterminalcommand",
            "runinterminal",
            "run_in_terminal",
            "execute_bash",
            "execute_shell",
            "execute_shell_command",
            "bash_tool",
            "bash_command",
            "shell_exec",
            "shell_execute",
            "terminal_execute",
            "run_bash",
            "run_shell",
            "run_script",
            "execute_script",
            "execute_code",
            "run_code",
            "code_interpreter",
            "code_execution",
            "python",
            "python_exec",
            "run_python",
            "execute_python",
            "execute_ipython_cell",
            "ipython",
            "run_ipython",
            "jupyter",
            "run_javascript",
            "node",
            "repl",
            "bashoutput",
            "killshell",
            "kill_shell",
            "write_stdin",
            "send_keys",
            "run_tests",
            "run_task",
            "runtests",
            "create_and_run_task",
            "start_process",
            "interact_with_process",
            "ssh",
            "ssh_exec",
            "docker_exec",
            "kubectl",
            "applescript",
            "execute_applescript",
            "run_applescript",
            "evaluate",
            "browser_evaluate",
            "puppeteer_evaluate",
            "playwright_evaluate",
            "execute_sql",
            "notebook_run_cell",
            "run_notebook_cell",
            "executecode",
            "runcommand",
            "executecommand",
            "proposed_command",
            "unified_exec",
            "bash_20250124",
            "bash_20241022",
            "bash_code_execution",
        ],
    ),
    (
        Capability::ReadFile,
        &[
            "read",
            "view",
            "cat",
            "read_file",
            "readfile",
            "read_text_file",
            "read_media_file",
            "view_file",
            "open_file",
            "open",
            "get_file",
            "get_file_contents",
            "file_read",
            "fs_read",
            "read_many_files",
            "read_multiple_files",
            "view_image",
            "read_image",
            "glob",
            "grep",
            "ls",
            "list",
            "list_dir",
            "list_directory",
            "list_files",
            "listfiles",
            "directory_tree",
            "search_files",
            "file_search",
            "grep_search",
            "codebase_search",
            "search_codebase",
            "code_search",
            "semantic_search",
            "list_code_definition_names",
            "find",
            "find_files",
            "find_by_name",
            "search",
            "search_file_content",
            "ripgrep",
            "notebookread",
            "read_notebook",
            "read_lints",
            "get_errors",
            "view_code_item",
            "view_file_outline",
            "view_content_chunk",
            "list_code_usages",
            "get_changed_files",
            "get_file_info",
            "list_directory_with_sizes",
            "head",
            "tail",
            "less",
            "tree",
            "stat",
            "read_resource",
            "readresource",
            "file_glob_search",
            "view_diff",
            "read_currently_open_file",
            "view_subdirectory",
            "lsp",
            "test_search",
        ],
    ),
    (
        Capability::WriteFile,
        &[
            "write",
            "edit",
            "multiedit",
            "multi_edit",
            "create",
            "create_file",
            "createfile",
            "write_file",
            "writefile",
            "write_to_file",
            "replace_in_file",
            "apply_diff",
            "apply_patch",
            "applypatch",
            "patch",
            "modify",
            "update",
            "update_file",
            "edit_file",
            "editfile",
            "search_replace",
            "search_and_replace",
            "str_replace",
            "str_replace_editor",
            "str_replace_based_edit_tool",
            "str_replace_based_edit_tool_20250728",
            "insert_content",
            "insert",
            "insert_edit_into_file",
            "replace_string_in_file",
            "multi_replace_string_in_file",
            "replace",
            "replace_file_content",
            "multi_replace_file_content",
            "notebookedit",
            "notebook_edit",
            "edit_notebook",
            "edit_notebook_file",
            "create_new_notebook",
            "create_directory",
            "create_dir",
            "make_dir",
            "append_file",
            "append_to_file",
            "save_file",
            "file_write",
            "fs_write",
            "move_file",
            "rename_file",
            "copy_file",
            "edit_block",
            "write_text_file",
            "create_or_update_file",
            "file_editor",
            "text_editor",
            "text_editor_20250728",
            "text_editor_20250429",
            "text_editor_20250124",
            "edit_existing_file",
            "single_find_and_replace",
            "create_new_file",
            "create_rule_block",
            "save_memory",
            "memory",
            "update_memory",
            "create_memory",
            "write_memory",
            "new_rule",
            "insert_at_line",
            "reapply",
            "fsreplace",
            "text_editor_code_execution",
            "propose_code",
        ],
    ),
    (
        Capability::DeleteFile,
        &["delete", "delete_file", "deletefile", "remove_file", "rm", "delete_directory", "remove", "unlink"],
    ),
    (
        Capability::NetworkFetch,
        &[
            "webfetch",
            "web_fetch",
            "fetch",
            "fetch_url",
            "fetch_webpage",
            "fetchwebpage",
            "fetch_html",
            "fetch_json",
            "fetch_txt",
            "fetch_markdown",
            "curl",
            "wget",
            "http",
            "http_get",
            "http_request",
            "websearch",
            "web_search",
            "search_web",
            "google_web_search",
            "google_search",
            "brave_web_search",
            "tavily_search",
            "get",
            "request",
            "download",
            "download_file",
            "read_url_content",
            "read_url",
            "view_web_document_content_chunk",
            "open_url",
            "url_fetch",
            "scrape",
            "scrape_url",
            "firecrawl_scrape",
            "crawl",
            "web_search_20250305",
            "web_fetch_20250910",
            "web_search_preview",
            "web_search_call",
            "read_web_page",
            "visit_webpage",
            "fetch_rules",
            "get_url",
            "guard_net",
            "sphyr_net",
            "x_search",
            "file_search_call",
        ],
    ),
    (
        Capability::NetworkPost,
        &[
            "post",
            "http_post",
            "send_request",
            "upload",
            "upload_file",
            "send_email",
            "send_mail",
            "send_message",
            "post_message",
            "slack_post_message",
            "webhook",
            "send_webhook",
            "create_gist",
            "share",
            "publish",
            "gmail_send_email",
            "email_send",
            "tweet",
            "post_tweet",
            "push_files",
            "sendmessage",
            "send_file",
        ],
    ),
    (
        Capability::BrowserNavigate,
        &[
            "browser",
            "browser_action",
            "browser_navigate",
            "browser_subagent",
            "playwright",
            "playwright_navigate",
            "puppeteer",
            "puppeteer_navigate",
            "selenium",
            "navigate",
            "navigate_page",
            "goto",
            "open_browser",
            "open_simple_browser",
            "browser_preview",
            "launch_browser",
            "new_page",
            "browser_tab_new",
            "browser_goto",
            "browse",
            "browse_interactive",
            "open_browser_url",
        ],
    ),
    (
        Capability::BrowserDownload,
        &["browser_download", "playwright_download", "browser_save", "browser_pdf_save"],
    ),
    (
        Capability::McpInvoke,
        &[
            "mcp",
            "mcpinvoke",
            "use_mcp_tool",
            "mcp_tool",
            "call_mcp_tool",
            "access_mcp_resource",
            "mcp_call",
            "call_tool",
            "invoke_tool",
            "listmcpresources",
            "readmcpresource",
            "listmcpresourcestool",
            "readmcpresourcetool",
            "mcp_list_tools",
        ],
    ),
    (
        Capability::SecretAccess,
        &[
            "get_secret",
            "read_secret",
            "list_secrets",
            "get_credential",
            "get_password",
            "get_env",
            "read_env",
            "environment",
            "getenv",
            "get_environment",
            "secrets_get",
            "keychain_get",
            "get_api_key",
            "list_env",
        ],
    ),
    (Capability::ClipboardRead, &["clipboard", "paste", "read_clipboard", "get_clipboard", "clipboard_read"]),
    (
        Capability::UiAutomation,
        &[
            "computer",
            "computer_use",
            "computer_use_preview",
            "computer_20250124",
            "computer_20241022",
            "computer_20251124",
            "computer_call",
            "ui",
            "automation",
            "screenshot",
            "take_screenshot",
            "browser_take_screenshot",
            "browser_click",
            "browser_type",
            "browser_press_key",
            "browser_fill_form",
            "browser_snapshot",
            "browser_select_option",
            "browser_hover",
            "browser_drag",
            "browser_wait_for",
            "click",
            "type",
            "type_text",
            "key",
            "mouse_move",
            "left_click",
            "scroll",
            "press_key",
            "puppeteer_click",
            "puppeteer_fill",
            "puppeteer_screenshot",
            "playwright_click",
            "playwright_fill",
            "fill",
            "fill_form",
            "hover",
            "drag",
            "take_snapshot",
        ],
    ),
    (
        Capability::Signal,
        &["kill_process", "stop_process", "kill", "terminate_process", "force_terminate", "kill_terminal"],
    ),
];

/// Tools that only keep the agent's own notes or hand work to another agent: no effect of their own.
const INERT: &[&str] = &[
    "todowrite",
    "todoread",
    "todo_write",
    "todo_read",
    "update_plan",
    "plan",
    "think",
    "sequentialthinking",
    "sequential_thinking",
    "exitplanmode",
    "exit_plan_mode",
    "enterplanmode",
    "enter_plan_mode",
    "attempt_completion",
    "ask_followup_question",
    "askuserquestion",
    "ask_user",
    "ask_user_question",
    "finish",
    "complete",
    "submit",
    "switch_mode",
    "task",
    "agent",
    "new_task",
    "subagent",
    "dispatch_agent",
    "delegate",
    "skill",
    "slashcommand",
    "toolsearch",
    "tool_search",
    "request_user_input",
    "plan_mode_respond",
    "act_mode_respond",
    "condense",
    "summarize_task",
    "report_bug",
    "structuredoutput",
    "taskcreate",
    "taskupdate",
    "taskget",
    "tasklist",
    "taskoutput",
    "taskstop",
    "manage_todo_list",
    "task_boundary",
    "notify_user",
    "suggested_responses",
    "task_tracker",
    "task_progress",
];

/// Members whose text is a command line, exact names.
const COMMAND_KEYS: &[&str] = &[
    "command",
    "cmd",
    "commands",
    "command_line",
    "commandline",
    "shell_command",
    "bash",
    "shell",
    "script",
    "bash_command",
    "input_command",
    "terminal_command",
    "exec",
    "run",
    "argv",
    "command_string",
    "cmdline",
    "shell_cmd",
    "postcommand",
    "precommand",
    "powershell",
];
/// Members whose text is code in some language.
const CODE_KEYS: &[&str] = &[
    "code",
    "python",
    "source_code",
    "javascript",
    "js",
    "function",
    "expression",
    "cell",
    "new_source",
    "python_code",
    "applescript",
    "snippet",
];
/// Members whose text is a path.
const PATH_KEYS: &[&str] = &[
    "path",
    "file_path",
    "filepath",
    "filename",
    "file",
    "files",
    "paths",
    "file_paths",
    "target_file",
    "targetfile",
    "absolutepath",
    "absolute_path",
    "relative_workspace_path",
    "notebook_path",
    "directory",
    "dir",
    "directory_path",
    "dir_path",
    "folder",
    "target_directory",
    "old_path",
    "new_path",
    "source",
    "destination",
    "src",
    "dest",
    "dst",
    "source_path",
    "destination_path",
    "target_path",
    "output_path",
    "input_path",
    "searchdirectory",
    "searchpath",
    "directorypath",
    "file_name",
    "local_path",
    "image_path",
    "save_path",
    "download_path",
    "root",
    "include_pattern",
    "target_notebook",
    "abs_path",
    "uri_path",
    "filepaths",
    "rel_path",
    "relative_path",
    "document_path",
    "attachment",
    "attachments",
];
/// Members whose text is a URL or a host.
const URL_KEYS: &[&str] = &[
    "url",
    "uri",
    "urls",
    "href",
    "link",
    "endpoint",
    "host",
    "hostname",
    "base_url",
    "webhook_url",
    "address",
    "target_url",
    "website",
    "page_url",
    "domain",
    "server",
    "webhook",
    "callback_url",
    "uris",
];
/// Members whose text is written or sent.
const TEXT_KEYS: &[&str] = &[
    "content",
    "contents",
    "new_string",
    "new_str",
    "file_text",
    "text",
    "body",
    "data",
    "insert_text",
    "code_edit",
    "new_content",
    "replacement",
    "codecontent",
    "code_markdown_language",
    "message",
    "payload",
    "diff",
    "patch",
    "input",
    "new_text",
    "insert_line_text",
    "edits",
    "json",
    "form",
    "chunk",
    "replacementcontent",
    "replacementchunks",
    "write",
    "append",
];

/// The capability of a tool of this name; [`Capability::Unknown`] if nobody knows it. For
/// `mcp__server__tool`, `server.tool` and the like the last part counts.
#[must_use]
pub fn capability_of(tool_name: &str) -> Capability {
    let lower = tool_name.to_ascii_lowercase();
    by_name(&lower).or_else(|| by_name(&plain_name(tool_name))).unwrap_or(Capability::Unknown)
}

fn by_name(name: &str) -> Option<Capability> {
    NAMES.iter().find(|(_, names)| names.contains(&name)).map(|(capability, _)| *capability)
}

/// The last part of the name, in lower snake case: `mcp__shell__RunCommand` is `run_command`.
fn plain_name(name: &str) -> String {
    let mut last = name;
    for separator in ["__", "/", ":", "."] {
        last = last.rsplit(separator).find(|part| !part.is_empty()).unwrap_or(last);
    }
    let mut out = String::with_capacity(last.len() + 4);
    let mut before = '_';
    for c in last.chars() {
        if c == '-' || c == ' ' {
            out.push('_');
        } else if c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            out.push('_');
            out.push(c.to_ascii_lowercase());
        } else {
            out.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    out
}

/// Whether the tool only keeps notes or talks to the user.
fn inert(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    INERT.contains(&lower.as_str()) || INERT.contains(&plain_name(name).as_str())
}

/// Fills `action` (whose `tool` is set) with parts, effects and coverage from a call's arguments.
///
/// `text` is the arguments as JSON text, `arguments` the same parsed; for tools that take free text,
/// `text` is that and `arguments` is `None`. What the action holds already stays.
pub fn fill_call(action: &mut Action, text: &str, arguments: Option<&Node>) {
    let name: Arc<str> = action.tool.as_ref().map_or_else(|| Arc::from(""), |tool| Arc::clone(&tool.name));
    let mut fill = Fill {
        capability: capability_of(&name),
        inert: inert(&name),
        plain: plain_name(&name),
        name: &name,
        action,
        paths: Vec::new(),
        urls: Vec::new(),
        written: Vec::new(),
        strings: 0,
        acted: false,
    };
    if !text.is_empty() {
        fill.part(PartKind::Arguments, text);
    }
    match arguments {
        Some(node) => {
            fill.walk(node, "");
            fill.conclude(node);
        }
        None => {
            fill.free_text(text);
            fill.conclude_without(text);
        }
    }
}

struct Fill<'a> {
    action: &'a mut Action,
    name: &'a str,
    plain: String,
    capability: Capability,
    inert: bool,
    paths: Vec<String>,
    urls: Vec<String>,
    written: Vec<String>,
    strings: usize,
    acted: bool,
}

impl Fill<'_> {
    fn part(&mut self, kind: PartKind, text: &str) {
        let known = self.action.parts.iter().any(|part| part.kind == kind && &*part.text == text);
        if !known {
            self.action.parts.push(Part { kind, text: Arc::from(text) });
        }
    }

    fn effect(
        &mut self,
        capability: Capability,
        target: Target,
        asset: AssetClass,
        from: Vec<Flow>,
    ) -> Option<Flow> {
        let flow = Flow::try_from(self.action.effects.len()).ok()?;
        self.action.effects.push(Effect { capability, target, asset, from, by: self.name.to_owned() });
        self.acted = true;
        Some(flow)
    }

    /// Every string, by the key it stands under.
    fn walk(&mut self, node: &Node, key: &str) {
        if self.strings > MAX_STRINGS {
            self.partial("tool: too many arguments");
            return;
        }
        let key_is = |keys: &[&str]| keys.contains(&key);
        if let Some(text) = node.as_str() {
            self.strings += 1;
            self.string(text, key);
            return;
        }
        if node.is_array() {
            // `["bash", "-lc", "…"]` is one command.
            if key_is(COMMAND_KEYS) && node.elements().iter().all(|element| element.as_str().is_some()) {
                self.argv(node);
                return;
            }
            for element in node.elements() {
                self.walk(element, key);
            }
            return;
        }
        for member in node.members() {
            let key = member.key.to_ascii_lowercase();
            self.walk(&member.value, &key);
        }
    }

    fn argv(&mut self, node: &Node) {
        let words: Vec<&str> = node.elements().iter().filter_map(Node::as_str).collect();
        self.strings += words.len();
        if words.is_empty() {
            return;
        }
        let several = words.len() > 1
            && words.iter().all(|word| word.contains(' '))
            && !words.iter().any(|word| word.starts_with('-'));
        if several {
            words.iter().for_each(|line| self.command(line, None));
            return;
        }
        let line = words.iter().map(|word| shell::quote_word(word)).collect::<Vec<_>>().join(" ");
        self.command(&line, Some(Shell::Sh));
    }

    fn string(&mut self, text: &str, key: &str) {
        let command_tool = self.capability == Capability::Execute;
        let editor_verb =
            self.capability == Capability::WriteFile && key == "command" && !text.contains([' ', '/', '\n']);
        if text.is_empty() || editor_verb {
            return;
        }
        if COMMAND_KEYS.contains(&key) {
            self.command(text, self.shell());
        } else if CODE_KEYS.contains(&key) && self.capability != Capability::WriteFile {
            self.code(text);
        } else if PATH_KEYS.contains(&key) && !text.contains("://") && !text.contains('\n') {
            self.paths.push(text.to_owned());
        } else if URL_KEYS.contains(&key) || is_url(text) {
            self.part(PartKind::Url, text);
            self.urls.push(text.to_owned());
        } else if TEXT_KEYS.contains(&key) || key.starts_with("new_") {
            if command_tool && matches!(key, "input" | "text" | "chars") {
                self.command(text, self.shell());
            }
            self.written.push(text.to_owned());
        } else if text.starts_with("file://") || looks_like_path(text) {
            self.paths.push(text.to_owned());
        } else if command_tool && !is_note(key) {
            self.command(text, self.shell());
        }
    }

    fn shell(&self) -> Option<Shell> {
        match self.plain.as_str() {
            "bash" | "sh" | "zsh" | "execute_bash" | "run_bash" => Some(Shell::Sh),
            "powershell" | "pwsh" => Some(Shell::PowerShell),
            "cmd" => Some(Shell::Cmd),
            _ => None,
        }
    }

    /// A command line: read, and its effects taken over.
    fn command(&mut self, line: &str, shell: Option<Shell>) {
        self.part(PartKind::Command, line);
        let reading = shell::read(line, shell);
        self.absorb(reading);
        self.acted = true;
    }

    fn code(&mut self, code: &str) {
        self.part(PartKind::Command, code);
        let shells = self.plain.contains("bash") || self.plain.contains("shell");
        let reading = if shells { shell::read(code, None) } else { shell::read_code(code, &self.plain) };
        self.absorb(reading);
        self.acted = true;
    }

    fn absorb(&mut self, reading: Reading) {
        let base = self.action.effects.len();
        for mut effect in reading.effects {
            if self.action.effects.len() >= usize::from(Flow::MAX) {
                self.partial("tool: too many effects");
                break;
            }
            for flow in &mut effect.from {
                *flow = Flow::try_from(base + usize::from(*flow)).unwrap_or(Flow::MAX);
            }
            self.action.effects.push(effect);
        }
        let coverage = std::mem::take(&mut self.action.coverage);
        self.action.coverage = coverage.and(reading.coverage);
    }

    fn partial(&mut self, why: &str) {
        let coverage = std::mem::take(&mut self.action.coverage);
        self.action.coverage = coverage.and(Coverage::Partial(why.to_owned()));
    }

    /// Free text given to a tool: a command for those that run commands, a patch for those that patch.
    fn free_text(&mut self, text: &str) {
        match self.capability {
            Capability::Execute if self.plain.contains("python") || self.plain.contains("code") => {
                self.code(text)
            }
            Capability::Execute => self.command(text, self.shell()),
            Capability::WriteFile | Capability::DeleteFile => self.patch(text),
            Capability::ReadFile => self.paths.push(text.trim().to_owned()),
            _ => {
                for word in text.split_whitespace().take(MAX_STRINGS) {
                    let word = word.trim_matches(['"', '\'', ',', '<', '>', '(', ')']);
                    if is_url(word) {
                        self.urls.push(word.to_owned());
                    } else if looks_like_path(word) {
                        self.paths.push(word.to_owned());
                    }
                }
            }
        }
    }

    /// The files a patch names, in the format of `apply_patch` or of `diff -u`.
    fn patch(&mut self, text: &str) {
        for line in text.lines() {
            let deleted = line.strip_prefix("*** Delete File: ");
            let named = ["*** Add File: ", "*** Update File: ", "*** Move to: ", "+++ "]
                .iter()
                .find_map(|head| line.strip_prefix(head));
            if let Some(path) = deleted {
                let (target, class) = path_target(path.trim());
                self.effect(Capability::DeleteFile, target, class, Vec::new());
            } else if let Some(path) = named {
                let path = path.split('\t').next().unwrap_or(path).trim();
                let path = path.strip_prefix("b/").unwrap_or(path);
                if path != "/dev/null" {
                    self.paths.push(path.to_owned());
                }
            }
        }
    }

    fn conclude(&mut self, node: &Node) {
        if self.capability == Capability::WriteFile {
            // `input` or `patch` may hold a patch that names its files.
            for text in std::mem::take(&mut self.written) {
                if text.contains("*** ") || text.contains("\n+++ ") || text.starts_with("+++ ") {
                    self.patch(&text);
                }
                self.written.push(text);
            }
            if node.text("command") == Some("view") {
                self.capability = Capability::ReadFile;
            }
        }
        self.conclude_common();
    }

    fn conclude_without(&mut self, _text: &str) {
        self.conclude_common();
    }

    /// Paths and URLs become effects of what the tool does.
    fn conclude_common(&mut self) {
        let (paths, urls) = (std::mem::take(&mut self.paths), std::mem::take(&mut self.urls));
        let sends = matches!(self.capability, Capability::NetworkPost) || self.posts();
        let on_paths = match self.capability {
            Capability::WriteFile | Capability::DeleteFile | Capability::ReadFile | Capability::Unknown => {
                self.capability
            }
            Capability::McpInvoke if !self.written.is_empty() => Capability::WriteFile,
            _ => Capability::ReadFile,
        };
        let mut read = Vec::new();
        let mut fetched = Vec::new();
        let downloads = matches!(self.capability, Capability::NetworkFetch | Capability::BrowserDownload)
            && !paths.is_empty();
        for path in &paths {
            let working_directory = self.capability == Capability::Execute;
            if working_directory || downloads {
                continue;
            }
            let (target, class) = path_target(path);
            if self.capability == Capability::Unknown && class == AssetClass::Project {
                continue;
            }
            let flow = self.effect(on_paths, target, class, Vec::new());
            if on_paths == Capability::ReadFile {
                read.extend(flow);
            }
        }
        for url in &urls {
            let (target, class) = (Target::Url(url.clone()), asset::classify_host(url));
            let capability = match self.capability {
                _ if sends => Capability::NetworkPost,
                Capability::BrowserNavigate | Capability::UiAutomation => Capability::BrowserNavigate,
                Capability::BrowserDownload => Capability::BrowserDownload,
                Capability::Unknown | Capability::McpInvoke => Capability::Unknown,
                Capability::WriteFile | Capability::DeleteFile => continue,
                _ => Capability::NetworkFetch,
            };
            let from = if capability == Capability::NetworkPost { read.clone() } else { Vec::new() };
            fetched.extend(self.effect(capability, target, class, from));
        }
        if downloads {
            for path in &paths {
                let (target, class) = path_target(path);
                self.effect(Capability::WriteFile, target, class, fetched.clone());
            }
        }
        if self.acted || self.inert {
            return;
        }
        let target = Target::Program(self.name.to_owned());
        let class = match self.capability {
            Capability::ReadFile | Capability::WriteFile => AssetClass::Project,
            Capability::NetworkFetch | Capability::NetworkPost | Capability::BrowserNavigate => {
                AssetClass::External
            }
            _ => AssetClass::Unknown,
        };
        self.effect(self.capability, target, class, Vec::new());
    }

    /// A request tool whose arguments say that it sends.
    fn posts(&self) -> bool {
        self.capability == Capability::NetworkFetch
            && (!self.written.is_empty()
                || self.action.parts.iter().any(|part| {
                    part.kind == PartKind::Arguments
                        && ["\"POST\"", "\"PUT\"", "\"PATCH\""]
                            .iter()
                            .any(|method| part.text.contains(method))
                }))
    }
}

/// Members that speak about the call and are not part of it.
fn is_note(key: &str) -> bool {
    const NOTES: [&str; 26] = [
        "description",
        "explanation",
        "reason",
        "title",
        "timeout",
        "summary",
        "instructions",
        "id",
        "session_id",
        "shell_id",
        "bash_id",
        "justification",
        "workdir",
        "cwd",
        "working_directory",
        "toolsummary",
        "toolaction",
        "language",
        "name",
        "type",
        "mode",
        "security_risk",
        "env",
        "thought",
        "tool",
        "server_name",
    ];
    NOTES.contains(&key)
}

fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| {
        !rest.is_empty()
            && scheme.len() < 12
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !scheme.eq_ignore_ascii_case("file")
    }) && !text.contains([' ', '\n'])
}

fn looks_like_path(text: &str) -> bool {
    let drive = matches!(text.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic());
    text.len() < 1024
        && !text.contains(['\n', '<', '>', '|', '"'])
        && (drive
            || text.starts_with("~/")
            || text.starts_with("$HOME/")
            || text.starts_with("%USERPROFILE%")
            || (text.starts_with('/') && text.len() > 2 && !text.contains(' '))
            || text.starts_with("../")
            || text.starts_with("./"))
}

/// A path an argument names; globs in it are live.
fn path_target(raw: &str) -> (Target, AssetClass) {
    let exact = !raw.contains(['*', '?', '[', '$', '%']);
    let class = asset::classify_path(raw, exact);
    (Target::Path { path: asset::normalise_path(raw), exact }, class)
}

#[cfg(test)]
mod tests;
