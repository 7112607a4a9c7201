//! The sessions of this process: one short lock each, never held across an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use doorward_core::session::{self, Ending, Now, Seq, State};
use doorward_core::{Action, Decision, Engine, Facts};

use crate::in_force::InForce;

/// Sessions by name. Until sessions have a life of their own there is one per agent.
#[derive(Debug, Default)]
pub struct Sessions {
    states: Mutex<HashMap<Arc<str>, Arc<Mutex<State>>>>,
}

/// An action that has begun. Dropping it undoes that: what was never decided leaves no trace.
#[derive(Debug)]
pub struct Seen {
    /// What was known when it began.
    pub facts: Facts,
    /// What was in force then, and judges it.
    pub in_force: Arc<InForce>,
    state: Arc<Mutex<State>>,
    seq: Seq,
    ended: bool,
}

impl Sessions {
    /// Registers `action` with its session and returns what is known.
    ///
    /// # Errors
    /// In words, if the system gives no random bytes for a new session's key.
    pub fn begin(&self, action: &Action, now: Now, in_force: Arc<InForce>) -> Result<Seen, String> {
        let state = self.state(&action.session)?;
        let (seq, facts) = session::begin(&mut lock(&state), action, now);
        Ok(Seen { facts, in_force, state, seq, ended: false })
    }

    fn state(&self, name: &Arc<str>) -> Result<Arc<Mutex<State>>, String> {
        let mut states = lock(&self.states);
        if let Some(state) = states.get(name) {
            return Ok(Arc::clone(state));
        }
        let mut key = [0; 32];
        doorward_store::fill_random(&mut key).map_err(|error| error.to_string())?;
        let state = Arc::new(Mutex::new(State::new(key)));
        states.insert(Arc::clone(name), Arc::clone(&state));
        Ok(state)
    }
}

impl Seen {
    /// Ends the action as decided and writes what the session is to remember.
    pub fn end(mut self, action: &Action, decision: &Decision, ending: Ending) {
        self.ended = true;
        let found = Engine::found(action, &self.facts, decision);
        session::end(&mut lock(&self.state), self.seq, ending, action, &self.facts, &found);
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        if !self.ended {
            lock(&self.state).forget(self.seq);
        }
    }
}

/// A panic elsewhere cannot leave a state half-written: every change is one call into `core`, which does
/// not panic.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
