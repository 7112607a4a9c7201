//! Why each rule applies to an action, or does not.

use super::evaluate::{Case, Known, asset, capability, reaches};
use super::truth::Truth;
use super::{Policy, Rule, Verb};
use crate::action::{Action, Effect};

/// What one rule says about an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The rule's name.
    pub rule: String,
    /// Its verb.
    pub verb: &'static str,
    /// Whether all of its conditions are fulfilled for one and the same effect; of an `allow`: for each effect. What
    /// one `allow` does not cover another may.
    pub holds: Truth,
    /// Whether its key (a tool, a host, a capability) is there at all; the conditions of a rule whose key is not
    /// are not looked at when judging.
    pub considered: bool,
    /// Each of its conditions; none if it is about everything.
    pub conditions: Vec<Condition>,
}

/// One condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The word in the rule: `tool`, `host`, …
    pub name: &'static str,
    /// What is known of it for each effect of the action; a single one where effects do not matter.
    pub truths: Vec<Truth>,
}

impl Policy {
    /// What each rule says about `action`, whose effects are `effects`, in the order of the rules. `home` as in
    /// [`Policy::evaluate`].
    #[must_use]
    pub fn explain(&self, action: &Action, effects: &[Effect], home: &str) -> Vec<Explained> {
        let hosts = Case::hosts(action, effects);
        let urls = Case::urls(effects);
        let case = Case { action, effects, hosts: &hosts, urls: &urls, home };
        let candidates = self.index.candidates(action, effects, &hosts);
        let rules = self.rules.iter().enumerate();
        rules.map(|(at, rule)| case.explained(rule, candidates.binary_search(&at).is_ok())).collect()
    }
}

impl Case<'_> {
    fn explained(&self, rule: &Rule, considered: bool) -> Explained {
        let mut conditions = Vec::new();
        if !rule.tool.is_empty() {
            conditions.push(Condition { name: "tool", truths: vec![self.tool(rule)] });
        }
        let mut add = |name, given: bool, truth: &dyn Fn(&Effect, usize, &Known) -> Truth| {
            if given {
                let each = self.effects.iter().zip(self.hosts).enumerate();
                let truths = each.map(|(at, (effect, host))| truth(effect, at, host)).collect();
                conditions.push(Condition { name, truths });
            }
        };
        add("capability", !rule.capability.is_empty(), &|effect, _, _| capability(rule, effect));
        add("asset", !rule.asset.is_empty(), &|effect, _, _| asset(rule, effect));
        add("host", !rule.host.is_empty(), &|_, _, host| reaches(rule, host));
        add("url", !rule.url.is_empty(), &|_, at, host| self.url(rule, at, host));
        add("path", !rule.path.is_empty(), &|effect, _, _| self.path(&rule.path, effect));
        let verb = match rule.verb {
            Verb::Allow => "allow",
            Verb::Deny => "deny",
            Verb::Ask => "ask",
            Verb::Audit => "audit",
        };
        let holds = match rule.verb {
            Verb::Allow => self.tool(rule).min(self.every_effect(rule)),
            Verb::Deny | Verb::Ask | Verb::Audit => self.tool(rule).min(self.any_effect(rule)),
        };
        Explained { rule: rule.name.clone(), verb, holds, considered, conditions }
    }
}
