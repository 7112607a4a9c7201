//! Sessions of keys: opened by a handshake, 30 minutes long, in memory only. One that a restart ended is unknown, and with
//! it every call that was signed in it; the SDK opens another by itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use doorward_core::session::Millis;
use doorward_store::{StoreError, fill_random};

/// How long a session lasts.
pub const LASTS: Millis = 30 * 60 * 1000;

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
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_token: HashMap<Box<str>, Arc<Session>>,
    of_key: HashMap<Arc<str>, usize>,
}

/// Why there is no session.
#[derive(Debug)]
pub enum NotOpened {
    /// As many are open as may be.
    Full,
    /// The system gives no random bytes.
    Random(StoreError),
}

impl Sessions {
    /// Opens one.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn open(
        &self,
        key: &Arc<str>,
        agent: &str,
        ip: IpAddr,
        now: Millis,
    ) -> Result<Arc<Session>, NotOpened> {
        let (token, nonce) = (uuid()?, uuid()?);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_full(key) {
            known.sweep(now);
        }
        if known.is_full(key) {
            return Err(NotOpened::Full);
        }
        let session = Arc::new(Session {
            token,
            nonce,
            key: Arc::clone(key),
            agent: agent.into(),
            ip,
            issued: now,
            expires: now.saturating_add(LASTS),
        });
        known.by_token.insert(session.token.clone(), Arc::clone(&session));
        *known.of_key.entry(Arc::clone(key)).or_default() += 1;
        Ok(session)
    }

    /// The session of this token that has not ended.
    pub fn find(&self, token: &str, now: Millis) -> Option<Arc<Session>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not make it last longer than it was to.
        let runs =
            |session: &&Arc<Session>| now < session.expires && now.saturating_add(LASTS) >= session.issued;
        known.by_token.get(token).filter(runs).cloned()
    }
}

impl Known {
    fn is_full(&self, key: &Arc<str>) -> bool {
        self.by_token.len() >= MOST || self.of_key.get(key).is_some_and(|count| *count >= MOST_OF_KEY)
    }

    /// Forgets those that have ended.
    fn sweep(&mut self, now: Millis) {
        let Self { by_token, of_key } = self;
        by_token.retain(|_, session| {
            let runs = now < session.expires;
            if !runs && let Some(count) = of_key.get_mut(&session.key) {
                *count = count.saturating_sub(1);
            }
            runs
        });
        of_key.retain(|_, count| *count > 0);
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

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_session_lasts_half_an_hour_whatever_the_clock_does() {
        let sessions = Sessions::default();
        let session = sessions.open(&"k".into(), "a", IP, 10 * LASTS).unwrap();
        assert!(sessions.find(&session.token, 10 * LASTS).is_some());
        assert!(sessions.find(&session.token, 11 * LASTS - 1).is_some());
        assert!(sessions.find(&session.token, 11 * LASTS).is_none());
        assert!(sessions.find(&session.token, 9 * LASTS - 1).is_none());
        assert!(sessions.find("other", 10 * LASTS).is_none());
    }

    #[test]
    fn one_key_does_not_take_the_room_of_others() {
        let sessions = Sessions::default();
        for _ in 0..MOST_OF_KEY {
            sessions.open(&"greedy".into(), "a", IP, 1).unwrap();
        }
        assert!(matches!(sessions.open(&"greedy".into(), "a", IP, 1), Err(NotOpened::Full)));
        assert!(sessions.open(&"other".into(), "a", IP, 1).is_ok());
        // What has ended makes room.
        assert!(sessions.open(&"greedy".into(), "a", IP, LASTS + 1).is_ok());
    }

    #[test]
    fn tokens_are_uuids_of_version_4() {
        let uuid = uuid().unwrap();
        let bytes = uuid.as_bytes();
        assert_eq!((bytes.len(), bytes[14]), (36, b'4'));
        assert!(matches!(bytes[19], b'8' | b'9' | b'a' | b'b'), "{uuid}");
    }
}
