//! Rules as they are compiled: a verb, a matcher, and where it was written.

use std::sync::Arc;

use super::layers::Level;
use super::limit::{Limit, Unit};
use super::named::Named;
use super::range::Range;
use super::request::{Conditions, RequestMatcher};
use super::url::UrlPattern;
use crate::action::{Action, ActionKind, AssetClass, Capability, Door, Source};
use crate::decision::{Coverage, Verdict};
use crate::detect::destination::Classes;
use crate::detect::glob::Glob;
use crate::session::Millis;
use crate::syntax::Span;
use crate::url::{Host, covers};

/// What a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// It answers `default: deny`, nothing else.
    Allow,
    /// It does not pass.
    Deny,
    /// A person decides.
    Ask,
    /// It passes, noted.
    Audit,
    /// It passes without what was found in it.
    Redact,
    /// It does not pass and is kept for review.
    Quarantine,
    /// It does not pass once a counter is used up.
    Limit,
    /// What named detector rules find in it is only noted.
    Suppress,
}

impl Verb {
    /// Every verb, as listed in messages.
    pub(super) const ALL: [Self; 8] = [
        Self::Allow,
        Self::Deny,
        Self::Ask,
        Self::Audit,
        Self::Redact,
        Self::Quarantine,
        Self::Limit,
        Self::Suppress,
    ];

    /// The word in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Ask => "ask",
            Self::Audit => "audit",
            Self::Redact => "redact",
            Self::Quarantine => "quarantine",
            Self::Limit => "limit",
            Self::Suppress => "suppress",
        }
    }

    pub(super) const fn verdict(self) -> Verdict {
        match self {
            Self::Allow | Self::Suppress => Verdict::Allow,
            Self::Audit => Verdict::Audit,
            Self::Redact => Verdict::Redact,
            Self::Ask => Verdict::Ask,
            Self::Quarantine => Verdict::Quarantine,
            Self::Deny | Self::Limit => Verdict::Block,
        }
    }

    /// Whether the unknown satisfies it. What lets something pass needs to know.
    pub(super) const fn restricts(self) -> bool {
        !matches!(self, Self::Allow | Self::Suppress)
    }

    /// Whether it says of an action by itself what becomes of it.
    pub(super) const fn judges(self) -> bool {
        !matches!(self, Self::Limit | Self::Suppress)
    }
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name of its source: a file.
    pub origin: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The bytes in the source.
    pub span: Span,
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub name: String,
    pub verb: Verb,
    pub matcher: Matcher,
    /// For people.
    pub reason: Option<String>,
    /// When it ends.
    pub expires: Option<Millis>,
    /// What is counted, of a `limit`.
    pub limit: Option<Limit>,
    /// Which detector rules, of a `suppress`.
    pub suppressed: Vec<Glob>,
    /// The findings it names, as written.
    pub named: Vec<Named>,
    pub level: Level,
    pub place: Place,
}

impl Rule {
    /// Whether it may look into the body of a request.
    pub fn looks_into_bodies(&self) -> bool {
        let counts_by_field = self.limit.as_ref().is_some_and(|limit| limit.field.is_some());
        self.matcher.request.asks_for_body() || counts_by_field
    }

    /// Whether it is a limit in money.
    pub fn counts_money(&self) -> bool {
        self.limit.as_ref().is_some_and(|limit| limit.unit == Unit::Money)
    }

    /// Whether it has ended by `now`.
    pub fn has_ended(&self, now: Millis) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }
}

/// What a rule is about. Every list that is not empty must hold something that fits.
#[derive(Debug, Default)]
pub(super) struct Matcher {
    pub tool: Vec<Glob>,
    /// The tools by name, if none of them has a wildcard.
    pub tool_names: Option<Vec<String>>,
    pub capability: Vec<Capability>,
    pub asset: Vec<AssetClass>,
    pub host: Vec<HostPattern>,
    pub url: Vec<UrlPattern>,
    pub path: Vec<PathPattern>,
    pub target: Vec<Glob>,
    pub source: Vec<Source>,
    pub tainted: Option<bool>,
    pub finding: Vec<Glob>,
    pub direction: Vec<Direction>,
    pub door: Vec<Door>,
    pub coverage: Vec<Extent>,
    pub principal: Vec<Glob>,
    /// On an HTTP request, and on the time.
    pub request: RequestMatcher,
    /// On the arguments of a call.
    pub arguments: Conditions,
    /// What the place that an effect leads to is to be; empty if it does not matter.
    pub destination: Classes,
    /// Whose rule it is: the lists are not the same for all.
    pub level: Level,
}

impl Matcher {
    /// Whether it has a condition on single effects.
    pub const fn asks_about_effects(&self) -> bool {
        !(self.capability.is_empty()
            && self.host.is_empty()
            && self.url.is_empty()
            && self.asset.is_empty()
            && self.path.is_empty()
            && self.target.is_empty()
            && self.destination.is_empty())
    }

    /// Whether it asks where effects lead.
    pub const fn asks_about_hosts(&self) -> bool {
        !(self.host.is_empty() && self.url.is_empty())
    }
}

/// A pattern for paths and what it begins with.
#[derive(Debug)]
pub(super) struct PathPattern {
    pub glob: Glob,
    /// What stands before the first wildcard, in small letters.
    pub literal: String,
    /// Whether that is all.
    pub is_plain: bool,
    /// Of what begins with `**/`, what follows: a path from a working directory that nobody knows may be all of it.
    pub anywhere: Option<Glob>,
    /// Of what ends in `/**`, the directory itself.
    pub directory: Option<Glob>,
}

/// A pattern for hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostPattern {
    /// A name, an address, or `*.suffix`.
    Named(String),
    /// A range of addresses.
    Range(Range),
}

impl HostPattern {
    pub fn covers(&self, host: &Host<'_>) -> bool {
        match (self, host) {
            (Self::Named(pattern), host) => covers(pattern, host),
            (Self::Range(range), Host::Ip(ip)) => range.contains(*ip),
            (Self::Range(_), Host::Name(_)) => false,
        }
    }
}

/// Which way something crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the agent.
    In,
    /// From the agent.
    Out,
}

impl Direction {
    pub const WORDS: [(&'static str, Self); 2] = [("in", Self::In), ("out", Self::Out)];

    /// Which way `action` crosses. At the model's door a call is on its way to the agent that would run it.
    pub const fn of(action: &Action) -> Self {
        match (action.kind, action.door) {
            (ActionKind::ToolCall, Door::Model) => Self::In,
            (
                ActionKind::ToolCall
                | ActionKind::ModelRequest
                | ActionKind::Outbound
                | ActionKind::Url
                | ActionKind::Opaque,
                _,
            ) => Self::Out,
            (
                ActionKind::ModelResponse
                | ActionKind::ProviderCall
                | ActionKind::ToolResult
                | ActionKind::Unknown,
                _,
            ) => Self::In,
        }
    }
}

/// How much could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Full,
    Partial,
    None,
}

impl Extent {
    pub const WORDS: [(&'static str, Self); 3] =
        [("full", Self::Full), ("partial", Self::Partial), ("none", Self::None)];

    pub const fn of(coverage: &Coverage) -> Self {
        match coverage {
            Coverage::Full => Self::Full,
            Coverage::Partial(_) => Self::Partial,
            Coverage::None(_) => Self::None,
        }
    }
}
