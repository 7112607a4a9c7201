//! What came of the calls of each key, since the process began.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// The most keys that are counted.
const MOST: usize = 65_536;

/// What a request that went on is counted under.
const ALLOWED: &str = "ALLOWED";

/// What came of the calls of one key.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By `ALLOWED` or the code of the refusal.
    pub outcomes: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Those that went on.
    pub fn allowed(&self) -> u64 {
        self.outcomes.get(ALLOWED).copied().unwrap_or_default()
    }
}

/// Those of all keys.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<HashMap<Arc<str>, Tally>>);

impl Tallies {
    /// Counts a request of `key`, refused with a code or not.
    pub fn count(&self, key: &Arc<str>, refused: Option<&'static str>) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tallies.len() >= MOST && !tallies.contains_key(key) {
            return;
        }
        let tally = tallies.entry(Arc::clone(key)).or_default();
        *tally.outcomes.entry(refused.unwrap_or(ALLOWED)).or_default() += 1;
    }

    /// Those of one key.
    pub fn of(&self, key: &str) -> Tally {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned().unwrap_or_default()
    }
}
