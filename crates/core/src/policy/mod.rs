//! The operator's rules: YAML in, one immutable [`Policy`] out, swapped whole.
//!
//! A policy that does not fully compile does not load, and all its faults are told at once. What
//! cannot be known about an action (a host that is not spelled out, a variable nobody resolved)
//! satisfies the verbs that restrict and never `allow`. `spec/policy.md` is the language.

use std::collections::HashSet;

use crate::session::{Millis, Mode};
use crate::syntax::{Diagnostic, Severity, Source, digest};

mod case;
pub use case::{Case, Surprise};

mod counters;
pub use counters::{Counters, Exceeded, Reservation, Use};

mod date;

mod assets;
use assets::Assets;

mod destinations;
use destinations::Destinations;

mod evaluate;
pub(crate) use evaluate::NOTHING_OUT;
pub use evaluate::{Given, answers_to_default};

mod explain;
pub use explain::{Condition, Explained};

mod few;

mod index;
use index::Index;

mod jsonpath;

mod judged;

mod layers;
use layers::{Layer, Setting};
pub use layers::{Level, MOST_FILES, Provision, Reader, Text, Texts};

mod limit;

pub mod matrix;
pub use limit::{LimitNamed, OF_KEYS, exceeded};

mod named;

mod number;

mod parse;

mod pattern;

mod place;

mod prices;
use prices::Prices;

mod range;

mod request;

mod rule;
use rule::Rule;
pub use rule::{Place, Verb};

mod schema;
pub use schema::schema;

mod suppress;
pub use suppress::Suppressions;

mod truth;
pub use truth::Truth;

mod url;

/// The policy in force when an operator has none, with comments: `doorward init` writes this file.
pub const SHIPPED: &str = include_str!("shipped.yaml");

/// A compiled policy.
#[derive(Debug)]
pub struct Policy {
    /// Of each level, if it says one.
    defaults: [Option<Default>; 3],
    /// Whether it is `deny`.
    denying: [bool; 3],
    settings: Vec<Setting>,
    mode: Mode,
    profile: Profile,
    rules: Vec<Rule>,
    /// The rules that judge by themselves.
    index: Index,
    limits: Index,
    suppressing: Index,
    assets: Assets,
    destinations: Destinations,
    looks_into_bodies: bool,
    /// Whether one of its rules has something taken out.
    redacts: bool,
    /// What models cost.
    prices: Prices,
    /// Whether a limit is in money.
    counts_money: bool,
    /// The counters of its limits.
    groups: HashSet<[u8; 16]>,
    cases: Vec<Case>,
    revision: String,
    warnings: Vec<Diagnostic>,
}

/// What happens to a call that no rule speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Default {
    /// It passes, unless something else stops it.
    Allow,
    /// It is blocked.
    Deny,
}

impl Default {
    /// The word in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// How the merely unknown is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Audited: ordinary coding work is never interrupted.
    Balanced,
    /// Asked.
    Strict,
}

impl Profile {
    /// The word in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Strict => "strict",
        }
    }
}

impl Policy {
    /// Compiles `sources` into one policy. With several, all rules are in force and the strictest
    /// `default`, `mode` and `profile` win: a further file can only restrict.
    ///
    /// # Errors
    /// All faults in all sources.
    pub fn compile(sources: &[Source<'_>]) -> Result<Self, Vec<Diagnostic>> {
        let layers = sources.iter().map(|source| Layer {
            level: Level::Agent,
            included: false,
            gathered: false,
            source: *source,
        });
        Self::compile_layers(&layers.collect::<Vec<_>>())
    }

    fn compile_layers(layers: &[Layer<'_>]) -> Result<Self, Vec<Diagnostic>> {
        let mut parsed = parse::Parsed::new();
        layers.iter().for_each(|layer| parsed.add(layer));
        parsed.finish();
        let (faults, warnings): (Vec<_>, Vec<_>) =
            parsed.faults.into_iter().partition(|fault| fault.severity == Severity::Error);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            denying: denying(&parsed.defaults),
            defaults: parsed.defaults,
            settings: parsed.settings,
            mode: parsed.mode.unwrap_or(Mode::Block),
            profile: parsed.profile.unwrap_or(Profile::Balanced),
            index: Index::of(&parsed.rules, Verb::judges),
            limits: Index::of(&parsed.rules, |verb| verb == Verb::Limit),
            suppressing: Index::of(&parsed.rules, |verb| verb == Verb::Suppress),
            assets: parsed.assets,
            destinations: parsed.destinations,
            looks_into_bodies: parsed.rules.iter().any(Rule::looks_into_bodies),
            redacts: parsed.rules.iter().any(|rule| rule.verb == rule::Verb::Redact),
            prices: parsed.prices,
            counts_money: parsed.rules.iter().any(Rule::counts_money),
            groups: Self::groups_of(&parsed.rules),
            rules: parsed.rules,
            cases: parsed.cases,
            revision: digest(layers.iter().map(|layer| layer.source.text)),
            warnings,
        })
    }

    /// What happens to a call that no rule speaks about.
    #[must_use]
    pub fn default_verb(&self) -> Default {
        self.defaults.iter().flatten().copied().max().unwrap_or(Default::Deny)
    }

    /// What one level says about it.
    pub(super) fn default_of(&self, level: Level) -> Option<Default> {
        self.defaults.get(level as usize).copied().flatten()
    }

    /// How much is enforced: `dry_run` is [`Mode::Monitor`].
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// How the merely unknown is treated.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// How many rules there are.
    #[must_use]
    pub const fn rules(&self) -> usize {
        self.rules.len()
    }

    /// Whether a rule may look into the body of a request. Then that is read, and kept as long as the request is.
    #[must_use]
    pub const fn looks_into_bodies(&self) -> bool {
        self.looks_into_bodies
    }

    /// Whether a rule has something taken out.
    #[must_use]
    pub const fn redacts(&self) -> bool {
        self.redacts
    }

    /// The tests that stand beside the rules.
    #[must_use]
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The SHA-256 digest of what it was compiled from, in hexadecimal. The same sources have the same
    /// revision on every machine.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// A warning for each rule that has ended by `now`, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn ended(&self, now: Millis) -> Vec<Diagnostic> {
        let ended = self.rules.iter().filter(|rule| rule.has_ended(now));
        let warning = |rule: &Rule| {
            let message = format!("the rule \"{}\" has ended and has no effect", rule.name);
            let warning = Diagnostic::warning(rule.place.span, message).in_origin(&*rule.place.origin);
            warning.advise("remove it, or give it a later `expires`")
        };
        ended.map(warning).collect()
    }

    /// What is accepted but deserves a look.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

/// Where no level says anything, that of the agents is `deny`.
fn denying(defaults: &[Option<Default>; 3]) -> [bool; 3] {
    if defaults.iter().all(Option::is_none) {
        return [false, false, true];
    }
    defaults.map(|default| default == Some(Default::Deny))
}
