//! Whether the findings that a policy names exist. A rule about a finding that no detector makes never applies, and
//! whoever wrote it believes that it does.

use std::collections::BTreeSet;

use super::Policy;
use super::rule::Verb;
use crate::detect::glob::Glob;
use crate::detect::native;
use crate::session::chains::Chains;
use crate::session::story;
use crate::syntax::decode::suggestion;
use crate::syntax::{Diagnostic, Span};

/// A finding that a rule names, as written.
#[derive(Debug)]
pub(super) struct Named {
    pub pattern: Box<str>,
    pub span: Span,
}

impl Policy {
    /// Faults of a policy that is put in force together with detectors: ids and categories under `finding` that none
    /// of `known` is or fits, nor any that a session makes. `known` are the ids and categories of all detector rules
    /// ([`RuleSet::names`](crate::detect::rules::RuleSet::names)).
    ///
    /// # Errors
    /// All of them, in the order of the rules.
    pub fn check_findings<'k>(&self, known: impl Iterator<Item = &'k str>) -> Result<(), Vec<Diagnostic>> {
        if self.rules.iter().all(|rule| rule.named.is_empty()) {
            return Ok(());
        }
        let told = story::names(&Chains::shipped());
        let mut known: BTreeSet<&str> = known.collect::<BTreeSet<&'k str>>();
        known.extend(told.iter().map(String::as_str).chain(native::FINDINGS).chain([native::CATEGORY]));
        let mut faults = Vec::new();
        for rule in &self.rules {
            // As it is compared when judging.
            let compile = if rule.verb.restricts() { Glob::any_name } else { Glob::exact_case };
            for Named { pattern, span } in &rule.named {
                let glob = compile(pattern);
                if known.iter().any(|name| glob.matches(name)) {
                    continue;
                }
                let what = if rule.verb == Verb::Suppress { "suppresses nothing" } else { "never applies" };
                let message = format!("no detector rule or category is `{pattern}`: this rule {what}");
                let advice = suggestion(pattern, known.iter().copied()).unwrap_or_else(|| {
                    "write an id as receipts have it (`exec.download-and-run`), or a category".to_owned()
                });
                faults.push(Diagnostic::error(*span, message).advise(advice).in_origin(&*rule.place.origin));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}
