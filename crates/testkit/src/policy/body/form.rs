//! Forms: fields, and the tree that their names make.

use super::media::{Media, with_parameters};
use super::value::{Document, Value};

/// The most fields.
const FIELDS: usize = 1000;

/// The most brackets in a name.
const BRACKETS: usize = 32;

/// The longest head of a part, in bytes.
const HEAD: usize = 8192;

/// A field: its name, and its value unless that is not read.
type Field = (String, Option<String>);

/// A form as a document.
pub fn document(fields: Vec<Field>) -> Document {
    let numbered = fields.into_iter().enumerate().map(|(number, (name, value))| {
        let value = match value {
            Some(text) => Value::Text { text, whole: true, field: Some(number) },
            None => Value::Unread(Some(number)),
        };
        (name, value)
    });
    let fields: Vec<(String, Value)> = numbered.collect();
    let mut root = Vec::new();
    for (name, value) in &fields {
        let keys = keys(name);
        if let Some((first, rest)) = keys.split_first() {
            put(&mut root, first, rest, value.clone());
        }
    }
    Document { root: Value::Map(root), fields: Some(fields) }
}

/// `a[b][c]` is `a`, `b`, `c`; any other name is one key.
fn keys(name: &str) -> Vec<String> {
    let whole = vec![name.to_owned()];
    let Some((front, rest)) = name.split_once('[') else { return whole };
    let Some(inside) = rest.strip_suffix(']') else { return whole };
    let keys: Vec<&str> = inside.split("][").collect();
    if front.is_empty()
        || front.contains(']')
        || keys.len() > BRACKETS
        || keys.iter().any(|key| key.contains(['[', ']']))
    {
        return whole;
    }
    std::iter::once(front).chain(keys).map(str::to_owned).collect()
}

fn put(members: &mut Vec<(String, Value)>, key: &str, rest: &[String], value: Value) {
    let Some((next, further)) = rest.split_first() else {
        members.push((key.to_owned(), value));
        return;
    };
    for (name, old) in members.iter_mut().filter(|(name, _)| name == key) {
        let _ = name;
        match old {
            Value::List(elements) if next.is_empty() => {
                elements.push(made(further, value));
                return;
            }
            Value::Map(inner) if !next.is_empty() => {
                put(inner, next, further, value);
                return;
            }
            _ => {}
        }
    }
    members.push((key.to_owned(), made(rest, value)));
}

/// A value behind these keys, with nothing else beside it.
fn made(keys: &[String], value: Value) -> Value {
    match keys.split_first() {
        None => value,
        Some((key, rest)) if key.is_empty() => Value::List(vec![made(rest, value)]),
        Some((key, rest)) => Value::Map(vec![(key.clone(), made(rest, value))]),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(char::is_control) && !name.starts_with(' ') && name != "_charset_"
}

/// The fields of `application/x-www-form-urlencoded`.
pub fn urlencoded(bytes: &[u8]) -> Option<Vec<Field>> {
    let text = std::str::from_utf8(bytes).ok()?;
    if text.contains(|c: char| c == ';' || c.is_control()) {
        return None;
    }
    let pieces = text.split('&').filter(|piece| !piece.is_empty());
    let fields = pieces.map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        is_name(&name).then_some((name, Some(value)))
    });
    let fields: Vec<Field> = fields.collect::<Option<_>>()?;
    (fields.len() <= FIELDS).then_some(fields)
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                out.push(u8::try_from(high * 16 + low).ok()?);
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

/// The fields of `multipart/form-data`.
pub fn multipart(boundary: &str, bytes: &[u8]) -> Option<Vec<Field>> {
    let delimiter = format!("--{boundary}");
    let delimiter = delimiter.as_bytes();
    let mut rest = bytes.strip_prefix(delimiter)?;
    let mut fields = Vec::new();
    loop {
        if let Some(end) = rest.strip_prefix(b"--") {
            let closed = !fields.is_empty() && (end.is_empty() || end == b"\r\n");
            return (closed && fields.len() <= FIELDS).then_some(fields);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let at = rest.windows(delimiter.len()).position(|window| window == delimiter)?;
        let (part, further) = rest.split_at_checked(at)?;
        fields.push(part_of(part.strip_suffix(b"\r\n")?)?);
        rest = further.strip_prefix(delimiter)?;
    }
}

fn part_of(part: &[u8]) -> Option<Field> {
    let at = part.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, rest) = part.split_at_checked(at)?;
    if head.len() > HEAD {
        return None;
    }
    let value = rest.strip_prefix(b"\r\n\r\n")?;
    let head = std::str::from_utf8(head).ok()?;
    let mut headers: Vec<(String, &str)> = Vec::new();
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':')?;
        let name = name.to_ascii_lowercase();
        let bad = name.is_empty()
            || name.contains([' ', '\t'])
            || line.contains(|c: char| c.is_control() && c != '\t');
        if bad || headers.iter().any(|(other, _)| *other == name) {
            return None;
        }
        headers.push((name, value.trim_matches([' ', '\t'])));
    }
    let header = |name: &str| headers.iter().find(|(other, _)| other == name).map(|(_, value)| *value);
    let (kind, parameters) = with_parameters(header("content-disposition")?)?;
    let parameter = |name: &str| parameters.iter().find(|(other, _)| other == name).map(|(_, value)| value);
    let name = parameter("name")?;
    let escaped = name.to_ascii_lowercase();
    if !kind.eq_ignore_ascii_case("form-data")
        || parameter("name*").is_some()
        || ["%22", "%0d", "%0a"].iter().any(|escape| escaped.contains(escape))
        || !is_name(name)
    {
        return None;
    }
    let plain = match header("content-type") {
        None => true,
        Some(text) => Media::of(text).is_some_and(|media| media.essence == "text/plain" && media.is_utf8()),
    };
    let as_is = header("content-transfer-encoding")
        .is_none_or(|coding| ["7bit", "8bit", "binary"].contains(&&*coding.to_ascii_lowercase()));
    let file = parameter("filename").is_some() || parameter("filename*").is_some();
    let read = if plain && as_is && !file { String::from_utf8(value.to_vec()).ok() } else { None };
    Some((name.clone(), read))
}
