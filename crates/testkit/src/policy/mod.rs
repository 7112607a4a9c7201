//! A second opinion on policies: an evaluator that is slow, simple, and written from `spec/policy.md` alone.
//!
//! It has no index, looks at every rule, and shares with the engine only what lies below policies: the strict
//! trees of YAML and JSON, the reading of URLs, and the types of what is judged. It reads policies that the engine
//! accepts and finds no faults in them. Where the two differ, one is wrong or the text is not clear; the
//! tests and the fuzz target `policy` look for that.
//!
//! Outside of it: faults and warnings, which files there are, and how many counters a limit has at most.

mod asset;
mod body;
mod compare;
mod counters;
mod destination;
mod file;
mod glob;
mod host;
mod location;
mod matcher;
mod number;
mod random;
mod request;
mod rule;
mod truth;
mod window;
mod words;

use std::collections::BTreeSet;

use doorward_core::Verdict;
use doorward_core::action::{ActionKind, Effect};
use doorward_core::detect::Finding;
use doorward_core::policy::Level;
use doorward_core::syntax::{Node, yaml};

pub use compare::agree;
pub use counters::{Ruled, Running, Tally, Tokens};
use destination::Said;
use matcher::Fit;
pub use matcher::Situation;
pub use random::{Case, HOME, case, lists};
use rule::{Rule, Verb};
use truth::Truth;

/// A policy, to be looked at rule by rule.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The levels whose default is `deny`.
    denying: Vec<Level>,
    rules: Vec<Rule>,
    assets: Vec<asset::Entry>,
    destinations: Vec<Said>,
    prices: Vec<Node>,
}

/// What a policy says about an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The strongest verdict.
    pub verdict: Verdict,
    /// Every rule that gives a reason, and `default` if nothing answers it.
    pub speaks: BTreeSet<String>,
    /// The limits that the action counts on, if it goes on.
    pub limits: BTreeSet<String>,
}

impl Reference {
    /// Reads a policy that the engine accepts; `None` if it is none.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::of(&[(Level::Agent, text)])
    }

    /// Reads a policy of several texts, those included as well, each with its level.
    #[must_use]
    pub fn of(texts: &[(Level, &str)]) -> Option<Self> {
        let (mut denying, mut rules) = (Vec::new(), Vec::new());
        let (mut destinations, mut prices, mut assets) = (Vec::new(), Vec::new(), Vec::new());
        for (level, text) in texts {
            let node = yaml::parse(text.as_bytes()).ok()?;
            if node.text("default") == Some("deny") {
                denying.push(*level);
            }
            destinations.extend(Said::of(&node, *level));
            let own = node.get("assets").map(Node::elements).unwrap_or_default();
            assets.extend(own.iter().map(asset::Entry::of).collect::<Option<Vec<_>>>()?);
            prices.extend_from_slice(node.get("prices").map(Node::elements).unwrap_or_default());
            let of_text = node.get("rules").map(Node::elements).unwrap_or_default();
            rules.extend(of_text.iter().map(|rule| Rule::of(rule, *level)).collect::<Option<Vec<_>>>()?);
        }
        Some(Self { denying, rules, assets, destinations, prices })
    }

    /// What the policy says here.
    #[must_use]
    pub fn judge(&self, here: &Situation<'_>) -> Answer {
        let own = self.own_effects(here);
        let here = &Situation { effects: &own, ..*here };
        let mut verdict = Verdict::Allow;
        let mut answer = Answer { verdict, speaks: BTreeSet::new(), limits: BTreeSet::new() };
        let mut allowing = Vec::new();
        for rule in &self.rules {
            if rule.ended(here.facts.now) {
                continue;
            }
            let fit = here.fit(rule, &self.destinations);
            match rule.verb {
                Verb::Allow => allowing.push((rule.level, fit)),
                Verb::Restrict(strength) if fit.any() != Truth::False => {
                    verdict = verdict.max(strength);
                    answer.speaks.insert(rule.name.clone());
                }
                Verb::Limit if fit.any() != Truth::False && goes_out(here.action.kind) => {
                    answer.limits.insert(rule.name.clone());
                }
                Verb::Restrict(_) | Verb::Limit | Verb::Suppress => {}
            }
        }
        let allowed = |level: &Level| {
            let own: Vec<&Fit> = allowing.iter().filter(|(of, _)| of == level).map(|(_, fit)| fit).collect();
            // One about no effect at all; or each effect is covered, be it by several together.
            let whole = own.iter().any(|fit| fit.every() == Truth::True);
            let covered = |at| own.iter().any(|fit| fit.covers(at));
            whole || !here.effects.is_empty() && (0..here.effects.len()).all(covered)
        };
        if answers_to_default(here) && !self.denying.iter().all(allowed) {
            verdict = Verdict::Block;
            answer.speaks.insert("default".to_owned());
        }
        let by_lists = destination::reasons(here, &self.destinations);
        if !by_lists.is_empty() {
            verdict = Verdict::Block;
            answer.speaks.extend(by_lists);
        }
        Answer { verdict, ..answer }
    }

    /// The effects with the classes that the policy gives what they are about.
    fn own_effects(&self, here: &Situation<'_>) -> Vec<Effect> {
        asset::own(here, &self.assets)
    }

    /// Whether what `finding` says is only noted here.
    #[must_use]
    pub fn suppresses(&self, here: &Situation<'_>, finding: &Finding) -> bool {
        let own = self.own_effects(here);
        let here = &Situation { effects: &own, ..*here };
        self.rules.iter().any(|rule| {
            rule.verb == Verb::Suppress
                && !rule.ended(here.facts.now)
                && rule.get("finding").is_some_and(|value: &Node| matcher::names(value, finding))
                && here.fit(rule, &self.destinations).every() == Truth::True
        })
    }
}

/// "A call, URL or outbound text", a block that nobody can read, and a request to a model that has its provider act.
fn answers_to_default(here: &Situation<'_>) -> bool {
    match here.action.kind {
        ActionKind::ToolCall | ActionKind::Outbound | ActionKind::Url | ActionKind::Unknown => true,
        ActionKind::ModelRequest => !here.effects.is_empty(),
        _ => false,
    }
}

/// "Requests to models, calls, URLs, outbound text"; what the provider ran itself does not go out.
fn goes_out(kind: ActionKind) -> bool {
    matches!(
        kind,
        ActionKind::ModelRequest
            | ActionKind::Opaque
            | ActionKind::ToolCall
            | ActionKind::Unknown
            | ActionKind::Outbound
            | ActionKind::Url
    )
}
