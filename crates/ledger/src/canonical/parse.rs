//! Reading JSON back, strictly.
//!
//! What is verified must be byte for byte what was signed, so the canonical reader takes exactly the output of the
//! canonical writer and nothing else. The relaxed reader serves documents people reformat (bundles): it takes
//! white space, any key order and any escapes, but never a key twice and never a number that is not a safe integer.

use super::{Int, Object, Value, compare_keys};
use std::borrow::Cow;
use std::cmp::Ordering;

/// Deepest nesting that is read; receipts need 5.
pub const MAX_DEPTH: usize = 32;

/// Why bytes are not the JSON expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {what}")]
pub struct ParseError {
    /// Where, from the first byte.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// Reads canonical JSON (RFC 8785); refuses bytes that [`Value::to_canonical`] would not have written.
///
/// # Errors
/// The offset and nature of the first deviation.
pub fn parse_canonical(bytes: &[u8]) -> Result<Value, ParseError> {
    Parser { bytes, at: 0, canonical: true }.document()
}

/// Reads JSON in any layout, with the same limits on values (no fractions, no key twice, depth [`MAX_DEPTH`]).
///
/// # Errors
/// The offset and nature of the first fault.
pub fn parse_relaxed(bytes: &[u8]) -> Result<Value, ParseError> {
    Parser { bytes, at: 0, canonical: false }.document()
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    canonical: bool,
}

type Parsed<T> = Result<T, ParseError>;

impl Parser<'_> {
    fn document(mut self) -> Parsed<Value> {
        if let Err(e) = std::str::from_utf8(self.bytes) {
            return Err(ParseError { offset: e.valid_up_to(), what: "not UTF-8" });
        }
        let value = self.value(0)?;
        self.space();
        if self.at == self.bytes.len() { Ok(value) } else { self.fail("bytes after the end of the document") }
    }

    fn fail<T>(&self, what: &'static str) -> Parsed<T> {
        Err(ParseError { offset: self.at, what })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while !self.canonical && matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8, what: &'static str) -> Parsed<()> {
        self.space();
        if self.peek() != Some(byte) {
            return self.fail(what);
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &'static str, value: Value) -> Parsed<Value> {
        match self.bytes.get(self.at..).and_then(|rest| rest.strip_prefix(word.as_bytes())) {
            Some(_) => {
                self.at += word.len();
                Ok(value)
            }
            None => self.fail("not a JSON value"),
        }
    }

    fn value(&mut self, depth: usize) -> Parsed<Value> {
        self.space();
        if depth > MAX_DEPTH {
            return self.fail("nested too deeply");
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::Str),
            Some(b'-' | b'0'..=b'9') => self.int(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b' ' | b'\t' | b'\n' | b'\r') => self.fail("white space, which canonical JSON has none of"),
            Some(_) => self.fail("not a JSON value"),
            None => self.fail("the document ends here, a value is missing"),
        }
    }

    fn array(&mut self, depth: usize) -> Parsed<Value> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.peek() == Some(b']') {
                self.at += 1;
                return Ok(Value::Array(items));
            }
            self.take(b',', "expected `,` or `]`")?;
        }
    }

    fn object(&mut self, depth: usize) -> Parsed<Value> {
        self.at += 1;
        let mut object = Object::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(object));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return self.fail("expected a member name in quotes");
            }
            let start = self.at;
            let key = self.string()?;
            self.check_key(&object, &key, start)?;
            self.take(b':', "expected `:`")?;
            let value = self.value(depth + 1)?;
            object.set(Cow::Owned(key), value);
            self.space();
            if self.peek() == Some(b'}') {
                self.at += 1;
                return Ok(Value::Object(object));
            }
            self.take(b',', "expected `,` or `}`")?;
        }
    }

    fn check_key(&self, object: &Object, key: &str, offset: usize) -> Parsed<()> {
        let order = object.members.last().map_or(Ordering::Less, |(last, _)| compare_keys(last, key));
        if order == Ordering::Less {
            return Ok(());
        }
        if order == Ordering::Equal || object.get(key).is_some() {
            return Err(ParseError { offset, what: "a member name given twice" });
        }
        if self.canonical {
            return Err(ParseError { offset, what: "member names out of canonical order" });
        }
        Ok(())
    }

    fn int(&mut self) -> Parsed<Value> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        if negative {
            self.at += 1;
        }
        let mut value: i64 = 0;
        let digits = self.at;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        let count = self.at - digits;
        let bad = |what| Err(ParseError { offset: start, what });
        if count == 0 {
            return bad("a minus sign without digits");
        }
        if count > 1 && self.bytes.get(digits) == Some(&b'0') {
            return bad("a number with a leading zero");
        }
        if negative && value == 0 {
            return bad("minus zero");
        }
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return bad("a number that is not an integer");
        }
        match Int::new(if negative { -value } else { value }) {
            Some(int) => Ok(Value::Int(int)),
            None => bad("an integer beyond 2^53 - 1"),
        }
    }

    fn string(&mut self) -> Parsed<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(run) = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\') else {
                self.at = self.bytes.len();
                return self.fail("a string without its closing quote");
            };
            let plain = rest.get(..run).unwrap_or_default();
            // The whole document was checked to be UTF-8 and `run` ends before an ASCII byte.
            text.push_str(std::str::from_utf8(plain).unwrap_or_default());
            self.at += run;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                _ => return self.fail("a control character that is not escaped"),
            }
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        let start = self.at;
        self.at += 1;
        let letter = self.peek();
        self.at += 1;
        let c = match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'b') => '\u{8}',
            Some(b't') => '\t',
            Some(b'n') => '\n',
            Some(b'f') => '\u{c}',
            Some(b'r') => '\r',
            Some(b'/') if !self.canonical => '/',
            Some(b'u') => return self.unicode_escape(start),
            _ => return Err(ParseError { offset: start, what: "an escape that is not allowed" }),
        };
        Ok(c)
    }

    fn unicode_escape(&mut self, start: usize) -> Parsed<char> {
        let fault = |what| Err(ParseError { offset: start, what });
        let unit = self.hex4()?;
        if self.canonical {
            let short = matches!(unit, 0x08 | 0x09 | 0x0a | 0x0c | 0x0d);
            return match char::from_u32(unit) {
                Some(c) if c < ' ' && !short => Ok(c),
                _ => fault("an escape longer than canonical JSON writes it"),
            };
        }
        let code = match unit {
            0xd800..=0xdbff => {
                let low = match self.bytes.get(self.at..self.at + 2) {
                    Some(b"\\u") => {
                        self.at += 2;
                        self.hex4()?
                    }
                    _ => 0,
                };
                if !(0xdc00..=0xdfff).contains(&low) {
                    return fault("half of a surrogate pair");
                }
                0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
            }
            unit => unit,
        };
        char::from_u32(code).map_or_else(|| fault("half of a surrogate pair"), Ok)
    }

    fn hex4(&mut self) -> Parsed<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        let mut unit = 0;
        for &digit in digits {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                b'A'..=b'F' if !self.canonical => digit - b'A' + 10,
                _ => return self.fail("not four hexadecimal digits"),
            };
            unit = unit * 16 + u32::from(value);
        }
        if digits.len() != 4 {
            return self.fail("not four hexadecimal digits");
        }
        self.at += 4;
        Ok(unit)
    }
}
