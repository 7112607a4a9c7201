//! What Doorward remembers between the actions of one session: a value the caller keeps.
//!
//! An action goes in, [`Facts`] come out. Facts are all the engine knows of the world besides the
//! action itself; it never looks anything up.

use std::sync::Arc;

use crate::action::{Action, Effect};
use crate::decision::{Epoch, Replaced};

mod memory;
pub use memory::{Memory, Remembered};

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
    /// The kill switch.
    pub kill: Kill,
    /// The action's effects with directories and variables resolved from the session's shell state;
    /// empty if nothing needed resolving.
    pub resolved: Vec<Effect>,
    /// For each part of the action that this session has judged before, what was found then.
    pub remembered: Vec<Option<Remembered>>,
    /// For each part of the action whose text was replaced in an earlier request, by what and why; empty if none was.
    pub replaced: Vec<Option<Replaced>>,
    /// Whether untrusted content shaped the action; `None` if nobody knows.
    pub tainted: Option<bool>,
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
    pending: Vec<Seq>,
    memory: Memory,
}

impl State {
    /// A fresh session. `key` keys the digests under which content blocks are remembered, so that a
    /// dump of the memory tells nothing about what was said; draw it at random.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { next: 1, pending: Vec::new(), memory: Memory::new(key) }
    }

    /// Forgets that action `seq` ever began.
    pub fn forget(&mut self, seq: Seq) {
        self.pending.retain(|pending| *pending != seq);
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
    /// The effective mode.
    pub mode: Mode,
    /// The kill switch for this agent.
    pub kill: Kill,
}

/// Registers `action` as pending, so that siblings can see it, and returns what is known.
pub fn begin(state: &mut State, action: &Action, now: Now) -> (Seq, Facts) {
    let seq = state.next;
    state.next += 1;
    state.pending.push(seq);
    let remembered = state.memory.recall(action, now.epoch.policy);
    let facts = Facts {
        now: now.millis,
        epoch: now.epoch,
        mode: now.mode,
        kill: now.kill,
        resolved: Vec::new(),
        remembered,
        replaced: Vec::new(),
        tainted: None,
    };
    (seq, facts)
}

/// Closes action `seq`, which was judged with `facts`. `found` are the verdicts of the parts that were judged now
/// (index, what was found), which later actions of the session will not judge again under the same policy.
pub fn end(
    state: &mut State,
    seq: Seq,
    ending: Ending,
    action: &Action,
    facts: &Facts,
    found: &[(usize, Remembered)],
) {
    state.forget(seq);
    // A block that did not pass was still judged: the client will send it again.
    let _ = ending;
    state.memory.remember(action, facts.epoch.policy, found);
}

/// The name of an agent or session in messages.
pub type Name = Arc<str>;
