//! The sessions of this process: one short lock each, never held across an await, none shared between sessions.
//!
//! What a session is called and on which terms it works is kept in the store; a restart finds it again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use doorward_core::session::{self, Ending, Millis, Now, Said, Seq, State, Terms, name, story};
use doorward_core::{Action, Decision, Engine, Facts};
use doorward_store::{Lying, Owner, SessionName, SessionRecord, Store};

use crate::in_force::InForce;

mod acts;
pub use acts::{Act, NotDone};

mod artefacts;
pub use artefacts::{Artefact, Found, Latest};

mod asleep;
use asleep::Asleep;

mod bounds;

mod common;
use common::{Common, Kept};

/// How often it is written when a session was last used, in milliseconds.
const NOTE_USE: Millis = 60_000;

/// All sessions by name.
#[derive(Debug)]
pub struct Sessions {
    known: Mutex<Known>,
    asleep: Asleep,
    common: Common,
    store: Store,
}

#[derive(Debug, Default)]
struct Known {
    by_name: HashMap<Arc<str>, Arc<Session>>,
    /// The row of the next one.
    next: u64,
    /// When idle ones were last looked for.
    swept: Millis,
    /// How many were dropped to keep within bounds.
    dropped: u64,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    name: SessionName,
    row: u64,
    began: Millis,
    said: Said,
    told: ArcSwap<Told>,
    used: AtomicU64,
    /// The use that was last written.
    noted: AtomicU64,
    actions: AtomicU64,
    blocked: AtomicU64,
    state: Mutex<Kept<State>>,
    /// How many bytes what it has done takes in memory; [`ASLEEP`](asleep::ASLEEP) if it lies in the store. Changed under the
    /// lock of `state`.
    weight: AtomicUsize,
}

/// What a person said of a session.
#[derive(Clone, Debug, Default)]
struct Told {
    task: String,
    terms: Terms,
}

/// A session as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Name, task and terms.
    pub record: SessionRecord,
    /// How many actions it has had in this process.
    pub actions: u64,
    /// How many of them were blocked.
    pub blocked: u64,
    /// How many have begun and not ended.
    pub pending: usize,
}

/// An action that has begun. Dropping it undoes that: what was never decided leaves no trace.
#[derive(Debug)]
pub struct Seen {
    /// What was known when it began.
    pub facts: Facts,
    /// What was in force then, and judges it.
    pub in_force: Arc<InForce>,
    /// The receipt that its own follows, if any: of what a person was asked about it.
    pub follows: Option<Arc<str>>,
    sessions: Arc<Sessions>,
    session: Arc<Session>,
    seq: Seq,
    ended: bool,
}

impl Sessions {
    /// The sessions that `store` knows from earlier.
    #[must_use]
    pub fn open(store: Store) -> Self {
        let mut known = Known { next: 1, ..Known::default() };
        let mut stories = store.take_stories();
        let mut lying = store.take_lying();
        for record in store.take_sessions() {
            known.next = known.next.max(record.id + 1);
            let lying = lying.remove(&record.id);
            let session = Session::of(record, &store, lying);
            known.by_name.insert(session.name.shared(), Arc::new(session));
        }
        let common = Common::open(&store, &mut stories);
        // Of sessions that are known no more.
        lying.into_keys().for_each(|row| store.forget_story(Owner::Session(row)));
        Self { known: Mutex::new(known), asleep: Asleep::default(), common, store }
    }

    /// The session of this name, begun now if there is none.
    ///
    /// # Errors
    /// In words, if the name is none.
    pub fn enter(&self, name: &str, said: Said, now: Millis) -> Result<Arc<Session>, String> {
        let (session, is_new) = {
            let mut known = lock(&self.known);
            match known.by_name.get(name) {
                Some(session) => (Arc::clone(session), false),
                None => (self.begun(&mut known, name, said, now)?, true),
            }
        };
        let used = session.used.fetch_max(now, Ordering::Relaxed).max(now);
        let noted = session.noted.load(Ordering::Relaxed);
        if (is_new || used >= noted.saturating_add(NOTE_USE))
            && session.noted.compare_exchange(noted, used, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.store.keep_session(session.record());
        }
        Ok(session)
    }

    fn begun(&self, known: &mut Known, name: &str, said: Said, now: Millis) -> Result<Arc<Session>, String> {
        self.keep_within_bounds(known, now);
        let record = SessionRecord {
            id: known.next,
            name: SessionName::new(name).map_err(|error| error.to_string())?,
            task: String::new(),
            said,
            began: now,
            used: now,
            terms: Terms::default(),
        };
        let session = Arc::new(Session::of(record, &self.store, None));
        known.next += 1;
        known.by_name.insert(session.name.shared(), Arc::clone(&session));
        Ok(session)
    }

    /// Registers `action` with its session, which is awake ([`Self::wake`]), and returns what is known. One that is only checked is
    /// forgotten at once: no sibling comes after it.
    pub fn begin(
        self: &Arc<Self>,
        session: Arc<Session>,
        action: &Action,
        now: Now,
        in_force: Arc<InForce>,
    ) -> Seen {
        let ended = action.only_checked;
        let (seq, facts) = self.common.with(action, &in_force.engine, |world| {
            let mut state = lock(&session.state);
            let (seq, facts) = session::begin(&mut state.value, action, now, world);
            if ended {
                state.value.forget(seq);
            }
            (seq, facts)
        });
        Seen { facts, in_force, follows: None, sessions: Arc::clone(self), session, seq, ended }
    }

    /// All of them, the one used last first, and how many were dropped to keep within bounds.
    #[must_use]
    pub fn views(&self) -> (Vec<SessionView>, u64) {
        let (sessions, dropped): (Vec<Arc<Session>>, u64) = {
            let known = lock(&self.known);
            (known.by_name.values().cloned().collect(), known.dropped)
        };
        let mut views: Vec<SessionView> = sessions.iter().map(|session| session.view()).collect();
        views.sort_by(|a, b| (b.record.used, &b.record.name).cmp(&(a.record.used, &a.record.name)));
        (views, dropped)
    }
}

impl Session {
    /// A session that goes on from what lies of it in the store.
    fn of(record: SessionRecord, store: &Store, lying: Option<Lying>) -> Self {
        let key = store.key_for(&format!("session {}", record.id));
        Self {
            row: record.id,
            began: record.began,
            said: record.said,
            told: ArcSwap::from_pointee(Told { task: record.task, terms: record.terms }),
            used: AtomicU64::new(record.used),
            noted: AtomicU64::new(record.used),
            actions: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            state: Mutex::new(Kept::of_session(State::new(*key.expose()), lying.unwrap_or_default())),
            weight: AtomicUsize::new(lying.map_or(0, |_| asleep::ASLEEP)),
            name: record.name,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.name.shared()
    }

    /// When it began.
    #[must_use]
    pub const fn began(&self) -> Millis {
        self.began
    }

    /// On which terms it works at this moment.
    #[must_use]
    pub fn standing(&self, now: Millis) -> session::Standing {
        self.told.load().terms.at(now)
    }

    fn record(&self) -> SessionRecord {
        let told = self.told.load();
        SessionRecord {
            id: self.row,
            name: self.name.clone(),
            task: told.task.clone(),
            said: self.said,
            began: self.began,
            used: self.used.load(Ordering::Relaxed),
            terms: told.terms.clone(),
        }
    }

    fn view(&self) -> SessionView {
        SessionView {
            record: self.record(),
            actions: self.actions.load(Ordering::Relaxed),
            blocked: self.blocked.load(Ordering::Relaxed),
            pending: lock(&self.state).value.pending(),
        }
    }

    /// Whether somebody said on which terms it works, or what it is about.
    fn is_told(&self) -> bool {
        let told = self.told.load();
        told.terms != Terms::default() || !told.task.is_empty()
    }
}

impl Seen {
    /// Ends the action as decided and writes what the session is to remember. Returns what a person should see.
    pub fn end(mut self, action: &Action, decision: &Decision, ending: Ending) -> Vec<story::Alert> {
        if std::mem::replace(&mut self.ended, true) {
            return Vec::new();
        }
        let found = Engine::found(action, &self.facts, decision);
        self.session.actions.fetch_add(1, Ordering::Relaxed);
        if ending == Ending::Blocked {
            self.session.blocked.fetch_add(1, Ordering::Relaxed);
        }
        let (store, session) = (&self.sessions.store, &self.session);
        let owner = Owner::Session(session.row);
        let ended = self.sessions.common.change(store, &action.agent, |workspace, baseline| {
            let mut state = lock(&session.state);
            let case = (action, &self.facts);
            let common = (workspace, baseline);
            let mut ended = session::end(&mut state.value, self.seq, ending, case, &found, common);
            state.add(store, &owner, std::mem::take(&mut ended.session), |state| state.journal().encode());
            self.sessions.asleep.weigh(session, state.value.journal());
            ended
        });
        self.sessions.rest();
        ended.alerts
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        if !self.ended {
            lock(&self.session.state).value.forget(self.seq);
        }
    }
}

/// Agent of a session's name.
pub fn agent_of(session: &str) -> &str {
    name::parts(session).0
}

/// A panic elsewhere cannot leave a state half-written: every change is one call into `core`, which does
/// not panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod scene;

#[cfg(test)]
mod tests;
