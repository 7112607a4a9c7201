//! What stands behind an encoding: base64, hexadecimal, gzip, percent signs, a reversed or a cut text. Every layer is
//! bounded in size, and layers are in number and depth.

use std::sync::LazyLock;

use flate2::{Decompress, FlushDecompress, Status};
use regex::Regex;

use crate::detect::compiled;
use crate::syntax::base64;

/// The most that one layer may decode to, in bytes.
const LARGEST: usize = 64 << 10;

/// The shortest lines that are put together.
const NARROWEST: usize = 40;

/// How many runs of such lines are put together in one text.
const MOST_RUNS: usize = 16;

/// The least that is worth another look, in bytes.
const LEAST: usize = 12;

/// How much of a token tells whether it encodes text, in bytes.
const FIRST: usize = 32;

/// What `token` is the encoding of, if that is text.
pub(super) fn decode(token: &str) -> Option<String> {
    let usual = if may_be_text(token) { unpacked(token).and_then(text_of) } else { None };
    usual.or_else(|| text_of(base32(token)?))
}

/// Whether `token` has nothing but the digits of base32 (RFC 4648, 6), in one case.
pub(super) fn is_base32(token: &str) -> bool {
    let digits = token.trim_end_matches('=');
    let all =
        |letter: fn(&u8) -> bool| digits.bytes().all(|byte| letter(&byte) || matches!(byte, b'2'..=b'7'));
    token.len() <= LARGEST * 2 && (all(u8::is_ascii_uppercase) || all(u8::is_ascii_lowercase))
}

/// What base32 says; what is no text is left after its first bytes.
fn base32(token: &str) -> Option<Vec<u8>> {
    if !is_base32(token) {
        return None;
    }
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0);
    for byte in token.trim_end_matches('=').bytes() {
        let digit = match byte {
            b'2'..=b'7' => byte - b'2' + 26,
            letter => letter.to_ascii_uppercase().checked_sub(b'A')?,
        };
        held = (held << 5 | u32::from(digit)) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            let byte = u8::try_from(held >> bits & 0xff).ok()?;
            if is_control(byte) {
                return None;
            }
            bytes.push(byte);
        }
    }
    (bytes.len() >= LEAST).then_some(bytes)
}

/// The same of bytes of any kind, such as an archive's, as far as they are text: what is known by its hashes is
/// found among them.
pub(super) fn decode_any(token: &str) -> Option<String> {
    let bytes = unpacked(token)?;
    Some(
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

fn unpacked(token: &str) -> Option<Vec<u8>> {
    if token.len() > LARGEST * 2 {
        return None;
    }
    let even = token.len().is_multiple_of(2) && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bytes = if even { hex(token) } else { base64::decode(token) }?;
    let bytes = if bytes.starts_with(&[0x1f, 0x8b, 8]) { gunzip(&bytes)? } else { bytes };
    (bytes.len() >= LEAST).then_some(bytes)
}

/// Lines of one length that hold nothing but the digits of an encoding, put together, and the shorter line behind them:
/// how `base64` and `xxd -p` write what is long. With where they begin and end.
pub(super) fn wrapped(text: &str) -> Vec<(usize, usize, String)> {
    let mut runs: Vec<(usize, usize, String)> = Vec::new();
    let mut at = 0;
    let mut run: Option<(usize, usize, String)> = None;
    let mut width = 0;
    for line in text.split_inclusive('\n') {
        let (start, digits) = (at, line.trim_end_matches(['\n', '\r']));
        at += line.len();
        let coded = !digits.is_empty() && digits.bytes().all(in_digits);
        if coded
            && let Some((_, end, joined)) = &mut run
            && digits.len() <= width
            && joined.len() + digits.len() <= LARGEST * 2
        {
            (*end, width) = (start + digits.len(), if digits.len() < width { 0 } else { width });
            joined.push_str(digits);
            continue;
        }
        runs.extend(run.take().filter(|(_, _, joined)| joined.len() > width));
        (run, width) = (None, digits.len());
        if coded && digits.len() >= NARROWEST && runs.len() < MOST_RUNS {
            run = Some((start, start + digits.len(), digits.to_owned()));
        }
    }
    runs.extend(run.filter(|(_, _, joined)| joined.len() > width));
    runs
}

const fn in_digits(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-')
}

/// Whether the first bytes of what base64 in `token` says are those of a text or of gzip: a picture or a key is not decoded
/// whole. Hexadecimal digits are base64 of nothing.
fn may_be_text(token: &str) -> bool {
    let Some(first) = token.as_bytes().get(..FIRST).filter(|_| !token.bytes().all(|b| b.is_ascii_hexdigit()))
    else {
        return true;
    };
    let mut bytes = Vec::with_capacity(FIRST);
    base64::decode_into(first, &mut bytes);
    bytes.starts_with(&[0x1f, 0x8b, 8]) || !bytes.iter().any(|byte| is_control(*byte))
}

const fn is_control(byte: u8) -> bool {
    byte < b' ' && !matches!(byte, b'\n' | b'\r' | b'\t') || byte == 0x7f
}

fn text_of(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    (!text.bytes().any(is_control)).then_some(text)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?);
    text.as_bytes().chunks(2).map(pair).collect()
}

/// The first [`LARGEST`] bytes of a gzip member (RFC 1952); its checksum does not matter here.
fn gunzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let flags = *bytes.get(3)?;
    let mut at = 10;
    if flags & 4 != 0 {
        at += 2 + usize::from(*bytes.get(at)?) + (usize::from(*bytes.get(at + 1)?) << 8);
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            at += bytes.get(at..)?.iter().position(|byte| *byte == 0)? + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    let mut out = vec![0; LARGEST];
    let mut inflate = Decompress::new(false);
    let status = inflate.decompress(bytes.get(at..)?, &mut out, FlushDecompress::Finish);
    if status.is_err() || matches!(status, Ok(Status::BufError)) && inflate.total_out() == 0 {
        return None;
    }
    out.truncate(usize::try_from(inflate.total_out()).unwrap_or(LARGEST));
    Some(out)
}

/// `text` with its percent signs resolved and pluses taken for spaces.
pub(super) fn percent(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits =
            bytes.get(at + 1..at + 3).filter(|_| *byte == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// `text` with entities of HTML and escapes of JSON and JavaScript resolved, as far as they say ASCII: `&#95;`, `&#x5f;`,
/// `&lowbar;`, `\u005f`, `\u{5f}`, `\x5f`. An ampersand that is one itself is resolved before.
pub(super) fn unescaped(text: &str) -> String {
    let text = text.replace("&amp;", "&");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['&', '\\']) {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let read = if from.starts_with('&') { entity(from) } else { escape(from) };
        let mut chars = from.chars();
        let first = chars.next();
        match read {
            Some((said, length)) => {
                out.push(said);
                rest = from.get(length..).unwrap_or_default();
            }
            None => {
                out.extend(first);
                rest = chars.as_str();
            }
        }
    }
    out.push_str(rest);
    out
}

/// The longest entity or escape, in bytes.
const LONGEST_ESCAPE: usize = 16;

/// The ASCII character that an entity at the beginning of `text` says, and its length.
fn entity(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(LONGEST_ESCAPE).position(|byte| byte == b';')?;
    let name = text.get(1..end)?;
    let said = match name.strip_prefix('#') {
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(digits) => ascii(digits, 16)?,
            None => ascii(number, 10)?,
        },
        None => ENTITIES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?.1,
    };
    Some((said, end + 1))
}

/// The same of an escape.
fn escape(text: &str) -> Option<(char, usize)> {
    let digits = |from: usize, to: usize| Some((ascii(text.get(from..to)?, 16)?, to));
    match text.as_bytes().get(1..3)? {
        b"u{" => {
            let end = text.bytes().take(LONGEST_ESCAPE).position(|byte| byte == b'}')?;
            Some((digits(3, end)?.0, end + 1))
        }
        [b'u', _] => digits(2, 6),
        [b'x', _] => digits(2, 4),
        _ => None,
    }
}

fn ascii(digits: &str, radix: u32) -> Option<char> {
    let number = u8::from_str_radix(digits, radix).ok().filter(u8::is_ascii)?;
    Some(char::from(number))
}

/// Names that HTML has for what stands in credentials.
const ENTITIES: [(&str, char); 12] = [
    ("lowbar", '_'),
    ("underbar", '_'),
    ("period", '.'),
    ("sol", '/'),
    ("plus", '+'),
    ("equals", '='),
    ("colon", ':'),
    ("quot", '"'),
    ("apos", '\''),
    ("num", '#'),
    ("commat", '@'),
    ("dollar", '$'),
];

/// `text` with literals that are put together put together: `"gh" + "p_…"`, and what is cut over lines.
pub(super) fn joined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\'', '`']) {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let mut chars = from.chars();
        let quote = chars.next().unwrap_or('"');
        let after = chars.as_str();
        let gap = after.trim_start_matches([' ', '\t', '\n', '\r', '\\']);
        let gap = gap.strip_prefix(['+', '.', '&', ',']).unwrap_or(gap);
        let gap = gap.trim_start_matches([' ', '\t', '\n', '\r', '\\']);
        match gap.strip_prefix(quote) {
            Some(next) if after.len() - gap.len() <= 64 && !next.is_empty() => rest = next,
            _ => {
                out.push(quote);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// What stands in fields or literals one behind the other, from the value with which `text` begins on, as one: `a", "b": "c` and
/// `a&b=c` are `ac`; `None` if that value has fewer than `least` bytes or no other follows. And how much of `text` was gone through.
pub(super) fn over_fields(text: &str, least: usize) -> (Option<String>, usize) {
    let piece = |at: usize| {
        let rest = text.get(at..).unwrap_or_default();
        rest.get(..rest.bytes().take_while(|byte| in_digits(*byte) || *byte == b'.').count())
            .unwrap_or_default()
    };
    let gap = |at: usize| {
        GAP.as_ref().zip(text.get(at..)).and_then(|(gap, rest)| gap.find(rest)).map(|gap| gap.end())
    };
    let first = piece(0);
    let (mut out, mut at) = (first.to_owned(), first.len());
    while first.len() >= least
        && let Some(next) = gap(at).map(|gap| at + gap)
        && !piece(next).is_empty()
    {
        out.push_str(piece(next));
        at = next + piece(next).len();
    }
    ((out.len() > first.len()).then_some(out), at)
}

/// What stands between two values: the end of a literal, perhaps the name of the next, and its beginning; the name of the next
/// value of a form.
static GAP: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let quoted = r#"\\?["'`]\s{0,8}[,;\]})]{0,3}\s{0,16}(?:(?:let|const|var)\s{1,4})?(?:[\[{(]{0,2}\s{0,4}\\?["']?[\w.-]{1,40}\\?["']?\s{0,4}[:=]\s{0,4}){0,3}[\[{(]{0,2}\s{0,4}\\?["'`]"#;
    let form = r"[&\n][\w.%\[\]-]{1,40}=";
    // Names in ASCII: with the letters of all scripts it took a tenth of a second to compile, at the first request of all.
    compiled::shipped(&format!("(?-u)^(?:{quoted}|{form})"))
});

/// `token` from its end to its beginning.
pub(super) fn reversed(token: &str) -> String {
    token.chars().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_values_compiles() {
        assert!(GAP.is_some());
    }

    #[test]
    fn encodings_are_undone_and_binary_is_left_alone() {
        assert_eq!(decode("dG9rZW46IGFiYyAxMjM0NQ==").as_deref(), Some("token: abc 12345"));
        assert_eq!(decode("746f6b656e3a2061626320313233").as_deref(), Some("token: abc 123"));
        assert_eq!(decode("AAECAwQFBgcICQoLDA0ODw=="), None);
        for token in
            ["ORXWWZLOHIQGCYTDEAYTEMZUGU======", "ORXWWZLOHIQGCYTDEAYTEMZUGU", "orxwwzlohiqgcytdeaytemzugu"]
        {
            assert_eq!(decode(token).as_deref(), Some("token: abc 12345"));
        }
        assert_eq!(decode("AAAQEAYEAUDAOCAJBIFQYDIOB4"), None);
        assert_eq!(percent("a%3Db%20c%zz%4"), "a=b c%zz%4");
        for text in
            ["a_b", "a&#95;b", "a&#x5F;b", "a&LowBar;b", "a\\u005fb", "a\\u{5f}b", "a\\x5fb", "a&amp;#0095;b"]
        {
            assert_eq!(unescaped(text), "a_b");
        }
        for text in
            ["é & b; \\", "\\u00", "\\x", "&#", "&#;", "&#300;", "&nbsp;", "\\u00e9", "\\u{}", "\\d+\\é"]
        {
            assert_eq!(unescaped(text), text);
        }
        assert_eq!(joined("x = \"gh\" + \"p_ab\"; y = 'a'\n  'b'"), "x = \"ghp_ab\"; y = 'ab'");
        assert_eq!(reversed("abc"), "cba");
    }

    #[test]
    fn lines_of_one_length_are_one_text() {
        let (a, b) = ("A".repeat(60), "B".repeat(60));
        let text = format!("$ base64 x\n{a}\n{b}\nQUJD\nmore\n{a}\r\n{b}\r\n\n{a}\nno");
        let found: Vec<String> = wrapped(&text).into_iter().map(|(_, _, joined)| joined).collect();
        assert_eq!(found, [format!("{a}{b}QUJD"), format!("{a}{b}"), format!("{a}no")]);
        let (start, end, _) = wrapped(&text).remove(0);
        let whole = text.get(start..end).unwrap();
        assert!(whole.starts_with(&a) && whole.ends_with("QUJD"));
        assert_eq!(wrapped("short\nlines\n"), []);
        assert_eq!(wrapped(&a), []);
    }

    #[test]
    fn what_gzip_holds_is_bounded() {
        // A stored block (RFC 1951): its length, the complement, the bytes.
        let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 14, 0, 241, 255];
        member.extend_from_slice(b"token: abc 123");
        assert_eq!(gunzip(&member).as_deref(), Some(b"token: abc 123".as_slice()));
        assert_eq!(gunzip(&[0x1f, 0x8b, 8, 0]), None);
    }
}
