//! What untrusted content has left in a workspace: artefacts (URLs, hosts, paths, command lines), each with what brought
//! it, since when and through which steps. A value the caller keeps, shared by all sessions of a workspace, that
//! outlives them.
//!
//! Artefacts are known by keyed digests: a dump of the value tells neither commands nor addresses. What a person is shown
//! is where an artefact came from, masked.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Millis;
use super::journal::codec::{Reader, Spoilt, Writer};
use crate::action::Source;

pub(super) mod common;

pub(super) mod literals;

mod lookup;
pub use lookup::{Looked, Step, id, parse_id};

mod masked;
pub(super) use masked::masked;

#[cfg(test)]
mod tests;

/// How long an artefact is known after it was last seen, unless a setting says otherwise: 30 days, in milliseconds.
pub const KEEP: Millis = 30 * 24 * 60 * 60 * 1000;

/// The most artefacts of one workspace; beyond it those go that were seen longest ago.
pub const MOST_MARKS: usize = 65_536;

/// The most agents remembered of one artefact.
const MOST_AGENTS: usize = 4;

/// The most artefacts named as those that another was made of.
pub(super) const MOST_PARENTS: usize = 4;

/// The longest name of a place, in bytes.
pub(super) const LONGEST_PLACE: usize = 256;

/// The longest name of a tool, in bytes.
pub(super) const LONGEST_NAME: usize = 32;

/// What a snapshot or a delta of a workspace begins with.
const KIND: u8 = b'w';

/// An artefact, by its keyed digest.
pub type Mark = u64;

/// What an artefact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A URL without its scheme.
    Url,
    /// A host.
    Host,
    /// A path that content names.
    Path,
    /// A command line that content gives.
    Command,
    /// A file fetched by itself from a URL that nobody typed.
    File,
    /// A directory that was cloned or unpacked, or into which packages were installed.
    Tree,
    /// A file written with text that content gave, word for word.
    Copy,
    /// A text as a whole.
    Text,
    /// A tool of a tool server.
    Tool,
    /// A value that was read where secrets are kept. Known within a session only.
    Value,
    /// An agent.
    Agent,
    /// A call, by its id. Known within a session only.
    Call,
}

impl Kind {
    /// Every kind, in the order of its number in snapshots.
    pub const ALL: [Self; 12] = [
        Self::Url,
        Self::Host,
        Self::Path,
        Self::Command,
        Self::File,
        Self::Tree,
        Self::Copy,
        Self::Text,
        Self::Tool,
        Self::Value,
        Self::Agent,
        Self::Call,
    ];

    /// The word in messages and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Host => "host",
            Self::Path => "path",
            Self::Command => "command",
            Self::File => "fetched file",
            Self::Tree => "foreign directory",
            Self::Copy => "copied file",
            Self::Text => "text",
            Self::Tool => "tool",
            Self::Value => "secret value",
            Self::Agent => "agent",
            Self::Call => "call",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The key of a workspace's digests.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// A key of these bytes; draw them at random and keep them: without them nothing is recognised.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        // A key shorter than the block is padded with zeros (RFC 2104, 2); padded here, it cannot be refused.
        let mut block = [0; 64];
        block.iter_mut().zip(key).for_each(|(to, from)| *to = from);
        Self(Hmac::new(&block.into()))
    }

    /// The digest of `text` as an artefact of this kind: eight bytes of an HMAC-SHA256.
    #[must_use]
    pub fn mark(&self, kind: Kind, text: &str) -> Mark {
        let mut mac = self.0.clone();
        mac.update(&[kind as u8]);
        mac.update(text.as_bytes());
        let full = mac.finalize().into_bytes();
        u64::from_be_bytes(full.first_chunk().copied().unwrap_or_default())
    }
}

/// Where artefacts came from: one thing that was read or fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its number within the workspace.
    pub id: u64,
    /// What kind of content it was.
    pub source: Source,
    /// The tool or program that brought it.
    pub by: Box<str>,
    /// The host or path it came from, masked; empty if nobody knows.
    pub place: Box<str>,
    /// The same as an artefact, so that events there can be found; 0 if there is none.
    pub at: Mark,
    /// When it was brought first.
    pub first: Millis,
    /// Of which artefacts it was made.
    pub parents: Vec<Mark>,
}

/// An artefact that untrusted content has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What it is.
    pub kind: Kind,
    /// Where it came from first.
    pub origin: Arc<Origin>,
    /// When it was seen first and last.
    pub first: Millis,
    /// When it was seen last.
    pub last: Millis,
    /// By which agents, as keyed digests; the first few.
    pub agents: Vec<Mark>,
}

/// One change of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Origin(Origin),
    Mark {
        mark: Mark,
        kind: Kind,
        origin: u64,
        at: Millis,
        agent: Mark,
    },
    /// Of a snapshot: everything about one artefact.
    Known {
        mark: Mark,
        kind: Kind,
        origin: u64,
        first: Millis,
        last: Millis,
        agents: Vec<Mark>,
    },
    /// It was seen again.
    Seen {
        mark: Mark,
        at: Millis,
        agent: Mark,
    },
    /// It is no longer what it was: a file that was written anew.
    Forget {
        mark: Mark,
    },
    /// Everything goes that was last seen before.
    Sweep {
        before: Millis,
    },
    /// Of a snapshot.
    Totals {
        next: u64,
        dropped: u64,
    },
}

/// What untrusted content has left in one workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    key: Key,
    marks: HashMap<Mark, Known>,
    /// Those seen longest ago first.
    order: BTreeSet<(Millis, Mark)>,
    origins: HashMap<u64, Arc<Origin>>,
    next: u64,
    dropped: u64,
}

impl Workspace {
    /// A workspace of which nothing is known.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self {
            key,
            marks: HashMap::new(),
            order: BTreeSet::new(),
            origins: HashMap::new(),
            next: 1,
            dropped: 0,
        }
    }

    /// The workspace of these bytes, which [`Workspace::encode`] gave.
    ///
    /// # Errors
    /// If they are anything else.
    pub fn decode(key: Key, bytes: &[u8]) -> Result<Self, Spoilt> {
        let mut workspace = Self::new(key);
        workspace.replay(bytes)?;
        Ok(workspace)
    }

    /// All of it, as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(KIND);
        // In the order of the artefacts, so that equal values have equal bytes.
        let mut told: BTreeSet<u64> = BTreeSet::new();
        for (_, mark) in &self.order {
            let Some(known) = self.marks.get(mark) else { continue };
            if told.insert(known.origin.id) {
                Change::Origin((*known.origin).clone()).write(&mut writer);
            }
            let Known { kind, origin, first, last, agents } = known.clone();
            Change::Known { mark: *mark, kind, origin: origin.id, first, last, agents }.write(&mut writer);
        }
        Change::Totals { next: self.next, dropped: self.dropped }.write(&mut writer);
        writer.finish()
    }

    /// Makes the changes of a delta. They have to come in the order in which [`super::end`] gave them.
    ///
    /// # Errors
    /// If the bytes are no delta of a workspace. What was read before stays.
    pub fn replay(&mut self, bytes: &[u8]) -> Result<(), Spoilt> {
        let mut reader = Reader::new(bytes, KIND)?;
        while !reader.is_empty() {
            let change = Change::read(&mut reader)?;
            self.apply(change)?;
        }
        Ok(())
    }

    /// The key of its digests.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// How many artefacts it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// How many artefacts went because there were too many, since the beginning.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What is known of an artefact.
    #[must_use]
    pub fn get(&self, mark: Mark) -> Option<&Known> {
        self.marks.get(&mark)
    }

    /// Forgets what was last seen more than `keep` before `now`. Returns how many artefacts went, and the delta.
    pub fn sweep(&mut self, now: Millis, keep: Millis) -> (usize, Vec<u8>) {
        self.change(Change::Sweep { before: now.saturating_sub(keep) })
    }

    /// Forgets one artefact, as a person asks. Returns how many went (none or one), and the delta.
    pub fn forget(&mut self, mark: Mark) -> (usize, Vec<u8>) {
        self.change(Change::Forget { mark })
    }

    fn change(&mut self, change: Change) -> (usize, Vec<u8>) {
        let before = self.marks.len();
        let mut writer = Writer::new(KIND);
        change.write(&mut writer);
        // These refer to nothing, so they cannot fail.
        let _ = self.apply(change);
        let gone = before.saturating_sub(self.marks.len());
        (gone, if gone > 0 { writer.finish() } else { Vec::new() })
    }

    /// The number of the next origin.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Makes `changes` and returns them as a delta.
    pub(super) fn make(&mut self, changes: Vec<Change>) -> Vec<u8> {
        let mut writer = Writer::new(KIND);
        for change in changes {
            change.write(&mut writer);
            // What was made here refers to what is here.
            let _ = self.apply(change);
        }
        writer.finish()
    }

    fn apply(&mut self, change: Change) -> Result<(), Spoilt> {
        match change {
            Change::Origin(origin) => {
                self.next = self.next.max(origin.id.saturating_add(1));
                self.origins.insert(origin.id, Arc::new(origin));
            }
            Change::Mark { mark, kind, origin, at, agent } => {
                if self.marks.contains_key(&mark) {
                    self.see(mark, at, agent);
                } else {
                    let origin = self.origin(origin)?;
                    let agents = if agent == 0 { Vec::new() } else { vec![agent] };
                    self.insert(mark, Known { kind, origin, first: at, last: at, agents });
                }
            }
            Change::Known { mark, kind, origin, first, last, agents } => {
                let origin = self.origin(origin)?;
                self.remove(mark);
                self.insert(mark, Known { kind, origin, first, last, agents });
            }
            Change::Seen { mark, at, agent } => self.see(mark, at, agent),
            Change::Forget { mark } => self.remove(mark),
            Change::Sweep { before } => {
                while let Some((last, mark)) = self.order.first().copied() {
                    if last >= before {
                        break;
                    }
                    self.remove(mark);
                }
                self.prune();
            }
            Change::Totals { next, dropped } => {
                (self.next, self.dropped) = (self.next.max(next), dropped);
                self.prune();
            }
        }
        Ok(())
    }

    fn origin(&self, id: u64) -> Result<Arc<Origin>, Spoilt> {
        self.origins.get(&id).cloned().ok_or(Spoilt("an artefact has no origin"))
    }

    fn see(&mut self, mark: Mark, at: Millis, agent: Mark) {
        let Some(known) = self.marks.get_mut(&mark) else { return };
        if agent != 0 && !known.agents.contains(&agent) && known.agents.len() < MOST_AGENTS {
            known.agents.push(agent);
        }
        if at > known.last {
            self.order.remove(&(known.last, mark));
            known.last = at;
            self.order.insert((at, mark));
        }
    }

    fn insert(&mut self, mark: Mark, known: Known) {
        self.order.insert((known.last, mark));
        self.marks.insert(mark, known);
        while self.marks.len() > MOST_MARKS {
            let Some((_, oldest)) = self.order.first().copied() else { break };
            self.remove(oldest);
            self.dropped = self.dropped.saturating_add(1);
        }
        if self.origins.len() > 2 * MOST_MARKS {
            self.prune();
        }
    }

    fn remove(&mut self, mark: Mark) {
        if let Some(known) = self.marks.remove(&mark) {
            self.order.remove(&(known.last, mark));
        }
    }

    /// Forgets origins of which nothing is left.
    fn prune(&mut self) {
        self.origins.retain(|_, origin| Arc::strong_count(origin) > 1);
    }
}

impl Change {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Origin(origin) => {
                to.byte(1);
                to.number(origin.id);
                to.byte(index_of(&Source::ALL, &origin.source));
                to.text(&origin.by);
                to.text(&origin.place);
                to.digest(origin.at);
                to.number(origin.first);
                to.digests(&origin.parents);
            }
            Self::Mark { mark, kind, origin, at, agent } => {
                to.byte(2);
                to.digest(*mark);
                to.byte(index_of(&Kind::ALL, kind));
                to.number(*origin);
                to.number(*at);
                to.digest(*agent);
            }
            Self::Known { mark, kind, origin, first, last, agents } => {
                to.byte(3);
                to.digest(*mark);
                to.byte(index_of(&Kind::ALL, kind));
                to.number(*origin);
                to.number(*first);
                to.number(*last);
                to.digests(agents);
            }
            Self::Seen { mark, at, agent } => {
                to.byte(4);
                to.digest(*mark);
                to.number(*at);
                to.digest(*agent);
            }
            Self::Forget { mark } => {
                to.byte(5);
                to.digest(*mark);
            }
            Self::Sweep { before } => {
                to.byte(6);
                to.number(*before);
            }
            Self::Totals { next, dropped } => {
                to.byte(7);
                to.number(*next);
                to.number(*dropped);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Spoilt> {
        Ok(match from.byte()? {
            1 => Self::Origin(Origin {
                id: from.number()?,
                source: from.choice(&Source::ALL)?,
                by: from.text(LONGEST_NAME)?.into(),
                place: from.text(LONGEST_PLACE)?.into(),
                at: from.digest()?,
                first: from.number()?,
                parents: from.digests(MOST_PARENTS)?,
            }),
            2 => Self::Mark {
                mark: from.digest()?,
                kind: from.choice(&Kind::ALL)?,
                origin: from.number()?,
                at: from.number()?,
                agent: from.digest()?,
            },
            3 => Self::Known {
                mark: from.digest()?,
                kind: from.choice(&Kind::ALL)?,
                origin: from.number()?,
                first: from.number()?,
                last: from.number()?,
                agents: from.digests(MOST_AGENTS)?,
            },
            4 => Self::Seen { mark: from.digest()?, at: from.number()?, agent: from.digest()? },
            5 => Self::Forget { mark: from.digest()? },
            6 => Self::Sweep { before: from.number()? },
            7 => Self::Totals { next: from.number()?, dropped: from.number()? },
            _ => return Err(Spoilt("a change is not known")),
        })
    }
}

/// Where `one` stands in `all`, as snapshots have it.
pub(super) fn index_of<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|other| other == one).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}
