//! Requests on their way: so many of everybody, and of one key half of them, so that who waits for a place that never answers
//! keeps nobody else out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many requests may be on their way: each holds its body and two connections.
const MOST: usize = 512;

/// How many of them may be of one key.
const MOST_OF_KEY: usize = MOST / 2;

/// All that are on their way.
#[derive(Debug, Default)]
pub struct Running(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    all: usize,
    of_key: HashMap<Arc<str>, usize>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct OnItsWay<'a> {
    running: &'a Running,
    key: Arc<str>,
}

impl Running {
    /// Counts one more of `key`; `None` if there are as many as may be.
    pub fn one_more(&self, key: &Arc<str>) -> Option<OnItsWay<'_>> {
        let mut counted = self.counted();
        let own = counted.of_key.get(key).copied().unwrap_or_default();
        if counted.all >= MOST || own >= MOST_OF_KEY {
            return None;
        }
        counted.all += 1;
        *counted.of_key.entry(Arc::clone(key)).or_default() += 1;
        Some(OnItsWay { running: self, key: Arc::clone(key) })
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        let mut counted = self.running.counted();
        counted.all = counted.all.saturating_sub(1);
        if let Some(own) = counted.of_key.get_mut(&self.key) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                counted.of_key.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_does_not_take_the_room_of_others() {
        let (running, greedy, other) = (Running::default(), Arc::from("greedy"), Arc::from("other"));
        let held: Vec<_> = (0..MOST).filter_map(|_| running.one_more(&greedy)).collect();
        assert_eq!(held.len(), MOST_OF_KEY);
        let others: Vec<_> = (0..MOST).filter_map(|_| running.one_more(&other)).collect();
        assert_eq!(others.len(), MOST - MOST_OF_KEY);
        assert!(running.one_more(&Arc::from("third")).is_none());
        drop(held);
        assert!(running.one_more(&greedy).is_some() && running.one_more(&other).is_none());
        drop(others);
        assert!(running.counted().of_key.is_empty() && running.counted().all == 0);
    }
}
