//! Limits: how much of what within which time, on whose counter.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::counters::Exceeded;
use super::judged::Judged;
use super::place::Place;
use super::request::Field;
use super::rule::Rule;
use super::truth::Truth;
use super::{Given, Policy};
use crate::action::{Action, ActionKind, Target};
use crate::decision::{Charge, CounterId, Layer, Reason, Verdict};
use crate::session::Millis;
use crate::url::Url;

/// The most endpoints of one action that are told apart; the rest counts as one that cannot be read.
const MOST_ENDPOINTS: usize = 64;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Unit {
    Calls,
    Bytes,
}

impl Unit {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Bytes => "bytes",
        }
    }
}

/// Whose counter it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Per {
    Global,
    Agent,
    Key,
    Session,
    Endpoint,
    BodyField,
}

impl Per {
    pub const ALL: [Self; 6] =
        [Self::Global, Self::Agent, Self::Key, Self::Session, Self::Endpoint, Self::BodyField];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Agent => "agent",
            Self::Key => "key",
            Self::Session => "session",
            Self::Endpoint => "endpoint",
            Self::BodyField => "body_field",
        }
    }
}

/// What a limit counts, and on whose counters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Counts {
    pub unit: Unit,
    pub window: Millis,
    pub per: Per,
    /// The path of `body_field` as written, or nothing.
    pub field: String,
}

/// One limit.
#[derive(Debug)]
pub(super) struct Limit {
    pub unit: Unit,
    /// Milliseconds.
    pub window: Millis,
    pub most: u64,
    pub per: Per,
    /// Which, with `body_field`.
    pub field: Option<Field>,
    /// Whose counters it has, in 16 bytes: those of its own name, or of the name it shares.
    pub group: [u8; 16],
}

impl Limit {
    /// The counters of `name`: two limits never have the same by accident, whatever they are called.
    pub fn group_of(name: &str, shared: bool, counts: &Counts) -> [u8; 16] {
        digest(&[
            if shared { b"shared" } else { b"own" },
            name.as_bytes(),
            counts.unit.as_str().as_bytes(),
            &counts.window.to_be_bytes(),
            counts.per.as_str().as_bytes(),
            counts.field.as_bytes(),
        ])
    }
}

/// Each piece is preceded by its length, so that no two lists of pieces read the same.
fn digest(pieces: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update((piece.len() as u64).to_be_bytes());
        hash.update(piece);
    }
    hash.finalize().first_chunk().copied().unwrap_or_default()
}

impl Policy {
    /// What `action` costs if it goes on: one charge for each limit that speaks about it and each of its counters.
    #[must_use]
    pub fn charges(&self, action: &Action, given: &Given<'_>) -> Vec<Charge> {
        if self.limits.is_empty() || !is_counted(action.kind) {
            return Vec::new();
        }
        let judged = Judged::new(action, given, &self.destinations, true, true);
        let candidates = self.limits.candidates(action, given, &judged.places);
        let limits = candidates.filter_map(|at| {
            let rule = self.rules.get(at)?;
            Some((rule, rule.limit.as_ref()?))
        });
        limits
            .filter(|(rule, _)| judged.some(&rule.matcher) != Truth::No)
            .flat_map(|(rule, limit)| judged.charges(rule, limit))
            .collect()
    }

    /// Whether one of its limits has the counters of this name: others can be forgotten.
    #[must_use]
    pub fn counts_on(&self, group: &[u8; 16]) -> bool {
        self.groups.contains(group)
    }

    pub(super) fn groups_of(rules: &[Rule]) -> HashSet<[u8; 16]> {
        rules.iter().filter_map(|rule| Some(rule.limit.as_ref()?.group)).collect()
    }
}

/// Whether something goes out by it that may be counted; replies and results are answers to what was.
const fn is_counted(kind: ActionKind) -> bool {
    match kind {
        ActionKind::ModelRequest
        | ActionKind::ToolCall
        | ActionKind::Outbound
        | ActionKind::Url
        | ActionKind::Unknown
        | ActionKind::Opaque => true,
        ActionKind::ModelResponse | ActionKind::ProviderCall | ActionKind::ToolResult => false,
    }
}

/// The reason of a limit that has no room, at `now`.
#[must_use]
pub fn exceeded(limit: &Exceeded, now: Millis) -> Reason {
    let advice = match limit.again {
        Some(at) => format!("wait {} s", at.saturating_sub(now).div_ceil(1000).max(1)),
        None => "ask for less at once".to_owned(),
    };
    let seconds = limit.window / 1000;
    Reason {
        rule: format!("policy.{}", limit.account),
        layer: Layer::Budget,
        verdict: Verdict::Block,
        severity: 70,
        message: format!(
            "the limit \"{}\" is used up: {} {} in {seconds} s",
            limit.account, limit.most, limit.unit
        ),
        advice,
        part: None,
    }
}

impl Judged<'_> {
    fn charges<'s>(&'s self, rule: &'s Rule, limit: &'s Limit) -> impl Iterator<Item = Charge> + 's {
        let amount = match limit.unit {
            Unit::Calls => 1,
            Unit::Bytes => self.action.parts.iter().map(|part| part.text.len() as u64).sum(),
        };
        let keys: HashSet<[u8; 16]> = match &limit.per {
            Per::Global => [[0; 16]].into(),
            Per::Agent | Per::Key => [digest(&[self.action.agent.as_bytes()])].into(),
            Per::Session => [digest(&[self.action.session.as_bytes()])].into(),
            Per::Endpoint => self.endpoints(rule),
            // Whatever has no such field, or none that can be read, counts together.
            Per::BodyField => {
                let value = limit.field.as_ref().and_then(|field| self.field(field));
                [digest(
                    &value.as_ref().map_or([b"none".as_slice(), b""], |value| [b"field", value.as_bytes()]),
                )]
                .into()
            }
        };
        keys.into_iter().map(move |key| Charge {
            account: rule.name.clone(),
            unit: limit.unit.as_str(),
            amount,
            counter: CounterId { group: limit.group, key },
            most: limit.most,
            window: limit.window,
        })
    }

    /// Where the action leads, as far as `rule` is about it. What cannot be read is one endpoint.
    fn endpoints(&self, rule: &Rule) -> HashSet<[u8; 16]> {
        let mut found = HashSet::new();
        let unreadable = digest(&[b"unreadable"]);
        for (at, place) in (0..).zip(self.places.iter()) {
            if *place == Place::Nothing || self.effect(&rule.matcher, at) == Truth::No {
                continue;
            }
            let endpoint = match place {
                Place::Url(url) => path_at(url),
                Place::Host(host) if self.is_host(at) => {
                    Some(digest(&[b"host", host.to_string().as_bytes()]))
                }
                _ => None,
            };
            let endpoint = endpoint.filter(|_| found.len() < MOST_ENDPOINTS);
            found.insert(endpoint.unwrap_or(unreadable));
        }
        if found.is_empty() {
            found.insert(match &self.action.tool {
                Some(tool) => digest(&[b"tool", tool.name.as_bytes()]),
                None => digest(&[b"peer", self.action.peer.as_bytes()]),
            });
        }
        found
    }

    fn is_host(&self, at: usize) -> bool {
        self.given.effects.get(at).is_some_and(|effect| matches!(effect.target, Target::Host(_)))
    }
}

/// Host and path of `url`, if all servers read the path alike. Letters count as small: some servers do not tell
/// them apart, and a counter for each spelling would be no limit.
fn path_at(url: &Url<'_>) -> Option<[u8; 16]> {
    let mut readings = url.path.readings();
    let (first, second) = (readings.next()?, readings.next());
    let host = url.host.to_string();
    let path: Vec<String> = first.iter().map(|segment| segment.to_lowercase()).collect();
    let pieces = std::iter::once(b"url".as_slice()).chain([host.as_bytes()]);
    second.is_none().then(|| digest(&pieces.chain(path.iter().map(String::as_bytes)).collect::<Vec<_>>()))
}
