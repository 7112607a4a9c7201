//! What a request to a model says, in whichever protocol.

use std::collections::HashSet;

use super::toolset::Toolsets;
use crate::action::tools::Earlier;
use crate::action::{Effect, Part, PartKind, Place};
use crate::decision::Coverage;
use crate::syntax::{Node, Span};

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
    /// Where in the body the parts stand that strangers wrote.
    pub places: Vec<Place>,
    /// The calls of earlier replies that it repeats, in their order.
    pub earlier: Vec<Earlier>,
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
        let part = self.parts.len();
        descriptions(definition, &mut |span| self.places.push(Place { part, span }));
        self.parts.push(Part { kind: PartKind::ToolDefinition, text: text.into() });
    }

    /// Notes a text that stands at `span`.
    pub(super) fn say(&mut self, kind: PartKind, text: &str, span: Span) {
        if kind == PartKind::ToolResult {
            self.places.push(Place { part: self.parts.len(), span });
        }
        self.parts.push(Part { kind, text: text.into() });
    }

    /// Notes the text that `node` is.
    pub(super) fn say_node(&mut self, kind: PartKind, node: &Node) {
        self.say(kind, node.as_str().unwrap_or_default(), node.span);
    }

    /// Notes every text in `node`.
    pub(super) fn say_all(&mut self, kind: PartKind, node: &Node) {
        node.each_string(&mut |text, span| self.say(kind, text, span));
    }

    /// Notes every text in these members of `node`, which stand beside the conversation.
    pub(super) fn say_members(&mut self, kind: PartKind, node: &Node, keys: &[&str]) {
        keys.iter().filter_map(|key| node.some(key)).for_each(|member| self.say_all(kind, member));
    }

    /// Notes a call of an earlier reply.
    pub(super) fn repeat(&mut self, name: &str, arguments: &str, free: bool) {
        self.earlier.extend(Earlier::new(name, arguments, free));
    }

    /// Adds what another request says.
    pub(super) fn append(&mut self, other: Request) {
        if self.model.is_empty() {
            self.model = other.model;
        }
        let before = self.parts.len();
        self.parts.extend(other.parts);
        let moved = |place: Place| Place { part: place.part + before, ..place };
        self.places.extend(other.places.into_iter().map(moved));
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

/// Where the descriptions of a tool's definition stand: its own and those of its arguments.
fn descriptions(node: &Node, visit: &mut dyn FnMut(Span)) {
    node.elements().iter().for_each(|one| descriptions(one, visit));
    for member in node.members() {
        match member.value.as_str() {
            Some(_) if &*member.key == "description" => visit(member.value.span),
            Some(_) => {}
            None => descriptions(&member.value, visit),
        }
    }
}
