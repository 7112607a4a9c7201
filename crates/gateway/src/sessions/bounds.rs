//! How many sessions there are at most, and how much they remember.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use doorward_core::session::Millis;
use doorward_store::{MAX_SESSIONS, Owner};

use super::{Known, Session, Sessions, agent_of, lock};

/// How long a session that nobody uses is known: as long as what it left behind may count.
const IDLE: Millis = 30 * 24 * 3_600_000;

/// How often idle sessions are looked for.
const SWEEP: Millis = 60_000;

/// After how long without use a session's judged blocks are forgotten if there are too many of them in all. They
/// only save judging them again.
const MOST_BLOCKS: usize = 1 << 20;

impl Sessions {
    /// Makes room for one more, and drops what nobody uses.
    pub(super) fn keep_within_bounds(&self, known: &mut Known, now: Millis) {
        if now >= known.swept.saturating_add(SWEEP) {
            known.swept = now;
            let idle = |session: &Arc<Session>| used(session).saturating_add(IDLE) < now;
            let idle = known.by_name.values().filter(|session| idle(session)).cloned().collect();
            self.drop_all(known, idle);
            forget_blocks(known);
            self.common.sweep(&self.store, now);
        }
        if known.by_name.len() >= MAX_SESSIONS {
            self.drop_all(known, crowd(known));
        }
    }

    /// Forgets the sessions of `agent`, and what it usually does, but for sessions that are held, by name and last use. What is in
    /// flight ends in what it has begun in, and is not found again. Returns how many were forgotten.
    pub fn forget(&self, agent: &str, is_held: impl Fn(&str, Millis) -> bool) -> usize {
        let (count, held) = self.forget_those(|session| agent_of(session) == agent, is_held);
        if held == 0 {
            self.common.forget_agent(agent);
        }
        count
    }

    /// Forgets these sessions, in the same way. Returns how many were forgotten, and how many are held.
    pub fn forget_those(
        &self,
        which: impl Fn(&str) -> bool,
        is_held: impl Fn(&str, Millis) -> bool,
    ) -> (usize, usize) {
        let mut known = lock(&self.known);
        let those = known.by_name.values().filter(|session| which(session.name.as_str()));
        let (held, gone): (Vec<_>, Vec<_>) =
            those.cloned().partition(|session| is_held(session.name.as_str(), used(session)));
        let count = gone.len();
        self.drop_all(&mut known, gone);
        (count, held.len())
    }

    fn drop_all(&self, known: &mut Known, sessions: Vec<Arc<Session>>) {
        if sessions.is_empty() {
            return;
        }
        known.dropped += sessions.len() as u64;
        tracing::info!(count = sessions.len(), total = known.dropped, "sessions were dropped");
        for session in sessions {
            known.by_name.remove(session.name.as_str());
            self.asleep.dropped(&session);
            self.store.forget_session(session.row);
            self.store.forget_story(Owner::Session(session.row));
        }
    }
}

/// Whom to drop when there are too many: of the agent that has most, those of which nobody said anything, and of them
/// those used longest ago. So an agent that begins a session with each request drives out its own.
fn crowd(known: &Known) -> Vec<Arc<Session>> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for name in known.by_name.keys() {
        *counts.entry(agent_of(name)).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(agent, count)| (*count, std::cmp::Reverse(*agent)));
    let Some((agent, count)) = most else { return Vec::new() };
    let mut of_agent: Vec<&Arc<Session>> =
        known.by_name.values().filter(|session| session.name.agent() == agent).collect();
    of_agent.sort_by_key(|session| (session.is_told(), used(session)));
    of_agent.into_iter().take((count / 8).max(1)).cloned().collect()
}

/// Forgets judged blocks, of the sessions used longest ago first, until all of them together are within bounds.
fn forget_blocks(known: &Known) {
    let mut sessions: Vec<(&Arc<Session>, usize)> =
        known.by_name.values().map(|session| (session, lock(&session.state).value.remembered())).collect();
    let mut total: usize = sessions.iter().map(|(_, blocks)| blocks).sum();
    sessions.sort_by_key(|(session, _)| used(session));
    for (session, blocks) in sessions {
        if total <= MOST_BLOCKS {
            return;
        }
        lock(&session.state).value.forget_blocks();
        total -= blocks;
    }
}

fn used(session: &Session) -> Millis {
    session.used.load(Ordering::Relaxed)
}
