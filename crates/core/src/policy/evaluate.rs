//! A policy on one action.

use super::judged::Judged;
use super::rule::{Rule, Verb};
use super::truth::Truth;
use super::{Default, Policy};
use crate::action::{Action, ActionKind, Effect};
use crate::decision::{Layer, Reason, Verdict};
use crate::detect::Finding;
use crate::session::Facts;

/// What is known of an action besides itself.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Its effects, with what was resolved of them.
    pub effects: &'a [Effect],
    /// The user's home directory, so that `/home/u/x` and `~/x` are the same path; empty if there is none.
    pub home: &'a str,
    /// What detectors found in it.
    pub findings: &'a [Finding],
    /// What is known of the world.
    pub facts: &'a Facts,
}

impl Policy {
    /// The reasons this policy gives for `action`.
    #[must_use]
    pub fn evaluate(&self, action: &Action, given: &Given<'_>) -> Vec<Reason> {
        let answers = self.default == Default::Deny && is_act(action.kind, given.effects);
        if self.index.is_empty() {
            return if answers { vec![denied_by_default()] } else { Vec::new() };
        }
        let judged = self.judged(action, given);
        let mut reasons = Vec::new();
        let mut allowed = !answers;
        let mut allowing: Vec<&Rule> = Vec::new();
        for at in self.index.candidates(action, given.effects, &judged.hosts) {
            let Some(rule) = self.rules.get(at) else { continue };
            if rule.has_ended(given.facts.now) {
                continue;
            }
            if rule.verb.restricts() {
                reasons.extend(judged.restricts(rule));
            } else if !allowed {
                // Most of the time one rule covers it all, and none has to be remembered.
                allowed = judged.all(&rule.matcher) == Truth::Yes;
                allowing.extend((!allowed && judged.whole(&rule.matcher) == Truth::Yes).then_some(rule));
            }
        }
        if !allowed && !judged.is_allowed(&allowing) {
            reasons.push(denied_by_default());
        }
        reasons
    }

    pub(super) fn judged<'a>(&self, action: &'a Action, given: &'a Given<'a>) -> Judged<'a> {
        Judged::new(action, given, self.index.asks_for_hosts(), self.index.asks_for_urls())
    }
}

/// Whether the default speaks about it: what an agent does or has its provider do, not what is said to it.
const fn is_act(kind: ActionKind, effects: &[Effect]) -> bool {
    match kind {
        ActionKind::ToolCall | ActionKind::Outbound | ActionKind::Url => true,
        ActionKind::ModelRequest => !effects.is_empty(),
        _ => false,
    }
}

fn denied_by_default() -> Reason {
    Reason {
        rule: "policy.default".into(),
        layer: Layer::Policy,
        verdict: Verdict::Block,
        severity: 80,
        message: "no rule of the policy allows this, and its default is deny".into(),
        advice: "use a tool the policy allows, or ask the operator for a rule".into(),
        part: None,
    }
}

impl Judged<'_> {
    /// The reason a restricting rule gives, if it speaks about this action.
    fn restricts(&self, rule: &Rule) -> Option<Reason> {
        let truth = self.some(&rule.matcher);
        if truth == Truth::No {
            return None;
        }
        let (severity, then, advice) = match rule.verb {
            Verb::Deny => (80, "", "do this another way, or ask the operator to change the rule"),
            Verb::Quarantine => (80, "", "leave it; what it carried is for a person to review"),
            Verb::Ask => (60, "", "wait for a person to decide"),
            Verb::Redact => {
                let then = "; nothing can be taken out here, so it does not pass";
                (50, then, "leave out what was found, or ask the operator to change the rule")
            }
            Verb::Audit | Verb::Allow | Verb::Limit | Verb::Suppress => (30, "", ""),
        };
        let because = rule.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let unsure =
            if truth == Truth::Unknown { " (not everything it asks about is known here)" } else { "" };
        Some(Reason {
            rule: format!("policy.{}", rule.name),
            layer: Layer::Policy,
            verdict: rule.verb.verdict(),
            severity,
            message: format!("the policy's rule \"{}\" applies{unsure}{because}{then}", rule.name),
            advice: advice.into(),
            part: None,
        })
    }

    /// Whether every effect is surely covered by one of `rules`, of which none covers all: allowing a download is
    /// not allowing what else the same line does.
    fn is_allowed(&self, rules: &[&Rule]) -> bool {
        let effects = 0..self.given.effects.len();
        !effects.is_empty()
            && effects
                .into_iter()
                .all(|at| rules.iter().any(|rule| self.effect(&rule.matcher, at) == Truth::Yes))
    }
}
