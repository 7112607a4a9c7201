//! Random bytes written as text: base64 or hexadecimal in a body, an argument, a command line.

use super::entropy::{SHORTEST, is_media, is_random};
use crate::syntax::base64;

/// How many long words of a text are decoded.
const MOST_WORDS: usize = 16;

/// How much of a word is decoded, in bytes of text.
const LONGEST: usize = 1 << 16;

/// Whether some word of `text` decodes to bytes that are random and no media.
pub(super) fn holds_random(text: &str) -> bool {
    // A token of three parts (RFC 7519) ends in a signature, which is random and no payload.
    let pieces = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '&' | ',' | '<' | '>'));
    let pieces = pieces.filter(|piece| piece.len() > SHORTEST && !piece.contains("eyJ"));
    let words = pieces.flat_map(|piece| piece.split(|c: char| !in_alphabet(c)));
    let long = words.filter(|word| word.len() * 3 / 4 > SHORTEST).take(MOST_WORDS);
    long.map(|word| word.get(..LONGEST).unwrap_or(word)).any(|word| {
        let bytes = if word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            hex(word)
        } else {
            base64::decode(word).unwrap_or_default()
        };
        !is_media(&bytes) && is_random(&bytes)
    })
}

const fn in_alphabet(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')
}

fn hex(word: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default();
    let pairs = word.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| pair.iter().fold(0, |value, byte| value * 16 + digit(byte));
    pairs.map(|pair| u8::try_from(byte(pair)).unwrap_or_default()).collect()
}
