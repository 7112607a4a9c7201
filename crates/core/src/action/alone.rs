//! One action given as text, without anything around it: what `doorward inspect` judges, what the examples
//! beside the rules and the tests beside a policy are about.

use std::sync::Arc;

use super::asset::classify_url;
use super::request::Request;
use super::shell::{self, Shell};
use super::{Action, ActionKind, Capability, Door, Effect, Part, PartKind, Source, Target, ToolUse, tools};
use crate::syntax::{Node, json};

/// Why a text is no action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAction {
    /// `kind` is none that is judged.
    #[error("`kind` must be one of command, tool_call, tool_result, outbound, url")]
    Kind,
    /// No shell that is read.
    #[error("`shell` must be sh, powershell or cmd")]
    Shell,
    /// The text of a `tool_call` is not one.
    #[error("the text of a tool_call must be a JSON object with `name` and `arguments`: {0}")]
    Call(String),
}

/// The action that `text` is, read as `kind`.
///
/// # Errors
/// An unknown kind or shell, or a `tool_call` that is none.
pub fn read(kind: &str, text: &str, shell: Option<&str>) -> Result<Action, NoAction> {
    let shell = match shell {
        None => None,
        Some("sh") => Some(Shell::Sh),
        Some("powershell") => Some(Shell::PowerShell),
        Some("cmd") => Some(Shell::Cmd),
        Some(_) => return Err(NoAction::Shell),
    };
    Ok(match kind {
        "command" => command(text, shell),
        "tool_call" => tool_call(text)?,
        "tool_result" => saying(ActionKind::ToolResult, PartKind::ToolResult, text),
        "outbound" => saying(ActionKind::Outbound, PartKind::Outbound, text),
        "url" => url(text),
        _ => return Err(NoAction::Kind),
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
    let nothing = shell::State::default();
    let (reading, after) = shell::read_after(&nothing, text, shell);
    Action {
        tool: Some(declared("shell")),
        written: after.written_since(&nothing),
        effects: reading.effects,
        coverage: reading.coverage,
        ..saying(ActionKind::ToolCall, PartKind::Command, text)
    }
}

fn declared(name: &str) -> ToolUse {
    ToolUse { name: name.into(), declared: true, call_id: "".into() }
}

fn tool_call(text: &str) -> Result<Action, NoAction> {
    let node = json::parse(text.as_bytes()).map_err(|fault| NoAction::Call(fault.to_string()))?;
    let name = node.text("name").ok_or_else(|| NoAction::Call("`name` is missing".into()))?;
    let mut action = Action { tool: Some(declared(name)), ..empty(ActionKind::ToolCall) };
    // The arguments as the text they are on the wire, and a tree over that text.
    let arguments = match node.get("arguments") {
        None => "{}".into(),
        Some(arguments) if arguments.is_object() => {
            String::from_utf8_lossy(arguments.span.of(text.as_bytes()))
        }
        Some(arguments) => match arguments.as_str() {
            Some(own) => own.into(),
            None => return Err(NoAction::Call("`arguments` must be an object or text".into())),
        },
    };
    let tree = json::parse(arguments.as_bytes()).ok().filter(Node::is_object);
    tools::fill_call(&mut action, &arguments, tree.as_ref());
    Ok(action)
}

/// The action that `request` is.
#[must_use]
pub fn request(request: Request) -> Action {
    let effects = request.effects();
    let saying = saying(ActionKind::Url, PartKind::Url, request.url());
    Action { effects, request: Some(Arc::new(request)), ..saying }
}

fn url(text: &str) -> Action {
    let effect = Effect {
        capability: Capability::NetworkFetch,
        target: Target::Url(text.to_owned()),
        asset: classify_url(text),
        from: Vec::new(),
        by: "url".to_owned(),
    };
    Action { effects: vec![effect], ..saying(ActionKind::Url, PartKind::Url, text) }
}
