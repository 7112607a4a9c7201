//! Regular expressions of rules. Those of the shipped rules are compiled when they are first tried: all of them take a
//! tenth of a second, and Doorward is to serve before that.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

/// The compiled size of one regular expression, in bytes.
const REGEX_SIZE: usize = 1 << 20;

/// What its lazy automaton may take while it searches, in bytes. Long alternatives throw their states away and make
/// them again below it.
const DFA_SIZE: usize = 8 << 20;

/// A regular expression, compiled by now or not yet.
#[derive(Debug)]
pub(super) struct Expression {
    pattern: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Expression {
    /// An expression that is known to compile, because a test compiles it.
    pub(super) fn known(pattern: &str) -> Self {
        Self { pattern: pattern.to_owned(), compiled: OnceLock::new() }
    }

    /// Any other, compiled at once.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn checked(pattern: &str) -> Result<Self, String> {
        let regex = compile(pattern).map_err(|error| {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("not a regular expression: {reason}")
        })?;
        if regex.is_match("") {
            return Err("a regular expression that matches nothing at all".to_owned());
        }
        Ok(Self { pattern: pattern.to_owned(), compiled: OnceLock::from(Some(regex)) })
    }

    /// The expression. `None` never comes, and means that it fits everything: a rule that cannot be tried holds.
    pub(super) fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| compile(&self.pattern).ok()).as_ref()
    }
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(REGEX_SIZE).dfa_size_limit(DFA_SIZE).build()
}
