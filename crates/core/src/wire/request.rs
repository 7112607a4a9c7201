//! What a request to a model says, in whichever protocol.

use std::collections::HashSet;

use super::toolset::Toolsets;
use crate::action::{Effect, Part, PartKind};
use crate::decision::Coverage;
use crate::syntax::Node;

/// The tools a request declares: only these may be called in the reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Their names, exactly as written.
    pub tools: HashSet<String>,
    /// Families of tools, declared by their types.
    pub toolsets: Toolsets,
    /// Whether the request asks for tools the provider runs itself.
    pub provider_tools: bool,
    /// How many choices the request asks for, where the protocol knows choices; 0 stands for 1.
    pub choices: u64,
    /// Whether the request that asked for the reply was not seen here: which tools it declared, nobody knows.
    pub unseen: bool,
    /// Whether the request asks for a stream from somewhere in its middle.
    pub resumed: bool,
}

impl Declared {
    /// What is known of the tools behind a reply that is fetched later: nothing.
    #[must_use]
    pub fn unseen() -> Self {
        Self { unseen: true, ..Self::default() }
    }

    /// Whether a call of `tool` is declared: of that name, or as a member of the toolset `family`.
    #[must_use]
    pub fn admits(&self, family: Option<&str>, tool: &str) -> bool {
        match family {
            Some(family) => self.toolsets.admit(family, tool),
            None => self.tools.contains(tool),
        }
    }
}

/// A request to a model, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The model asked for.
    pub model: String,
    /// Whether the reply is to be streamed.
    pub stream: bool,
    /// The tools declared.
    pub declared: Declared,
    /// Its content, block by block.
    pub parts: Vec<Part>,
    /// What it asks the provider to do by itself.
    pub effects: Vec<Effect>,
    /// Whether its reply is made later and fetched then: what it uses is not known when this request is answered.
    pub deferred: bool,
    /// What of it could be read.
    pub coverage: Coverage,
}

impl Request {
    /// Notes a declared tool and its definition.
    pub(super) fn declare(&mut self, name: &str, definition: &Node, source: &[u8]) {
        if !name.is_empty() {
            self.declared.tools.insert(name.to_owned());
        }
        let text = String::from_utf8_lossy(definition.span.of(source)).into_owned();
        self.parts.push(Part { kind: PartKind::ToolDefinition, text: text.into() });
    }

    /// Notes text of nobody in particular.
    pub(super) fn say(&mut self, text: &str) {
        self.parts.push(Part { kind: PartKind::UserText, text: text.into() });
    }

    /// Adds what another request says.
    pub(super) fn append(&mut self, other: Request) {
        if self.model.is_empty() {
            self.model = other.model;
        }
        self.parts.extend(other.parts);
        self.effects.extend(other.effects);
        self.declared.tools.extend(other.declared.tools);
        self.declared.toolsets.extend(other.declared.toolsets);
        self.declared.provider_tools |= other.declared.provider_tools;
        self.coverage = std::mem::take(&mut self.coverage).and(other.coverage);
    }

    /// Notes something that was not looked into.
    pub(super) fn unseen(&mut self, what: &str) {
        self.coverage = std::mem::take(&mut self.coverage).and(Coverage::Partial(what.to_owned()));
    }
}
