//! A policy on one action.

use super::judged::Judged;
use super::rule::{Rule, Verb};
use super::truth::Truth;
use super::{Level, Policy};
use crate::action::{Action, ActionKind, Effect};
use crate::decision::{Layer, Reason, Verdict};
use crate::detect::Finding;
use crate::detect::destination::Lists;
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
    /// What is known of places besides what the policy says.
    pub lists: &'a Lists,
}

impl Policy {
    /// The reasons this policy gives for `action`.
    #[must_use]
    pub fn evaluate(&self, action: &Action, given: &Given<'_>) -> Vec<Reason> {
        // Which levels deny what none of their own rules allows.
        let mut open = [false; 3];
        if answers_to_default(action.kind, given.effects) {
            open = self.denying;
        }
        let mut reasons = Vec::new();
        if !self.index.is_empty() {
            self.apply(action, given, &mut open, &mut reasons);
        }
        self.destinations.judge(action, given, &mut reasons);
        let denied = Level::ALL.into_iter().zip(open).filter(|(_, open)| *open);
        reasons.extend(denied.map(|(level, _)| denied_by_default(level)));
        reasons
    }

    /// Lets every rule speak: those that restrict give their reasons, those that allow close what is `open` of
    /// their level.
    fn apply(&self, action: &Action, given: &Given<'_>, open: &mut [bool; 3], reasons: &mut Vec<Reason>) {
        let judged = self.judged(action, given);
        let mut allowing: Vec<&Rule> = Vec::new();
        for at in self.index.candidates(action, given, &judged.places) {
            let Some(rule) = self.rules.get(at).filter(|rule| !rule.has_ended(given.facts.now)) else {
                continue;
            };
            if rule.verb.restricts() {
                reasons.extend(judged.restricts(rule));
            } else if let Some(open) = open.get_mut(rule.level as usize).filter(|open| **open) {
                // Most of the time one rule covers it all, and none has to be remembered.
                *open = judged.all(&rule.matcher) != Truth::Yes;
                allowing.extend((*open && judged.whole(&rule.matcher) == Truth::Yes).then_some(rule));
            }
        }
        for (level, open) in Level::ALL.into_iter().zip(open).filter(|(_, open)| **open) {
            let of_level = |rule: &&&Rule| rule.level == level;
            *open = !judged.is_allowed(|at| {
                allowing.iter().filter(of_level).any(|rule| judged.effect(&rule.matcher, at) == Truth::Yes)
            });
        }
    }

    pub(super) fn judged<'a>(&'a self, action: &'a Action, given: &'a Given<'a>) -> Judged<'a> {
        Judged::new(
            action,
            given,
            &self.destinations,
            self.index.asks_for_hosts(),
            self.index.asks_for_urls(),
        )
    }
}

/// Whether the default speaks about it: what an agent does or has its provider do, and what nobody can read and
/// could be that; not what is said to the agent. What a provider runs itself is judged in the request that has it
/// do so: when it is told of the call, that is over.
#[must_use]
pub const fn answers_to_default(kind: ActionKind, effects: &[Effect]) -> bool {
    match kind {
        ActionKind::ToolCall | ActionKind::Outbound | ActionKind::Url | ActionKind::Unknown => true,
        ActionKind::ModelRequest => !effects.is_empty(),
        ActionKind::ModelResponse
        | ActionKind::ProviderCall
        | ActionKind::ToolResult
        | ActionKind::Opaque => false,
    }
}

fn denied_by_default(level: Level) -> Reason {
    let whose = match level {
        Level::Agent => "its default is deny".to_owned(),
        Level::Team | Level::Organisation => format!("the default of the {} is deny", level.as_str()),
    };
    Reason {
        rule: "policy.default".into(),
        layer: Layer::Policy,
        verdict: Verdict::Block,
        severity: 80,
        message: format!("no rule of the policy allows this, and {whose}"),
        advice: "use a tool the policy allows, or ask the operator for a rule".into(),
        part: None,
    }
}

/// What is said where `redact` has nothing to take out.
pub(crate) const NOTHING_OUT: &str = "; nothing can be taken out here, so it does not pass";

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
                let then = NOTHING_OUT;
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

    /// Whether every effect is surely covered: allowing a download is not allowing what else the same line does.
    fn is_allowed(&self, covers: impl Fn(usize) -> bool) -> bool {
        let mut effects = 0..self.given.effects.len();
        !effects.is_empty() && effects.all(covers)
    }
}
