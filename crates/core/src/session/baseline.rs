//! What an agent usually does: the capabilities it has used and the classes of things it has touched. A value the caller
//! keeps for each agent, across its sessions.
//!
//! It learns for a while and says nothing. After that what is new has a score, and is known from then on: a new kind of
//! work is told of once, not with every call of it.

use super::Millis;
use super::journal::codec::{Reader, Spoilt, Writer};
use crate::action::{AssetClass, Capability, Effect, Source};

#[cfg(test)]
mod tests;

/// How long an agent is only learnt from, at least: five minutes.
pub const LEARNING: Millis = 5 * 60 * 1000;

/// How many actions it is only learnt from, at least.
pub const LEARNING_CALLS: u64 = 30;

/// What a snapshot or a delta of a baseline begins with.
const KIND: u8 = b'b';

/// What one agent usually does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    began: Millis,
    last: Millis,
    calls: u64,
    /// As bits, by place in [`Capability::ALL`] and [`AssetClass::ALL`].
    capabilities: u64,
    assets: u64,
}

/// How unusual an action is for its agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anomaly {
    /// 0 (usual, or the agent is still learnt from) to 100.
    pub score: u8,
    /// What makes it so, each with its share of the score; together they may be more than 100.
    pub parts: Vec<(&'static str, u8)>,
    /// Whether a capability is new that reaches out or runs code.
    pub escalates: bool,
}

/// The settings of a baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learning {
    /// How long, in milliseconds.
    pub window: Millis,
    /// How many actions.
    pub calls: u64,
}

impl Default for Learning {
    fn default() -> Self {
        Self { window: LEARNING, calls: LEARNING_CALLS }
    }
}

const fn bit(at: u64) -> u64 {
    1 << (at & 63)
}

/// Whether it reaches out of the project, runs code or asks for secrets.
const fn is_critical(capability: Capability) -> bool {
    use Capability::{
        Administer, BrowserDownload, Execute, McpInvoke, NetworkListen, NetworkPost, SecretAccess,
        UiAutomation,
    };
    matches!(
        capability,
        Execute
            | NetworkPost
            | NetworkListen
            | BrowserDownload
            | McpInvoke
            | SecretAccess
            | UiAutomation
            | Administer
    )
}

const fn is_sensitive(asset: AssetClass) -> bool {
    use AssetClass::{
        AiClientConfig, BrowserData, CloudMetadata, Credential, Doorward, Keychain, ProjectSecret, Startup,
        Wallet,
    };
    matches!(
        asset,
        AiClientConfig
            | BrowserData
            | CloudMetadata
            | Credential
            | Doorward
            | Keychain
            | ProjectSecret
            | Startup
            | Wallet
    )
}

impl Baseline {
    /// The baseline of these bytes, which [`Baseline::encode`] or an action's end gave: each of them is the whole value.
    ///
    /// # Errors
    /// If they are anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Spoilt> {
        let mut reader = Reader::new(bytes, KIND)?;
        if reader.is_empty() {
            return Ok(Self::default());
        }
        let mut next = || reader.number();
        let baseline =
            Self { began: next()?, last: next()?, calls: next()?, capabilities: next()?, assets: next()? };
        if reader.is_empty() { Ok(baseline) } else { Err(Spoilt("something follows its end")) }
    }

    /// All of it, as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(KIND);
        let Self { began, last, calls, capabilities, assets } = *self;
        [began, last, calls, capabilities, assets].into_iter().for_each(|number| writer.number(number));
        writer.finish()
    }

    /// Whether it is still learning at `now`.
    #[must_use]
    pub const fn is_learning(&self, now: Millis, learning: Learning) -> bool {
        self.calls < learning.calls || now.saturating_sub(self.began) < learning.window
    }

    /// When the agent was first seen, in milliseconds since the Unix epoch; 0 if it never was.
    #[must_use]
    pub const fn began(&self) -> Millis {
        self.began
    }

    /// How many of its actions were forwarded.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.calls
    }

    /// What it usually does.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> {
        let bits = self.capabilities;
        Capability::ALL.into_iter().filter(move |capability| bits & bit(*capability as u64) != 0)
    }

    /// What it usually touches.
    pub fn assets(&self) -> impl Iterator<Item = AssetClass> {
        let bits = self.assets;
        AssetClass::ALL.into_iter().filter(move |asset| bits & bit(*asset as u64) != 0)
    }

    /// Whether the capability and the asset of an effect are new.
    pub(super) const fn is_new(&self, capability: Capability, asset: AssetClass) -> (bool, bool) {
        (self.capabilities & bit(capability as u64) == 0, self.assets & bit(asset as u64) == 0)
    }

    /// How unusual `effects` are that `source` caused. Nothing is unusual but for something new.
    pub(super) fn judge(
        &self,
        effects: &[Effect],
        source: Source,
        tainted: bool,
        now: Millis,
        learning: Learning,
    ) -> Anomaly {
        if self.is_learning(now, learning) {
            return Anomaly::default();
        }
        let new = |effect: &&Effect| self.is_new(effect.capability, effect.asset);
        let capability = effects.iter().any(|effect| new(&effect).0);
        let asset = effects.iter().any(|effect| new(&effect).1);
        if !capability && !asset {
            return Anomaly::default();
        }
        let escalates = effects.iter().any(|effect| new(&effect).0 && is_critical(effect.capability));
        let sensitive = effects.iter().any(|effect| is_sensitive(effect.asset));
        let untrusted = matches!(source, Source::Web | Source::Mcp | Source::Provider | Source::Unknown);
        let parts: Vec<(&'static str, u8)> = [
            (capability, "a capability it has not used before", 30),
            (escalates, "one that reaches out or runs code", 20),
            (asset, "a kind of thing it has not touched before", 25),
            (sensitive, "something sensitive", 15),
            (tainted, "shaped by untrusted content", 15),
            (untrusted, "proposed by an untrusted source", 10),
        ]
        .into_iter()
        .filter(|(so, ..)| *so)
        .map(|(_, name, share)| (name, share))
        .collect();
        let score = parts.iter().map(|(_, share)| *share).sum::<u8>().min(100);
        Anomaly { score, parts, escalates }
    }

    /// Learns from an action that was forwarded. Returns the delta, which is the whole value.
    pub(super) fn learn(&mut self, effects: &[Effect], now: Millis) -> Vec<u8> {
        if self.began == 0 {
            self.began = now.max(1);
        }
        self.last = self.last.max(now);
        self.calls = self.calls.saturating_add(1);
        for effect in effects {
            self.capabilities |= bit(effect.capability as u64);
            self.assets |= bit(effect.asset as u64);
        }
        self.encode()
    }
}
