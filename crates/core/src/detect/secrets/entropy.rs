//! The entropy of what leaves, and what of it is known to be harmless.

use regex::{Regex, RegexBuilder};

use super::noise::shannon;
use super::value;
use crate::action::KeyEntropy;

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

/// What holds for one action: what is set for its agent, and for the key it came with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    agent: &'a Limits,
    key: Option<&'a KeyEntropy>,
}

impl<'a> Terms<'a> {
    pub(crate) const fn new(agent: &'a Limits, key: Option<&'a KeyEntropy>) -> Self {
        Self { agent, key }
    }

    /// Bits per character, and by which setting.
    pub(crate) fn threshold(&self) -> (f32, &'static str) {
        let own = self.key.and_then(|key| key.threshold);
        own.map_or((self.agent.threshold, "`entropy_threshold`"), |hundredths| {
            (f32::from(hundredths) / 100.0, "`entropy_threshold` of the key")
        })
    }

    /// Whether what is above it is noted and goes on.
    pub(crate) fn is_noted(&self) -> bool {
        self.key.is_some_and(|key| key.noted)
    }

    /// Whether `token` has no score, as it stands or for what it gives a name: `name=value` is one token.
    fn allows(&self, token: &str) -> bool {
        let padded = token.trim_end_matches('=');
        let value = padded.rfind('=').and_then(|at| token.get(at + 1..));
        [Some(token), value].into_iter().flatten().any(|text| {
            let of_key = || self.key.is_some_and(|key| key.allowed.iter().any(|own| fits(own, text)));
            self.agent.allowed.iter().any(|allowed| allowed.matches(text)) || of_key()
        })
    }
}

/// Whether `pattern`, in which `*` stands for any characters, is the whole of `text`.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(rest) = text.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    let Some(mut rest) = rest.strip_suffix(last) else { return false };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
    }
    true
}

impl Default for Limits {
    fn default() -> Self {
        Self { threshold: THRESHOLD, allowed: Vec::new() }
    }
}

/// The score of `token`, which is as `loud` as [`noise`] says and has `before` in front of it: the smaller of its entropy, scaled to its length
/// ([`shannon`]), and its distance from language ([`noise`]). The first alone would trip over prose, the second over
/// repeated nonsense. 0 for what has no score: UUIDs, hashes, integrity values, images, public keys and certificates.
pub(super) fn score(token: &str, loud: f32, before: &str, terms: Terms<'_>) -> f32 {
    // Words and identifiers, which is nearly all there is.
    if loud < 3.0 {
        return 0.0;
    }
    let hash =
        matches!(token.len(), 32 | 40 | 56 | 64 | 96 | 128) && token.bytes().all(|b| b.is_ascii_hexdigit());
    let dashes = || token.bytes().filter(|byte| *byte == b'-').count();
    let uuid = token.len() >= 36 && dashes() >= 4 && token.split(['/', '_', '=']).any(value::is_uuid);
    if token.len() < SHORTEST || hash || uuid || is_binary(token, before) {
        return 0.0;
    }
    if terms.allows(token) {
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
        let limits = Limits::default();
        let of = |token| score(token, noise(token), "", Terms::new(&limits, None));
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
        let allowing = Limits { allowed: vec![Allowed::new("(?i)k3jx.*").unwrap()], ..Limits::default() };
        let terms = Terms::new(&allowing, None);
        assert!(score("k3Jx9QbT0vLzW5pRn2Ys8Gd1", 5.0, "", terms) < 0.1);
        assert!(score("q=k3Jx9QbT0vLzW5pRn2Ys8Gd1", 5.0, "", terms) < 0.1);
        let plain = Terms::new(&limits, None);
        assert!(score("k3Jx9QbT0vLzW5pRn2Ys8Gd1", 5.0, "data:image/png;base64,", plain) < 0.1);
    }

    #[test]
    fn a_key_has_a_threshold_of_its_own_and_exceptions_beside_the_agents() {
        let agents = Limits { threshold: 4.0, allowed: vec![Allowed::new("build-.*").unwrap()] };
        let own = KeyEntropy { threshold: Some(475), allowed: ["k3*8Gd1".to_owned()].into(), noted: true };
        let of_key = Terms::new(&agents, Some(&own));
        assert_eq!(of_key.threshold(), (4.75, "`entropy_threshold` of the key"));
        assert!(of_key.is_noted() && !Terms::new(&agents, None).is_noted());
        assert_eq!(Terms::new(&agents, Some(&KeyEntropy::default())).threshold().0, 4.0);
        for allowed in ["k3Jx9QbT0vLzW5pRn2Ys8Gd1", "build-0xk3jq9wv7z2m5p8", "n=k3Jx9QbT0vLzW5pRn2Ys8Gd1"] {
            assert!(of_key.allows(allowed), "{allowed}");
        }
        for other in ["xk3Jx9QbT0vLzW5pRn2Ys8Gd1", "k3Jx9QbT0vLzW5pRn2Ys8Gd1x"] {
            assert!(!of_key.allows(other), "{other}");
        }
        for (pattern, text, whole) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("*", "", true),
            ("a*c", "ac", true),
            ("a*c", "abbc", true),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "axc", false),
            ("ab*ba", "aba", false),
            ("a**c", "abc", true),
            ("*x*", "axb", true),
            ("*x*", "ab", false),
        ] {
            assert_eq!(fits(pattern, text), whole, "{pattern} {text}");
        }
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
