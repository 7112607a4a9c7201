//! What is known of one content, beside the content.

use doorward_core::session::Millis;
use doorward_core::syntax::hex;
use doorward_core::syntax::{Node, json};

use super::{MOST_PLACES, digest_of};
use crate::retention::{Hold, Whose};

/// What became of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is held.
    Held,
    /// A person has released it.
    Released,
    /// A person had it destroyed.
    Purged,
    /// It was too large, or there was no room.
    NotKept,
}

impl State {
    const ALL: [Self; 4] = [Self::Held, Self::Released, Self::Purged, Self::NotKept];

    /// The word for people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Released => "released",
            Self::Purged => "purged",
            Self::NotKept => "not kept",
        }
    }
}

/// Where a content was to go, when, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The path; empty if it was to go elsewhere.
    pub path: String,
    /// When.
    pub time: Millis,
    /// The agent.
    pub agent: String,
    /// Its session.
    pub session: String,
    /// The tool.
    pub tool: String,
    /// The rule that held it.
    pub rule: String,
    /// The receipt of that decision; empty if it was never recorded.
    pub receipt: String,
}

/// An act of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What: `release`, `purge`.
    pub act: String,
    /// When.
    pub time: Millis,
    /// By whom.
    pub by: String,
    /// To which path it was released; empty if it was not.
    pub to: String,
}

/// One content in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its SHA-256.
    pub digest: [u8; 32],
    /// How many bytes it has.
    pub size: u64,
    /// What it is, by its bytes.
    pub kind: String,
    /// What became of it.
    pub state: State,
    /// Whether its content was destroyed.
    pub purged: bool,
    /// Where it was to go, the oldest first.
    pub places: Vec<Place>,
    /// How many places there were before those.
    pub more: u64,
    /// What people did about it, the oldest first.
    pub done: Vec<Done>,
}

impl Item {
    /// Its digest in hexadecimal digits.
    #[must_use]
    pub fn name(&self) -> String {
        hex(&self.digest)
    }

    /// Whether its content is kept.
    #[must_use]
    pub const fn has_content(&self) -> bool {
        !self.purged && matches!(self.state, State::Held | State::Released)
    }

    /// When it was last to be written.
    #[must_use]
    pub fn last(&self) -> Millis {
        self.places.iter().map(|place| place.time).max().unwrap_or(0)
    }

    /// Whether a person keeps it from being destroyed.
    pub(super) fn is_held(&self, holds: &[Hold]) -> bool {
        self.places.iter().any(|place| place.is_held(holds))
    }

    /// One more place; the same of the same agent counts once.
    pub(super) fn add(&mut self, place: Place) {
        self.places.retain(|own| (&own.path, &own.agent) != (&place.path, &place.agent));
        self.places.push(place);
        let beyond = self.places.len().saturating_sub(MOST_PLACES);
        self.places.drain(..beyond);
        self.more += beyond as u64;
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let places: Vec<String> = self.places.iter().map(Place::encode).collect();
        let done: Vec<String> = self.done.iter().map(Done::encode).collect();
        format!(
            "{{\"v\":\"1\",\"digest\":\"{}\",\"size\":{},\"kind\":{},\"state\":\"{}\",\"purged\":{},\
             \"more\":{},\"places\":[{}],\"done\":[{}]}}",
            self.name(),
            self.size,
            text(&self.kind),
            self.state.as_str(),
            self.purged,
            self.more,
            places.join(","),
            done.join(",")
        )
        .into_bytes()
    }

    pub(super) fn decode(encoded: &[u8]) -> Option<Self> {
        let node = json::parse(encoded).ok()?;
        let word = node.text("state")?;
        Some(Self {
            digest: digest_of(node.text("digest")?)?,
            size: node.get("size")?.as_u64()?,
            kind: node.text("kind")?.to_owned(),
            state: State::ALL.into_iter().find(|state| state.as_str() == word)?,
            purged: node.get("purged")?.as_bool()?,
            more: node.get("more")?.as_u64()?,
            places: node.get("places")?.elements().iter().map(Place::decode).collect::<Option<_>>()?,
            done: node.get("done")?.elements().iter().map(Done::decode).collect::<Option<_>>()?,
        })
    }
}

impl Place {
    /// Whether a person keeps it from being destroyed. With which key it came nobody knows here.
    pub(super) fn is_held(&self, holds: &[Hold]) -> bool {
        let (agent, session) = (Some(self.agent.as_str()), Some(self.session.as_str()));
        holds.iter().any(|hold| hold.covers(&Whose { time: self.time, agent, session, key: None }))
    }

    fn encode(&self) -> String {
        let Self { path, time, agent, session, tool, rule, receipt } = self;
        let texts = [path, agent, session, tool, rule, receipt].map(|one| text(one)).join(",");
        format!("[{time},{texts}]")
    }

    fn decode(node: &Node) -> Option<Self> {
        let [time, path, agent, session, tool, rule, receipt] = node.elements() else { return None };
        let text = |node: &Node| node.as_str().map(str::to_owned);
        Some(Self {
            path: text(path)?,
            time: time.as_u64()?,
            agent: text(agent)?,
            session: text(session)?,
            tool: text(tool)?,
            rule: text(rule)?,
            receipt: text(receipt)?,
        })
    }
}

impl Done {
    fn encode(&self) -> String {
        format!("[{},{}]", self.time, [&self.act, &self.by, &self.to].map(|one| text(one)).join(","))
    }

    fn decode(node: &Node) -> Option<Self> {
        let [time, act, by, to] = node.elements() else { return None };
        let text = |node: &Node| node.as_str().map(str::to_owned);
        Some(Self { act: text(act)?, time: time.as_u64()?, by: text(by)?, to: text(to)? })
    }
}

fn text(text: &str) -> String {
    String::from_utf8_lossy(&json::quoted(text)).into_owned()
}
