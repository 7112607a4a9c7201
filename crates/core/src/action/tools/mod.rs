//! What a tool call would do, from the tool's name and its arguments.
//!
//! A name that is known maps to a capability; arguments are read by what they are called. A tool nobody
//! knows is [`Capability::Unknown`], never a mere read, and its arguments are read all the same: a member
//! called `command` is a command line whatever the tool is called.

mod consequence;

mod earlier;
pub use earlier::{Chain, Earlier};

mod names;

mod script;

mod typed;

mod written;

use std::sync::Arc;

use super::shell::{self, Reading, Shell, State};
use super::{Action, AssetClass, Capability, Effect, Flow, Part, PartKind, Target, Written, asset};
use crate::decision::Coverage;
use crate::syntax::{Node, json};
use names::{CODE_KEYS, COMMAND_KEYS, DIRECTORY_KEYS, FRESH, INERT, NAMES, PATH_KEYS, TEXT_KEYS, URL_KEYS};
use script::Script;

/// How many strings of one call are looked at one by one.
const MAX_STRINGS: usize = 4096;

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

/// Whether a list may be the words of one command: several, the first a name.
fn words_of_one(list: &Node) -> bool {
    let first = list.elements().first().and_then(Node::as_str);
    list.elements().len() > 1 && first.is_some_and(|word| !word.contains(char::is_whitespace))
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
///
/// The call is read as one that comes after those that left [`Action::before`]. Returns what is left after it.
pub fn fill_call(action: &mut Action, text: &str, arguments: Option<&Node>) -> State {
    let name: Arc<str> = action.tool.as_ref().map_or_else(|| Arc::from(""), |tool| Arc::clone(&tool.name));
    let (before, mut state) = (action.before.clone(), action.before.clone());
    fill_as(action, &name, text, arguments, &mut state);
    let told = state.written_since(&before).into_iter().filter(|file| !file.content.is_empty());
    let others: Vec<Written> =
        told.filter(|file| !action.written.iter().any(|own| own.path == file.path)).collect();
    action.written.extend(others);
    state
}

/// The same, for a call of the tool `name`, which changes `state`.
fn fill_as(action: &mut Action, name: &str, text: &str, arguments: Option<&Node>, state: &mut State) {
    let capability = capability_of(name);
    let plain = plain_name(name);
    if capability == Capability::Execute
        && let Some(directory) = arguments.and_then(directory_of)
    {
        *state = state.in_directory(directory);
        action.before = state.clone();
    }
    let began = state.clone();
    let types = typed::types(name, &plain);
    let mut fill = Fill {
        capability,
        inert: inert(name),
        types,
        plain,
        name,
        action,
        state,
        paths: Vec::new(),
        urls: Vec::new(),
        written: Vec::new(),
        source: Vec::new(),
        strings: 0,
        acted: false,
    };
    if !text.is_empty() {
        fill.part(PartKind::Arguments, text);
    }
    match arguments {
        Some(node) => {
            fill.walk(node, "");
            if types {
                fill.press(node);
            }
            fill.conclude(node);
        }
        None => {
            fill.free_text(text);
            fill.conclude_without(text);
        }
    }
    if matches!(fill.capability, Capability::Unknown | Capability::McpInvoke | Capability::NetworkPost)
        && let Some(what) = consequence::of(&fill.plain, arguments)
    {
        let target = Target::Other(what.to_owned());
        fill.effect(Capability::McpInvoke, target, AssetClass::External, Vec::new());
    }
    let plain = std::mem::take(&mut fill.plain);
    if matches!(capability, Capability::WriteFile | Capability::DeleteFile) {
        action.written.extend(written::keep(state, capability, &plain, text, arguments));
    }
    if FRESH.contains(&plain.as_str()) {
        *state = state.in_fresh_shell_of(&began);
    }
}

/// The directory that a call asks its command to run in.
fn directory_of(arguments: &Node) -> Option<&str> {
    let named = |key: &str| DIRECTORY_KEYS.iter().any(|own| key.eq_ignore_ascii_case(own));
    let mut members = arguments.members().iter().filter(|member| named(&member.key));
    members.find_map(|member| member.value.as_str()).filter(|text| !text.is_empty())
}

struct Fill<'a> {
    action: &'a mut Action,
    name: &'a str,
    plain: String,
    capability: Capability,
    inert: bool,
    /// Whether it presses keys.
    types: bool,
    /// What calls before have left, and parts of this one.
    state: &'a mut State,
    paths: Vec<String>,
    urls: Vec<String>,
    written: Vec<String>,
    /// What was read of the file that is copied or moved.
    source: Vec<Flow>,
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
                // `commands` are command lines, whatever they look like (OpenAI's shell tool, Cline's
                // `run_commands`). Of a tool that is not documented they may be one command's words all the same.
                let lines = key == "commands";
                if lines {
                    self.script_of(node);
                }
                if !lines || (self.name != "shell" && words_of_one(node)) {
                    self.argv(node);
                }
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
        // No program has a name like `curl … | sh`.
        let several =
            words.iter().all(|word| word.contains(' ')) && !words.iter().any(|word| word.starts_with('-'));
        if several {
            words.iter().for_each(|line| self.command(line, None));
            return;
        }
        let line = words.iter().map(|word| shell::quote_word(word)).collect::<Vec<_>>().join(" ");
        self.command(&line, Some(Shell::Sh));
    }

    /// Command lines that one shell runs one after the other.
    fn script_of(&mut self, node: &Node) {
        let lines: Vec<&str> = node.elements().iter().filter_map(Node::as_str).collect();
        self.strings += lines.len();
        if !lines.is_empty() {
            self.command(&lines.join("\n"), None);
        }
    }

    fn string(&mut self, text: &str, key: &str) {
        let command_tool = self.capability == Capability::Execute;
        let editor_verb =
            self.capability == Capability::WriteFile && key == "command" && !text.contains([' ', '/', '\n']);
        if text.is_empty() || editor_verb {
            return;
        }
        // Of Anthropic's browser toolset, as its documentation has them.
        match (self.name, key, text) {
            ("browser.javascript_exec", "text", _) => return self.code(text),
            // The history of the tab, not hosts of the local network.
            ("browser.navigate", "url", "back" | "forward" | "reload") => return,
            _ => {}
        }
        // The call within, as text (Cline, Cursor). What is written may be such a text too, and is written all the same.
        if matches!(self.capability, Capability::McpInvoke | Capability::Unknown)
            && text.trim_start().starts_with('{')
            && let Ok(inner) = json::parse(text.as_bytes())
        {
            self.walk(&inner, key);
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
        let (reading, after) = shell::read_after(self.state, line, shell);
        if !self.types {
            *self.state = after;
        }
        self.absorb(reading);
        self.acted = true;
    }

    /// Keys pressed: the lines that this runs.
    fn press(&mut self, arguments: &Node) {
        let keys = typed::keys(&self.plain, arguments);
        let lines = if keys.is_empty() { Vec::new() } else { self.state.press(&keys) };
        if !lines.is_empty() && self.capability == Capability::UiAutomation {
            let target = Target::Program(self.name.to_owned());
            self.effect(Capability::UiAutomation, target, AssetClass::Unknown, Vec::new());
        }
        for line in lines {
            if !line.known {
                self.partial("tool: keys that complete a line");
            }
            self.types = false;
            self.command(&line.text, None);
        }
    }

    fn code(&mut self, code: &str) {
        self.part(PartKind::Command, code);
        let shells = self.plain.contains("bash") || self.plain.contains("shell");
        let (reading, after) = if shells {
            shell::read_after(self.state, code, None)
        } else {
            shell::read_code_after(self.state, code, &self.plain)
        };
        *self.state = after;
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

    /// A script that calls tools: each call as if it had been made. Where not all of it is understood, any
    /// string in it may be a command.
    fn script(&mut self, script: &Script) {
        for (name, arguments) in &script.calls {
            let node = json::parse(arguments.as_bytes()).ok();
            match node.as_ref().and_then(Node::as_str) {
                Some(text) => fill_as(self.action, name, text, None, self.state),
                None => fill_as(self.action, name, "", node.as_ref(), self.state),
            }
        }
        if !script.whole {
            self.partial("tool: a script that works out what it calls");
            script.strings.iter().for_each(|text| self.command(text, None));
        }
        if script.beyond {
            self.partial("tool: too many arguments");
        }
        self.acted = true;
    }

    /// Free text given to a tool: a command for those that run commands, a patch for those that patch.
    fn free_text(&mut self, text: &str) {
        match self.capability {
            Capability::Execute if let Some(script) = script::read(text) => {
                if script.doubtful {
                    self.command(text, self.shell());
                }
                self.script(&script);
            }
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
            // Padding around a marker is tolerated.
            let line = line.trim();
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
            if self.plain == "apply_patch" && node.text("type") == Some("delete_file") {
                self.capability = Capability::DeleteFile;
            }
            if node.text("command") == Some("view") {
                self.capability = Capability::ReadFile;
            }
            self.take_source(node);
        }
        // A tool that is told in words what to get (Gemini CLI).
        if self.capability == Capability::NetworkFetch && self.urls.is_empty() {
            let words = node.text("prompt").into_iter().flat_map(str::split_whitespace).take(MAX_STRINGS);
            let words = words.map(|word| word.trim_matches(['"', '\'', ',', '<', '>', '(', ')', '.', ';']));
            self.urls.extend(words.filter(|word| is_url(word)).map(str::to_owned));
        }
        self.conclude_common();
    }

    /// What a file is copied or moved from is read.
    fn take_source(&mut self, node: &Node) {
        const SOURCES: [&str; 8] =
            ["source", "src", "from", "source_path", "sourcePath", "old_path", "from_path", "oldPath"];
        let places = ["move", "copy", "rename"].iter().any(|verb| self.plain.contains(verb));
        let Some(source) = SOURCES.iter().find_map(|key| node.text(key)).filter(|_| places) else { return };
        self.paths.retain(|path| path != source);
        let (target, class) =
            path_target(&self.state.through_links(source).unwrap_or_else(|| source.to_owned()));
        let read = self.effect(Capability::ReadFile, target, class, Vec::new());
        self.source.extend(read);
    }

    fn conclude_without(&mut self, _text: &str) {
        self.conclude_common();
    }

    /// Paths and URLs become effects of what the tool does.
    fn conclude_common(&mut self) {
        let (mut paths, urls) = (std::mem::take(&mut self.paths), std::mem::take(&mut self.urls));
        for path in &mut paths {
            if let Some(through) = self.state.through_links(path) {
                *path = through;
            }
        }
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
            let flow = self.effect(on_paths, target, class, self.source.clone());
            if on_paths == Capability::ReadFile {
                read.extend(flow);
            }
        }
        if self.name == "browser.file_upload" && !read.is_empty() {
            // To whatever page is open.
            let page = Target::Program(self.name.to_owned());
            self.effect(Capability::NetworkPost, page, AssetClass::External, read.clone());
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
