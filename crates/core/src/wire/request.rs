//! What a request to a model says, in whichever protocol.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::toolset::Toolsets;
use crate::action::returned::MOST_CALLS;
use crate::action::tools::Earlier;
use crate::action::{Called, Effect, Part, PartKind, Place, Returned};
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
    /// Which session it says it belongs to.
    pub session: Option<String>,
    /// The tools declared.
    pub declared: Declared,
    /// Its content, block by block.
    pub parts: Vec<Part>,
    /// Where in the body the parts stand that strangers wrote.
    pub places: Vec<Place>,
    /// The calls of earlier replies that it repeats, in their order, as far as they may leave something behind.
    pub earlier: Vec<Earlier>,
    /// Which parts tools gave back, and the calls those answer.
    pub returned: Vec<Returned>,
    /// What links those to these.
    pub links: Links,
    /// What it asks the provider to do by itself.
    pub effects: Vec<Effect>,
    /// Whether its reply is made later and fetched then: what it uses is not known when this request is answered.
    pub deferred: bool,
    /// What of it could be read.
    pub coverage: Coverage,
}

/// All calls that a request repeats, however long ago: how results find theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// In their order, each with how results name it.
    called: Vec<(Link, Arc<Called>)>,
    /// The call that what is read now answers.
    answering: Link,
    /// How many results are linked already.
    done: usize,
}

/// How a result names the call it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Link {
    /// It names none.
    #[default]
    None,
    Id(Arc<str>),
    /// By the name of its tool: the last of that name before it.
    Name(Arc<str>),
}

impl Link {
    /// By `id`, or by `name` if there is no id.
    pub(super) fn new(id: &str, name: &str) -> Self {
        match (id, name) {
            ("", "") => Self::None,
            ("", name) => Self::Name(name.into()),
            (id, _) => Self::Id(id.into()),
        }
    }
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
            self.returns();
        }
        self.parts.push(Part { kind, text: text.into() });
    }

    /// The next part is what a tool gave back.
    fn returns(&mut self) {
        let (part, mut calls) = (self.parts.len(), Vec::new());
        let call_id = match &self.links.answering {
            Link::Id(id) => Arc::clone(id),
            // By name it answers what was called before, and only that.
            Link::Name(_) => {
                let of_name =
                    self.links.called.iter().rev().filter(|(link, _)| *link == self.links.answering);
                calls.extend(of_name.take(MOST_CALLS).map(|(_, call)| Arc::clone(call)));
                Arc::from("")
            }
            Link::None => Arc::from(""),
        };
        self.returned.push(Returned { part, calls, call_id });
    }

    /// What `read` reads answers the call that `link` names.
    pub(super) fn answer(&mut self, link: Link, read: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.links.answering, link);
        read(self);
        self.links.answering = before;
    }

    /// Links what tools gave back to the calls that asked for it, now that all are known: a result may stand before
    /// its call.
    pub(super) fn link(mut self) -> Self {
        let mut by_id: HashMap<Arc<str>, Vec<Arc<Called>>> = HashMap::new();
        for (link, call) in &self.links.called {
            let Link::Id(id) = link else { continue };
            let calls = by_id.entry(Arc::clone(id)).or_default();
            if calls.len() < MOST_CALLS && !calls.contains(call) {
                calls.push(Arc::clone(call));
            }
        }
        for returned in self.returned.iter_mut().skip(self.links.done) {
            if let Some(calls) = by_id.get(&returned.call_id) {
                returned.calls.clone_from(calls);
            }
        }
        self.links.done = self.returned.len();
        self
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
    pub(super) fn repeat(&mut self, id: &str, name: &str, arguments: &str, free: bool) {
        let call = self.called(id, name, arguments, free);
        self.earlier.extend(Earlier::of(&call));
    }

    /// Notes a call that the provider ran itself.
    pub(super) fn called(&mut self, id: &str, name: &str, arguments: &str, free: bool) -> Arc<Called> {
        let call = Called { id: id.into(), name: name.into(), arguments: arguments.into(), free };
        let call = Arc::new(call);
        self.links.called.push((Link::new(id, name), Arc::clone(&call)));
        call
    }

    /// Notes what `read` reads as the result of a call of the provider, which stands beside it.
    pub(super) fn call_with_result(&mut self, name: &str, arguments: &str, read: impl FnOnce(&mut Self)) {
        let call = Called { id: "".into(), name: name.into(), arguments: arguments.into(), free: false };
        let from = self.returned.len();
        self.answer(Link::None, read);
        let call = Arc::new(call);
        self.returned.iter_mut().skip(from).for_each(|returned| returned.calls.push(Arc::clone(&call)));
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
        let moved = |returned: Returned| Returned { part: returned.part + before, ..returned };
        self.returned.extend(other.returned.into_iter().map(moved));
        self.links.done = self.returned.len();
        self.effects.extend(other.effects);
        self.declared.tools.extend(other.declared.tools);
        self.declared.toolsets.extend(other.declared.toolsets);
        self.session = self.session.take().or(other.session);
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
