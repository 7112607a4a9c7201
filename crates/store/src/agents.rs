//! Agents and their tokens: who comes through the data listener.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::StoreError;
use crate::error::at;
use crate::home::{Home, read_or_create_token, read_token};
use crate::secret::{Token, TokenDigest, TokenKind};

/// The name of an agent: 1 to 64 of `a-z 0-9 . _ -`, starting with a letter or digit. Lower case only
/// and no device names, since it becomes a file name on every system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentName(Arc<str>);

impl AgentName {
    /// Checks `name`.
    ///
    /// # Errors
    /// [`StoreError::BadName`] with what is allowed.
    pub fn new(name: &str) -> Result<Self, StoreError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let shaped = name.len() <= 64
            && name.bytes().next().is_some_and(plain)
            && name.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'));
        if shaped && !is_device(name) {
            Ok(Self(name.into()))
        } else {
            Err(StoreError::BadName(name.chars().take(80).collect()))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl Borrow<str> for AgentName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether Windows would open a device instead of a file, whatever the extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    matches!(stem, "con" | "prn" | "aux" | "nul")
        || stem
            .strip_prefix("com")
            .or_else(|| stem.strip_prefix("lpt"))
            .is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']))
}

/// All agents' tokens. [`Agents::resolve`] is for the hot path: no lock, no file.
#[derive(Debug)]
pub struct Agents {
    home: Home,
    known: ArcSwap<HashMap<TokenDigest, AgentName>>,
    /// Held while files change, so that one name never gets two tokens.
    writing: Mutex<()>,
}

impl Agents {
    /// Reads the tokens that are there.
    ///
    /// # Errors
    /// If a token file cannot be read, or its name or content is not what Doorward writes.
    pub fn open(home: &Home) -> Result<Self, StoreError> {
        let agents = Self { home: home.clone(), known: ArcSwap::default(), writing: Mutex::new(()) };
        agents.reload()?;
        Ok(agents)
    }

    /// Reads the token files again: tokens whose file is gone are no longer valid.
    ///
    /// # Errors
    /// As [`Self::open`]; the tokens known before stay.
    pub fn reload(&self) -> Result<(), StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = self.home.agents_dir();
        let failed = at("read", &dir);
        let mut known = HashMap::new();
        for entry in std::fs::read_dir(&dir).map_err(&failed)? {
            let path = entry.map_err(&failed)?.path();
            if path.extension().is_none_or(|extension| extension != "token") {
                continue;
            }
            let name = AgentName::new(&path.file_stem().unwrap_or_default().to_string_lossy())?;
            if let Some(token) = read_token(&path, TokenKind::Agent)? {
                known.insert(TokenDigest::of(token.expose()), name);
            }
        }
        self.known.store(Arc::new(known));
        Ok(())
    }

    /// The token of agent `name`, created on first use. It stays the same until its file is removed.
    ///
    /// # Errors
    /// If the file cannot be read or created, or holds something else.
    pub fn token(&self, name: &AgentName) -> Result<Token, StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let token = read_or_create_token(&self.file(name), TokenKind::Agent)?;
        let digest = TokenDigest::of(token.expose());
        if self.known.load().get(&digest) != Some(name) {
            let mut known = HashMap::clone(&self.known.load());
            known.retain(|_, other| other != name);
            known.insert(digest, name.clone());
            self.known.store(Arc::new(known));
        }
        Ok(token)
    }

    /// The agent that `token` names; `None` if nobody was given it.
    #[must_use]
    pub fn resolve(&self, token: &str) -> Option<AgentName> {
        self.known.load().get(&TokenDigest::of(token)).cloned()
    }

    /// All agents that have a token, in order.
    #[must_use]
    pub fn names(&self) -> Vec<AgentName> {
        let mut names: Vec<AgentName> = self.known.load().values().cloned().collect();
        names.sort();
        names
    }

    fn file(&self, name: &AgentName) -> PathBuf {
        self.home.agents_dir().join(format!("{name}.token"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_as_file_names_everywhere() {
        for good in ["a", "claude-code", "ci.7_x", "console", "com10", &"a".repeat(64)] {
            assert!(AgentName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "-x",
            "_x",
            "A",
            "a/b",
            "a\\b",
            "a b",
            "a\n",
            "é",
            "nul",
            "com1",
            "lpt9.x",
            "con.x",
            &"a".repeat(65),
        ] {
            assert!(AgentName::new(bad).is_err(), "{bad:?}");
        }
    }
}
