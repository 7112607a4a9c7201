//! Expressions that are shipped, and what they may take.
//!
//! Each is compiled when it is first tried, while somebody waits. How long that takes goes with its size, which, unlike the
//! time, is the same on every machine: so it is bounded, and tests see what is over the bound.

use regex::{Regex, RegexBuilder};

/// The most one takes compiled, in bytes: some eight milliseconds. `\w{1,40}` over the letters of all scripts takes twice as
/// much; an expression with a few of these took 90 ms, at the first request of all.
const LARGEST: usize = 1 << 20;

/// `pattern` compiled; `None` if it is no expression or too large. For shipped ones a test sees that it is not.
pub(in crate::detect) fn shipped(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).size_limit(LARGEST).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_to_compile_is_too_large() {
        // The one that did, before it was of ASCII alone.
        let between = r#"\\?["'`]\s{0,8}(?:(?:let|const|var)\s{1,4})?(?:\\?["']?[\w.-]{1,40}\\?["']?\s{0,4}[:=]\s{0,4}){0,3}["'`]"#;
        assert!(shipped(&format!("(?-u){between}")).is_some());
        for pattern in [between, r"\w{1,40}", "a{70000}", "("] {
            assert!(shipped(pattern).is_none(), "{pattern}");
        }
    }
}
