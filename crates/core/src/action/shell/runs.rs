//! Where numbers, hexadecimal digits and literals stand in code, and the text that they spell.

/// The most places of one kind that are looked at in one pass.
pub(super) const MOST_PLACES: usize = 512;

/// Fewer numbers than this are none of a text.
pub(super) const FEW_NUMBERS: usize = 3;

/// The literal that `code` begins with, and its length with quotes.
pub(super) fn literal_at(code: &str) -> Option<(&str, usize)> {
    let trimmed = code.trim_start();
    let quote = trimmed.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = trimmed.get(1..)?;
    let end = inner.find(quote)?;
    Some((inner.get(..end)?, code.len() - trimmed.len() + end + 2))
}

pub(super) const fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e)
}

/// Whether a text that came out of a decoder is likely to be meant.
pub(super) fn says_something(text: &str) -> bool {
    let plain = text.chars().all(|c| c == '\n' || c == '\t' || c == '\r' || !c.is_control());
    plain && text.chars().filter(|c| c.is_alphabetic()).count() >= 3
}

pub(super) fn number(text: &str) -> Option<u8> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u8::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The text that a run of numbers spells: in decimal or with `0x`, or all in octal.
pub(super) fn of_numbers(run: &str) -> Option<String> {
    let parts = || run.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let of = |read: &dyn Fn(&str) -> Option<u8>| {
        let bytes: Option<Vec<u8>> = parts().map(read).collect();
        let bytes = bytes.filter(|bytes| bytes.iter().all(|byte| is_text(*byte)))?;
        Some(bytes.iter().map(|byte| char::from(*byte)).collect::<String>())
    };
    let octal = || parts().all(|part| part.len() == 3 || part == "40" || part == "56" || part == "57");
    of(&number).or_else(|| octal().then(|| of(&|part| u8::from_str_radix(part, 8).ok())).flatten())
}

/// Where numbers follow one another with nothing but separators between.
pub(super) fn number_runs(code: &str) -> Vec<(usize, usize)> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let inside = at > 0 && bytes.get(at - 1).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        if !byte.is_ascii_digit() || inside {
            at += 1;
            continue;
        }
        let (start, mut end, mut count) = (at, at, 0);
        loop {
            let digits = bytes.get(at..).unwrap_or_default();
            let length = digits.iter().take_while(|b| b.is_ascii_hexdigit() || **b == b'x').count();
            if length == 0 || length > 4 || !digits.first().is_some_and(u8::is_ascii_digit) {
                break;
            }
            at += length;
            (end, count) = (at, count + 1);
            let gap = bytes.get(at..).unwrap_or_default();
            let gap = gap.iter().take_while(|b| b" \t\n,;:._|-".contains(b)).take(8).count();
            if gap == 0 {
                break;
            }
            at += gap;
        }
        if count >= FEW_NUMBERS {
            found.push((start, end));
            if found.len() >= MOST_PLACES {
                break;
            }
        }
        at = at.max(end).max(start + 1);
    }
    found
}

/// Stretches of hexadecimal digits, an even number of them, that stand for themselves.
pub(super) fn hex_runs(code: &str) -> Vec<(usize, usize)> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() && found.len() < MOST_PLACES {
        let rest = bytes.get(at..).unwrap_or_default();
        let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        let run = rest.get(..length).unwrap_or_default();
        if length >= 2 && length % 2 == 0 && run.iter().all(u8::is_ascii_hexdigit) {
            found.push((at, at + length));
        }
        at += length.max(1);
    }
    found
}

/// Where literals stand, without their quotes.
pub(super) fn spans(code: &str) -> Vec<(usize, usize)> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&quote) = bytes.get(at) {
        at += 1;
        if !matches!(quote, b'"' | b'\'' | b'`') {
            continue;
        }
        let start = at;
        while let Some(&byte) = bytes.get(at) {
            if byte == quote {
                break;
            }
            at += if byte == b'\\' { 2 } else { 1 };
        }
        if at < bytes.len() && code.is_char_boundary(at) {
            found.push((start, at));
        }
        at += 1;
        if found.len() >= MOST_PLACES {
            break;
        }
    }
    found
}
