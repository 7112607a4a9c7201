//! A call that is held: what it says, copy by copy, until it is whole.

use super::copies::{self, Digest};
use super::items::{Sort, What, adds_to_call};
use super::text_of;
use crate::syntax::{Kind, Node, Str, json};
use crate::wire::Fault;
use crate::wire::frame::{CallId, CallKind, Calls, Place};
use crate::wire::request::Declared;
use crate::wire::stray::looks_like_call;

/// How many numbers of events a call keeps for a message in its place: that many events such a message has.
const NUMBERS: usize = 6;

/// The most commands one shell call may have.
const MOST_COMMANDS: u64 = 1024;

/// What one copy of a call says, as far as a client acts on it.
pub(super) struct CallItem {
    pub name: String,
    /// What answers to it name.
    pub wire_id: String,
    /// What it says, in one digest.
    pub essence: Digest,
}

impl CallItem {
    pub fn of(what: What, node: &Node) -> Self {
        let name = name_of(what, node);
        let id = if what == What::Approval { node.text("id") } else { None };
        let wire_id = node.text("call_id").or(id).or_else(|| node.text("id")).unwrap_or_default();
        let mut said = Vec::new();
        for part in [node.text("type").unwrap_or_default(), &name, id.unwrap_or_default()] {
            said.extend_from_slice(part.as_bytes());
            said.push(0xff);
        }
        if what == What::Unknown {
            copies::canonical(node, &["status", "id"], &mut said);
        } else {
            for key in VALUES.iter().chain(&["environment"]) {
                if let Some(value) = node.some(key) {
                    said.extend_from_slice(key.as_bytes());
                    copies::canonical(value, &[], &mut said);
                }
            }
        }
        Self { name, wire_id: wire_id.to_owned(), essence: copies::digest_of(&said) }
    }
}

/// Where calls say what they would do.
const VALUES: &[&str] = &["arguments", "input", "action", "actions", "operation"];

/// The tool's name, as it was declared: built-in tools by their type.
fn name_of(what: What, node: &Node) -> String {
    let name = node.text("name").unwrap_or_default();
    match what {
        What::Function | What::Custom => match node.text("namespace").filter(|space| !space.is_empty()) {
            Some(space) => format!("{space}.{name}"),
            None => name.to_owned(),
        },
        What::Approval => format!("{}.{name}", node.text("server_label").unwrap_or_default()),
        What::LocalShell => "local_shell".to_owned(),
        What::Shell => "shell".to_owned(),
        What::Patch => "apply_patch".to_owned(),
        What::Computer => "computer".to_owned(),
        What::Search => "tool_search".to_owned(),
        What::Unknown => format!("item {}", node.text("type").unwrap_or_default()),
        What::Untold => String::new(),
    }
}

/// A call that is held.
#[derive(Debug)]
pub(super) struct Held {
    pub call: CallId,
    what: What,
    pub wire_id: String,
    /// Its index, if events tell indices.
    pub index: Option<u64>,
    /// Numbers of its events: the first five and the last.
    pub numbers: Vec<Box<str>>,
    /// What it was said to be when it began, as a tree's canonical text is compared: see [`grows`].
    begun: Vec<(&'static str, Node)>,
    /// What its deltas said (WTF-8).
    streamed: Vec<u8>,
    /// The same of commands, which come one by one.
    commands: Vec<Vec<u8>>,
    /// Whether the deltas are known to be complete.
    told: bool,
    /// Whether its beginning was not seen.
    partial: bool,
    /// What it said when it was whole.
    pub essence: Option<Digest>,
}

impl Held {
    /// Opens the call that `node` begins.
    pub fn open(what: What, node: &Node, calls: &mut Calls) -> Self {
        let item = CallItem::of(what, node);
        let call = calls.open(kind_of(what), None, &item.name, &item.wire_id);
        let begun = VALUES.iter().filter_map(|key| Some((*key, node.some(key)?.clone()))).collect();
        Self { begun, ..Self::begun(call, what, item.wire_id) }
    }

    /// A call of which only a later piece was seen.
    pub fn resumed(calls: &mut Calls) -> Self {
        let call = calls.open(CallKind::Tool, None, "", "");
        Self { partial: true, ..Self::begun(call, What::Untold, String::new()) }
    }

    fn begun(call: CallId, what: What, wire_id: String) -> Self {
        Self {
            call,
            what,
            wire_id,
            index: None,
            numbers: Vec::new(),
            begun: Vec::new(),
            streamed: Vec::new(),
            commands: Vec::new(),
            told: false,
            partial: false,
            essence: None,
        }
    }

    /// Where it stands, for a message in its place.
    pub fn place(&self, id: &str, named: bool) -> Place {
        Place { index: self.index, numbers: self.numbers.clone(), named, id: id.to_owned() }
    }

    pub fn spoil(&self, why: &str, calls: &mut Calls) {
        if let Some(call) = calls.get_mut(self.call) {
            call.spoil(why);
        }
    }

    /// Keeps the number of one of its events.
    pub fn number(&mut self, number: Option<Box<str>>) {
        if self.numbers.len() >= NUMBERS {
            self.numbers.pop();
        }
        self.numbers.extend(number);
    }

    /// Takes one of its events.
    pub fn event(&mut self, kind: &str, node: &Node, calls: &mut Calls) -> Result<(), Fault> {
        let text = |key: &str| match node.get(key).and_then(Node::as_string) {
            Some(text) => Ok(text.as_wtf8()),
            None => Err(super::order("an event of a call without its text")),
        };
        match (self.what, kind) {
            (What::Function | What::Approval | What::Untold, "response.function_call_arguments.delta")
            | (What::Custom | What::Untold, "response.custom_tool_call_input.delta")
            | (What::Patch | What::Untold, "response.apply_patch_call_operation_diff.delta") => {
                json::push_wtf8(text("delta")?, &mut self.streamed);
            }
            (What::Function | What::Approval, "response.function_call_arguments.done") => {
                self.told(text("arguments")?, "arguments", calls);
                // Some servers repeat the name here.
                if let Some(name) = node.text("name")
                    && calls.get(self.call).is_some_and(|call| call.name.rsplit('.').next() != Some(name))
                {
                    self.spoil("its name changes", calls);
                }
            }
            (What::Custom, "response.custom_tool_call_input.done") => {
                self.told(text("input")?, "input", calls)
            }
            (What::Patch, "response.apply_patch_call_operation_diff.done") => {
                self.told(text("diff")?, "diff", calls);
            }
            (What::Untold, kind) if kind.ends_with(".done") && adds_to_call(kind) => {}
            (What::Shell, "response.shell_call_command.added" | "response.shell_call_command.delta") => {
                let piece = if kind.ends_with("added") { "command" } else { "delta" };
                json::push_wtf8(text(piece)?, self.command(node)?);
            }
            (What::Shell, "response.shell_call_command.done") => {
                let told = text("command")?.to_vec();
                let command = self.command(node)?;
                if command.is_empty() {
                    *command = told;
                } else if *command != told {
                    self.spoil(DIFFER, calls);
                }
            }
            (What::Unknown, _) => {
                if let Some(call) = calls.get_mut(self.call) {
                    call.call_like |= node.members().iter().any(|member| looks_like_call(&member.value));
                }
            }
            _ => self.spoil("it holds an event that no reader expects in a call", calls),
        }
        Ok(())
    }

    /// The command that an event adds to.
    fn command(&mut self, node: &Node) -> Result<&mut Vec<u8>, Fault> {
        let index = node.get("command_index").and_then(Node::as_u64).unwrap_or(0);
        if index > self.commands.len() as u64 || index >= MOST_COMMANDS {
            return Err(super::order("a command's index is not the next one"));
        }
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if index == self.commands.len() {
            self.commands.push(Vec::new());
        }
        self.commands.get_mut(index).ok_or_else(|| super::order("no such command"))
    }

    /// What the deltas added up to, as it is told once more at their end.
    fn told(&mut self, whole: &[u8], key: &str, calls: &mut Calls) {
        self.told = true;
        let begun = self.begun_text(key);
        if self.streamed.is_empty() && (begun.is_empty() || begun == whole) {
            self.streamed = whole.strip_prefix(begun.as_slice()).unwrap_or(whole).to_vec();
        } else if !self.partial && [begun.as_slice(), &self.streamed].concat() != whole {
            self.spoil(DIFFER, calls);
        }
    }

    fn begun_text(&self, key: &str) -> Vec<u8> {
        let node = self.begun.iter().find_map(|(at, node)| match (*at, key) {
            ("operation", "diff") => node.get("diff"),
            (at, key) if at == key => Some(node),
            _ => None,
        });
        node.and_then(Node::as_string).map(|text| text.as_wtf8().to_vec()).unwrap_or_default()
    }

    /// Takes what its deltas said for the whole, if they are known to be complete.
    pub fn finish_as_told(&mut self, calls: &mut Calls) -> bool {
        let key = match self.what {
            What::Function => "arguments",
            What::Custom => "input",
            _ => return false,
        };
        let whole = [self.begun_text(key), std::mem::take(&mut self.streamed)].concat();
        let Some(call) = calls.get_mut(self.call).filter(|call| self.told && !call.name.is_empty()) else {
            return false;
        };
        call.fragments = whole;
        true
    }

    /// What the whole copy says the item is must be what it began as.
    pub fn check_sort(&mut self, sort: &Sort, calls: &mut Calls) {
        match sort {
            Sort::Call(what) if self.what == What::Untold => {
                self.what = *what;
                if let Some(call) = calls.get_mut(self.call) {
                    call.kind = kind_of(*what);
                }
            }
            Sort::Call(what) if *what == self.what => {}
            _ => self.spoil("its type changes", calls),
        }
    }

    /// Takes the whole copy: what it says is what is judged, if all that came before said the same.
    pub fn finish(&mut self, node: &Node, source: &[u8], calls: &mut Calls) {
        let item = CallItem::of(self.what, node);
        let streamed = std::mem::take(&mut self.streamed);
        let (begun, commands) = (std::mem::take(&mut self.begun), std::mem::take(&mut self.commands));
        self.essence = Some(item.essence);
        let Some(call) = calls.get_mut(self.call) else { return };
        if self.partial {
            call.name.clone_from(&item.name);
            call.wire_id.clone_from(&item.wire_id);
            self.wire_id.clone_from(&item.wire_id);
        }
        if call.name != item.name {
            call.spoil("its name changes");
        }
        if self.wire_id != item.wire_id && !self.wire_id.is_empty() {
            call.spoil("its id changes");
        }
        let differ = |begun_key: &str, whole: &[u8]| {
            let begun =
                begun.iter().find(|(key, _)| *key == begun_key).and_then(|(_, node)| node.as_string());
            let begun = begun.map(Str::as_wtf8).unwrap_or_default();
            if self.partial {
                return !whole.ends_with(&streamed);
            }
            let came = begun.len() + streamed.len();
            let same = whole.len() == came && whole.starts_with(begun) && whole.ends_with(&streamed);
            came > 0 && !same
        };
        match self.what {
            What::Function | What::Approval | What::Custom => {
                let key = if self.what == What::Custom { "input" } else { "arguments" };
                match node.get(key).and_then(Node::as_string) {
                    Some(text) => {
                        if differ(key, text.as_wtf8()) {
                            call.spoil(DIFFER);
                        }
                        call.fragments = text.as_wtf8().to_vec();
                    }
                    None => call.spoil("its arguments are not text"),
                }
                if item.name.is_empty() {
                    call.spoil("it has no name");
                }
                if self.what == What::Approval {
                    let label = node.text("server_label").unwrap_or_default();
                    call.declared_as = Some(format!("mcp:{label}"));
                }
            }
            What::Unknown => {
                call.call_like |= looks_like_call(node);
                call.whole = Some(text_of(node, source));
            }
            What::Untold => call.spoil("it is of no known type"),
            What::LocalShell | What::Shell | What::Patch | What::Computer | What::Search => {
                if begun.iter().any(|(key, value)| !node.some(key).is_some_and(|whole| grows(value, whole))) {
                    call.spoil(DIFFER);
                }
                if let Some(diff) = node.some("operation").and_then(|operation| operation.get("diff"))
                    && !streamed.is_empty()
                    && !diff.as_string().is_some_and(|diff| diff.as_wtf8().ends_with(&streamed))
                {
                    call.spoil(DIFFER);
                }
                let told = node.some("action").and_then(|action| action.get("commands"));
                let told = told.map(Node::elements).unwrap_or_default();
                let same = told.len() == commands.len()
                    && told.iter().zip(&commands).all(|(node, command)| {
                        node.as_string().is_some_and(|text| text.as_wtf8() == command.as_slice())
                    });
                if !commands.is_empty() && !same {
                    call.spoil(DIFFER);
                }
                match whole_of(self.what, node, source) {
                    Some(whole) => call.whole = Some(whole),
                    None => call.spoil("it does not say what to do"),
                }
            }
        }
    }
}

/// Name and arguments of the call that an item is, and whether those are free text: as one of a reply is judged.
pub(super) fn said(node: &Node, source: &[u8]) -> Option<(String, String, bool)> {
    let Sort::Call(what) = Sort::of(node, &Declared::default(), false) else { return None };
    let arguments = match what {
        What::Function | What::Approval => node.text("arguments").map(str::to_owned),
        What::Custom => node.text("input").map(str::to_owned),
        What::Unknown | What::Untold => None,
        _ => whole_of(what, node, source),
    };
    Some((name_of(what, node), arguments?, what == What::Custom))
}

const DIFFER: &str = "its copies say different things";

const fn kind_of(what: What) -> CallKind {
    match what {
        What::Custom => CallKind::FreeText,
        What::Unknown => CallKind::Unknown,
        _ => CallKind::Tool,
    }
}

/// What a call without arguments says, as one JSON object.
fn whole_of(what: What, node: &Node, source: &[u8]) -> Option<String> {
    let key = match what {
        What::LocalShell | What::Shell => "action",
        What::Patch => "operation",
        What::Search => "arguments",
        _ => {
            let member = |key: &str| {
                let value = node.some(key)?;
                Some(format!("\"{key}\":{}", text_of(value, source)))
            };
            let members: Vec<String> = ["action", "actions"].iter().filter_map(|key| member(key)).collect();
            return (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")));
        }
    };
    node.some(key).filter(|value| value.is_object()).map(|value| text_of(value, source))
}

/// Whether `early` is an earlier state of `late`: nothing that it says is gone or different, but texts and
/// lists may have gone on.
fn grows(early: &Node, late: &Node) -> bool {
    match (&early.kind, &late.kind) {
        (Kind::Null, _) => true,
        (Kind::String(a), Kind::String(b)) => b.as_wtf8().starts_with(a.as_wtf8()),
        (Kind::Array(a), Kind::Array(b)) => a.len() <= b.len() && a.iter().zip(b).all(|(a, b)| grows(a, b)),
        (Kind::Object(a), Kind::Object(_)) => a.iter().all(|member| {
            member.value.is_null() || late.get(&member.key).is_some_and(|late| grows(&member.value, late))
        }),
        (a, b) => a == b,
    }
}
