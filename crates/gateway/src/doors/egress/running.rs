//! Requests on their way, and answers that are passed on as they come: so many of everybody, and a part of them of one key and of
//! one agent, so that who waits for a place that never answers, or reads what never ends, keeps nobody else out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Of everybody.
    pub all: usize,
    /// Of one key.
    pub key: usize,
    /// Of one agent of a key.
    pub agent: usize,
}

impl Bounds {
    /// Of requests: each holds its body and two connections.
    pub const REQUESTS: Self = Self { all: 512, key: 256, agent: 256 };

    /// Of answers that are passed on, if one key may have so many: of everybody eight times as many, of one agent half.
    pub const fn answers(key: usize) -> Self {
        Self { all: key.saturating_mul(8), key, agent: key.div_ceil(2) }
    }
}

/// All that are on their way.
#[derive(Debug)]
pub struct Running {
    bounds: Bounds,
    counted: Arc<Mutex<Counted>>,
}

#[derive(Debug, Default)]
struct Counted {
    all: usize,
    of: HashMap<Arc<str>, usize>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct OnItsWay {
    counted: Arc<Mutex<Counted>>,
    /// The key, and the agent.
    whose: [Arc<str>; 2],
}

impl Running {
    /// None yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, counted: Arc::default() }
    }

    /// Counts one more of this agent of `key`; `None` if there are as many as may be.
    pub fn one_more(&self, key: &Arc<str>, agent: &str) -> Option<OnItsWay> {
        // Neither has a slash in its name.
        let agent: Arc<str> = format!("{key}/{agent}").into();
        let mut counted = lock(&self.counted);
        let of = |name: &Arc<str>| counted.of.get(name).copied().unwrap_or_default();
        if counted.all >= self.bounds.all || of(key) >= self.bounds.key || of(&agent) >= self.bounds.agent {
            return None;
        }
        let whose = [Arc::clone(key), agent];
        counted.all += 1;
        whose.iter().for_each(|name| *counted.of.entry(Arc::clone(name)).or_default() += 1);
        Some(OnItsWay { counted: Arc::clone(&self.counted), whose })
    }
}

fn lock(counted: &Mutex<Counted>) -> MutexGuard<'_, Counted> {
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        let mut counted = lock(&self.counted);
        counted.all = counted.all.saturating_sub(1);
        for name in &self.whose {
            if let Some(own) = counted.of.get_mut(name) {
                *own = own.saturating_sub(1);
                if *own == 0 {
                    counted.of.remove(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_does_not_take_the_room_of_others_nor_one_agent_that_of_its_key() {
        let running = Running::new(Bounds { all: 12, key: 8, agent: 5 });
        let (greedy, other) = (Arc::from("greedy"), Arc::from("other"));
        let as_many = |key: &Arc<str>, agent: &str| -> Vec<OnItsWay> {
            (0..20).filter_map(|_| running.one_more(key, agent)).collect()
        };
        let (one, two) = (as_many(&greedy, "a"), as_many(&greedy, "b"));
        assert_eq!((one.len(), two.len()), (5, 3));
        let others = as_many(&other, "a");
        assert_eq!(others.len(), 4);
        assert!(running.one_more(&Arc::from("third"), "a").is_none());
        drop(one);
        assert!(running.one_more(&greedy, "a").is_some());
        drop((two, others));
        assert!(lock(&running.counted).of.is_empty() && lock(&running.counted).all == 0);
        let answers = Bounds::answers(1);
        assert_eq!((answers.all, answers.key, answers.agent), (8, 1, 1));
    }
}
