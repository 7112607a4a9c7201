//! Random bytes written as text: base64 or hexadecimal in a body, an argument, a command line.

use super::entropy::{SHORTEST, is_media, is_random};
use crate::detect::runs;
use crate::syntax::base64;

/// How many long words of a text are decoded.
const MOST_WORDS: usize = 16;

/// How much of a word is decoded, in bytes of text.
const LONGEST: usize = 1 << 16;

/// The shortest word that decodes to more than is too short to be measured, in digits of base64.
const SHORTEST_WORD: usize = (SHORTEST + 1) * 4 / 3 + 1;

/// Whether some word of `text` decodes to bytes that are random and no media.
pub(super) fn holds_random(text: &str) -> bool {
    let mut pieces = Pieces { text, end: 0, token: false };
    let long = runs::of(text, SHORTEST_WORD, in_alphabet).filter(|(start, _)| !pieces.is_token(*start));
    long.take(MOST_WORDS).map(|(_, word)| word.get(..LONGEST).unwrap_or(word)).any(|word| {
        let bytes = if word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            hex(word)
        } else {
            base64::decode(word).unwrap_or_default()
        };
        !is_media(&bytes) && is_random(&bytes)
    })
}

/// What stands between spaces, quotes and the like, asked about in order.
struct Pieces<'a> {
    text: &'a str,
    /// Where the last one ends that was looked at.
    end: usize,
    token: bool,
}

impl Pieces<'_> {
    /// Whether what stands around `at` is a token of three parts (RFC 7519): it ends in a signature, which is random and no payload.
    fn is_token(&mut self, at: usize) -> bool {
        if at >= self.end {
            let parts = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '&' | ',' | '<' | '>');
            let (before, behind) =
                (self.text.get(self.end..at).unwrap_or_default(), self.text.get(at..).unwrap_or_default());
            let head = before.rsplit(parts).next().unwrap_or_default();
            let tail = behind.split(parts).next().unwrap_or_default();
            self.end = at + tail.len();
            self.token = head.contains("eyJ") || tail.contains("eyJ");
        }
        self.token
    }
}

const fn in_alphabet(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

fn hex(word: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default();
    let pairs = word.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| pair.iter().fold(0, |value, byte| value * 16 + digit(byte));
    pairs.map(|pair| u8::try_from(byte(pair)).unwrap_or_default()).collect()
}
