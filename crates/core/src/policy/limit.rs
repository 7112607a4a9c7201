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
use crate::decision::{Charge, CounterId, Later, Layer, Reason, Verdict};
use crate::session::Millis;
use crate::url::Url;
use crate::usage::{Asked, Price, decimal};

/// The most endpoints of one action that are told apart; the rest counts as one that cannot be read.
const MOST_ENDPOINTS: usize = 64;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Unit {
    Calls,
    Bytes,
    Tokens,
    /// In billionths.
    Money,
}

impl Unit {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Bytes => "bytes",
            Self::Tokens => "tokens",
            Self::Money => "money",
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
    /// What it says, for a person: `5 calls per minute, per agent`.
    pub fn says(&self) -> String {
        let most = match self.unit {
            Unit::Money => decimal(self.most),
            Unit::Calls | Unit::Bytes | Unit::Tokens => self.most.to_string(),
        };
        let window = match self.window {
            1_000 => "second",
            60_000 => "minute",
            3_600_000 => "hour",
            _ => "day",
        };
        let whose = match self.per {
            Per::Global => "for all together".to_owned(),
            per => format!("per {}", per.as_str()),
        };
        format!("{most} {} per {window}, {whose}", self.unit.as_str())
    }

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

/// What the account of a charge begins with that is a key's budget and no limit of the policy: no rule has such a name.
pub const OF_KEYS: &str = "key/";

/// A limit, found by what a receipt says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitNamed {
    /// Its counters.
    pub group: [u8; 16],
    /// Which of them; `None` if a receipt does not tell.
    pub key: Option<[u8; 16]>,
    /// Its window, in milliseconds.
    pub window: Millis,
}

impl Policy {
    /// What `action` costs if it goes on: one charge for each limit that speaks about it and each of its counters.
    #[must_use]
    pub fn charges(&self, action: &Action, given: &Given<'_>) -> Vec<Charge> {
        let price = self.price(action);
        self.limits_on(action, given, |judged, rule, limit| judged.charges(rule, limit, price))
    }

    /// A reason for each limit in money that speaks about `action`, if nobody knows what it costs: it may be more
    /// than there is.
    #[must_use]
    pub fn unpriced(&self, action: &Action, given: &Given<'_>) -> Vec<Reason> {
        if !self.counts_money || action.asked == Asked::Nothing || self.price(action).is_some() {
            return Vec::new();
        }
        self.limits_on(action, given, |_, rule, limit| {
            (limit.unit == Unit::Money).then(|| unpriced(rule, &action.asked))
        })
    }

    /// What each limit that speaks about `action` has to say.
    fn limits_on<T, I: IntoIterator<Item = T>>(
        &self,
        action: &Action,
        given: &Given<'_>,
        say: impl Fn(&Judged<'_>, &Rule, &Limit) -> I,
    ) -> Vec<T> {
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
            .flat_map(|(rule, limit)| say(&judged, rule, limit))
            .collect()
    }

    /// What tokens of the model that `action` asks cost.
    fn price(&self, action: &Action) -> Option<Price> {
        match &action.asked {
            Asked::Model(model) => self.prices.of(model),
            Asked::Nothing | Asked::Unknown | Asked::Deferred => None,
        }
    }

    /// Whether one of its limits has the counters of this name: others can be forgotten.
    #[must_use]
    pub fn counts_on(&self, group: &[u8; 16]) -> bool {
        self.groups.contains(group)
    }

    /// The counters of its limits, by name.
    #[must_use]
    pub const fn counter_groups(&self) -> &HashSet<[u8; 16]> {
        &self.groups
    }

    /// The limit that a receipt names, and its counter as far as a receipt tells. A receipt cuts long names.
    #[must_use]
    pub fn limit_named(&self, account: &str, unit: &str, agent: &str, session: &str) -> Option<LimitNamed> {
        let begins = account.strip_suffix('…');
        let named = |name: &str| name == account || begins.is_some_and(|begins| name.starts_with(begins));
        let mut limits = self.rules.iter().filter_map(|rule| Some((rule, rule.limit.as_ref()?)));
        let (_, limit) = limits.find(|(rule, limit)| named(&rule.name) && limit.unit.as_str() == unit)?;
        let key = match limit.per {
            Per::Global => Some([0; 16]),
            Per::Agent | Per::Key => Some(key_of(agent)),
            Per::Session => Some(key_of(session)),
            Per::Endpoint | Per::BodyField => None,
        };
        Some(LimitNamed { group: limit.group, key, window: limit.window })
    }

    /// The highest of all prices, one by one.
    #[must_use]
    pub fn dearest(&self) -> Price {
        self.prices.dearest()
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

/// The counter of an agent or a session.
fn key_of(name: &str) -> [u8; 16] {
    digest(&[name.as_bytes()])
}

/// The most of a model's name that a message repeats, in characters.
const SHOWN: usize = 80;

/// The reason of a limit in money on what nobody has a price for.
fn unpriced(rule: &Rule, asked: &Asked) -> Reason {
    let (what, advice) = match asked {
        Asked::Model(model) => {
            // The agent's word, and it stands in receipts.
            let model: String = model.chars().filter(|c| !c.is_control() && *c != '`').take(SHOWN).collect();
            let advice = format!(
                "ask the operator to add `- model: {model}` with `input:` and `output:` to `prices:` of the policy"
            );
            (format!("the model `{model}` has no price"), advice)
        }
        Asked::Nothing | Asked::Unknown | Asked::Deferred => (
            "what this uses is not known when it is answered".to_owned(),
            "ask for a reply of a model by name, at once; or ask the operator to leave this out of the limit"
                .to_owned(),
        ),
    };
    Reason {
        rule: format!("policy.{}", rule.name),
        layer: Layer::Budget,
        verdict: Verdict::Block,
        severity: 70,
        message: format!("{what}, and the limit \"{}\" is in money", rule.name),
        advice,
        part: None,
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
        rule: match limit.account.strip_prefix(OF_KEYS) {
            Some(budget) => format!("budget.{budget}"),
            None => format!("policy.{}", limit.account),
        },
        layer: Layer::Budget,
        verdict: Verdict::Block,
        severity: 70,
        message: format!(
            "the limit \"{}\" is used up: {} {} in {seconds} s",
            limit.account,
            if limit.unit == Unit::Money.as_str() { decimal(limit.most) } else { limit.most.to_string() },
            limit.unit
        ),
        advice,
        part: None,
    }
}

impl Judged<'_> {
    fn charges(&self, rule: &Rule, limit: &Limit, price: Option<Price>) -> Vec<Charge> {
        let asks = self.action.asked != Asked::Nothing;
        let (amount, later) = match limit.unit {
            Unit::Calls => (1, None),
            Unit::Bytes => (self.action.parts.iter().map(|part| part.text.len() as u64).sum(), None),
            Unit::Tokens if asks => (0, Some(Later::Tokens)),
            // Without a price it is a reason, and no charge.
            Unit::Money => match price {
                Some(price) => (0, Some(Later::Money(price))),
                None => return Vec::new(),
            },
            Unit::Tokens => return Vec::new(),
        };
        let keys: HashSet<[u8; 16]> = match &limit.per {
            Per::Global => [[0; 16]].into(),
            Per::Agent | Per::Key => [key_of(&self.action.agent)].into(),
            Per::Session => [key_of(&self.action.session)].into(),
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
        let charge = |key| Charge {
            account: rule.name.clone(),
            unit: limit.unit.as_str(),
            amount,
            later,
            counter: CounterId { group: limit.group, key },
            most: limit.most,
            window: limit.window,
        };
        keys.into_iter().map(charge).collect()
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
