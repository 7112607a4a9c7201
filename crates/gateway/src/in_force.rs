//! What judges at the moment: engine, mode and revision in one value, swapped whole.
//!
//! An action takes hold of it once, when it begins, and keeps it until its receipt is written. So nothing is
//! judged by one policy, enforced in the mode of another and recorded under the name of a third.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use doorward_core::Engine;
use doorward_core::session::Mode;
use doorward_store::{Signal, Signals};

/// What is in force. Immutable; a change is another value.
#[derive(Debug)]
pub struct InForce {
    /// What judges: rules and policy, compiled.
    pub engine: Arc<Engine>,
    /// What is enforced: the weaker of what process and policy say.
    pub mode: Mode,
    /// Its number in this process, [`Epoch::policy`](doorward_core::decision::Epoch): it says whether something
    /// moved, and orders nothing across restarts. What names a policy everywhere is its digest,
    /// [`Policy::revision`](doorward_core::policy::Policy::revision).
    pub number: u64,
}

impl InForce {
    /// The name of the policy in receipts: the digest of its sources.
    #[must_use]
    pub fn policy(&self) -> &str {
        self.engine.policy().revision()
    }
}

/// Holds what is in force.
#[derive(Debug)]
pub(crate) struct Holder {
    now: ArcSwap<InForce>,
    /// Held while it is replaced: the numbers follow each other.
    replacing: Mutex<()>,
}

impl Holder {
    pub fn new(engine: Arc<Engine>, mode: Mode, signals: &Signals) -> Self {
        let number = signals.revision(Signal::Policy);
        Self { now: ArcSwap::from_pointee(InForce { engine, mode, number }), replacing: Mutex::new(()) }
    }

    /// A short look.
    pub fn load(&self) -> Guard<Arc<InForce>> {
        self.now.load()
    }

    /// To keep.
    pub fn load_full(&self) -> Arc<InForce> {
        self.now.load_full()
    }

    /// Puts another engine and mode in force, tells everybody, and returns what was in force before. Dropping a
    /// large policy takes its time: that is for the caller to do where nobody waits.
    pub fn replace(&self, engine: Arc<Engine>, mode: Mode, signals: &Signals) -> Arc<InForce> {
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.now.load().number + 1;
        let before = self.now.swap(Arc::new(InForce { engine, mode, number }));
        // After it: whoever is woken finds the new one.
        signals.bump(Signal::Policy);
        before
    }
}
