//! Calls of which nobody knows whose they are, or of which that is only said: what is refused before it has shown a session and a
//! signature. A flood of them shares a receipt a second, with how many there were; each would be a way to fill the disk.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use doorward_core::account::gcra::Ticks;

use super::Egress;
use super::denied::Denial;
use crate::id::fresh_id;

/// How long refusals of one kind share a receipt, in milliseconds.
const SHARED: Ticks = 1000;

/// How many kinds are told apart at a time. Beyond that all of a code are one.
const KINDS: usize = 4096;

/// How many that share a receipt it names.
const NAMED: usize = 8;

/// A code, and a number for whose the calls say they are: 0 if they say nothing that is known.
type Kind = (&'static str, u64);

/// What no receipt has told of yet, by kind.
#[derive(Debug, Default)]
pub struct Unknown(Mutex<HashMap<Kind, Untold>>);

#[derive(Debug, Default)]
struct Untold {
    /// When the last receipt was written.
    since: Ticks,
    /// How many came since then, and what the first of them are called.
    more: u64,
    first: Vec<Box<str>>,
}

impl Untold {
    /// In words; nothing if there were none.
    fn words(&self) -> String {
        match (self.more, self.first.is_empty()) {
            (0, _) => String::new(),
            (more, true) => format!("; {more} more since the last such receipt"),
            (more, false) => {
                format!("; {more} more since the last such receipt, first {}", self.first.join(", "))
            }
        }
    }
}

impl Unknown {
    /// What to say of those that were not told of, if it is time to tell; else this one, called `id`, is one of them.
    fn due(&self, (code, whose): Kind, id: Option<&str>, now: Ticks) -> Option<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KINDS && !known.contains_key(&(code, whose)) {
            known.retain(|_, untold| untold.more > 0 || now < untold.since.saturating_add(SHARED));
        }
        let kind = if known.len() >= KINDS && !known.contains_key(&(code, whose)) {
            (code, 0)
        } else {
            (code, whose)
        };
        match known.get_mut(&kind) {
            Some(untold) if now < untold.since.saturating_add(SHARED) => {
                untold.more = untold.more.saturating_add(1);
                if untold.first.len() < NAMED {
                    untold.first.extend(id.map(Into::into));
                }
                None
            }
            known_one => {
                let told = known_one
                    .map(|untold| std::mem::replace(untold, Untold { since: now, ..Untold::default() }));
                if told.is_none() {
                    known.insert(kind, Untold { since: now, ..Untold::default() });
                }
                Some(told.map(|untold| untold.words()).unwrap_or_default())
            }
        }
    }
}

impl Egress {
    /// The same refusal with a name, on record if none of its kind was recorded within the last second.
    pub(super) async fn unrecorded(&self, denial: Denial) -> Denial {
        if denial.request().is_some() {
            return denial;
        }
        let (denial, more) = self.named(denial);
        let Some(more) = more else { return denial };
        let whose = denial.whose().map(|whose| format!(" ({whose})")).unwrap_or_default();
        let id = denial.request().unwrap_or_default();
        let message = format!("{id}: {}{whose}{more}", denial.message);
        let recorded =
            self.gateway.recorder().control("egress_refused", "doorward", denial.code.name, &message);
        if let Err(error) = recorded.await {
            tracing::error!(%error, "a refusal could not be recorded");
        }
        denial
    }

    /// The same refusal with a name, and what a receipt of it has to say of others, if it is to have one.
    pub(super) fn named(&self, denial: Denial) -> (Denial, Option<String>) {
        let id = fresh_id(self.now()).unwrap_or_default();
        let whose = denial.whose().map_or(0, |whose| self.digest(&["whose", whose]));
        let more = self.unknown.due((denial.code.name, whose), Some(&id), self.ticks());
        (denial.named(id), more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_shares_a_receipt_a_second() {
        let unknown = Unknown::default();
        let due = |code, now| unknown.due((code, 0), None, now);
        assert_eq!(due("A", 5), Some(String::new()));
        for now in 5..1005 {
            assert_eq!(due("A", now), None);
        }
        assert_eq!(due("B", 6), Some(String::new()));
        assert_eq!(due("A", 1005), Some("; 1000 more since the last such receipt".into()));
        assert_eq!(due("A", 3000), Some(String::new()));
    }

    #[test]
    fn who_says_whose_it_is_shares_with_nobody_else() {
        let unknown = Unknown::default();
        assert!(unknown.due(("A", 1), Some("x"), 5).is_some());
        assert!(unknown.due(("A", 2), Some("y"), 5).is_some());
        for id in ["p", "q"] {
            assert!(unknown.due(("A", 1), Some(id), 6).is_none());
        }
        let told = unknown.due(("A", 1), Some("z"), 2000).unwrap();
        assert_eq!(told, "; 2 more since the last such receipt, first p, q");
    }

    #[test]
    fn how_many_are_told_apart_is_bounded() {
        let unknown = Unknown::default();
        for whose in 0..2 * KINDS as u64 {
            unknown.due(("A", whose), None, 5);
        }
        assert_eq!(unknown.0.lock().unwrap().len(), KINDS);
        // What is told makes room.
        assert!(unknown.due(("A", u64::MAX), None, 2000).is_some());
        assert!(unknown.0.lock().unwrap().len() < 3);
    }
}
