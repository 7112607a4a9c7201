//! Regular expressions in policies: of the kind that is linear in the text, bounded when they are compiled.

use regex::{Regex, RegexBuilder};

/// How much memory a compiled expression may take, in bytes, and the cache for running it.
const LARGEST: usize = 1 << 22;

/// Compiles `text`, unanchored.
///
/// # Errors
/// What is wrong with it, in one line.
pub(super) fn compile(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text).size_limit(LARGEST).dfa_size_limit(LARGEST).nest_limit(64).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("it takes more than {LARGEST} bytes when compiled"),
        // The last line says what; those before draw the expression.
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    })
}

/// An I-Regexp (RFC 9485): a dot is neither line feed nor carriage return; `whole` if all of the text must match.
///
/// # Errors
/// As [`compile`].
pub(super) fn compile_iregexp(text: &str, whole: bool) -> Result<Regex, String> {
    let mut out = String::with_capacity(text.len() + 16);
    let (mut escaped, mut in_class) = (false, false);
    for c in text.chars() {
        match c {
            '.' if !escaped && !in_class => out.push_str(r"[^\n\r]"),
            c => out.push(c),
        }
        in_class = match c {
            '[' if !escaped => true,
            ']' if !escaped => false,
            _ => in_class,
        };
        escaped = c == '\\' && !escaped;
    }
    compile(&if whole { format!("^(?:{out})$") } else { out })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_bounded_and_ordinary_ones_fit() {
        for text in [r"^[\w.+-]{1,30}@[\w-]{1,30}$", r"\d{13,19}", "(?i)drop|delete|truncate"] {
            assert!(compile(text).is_ok(), "{text}");
        }
        // Each takes more memory than a rule is worth.
        for text in [r"\w{500}", "(a{1000}){1000}"] {
            assert!(compile(text).is_err_and(|why| why.contains("bytes")), "{text}");
        }
        let deep = "(".repeat(100) + &")".repeat(100);
        assert!(compile(&deep).is_err());
    }
}
