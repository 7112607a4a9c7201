//! What may be spent: the limits of the policy.
//!
//! Counters live as long as the process; a restart forgets them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_core::Decision;
use doorward_core::policy::{Counters, Policy, Reservation, exceeded};

/// Reserves what actions cost.
#[derive(Clone, Debug, Default)]
pub struct Budgets(Arc<Mutex<Counters>>);

impl Budgets {
    /// The decision with its charges reserved: all of them, or it is a block. What does not pass costs nothing.
    pub fn reserve(&self, mut decision: Decision, now: u64) -> (Decision, Reserved) {
        if !decision.passes() {
            decision.charges.0.clear();
        }
        if decision.charges.0.is_empty() {
            return (decision, Reserved::default());
        }
        let reserved = self.counters().reserve(&decision.charges.0, now);
        match reserved {
            Ok(reservation) => (decision, Reserved(Some((self.clone(), reservation)))),
            Err(full) => {
                decision.charges.0.clear();
                let decision =
                    full.iter().fold(decision, |decision, limit| decision.and(exceeded(limit, now)));
                (decision, Reserved::default())
            }
        }
    }

    /// Forgets what limits counted that `policy` does not have.
    pub fn keep_those_of(&self, policy: &Policy) {
        self.counters().retain(|group| policy.counts_on(group));
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was reserved for an action. Dropped before it is settled it is given back: the action did not go on.
#[derive(Debug, Default)]
#[must_use = "what goes on is settled"]
pub struct Reserved(Option<(Budgets, Reservation)>);

impl Reserved {
    /// The action goes on.
    pub fn settle(mut self) {
        self.0 = None;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some((budgets, reservation)) = self.0.take() {
            budgets.counters().release(reservation);
        }
    }
}
