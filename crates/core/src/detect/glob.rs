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
    Each,
    Run,
    Any,
}

/// Upper and lower case of one letter are the same, as on macOS and Windows.
pub(crate) fn folded(c: char) -> char {
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

    /// A pattern for names, in which neither case nor a slash matters: `*` is any run at all.
    #[must_use]
    pub fn any_name(pattern: &str) -> Self {
        let glob = Self::new(pattern, true);
        let whole = |token| match token {
            Token::Run => Token::Any,
            Token::One => Token::Each,
            token => token,
        };
        Self { tokens: glob.tokens.into_iter().map(whole).collect(), ..glob }
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
        self.matches_chars(text.chars())
    }

    /// Whether the whole of a text matches that stands in several pieces.
    pub(crate) fn matches_chars(&self, text: impl Iterator<Item = char> + Clone) -> bool {
        // Most texts differ from most patterns in the first letter.
        if let (Some(Token::Exactly(wanted)), Some(c)) = (self.tokens.first(), text.clone().next())
            && *wanted != self.letter(c)
        {
            return false;
        }
        if self.tokens.iter().all(|token| matches!(token, Token::Exactly(_))) {
            let letters = text.map(|c| Token::Exactly(self.letter(c)));
            return letters.eq(self.tokens.iter().copied());
        }
        if self.tokens.len() < 128 { self.matches_few(text) } else { self.matches_many(text) }
    }

    fn letter(&self, c: char) -> char {
        if self.fold { folded(c) } else { c }
    }

    /// With the positions reached in one word: nothing is allocated.
    fn matches_few(&self, text: impl Iterator<Item = char>) -> bool {
        let is_run = |token: &Token| matches!(token, Token::Run | Token::Any);
        let runs = (0u32..).zip(&self.tokens).filter(|(_, token)| is_run(token));
        let runs = runs.fold(0u128, |runs, (at, _)| runs | 1 << at);
        let skip_runs = |mut reached: u128| loop {
            let further = reached | (reached & runs) << 1;
            if further == reached {
                break reached;
            }
            reached = further;
        };
        let mut reached = skip_runs(1);
        for c in text {
            let c = self.letter(c);
            let tokens = (0u32..).zip(&self.tokens).filter(|(at, _)| reached & 1 << at != 0);
            let next = tokens.fold(0u128, |next, (at, token)| match token.takes(c) {
                Some(step) => next | 1 << (at + step),
                None => next,
            });
            if next == 0 {
                return false;
            }
            reached = skip_runs(next);
        }
        reached & 1 << self.tokens.len() != 0
    }

    fn matches_many(&self, text: impl Iterator<Item = char>) -> bool {
        // The set of positions reached in the pattern, as in a Thompson machine: no backtracking.
        let mut reached = vec![false; self.tokens.len() + 1];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        self.skip_runs(&mut reached);
        let mut next = vec![false; reached.len()];
        for c in text {
            next.fill(false);
            if !self.advance(self.letter(c), &reached, &mut next) {
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
            let Some(step) = token.takes(c) else { continue };
            if let Some(slot) = next.get_mut(at + step as usize) {
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

impl Token {
    /// How many positions it goes on with `c`; `None` if it does not take it.
    fn takes(self, c: char) -> Option<u32> {
        match self {
            Self::Exactly(wanted) if wanted == c => Some(1),
            Self::One if c != '/' => Some(1),
            Self::Each => Some(1),
            Self::Run if c != '/' => Some(0),
            Self::Any => Some(0),
            Self::Exactly(_) | Self::One | Self::Run => None,
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
            // However long the pattern is.
            let (long, far) = (format!("{}{pattern}", "x".repeat(200)), format!("{}{text}", "x".repeat(200)));
            assert_eq!(Glob::exact_case(&long).matches(&far), wanted, "{pattern} on {text}, at length");
        }
        assert!(Glob::any_case("BASH").matches("bash"));
        assert!(!Glob::exact_case("Bash").matches("bash"));
        assert_eq!(Glob::exact_case("Bash").literal().as_deref(), Some("Bash"));
        assert_eq!(Glob::exact_case("Ba*").literal(), None);
    }
}
