//! Floods: who can have actions blocked can have them blocked a thousand times a second, and must not be able to make an
//! operator's endpoint drown in it. Of each kind some are told one by one; the others are counted, and their number is told.

use std::collections::BTreeMap;

use doorward_core::session::Millis;
use doorward_core::syntax::Object;

use super::{Event, EventKind};

/// How many of a kind are told one by one at once.
const BURST: u64 = 10;

/// After how many milliseconds one more is.
const REFILL: Millis = 1000;

/// How long is counted before the number is told.
pub(super) const GATHERED: Millis = 10_000;

/// How many agents are counted by name.
const AGENTS: usize = 16;

/// The `type` of a message that says how many were not told one by one.
const SUMMARY: &str = "events.summary";

/// What may be told of one kind.
#[derive(Debug)]
pub(super) struct Gate {
    /// How many may go one by one now.
    left: u64,
    /// Since when that is so.
    since: Millis,
    unsaid: Option<Unsaid>,
}

/// What was not told one by one.
#[derive(Debug)]
struct Unsaid {
    count: u64,
    first: Millis,
    last: Millis,
    agents: BTreeMap<String, u64>,
    /// Of agents without a name here.
    others: u64,
}

impl Default for Gate {
    fn default() -> Self {
        Self { left: BURST, since: 0, unsaid: None }
    }
}

impl Gate {
    /// Whether one may be told by itself. Otherwise it is to be counted.
    pub fn pass(&mut self, now: Millis) -> bool {
        // A clock that goes back refills nothing; one that goes ahead fills it once.
        let refilled = now.saturating_sub(self.since) / REFILL;
        if refilled > 0 {
            self.left = self.left.saturating_add(refilled).min(BURST);
            self.since = now;
        } else if now < self.since {
            self.since = now;
        }
        let passes = self.left > 0;
        self.left = self.left.saturating_sub(1);
        passes
    }

    /// Counts one that is not told by itself. Returns whether it is the first since a number was told.
    pub fn count(&mut self, agent: &str, now: Millis) -> bool {
        let unsaid = self.unsaid.get_or_insert_with(|| Unsaid {
            count: 0,
            first: now,
            last: now,
            agents: BTreeMap::new(),
            others: 0,
        });
        unsaid.count += 1;
        unsaid.last = now;
        if let Some(count) = unsaid.agents.get_mut(agent) {
            *count += 1;
        } else if unsaid.agents.len() < AGENTS {
            unsaid.agents.insert(agent.to_owned(), 1);
        } else {
            unsaid.others += 1;
        }
        unsaid.count == 1
    }

    /// Forgets the name of an agent; what was counted of it stays counted.
    pub fn forget(&mut self, agent: &str) {
        if let Some(unsaid) = &mut self.unsaid
            && let Some(count) = unsaid.agents.remove(agent)
        {
            unsaid.others += count;
        }
    }

    /// When the number of those that were counted is to be told; `None` if there are none.
    pub fn due(&self) -> Option<Millis> {
        self.unsaid.as_ref().map(|unsaid| unsaid.first.saturating_add(GATHERED))
    }

    /// The message that says how many were counted.
    pub fn summary(&mut self, kind: EventKind) -> Option<Event> {
        let unsaid = self.unsaid.take()?;
        let agents = unsaid
            .agents
            .iter()
            .map(|(agent, count)| Object::new().text("agent", agent).number("count", *count).end());
        let data = Object::new()
            .text("of", kind.as_str())
            .number("count", unsaid.count)
            .number("first", unsaid.first)
            .number("last", unsaid.last)
            .array("agents", agents)
            .number("others", unsaid.others)
            .end();
        Some(Event { kind, word: SUMMARY, time: unsaid.last, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_its_number_is_whole() {
        let mut gate = Gate::default();
        let mut tell = |n: u64| {
            let now = 1000 + n;
            let passes = gate.pass(now);
            if !passes {
                gate.count(&format!("agent-{}", n % 40), now);
            }
            passes
        };
        let told = (0..5000).filter(|n| tell(*n)).count();
        assert_eq!(told, 10 + 4, "ten at once, then one a second");
        let event = gate.summary(EventKind::Blocked).unwrap();
        let text = String::from_utf8(event.data).unwrap();
        assert!(text.starts_with(r#"{"of":"action.blocked","count":4986,"#), "{text}");
        assert_eq!(text.matches("\"agent\":").count(), 16);
        assert!(text.ends_with("}") && text.contains("\"others\":"), "{text}");
        assert!(gate.summary(EventKind::Blocked).is_none() && gate.due().is_none());
    }

    #[test]
    fn what_comes_slowly_is_told_one_by_one_whatever_the_clock_does() {
        let mut gate = Gate::default();
        assert!((0..100).all(|n| gate.pass(1_000_000 + n * 1000)));
        assert!((0..9).all(|_| gate.pass(5)), "a clock that went back");
        assert!(!gate.pass(5));
        assert!(gate.pass(1005));
    }
}
