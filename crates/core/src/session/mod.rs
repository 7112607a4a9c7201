//! What Doorward remembers between the actions of one session: a value the caller keeps.
//!
//! An action goes in, [`Facts`] come out. Facts are all the engine knows of the world besides the
//! action itself; it never looks anything up.

use std::borrow::Cow;
use std::sync::Arc;

use crate::action::{Action, Effect, Source};
use crate::decision::{Epoch, Replaced};

pub mod baseline;
pub use baseline::Baseline;

pub mod chains;

pub mod held;
pub use held::Held;

pub mod journal;
pub use journal::Journal;

mod memory;
use memory::Digest;
pub use memory::{Memory, Remembered};

pub mod name;
pub use name::Said;

pub mod story;
pub use story::{Ended, Story, World};

pub mod taint;
pub use taint::Workspace;

mod terms;
pub use terms::{Grant, Granted, Grants, SessionMode, Standing, Terms};

/// Milliseconds since the Unix epoch.
pub type Millis = u64;

/// How much is enforced: the weakest of what the process, the policy and the session say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Mode {
    /// Judged and recorded; body bytes are left alone. The kill switch still stops traffic.
    Monitor,
    /// Judged, recorded and enforced.
    #[default]
    Block,
}

impl Mode {
    /// The word in settings and receipts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Monitor => "monitor",
            Self::Block => "block",
        }
    }
}

/// Whether a person has stopped the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Kill {
    /// Nobody has.
    #[default]
    Running,
    /// This session is stopped.
    Session,
    /// Doorward stopped a session of this agent: it, and all that began later.
    Frozen,
    /// This agent is stopped.
    Agent,
    /// Everything is stopped.
    All,
}

/// What is known when judging. A value passed in, never looked up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// When.
    pub now: Millis,
    /// What is in force.
    pub epoch: Epoch,
    /// The effective mode.
    pub mode: Mode,
    /// The terms of the session.
    pub standing: Standing,
    /// The kill switch.
    pub kill: Kill,
    /// The action's effects with directories and variables resolved from the session's shell state, and with the
    /// operator's classes of what they are about;
    /// empty if nothing needed resolving.
    pub resolved: Vec<Effect>,
    /// For each part of the action that this session has judged before, what was found then.
    pub remembered: Vec<Option<Remembered>>,
    /// For each part of the action whose text was replaced in an earlier request, by what and why; empty if none was.
    pub replaced: Vec<Option<Replaced>>,
    /// Whether untrusted content shaped the action; `None` if nobody knows.
    pub tainted: Option<bool>,
    /// Who caused it, where the session knows better than the action itself.
    pub source: Option<Source>,
    /// What the session knows about it besides.
    pub story: Story,
    /// Where held content was to be written, in all sessions.
    pub held: Held,
}

impl Facts {
    /// Who caused `action`, as far as anybody knows.
    #[must_use]
    pub fn source_of(&self, action: &Action) -> Source {
        self.source.unwrap_or(action.source)
    }

    /// `action` with the effects that it was judged by.
    #[must_use]
    pub fn judged<'a>(&self, action: &'a Action) -> Cow<'a, Action> {
        if self.resolved.is_empty() {
            return Cow::Borrowed(action);
        }
        Cow::Owned(Action { effects: self.resolved.clone(), ..action.clone() })
    }
}

/// Number of an action within its session.
pub type Seq = u64;

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was forwarded whole.
    Forwarded,
    /// It was blocked: no chain and no baseline comes of it.
    Blocked,
}

/// A session's state: kept by the caller, one per session, never shared between sessions.
#[derive(Debug)]
pub struct State {
    next: Seq,
    pending: Vec<story::Pending>,
    memory: Memory,
    journal: Journal,
}

impl State {
    /// A fresh session. `key` keys the digests under which content blocks are remembered, so that a
    /// dump of the memory tells nothing about what was said; draw it at random.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self::resume(key, Journal::default())
    }

    /// A session that goes on with what it has done. With another `key` than before, blocks that were judged are judged
    /// again, and what was counted is counted again.
    #[must_use]
    pub fn resume(key: [u8; 32], journal: Journal) -> Self {
        Self { next: journal.next().max(1), pending: Vec::new(), memory: Memory::new(key), journal }
    }

    /// What it has done.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Lets go of what it has done, while somebody else keeps it: until [`Self::wake`] it knows of nothing. Which blocks it
    /// has judged it still knows.
    pub fn sleep(&mut self) {
        self.journal = Journal::default();
    }

    /// Goes on with what it has done.
    pub fn wake(&mut self, journal: Journal) {
        self.next = self.next.max(journal.next());
        self.journal = journal;
    }

    /// Forgets what it has done, as a person asks; returns the delta.
    pub fn clear(&mut self) -> Vec<u8> {
        self.journal.clear()
    }

    /// Forgets that action `seq` ever began.
    pub fn forget(&mut self, seq: Seq) {
        self.pending.retain(|pending| pending.seq != seq);
    }

    /// How many blocks are remembered as judged.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.memory.len()
    }

    /// Forgets which blocks were judged: they will be judged again.
    pub fn forget_blocks(&mut self) {
        self.memory.clear();
    }

    /// How many actions have begun and not ended.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }
}

/// What is in force outside the session when an action begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// The time.
    pub millis: Millis,
    /// Revisions in force.
    pub epoch: Epoch,
    /// What process and policy say of how much is enforced.
    pub mode: Mode,
    /// The terms of the session.
    pub standing: Standing,
    /// The kill switch for this agent.
    pub kill: Kill,
}

/// Registers `action` as pending, so that siblings can see it, and returns what is known.
pub fn begin(state: &mut State, action: &Action, now: Now, world: &World<'_>) -> (Seq, Facts) {
    let seq = state.next;
    state.next += 1;
    let digests = state.memory.digests(action);
    let remembered = state.memory.recall(&digests, now.epoch.policy);
    let short = |digest: &Digest| u64::from_be_bytes(digest.first_chunk().copied().unwrap_or_default());
    let parts: Vec<_> = digests.iter().map(short).collect();
    let when = (seq, now.millis);
    let resolved = (world.own)(action).unwrap_or_default();
    let own = (!resolved.is_empty()).then(|| Action { effects: resolved.clone(), ..action.clone() });
    let action = own.as_ref().unwrap_or(action);
    let (story, source, tainted, left) =
        story::begin(&state.journal, &state.pending, when, action, &parts, world);
    state.pending.push(left);
    let facts = Facts {
        now: now.millis,
        epoch: now.epoch,
        mode: now.standing.mode.weaken(now.mode),
        standing: now.standing,
        kill: now.kill,
        resolved,
        remembered,
        replaced: Vec::new(),
        tainted,
        source,
        story,
        held: Held::default(),
    };
    (seq, facts)
}

/// Closes action `seq`, which was judged with `facts`. `found` are the verdicts of the parts that were judged now
/// (index, what was found), which later actions of the session will not judge again under the same policy.
///
/// What a forwarded action leaves in the session, the `workspace` and its agent's `baseline` is returned for the caller
/// to keep, in the order of the calls.
pub fn end(
    state: &mut State,
    seq: Seq,
    ending: Ending,
    (action, facts): (&Action, &Facts),
    found: &[(usize, Remembered)],
    (workspace, baseline): (&mut Workspace, &mut Baseline),
) -> Ended {
    let left = state.pending.iter().position(|pending| pending.seq == seq).map(|at| state.pending.remove(at));
    // A block that did not pass was still judged: the client will send it again.
    state.memory.remember(action, facts.epoch.policy, found);
    match (ending, left) {
        (Ending::Forwarded, Some(left)) => {
            story::end(&mut state.journal, left, facts.now, workspace, baseline)
        }
        _ => Ended::default(),
    }
}

/// The name of an agent or session in messages.
pub type Name = Arc<str>;
