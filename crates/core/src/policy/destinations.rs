//! Where data may go, as operators say beside the rules: `destinations`.
//!
//! What a level blocks is blocked for all. What it allows is allowed to its own rules and its own `block_unknown_post`
//! alone, as its `allow` rules answer its own `default: deny` alone: so no level weakens another.

use std::collections::HashMap;

use super::evaluate::Given;
use super::layers::Level;
use super::rule::HostPattern;
use super::truth::Truth;
use super::url::UrlPattern;
use crate::action::{Action, Capability};
use crate::decision::{Layer, Reason, Verdict};
use crate::detect::destination::{At, Class, Classes, Lead, Lists, lead};
use crate::url::{Host, Url};

/// The names of the reasons that lists give, behind `policy.`. No rule has them.
pub(super) const NAMES: [&str; 2] = ["destinations.block", "destinations.unknown-post"];

/// What all levels say.
#[derive(Debug, Default)]
pub(super) struct Destinations([OfLevel; 3]);

/// What one level says.
#[derive(Debug, Default)]
pub(super) struct OfLevel {
    pub allow: Places,
    pub block: Places,
    pub block_unknown_post: bool,
}

/// A list of places.
#[derive(Debug, Default)]
pub(super) struct Places {
    patterns: Vec<Pattern>,
    /// By the name of the host, or by what stands behind `*.`.
    by_name: HashMap<Box<str>, Vec<u32>>,
    /// Addresses, ranges of them, and patterns for any host.
    others: Vec<u32>,
}

#[derive(Debug)]
pub(super) enum Pattern {
    Host(HostPattern),
    Url(UrlPattern),
}

impl Places {
    pub fn add(&mut self, pattern: Pattern) {
        let at = u32::try_from(self.patterns.len()).unwrap_or(u32::MAX);
        let host = match &pattern {
            Pattern::Host(HostPattern::Named(host)) => Some(host.as_str()),
            Pattern::Host(HostPattern::Range(_)) => None,
            Pattern::Url(url) => url.host(),
        };
        let name = host.map(|host| host.strip_prefix("*.").unwrap_or(host));
        match name.filter(|name| name.parse::<std::net::IpAddr>().is_err()) {
            Some(name) => self.by_name.entry(name.into()).or_default().push(at),
            None => self.others.push(at),
        }
        self.patterns.push(pattern);
    }

    /// Whether the list has where something leads; `url` if it is known what is asked for there.
    fn has(&self, host: &Host<'_>, url: Option<&Url<'_>>) -> Truth {
        let mut truth = Truth::No;
        let mut look = |list: &[u32]| {
            let patterns = list.iter().filter_map(|at| self.patterns.get(usize::try_from(*at).ok()?));
            truth = patterns.map(|pattern| pattern.is_about(host, url)).max().unwrap_or(Truth::No).max(truth);
        };
        look(&self.others);
        if let Host::Name(name) = host {
            let mut rest = Some(&**name);
            while let Some(suffix) = rest {
                self.by_name.get(suffix).into_iter().for_each(|list| look(list));
                rest = suffix.split_once('.').map(|(_, parent)| parent);
            }
        }
        truth
    }

    /// The same for whatever is known of a way.
    pub fn may_have(&self, lead: &Lead<'_>) -> Truth {
        match lead {
            Lead::Url(url) => self.has(&url.host, Some(url)),
            Lead::Host(host, _) => self.has(host, None),
            Lead::Anywhere => Truth::from(!self.patterns.is_empty()).min(Truth::Unknown),
            Lead::Nothing | Lead::Named(_) => Truth::No,
        }
    }
}

impl Pattern {
    fn is_about(&self, host: &Host<'_>, url: Option<&Url<'_>>) -> Truth {
        match (self, url) {
            (Self::Host(pattern), _) => pattern.covers(host).into(),
            (Self::Url(pattern), Some(url)) => pattern.matches(url),
            (Self::Url(pattern), None) => Truth::from(pattern.is_at(host)).min(Truth::Unknown),
        }
    }
}

impl Destinations {
    pub const fn of_level(&mut self, level: Level) -> &mut OfLevel {
        let [organisation, team, agent] = &mut self.0;
        match level {
            Level::Organisation => organisation,
            Level::Team => team,
            Level::Agent => agent,
        }
    }

    fn each(&self) -> impl Iterator<Item = (Level, &OfLevel)> {
        Level::ALL.into_iter().zip(&self.0)
    }

    /// Whether nothing is said by any level that gives a reason.
    fn is_silent(&self) -> bool {
        self.0.iter().all(|level| level.block.patterns.is_empty() && !level.block_unknown_post)
    }

    /// Whether some level surely allows `at`, so that what is found there is only noted.
    pub fn allows(&self, at: At<'_>, url: Option<&Url<'_>>) -> bool {
        self.0.iter().any(|level| level.allow.has(at.host, url) == Truth::Yes)
    }

    /// What a way is to the rules of `level`. `listed` is what it is by what is shipped and learnt.
    pub fn classes(&self, level: Level, lead: &Lead<'_>, listed: Classes) -> Classes {
        let put = |classes: Classes, truth: Truth, class: Class| match truth {
            Truth::Yes => Classes::of(class),
            Truth::Unknown => classes.or(Classes::of(class)),
            Truth::No => classes,
        };
        let own = self.each().find(|(own, _)| *own == level).map(|(_, own)| own.allow.may_have(lead));
        let classes = put(listed, own.unwrap_or(Truth::No), Class::Allowed);
        let blocked = self.0.iter().map(|level| level.block.may_have(lead)).max();
        put(classes, blocked.unwrap_or(Truth::No), Class::Blocked)
    }

    /// The reasons that lists give by themselves. A place that may be on a block-list is on it; a place of which
    /// nothing is known is not.
    pub fn judge(&self, action: &Action, given: &Given<'_>, reasons: &mut Vec<Reason>) {
        if self.is_silent() {
            return;
        }
        let (mut blocked, mut unlisted) = (None, None);
        for effect in given.effects {
            let lead = lead(action.kind, effect);
            if matches!(lead, Lead::Url(_) | Lead::Host(..)) {
                let level = self.each().find(|(_, own)| own.block.may_have(&lead) != Truth::No);
                blocked = blocked.or(level.map(|(level, _)| reason(NAMES[0], level, shown(&lead))));
            }
            if effect.capability != Capability::NetworkPost || matches!(lead, Lead::Nothing | Lead::Named(_))
            {
                continue;
            }
            let listed = given.lists.classify_lead(&lead, effect);
            let minding = self.each().filter(|(_, own)| own.block_unknown_post);
            let mut stopping =
                minding.filter(|(level, _)| !self.classes(*level, &lead, listed).within(known()));
            unlisted = unlisted.or(stopping.next().map(|(level, _)| reason(NAMES[1], level, shown(&lead))));
        }
        reasons.extend(blocked.into_iter().chain(unlisted));
    }
}

/// The classes to which a post is none to an unknown place.
fn known() -> Classes {
    Classes::of(Class::Allowed).or(Classes::of(Class::Registry)).or(Classes::of(Class::Internal))
}

/// The host, for a message.
fn shown(lead: &Lead<'_>) -> String {
    match lead {
        Lead::Url(url) => url.host.to_string(),
        Lead::Host(host, _) => host.to_string(),
        Lead::Nothing | Lead::Named(_) | Lead::Anywhere => "a host that is not spelled out".to_owned(),
    }
}

fn reason(name: &str, level: Level, host: String) -> Reason {
    let host: String = host.chars().take(96).collect();
    let whose = match level {
        Level::Agent => String::new(),
        level => format!(" of the {}", level.as_str()),
    };
    let message = if name == NAMES[0] {
        format!("the policy's block-list{whose} has where this leads ({host})")
    } else {
        format!("this sends data to a place that is on no list{whose} ({host})")
    };
    Reason {
        rule: format!("policy.{name}"),
        layer: Layer::Policy,
        verdict: Verdict::Block,
        severity: 80,
        message,
        advice: "use a host the policy allows, or ask the operator for one more in its `destinations`".into(),
        part: None,
    }
}

impl super::Policy {
    /// Whether the operator surely allows `at`; `url` if it is known what is asked for there.
    #[must_use]
    pub fn allows_place(&self, at: At<'_>, url: Option<&Url<'_>>) -> bool {
        self.destinations.allows(at, url)
    }

    /// What an effect's way is to the rules of this Doorward's agents, with what `lists` know. For explanations.
    #[must_use]
    pub fn classes(&self, lists: &Lists, action: &Action, effect: &crate::action::Effect) -> Classes {
        let lead = lead(action.kind, effect);
        self.destinations.classes(Level::Agent, &lead, lists.classify_lead(&lead, effect))
    }
}
