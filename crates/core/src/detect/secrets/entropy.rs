//! The entropy of what leaves, and what of it is known to be harmless.

use regex::{Regex, RegexBuilder};

use super::noise::shannon;
use super::value;

/// Above how many bits per character a token is noted, if nobody says otherwise.
pub const THRESHOLD: f32 = 4.5;

/// The most exceptions an operator can name, and the length of one, in bytes.
pub const MOST_ALLOWED: usize = 64;
const LONGEST_ALLOWED: usize = 512;

/// The shortest token that has a score, in bytes. Shorter ones are found by what stands around them, or not at all.
const SHORTEST: usize = 20;

/// What an operator sets.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bits per character, 0 to 8. No token has more than 6, so from there on nothing is noted.
    pub threshold: f32,
    /// Tokens that are no secrets.
    pub allowed: Vec<Allowed>,
}

/// Tokens that are no secrets: those that a regular expression matches whole.
#[derive(Clone, Debug)]
pub struct Allowed(Regex);

impl Allowed {
    /// The tokens that `pattern` matches from their beginning to their end.
    ///
    /// # Errors
    /// In words, if it is no regular expression, one that every token matches, or too long.
    pub fn new(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() || pattern.len() > LONGEST_ALLOWED {
            return Err(format!("it is 1 to {LONGEST_ALLOWED} bytes long"));
        }
        let whole = RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 18).build();
        let allowed = whole.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            error => error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        })?;
        // Of different lengths and kinds: what takes them all is no exception.
        let anything =
            ["k3Jx9QbT0vLzW5pRn2Ys8Gd1", "Zq_7-Yw2/Lm+8Vt4Nc6Xr1Ph0Bk5", "0xk3jq9wv7z2m5p8r1t4y6b"];
        if anything.iter().all(|token| allowed.matches(token)) {
            return Err("it allows any token; raise `entropy_threshold` instead".to_owned());
        }
        Ok(allowed)
    }

    fn matches(&self, token: &str) -> bool {
        self.0.is_match(token)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { threshold: THRESHOLD, allowed: Vec::new() }
    }
}

/// The score of `token`, which is as `loud` as [`noise`] says and has `before` in front of it: the smaller of its entropy, scaled to its length
/// ([`shannon`]), and its distance from language ([`noise`]). The first alone would trip over prose, the second over
/// repeated nonsense. 0 for what has no score: UUIDs, hashes, integrity values, images, public keys and certificates.
pub(super) fn score(token: &str, loud: f32, before: &str, allowed: &[Allowed]) -> f32 {
    // Words and identifiers, which is nearly all there is.
    if loud < 3.0 {
        return 0.0;
    }
    let hash =
        matches!(token.len(), 32 | 40 | 56 | 64 | 96 | 128) && token.bytes().all(|b| b.is_ascii_hexdigit());
    let uuid = token.len() >= 36 && token.split(['/', '_', '=']).any(value::is_uuid);
    if token.len() < SHORTEST || hash || uuid || is_binary(token, before) {
        return 0.0;
    }
    if allowed.iter().any(|allowed| allowed.matches(token)) {
        return 0.0;
    }
    if loud < 4.0 { loud } else { loud.min(shannon(token)) }
}

/// Images, certificates, public keys, integrity hashes: what stands before says so, or the first bytes do.
fn is_binary(token: &str, before: &str) -> bool {
    const BEFORE: [&str; 8] =
        ["base64,", "sha256:", "sha512:", "sha1:", "h1:", "ssh-rsa ", "ssh-ed25519 ", "sha256~"];
    // PNG, JPEG, GIF, WebP, SVG, PDF, WOFF, certificates and public keys in DER, as base64 begins them.
    const FIRST: [&str; 17] = [
        "iVBORw0KGgo",
        "/9j/",
        "R0lGOD",
        "UklGR",
        "PHN2Zy",
        "JVBERi",
        "d09GR",
        "MII",
        "MFkw",
        "MCow",
        "AAAAB3NzaC1",
        "AAAAC3NzaC1",
        "AAAAE2VjZHNh",
        "sha1-",
        "sha256-",
        "sha384-",
        "sha512-",
    ];
    BEFORE.iter().any(|end| before.ends_with(end)) || FIRST.iter().any(|first| token.starts_with(first))
}

#[cfg(test)]
mod tests {
    use super::super::noise::noise;
    use super::*;

    #[test]
    fn keys_have_a_high_score_and_what_is_known_has_none() {
        let of = |token| score(token, noise(token), "", &[]);
        assert!(of("k3Jx9QbT0vLzW5pRn2Ys8Gd1") > THRESHOLD);
        assert!(of("0xk3jq9wv7z2m5p8r1t4y6b") > THRESHOLD);
        for harmless in [
            "d41d8cd98f00b204e9800998ecf8427e",
            "f34b864c-58d0-4122-9ee2-e7b5dfa4909d",
            "configuration-of-the-production-environment",
            "sha512-wotKjzA6e4EG1AzdJSYsRhVcWI4rbnB7zmj3aQnja9YG",
            "iVBORw0KGgoAAAANSUhEUgAAA+gAAAFJCAYAAAAIfAeG",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(of(harmless) < THRESHOLD, "{harmless} {}", of(harmless));
        }
        let allowed = [Allowed::new("(?i)k3jx.*").unwrap()];
        assert!(score("k3Jx9QbT0vLzW5pRn2Ys8Gd1", 5.0, "", &allowed) < 0.1);
        assert!(score("k3Jx9QbT0vLzW5pRn2Ys8Gd1", 5.0, "data:image/png;base64,", &[]) < 0.1);
    }

    #[test]
    fn an_exception_is_a_whole_token() {
        let allows = |pattern, token: &str| Allowed::new(pattern).unwrap().matches(token);
        assert!(allows("^[A-Za-z0-9+/]{43}=$", "jJZQqS0Fz4tXhV2b9sN1cYk7mPw3eRg8uLd5oTa6xHI="));
        assert!(allows("build-[0-9a-z]+", "build-0xk3jq9wv7z2m5p8"));
        assert!(!allows("build-[0-9a-z]+", "rebuild-0xk3jq9wv7z2m5p8"));
        assert!(!allows("abc|def", "abcx"));
        for wrong in ["", "[a-", ".*", "[A-Za-z0-9+/=_-]{16,}", "(?:a{1000}){1000}"] {
            assert!(Allowed::new(wrong).is_err(), "{wrong}");
        }
    }
}
