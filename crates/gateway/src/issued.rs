//! Which placeholders stand for registered secrets in each session, and what they stand for.
//!
//! In memory only, and wiped when let go of: after a restart the client sends its conversation again, and with it come the
//! same placeholders. What is gone for good stays a placeholder in the call that names it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_core::Action;
use doorward_core::decision::Redacted;
use doorward_core::placeholder::Placeholders;

/// The most sessions of which some are kept.
const MOST_SESSIONS: usize = 4096;

/// The most bytes that all values may have together.
const MOST_BYTES: usize = 16 << 20;

/// An agent and its session.
type Whose = (Arc<str>, Arc<str>);

/// The placeholders of all sessions.
#[derive(Debug, Default)]
pub(crate) struct Issued {
    of: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    of: HashMap<Whose, Own>,
    /// Counts requests: the larger, the later.
    now: u64,
}

#[derive(Debug, Default)]
struct Own {
    placeholders: Arc<Placeholders>,
    /// When each was issued last.
    used: HashMap<Box<str>, u64>,
    last: u64,
}

impl Issued {
    /// Those of this session.
    pub fn of(&self, agent: &Arc<str>, session: &Arc<str>) -> Arc<Placeholders> {
        let whose = (Arc::clone(agent), Arc::clone(session));
        self.lock().of.get(&whose).map(|own| Arc::clone(&own.placeholders)).unwrap_or_default()
    }

    /// Forgets those of an agent.
    pub fn forget(&self, agent: &str) {
        self.lock().of.retain(|(own, _), _| &**own != agent);
    }

    /// Remembers what was issued in a request; those that were issued longest ago go for them.
    pub fn remember(&self, action: &Action, redacted: &Redacted) {
        if redacted.issued.is_empty() {
            return;
        }
        let mut sessions = self.lock();
        sessions.now += 1;
        let now = sessions.now;
        let whose = (Arc::clone(&action.agent), Arc::clone(&action.session));
        sessions.of.entry(whose).or_default().remember(redacted, now);
        sessions.bound();
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Own {
    fn remember(&mut self, redacted: &Redacted, now: u64) {
        self.last = now;
        for (placeholder, _) in &redacted.issued {
            self.used.insert(placeholder.as_str().into(), now);
        }
        for (placeholder, secret) in &redacted.issued {
            if self.placeholders.has(placeholder) {
                continue;
            }
            let placeholders = Arc::make_mut(&mut self.placeholders);
            while !placeholders.has_room(secret.size()) {
                let known = self.used.iter().filter(|(known, _)| placeholders.has(known));
                let oldest = known.min_by_key(|(_, used)| **used);
                let Some(oldest) = oldest.filter(|(_, used)| **used < now).map(|(known, _)| known.clone())
                else {
                    break;
                };
                placeholders.forget(&oldest);
                self.used.remove(&oldest);
            }
            // A request has no more than there is room for.
            if placeholders.has_room(secret.size()) {
                placeholders.issue(placeholder, secret.clone());
            }
        }
    }
}

impl Sessions {
    /// Forgets the sessions that were used longest ago, a quarter at once.
    fn bound(&mut self) {
        let bytes: usize = self.of.values().map(|own| own.placeholders.size()).sum();
        if self.of.len() <= MOST_SESSIONS && bytes <= MOST_BYTES {
            return;
        }
        let mut used: Vec<u64> = self.of.values().map(|own| own.last).collect();
        used.sort_unstable();
        let limit = used.get(used.len() / 4).copied().unwrap_or_default().min(self.now.saturating_sub(1));
        self.of.retain(|_, own| own.last > limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward_core::Door;
    use doorward_core::action::ActionKind;
    use doorward_core::placeholder::{MOST, Secret};

    fn action(session: &str) -> Action {
        Action::new(Door::Model, ActionKind::ModelRequest, "a".into(), session.into())
    }

    fn redacted(of: impl IntoIterator<Item = (String, String)>) -> Redacted {
        let issued = of.into_iter().map(|(placeholder, value)| (placeholder, Secret::new("n", &value)));
        Redacted { issued: issued.collect(), ..Redacted::default() }
    }

    #[test]
    fn a_session_knows_its_own_and_the_latest() {
        let issued = Issued::default();
        let number = |nth: usize| (format!("p{nth}"), format!("v{nth}"));
        issued.remember(&action("one"), &redacted((0..MOST).map(number)));
        let before = issued.of(&"a".into(), &"one".into());
        assert_eq!(before.len(), MOST);
        // Used again, so not the oldest; ten new ones take the places of others.
        issued.remember(&action("one"), &redacted([number(3)]));
        issued.remember(&action("one"), &redacted((1000..1010).map(number)));
        let now = issued.of(&"a".into(), &"one".into());
        assert!(now.len() == MOST && now.has("p3") && now.has("p1009"));
        // A reply that runs keeps what it began with.
        assert!(!before.has("p1009"));
        assert!(issued.of(&"a".into(), &"two".into()).is_empty());
        assert!(issued.of(&"b".into(), &"one".into()).is_empty());
    }

    #[test]
    fn all_of_it_is_bounded() {
        let issued = Issued::default();
        let value = "v".repeat(200 * 1024);
        for nth in 0..200 {
            issued.remember(&action(&format!("s{nth}")), &redacted([(format!("p{nth}"), value.clone())]));
        }
        let kept: usize = issued.lock().of.values().map(|own| own.placeholders.size()).sum();
        assert!(kept <= MOST_BYTES && kept > MOST_BYTES / 2, "{kept}");
        assert!(!issued.of(&"a".into(), &"s199".into()).is_empty());
        for nth in 0..2 * MOST_SESSIONS {
            issued.remember(&action(&format!("t{nth}")), &redacted([("p".to_owned(), "v".to_owned())]));
        }
        assert!(issued.lock().of.len() <= MOST_SESSIONS);
    }
}
