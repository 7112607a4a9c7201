//! Canonical JSON: one byte string per value (RFC 8785), for the small set of values receipts are made of.
//!
//! Receipts hold no fractions, so the hard part of RFC 8785 (printing floating-point numbers) never arises:
//! numbers are integers that every JSON reader keeps exactly, ±(2^53 − 1).

mod parse;

pub use parse::{MAX_DEPTH, ParseError, parse_canonical, parse_relaxed};

use std::borrow::Cow;
use std::cmp::Ordering;

/// Largest magnitude of an integer: 2^53 − 1 (RFC 8785 section 3.2.2.3, I-JSON).
pub const MAX_INT: i64 = (1 << 53) - 1;

/// An integer within ±(2^53 − 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Int(i64);

impl Int {
    /// The integer, or `None` beyond ±(2^53 − 1).
    pub fn new(value: i64) -> Option<Int> {
        (-MAX_INT..=MAX_INT).contains(&value).then_some(Int(value))
    }

    /// The integer, or 2^53 − 1 when it is larger: for counters, where "at least this many" is the honest answer.
    pub fn saturating(value: u64) -> Int {
        Int(i64::try_from(value).map_or(MAX_INT, |v| v.min(MAX_INT)))
    }

    /// Its value.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl From<u32> for Int {
    fn from(value: u32) -> Int {
        Int(i64::from(value))
    }
}

/// A JSON value of the kind receipts are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number
    Int(Int),
    /// Text
    Str(String),
    /// A list
    Array(Vec<Value>),
    /// Named members, kept in canonical order
    Object(Object),
}

impl Value {
    /// A counter; see [`Int::saturating`].
    pub fn count(value: u64) -> Value {
        Value::Int(Int::saturating(value))
    }

    /// The text of a string value.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::Str(text) = self { Some(text) } else { None }
    }

    /// The value of an integer.
    pub fn as_int(&self) -> Option<i64> {
        if let Value::Int(int) = self { Some(int.get()) } else { None }
    }

    /// The value of a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(value) = self { Some(*value) } else { None }
    }

    /// The members of an object.
    pub fn as_object(&self) -> Option<&Object> {
        if let Value::Object(object) = self { Some(object) } else { None }
    }

    /// The items of a list.
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Value::Array(items) = self { Some(items) } else { None }
    }

    /// The canonical bytes.
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_canonical(&mut out);
        out
    }

    /// Appends the canonical bytes to `out`.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        match self {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Bool(true) => out.extend_from_slice(b"true"),
            Value::Bool(false) => out.extend_from_slice(b"false"),
            Value::Int(int) => write_int(int.get(), out),
            Value::Str(text) => write_text(text, out),
            Value::Array(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    item.write_canonical(out);
                }
                out.push(b']');
            }
            Value::Object(object) => object.write_canonical(out),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Str(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Str(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Value {
        Value::Int(Int::from(value))
    }
}

impl From<Int> for Value {
    fn from(value: Int) -> Value {
        Value::Int(value)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Value {
        Value::Object(object)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Value {
        Value::Array(items)
    }
}

/// Members of an object, always in canonical order (keys compared as UTF-16, RFC 8785 section 3.2.3), no key twice.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Object {
    members: Vec<(Cow<'static, str>, Value)>,
}

impl Object {
    /// An object without members.
    pub fn new() -> Object {
        Object::default()
    }

    /// Sets a member; a key that is there already gets the new value.
    pub fn set(&mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        match self.members.binary_search_by(|(k, _)| compare_keys(k, &key)) {
            Ok(at) => {
                if let Some(member) = self.members.get_mut(at) {
                    member.1 = value;
                }
            }
            Err(at) => self.members.insert(at, (key, value)),
        }
    }

    /// [`Object::set`], in a chain.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Object {
        self.set(key, value);
        self
    }

    /// The value of a member.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let at = self.members.binary_search_by(|(k, _)| compare_keys(k, key)).ok()?;
        self.members.get(at).map(|(_, value)| value)
    }

    /// The text of a member that is a string.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// Members in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.members.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Appends the canonical bytes to `out`.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (i, (key, value)) in self.members.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_text(key, out);
            out.push(b':');
            value.write_canonical(out);
        }
        out.push(b'}');
    }
}

/// Order of keys: by UTF-16 code units, which differs from the order of UTF-8 bytes beyond U+FFFF alone: those characters begin with
/// a byte of 0xF0 or more, and come before those from U+E000 on, which begin with 0xEE or 0xEF.
fn compare_keys(a: &str, b: &str) -> Ordering {
    let differs = a.bytes().zip(b.bytes()).find(|(a, b)| a != b);
    match differs {
        None => a.len().cmp(&b.len()),
        Some((a, b)) if a.max(b) < 0xEE => a.cmp(&b),
        Some(_) => a.encode_utf16().cmp(b.encode_utf16()),
    }
}

/// Bytes that `text` takes inside the quotes of a canonical string.
pub(crate) fn escaped_len(c: char) -> usize {
    match c {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\') {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((&byte, tail)) = tail.split_first() else { break };
        write_escape(byte, out);
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        control => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&crate::encoding::hex_digits(control));
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn write_int(value: i64, out: &mut Vec<u8>) {
    use std::io::Write;
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_utf_16() {
        let letters = [
            "",
            "a",
            "b",
            "\u{7f}",
            "é",
            "\u{7ff}",
            "\u{800}",
            "\u{d7ff}",
            "\u{e000}",
            "\u{ffff}",
            "\u{10000}",
            "\u{10ffff}",
        ];
        let words: Vec<String> =
            letters.iter().flat_map(|a| letters.iter().map(move |b| format!("{a}{b}"))).collect();
        for a in &words {
            for b in &words {
                assert_eq!(compare_keys(a, b), a.encode_utf16().cmp(b.encode_utf16()), "{a:?} {b:?}");
            }
        }
    }
}
