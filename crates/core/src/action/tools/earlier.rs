//! Calls made before, as a conversation repeats them, and what they have left behind.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::super::shell::State;
use super::super::{Action, ActionKind, Called, Capability, Door, ToolUse};
use super::{capability_of, fill_as, inert};
use crate::syntax::json;

/// A call of an earlier reply that reached the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// The tool's name, as [`ToolUse::name`] has it.
    pub name: Arc<str>,
    /// Its arguments: JSON text, or free text.
    pub arguments: Arc<str>,
    /// Whether they are free text.
    pub free: bool,
}

/// Names a sequence of calls: the same for the same calls in the same order.
pub type Chain = [u8; 16];

impl Earlier {
    /// The call, if it may leave something behind for later ones; those that only look do not.
    #[must_use]
    pub fn new(name: &str, arguments: &str, free: bool) -> Option<Self> {
        let looks = matches!(
            capability_of(name),
            Capability::ReadFile | Capability::NetworkFetch | Capability::BrowserNavigate
        );
        (!looks && !inert(name)).then(|| Self { name: name.into(), arguments: arguments.into(), free })
    }

    /// The same of a call as a request repeats it, without a copy of its arguments.
    #[must_use]
    pub fn of(call: &Called) -> Option<Self> {
        let earlier = Self::new(&call.name, "", call.free)?;
        Some(Self { name: Arc::clone(&call.name), arguments: Arc::clone(&call.arguments), ..earlier })
    }

    /// The chain that goes on from `before` with this call.
    #[must_use]
    pub fn link(&self, before: &Chain) -> Chain {
        let mut hash = Sha256::new();
        hash.update(before);
        for text in [&self.name, &self.arguments] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        hash.update([u8::from(self.free)]);
        let digest: [u8; 32] = hash.finalize().into();
        digest.first_chunk().copied().unwrap_or_default()
    }

    /// What is left when the call has been made after what left `before`.
    #[must_use]
    pub fn after(&self, before: &State) -> State {
        let nobody: Arc<str> = Arc::from("");
        let mut action = Action::new(Door::Model, ActionKind::ToolCall, nobody.clone(), nobody.clone());
        action.tool = Some(ToolUse { name: Arc::clone(&self.name), declared: true, call_id: nobody });
        action.before = before.clone();
        let tree = if self.free { None } else { json::parse(self.arguments.as_bytes()).ok() };
        if tree.is_none() && !self.free {
            // No client could have made it.
            return before.clone();
        }
        let mut state = before.clone();
        fill_as(&mut action, &self.name, &self.arguments, tree.as_ref(), &mut state);
        state
    }
}
