//! What sessions have done lies in memory while they are in use. Of those that are not, as much stays as fits into
//! [`AWAKE`]; the rest is put away, used longest ago first, and read from the store when a session is used again.
//!
//! Whoever holds a session keeps it awake: only what nobody but the map of all holds is put away, under the lock of that
//! map. So what [`Sessions::wake`] has woken stays awake until its caller is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_core::session::Journal;
use doorward_store::{Owner, StoreError};

use super::{Session, Sessions, common, lock};

/// How many bytes of what sessions have done are in memory at most, but for sessions that are in use at the same moment
/// (half a megabyte each at the most).
const AWAKE: usize = 16 * 1024 * 1024;

/// The weight of a session of which nothing is in memory.
pub(super) const ASLEEP: usize = usize::MAX;

/// The weight of a session that was dropped: whoever still holds it lets go of it soon.
const DROPPED: usize = usize::MAX - 1;

/// How much is in memory.
#[derive(Debug)]
pub(super) struct Asleep {
    /// What all sessions weigh.
    total: AtomicUsize,
    /// Beyond how much something is put away: more than [`AWAKE`] after nothing could be, so that it is not tried each time.
    limit: AtomicUsize,
}

impl Default for Asleep {
    fn default() -> Self {
        Self { total: AtomicUsize::new(0), limit: AtomicUsize::new(AWAKE) }
    }
}

impl Asleep {
    /// Notes what `session` weighs now. Under the lock of its state.
    pub fn weigh(&self, session: &Session, journal: &Journal) {
        if session.weight.load(Ordering::Relaxed) == DROPPED {
            return;
        }
        let weight = journal.weight();
        self.total.fetch_add(weight, Ordering::Relaxed);
        self.gone(session.weight.swap(weight, Ordering::Relaxed));
    }

    fn gone(&self, weight: usize) {
        if weight < DROPPED {
            self.total.fetch_sub(weight, Ordering::Relaxed);
        }
    }

    fn is_too_much(&self) -> bool {
        self.total.load(Ordering::Relaxed) > self.limit.load(Ordering::Relaxed)
    }

    /// Notes that `session` is there no more.
    pub fn dropped(&self, session: &Session) {
        let _state = lock(&session.state);
        self.gone(session.weight.swap(DROPPED, Ordering::Relaxed));
    }
}

impl Session {
    pub(super) fn is_asleep(&self) -> bool {
        self.weight.load(Ordering::Relaxed) == ASLEEP
    }
}

impl Sessions {
    /// Reads what `session` has done if it lies in the store.
    ///
    /// # Errors
    /// If it cannot be read, or was altered: what it knows of would count for nothing.
    pub async fn wake(&self, session: &Arc<Session>) -> Result<(), StoreError> {
        if !session.is_asleep() {
            return Ok(());
        }
        let written = self.store.story(Owner::Session(session.row)).await?;
        let journal = common::journal(&written);
        let mut state = lock(&session.state);
        // Unless another one was faster, whose actions may stand in it already.
        if session.is_asleep() {
            state.value.wake(journal);
            self.asleep.weigh(session, state.value.journal());
        }
        Ok(())
    }

    /// Puts away what is too much, and a quarter more, so that it is not done for each action.
    pub(super) fn rest(&self) {
        if !self.asleep.is_too_much() {
            return;
        }
        let known = lock(&self.known);
        if !self.asleep.is_too_much() {
            return;
        }
        let awake = known.by_name.values().filter(|session| !session.is_asleep());
        let mut awake: Vec<(u64, &Arc<Session>)> =
            awake.map(|session| (session.used.load(Ordering::Relaxed), session)).collect();
        awake.sort_unstable_by_key(|(used, _)| *used);
        for (_, session) in awake {
            if self.asleep.total.load(Ordering::Relaxed) <= AWAKE / 4 * 3 {
                break;
            }
            self.put_away(session);
        }
        let left = self.asleep.total.load(Ordering::Relaxed);
        self.asleep.limit.store(AWAKE.max(left.saturating_add(AWAKE / 8)), Ordering::Relaxed);
    }

    /// Under the lock of all sessions, from which alone a new holder could come.
    fn put_away(&self, session: &Arc<Session>) {
        if Arc::strong_count(session) > 1 {
            return;
        }
        let mut state = lock(&session.state);
        if state.sleep(&self.store, &Owner::Session(session.row)) {
            self.asleep.gone(session.weight.swap(ASLEEP, Ordering::Relaxed));
        }
    }
}

#[cfg(test)]
mod tests;
