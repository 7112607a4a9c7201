//! Base85 in the three ways in which it is written: Ascii85 (`<~…~>`, or without these marks), Z85 (ZeroMQ RFC 32) and the digits of
//! RFC 1924, which Python and git write. Only what says text counts: of twelve bytes of chance one in a hundred thousand does.

use std::sync::LazyLock;

use memchr::memchr;

use crate::detect::runs;

/// The shortest run that is looked at: 20 bytes of text.
const SHORTEST: usize = 25;

/// The longest that is decoded, in bytes.
const LONGEST: usize = 80 << 10;

/// The least text that counts, in bytes.
const LEAST: usize = 16;

/// How many groups tell whether the rest is worth decoding.
const FIRST: usize = 3;

/// The digits of each, by value.
const Z85: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
const RFC1924: &[u8; 85] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

/// What is no digit.
const NONE: u8 = u8::MAX;

/// What each byte is worth, in each of the three.
static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut ascii = [0; 85];
    ascii.iter_mut().zip(b'!'..).for_each(|(digit, byte)| *digit = byte);
    let values = [&ascii, Z85, RFC1924].map(|digits| {
        let mut values = [NONE; 256];
        for (value, digit) in (0u8..).zip(digits) {
            values.get_mut(usize::from(*digit)).into_iter().for_each(|slot| *slot = value);
        }
        values
    });
    let mut begins = [0; 256];
    for (way, values) in values.iter().enumerate() {
        let firsts = begins.iter_mut().zip(values).filter(|(_, value)| DIGITS.contains(value));
        firsts.for_each(|(ways, _)| *ways |= 1 << way);
    }
    Tables { values, begins }
});

struct Tables {
    /// The values of the digits.
    values: [Values; 3],
    /// One bit for each way in which text may begin with this digit.
    begins: [u8; 256],
}

type Values = [u8; 256];

/// Runs of characters without spaces that may be base85, with where they begin.
pub(super) fn candidates(text: &str) -> impl Iterator<Item = (usize, &str)> {
    runs::graphic(text, SHORTEST)
}

/// What `run` or a part of it says: all of it, what stands behind a name and `=` or `:`, what is in quotes.
pub(super) fn decode(run: &str) -> Option<String> {
    let run = run.get(..LONGEST.min(run.len())).unwrap_or_default();
    let tables = &*TABLES;
    let behind = |sign: u8| memchr(sign, run.as_bytes()).and_then(|at| run.get(at + 1..));
    let starts = [Some(run), behind(b'='), behind(b':'), behind(b'"'), behind(b'\'')];
    starts.into_iter().flatten().find_map(|part| tables.decode(part))
}

/// What stands between `<~` and `~>`, whatever lines it is broken into.
pub(super) fn marked(text: &str) -> impl Iterator<Item = (usize, usize, String)> {
    // Most texts have no such sign at all.
    let text = if memchr(b'<', text.as_bytes()).is_some() { text } else { "" };
    text.match_indices("<~").take(super::MOST).filter_map(move |(start, _)| {
        let rest = text.get(start + 2..)?;
        let body = rest.get(..rest.find("~>")?).filter(|body| body.len() <= LONGEST)?;
        let digits: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let said = TABLES.values.first().and_then(|values| text_of(&digits, values))?;
        Some((start, start + 2 + body.len(), said))
    })
}

impl Tables {
    /// What `part` says, in whatever way. Nearly all of what is asked about is no base85, and is out after one byte or one group:
    /// this is asked five times of each run.
    fn decode(&self, part: &str) -> Option<String> {
        let part = part.strip_prefix("<~").unwrap_or(part);
        let ways = self.ways(part.as_bytes());
        let mut begins = self.values.iter().enumerate().filter(|(way, _)| ways >> way & 1 != 0);
        if ways == 0 { None } else { begins.find_map(|(_, values)| text_of(part, values)) }
    }
}

impl Tables {
    /// In which ways the first groups of `part` may say text, by the first digit of each: of words in quotes and numbers, hardly any.
    #[inline]
    fn ways(&self, part: &[u8]) -> u8 {
        let firsts = (0..FIRST).map(|group| part.get(group * 5).map_or(0, |digit| self.begun(*digit)));
        firsts.fold(u8::MAX, |ways, way| ways & way)
    }

    #[inline]
    fn begun(&self, digit: u8) -> u8 {
        self.begins.get(usize::from(digit)).copied().unwrap_or_default()
    }
}

/// Whether the first digits of `part` say text.
fn begins(part: &[u8], values: &Values) -> bool {
    part.get(..FIRST * 5).is_some_and(|first| first.chunks_exact(5).all(|group| says_text(group, values)))
}

fn says_text(group: &[u8], values: &Values) -> bool {
    let mut number = 0u64;
    for byte in group {
        match values.get(usize::from(*byte)) {
            Some(&value) if value != NONE => number = number * 85 + u64::from(value),
            _ => return false,
        }
    }
    u32::try_from(number).is_ok_and(|number| number.to_be_bytes().iter().all(is_said))
}

/// What the first of five digits is if a byte of text is the first that they say: from a tab to `~`, with 85⁴ for each digit.
const DIGITS: std::ops::RangeInclusive<u8> = 2..=40;

/// Whether text has such a byte.
const fn is_said(byte: &u8) -> bool {
    matches!(byte, b'!'..=b'~' | b' ' | b'\t' | b'\r' | b'\n')
}

/// The text that the digits at the beginning of `part` say.
fn text_of(part: &str, values: &Values) -> Option<String> {
    let part = part.as_bytes();
    if !begins(part, values) {
        return None;
    }
    let value = |byte: &u8| values.get(usize::from(*byte)).copied().filter(|value| *value != NONE);
    let mut out = Vec::new();
    for group in part.chunks(5) {
        let digits = group.iter().map_while(value);
        let count = digits.clone().count();
        // A group that is cut off is filled with the highest digit, of which the last bytes are dropped.
        let filled = digits.chain(std::iter::repeat(84)).take(5);
        let number = filled.fold(0u64, |number, value| number * 85 + u64::from(value));
        // More than four bytes hold: it ended before.
        let Ok(number) = u32::try_from(number) else { break };
        let bytes = number.to_be_bytes();
        let said = bytes.get(..count.saturating_sub(1)).unwrap_or_default();
        out.extend_from_slice(said);
        if count < 5 {
            break;
        }
    }
    // What is behind it may be of another kind: as far as it is text.
    let text = String::from_utf8_lossy(&out);
    let end = text.find(|c: char| c == '\u{fffd}' || c.is_control() && !c.is_whitespace());
    text.get(..end.unwrap_or(text.len())).filter(|text| text.len() >= LEAST).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "token: ghp_pK7mQ2vX9sL4tR8wZ1nB5cY3hJ6dF0gA2eU7";
    /// By Python's `base64.a85encode` and `base64.b85encode`.
    const BY_PYTHON: [&str; 2] = [
        "FDkr+DE8nQBQ.<t9/g]b13Qb[F%eE4;E/l(0lB<8@p(U$8iC3L0P<[,AQ:Y",
        "bZ={AZaN@mXmDR}OE+y%GIm%wb4)aJQaE>7F>XRNV_7q3N;YIhFlRwBWmPu",
    ];

    #[test]
    fn each_way_of_writing_is_read() {
        let encode = |text: &str, digits: &[u8]| {
            let groups = text.as_bytes().chunks(4).flat_map(|group| {
                let filled = group.iter().copied().chain(std::iter::repeat(0)).take(4);
                let number = filled.fold(0u32, |number, byte| number << 8 | u32::from(byte));
                let digit = |power: u32| char::from(digits[(number / 85u32.pow(power) % 85) as usize]);
                (0..=group.len() as u32).map(|at| digit(4 - at)).collect::<Vec<char>>()
            });
            groups.collect::<String>()
        };
        let ascii: Vec<u8> = (b'!'..=b'u').collect();
        for digits in [&ascii[..], Z85, RFC1924] {
            for text in [47, 46, 45, 44].map(|length| SAID.get(..length).unwrap()) {
                let coded = encode(text, digits);
                assert_eq!(decode(&coded).as_deref(), Some(text), "{coded}");
                assert_eq!(decode(&format!("name={coded}")).as_deref(), Some(text), "{coded}");
            }
        }
        for coded in BY_PYTHON {
            assert_eq!(decode(coded).as_deref(), Some(SAID));
        }
        let coded = encode(SAID, &ascii);
        let (front, back) = coded.split_at(20);
        let text = format!("before <~{front}\n  {back}~> after");
        let (start, end, said) = marked(&text).next().unwrap();
        assert_eq!((said.as_str(), text.get(start..end)), (SAID, text.get(7..text.len() - 8)));
    }

    #[test]
    fn what_says_nothing_is_left_alone() {
        for run in [
            "https://example.com/a/b/c/d?query=of-some-length&and=more",
            "0f6e8b1f-3c0b-4b6e-9d7c-000000000001-0f6e8b1f",
            "SGVsbG8gd29ybGQsIHRoaXMgaXMgYmFzZTY0IGFuZCBub3QgODU=",
            "fn(main){return(some_name.other_name(argument,1,2,3));}",
            "ghp_pK7mQ2vX9sL4tR8wZ1nB5cY3hJ6dF0gA2eU7",
            "éééééééééééééééééééééééééééééééééééééé",
        ] {
            assert_eq!(decode(run), None, "{run}");
        }
    }
}
