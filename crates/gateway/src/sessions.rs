//! The sessions of this process: one short lock each, never held across an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use doorward_core::session::baseline::Learning;
use doorward_core::session::chains::Chains;
use doorward_core::session::taint::Key;
use doorward_core::session::{self, Baseline, Ending, Now, Seq, State, Workspace, World};
use doorward_core::{Action, Decision, Engine, Facts};

use crate::in_force::InForce;

/// Sessions by name. Until sessions have a life of their own there is one per agent.
#[derive(Debug, Default)]
pub struct Sessions {
    states: Mutex<HashMap<Arc<str>, Arc<Mutex<State>>>>,
    shared: Arc<RwLock<Option<Shared>>>,
}

/// What sessions share.
#[derive(Debug)]
struct Shared {
    workspace: Workspace,
    /// By agent.
    baselines: HashMap<Arc<str>, Baseline>,
}

/// An action that has begun. Dropping it undoes that: what was never decided leaves no trace.
#[derive(Debug)]
pub struct Seen {
    /// What was known when it began.
    pub facts: Facts,
    /// What was in force then, and judges it.
    pub in_force: Arc<InForce>,
    state: Arc<Mutex<State>>,
    shared: Arc<RwLock<Option<Shared>>>,
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
        self.share()?;
        let engine = &in_force.engine;
        let (seq, facts) = {
            let shared = self.shared.read().unwrap_or_else(PoisonError::into_inner);
            let Some(shared) = shared.as_ref() else { return Err("nothing is shared yet".to_owned()) };
            let fresh = Baseline::default();
            let world = World {
                workspace: &shared.workspace,
                baseline: shared.baselines.get(&action.agent).unwrap_or(&fresh),
                learning: Learning::default(),
                chains: &Chains::shipped(),
                classify: &|action, effect| engine.classify(action, effect),
            };
            session::begin(&mut lock(&state), action, now, &world)
        };
        let shared = Arc::clone(&self.shared);
        Ok(Seen { facts, in_force, state, shared, seq, ended: false })
    }

    /// Makes what sessions share, if it is not there yet.
    fn share(&self) -> Result<(), String> {
        if self.shared.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let mut key = [0; 32];
        doorward_store::fill_random(&mut key).map_err(|error| error.to_string())?;
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        if shared.is_none() {
            *shared = Some(Shared { workspace: Workspace::new(Key::new(key)), baselines: HashMap::new() });
        }
        Ok(())
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
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        let Some(Shared { workspace, baselines }) = shared.as_mut() else { return };
        let baseline = baselines.entry(Arc::clone(&action.agent)).or_default();
        let common = (workspace, baseline);
        session::end(&mut lock(&self.state), self.seq, ending, (action, &self.facts), &found, common);
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
