//! Sessions of keys: opened by a handshake, 30 minutes long if nothing else is set, in memory only. One that a restart ended is unknown, and with
//! it every call that was signed in it; the SDK opens another by itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use doorward_core::session::Millis;
use doorward_store::{StoreError, fill_random};

/// The most sessions at once, and the most of one key.
const MOST: usize = 65_536;
const MOST_OF_KEY: usize = 1024;

/// One session.
#[derive(Debug)]
pub struct Session {
    /// Its token, a UUID: who shows it is not yet believed.
    pub token: Box<str>,
    /// What its calls are signed with beside the secret. Never sent by the client.
    pub nonce: Box<str>,
    /// The key's id.
    pub key: Arc<str>,
    /// The agent, as it called itself.
    pub agent: Box<str>,
    /// Where it was opened from.
    pub ip: IpAddr,
    /// When it began, and when it ends.
    pub issued: Millis,
    pub expires: Millis,
}

/// All of them, by token.
#[derive(Debug)]
pub struct Sessions {
    lasts: Millis,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_token: HashMap<Box<str>, Arc<Session>>,
    of_key: HashMap<Arc<str>, OfKey>,
}

/// How many sessions a key has, and each of its agents.
#[derive(Debug, Default)]
struct OfKey {
    all: usize,
    agents: HashMap<Box<str>, usize>,
    /// The agents that show the key in each call, and when they did last.
    at_work: HashMap<Box<str>, Millis>,
}

impl OfKey {
    fn knows(&self, agent: &str) -> bool {
        self.agents.contains_key(agent) || self.at_work.contains_key(agent)
    }

    /// How many agents there are, one way or the other.
    fn agents(&self) -> usize {
        let others = self.at_work.keys().filter(|agent| !self.agents.contains_key(*agent));
        self.agents.len() + others.count()
    }
}

/// Why there is no session.
#[derive(Debug)]
pub enum NotOpened {
    /// As many are open as may be.
    Full,
    /// As many agents of the key have one as may.
    Agents,
    /// The system gives no random bytes.
    Random(StoreError),
}

impl Sessions {
    /// None yet; each lasts as long as this.
    pub fn lasting(lasts: Millis) -> Self {
        Self { lasts, known: Mutex::default() }
    }

    /// Opens one for an agent of a key, of which so many may have one at once.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn open(
        &self,
        key: &Arc<str>,
        (agent, agents): (&str, u32),
        ip: IpAddr,
        now: Millis,
    ) -> Result<Arc<Session>, NotOpened> {
        let (token, nonce) = (uuid()?, uuid()?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_full(key, agent, agents).is_some() {
            known.sweep(now, self.lasts);
        }
        if let Some(why) = known.is_full(key, agent, agents) {
            return Err(why);
        }
        let session = Arc::new(Session {
            token,
            nonce,
            key: Arc::clone(key),
            agent: agent.into(),
            ip,
            issued: now,
            expires: now.saturating_add(self.lasts),
        });
        known.by_token.insert(session.token.clone(), Arc::clone(&session));
        let of_key = known.of_key.entry(Arc::clone(key)).or_default();
        of_key.all += 1;
        *of_key.agents.entry(session.agent.clone()).or_default() += 1;
        Ok(session)
    }

    /// Notes that an agent of a key, of which so many may be there at once, is at work without a session. It is there for as long as
    /// a session would last.
    ///
    /// # Errors
    /// [`NotOpened::Agents`].
    pub fn at_work(
        &self,
        key: &Arc<str>,
        (agent, agents): (&str, u32),
        now: Millis,
    ) -> Result<(), NotOpened> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.has_agents(key, agent, agents) {
            known.sweep(now, self.lasts);
        }
        if known.has_agents(key, agent, agents) {
            return Err(NotOpened::Agents);
        }
        let of_key = known.of_key.entry(Arc::clone(key)).or_default();
        match of_key.at_work.get_mut(agent) {
            Some(last) => *last = now,
            None => drop(of_key.at_work.insert(agent.into(), now)),
        }
        Ok(())
    }

    /// Ends those of a key.
    pub fn end_of(&self, key: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.by_token.retain(|_, session| *session.key != *key);
        known.of_key.remove(key);
    }

    /// The session of this token that has not ended.
    pub fn find(&self, token: &str, now: Millis) -> Option<Arc<Session>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.by_token.get(token).filter(|session| session.runs(now)).cloned()
    }
}

impl Session {
    /// Whether it has not ended. A clock that was set back must not make it last longer than it was to.
    const fn runs(&self, now: Millis) -> bool {
        now < self.expires && now.saturating_add(self.expires.saturating_sub(self.issued)) >= self.issued
    }
}

impl Known {
    fn is_full(&self, key: &Arc<str>, agent: &str, agents: u32) -> Option<NotOpened> {
        let of_key = self.of_key.get(key);
        if self.by_token.len() >= MOST || of_key.is_some_and(|of_key| of_key.all >= MOST_OF_KEY) {
            return Some(NotOpened::Full);
        }
        self.has_agents(key, agent, agents).then_some(NotOpened::Agents)
    }

    /// Whether a key has as many agents as it may, without this one.
    fn has_agents(&self, key: &Arc<str>, agent: &str, agents: u32) -> bool {
        let most = usize::try_from(agents).unwrap_or(usize::MAX);
        self.of_key.get(key).is_some_and(|of_key| !of_key.knows(agent) && of_key.agents() >= most)
    }

    /// Forgets those that have ended.
    fn sweep(&mut self, now: Millis, lasts: Millis) {
        let Self { by_token, of_key } = self;
        by_token.retain(|_, session| {
            let runs = session.runs(now);
            if !runs && let Some(of_key) = of_key.get_mut(&session.key) {
                of_key.all = of_key.all.saturating_sub(1);
                if let Some(count) = of_key.agents.get_mut(&session.agent) {
                    *count = count.saturating_sub(1);
                }
            }
            runs
        });
        of_key.retain(|_, of_key| {
            of_key.agents.retain(|_, count| *count > 0);
            // By a clock that was set back they would be there for longer.
            of_key.at_work.retain(|_, last| now.abs_diff(*last) < lasts);
            of_key.all > 0 || !of_key.at_work.is_empty()
        });
    }
}

/// A UUID of version 4 (RFC 9562, 5.4).
fn uuid() -> Result<Box<str>, NotOpened> {
    let mut bytes = [0u8; 16];
    fill_random(&mut bytes).map_err(NotOpened::Random)?;
    let bits = u128::from_be_bytes(bytes);
    let bits = bits & !(0xf << 76) | 4 << 76;
    let bits = bits & !(0b11 << 62) | 0b10 << 62;
    let hex = format!("{bits:032x}");
    let mut out = String::with_capacity(36);
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(digit);
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Millis = 30 * 60 * 1000;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_session_lasts_half_an_hour_whatever_the_clock_does() {
        let sessions = Sessions::lasting(LASTS);
        let session = sessions.open(&"k".into(), ("a", 9), IP, 10 * LASTS).unwrap();
        assert!(sessions.find(&session.token, 10 * LASTS).is_some());
        assert!(sessions.find(&session.token, 11 * LASTS - 1).is_some());
        assert!(sessions.find(&session.token, 11 * LASTS).is_none());
        assert!(sessions.find(&session.token, 9 * LASTS - 1).is_none());
        assert!(sessions.find("other", 10 * LASTS).is_none());
    }

    #[test]
    fn one_key_does_not_take_the_room_of_others() {
        let sessions = Sessions::lasting(LASTS);
        for _ in 0..MOST_OF_KEY {
            sessions.open(&"greedy".into(), ("a", 9), IP, 1).unwrap();
        }
        assert!(matches!(sessions.open(&"greedy".into(), ("a", 9), IP, 1), Err(NotOpened::Full)));
        assert!(sessions.open(&"other".into(), ("a", 9), IP, 1).is_ok());
        // What has ended makes room, and so does what was opened while the clock was ahead.
        let ahead = 100 * LASTS;
        for _ in 0..MOST_OF_KEY {
            sessions.open(&"greedy".into(), ("a", 9), IP, ahead).unwrap();
        }
        assert!(matches!(sessions.open(&"greedy".into(), ("a", 9), IP, ahead), Err(NotOpened::Full)));
        assert!(sessions.open(&"greedy".into(), ("a", 9), IP, LASTS + 1).is_ok());
    }

    #[test]
    fn agents_of_a_key_are_capped_and_each_has_as_many_sessions_as_it_likes() {
        let (sessions, key) = (Sessions::lasting(LASTS), Arc::from("k"));
        for agent in ["a", "b", "a", "b"] {
            sessions.open(&key, (agent, 2), IP, 1).unwrap();
        }
        assert!(matches!(sessions.open(&key, ("c", 2), IP, 1), Err(NotOpened::Agents)));
        assert!(sessions.open(&key, ("c", 3), IP, 1).is_ok());
        assert!(sessions.open(&key, ("d", 2), IP, LASTS + 1).is_ok());
    }

    #[test]
    fn who_shows_the_key_in_each_call_is_an_agent_as_well() {
        let (sessions, key) = (Sessions::lasting(LASTS), Arc::from("k"));
        assert!(sessions.at_work(&key, ("a", 2), LASTS).is_ok());
        // The same agent, whichever way it comes.
        sessions.open(&key, ("a", 2), IP, LASTS).unwrap();
        assert!(sessions.at_work(&key, ("b", 2), LASTS).is_ok());
        assert!(matches!(sessions.at_work(&key, ("c", 2), LASTS), Err(NotOpened::Agents)));
        assert!(matches!(sessions.open(&key, ("c", 2), IP, LASTS), Err(NotOpened::Agents)));
        assert!(sessions.at_work(&Arc::from("other"), ("c", 2), LASTS).is_ok());
        // From its last call on.
        assert!(sessions.at_work(&key, ("b", 2), LASTS + 9).is_ok());
        assert!(sessions.at_work(&key, ("c", 1), 2 * LASTS + 8).is_err());
        assert!(sessions.at_work(&key, ("c", 1), 2 * LASTS + 9).is_ok());
    }

    #[test]
    fn tokens_are_uuids_of_version_4() {
        let uuid = uuid().unwrap();
        let bytes = uuid.as_bytes();
        assert_eq!((bytes.len(), bytes[14]), (36, b'4'));
        assert!(matches!(bytes[19], b'8' | b'9' | b'a' | b'b'), "{uuid}");
    }
}
