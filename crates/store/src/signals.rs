//! What moved: revisions that the data plane awaits and the control plane bumps.
//!
//! A revision says only *that* something changed since one last looked. The kill switch also carries its
//! value, readable without a lock, because every single permit asks for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use doorward_core::decision::Epoch;
use tokio::sync::watch;

use crate::kill::{KillSet, Stops};

/// What can move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// The kill switch.
    Kill,
    /// The policy in force.
    Policy,
    /// The signing key.
    Key,
    /// An answer of a person to a held action.
    Approval,
    /// A pinned tool definition.
    Pin,
}

/// The revisions of this process, all starting at 1. They order nothing across restarts.
#[derive(Debug)]
pub struct Signals {
    kill: Channel,
    policy: Channel,
    key: Channel,
    approval: Channel,
    pin: Channel,
    kill_state: ArcSwap<KillSet>,
    /// Held while the kill state is replaced: act and file may change at the same moment.
    killing: Mutex<()>,
}

/// One revision: awaited through the channel, read without its lock.
#[derive(Debug)]
struct Channel {
    sender: watch::Sender<u64>,
    now: AtomicU64,
}

impl Channel {
    fn new() -> Self {
        Self { sender: watch::Sender::new(1), now: AtomicU64::new(1) }
    }

    fn get(&self) -> u64 {
        self.now.load(Ordering::Acquire)
    }

    /// The number moves before anybody is woken, and under the channel's lock: two changes cannot end
    /// with the older number.
    fn change(&self, change: impl FnOnce(u64) -> u64) -> u64 {
        let mut now = 0;
        self.sender.send_modify(|revision| {
            now = change(*revision);
            *revision = now;
            self.now.store(now, Ordering::Release);
        });
        now
    }
}

impl Default for Signals {
    fn default() -> Self {
        let channel = Channel::new;
        Self {
            kill: channel(),
            policy: channel(),
            key: channel(),
            approval: channel(),
            pin: channel(),
            kill_state: ArcSwap::from_pointee(KillSet { revision: 1, ..KillSet::default() }),
            killing: Mutex::new(()),
        }
    }
}

impl Signals {
    const fn channel(&self, signal: Signal) -> &Channel {
        match signal {
            Signal::Kill => &self.kill,
            Signal::Policy => &self.policy,
            Signal::Key => &self.key,
            Signal::Approval => &self.approval,
            Signal::Pin => &self.pin,
        }
    }

    /// A receiver that wakes whenever `signal` moves; its value is the revision.
    #[must_use]
    pub fn subscribe(&self, signal: Signal) -> watch::Receiver<u64> {
        self.channel(signal).sender.subscribe()
    }

    /// The revision of `signal`. Never blocks.
    #[must_use]
    pub fn revision(&self, signal: Signal) -> u64 {
        self.channel(signal).get()
    }

    /// Says that `signal` moved; returns its new revision. For [`Signal::Kill`] this wakes everybody
    /// without changing what is stopped.
    pub fn bump(&self, signal: Signal) -> u64 {
        if signal == Signal::Kill {
            return self.change_kill(|_| true).revision;
        }
        self.channel(signal).change(|revision| revision + 1)
    }

    /// What is in force, for a decision and for comparing with one before its bytes go. Never blocks.
    ///
    /// The kill revision comes from the kill state itself, so a state and an epoch read from it agree;
    /// who needs both should use [`KillSet::revision`] of one loaded state.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch {
            kill: self.kill_state.load().revision,
            policy: self.revision(Signal::Policy),
            key: self.revision(Signal::Key),
        }
    }

    /// The kill switch as it stands. Never blocks. Keep the guard short; for longer, [`Self::kill_set`].
    #[must_use]
    pub fn kill_state(&self) -> Guard<Arc<KillSet>> {
        self.kill_state.load()
    }

    /// The kill switch as it stands, to keep.
    #[must_use]
    pub fn kill_set(&self) -> Arc<KillSet> {
        self.kill_state.load_full()
    }

    /// Whether `agent` may not do anything at this moment.
    #[must_use]
    pub fn is_killed(&self, agent: &str) -> bool {
        self.kill_state.load().is_killed(agent)
    }

    pub(crate) fn set_kill_acts(&self, change: impl FnOnce(&mut Stops)) -> Arc<KillSet> {
        self.change_kill(|set| {
            let before = set.acts.clone();
            change(&mut set.acts);
            set.acts != before
        })
    }

    pub(crate) fn set_kill_file(&self, file: Stops) -> Arc<KillSet> {
        self.change_kill(|set| std::mem::replace(&mut set.file, file) != set.file)
    }

    /// Replaces the state if `change` says that it did something. The state is stored before the
    /// revision is sent: whoever is woken reads the new one.
    fn change_kill(&self, change: impl FnOnce(&mut KillSet) -> bool) -> Arc<KillSet> {
        let _killing = self.killing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = KillSet::clone(&self.kill_state.load());
        if !change(&mut next) {
            return self.kill_set();
        }
        next.revision += 1;
        let (next, revision) = (Arc::new(next.clone()), next.revision);
        self.kill_state.store(Arc::clone(&next));
        self.kill.change(|_| revision);
        next
    }
}
