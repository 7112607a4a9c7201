//! The examples that stand beside rules, tried.

use std::sync::Arc;

use super::{Engine, Surroundings};
use crate::action::{Action, alone};
use crate::decision::{Decision, Verdict};
use crate::detect::destination::{At, Class, Classes, Deed, Group, Lead, lead};
use crate::detect::rules::{Example, Rule, RuleSet};
use crate::pace::Pace;
use crate::policy::{Policy, SHIPPED};
use crate::session::Facts;
use crate::syntax::{Diagnostic, Source};

/// What is wrong with the examples of those rules, and of those lists of places, in `rules` whose file `asked` is true of: an example its rule does
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
    let lists = rules.lists();
    for group in lists.groups().iter().filter(|group| asked(&group.origin)) {
        let is_in = |example: &Example| match group.class {
            Class::Blocked => engine.finds(example, "destination.blocked", &group.id),
            _ => engine.leads_to(example, group),
        };
        let samples = (&*group.examples, &*group.near_misses);
        found.extend(
            compared(&group.id, samples, is_in).into_iter().map(|fault| fault.in_origin(&*group.origin)),
        );
    }
    for kind in lists.sensitive().iter().filter(|kind| asked(&kind.origin)) {
        let is_in = |example: &Example| engine.finds(example, "destination.sensitive-path", &kind.id);
        let samples = (&*kind.examples, &*kind.near_misses);
        found.extend(
            compared(&kind.id, samples, is_in).into_iter().map(|fault| fault.in_origin(&*kind.origin)),
        );
    }
    found.extend(rules.injection().into_iter().flat_map(|injection| injection.mistaken(&asked)));
    found
}

/// What is wrong with the samples of one entry of a list: examples that are not in it, and near misses that are.
fn compared(
    id: &str,
    (examples, near_misses): (&[Example], &[Example]),
    is_in: impl Fn(&Example) -> Result<bool, Diagnostic>,
) -> Vec<Diagnostic> {
    let wanted = examples.iter().map(|example| (example, true));
    let unwanted = near_misses.iter().map(|example| (example, false));
    let faults = wanted.chain(unwanted).filter_map(|(example, wanted)| {
        let message = match is_in(example) {
            Ok(found) if found == wanted => return None,
            Ok(true) => format!("`{id}` has this near miss"),
            Ok(false) => format!("`{id}` does not have this example"),
            Err(fault) => return Some(fault),
        };
        Some(Diagnostic::error(example.span, message).advise("correct the places, or the example"))
    });
    faults.collect()
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

    /// Whether a finding of this rule and category is made in it.
    fn finds(&self, example: &Example, rule: &str, category: &str) -> Result<bool, Diagnostic> {
        let action = read(example)?;
        let readings = super::readings(&action);
        let (found, _) =
            self.findings(&action, &action.effects, &readings, &Facts::default(), &Pace::whole());
        Ok(found.iter().any(|finding| finding.rule == rule && finding.category == category))
    }

    /// Whether an effect of it surely leads to a place of this group, which allows.
    fn leads_to(&self, example: &Example, group: &Group) -> Result<bool, Diagnostic> {
        let action = read(example)?;
        Ok(action.effects.iter().any(|effect| match (lead(action.kind, effect), Deed::of(effect)) {
            (Lead::Url(url), Some(deed)) => {
                let listed = self.rules.lists().look_up(At::url(&url), deed);
                let of_group = listed.group.is_some_and(|found| found.id == group.id);
                of_group && listed.classes == Classes::of(group.class)
            }
            _ => false,
        }))
    }

    fn tried(&self, example: &Example) -> Result<Decision, Diagnostic> {
        Ok(self.decide(&read(example)?, &Facts::default()))
    }
}

fn read(example: &Example) -> Result<Action, Diagnostic> {
    let action = alone::read(example.kind, &example.text, example.shell);
    action.map_err(|error| Diagnostic::error(example.span, error.to_string()))
}
