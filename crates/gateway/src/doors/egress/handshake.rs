//! `audit_sess`: a key's wish for a session, and what it gets.

use std::sync::Arc;

use doorward_core::action::PartKind;
use doorward_core::session::Millis;
use doorward_core::wire::sphyr::call::Handshake;
use doorward_core::wire::sphyr::{code, reply, sign};
use doorward_store::accounts::Key;

use super::denied::Denial;
use super::sessions::NotOpened;
use super::stages::freshness;
use super::{Caller, Egress, keys};

impl Egress {
    /// Opens a session for who has `signed` by a key. Which part was wrong is not told: a key's id is no secret, and need not be
    /// confirmed.
    pub(super) async fn handshake(
        &self,
        asked: &Handshake,
        signed: bool,
        caller: Caller,
    ) -> Result<Vec<u8>, Denial> {
        let now = self.now();
        freshness::check(&asked.time, now)?;
        let unknown = || Denial::new(code::AUTH_FAILED, "no key that is known here has signed this");
        let key = self.accounts().key(&asked.key).ok_or_else(unknown)?;
        if !signed {
            return Err(unknown());
        }
        if self.is_secret(&asked.agent) {
            let message = "`agent_id` looks like a secret; ids stand in receipts for everybody to read";
            return Err(Denial::new(code::ARGUMENTS_INVALID, message));
        }
        self.first_wish(asked, now).await?;
        if let Some(why) = keys::stopped(&key) {
            return Err(Denial::new(code::KEY_PAUSED, why));
        }
        let agents = self.agents_of(&key);
        let opened = self.sessions.open(&key.id, (&asked.agent, agents), caller.ip, now);
        let session = opened.map_err(|why| why.denial(agents))?;
        Ok(reply::Opened {
            token: &session.token,
            nonce: &session.nonce,
            seconds: session.expires.saturating_sub(session.issued) / 1000,
            issued: &iso(session.issued),
            expires: &iso(session.expires),
            key: &key.id,
            agent: &session.agent,
            balance: Some(self.accounts().remaining(&key.id, now).credits),
            drift: key.settings.drift.as_str(),
        }
        .json())
    }
}

impl Egress {
    /// The key that a handshake names, if it has signed it.
    pub(super) fn signer(&self, asked: &Handshake) -> Option<Arc<Key>> {
        let payload = sign::handshake(&asked.key, &asked.agent, &asked.time.text, &asked.nonce);
        let key = self.accounts().key(&asked.key);
        key.filter(|key| keys::signed(key, &payload, &asked.signature, self.now()))
    }

    /// How many agents a key may have at once.
    pub(super) fn agents_of(&self, key: &Key) -> u32 {
        key.settings.agents.unwrap_or(self.settings.agents_per_key)
    }

    /// Whether a text that will be recorded as it is looks like something that must not be.
    pub(super) fn is_secret(&self, text: &str) -> bool {
        let found = self.gateway.in_force().engine.audit_text(PartKind::Outbound, text);
        found.iter().any(|reason| reason.rule.starts_with("secret.") || reason.rule.starts_with("floor."))
    }
}

impl NotOpened {
    /// As a refusal of a key that may have so many `agents`.
    pub(super) fn denial(&self, agents: u32) -> Denial {
        let full = |message: String| Denial {
            retry_after: Some(1000),
            ..Denial::new(code::SESSION_CREATE_FAILED, message)
        };
        match self {
            Self::Agents => {
                full(format!("{agents} agents of this key are at work, and no more may at once (`agents`)"))
            }
            Self::Full => full("as many sessions are open as may be".to_owned()),
            Self::Random(error) => Denial::new(code::SESSION_CREATE_FAILED, error.to_string()),
        }
    }
}

/// ISO 8601, to the millisecond.
pub(super) fn iso(millis: Millis) -> String {
    let time = i64::try_from(millis).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    time.map(|time| format!("{time:.3}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_told_to_the_millisecond() {
        assert_eq!(super::iso(1_777_569_822_000), "2026-04-30T17:23:42.000Z");
    }
}
