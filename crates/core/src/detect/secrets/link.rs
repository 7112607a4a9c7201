//! From a word to the value given for it: `token: "…"`, `<secret>…</secret>`, `Authorization: Bearer …`,
//! `my token is …`, `setProperty("TOKEN", "…")`. A bounded look ahead, never a parse: the text may be any language
//! or none.

use super::words;

/// How far a name goes on after a word in it, in bytes.
const NAME: usize = 64;

/// How far a value may stand behind its name.
const REACH: usize = 64;

/// The longest value that is looked at.
const LONGEST: usize = 2048;

/// How many words may stand between.
const MOST_LINKS: u32 = 3;

/// A value and how it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link<'t> {
    /// The name that the word stands in: `GITHUB_TOKEN`.
    pub(super) name: &'t str,
    /// What comes after the word in it.
    pub(super) tail: &'t str,
    /// The value, and where it begins.
    pub(super) value: &'t str,
    pub(super) start: usize,
    /// There is `=`, `:`, `>` or `|` between, as opposed to spaces alone.
    pub(super) direct: bool,
    /// There is `is` or `was` between.
    pub(super) said: bool,
    /// The value is in quotes.
    pub(super) quoted: bool,
}

const fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// The value given for the name that has a word at `start..end`.
pub(super) fn follow(text: &str, start: usize, end: usize) -> Option<Link<'_>> {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(b' ');
    let mut first = start;
    while first > start.saturating_sub(NAME) && first > 0 && in_name(byte(first - 1)) {
        first -= 1;
    }
    let mut last = end;
    while last < end + NAME && last < bytes.len() && in_name(byte(last)) {
        last += 1;
    }
    let (name, tail) = (text.get(first..last)?, text.get(end..last)?);
    // `refiner-1f…`, `KEYwith-1f…`: the value is glued to its name.
    if let Some((at, value)) = glued(tail) {
        let name = text.get(first..end + at)?;
        return Some(Link {
            name,
            tail: "",
            value,
            start: end + at,
            direct: false,
            said: false,
            quoted: false,
        });
    }
    let (mut at, mut direct, mut links, mut lines) = (last, false, 0, 0);
    let (mut quote, mut closed, mut said) = (None, false, false);
    while at < last + REACH && at < bytes.len() {
        match byte(at) {
            b'=' | b':' | b'>' => (direct, closed) = (true, false),
            // A row of a table; elsewhere a pipe.
            b'|' if in_row(text.get(..first).unwrap_or_default()) => (direct, closed) = (true, false),
            // A colon of full width.
            0xef if text.get(at..).is_some_and(|rest| rest.starts_with('：')) => {
                (direct, closed) = (true, false);
                at += '：'.len_utf8();
                continue;
            }
            // `-----`, `===`: a ruler is no link. A value may begin with a dash, a list may follow a colon.
            b' ' | b'\t' | b'\r' | b'(' | b')' | b'[' | b']' | b'|' | b'?' | b'+' | b'\\' | b'@' | b'~' => {}
            // `{` begins another thing, unless it is around a value.
            b'{' if direct || byte(at - 1) == b' ' && byte(at + 1) != b'\n' => {}
            b'-' if !direct || byte(at + 1) == b' ' => {}
            b',' if quote.is_some() => (direct, closed) = (true, false),
            b'\n' if direct && lines == 0 => lines += 1,
            b'"' | b'\'' | b'`' => {
                quote = Some(byte(at));
                closed = true;
                at += 1;
                continue;
            }
            b'\n' | b',' | b';' | b'}' | b'&' => return None,
            _ => {
                // `"password: " name`: the quote before ended something.
                if closed && direct && before(bytes, at).is_none() {
                    return None;
                }
                if byte(at) == b'{' {
                    return None;
                }
                let value = value(text, at, before(bytes, at))?;
                let bare = value.trim_end_matches([':', '=', ',']);
                if links < MOST_LINKS && words::is_link(bare) {
                    links += 1;
                    said |= ["is", "was", "ist", "est"].iter().any(|word| word.eq_ignore_ascii_case(bare));
                    at += bare.len();
                    continue;
                }
                let quoted = before(bytes, at).is_some();
                return Some(Link { name, tail, value, start: at, direct, said, quoted });
            }
        }
        at += 1;
    }
    None
}

/// Whether a cell of a table begins here: there is nothing but marks between it and a `|`.
fn in_row(before: &str) -> bool {
    before.trim_end_matches([' ', '`', '*']).ends_with('|')
}

/// The quote that stands before `at`.
fn before(bytes: &[u8], at: usize) -> Option<u8> {
    let byte = at.checked_sub(1).and_then(|at| bytes.get(at)).copied();
    byte.filter(|byte| matches!(byte, b'"' | b'\'' | b'`'))
}

fn value(text: &str, at: usize, quote: Option<u8>) -> Option<&str> {
    let rest = text.get(at..)?;
    let ends = |byte: u8| match quote {
        Some(quote) => byte == quote || byte == b'\n',
        None => {
            byte <= b' '
                || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b',' | b';' | b'}' | b'|' | b'&')
        }
    };
    let end = match rest.bytes().take(LONGEST).position(ends) {
        Some(end) => end,
        // What goes on for longer is no value of a name.
        None if rest.len() > LONGEST => return None,
        None => rest.len(),
    };
    let value = rest.get(..end)?;
    let value = value.strip_suffix('\\').unwrap_or(value).trim_end();
    let value = if quote.is_some() { value } else { value.trim_end_matches(['.', ')', ']', ':']) };
    if value.is_empty() { None } else { Some(value) }
}

/// A piece of a name that is a value: 20 or more hexadecimal digits, or the form of a UUID, behind a dash.
fn glued(tail: &str) -> Option<(usize, &str)> {
    let mut from = 0;
    while let Some(dash) = tail.get(from..)?.find(['-', '_', '.']) {
        let at = from + dash + 1;
        let rest = tail.get(at..)?;
        let hex = rest.bytes().take_while(|byte| byte.is_ascii_hexdigit() || *byte == b'-').count();
        let word = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let digits = |length: usize| rest.bytes().take(length).filter(u8::is_ascii_digit).count();
        if hex >= 20 && digits(hex) >= 4 {
            return Some((at, rest.get(..hex)?));
        }
        if word >= 16 && digits(word) >= 4 && digits(word) < word {
            return Some((at, rest.get(..word)?));
        }
        from = at;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Option<(&str, bool)> {
        let start = text.to_ascii_lowercase().find("token").unwrap();
        follow(text, start, start + 5).map(|link| (link.value, link.direct))
    }

    #[test]
    fn values_are_found_however_they_are_given() {
        for text in [
            "export API_TOKEN=abc123xyz",
            "token: abc123xyz",
            "\"token\": \"abc123xyz\",",
            "{\\\"token\\\": \\\"abc123xyz\\\"}",
            "<token>\n  abc123xyz\n</token>",
            "var myToken string = \"abc123xyz\"",
            "setProperty(\"X_TOKEN\", \"abc123xyz\")",
            "'token' => 'abc123xyz'",
            "--token=abc123xyz",
            "?token=abc123xyz&x=1",
            "token := `abc123xyz`",
            "Token is: abc123xyz.",
        ] {
            assert_eq!(given(text), Some(("abc123xyz", true)), "{text}");
        }
        assert_eq!(given("my token is abc123xyz, please"), Some(("abc123xyz", false)));
        assert_eq!(given("a TOKEN abc123xyz"), Some(("abc123xyz", false)));
    }

    #[test]
    fn what_is_given_for_something_else_is_not() {
        assert_eq!(given("token\nabc123xyz"), None);
        assert_eq!(given("a token, abc123xyz"), None);
        assert_eq!(given("the token; abc123xyz"), None);
        assert_eq!(given("token"), None);
    }
}
