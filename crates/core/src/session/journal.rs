//! What a session has done: its events, and which literals it has seen where. A value the caller keeps with the session.
//!
//! Only what was forwarded stands here. What has begun and not ended is kept apart ([`super::story`]).

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::taint::{LONGEST_NAME, Mark, index_of};
use super::{Millis, Seq};
use crate::action::{AssetClass, Capability, Source};
use crate::detect::destination::{Class, Classes};

pub mod codec;
use codec::{Reader, Spoilt, Writer};

#[cfg(test)]
mod tests;

/// The most events kept of one session; the oldest go.
pub const MOST_EVENTS: usize = 1024;

/// The most artefacts of one event.
pub(super) const MOST_OF_EVENT: usize = 8;

/// The most hits of chains kept of one session; the oldest go.
const MOST_HITS: usize = 64;

/// The longest name of a chain, in bytes.
pub(super) const LONGEST_CHAIN: usize = 64;

/// How long the first day is: what a session does in it is no news later.
pub(super) const FIRST_DAY: Millis = 24 * 60 * 60 * 1000;

/// What a snapshot or a delta of a session begins with.
const KIND: u8 = b's';

/// What is true of an event besides what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Untrusted content shaped it, or came with it.
    pub const TAINTED: Self = Self(1);
    /// It is what a tool gave back.
    pub const RETURNED: Self = Self(2);
    /// The agent had never done the like.
    pub const NEW_CAPABILITY: Self = Self(4);
    /// The agent had never touched the like.
    pub const NEW_ASSET: Self = Self(8);
    /// The session had not done the like on its first day.
    pub const LATE: Self = Self(16);
    /// It is about a file that a build reads.
    pub const BUILD_FILE: Self = Self(32);
    /// It is about an archive.
    pub const ARCHIVE: Self = Self(64);
    /// It writes what was fetched from a place that nobody typed.
    pub const FETCHED: Self = Self(128);

    /// These and those.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These, if `so`.
    #[must_use]
    pub const fn when(self, so: bool) -> Self {
        if so { self } else { Self(0) }
    }

    /// Whether all of `other` are among these.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One thing that was done: an effect of an action, or what a tool gave back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Millis,
    /// Which of the actions that left something it belongs to, counted from 1.
    pub seq: Seq,
    /// What was done.
    pub capability: Capability,
    /// To what kind of thing.
    pub asset: AssetClass,
    /// Who caused it.
    pub source: Source,
    /// What else is true of it.
    pub flags: Flags,
    /// What kinds of place it may have led to; none if it led to no host.
    pub places: Classes,
    /// The program or tool that did it.
    pub by: Arc<str>,
    /// The call it belongs to, as a digest of its id; 0 if it has none.
    pub call: Mark,
    /// What it was about: the artefacts themselves, those that flowed in, and those it came from.
    pub marks: Vec<Mark>,
}

/// Events among the last of which one may share its program's name with another: a session uses few programs, and
/// looks no further back than this for the same.
const NAMES_SHARED: usize = 16;

/// Bytes that one event, one digest and one hit take at most in memory, allocations and the slack of queues included
/// (measured: 95 to 190, 20 to 40).
const OF_EVENT: usize = 192;
const OF_DIGEST: usize = 40;
const OF_HIT: usize = 256;

/// What is among some events, so that what is not need not be looked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Among {
    pub capabilities: u32,
    pub assets: u32,
    pub flags: Flags,
}

impl Among {
    /// With one more event.
    pub const fn with(self, event: &Event) -> Self {
        Self {
            capabilities: self.capabilities | 1 << event.capability as u32,
            assets: self.assets | 1 << event.asset as u32,
            flags: self.flags.or(event.flags),
        }
    }
}

/// A chain that was completed by an action that was forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The chain's id.
    pub chain: Box<str>,
    /// When.
    pub at: Millis,
    /// By which action.
    pub seq: Seq,
    /// How bad, 0 to 100.
    pub severity: u8,
    /// After how many milliseconds it counts half.
    pub half_life: Millis,
    /// The artefacts that made it.
    pub marks: Vec<Mark>,
}

impl Hit {
    /// How much of it is left at `now`, 0 to 100.
    #[must_use]
    pub fn risk(&self, now: Millis) -> u8 {
        let halves = now.saturating_sub(self.at) / self.half_life.max(1);
        self.severity.checked_shr(u32::try_from(halves).unwrap_or(u32::MAX)).unwrap_or(0)
    }
}

/// Which literals are remembered, and what of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// People typed them.
    Typed,
    /// They stood in content of this machine before anything untrusted had them.
    Clean,
    /// They were read where secrets are kept.
    Values,
    /// Parts of requests that were counted.
    Counted,
}

impl Set {
    const ALL: [Self; 4] = [Self::Typed, Self::Clean, Self::Values, Self::Counted];

    const fn most(self) -> usize {
        match self {
            Self::Typed | Self::Clean => 4096,
            Self::Values => 512,
            Self::Counted => 8192,
        }
    }
}

/// Digests, the last ones.
#[derive(Clone, Debug, Default)]
struct Digests {
    set: HashSet<Mark>,
    order: VecDeque<Mark>,
}

impl Digests {
    /// Adds one; returns how many went for it.
    fn add(&mut self, mark: Mark, most: usize) -> u64 {
        if !self.set.insert(mark) {
            return 0;
        }
        self.order.push_back(mark);
        if self.order.len() <= most {
            return 0;
        }
        let gone = self.order.pop_front();
        gone.map_or(0, |gone| u64::from(self.set.remove(&gone)))
    }
}

/// One change of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Event(Event),
    Digests(Set, Vec<Mark>),
    Hit(Hit),
    /// A person cleared it: events and hits go, what was typed and counted stays.
    Clear,
    /// Of a snapshot.
    Totals {
        began: Millis,
        next: Seq,
        first_day: u64,
        cleared: u64,
        dropped: u64,
    },
}

/// What a session has done.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    began: Millis,
    next: Seq,
    events: VecDeque<Event>,
    /// What is among the events, and perhaps among those that went.
    among: Among,
    digests: [Digests; 4],
    hits: VecDeque<Hit>,
    /// The capabilities of its first day, as bits.
    first_day: u64,
    cleared: u64,
    dropped: u64,
}

impl Journal {
    /// The journal of these bytes, which [`Journal::encode`] gave.
    ///
    /// # Errors
    /// If they are anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Spoilt> {
        let mut journal = Self::default();
        journal.replay(bytes)?;
        Ok(journal)
    }

    /// All of it, as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(KIND);
        for (set, digests) in Set::ALL.into_iter().zip(&self.digests) {
            for some in digests.order.iter().copied().collect::<Vec<_>>().chunks(MOST_AT_ONCE) {
                Change::Digests(set, some.to_vec()).write(&mut writer);
            }
        }
        self.events.iter().for_each(|event| Change::Event(event.clone()).write(&mut writer));
        self.hits.iter().for_each(|hit| Change::Hit(hit.clone()).write(&mut writer));
        let Self { began, next, first_day, cleared, dropped, .. } = *self;
        if next > 0 {
            Change::Totals { began, next, first_day, cleared, dropped }.write(&mut writer);
        }
        writer.finish()
    }

    /// Makes the changes of a delta. They have to come in the order in which [`super::end`] gave them.
    ///
    /// # Errors
    /// If the bytes are no delta of a session. What was read before stays.
    pub fn replay(&mut self, bytes: &[u8]) -> Result<(), Spoilt> {
        let mut reader = Reader::new(bytes, KIND)?;
        while !reader.is_empty() {
            let change = Change::read(&mut reader)?;
            self.apply(change);
        }
        Ok(())
    }

    /// When its first action was forwarded; 0 if none was.
    #[must_use]
    pub const fn began(&self) -> Millis {
        self.began
    }

    /// The number after that of the last action that left something here; 0 if none has.
    #[must_use]
    pub const fn next(&self) -> Seq {
        self.next
    }

    /// What was done, oldest first.
    #[must_use]
    pub const fn events(&self) -> &VecDeque<Event> {
        &self.events
    }

    /// The chains that were completed, oldest first.
    #[must_use]
    pub const fn hits(&self) -> &VecDeque<Hit> {
        &self.hits
    }

    /// What is left of its hits at `now`, 0 to 100: the worst of them.
    #[must_use]
    pub fn risk(&self, now: Millis) -> u8 {
        self.hits.iter().map(|hit| hit.risk(now)).max().unwrap_or(0)
    }

    /// How many bytes it takes in memory, about: never less than it does.
    #[must_use]
    pub fn weight(&self) -> usize {
        let digests: usize = self.digests.iter().map(|digests| digests.order.len()).sum();
        self.events.len() * OF_EVENT + digests * OF_DIGEST + self.hits.len() * OF_HIT
    }

    /// How many events, hits and digests went because there were too many.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether untrusted content was read in it.
    #[must_use]
    pub fn exposed(&self) -> bool {
        let both = Flags::RETURNED.or(Flags::TAINTED);
        self.among.flags.has(both) && self.events.iter().any(|event| event.flags.has(both))
    }

    /// Forgets what was done, as a person asks: chains begin anew. Returns the delta.
    pub fn clear(&mut self) -> Vec<u8> {
        self.make(vec![Change::Clear])
    }

    pub(super) const fn among(&self) -> Among {
        self.among
    }

    /// What was done by the call of this digest.
    pub(super) fn of_call(&self, call: Mark) -> impl Iterator<Item = &Event> {
        self.events.iter().rev().filter(move |event| call != 0 && event.call == call)
    }

    pub(super) fn has_any(&self, set: Set) -> bool {
        self.digests.get(set as usize).is_some_and(|digests| !digests.order.is_empty())
    }

    pub(super) fn has(&self, set: Set, mark: Mark) -> bool {
        self.digests.get(set as usize).is_some_and(|digests| digests.set.contains(&mark))
    }

    /// Whether the session, being older than a day, has not done the like on its first.
    pub(super) const fn is_late(&self, capability: Capability, now: Millis) -> bool {
        self.began > 0
            && now.saturating_sub(self.began) >= FIRST_DAY
            && self.first_day & (1 << capability as u64) == 0
    }

    /// Makes `changes` and returns them as a delta.
    pub(super) fn make(&mut self, changes: Vec<Change>) -> Vec<u8> {
        let mut writer = Writer::new(KIND);
        for change in changes {
            change.write(&mut writer);
            self.apply(change);
        }
        writer.finish()
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Event(mut event) => {
                let mut last = self.events.iter().rev().take(NAMES_SHARED);
                if let Some(same) = last.find(|other| other.by == event.by) {
                    event.by = Arc::clone(&same.by);
                }
                event.marks.shrink_to_fit();
                if self.began == 0 {
                    self.began = event.at.max(1);
                }
                if event.at.saturating_sub(self.began) < FIRST_DAY {
                    self.first_day |= 1 << event.capability as u64;
                }
                self.next = self.next.max(event.seq.saturating_add(1));
                self.among = self.among.with(&event);
                self.events.push_back(event);
                self.dropped += bound(&mut self.events, MOST_EVENTS);
            }
            Change::Digests(set, marks) => {
                let Some(digests) = self.digests.get_mut(set as usize) else { return };
                self.dropped += marks.iter().map(|mark| digests.add(*mark, set.most())).sum::<u64>();
            }
            Change::Hit(hit) => {
                self.hits.push_back(hit);
                self.dropped += bound(&mut self.hits, MOST_HITS);
            }
            Change::Clear => {
                self.events.clear();
                self.among = Among::default();
                self.hits.clear();
                self.cleared = self.cleared.saturating_add(1);
            }
            Change::Totals { began, next, first_day, cleared, dropped } => {
                (self.began, self.next, self.first_day) = (began, next, first_day);
                (self.cleared, self.dropped) = (cleared, dropped);
            }
        }
    }
}

/// How many digests one change adds.
pub(super) const MOST_AT_ONCE: usize = 4096;

/// Takes from the front what is too much; returns how many went.
fn bound<T>(queue: &mut VecDeque<T>, most: usize) -> u64 {
    let gone = queue.len().saturating_sub(most);
    queue.drain(..gone);
    gone as u64
}

impl Change {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Event(event) => {
                to.byte(1);
                to.number(event.at);
                to.number(event.seq);
                to.byte(index_of(&Capability::ALL, &event.capability));
                to.byte(index_of(&AssetClass::ALL, &event.asset));
                to.byte(index_of(&Source::ALL, &event.source));
                to.byte(event.flags.0);
                let places = Class::ALL.iter().enumerate();
                let met = places.filter(|(_, class)| event.places.meets(Classes::of(**class)));
                to.byte(met.fold(0, |bits, (at, _)| bits | 1 << at));
                to.text(&event.by);
                to.digest(event.call);
                to.digests(&event.marks);
            }
            Self::Digests(set, marks) => {
                to.byte(2);
                to.byte(*set as u8);
                to.digests(marks);
            }
            Self::Hit(hit) => {
                to.byte(3);
                to.text(&hit.chain);
                to.number(hit.at);
                to.number(hit.seq);
                to.byte(hit.severity);
                to.number(hit.half_life);
                to.digests(&hit.marks);
            }
            Self::Clear => to.byte(4),
            Self::Totals { began, next, first_day, cleared, dropped } => {
                to.byte(5);
                [began, next, first_day, cleared, dropped].into_iter().for_each(|n| to.number(*n));
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Spoilt> {
        Ok(match from.byte()? {
            1 => Self::Event(Event {
                at: from.number()?,
                seq: from.number()?,
                capability: from.choice(&Capability::ALL)?,
                asset: from.choice(&AssetClass::ALL)?,
                source: from.choice(&Source::ALL)?,
                flags: Flags(from.byte()?),
                places: {
                    let bits = from.small(31)?;
                    let met = Class::ALL.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
                    met.fold(Classes::NONE, |places, (_, class)| places.or(Classes::of(*class)))
                },
                by: from.text(LONGEST_NAME)?.into(),
                call: from.digest()?,
                marks: from.digests(MOST_OF_EVENT)?,
            }),
            2 => Self::Digests(from.choice(&Set::ALL)?, from.digests(MOST_AT_ONCE)?),
            3 => Self::Hit(Hit {
                chain: from.text(LONGEST_CHAIN)?.into(),
                at: from.number()?,
                seq: from.number()?,
                severity: from.byte()?.min(100),
                half_life: from.number()?,
                marks: from.digests(MOST_OF_EVENT)?,
            }),
            4 => Self::Clear,
            5 => Self::Totals {
                began: from.number()?,
                next: from.number()?,
                first_day: from.number()?,
                cleared: from.number()?,
                dropped: from.number()?,
            },
            _ => return Err(Spoilt("a change is not known")),
        })
    }
}
