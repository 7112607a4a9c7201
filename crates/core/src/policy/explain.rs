//! Why each rule applies to an action, or does not.

use super::Policy;
use super::evaluate::Given;
use super::judged::{Judged, asset, capability, target};
use super::limit::Limit;
use super::rule::{Place, Rule};
use super::truth::Truth;
use crate::action::{Action, Effect};

/// What one rule says about an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The rule's name.
    pub rule: String,
    /// Where it was written.
    pub place: Place,
    /// Its verb.
    pub verb: &'static str,
    /// How much of what, of a limit.
    pub says: Option<String>,
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
    /// What each rule says about `action`, in the order of the rules.
    #[must_use]
    pub fn explain(&self, action: &Action, given: &Given<'_>) -> Vec<Explained> {
        let judged = Judged::new(action, given, &self.destinations, true, true);
        let mut considered = vec![false; self.rules.len()];
        for index in [&self.index, &self.limits, &self.suppressing] {
            for at in index.candidates(action, given, &judged.places) {
                considered.get_mut(at).into_iter().for_each(|slot| *slot = true);
            }
        }
        let rules = self.rules.iter().zip(considered);
        rules.map(|(rule, considered)| judged.explained(rule, considered)).collect()
    }
}

impl Judged<'_> {
    fn explained(&self, rule: &Rule, considered: bool) -> Explained {
        let matcher = &rule.matcher;
        let whole = [
            ("door", !matcher.door.is_empty(), self.door(matcher)),
            ("tool", !matcher.tool.is_empty(), self.tool(matcher)),
            ("principal", !matcher.principal.is_empty(), self.principal(matcher)),
            ("direction", !matcher.direction.is_empty(), self.direction(matcher)),
            ("source", !matcher.source.is_empty(), self.source(matcher)),
            ("tainted", matcher.tainted.is_some(), self.tainted(matcher)),
            ("coverage", !matcher.coverage.is_empty(), self.coverage(matcher)),
            ("finding", !matcher.finding.is_empty(), self.finding(matcher)),
            ("arguments", !matcher.arguments.is_empty(), self.arguments(matcher)),
        ];
        let whole = whole.into_iter().filter(|(_, given, _)| *given);
        let mut conditions: Vec<Condition> =
            whole.map(|(name, _, truth)| Condition { name, truths: vec![truth] }).collect();
        let request = self.action.request.as_deref();
        if request.is_none() && matcher.request.asks_for_request() && !self.requests_by_effect(matcher) {
            conditions.push(Condition { name: "request", truths: vec![Truth::Unknown] });
        }
        let request = matcher.request.explain(request, self.given.facts.now);
        conditions.extend(request.into_iter().map(|(name, truth)| Condition { name, truths: vec![truth] }));
        let mut add = |name, given: bool, truth: &dyn Fn(&Effect, usize) -> Truth| {
            if given {
                let each = self.given.effects.iter().zip(0..);
                conditions
                    .push(Condition { name, truths: each.map(|(effect, at)| truth(effect, at)).collect() });
            }
        };
        add("request", self.requests_by_effect(matcher), &|effect, _| self.request_of(matcher, effect));
        add("capability", !matcher.capability.is_empty(), &|effect, _| capability(matcher, effect));
        add("asset", !matcher.asset.is_empty(), &|effect, _| asset(matcher, effect));
        add("host", !matcher.host.is_empty(), &|_, at| self.host(matcher, at));
        add("url", !matcher.url.is_empty(), &|_, at| self.url(matcher, at));
        add("destination", !matcher.destination.is_empty(), &|_, at| self.destination(matcher, at));
        add("path", !matcher.path.is_empty(), &|effect, _| self.path(&matcher.path, effect));
        add("target", !matcher.target.is_empty(), &|effect, _| target(&matcher.target, effect));
        let mut holds = if rule.verb.restricts() { self.some(matcher) } else { self.all(matcher) };
        if rule.has_ended(self.given.facts.now) {
            conditions.push(Condition { name: "expires", truths: vec![Truth::No] });
            holds = Truth::No;
        }
        let place = rule.place.clone();
        let says = rule.limit.as_ref().map(Limit::says);
        let (name, verb) = (rule.name.clone(), rule.verb.as_str());
        Explained { rule: name, place, verb, says, holds, considered, conditions }
    }
}
