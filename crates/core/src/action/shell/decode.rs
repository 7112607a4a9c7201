//! Small decoders for texts that a line carries with it.

use super::stream::LONGEST_RAW;
use crate::syntax::base64;

/// The escapes of `$'…'`, `printf` and `echo -e`.
pub(super) fn c_escapes(text: &str) -> String {
    let bytes = c_escaped(text);
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The same, where they may stand for bytes that are no text.
pub(super) fn c_escaped(text: &str) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(&kind) = bytes.get(at) else {
            out.push(b'\\');
            break;
        };
        at += 1;
        match kind {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'e' | b'E' => out.push(27),
            b'f' => out.push(12),
            b'v' => out.push(11),
            b'\\' | b'\'' | b'"' | b'?' => out.push(kind),
            b'c' => at += 1,
            b'x' => {
                let (value, used) = digits(bytes.get(at..), 16, 2);
                at += used;
                out.push(u8::try_from(value & 0xff).unwrap_or_default());
            }
            b'u' | b'U' => {
                let (value, used) = digits(bytes.get(at..), 16, if kind == b'u' { 4 } else { 8 });
                at += used;
                let c = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            b'0'..=b'7' => {
                let most = if kind == b'0' { 4 } else { 3 };
                let (value, used) = digits(bytes.get(at - 1..), 8, most);
                at += used.saturating_sub(1);
                out.push(u8::try_from(value & 0xff).unwrap_or_default());
            }
            _ => out.extend_from_slice(&[b'\\', kind]),
        }
    }
    out
}

/// What a gzip stream holds; `None` if it is none, or holds more than is followed.
pub(super) fn gunzip(bytes: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let mut out = Vec::new();
    let most = LONGEST_RAW as u64;
    flate2::read::MultiGzDecoder::new(bytes).take(most + 1).read_to_end(&mut out).ok()?;
    (out.len() as u64 <= most).then_some(out)
}

fn digits(bytes: Option<&[u8]>, radix: u32, most: usize) -> (u32, usize) {
    let mut value = 0u32;
    let mut used = 0;
    for byte in bytes.unwrap_or_default().iter().take(most) {
        let Some(digit) = char::from(*byte).to_digit(radix) else { break };
        value = value.wrapping_mul(radix).wrapping_add(digit);
        used += 1;
    }
    (value, used)
}

/// Base64 in either alphabet, white space ignored, padding optional. `None` if it is not base64 or
/// not text.
pub(super) fn base64(text: &str) -> Option<String> {
    text_of(base64_bytes(text)?)
}

/// Base64 of UTF-16LE text, as `powershell -EncodedCommand` takes it.
pub(super) fn base64_utf16(text: &str) -> Option<String> {
    let bytes = base64_bytes(text)?;
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| pair.iter().rev().fold(0, |n, b| (n << 8) | u16::from(*b)))
        .collect();
    String::from_utf16(&units).ok()
}

pub(super) fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    let ignored = |c: char| matches!(c, '=' | '\n' | '\r' | ' ' | '\t');
    if text.contains(ignored) { base64::decode(&text.replace(ignored, "")) } else { base64::decode(text) }
}

/// Pairs of hexadecimal digits; white space, `0x` and `\x` between them ignored.
pub(super) fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for byte in text.replace("\\x", " ").replace("0x", " ").bytes() {
        if byte.is_ascii_whitespace() {
            continue;
        }
        let digit = char::from(byte).to_digit(16)?;
        match high.take() {
            None => high = Some(digit),
            Some(first) => out.push(u8::try_from(first * 16 + digit).unwrap_or_default()),
        }
    }
    Some(out)
}

/// Text with few enough control characters to be one.
pub(super) fn text_of(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    (!text.is_empty() && !text.contains(odd)).then_some(text)
}

/// `tr SET1 SET2`, for the sets that ROT13 and its like are written with.
pub(super) fn translate(text: &str, from: &str, to: &str) -> String {
    let (from, to) = (set(from), set(to));
    text.chars()
        .map(|c| match from.iter().position(|f| *f == c) {
            Some(at) => to.get(at).or(to.last()).copied().unwrap_or(c),
            None => c,
        })
        .collect()
}

fn set(spec: &str) -> Vec<char> {
    let chars: Vec<char> = c_escapes(spec).chars().take(512).collect();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        match (chars.get(at + 1), chars.get(at + 2)) {
            (Some('-'), Some(&end)) if end >= c && u32::from(end) - u32::from(c) < 512 => {
                out.extend(c..=end);
                at += 3;
            }
            _ => {
                if !matches!(c, '[' | ']') {
                    out.push(c);
                }
                at += 1;
            }
        }
    }
    out
}
