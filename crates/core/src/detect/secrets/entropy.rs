//! The entropy of what leaves, and what of it is known to be harmless.

use super::noise::shannon;
use super::value;
use crate::detect::glob::Glob;

/// Above how many bits per character a token is noted, if nobody says otherwise.
pub const THRESHOLD: f32 = 4.5;

/// The shortest token that has a score, in bytes. Shorter ones are found by what stands around them, or not at all.
const SHORTEST: usize = 20;

/// What an operator sets.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bits per character, 0 to 6.
    pub threshold: f32,
    /// Tokens that are no secrets: `*` stands for any characters but `/`, `**` for any.
    pub allowed: Vec<Glob>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { threshold: THRESHOLD, allowed: Vec::new() }
    }
}

/// The score of `token`, which is as `loud` as [`noise`] says and has `before` in front of it: the smaller of its entropy, scaled to its length
/// ([`shannon`]), and its distance from language ([`noise`]). The first alone would trip over prose, the second over
/// repeated nonsense. 0 for what has no score: UUIDs, hashes, integrity values, images, public keys and certificates.
pub(super) fn score(token: &str, loud: f32, before: &str, allowed: &[Glob]) -> f32 {
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
        let allowed = [Glob::any_case("k3jx*")];
        assert!(score("k3Jx9QbT0vLzW5pRn2Ys8Gd1", 5.0, "", &allowed) < 0.1);
        assert!(score("k3Jx9QbT0vLzW5pRn2Ys8Gd1", 5.0, "data:image/png;base64,", &[]) < 0.1);
    }
}
