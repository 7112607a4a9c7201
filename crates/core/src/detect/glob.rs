//! Patterns for paths and names: `*` is any run of characters within a segment, `**` any run at all,
//! `?` one character within a segment. Linear in text times pattern, without recursion.

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
    fold: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Exactly(char),
    One,
    Run,
    Any,
}

/// Upper and lower case of one letter are the same, as on macOS and Windows.
fn folded(c: char) -> char {
    if c.is_ascii() { c.to_ascii_lowercase() } else { c.to_lowercase().next().unwrap_or(c) }
}

impl Glob {
    /// A pattern that tells upper from lower case.
    #[must_use]
    pub fn exact_case(pattern: &str) -> Self {
        Self::new(pattern, false)
    }

    /// A pattern for which case does not matter.
    #[must_use]
    pub fn any_case(pattern: &str) -> Self {
        Self::new(pattern, true)
    }

    fn new(pattern: &str, fold: bool) -> Self {
        let mut tokens = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '?' => Token::One,
                '*' => {
                    let stars = 1 + std::iter::from_fn(|| chars.next_if_eq(&'*')).count();
                    if stars > 1 { Token::Any } else { Token::Run }
                }
                c if fold => Token::Exactly(folded(c)),
                c => Token::Exactly(c),
            });
        }
        Self { tokens, fold }
    }

    /// The one text that matches, if the pattern has no wildcard and minds case.
    #[must_use]
    pub fn literal(&self) -> Option<String> {
        if self.fold {
            return None;
        }
        self.tokens.iter().map(|token| if let Token::Exactly(c) = token { Some(*c) } else { None }).collect()
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        // Most texts differ from most patterns in the first letter.
        if let (Some(Token::Exactly(wanted)), Some(c)) = (self.tokens.first(), text.chars().next())
            && *wanted != if self.fold { folded(c) } else { c }
        {
            return false;
        }
        // The set of positions reached in the pattern, as in a Thompson machine: no backtracking.
        let mut reached = vec![false; self.tokens.len() + 1];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        self.skip_runs(&mut reached);
        let mut next = vec![false; reached.len()];
        for c in text.chars() {
            let c = if self.fold { folded(c) } else { c };
            next.fill(false);
            if !self.advance(c, &reached, &mut next) {
                return false;
            }
            self.skip_runs(&mut next);
            std::mem::swap(&mut reached, &mut next);
        }
        reached.last() == Some(&true)
    }

    /// One character: where the machine can stand after it. False if nowhere.
    fn advance(&self, c: char, reached: &[bool], next: &mut [bool]) -> bool {
        let mut alive = false;
        for (at, token) in self.tokens.iter().enumerate() {
            if reached.get(at) != Some(&true) {
                continue;
            }
            let to = match token {
                Token::Exactly(wanted) if *wanted == c => at + 1,
                Token::One if c != '/' => at + 1,
                Token::Run if c != '/' => at,
                Token::Any => at,
                Token::Exactly(_) | Token::One | Token::Run => continue,
            };
            if let Some(slot) = next.get_mut(to) {
                *slot = true;
                alive = true;
            }
        }
        alive
    }

    /// A run may be empty: whoever stands before one also stands behind it.
    fn skip_runs(&self, reached: &mut [bool]) {
        for (at, token) in self.tokens.iter().enumerate() {
            if matches!(token, Token::Run | Token::Any)
                && reached.get(at) == Some(&true)
                && let Some(slot) = reached.get_mut(at + 1)
            {
                *slot = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_know_segments() {
        for (pattern, text, wanted) in [
            ("~/.ssh/*", "~/.ssh/id_rsa", true),
            ("~/.ssh/*", "~/.ssh/a/b", false),
            ("~/.ssh/**", "~/.ssh/a/b", true),
            ("**/.ssh/**", "/home/u/.ssh/id", true),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("mcp__*", "mcp__github__x", true),
            ("*a*a*a*a*b", &"a".repeat(500), false),
        ] {
            assert_eq!(Glob::exact_case(pattern).matches(text), wanted, "{pattern} on {text}");
        }
        assert!(Glob::any_case("BASH").matches("bash"));
        assert!(!Glob::exact_case("Bash").matches("bash"));
        assert_eq!(Glob::exact_case("Bash").literal().as_deref(), Some("Bash"));
        assert_eq!(Glob::exact_case("Ba*").literal(), None);
    }
}
