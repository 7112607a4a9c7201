//! Which session an action belongs to.
//!
//! A session's name is `<agent>/<id>`: whatever a client calls its sessions, it is within the namespace of the agent
//! whose token it came with. `-` is the id where nobody said one.

use crate::syntax::hex;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// The most bytes of an id that is kept as it is.
pub const LONGEST: usize = 128;

/// The id of an agent's actions of which nobody says to which session they belong.
pub const NOBODYS: &str = "-";

/// Who said which session it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Said {
    /// The header `Doorward-Session`, which somebody put there on purpose.
    Header,
    /// A header of the client's own.
    Client,
    /// The request's body.
    Body,
    /// Nobody: all of these of one agent are one session.
    #[default]
    Nobody,
}

impl Said {
    /// Every one, for tables and messages.
    pub const ALL: [Self; 4] = [Self::Header, Self::Client, Self::Body, Self::Nobody];

    /// The word in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Client => "client",
            Self::Body => "body",
            Self::Nobody => "nobody",
        }
    }

    /// The one of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|said| said.as_str() == word)
    }
}

/// Whether `id` can stand in a name as it is: 1 to 128 of `A-Z a-z 0-9 . _ : -`, the first a letter or digit.
#[must_use]
pub fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    id.len() <= LONGEST
        && id.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && id.bytes().all(plain)
}

/// The name of the session that `agent` calls `id`. An id of another form has a digest in its place.
#[must_use]
pub fn name(agent: &str, id: &str) -> Arc<str> {
    if is_id(id) {
        return format!("{agent}/{id}").into();
    }
    let digest: [u8; 32] = Sha256::digest(id.as_bytes()).into();
    format!("{agent}/x{}", hex(digest.get(..16).unwrap_or_default())).into()
}

/// The name of the session of which nobody said which it is.
#[must_use]
pub fn nobodys(agent: &str) -> Arc<str> {
    format!("{agent}/{NOBODYS}").into()
}

/// Agent and id of a name.
#[must_use]
pub fn parts(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or((name, NOBODYS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_within_its_agent() {
        assert_eq!(&*name("a", "54c1eb09-bc4c"), "a/54c1eb09-bc4c");
        // What could be taken for another name, or is long, is not kept.
        for odd in ["b/c", "../b", "-", "", " x", "x y", "ü", &"x".repeat(129), "x\n"] {
            let named = name("a", odd);
            let (agent, id) = parts(&named);
            assert_eq!((agent, id.len(), is_id(id)), ("a", 33, true), "{odd:?}");
        }
        assert_ne!(name("a", "b/c"), name("a", "b/d"));
        assert_eq!(parts(&nobodys("a")), ("a", "-"));
        assert!(!is_id(NOBODYS), "no client can claim it");
    }
}
