//! The examples that stand beside rules, tried.

use std::sync::Arc;

use super::{Engine, Surroundings};
use crate::action::alone;
use crate::decision::{Decision, Verdict};
use crate::detect::rules::{Example, Rule, RuleSet};
use crate::policy::{Policy, SHIPPED};
use crate::session::Facts;
use crate::syntax::{Diagnostic, Source};

/// What is wrong with the examples of those rules in `rules` whose file `asked` is true of: an example its rule does
/// not match, or a near miss that it does. They are tried on the whole set under the shipped policy, so that nothing
/// an operator allows or suppresses hides a mistake.
#[must_use]
pub fn mistaken(rules: &Arc<RuleSet>, asked: impl Fn(&str) -> bool) -> Vec<Diagnostic> {
    let policy = match Policy::compile(&[Source { name: "shipped policy", text: SHIPPED }]) {
        Ok(policy) => policy,
        Err(faults) => return faults,
    };
    let engine = Engine::new(Arc::clone(rules), Arc::new(policy), Surroundings::default());
    let mut found = Vec::new();
    for rule in rules.rules().iter().filter(|rule| asked(&rule.origin)) {
        let missed = rule.examples.iter().filter_map(|example| engine.missed(rule, example));
        let hit = rule.near_misses.iter().filter_map(|example| engine.hit(rule, example));
        found.extend(missed.chain(hit).map(|fault| fault.in_origin(&*rule.origin)));
    }
    found
}

impl Engine {
    fn missed(&self, rule: &Rule, example: &Example) -> Option<Diagnostic> {
        let wanted = match rule.severity {
            80.. => Verdict::Block,
            60.. => Verdict::Ask,
            30.. => Verdict::Audit,
            _ => return None,
        };
        let decision = match self.tried(example) {
            Ok(decision) => decision,
            Err(fault) => return Some(fault),
        };
        let of_rule = decision.reasons.iter().find(|reason| reason.rule == rule.id);
        let (message, advice) = match of_rule.map(|reason| reason.verdict) {
            Some(verdict) if verdict == wanted => return None,
            Some(verdict) => (
                format!("`{}` matches this example and only asks for `{}`", rule.id, verdict.as_str()),
                "give an example from a place that is not in `audit_in`",
            ),
            None => (
                format!("`{}` does not match this example", rule.id),
                "widen the rule, or correct the example; `doorward inspect` shows what is seen in it",
            ),
        };
        Some(Diagnostic::error(example.span, message).advise(advice))
    }

    fn hit(&self, rule: &Rule, example: &Example) -> Option<Diagnostic> {
        let decision = match self.tried(example) {
            Ok(decision) => decision,
            Err(fault) => return Some(fault),
        };
        decision.reasons.iter().any(|reason| reason.rule == rule.id).then(|| {
            let message = format!("`{}` matches this near miss", rule.id);
            Diagnostic::error(example.span, message).advise("narrow the rule, or correct the near miss")
        })
    }

    fn tried(&self, example: &Example) -> Result<Decision, Diagnostic> {
        let action = alone::read(example.kind, &example.text, example.shell)
            .map_err(|error| Diagnostic::error(example.span, error.to_string()))?;
        Ok(self.decide(&action, &Facts::default()))
    }
}
