//! Sessions of coding agents: what was typed, what the model called, and what the agent gave back.
//!
//! Those in `crates/testkit/sessions` are recorded by `e2e/agents/record.py` from published agents that did real work in
//! small projects; each says in `live` and `scripted` which of its programs were the real ones.

mod told;
mod vary;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

pub use vary::varied;

/// One session.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Its name, unlike any other's.
    pub name: String,
    /// The agent, as the recorder names it.
    pub agent: String,
    /// What it spoke: `messages`, `chat`, `responses` or `gemini`.
    pub dialect: String,
    /// The names of the tools that it declared.
    pub tools: Vec<String>,
    /// The turns, the oldest first.
    pub turns: Vec<Turn>,
}

/// What the model says after what came before it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Turn {
    /// What a person typed before it; empty if nobody did.
    pub typed: String,
    /// What the model says.
    pub say: String,
    /// What it calls.
    pub calls: Vec<Call>,
}

/// One call and what came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The tool's name.
    pub tool: String,
    /// Its arguments; text for a custom tool.
    pub arguments: Value,
    /// What the agent gave back.
    pub result: String,
}

impl Session {
    /// Reads a recording. `None` if it is none.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let word = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
        let tools = value.get("tools")?.as_array()?;
        Some(Self {
            name: word("name")?,
            agent: word("agent")?,
            dialect: word("dialect")?,
            tools: tools.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
            turns: turns(value.get("turns")?)?,
        })
    }

    /// How many calls it has.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.turns.iter().map(|turn| turn.calls.len()).sum()
    }
}

/// The recorded sessions, by name. Those that cannot be read are missing.
#[must_use]
pub fn recorded() -> Vec<Session> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sessions");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let mut sessions: Vec<Session> = texts.filter_map(|text| Session::read(&text)).collect();
    sessions.sort_by(|one, other| one.name.cmp(&other.name));
    sessions
}

/// Reads turns. `None` if they are none.
pub(crate) fn turns(value: &Value) -> Option<Vec<Turn>> {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let call = |call: &Value| {
        let tool = call.get("tool")?.as_str()?.to_owned();
        Some(Call { tool, arguments: call.get("arguments")?.clone(), result: text(call, "result") })
    };
    let turn = |turn: &Value| {
        let calls = turn.get("calls").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let calls = calls.iter().map(call).collect::<Option<Vec<_>>>()?;
        Some(Turn { typed: text(turn, "typed"), say: text(turn, "say"), calls })
    };
    value.as_array()?.iter().map(turn).collect()
}

impl Call {
    /// A call that gave this back.
    #[must_use]
    pub fn new(tool: &str, arguments: Value, result: &str) -> Self {
        Self { tool: tool.to_owned(), arguments, result: result.to_owned() }
    }

    /// The arguments as a model writes them: an object, or the text of a custom call.
    #[must_use]
    pub fn written(&self) -> String {
        self.arguments.as_str().map_or_else(|| self.arguments.to_string(), str::to_owned)
    }

    /// A command by a tool that takes it as `command`.
    #[must_use]
    pub fn command(tool: &str, line: &str, result: &str) -> Self {
        Self::new(tool, json!({ "command": line }), result)
    }
}
