//! Judging one JSON object on its own: what `doorward inspect` does with every line, and what the
//! examples beside the rules are run through.

use std::sync::Arc;

use crate::action::asset::classify_host;
use crate::action::shell::{self, Shell};
use crate::action::{
    Action, ActionKind, AssetClass, Capability, Door, Effect, Part, PartKind, Source, Target, ToolUse, tools,
};
use crate::decision::Decision;
use crate::engine::Engine;
use crate::session::Facts;
use crate::syntax::{Node, json};
use crate::url::{Host, authority};

/// The longest `id` that is echoed, in bytes.
const LONGEST_ID: usize = 1024;

/// Why a line could not be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is not one strict JSON value.
    #[error("not strict JSON: {0}")]
    Json(#[from] json::Fault),
    /// It is a JSON value, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// It is longer than this many bytes.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// A member is missing or of the wrong kind.
    #[error("`{0}` must be {1}")]
    Member(&'static str, &'static str),
    /// `kind` is none that is judged.
    #[error("`kind` must be one of command, tool_call, tool_result, outbound, url")]
    Kind,
    /// The text of a `tool_call` is not one.
    #[error("the text of a tool_call must be a JSON object with `name` and `arguments`: {0}")]
    Call(String),
}

/// A line's `id`, byte for byte as it stood there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(Box<[u8]>);

impl Id {
    /// The JSON value as it stood in the line.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Judges one line, alone: no session, every tool declared. Members that are not known are ignored.
///
/// # Errors
/// What is wrong with the line.
pub fn judge_line(engine: &Engine, line: &[u8]) -> Result<(Id, Decision), LineError> {
    let node = json::parse(line)?;
    if !node.is_object() {
        return Err(LineError::NotAnObject);
    }
    let id = match node.get("id") {
        None => b"null".as_slice(),
        Some(id) => id.span.of(line),
    };
    if id.len() > LONGEST_ID {
        return Err(LineError::Member("id", "at most 1024 bytes long"));
    }
    let kind = node.text("kind").ok_or(LineError::Member("kind", "text"))?;
    let text = node.text("text").ok_or(LineError::Member("text", "text"))?;
    let shell = match node.some("shell") {
        None => None,
        Some(word) => Some(word.as_str().ok_or(LineError::Member("shell", "sh, powershell or cmd"))?),
    };
    let action = action(kind, text, shell)?;
    Ok((Id(id.into()), engine.decide(&action, &Facts::default())))
}

/// The action that `text` is, read as `kind`.
///
/// # Errors
/// An unknown kind or shell, or a `tool_call` that is none.
pub fn action(kind: &str, text: &str, shell: Option<&str>) -> Result<Action, LineError> {
    let shell = match shell {
        None => None,
        Some("sh") => Some(Shell::Sh),
        Some("powershell") => Some(Shell::PowerShell),
        Some("cmd") => Some(Shell::Cmd),
        Some(_) => return Err(LineError::Member("shell", "sh, powershell or cmd")),
    };
    Ok(match kind {
        "command" => command(text, shell),
        "tool_call" => tool_call(text)?,
        "tool_result" => saying(ActionKind::ToolResult, PartKind::ToolResult, text),
        "outbound" => saying(ActionKind::Outbound, PartKind::Outbound, text),
        "url" => url(text),
        _ => return Err(LineError::Kind),
    })
}

fn empty(kind: ActionKind) -> Action {
    let nobody: Arc<str> = Arc::from("");
    Action { source: Source::Model, ..Action::new(Door::Library, kind, nobody.clone(), nobody) }
}

fn saying(kind: ActionKind, part: PartKind, text: &str) -> Action {
    let parts = vec![Part { kind: part, text: text.into() }];
    Action { parts, ..empty(kind) }
}

fn command(text: &str, shell: Option<Shell>) -> Action {
    let reading = shell::read(text, shell);
    Action {
        tool: Some(declared("shell")),
        effects: reading.effects,
        coverage: reading.coverage,
        ..saying(ActionKind::ToolCall, PartKind::Command, text)
    }
}

fn declared(name: &str) -> ToolUse {
    ToolUse { name: name.into(), declared: true, call_id: "".into() }
}

fn tool_call(text: &str) -> Result<Action, LineError> {
    let node = json::parse(text.as_bytes()).map_err(|fault| LineError::Call(fault.to_string()))?;
    let name = node.text("name").ok_or_else(|| LineError::Call("`name` is missing".into()))?;
    let mut action = Action { tool: Some(declared(name)), ..empty(ActionKind::ToolCall) };
    // The arguments as the text they are on the wire, and a tree over that text.
    let arguments = match node.get("arguments") {
        None => "{}".into(),
        Some(arguments) if arguments.is_object() => {
            String::from_utf8_lossy(arguments.span.of(text.as_bytes()))
        }
        Some(arguments) => match arguments.as_str() {
            Some(own) => own.into(),
            None => return Err(LineError::Call("`arguments` must be an object or text".into())),
        },
    };
    let tree = json::parse(arguments.as_bytes()).ok().filter(Node::is_object);
    tools::fill_call(&mut action, &arguments, tree.as_ref());
    Ok(action)
}

fn url(text: &str) -> Action {
    let asset = match authority(text) {
        Some(at) => match at.host {
            Host::Ip(ip) if ip.is_ipv6() => classify_host(&format!("[{ip}]")),
            host => classify_host(&host.to_string()),
        },
        None => AssetClass::Unknown,
    };
    let effect = Effect {
        capability: Capability::NetworkFetch,
        target: Target::Url(text.to_owned()),
        asset,
        from: Vec::new(),
        by: "url".to_owned(),
    };
    Action { effects: vec![effect], ..saying(ActionKind::Url, PartKind::Url, text) }
}

/// Appends the answer for a judged line, a line itself. `micros` is how long judging took.
pub fn write_answer(id: &Id, decision: &Decision, micros: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    out.extend_from_slice(id.as_bytes());
    member("verdict", decision.verdict.as_str(), out);
    out.extend_from_slice(format!(",\"risk\":{}", decision.risk).as_bytes());
    member("coverage", &decision.coverage.to_string(), out);
    out.extend_from_slice(b",\"reasons\":[");
    for (index, reason) in decision.reasons.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{\"rule\":" } else { b",{\"rule\":" });
        out.extend_from_slice(&json::quoted(&reason.rule));
        member("layer", reason.layer.as_str(), out);
        out.extend_from_slice(format!(",\"severity\":{}", reason.severity).as_bytes());
        member("message", &reason.message, out);
        out.push(b'}');
    }
    out.extend_from_slice(format!("],\"micros\":{micros}}}\n").as_bytes());
}

/// Appends the answer for a line that could not be judged; `line` counts from 1.
pub fn write_error(line: u64, error: &LineError, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{{\"id\":null,\"line\":{line}").as_bytes());
    member("error", &error.to_string(), out);
    out.extend_from_slice(b"}\n");
}

fn member(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b',');
    out.extend_from_slice(&json::quoted(name));
    out.push(b':');
    out.extend_from_slice(&json::quoted(value));
}
