//! Which findings a policy wants only noted.

use super::Policy;
use super::evaluate::Given;
use super::judged::Judged;
use super::rule::Rule;
use super::truth::Truth;
use crate::action::Action;
use crate::decision::{Reason, Verdict};
use crate::detect::Finding;

/// The `suppress` rules that speak about an action.
#[derive(Debug, Default)]
pub struct Suppressions<'a>(Vec<&'a Rule>);

impl Policy {
    /// The rules whose conditions are surely fulfilled by all of `action`.
    #[must_use]
    pub fn suppressions(&self, action: &Action, given: &Given<'_>) -> Suppressions<'_> {
        if self.suppressing.is_empty() || given.findings.is_empty() {
            return Suppressions::default();
        }
        let judged = Judged::new(action, given, &self.destinations, true, true);
        let candidates = self.suppressing.candidates(action, given, &judged.places);
        let rules = candidates.filter_map(|at| self.rules.get(at));
        let in_force = rules.filter(|rule| !rule.has_ended(given.facts.now));
        Suppressions(in_force.filter(|rule| judged.all(&rule.matcher) == Truth::Yes).collect())
    }
}

impl Suppressions<'_> {
    /// The reason that `finding` gave, as it stands: a note if one of the rules is about it.
    #[must_use]
    pub fn lift(&self, reason: Reason, finding: &Finding) -> Reason {
        let about = |rule: &&&Rule| {
            rule.suppressed.iter().any(|glob| glob.matches(&finding.rule) || glob.matches(&finding.category))
        };
        let Some(rule) = self.0.iter().find(about) else { return reason };
        let why = rule.reason.as_deref().unwrap_or_default();
        let message =
            format!("{} (suppressed by the policy's rule \"{}\": {why})", reason.message, rule.name);
        Reason { verdict: Verdict::Allow, severity: 0, message, advice: String::new(), ..reason }
    }
}
