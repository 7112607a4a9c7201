//! How unlike language a text is, in bits per character.
//!
//! Shannon's entropy of the characters of a text is bounded by the logarithm of its length: no token of 20
//! characters reaches 4.5 bits, and every long paragraph comes near it. So two things are measured here. [`noise`]
//! is what a small model of words pays for each character: about 3.5 bits for words and identifiers, 5 and more for
//! what a generator of keys made, whatever its length. [`shannon`] is the classical number, scaled to what a
//! text of this length could reach at most.

use std::sync::LazyLock;

/// For each letter before (the last row: the start of a word) and each letter after it: half bits, base 36.
/// Counted over the words of this project's own code and documents.
#[rustfmt::skip]
const PAIRS: [&[u8; 26]; 27] = [
    b"md98kfan9yd687z9p665bgcfbn", b"6khl4hqo9by6ok5itacf8qrr5r", b"6ogk6hq6bw98ht4fqah6bmmjcr",
    b"9hha3jap5pgdgl6gzb7hcfno8t", b"8g88dbekewm7a6jbc567lcc8dn", b"6rgj88fz5zpah65nt7cb9uoret",
    b"9mjo2oib7tgca89gy98a8gyqmf", b"4gon2vtj7vqmho5ksafacvozen", b"cg89a9byhtj8b47bqa75tcsfuc",
    b"emtt5tmtgmlott6olm2o5tttto", b"eklh2gks4xhgs7jamh7ihmjsqs", b"8qka47vl7zk6jk7itj88aknrbv",
    b"5ahf3rvn8sjdaj77zpch7ozzmr", b"8la55f7lbpcfic7drh85cebkcr", b"gda8gadtckb87589p5b98d9iot",
    b"5lni5mkg8zl6kl7bz7a76loncz", b"glnsnssnsnnassjskjns0iilsi", b"7hb84iap7zecba6jva889ectbr",
    b"9rbi4km99zdein7ali74aodtdx", b"7kac4ho57zigil7cz68baufmbr", b"g8db7eczfzs795f9w765srwlzj",
    b"5nls1ssx6xhjlnepoonlqksoqs", b"5ppj7ol56zljm66os6ahstozzz", b"7hcg8gkibwlrelm8wmm1nwpidn",
    b"adem8imbamjdf7b6ve63lnevmg", b"aihh1iks7lngjsajkhasdslng9", b"8a8a98db8ed99999i867bcakik",
];

const START: usize = 26;

/// Half bits for `after` following `before`.
fn pair(before: usize, after: u8) -> u32 {
    let row = PAIRS.get(before);
    let digit = row.and_then(|row| row.get(usize::from(after.to_ascii_lowercase() - b'a')));
    digit.and_then(|digit| char::from(*digit).to_digit(36)).unwrap_or(20)
}

/// Bits per character of `text`, 0 for an empty one. Only its first 160 bytes are read.
#[must_use]
pub fn noise(text: &str) -> f32 {
    let (mut half_bits, mut count) = (0u32, 0u32);
    let (mut before, mut upper_run) = (b' ', 0u32);
    for byte in text.bytes().take(160) {
        half_bits += u32::from(cost(before, byte, upper_run > 1));
        upper_run = if byte.is_ascii_uppercase() { upper_run + 1 } else { 0 };
        count += 1;
        before = byte;
    }
    if count == 0 {
        0.0
    } else {
        f32::from(u16::try_from(half_bits).unwrap_or(u16::MAX)) / 2.0 / float(count)
    }
}

/// Half bits for `byte` after `before`, which is the last of `several` capitals or is not.
#[inline]
fn cost(before: u8, byte: u8, several: bool) -> u8 {
    // Beyond ASCII nearly everything costs the same.
    if !before.is_ascii() || !byte.is_ascii() {
        return u8::try_from(counted(before, byte, several)).unwrap_or(u8::MAX);
    }
    let at = usize::from(several) << 14 | usize::from(before) << 7 | usize::from(byte);
    COSTS.get(at).copied().unwrap_or_default()
}

/// What [`cost`] gives, for each two bytes, and once more for them after several capitals.
static COSTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let both = (0..2u8).flat_map(|several| (0..128u8).map(move |before| (several == 1, before)));
    let all = both.flat_map(|(several, before)| (0..128u8).map(move |byte| (several, before, byte)));
    all.map(|(several, before, byte)| u8::try_from(counted(before, byte, several)).unwrap_or(u8::MAX))
        .collect()
});

fn counted(before: u8, byte: u8, several: bool) -> u32 {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' => letter(before, byte, several),
        b'0'..=b'9' => match before {
            b'0'..=b'9' if byte == before || byte == before + 1 => 3,
            b'0'..=b'9' => 7,
            b'a'..=b'z' | b'A'..=b'Z' => 12,
            _ => 8,
        },
        _ if byte == before => 1,
        b'_' | b'-' | b'.' | b' ' | b'/' => 5,
        _ => 11,
    }
}

fn letter(before: u8, byte: u8, several: bool) -> u32 {
    if !before.is_ascii_alphabetic() {
        return pair(START, byte) + if before.is_ascii_digit() { 5 } else { 0 };
    }
    if before.eq_ignore_ascii_case(&byte) && before != byte {
        return 14;
    }
    match (before.is_ascii_uppercase(), byte.is_ascii_uppercase()) {
        // A new word in camel case.
        (false, true) => pair(START, byte) + 5,
        (true, false) if several => pair(usize::from(before.to_ascii_lowercase() - b'a'), byte) + 4,
        _ => pair(usize::from(before.to_ascii_lowercase() - b'a'), byte),
    }
}

/// Shannon's entropy of the characters of `text`, in bits per character, scaled by what a text of this length
/// and 64 different characters could reach: 6 bits for a short text without a repeated character as for a long one.
#[must_use]
pub fn shannon(text: &str) -> f32 {
    let mut counts = [0u16; 256];
    let (mut length, mut sum) = (0u16, 0.0f32);
    for byte in text.bytes().take(MOST) {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            sum += STEPS.get(usize::from(*count)).copied().unwrap_or_default();
            *count += 1;
        }
        length += 1;
    }
    if length < 2 {
        return 0.0;
    }
    let total = f32::from(length);
    (total.log2() - sum / total) * 6.0 / total.min(64.0).log2()
}

/// Of how much of a text the entropy is told, in bytes.
const MOST: usize = 4096;

/// How much n·log2(n) grows from each n to the next.
static STEPS: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let of = |n: usize| if n < 2 { 0.0 } else { n as f64 * (n as f64).log2() };
    (0..MOST).map(|n| (of(n + 1) - of(n)) as f32).collect()
});

/// Counts here are small.
fn float(count: u32) -> f32 {
    f32::from(u16::try_from(count).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quiet_and_keys_are_loud_at_every_length() {
        for quiet in [
            "the quick brown fox jumps over the lazy dog",
            "getPagesInConfluenceSpace",
            "max_retry_count",
            "application/json",
            "TokenBucketRateLimiterConfiguration",
        ] {
            assert!(noise(quiet) < 4.3, "{quiet} {}", noise(quiet));
        }
        for loud in ["k3Jx9QbT0vLz", "qzxvkjwpgh", "9f8Q2mZx7LpW4sKd1VbN", "7GxQz2"] {
            assert!(noise(loud) > 4.6, "{loud} {}", noise(loud));
        }
    }

    #[test]
    fn the_scaled_entropy_does_not_let_short_tokens_escape() {
        assert!(shannon("k3Jx9QbT0vLzW5pRn2Ys") > 5.5);
        assert!(shannon("aaaaaaaaaaaaaaaaaaaa") < 0.1);
        assert!(shannon("") < 0.1);
        // 64 hexadecimal digits cannot have more than 4 bits.
        assert!(shannon(&"0123456789abcdef".repeat(4)) <= 4.01);
    }
}
