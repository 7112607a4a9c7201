//! Regular expressions of rules. They are taken apart and compiled when they are first tried: all of the shipped
//! ones take a tenth of a second, and Doorward is to serve before that.

use std::sync::{Arc, OnceLock};

use regex::RegexBuilder;

mod plan;
use plan::Plan;

mod words;

#[cfg(test)]
mod tests;

/// The compiled size of one regular expression, in bytes.
const REGEX_SIZE: usize = 1 << 20;

/// What the lazy automaton of one alternative may take while it searches, in bytes.
const DFA_SIZE: usize = 2 << 20;

/// How many matches of one alternative are tried.
const TRIES: usize = 64;

/// A regular expression, taken apart by now or not yet. Copies share what it is taken apart into.
#[derive(Debug, Clone)]
pub(super) struct Expression(Arc<Lazy>);

#[derive(Debug)]
struct Lazy {
    pattern: String,
    plan: OnceLock<Option<Plan>>,
}

impl Expression {
    /// An expression that is known to compile, because a test compiles it.
    pub(super) fn known(pattern: &str) -> Self {
        Self(Arc::new(Lazy { pattern: pattern.to_owned(), plan: OnceLock::new() }))
    }

    /// Any other, compiled at once.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn checked(pattern: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(pattern).size_limit(REGEX_SIZE).build().map_err(|error| {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("not a regular expression: {reason}")
        })?;
        if regex.is_match("") {
            return Err("a regular expression that matches nothing at all".to_owned());
        }
        Ok(Self::known(pattern))
    }

    /// Whether it fits somewhere in `text`.
    pub(super) fn holds(&self, text: &str) -> bool {
        self.find(text, &|_| true).is_some()
    }

    /// Where it fits something in `text` that `keep` keeps; not always the first of such places.
    pub(super) fn find(&self, text: &str, keep: &dyn Fn(&str) -> bool) -> Option<(usize, usize)> {
        match self.0.plan.get_or_init(|| Plan::of(&self.0.pattern)) {
            Some(plan) => plan.find(text, TRIES, keep),
            // It never comes to this; a rule that cannot be tried holds.
            None => Some((0, text.len())),
        }
    }
}
