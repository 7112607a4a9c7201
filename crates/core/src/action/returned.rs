//! What tools gave back, and the calls that asked for it.

use std::sync::Arc;

use super::shell::State;
use super::{Action, ActionKind, Door, Effect, ToolUse, tools};
use crate::syntax::json;

/// The most calls that one result is taken to answer.
pub const MOST_CALLS: usize = 4;

/// One part of a request that a tool gave back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Which part, by index.
    pub part: usize,
    /// The calls it may answer: one, unless ids repeat or the protocol links by name. Empty if the request does not
    /// hold the call.
    pub calls: Vec<Arc<Called>>,
    /// The id of the call as the result has it; empty if it has none.
    pub call_id: Arc<str>,
}

/// A call of an earlier reply, as a request repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// Its id on the wire, empty if it has none.
    pub id: Arc<str>,
    /// The tool's name, as [`ToolUse::name`] has it.
    pub name: Arc<str>,
    /// Its arguments: JSON text, or free text.
    pub arguments: Arc<str>,
    /// Whether they are free text.
    pub free: bool,
}

impl Called {
    /// The call as an action, read by itself: as if none had come before.
    #[must_use]
    pub fn action(&self) -> Action {
        let nobody: Arc<str> = Arc::from("");
        let mut action = Action::new(Door::Model, ActionKind::ToolCall, Arc::clone(&nobody), nobody);
        action.tool =
            Some(ToolUse { name: Arc::clone(&self.name), declared: true, call_id: Arc::clone(&self.id) });
        let tree = if self.free { None } else { json::parse(self.arguments.as_bytes()).ok() };
        action.before = State::default();
        tools::fill_call(&mut action, &self.arguments, tree.as_ref());
        action
    }

    /// What it would do, read by itself.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        self.action().effects
    }
}
