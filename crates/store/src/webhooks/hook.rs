//! One webhook: where messages go, which, and what signs them.

use doorward_core::syntax::hex;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_core::session::Millis;
use doorward_core::syntax::{Node, Object, json};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::EventKind;
use crate::StoreError;
use crate::secret::{Secret32, fill_random};

/// What the id of a webhook begins with.
const HOOK: &str = "whk_";

/// What the secret begins with in the spelling of Standard Webhooks.
const STANDARD_PREFIX: &str = "whsec_";

/// Characters of a secret: 256 bits in hexadecimal.
const SECRET: usize = 64;

/// Whether messages go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookState {
    /// They do.
    Active,
    /// A person has paused it: messages gather.
    Paused,
    /// It said that it wants no more (410): nothing gathers.
    Gone,
}

impl HookState {
    const ALL: [Self; 3] = [Self::Active, Self::Paused, Self::Gone];

    /// The word for people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Gone => "gone",
        }
    }
}

/// A webhook.
#[derive(Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its id: `whk_` and 24 hexadecimal digits.
    pub id: Arc<str>,
    /// Where messages go. May itself be as good as a secret: shown to people who ask for this webhook, in no log and no receipt.
    pub url: String,
    /// Which, each once.
    pub events: Vec<EventKind>,
    /// Whether a person has allowed it to be without TLS and on a network of one's own.
    pub local: bool,
    /// Whether the environment names it (`ALERT_WEBHOOK_URL`).
    pub of_environment: bool,
    /// Whether messages go there.
    pub state: HookState,
    /// Since when that is so.
    pub since: Millis,
    /// When it was made.
    pub created: Millis,
    secret: Zeroizing<String>,
    /// The secret before this one, and until when it signs as well.
    before: Option<(Zeroizing<String>, Millis)>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

/// What the signatures of one attempt say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatures {
    /// `webhook-signature`: `v1,` and base64; two of them, a space between, while two secrets hold.
    pub standard: String,
    /// `X-Sphyr-Signature`: hexadecimal, by the current secret alone, since it has room for one.
    pub sphyr: String,
}

impl Hook {
    /// A fresh webhook.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn new(url: String, events: Vec<EventKind>, local: bool, now: Millis) -> Result<Self, StoreError> {
        let mut id = [0; 12];
        fill_random(&mut id)?;
        Ok(Self {
            id: format!("{HOOK}{}", hex(&id)).into(),
            url,
            events,
            local,
            of_environment: false,
            state: HookState::Active,
            since: now,
            created: now,
            secret: random()?,
            before: None,
        })
    }

    /// The secret as `X-Sphyr-Signature` has it: these 64 characters are the key of the HMAC. For the one answer that shows
    /// it.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The same key as libraries of Standard Webhooks take it. For the one answer that shows it.
    #[must_use]
    pub fn standard_secret(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(STANDARD.encode(self.secret.as_bytes()));
        Zeroizing::new(format!("{STANDARD_PREFIX}{}", encoded.as_str()))
    }

    /// Until when the secret before the current one signs, if there is one.
    #[must_use]
    pub fn overlap(&self) -> Option<Millis> {
        self.before.as_ref().map(|(_, until)| *until)
    }

    /// Signs the message `id` for an attempt at `now`.
    #[must_use]
    pub fn sign(&self, id: &str, now: Millis, body: &[u8]) -> Signatures {
        let head = format!("{id}.{}.", now / 1000);
        let before = self.before.as_ref().filter(|(_, until)| now < *until).map(|(secret, _)| secret);
        let one = |secret: &str| format!("v1,{}", STANDARD.encode(mac(secret, &[head.as_bytes(), body])));
        let standard: Vec<String> =
            std::iter::once(&self.secret).chain(before).map(|secret| one(secret)).collect();
        Signatures { standard: standard.join(" "), sphyr: hex(&mac(&self.secret, &[body])) }
    }

    /// The same with a fresh secret. The one before signs as well until `until`; of two rotations in a row the first secret is
    /// gone.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn rotated(mut self, now: Millis, until: Millis) -> Result<Self, StoreError> {
        let before = std::mem::replace(&mut self.secret, random()?);
        self.before = (until > now).then_some((before, until));
        Ok(self)
    }

    /// The same in another state.
    #[must_use]
    pub fn in_state(mut self, state: HookState, now: Millis) -> Self {
        if self.state != state {
            (self.state, self.since) = (state, now);
        }
        self
    }

    /// Where it is, as far as logs, receipts and lists may say: without path and query.
    #[must_use]
    pub fn place(&self) -> &str {
        let rest = self.url.find("://").map_or(0, |at| at + 3);
        let end = self
            .url
            .get(rest..)
            .and_then(|rest| rest.find(['/', '?']))
            .map_or(self.url.len(), |at| rest + at);
        self.url.get(..end).unwrap_or_default()
    }

    /// All but its secrets, as JSON.
    pub(super) fn encode(&self) -> Vec<u8> {
        let object = Object::new()
            .text("url", &self.url)
            .array("events", self.events.iter().map(|kind| json::quoted(kind.as_str())))
            .truth("local", self.local)
            .truth("of_environment", self.of_environment)
            .text("state", self.state.as_str())
            .number("since", self.since)
            .number("created", self.created);
        self.overlap().into_iter().fold(object, |object, until| object.number("overlap", until)).end()
    }

    /// The secrets, the current one first.
    pub(super) fn encode_secrets(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(2 * SECRET));
        out.extend_from_slice(self.secret.as_bytes());
        out.extend_from_slice(self.before.as_ref().map_or(&[][..], |(secret, _)| secret.as_bytes()));
        out
    }

    /// What was encoded; `None` if it is something else.
    pub(super) fn decode(id: &str, body: &[u8], secrets: &[u8]) -> Option<Self> {
        let node = json::parse(body).ok()?;
        let number = |key: &str| node.get(key).and_then(Node::as_u64);
        let truth = |key: &str| node.get(key).and_then(Node::as_bool);
        let state = node.text("state")?;
        let events = node.get("events")?.elements().iter();
        let (secret, before) = std::str::from_utf8(secrets).ok()?.split_at_checked(SECRET)?;
        let before = (before.len() == SECRET).then(|| Zeroizing::new(before.to_owned()));
        Some(Self {
            id: id.into(),
            url: node.text("url")?.to_owned(),
            events: events.map(|word| EventKind::wished(word.as_str()?)).collect::<Option<_>>()?,
            local: truth("local")?,
            of_environment: truth("of_environment")?,
            state: HookState::ALL.into_iter().find(|known| known.as_str() == state)?,
            since: number("since")?,
            created: number("created")?,
            secret: Zeroizing::new(secret.to_owned()),
            before: before.zip(number("overlap")),
        })
    }
}

fn mac(secret: &str, pieces: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length: the error cannot happen, and zeros verify nowhere.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return [0; 32] };
    pieces.iter().for_each(|piece| mac.update(piece));
    mac.finalize().into_bytes().into()
}

fn random() -> Result<Zeroizing<String>, StoreError> {
    let bits = Secret32::random()?;
    Ok(Zeroizing::new(hex(bits.expose())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook() -> Hook {
        let url = "https://hooks.example:8443/T0/secret?x=1".to_owned();
        Hook::new(url, vec![EventKind::Kill, EventKind::Blocked], false, 7).unwrap()
    }

    #[test]
    fn both_spellings_are_one_key() {
        let hook = hook();
        let standard = hook.standard_secret();
        let decoded = STANDARD.decode(standard.strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(decoded, hook.secret().as_bytes());
        assert!(hook.secret().len() == 64 && hook.secret().bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(!format!("{hook:?}").contains(hook.secret()));
        assert_eq!(hook.place(), "https://hooks.example:8443");
    }

    #[test]
    fn signatures_are_those_of_others() {
        // Counted with Python's hmac over the same bytes.
        let mut hook = hook();
        hook.secret = Zeroizing::new("0123456789abcdef".repeat(4));
        let signed = hook.sign("msg_1", 1_700_000_000_999, b"{\"a\":1}");
        assert_eq!(signed.standard, STANDARD_OF_PYTHON);
        assert_eq!(signed.sphyr, SPHYR_OF_PYTHON);
    }

    const STANDARD_OF_PYTHON: &str = "v1,m/t6Gig8wcUWfUKSaOmgP5A2+w6QpVNllRyX2J4SHns=";
    const SPHYR_OF_PYTHON: &str = "589a60deec2fc76f6f88219333240e55af762bdf12f58327b37d5b6bec15f76f";

    #[test]
    fn the_old_secret_signs_until_the_overlap_ends() {
        let first = hook();
        let old = first.sign("msg_1", 100, b"{}");
        let second = first.clone().rotated(100, 200_000).unwrap();
        let signed = second.sign("msg_1", 199_000, b"{}");
        assert_eq!(signed.standard.split(' ').count(), 2);
        assert_ne!(signed.sphyr, old.sphyr, "it has room for the current secret only");
        let again = second.sign("msg_1", 100, b"{}");
        assert!(again.standard.split(' ').any(|one| one == old.standard));
        assert_eq!(second.sign("msg_1", 200_000, b"{}").standard.split(' ').count(), 1);
        let third = second.rotated(150, 150).unwrap();
        assert_eq!((third.overlap(), third.sign("m", 150, b"").standard.contains(' ')), (None, false));
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        for hook in [hook(), hook().rotated(1, 500).unwrap().in_state(HookState::Paused, 9)] {
            let again = Hook::decode(&hook.id, &hook.encode(), &hook.encode_secrets()).unwrap();
            assert!(again == hook);
        }
        assert!(Hook::decode("whk_1", b"{}", b"short").is_none());
    }
}
