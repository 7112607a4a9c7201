//! What an item of a reply is.

use std::collections::BTreeMap;

use super::copies::Said;
use super::held::Held;
use super::text_of;
use crate::syntax::{Node, Str};
use crate::wire::Fault;
use crate::wire::request::Declared;

/// The most bytes of a provider's call that are recorded.
const MOST_INPUT: usize = 64 * 1024;

/// What a shell in a container of the provider is declared as.
pub(super) const HOSTED_SHELL: &str = "shell (hosted)";

/// One item of a reply.
#[derive(Debug)]
pub(super) struct Item {
    /// Its id as it was first told.
    pub id: String,
    pub kind: ItemKind,
    /// Whether it has not come whole yet.
    pub open: bool,
}

#[derive(Debug)]
pub(super) enum ItemKind {
    /// What the model says, by content index.
    Message(BTreeMap<u64, Said>),
    Reasoning,
    /// A call that the provider runs, by name.
    Provider(String),
    /// What a call gave back, or something else that nobody acts on.
    Result,
    Call(Box<Held>),
}

/// What an item is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Message,
    Reasoning,
    Result,
    Provider,
    Call(What),
}

/// Which kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Function,
    Custom,
    LocalShell,
    Shell,
    Patch,
    Computer,
    /// A call the provider would run, and asks the client about.
    Approval,
    /// A search among tools that the client does.
    Search,
    /// Something nobody knows.
    Unknown,
    /// Not told yet, in a stream resumed in its middle.
    Untold,
}

impl Sort {
    /// What `node` is in a reply to a request that declared these tools.
    pub fn of(node: &Node, declared: &Declared, trusted: bool) -> Self {
        let provider = declared.provider_tools || trusted;
        let environment = node.some("environment").and_then(|e| e.text("type")).unwrap_or_default();
        match node.text("type").unwrap_or_default() {
            "message" => Self::Message,
            "reasoning" => Self::Reasoning,
            "function_call" => Self::Call(What::Function),
            "custom_tool_call" => Self::Call(What::Custom),
            "local_shell_call" => Self::Call(What::LocalShell),
            "shell_call"
                if environment.starts_with("container")
                    && (trusted || declared.tools.contains(HOSTED_SHELL))
                    && !declared.tools.contains("shell") =>
            {
                Self::Provider
            }
            "shell_call" => Self::Call(What::Shell),
            "apply_patch_call" => Self::Call(What::Patch),
            "computer_call" => Self::Call(What::Computer),
            "mcp_approval_request" => Self::Call(What::Approval),
            "tool_search_call" if provider && node.text("execution") != Some("client") => Self::Provider,
            "tool_search_call" => Self::Call(What::Search),
            "web_search_call"
            | "file_search_call"
            | "code_interpreter_call"
            | "image_generation_call"
            | "mcp_call"
            | "mcp_list_tools"
            | "program"
                if provider =>
            {
                Self::Provider
            }
            "compaction"
            | "mcp_approval_response"
            | "program_output"
            | "tool_search_output"
            | "function_call_output"
            | "custom_tool_call_output"
            | "local_shell_call_output"
            | "shell_call_output"
            | "apply_patch_call_output"
            | "computer_call_output" => Self::Result,
            "additional_tools" | "configuration_update" if trusted => Self::Result,
            _ => Self::Call(What::Unknown),
        }
    }
}

/// A text of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saying<'a> {
    /// The part or the event that says it.
    pub part: &'a Node,
    /// Where it stands there.
    pub node: &'a Node,
    pub text: &'a Str,
    /// Whether it is a refusal.
    pub refusal: bool,
}

impl<'a> Saying<'a> {
    /// What `part` says under `key`.
    pub fn under(part: &'a Node, key: &str, refusal: bool) -> Option<Self> {
        let node = part.some(key)?;
        Some(Self { part, node, text: node.as_string()?, refusal })
    }

    /// What a part of a message says.
    pub fn of_part(part: &'a Node) -> Option<Self> {
        match part.some("text") {
            Some(_) => Self::under(part, "text", false),
            None => Self::under(part, "refusal", true),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.text.as_wtf8().is_empty()
    }
}

/// The texts of an item's content, in order.
pub(super) fn texts(item: &Node) -> impl Iterator<Item = Saying<'_>> {
    item.get("content").map(Node::elements).unwrap_or_default().iter().filter_map(Saying::of_part)
}

/// Refuses a message whose text stands where only some readers look for it: for agents that read calls from text.
pub(super) fn check_plain(message: &Node) -> Result<(), Fault> {
    let aside = message.some("text").is_some() || message.some("refusal").is_some();
    if aside || message.some("content").is_some_and(|content| !content.is_array()) {
        return Err(odd());
    }
    message.get("content").map(Node::elements).unwrap_or_default().iter().try_for_each(check_plain_part)
}

/// The same of one part of a message.
pub(super) fn check_plain_part(part: &Node) -> Result<(), Fault> {
    let (text, refusal) = (part.some("text"), part.some("refusal"));
    let strings = [text, refusal].into_iter().flatten().all(|said| said.as_string().is_some());
    let twice = text.is_some() && refusal.is_some();
    if part.is_object() && strings && !twice { Ok(()) } else { Err(odd()) }
}

fn odd() -> Fault {
    super::order("a message's text is not in the documented shape")
}

/// What a call that the provider runs is called in receipts.
pub(super) fn provider_name(item: &Node) -> String {
    let kind = item.text("type").unwrap_or_default();
    match (item.text("server_label"), item.text("name")) {
        (Some(server), Some(name)) => format!("{server}.{name}"),
        (Some(server), None) => format!("{kind} {server}"),
        _ => kind.strip_suffix("_call").unwrap_or(kind).to_owned(),
    }
}

/// What a call that the provider runs was given, as far as it is told; never what it gave back.
pub(super) fn provider_input(item: &Node, source: &[u8]) -> String {
    let mut out = String::new();
    for key in ["action", "arguments", "queries", "code", "revised_prompt"] {
        let Some(value) = item.some(key) else { continue };
        if !out.is_empty() {
            out.push('\n');
        }
        match value.as_str() {
            Some(text) => out.push_str(text),
            None => out.push_str(&text_of(value, source)),
        }
    }
    let cut = (0..=MOST_INPUT.min(out.len())).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
    out.truncate(cut);
    out
}

/// Whether an event of this type speaks of an item.
pub(super) fn belongs_to_item(kind: &str) -> bool {
    const HEADS: [&str; 17] = [
        "response.content_part.",
        "response.output_text.",
        "response.refusal.",
        "response.reasoning",
        "response.audio.",
        "response.compaction.",
        "response.web_search_call.",
        "response.file_search_call.",
        "response.code_interpreter_call.",
        "response.code_interpreter_call_code.",
        "response.image_generation_call.",
        "response.mcp_call.",
        "response.mcp_call_arguments.",
        "response.mcp_list_tools.",
        "response.shell_call_output_content.",
        "response.shell_call.",
        "response.tool_search_call.",
    ];
    HEADS.iter().any(|head| kind.starts_with(head)) || adds_to_call(kind)
}

/// Whether an event of this type carries what a model says to the user.
pub(super) fn is_text(kind: &str) -> bool {
    kind.starts_with("response.output_text.") || kind.starts_with("response.refusal.")
}

/// Whether an event says, or repeats, something to the user.
pub(super) fn is_said(kind: &str, node: &Node) -> bool {
    let thought = || node.get("part").and_then(|part| part.text("type")) == Some("reasoning_text");
    is_text(kind) || kind.starts_with("response.content_part.") && !thought()
}

/// Whether an event of this type carries a piece of a call.
pub(super) fn adds_to_call(kind: &str) -> bool {
    const HEADS: [&str; 4] = [
        "response.function_call_arguments.",
        "response.custom_tool_call_input.",
        "response.shell_call_command.",
        "response.apply_patch_call_operation_diff.",
    ];
    HEADS.iter().any(|head| kind.starts_with(head))
}
