//! On what terms a person lets a session work: how much of what is decided is done to it, and what it was granted.

use std::sync::Arc;

use super::{Millis, Mode};

/// How much is enforced in one session. Set by a person; the weakest of process, policy and session counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum SessionMode {
    /// As process and policy say.
    #[default]
    Enforce,
    /// The same, but nobody is asked: what would be asked is blocked with words the agent can act on.
    Correct,
    /// Judged and recorded; nothing is altered.
    Observe,
    /// Not looked at: recorded without a judgement. The kill switch still stops it.
    Off,
}

impl SessionMode {
    /// Every mode, for tables and messages.
    pub const ALL: [Self; 4] = [Self::Enforce, Self::Correct, Self::Observe, Self::Off];

    /// The word in commands and receipts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Correct => "correct",
            Self::Observe => "observe",
            Self::Off => "off",
        }
    }

    /// The mode of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }

    /// What is in force where process and policy say `mode`.
    #[must_use]
    pub const fn weaken(self, mode: Mode) -> Mode {
        match self {
            Self::Enforce | Self::Correct => mode,
            Self::Observe | Self::Off => Mode::Monitor,
        }
    }

    /// The word for the receipt of what was decided where process and policy say `mode`: the session's own where it is
    /// the reason.
    #[must_use]
    pub const fn word(self, mode: Mode) -> &'static str {
        match (self, mode) {
            (Self::Off, _) => "off",
            (_, Mode::Monitor) => Mode::Monitor.as_str(),
            (Self::Observe, Mode::Block) => "observe",
            (Self::Correct, Mode::Block) => "correct",
            (Self::Enforce, Mode::Block) => Mode::Block.as_str(),
        }
    }
}

/// What a person lets a session do that would be asked or noted otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grant {
    /// Read files of the project wherever it lies.
    RepoRead,
    /// Write, delete and create files of the project.
    RepoWrite,
    /// Read the project's own `.env` and the environment.
    EnvRead,
    /// Send data to hosts.
    OutboundNetwork,
    /// Change configuration: the user's, and that of AI clients.
    ConfigWrite,
}

impl Grant {
    /// Every grant, for tables and messages.
    pub const ALL: [Self; 5] =
        [Self::RepoRead, Self::RepoWrite, Self::EnvRead, Self::OutboundNetwork, Self::ConfigWrite];

    /// The word in commands and receipts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RepoRead => "repo_read",
            Self::RepoWrite => "repo_write",
            Self::EnvRead => "env_read",
            Self::OutboundNetwork => "outbound_network",
            Self::ConfigWrite => "config_write",
        }
    }

    /// The grant of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == word)
    }
}

/// One grant, as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// What.
    pub grant: Grant,
    /// When it ends; `None`: when it is revoked.
    pub until: Option<Millis>,
    /// Who gave it.
    pub by: Arc<str>,
}

/// The terms of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How much is enforced.
    pub mode: SessionMode,
    /// What was granted, one of a kind.
    pub grants: Vec<Granted>,
}

impl Terms {
    /// Gives `granted`, in the place of one of its kind.
    pub fn grant(&mut self, granted: Granted) {
        self.revoke(granted.grant);
        self.grants.push(granted);
        self.grants.sort_by_key(|granted| granted.grant);
    }

    /// Takes a grant back; whether there was one.
    pub fn revoke(&mut self, grant: Grant) -> bool {
        let before = self.grants.len();
        self.grants.retain(|granted| granted.grant != grant);
        self.grants.len() < before
    }

    /// What of it counts at `now`.
    #[must_use]
    pub fn at(&self, now: Millis) -> Standing {
        let counts = |granted: &&Granted| granted.until.is_none_or(|until| now < until);
        let bits = self.grants.iter().filter(counts).fold(0, |bits, granted| bits | granted.grant.bit());
        Standing { mode: self.mode, grants: Grants(bits) }
    }
}

impl Grant {
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The terms of a session as they stand at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How much is enforced.
    pub mode: SessionMode,
    /// What is granted.
    pub grants: Grants,
}

/// A set of grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grants(u8);

impl Grants {
    /// Whether `grant` is among them.
    #[must_use]
    pub const fn has(self, grant: Grant) -> bool {
        self.0 & grant.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back() {
        assert!(SessionMode::ALL.iter().all(|mode| SessionMode::parse(mode.as_str()) == Some(*mode)));
        assert!(Grant::ALL.iter().all(|grant| Grant::parse(grant.as_str()) == Some(*grant)));
        assert_eq!((SessionMode::parse("Enforce"), Grant::parse("root")), (None, None));
    }

    #[test]
    fn a_grant_counts_until_it_ends_or_is_revoked() {
        let mut terms = Terms::default();
        let give = |grant, until| Granted { grant, until, by: "operator-token".into() };
        terms.grant(give(Grant::EnvRead, Some(100)));
        terms.grant(give(Grant::RepoWrite, None));
        assert!(terms.at(99).grants.has(Grant::EnvRead) && !terms.at(100).grants.has(Grant::EnvRead));
        assert!(terms.at(u64::MAX).grants.has(Grant::RepoWrite));
        assert!(!terms.at(0).grants.has(Grant::ConfigWrite));
        // Given again it takes the place of the first.
        terms.grant(give(Grant::EnvRead, Some(200)));
        assert_eq!(terms.grants.len(), 2);
        assert!(terms.at(150).grants.has(Grant::EnvRead));
        assert!(terms.revoke(Grant::EnvRead) && !terms.revoke(Grant::EnvRead));
        assert!(!terms.at(150).grants.has(Grant::EnvRead));
    }

    #[test]
    fn the_weakest_counts_and_the_receipt_says_whose_it_is() {
        use Mode::{Block, Monitor};
        for (mode, process, effective, word) in [
            (SessionMode::Enforce, Block, Block, "block"),
            (SessionMode::Enforce, Monitor, Monitor, "monitor"),
            (SessionMode::Correct, Block, Block, "correct"),
            (SessionMode::Correct, Monitor, Monitor, "monitor"),
            (SessionMode::Observe, Block, Monitor, "observe"),
            (SessionMode::Observe, Monitor, Monitor, "monitor"),
            (SessionMode::Off, Block, Monitor, "off"),
            (SessionMode::Off, Monitor, Monitor, "off"),
        ] {
            assert_eq!((mode.weaken(process), mode.word(process)), (effective, word));
        }
    }
}
