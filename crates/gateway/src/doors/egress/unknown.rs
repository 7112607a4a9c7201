//! Calls of which nobody knows whose they are, or of which that is only said: what is refused before it has shown a session and a
//! signature. A flood of them shares a receipt a second, with how many there were; each would be a way to fill the disk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use doorward_core::account::gcra::Ticks;
use tokio::runtime::Handle;

use super::denied::Denial;
use super::{Egress, ticks};
use crate::id::fresh_id;
use crate::record::Recorder;

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
pub struct Unknown(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    kinds: HashMap<Kind, Untold>,
    /// Whether somebody tells of what nothing else comes to tell of.
    told_of: bool,
}

#[derive(Debug, Default)]
struct Untold {
    /// When the last receipt was written.
    since: Ticks,
    /// How many came since then, what the first of them are called, and whose they say they are.
    more: u64,
    first: Vec<Box<str>>,
    whose: Option<Box<str>>,
}

/// A refusal that may share a receipt.
#[derive(Clone, Copy, Debug, Default)]
struct One<'a> {
    id: Option<&'a str>,
    whose: Option<&'a str>,
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

    /// Whether its receipt is shared still.
    const fn is_shared(&self, now: Ticks) -> bool {
        now < self.since.saturating_add(SHARED)
    }
}

impl Unknown {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to say of those that were not told of, if it is time to tell; else this one is one of them.
    fn due(&self, (code, whose): Kind, one: One<'_>, now: Ticks) -> Option<String> {
        let Known { kinds: known, .. } = &mut *self.known();
        if known.len() >= KINDS && !known.contains_key(&(code, whose)) {
            known.retain(|_, untold| untold.more > 0 || untold.is_shared(now));
        }
        let kind = if known.len() >= KINDS && !known.contains_key(&(code, whose)) {
            (code, 0)
        } else {
            (code, whose)
        };
        match known.get_mut(&kind) {
            Some(untold) if untold.is_shared(now) => {
                untold.more = untold.more.saturating_add(1);
                untold.whose = one.whose.filter(|_| kind.1 != 0).map(Into::into);
                if untold.first.len() < NAMED {
                    untold.first.extend(one.id.map(Into::into));
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

    /// Whether who asks is to tell of what nothing else comes to tell of: somebody has to, and nobody does.
    fn is_to_be_told_of(&self) -> bool {
        !std::mem::replace(&mut self.known().told_of, true)
    }

    /// When the next of them is to be told of; `None` if nothing is left, and then nobody tells any more.
    fn next(&self) -> Option<Ticks> {
        let mut known = self.known();
        let untold = known.kinds.values().filter(|untold| untold.more > 0);
        let next = untold.map(|untold| untold.since.saturating_add(SHARED)).min();
        known.told_of = next.is_some();
        next
    }

    /// The codes, and what to say, of those that have waited long enough for another one of their kind.
    fn overdue(&self, now: Ticks) -> Vec<(&'static str, String)> {
        let mut known = self.known();
        let waited = |untold: &&mut Untold| untold.more > 0 && !untold.is_shared(now);
        let kinds = known.kinds.iter_mut().filter(|(_, untold)| waited(untold));
        let told = kinds.map(|((code, _), untold)| {
            let untold = std::mem::replace(untold, Untold { since: now, ..Untold::default() });
            let whose = untold.whose.as_ref().map(|whose| format!(" ({whose})")).unwrap_or_default();
            (*code, format!("{}{whose}", untold.words().trim_start_matches("; ")))
        });
        told.collect()
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
        record(self.gateway.recorder(), denial.code.name, &message).await;
        denial
    }

    /// The same refusal with a name, and what a receipt of it has to say of others, if it is to have one.
    pub(super) fn named(&self, denial: Denial) -> (Denial, Option<String>) {
        let id = fresh_id(self.now()).unwrap_or_default();
        let whose = denial.whose().map_or(0, |whose| self.digest(&["whose", whose]));
        let one = One { id: Some(&id), whose: denial.whose() };
        let more = self.unknown.due((denial.code.name, whose), one, self.ticks());
        if more.is_none()
            && self.unknown.is_to_be_told_of()
            && let Ok(runtime) = Handle::try_current()
        {
            let recorder = self.gateway.recorder().clone();
            runtime.spawn(tell(Arc::downgrade(&self.unknown), recorder, self.began));
        }
        (denial.named(id), more)
    }
}

/// Tells of those that share a receipt once a second is over without another one of their kind, until nothing is left to tell.
async fn tell(unknown: Weak<Unknown>, recorder: Recorder, began: Instant) {
    while let Some(next) = unknown.upgrade().and_then(|unknown| unknown.next()) {
        tokio::time::sleep_until((began + Duration::from_millis(next)).into()).await;
        let Some(unknown) = unknown.upgrade() else { return };
        for (code, message) in unknown.overdue(ticks(began)) {
            record(&recorder, code, &message).await;
        }
    }
}

async fn record(recorder: &Recorder, code: &'static str, message: &str) {
    if let Err(error) = recorder.control("egress_refused", "doorward", code, message).await {
        tracing::error!(%error, "a refusal could not be recorded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_shares_a_receipt_a_second() {
        let unknown = Unknown::default();
        let due = |code, now| unknown.due((code, 0), One::default(), now);
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
        let due = |whose, id, now| unknown.due(("A", whose), One { id: Some(id), whose: None }, now);
        assert!(due(1, "x", 5).is_some() && due(2, "y", 5).is_some());
        for id in ["p", "q"] {
            assert!(due(1, id, 6).is_none());
        }
        let told = due(1, "z", 2000).unwrap();
        assert_eq!(told, "; 2 more since the last such receipt, first p, q");
    }

    #[test]
    fn the_last_of_a_flood_are_told_of_without_another_one() {
        let unknown = Unknown::default();
        let due = |whose, id, now| {
            unknown.due(("A", whose), One { id: Some(id), whose: Some("key k") }, now).is_some()
        };
        assert!(due(1, "x", 5) && due(2, "x", 9) && unknown.is_to_be_told_of());
        assert!(!due(1, "p", 6) && !due(1, "q", 7) && !due(2, "r", 10));
        assert!(!unknown.is_to_be_told_of(), "somebody does");
        assert_eq!((unknown.next(), unknown.overdue(1004)), (Some(1005), Vec::new()));
        let told = unknown.overdue(1005);
        assert_eq!(told, [("A", "2 more since the last such receipt, first p, q (key k)".to_owned())]);
        assert!(!due(1, "s", 1006), "and a second has to pass from there on");
        assert_eq!(unknown.next(), Some(1009));
        assert_eq!((unknown.overdue(2005).len(), unknown.next()), (2, None));
        assert!(unknown.is_to_be_told_of());
    }

    #[test]
    fn how_many_are_told_apart_is_bounded() {
        let unknown = Unknown::default();
        for whose in 0..2 * KINDS as u64 {
            unknown.due(("A", whose), One::default(), 5);
        }
        assert_eq!(unknown.known().kinds.len(), KINDS);
        // What is told makes room.
        assert!(unknown.due(("A", u64::MAX), One::default(), 2000).is_some());
        assert!(unknown.known().kinds.len() < 3);
    }
}
