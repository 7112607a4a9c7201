//! One key: what an agent signs with, and what its holder may do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use doorward_core::session::Millis;
use doorward_core::syntax::{Node, json};
use zeroize::Zeroizing;

use super::settings::Settings;
use crate::secret::fill_random;
use crate::{AgentName, StoreError};

/// What the text of a credential begins with.
const CREDENTIAL: &str = "sphyr_v1_";

/// What the id of a key begins with.
const KEY: &str = "key_";

/// Letters of random texts.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters of an id behind its prefix: 119 bits, nobody meets one by chance.
const ID: usize = 20;

/// Characters of a signing secret: 256 bits.
const SECRET: usize = 43;

/// The most issued agents of one key.
pub const MOST_ISSUED: usize = 1024;

/// The most records of one key of how it was compromised; the latest stay.
const MOST_COMPROMISES: usize = 16;

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It may.
    Active,
    /// A person has paused it.
    Paused,
    /// Doorward has suspended it: somebody touched what nobody honest touches.
    Suspended,
    /// It may not, and never will again.
    Revoked,
}

impl KeyState {
    const ALL: [Self; 4] = [Self::Active, Self::Paused, Self::Suspended, Self::Revoked];

    /// The word for people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
        }
    }
}

/// Somebody with this key touched a decoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compromise {
    /// When.
    pub at: Millis,
    /// The receipt of the decision that found it.
    pub receipt: String,
    /// What was touched, by its rule or name.
    pub what: String,
    /// The session.
    pub session: String,
    /// From where: a keyed hash of the address, or the address itself if a setting says so.
    pub from: String,
}

/// A key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id: `key_` and 20 letters and digits.
    pub id: Arc<str>,
    /// Whose it is: every action under it is an action of this agent.
    pub agent: AgentName,
    /// Whether it may be used.
    pub state: KeyState,
    /// Since when that is so.
    pub since: Millis,
    /// When it was made.
    pub created: Millis,
    /// What was set for it.
    pub settings: Settings,
    /// The agents that were issued under it, and when.
    pub agents: BTreeMap<String, Millis>,
    /// How it was compromised, the latest last.
    pub compromises: Vec<Compromise>,
    secret: Zeroizing<String>,
    /// The secret before this one, and until when it holds.
    before: Option<(Zeroizing<String>, Millis)>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("agent", &self.agent).finish_non_exhaustive()
    }
}

impl Key {
    /// A fresh key of `agent`.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn new(agent: AgentName, settings: Settings, now: Millis) -> Result<Self, StoreError> {
        Ok(Self {
            id: format!("{KEY}{}", *random::<ID>()?).into(),
            agent,
            state: KeyState::Active,
            since: now,
            created: now,
            settings,
            agents: BTreeMap::new(),
            compromises: Vec::new(),
            secret: random::<SECRET>()?,
            before: None,
        })
    }

    /// What its holder is given, once: `sphyr_v1_<id>.<secret>`.
    #[must_use]
    pub fn credential(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{CREDENTIAL}{}.{}", self.id, self.secret.as_str()))
    }

    /// The secrets that sign at `now`: the current one, and during a rotation the one before. For a signature check
    /// only; do not keep a copy.
    pub fn secrets(&self, now: Millis) -> impl Iterator<Item = &str> {
        let before = self.before.as_ref().filter(move |(_, until)| now < *until);
        std::iter::once(self.secret.as_str()).chain(before.map(|(secret, _)| secret.as_str()))
    }

    /// Until when the secret before the current one holds, if there is one.
    #[must_use]
    pub fn overlap(&self) -> Option<Millis> {
        self.before.as_ref().map(|(_, until)| *until)
    }

    /// The same with a fresh secret. The one before holds until `until`; of two rotations in a row the first secret
    /// is gone.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn rotated(mut self, now: Millis, until: Millis) -> Result<Self, StoreError> {
        let before = std::mem::replace(&mut self.secret, random::<SECRET>()?);
        self.before = (until > now).then_some((before, until));
        Ok(self)
    }

    /// The same in another state.
    #[must_use]
    pub fn in_state(mut self, state: KeyState, now: Millis) -> Self {
        if self.state != state {
            (self.state, self.since) = (state, now);
        }
        self
    }

    /// The same, with a record of how somebody with it touched a decoy.
    #[must_use]
    pub fn noted(mut self, compromise: Compromise) -> Self {
        if self.compromises.len() >= MOST_COMPROMISES {
            self.compromises.remove(0);
        }
        self.compromises.push(compromise);
        self
    }

    /// The same, suspended, and why. One that is revoked stays so.
    #[must_use]
    pub fn compromised(self, compromise: Compromise) -> Self {
        let at = compromise.at;
        let this = self.noted(compromise);
        let revoked = this.state == KeyState::Revoked;
        if revoked { this } else { this.in_state(KeyState::Suspended, at) }
    }

    /// All but its secrets, as JSON.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = b"{\"agent\":".to_vec();
        out.extend_from_slice(&json::quoted(self.agent.as_str()));
        out.extend_from_slice(b",\"state\":");
        out.extend_from_slice(&json::quoted(self.state.as_str()));
        let until = self.overlap().map_or_else(|| "null".into(), |until| until.to_string());
        let numbers = format!(",\"since\":{},\"created\":{},\"overlap\":{until}", self.since, self.created);
        out.extend_from_slice(numbers.as_bytes());
        let settings = self.settings.changed();
        list(
            &mut out,
            "settings",
            settings.iter().flat_map(|(name, value)| [(*name).to_owned(), value.clone()]),
        );
        let agents = self.agents.iter();
        list(&mut out, "agents", agents.flat_map(|(id, since)| [id.clone(), since.to_string()]));
        let compromises = self.compromises.iter().flat_map(|it| {
            let Compromise { at, receipt, what, session, from } = it.clone();
            [at.to_string(), receipt, what, session, from]
        });
        list(&mut out, "compromises", compromises);
        out.push(b'}');
        out
    }

    /// The secrets, the current one first, each on a line.
    pub(crate) fn encode_secrets(&self) -> Zeroizing<Vec<u8>> {
        let before = self.before.as_ref().map(|(secret, _)| secret.as_str()).unwrap_or_default();
        let mut out = Zeroizing::new(Vec::with_capacity(2 * SECRET + 1));
        out.extend_from_slice(self.secret.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(before.as_bytes());
        out
    }

    /// What was encoded; `None` if it is something else.
    pub(crate) fn decode(id: &str, body: &[u8], secrets: &[u8]) -> Option<Self> {
        let node = json::parse(body).ok()?;
        let number = |key: &str| node.get(key).and_then(Node::as_u64);
        let state = node.text("state")?;
        let mut settings = Settings::default();
        for pair in strings(&node, "settings")?.chunks(2) {
            let [name, value] = pair else { return None };
            settings.set(name, value).ok()?;
        }
        let issued = strings(&node, "agents")?;
        let issued = issued.chunks(2).map(|pair| match pair {
            [id, since] => Some((id.clone(), since.parse().ok()?)),
            _ => None,
        });
        let compromises = strings(&node, "compromises")?;
        let compromises = compromises.chunks(5).map(|five| match five {
            [at, receipt, what, session, from] => Some(Compromise {
                at: at.parse().ok()?,
                receipt: receipt.clone(),
                what: what.clone(),
                session: session.clone(),
                from: from.clone(),
            }),
            _ => None,
        });
        let (secret, before) = std::str::from_utf8(secrets).ok()?.split_once('\n')?;
        let before = (!before.is_empty()).then(|| Zeroizing::new(before.to_owned()));
        Some(Self {
            id: id.into(),
            agent: AgentName::new(node.text("agent")?).ok()?,
            state: KeyState::ALL.into_iter().find(|known| known.as_str() == state)?,
            since: number("since")?,
            created: number("created")?,
            settings,
            agents: issued.collect::<Option<_>>()?,
            compromises: compromises.collect::<Option<_>>()?,
            secret: Zeroizing::new(secret.to_owned()),
            before: before.zip(number("overlap")),
        })
    }
}

/// Id and secret of a credential, split at the first dot; `None` if it is none.
#[must_use]
pub fn parse_credential(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(CREDENTIAL)?.split_once('.')?;
    (is_key_id(id) && !secret.is_empty()).then_some((id, secret))
}

/// Whether a key could have this id.
#[must_use]
pub fn is_key_id(text: &str) -> bool {
    let id = text.strip_prefix(KEY);
    id.is_some_and(|id| (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Whether an agent under a key could have this id: 1 to 64 letters, digits, `_` and `-`.
#[must_use]
pub fn is_agent_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// `N` random letters and digits, each as likely as any other.
fn random<const N: usize>() -> Result<Zeroizing<String>, StoreError> {
    let mut text = Zeroizing::new(String::with_capacity(N));
    while text.len() < N {
        let mut bytes = Zeroizing::new([0; 64]);
        fill_random(bytes.as_mut())?;
        // 248 is the largest multiple of 62 in a byte: what is beyond would make the first letters likelier.
        let letters = bytes.iter().filter(|byte| **byte < 248);
        let letters = letters.filter_map(|byte| ALPHABET.get(usize::from(byte % 62)));
        let missing = N - text.len();
        letters.take(missing).for_each(|letter| text.push(char::from(*letter)));
    }
    Ok(text)
}

fn list(out: &mut Vec<u8>, key: &str, items: impl Iterator<Item = String>) {
    out.push(b',');
    out.extend_from_slice(&json::quoted(key));
    out.extend_from_slice(b":[");
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&json::quoted(&item));
    }
    out.push(b']');
}

fn strings(node: &Node, key: &str) -> Option<Vec<String>> {
    node.get(key)?.elements().iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new(AgentName::new("alice").unwrap(), Settings::default(), 7).unwrap()
    }

    #[test]
    fn a_credential_is_split_at_its_first_dot() {
        let key = key();
        let credential = key.credential();
        let (id, secret) = parse_credential(&credential).unwrap();
        assert_eq!((id, secret), (&*key.id, key.secrets(0).next().unwrap()));
        assert_eq!((id.len(), secret.len()), (KEY.len() + ID, SECRET));
        assert_eq!(parse_credential("sphyr_v1_key_a.b.c"), Some(("key_a", "b.c")));
        for bad in [
            "",
            "sphyr_v1_",
            "sphyr_v1_key_a",
            "sphyr_v1_key_a.",
            "sphyr_v1_a.b",
            "key_a.b",
            "sphyr_v2_key_a.b",
        ] {
            assert_eq!(parse_credential(bad), None, "{bad}");
        }
        assert!(!format!("{key:?}").contains(secret));
        assert_ne!(key.id, self::key().id);
    }

    #[test]
    fn random_texts_use_every_letter() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..60 {
            seen.extend(random::<SECRET>().unwrap().bytes());
        }
        assert_eq!(seen.len(), 62);
    }

    #[test]
    fn the_old_secret_holds_until_the_overlap_ends() {
        let first = key();
        let old = first.secrets(0).next().unwrap().to_owned();
        let second = first.rotated(100, 200).unwrap();
        assert!(second.secrets(199).any(|secret| secret == old));
        assert!(!second.secrets(200).any(|secret| secret == old));
        assert_eq!(second.secrets(199).count(), 2);
        let third = second.clone().rotated(150, 150).unwrap();
        assert_eq!((third.secrets(150).count(), third.overlap()), (1, None), "at once");
        assert_ne!(third.credential(), second.credential());
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let mut key = key().rotated(1, 500).unwrap();
        key.settings.set("rate_key", "5").unwrap();
        key.agents.insert("bot-1".into(), 9);
        let of = |n: u64| Compromise {
            at: n,
            receipt: format!("r{n}"),
            what: "floor.honeytoken".into(),
            session: "alice/é\"".into(),
            from: "ab12".into(),
        };
        key = (0..20).fold(key, |key, n| key.compromised(of(n)));
        assert_eq!((key.state, key.compromises.len(), key.compromises[0].at), (KeyState::Suspended, 16, 4));
        let again = Key::decode(&key.id, &key.encode(), &key.encode_secrets()).unwrap();
        assert!(again == key);
        let revoked = key.in_state(KeyState::Revoked, 30).compromised(of(31));
        assert_eq!((revoked.state, revoked.since), (KeyState::Revoked, 30));
        assert!(Key::decode(&revoked.id, b"{}", b"a\n").is_none());
    }

    #[test]
    fn ids() {
        assert!(is_agent_id("A-b_9") && is_agent_id(&"a".repeat(64)));
        for bad in ["", "a b", "a.b", "é", "a/b", &"a".repeat(65)] {
            assert!(!is_agent_id(bad), "{bad}");
        }
    }
}
