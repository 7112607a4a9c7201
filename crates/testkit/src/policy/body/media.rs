//! Bodies by their type.

use doorward_core::syntax::json;

use super::form;
use super::value::{Document, Value};

/// `Content-Type`, taken apart.
pub struct Media {
    /// Type and subtype, in lower case.
    pub essence: String,
    /// Its parameters, names in lower case.
    pub parameters: Vec<(String, String)>,
}

impl Media {
    /// Reads one strictly.
    pub fn of(text: &str) -> Option<Self> {
        let (essence, parameters) = with_parameters(text)?;
        let (kind, subtype) = essence.split_once('/')?;
        (is_token(kind) && is_token(subtype))
            .then(|| Self { essence: essence.to_ascii_lowercase(), parameters })
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether what it says about characters is UTF-8.
    pub fn is_utf8(&self) -> bool {
        self.parameter("charset").is_none_or(|charset| {
            ["utf-8", "utf8", "us-ascii", "ascii"].contains(&&*charset.to_ascii_lowercase())
        })
    }
}

/// What stands before the first `;`, and the parameters behind it.
pub fn with_parameters(text: &str) -> Option<(&str, Vec<(String, String)>)> {
    let (first, mut rest) = match text.split_once(';') {
        Some((first, rest)) => (first, Some(rest)),
        None => (text, None),
    };
    let mut parameters: Vec<(String, String)> = Vec::new();
    while let Some(text) =
        rest.map(|text| text.trim_start_matches([' ', '\t'])).filter(|text| !text.is_empty())
    {
        let (name, text) = text.split_once('=')?;
        let (value, after) = match text.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => text.split_at_checked(text.find([';', ' ', '\t']).unwrap_or(text.len()))?,
        };
        let quoted = text.starts_with('"');
        if !is_token(name) || value.contains('\\') || !quoted && !is_token(value) {
            return None;
        }
        let name = name.to_ascii_lowercase();
        if parameters.iter().any(|(other, _)| *other == name) {
            return None;
        }
        parameters.push((name, value.to_owned()));
        let after = after.trim_start_matches([' ', '\t']);
        rest = match after.strip_prefix(';') {
            Some(more) => Some(more),
            None if after.is_empty() => None,
            None => return None,
        };
    }
    Some((first.trim_matches([' ', '\t']), parameters))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Every way to read a body; `None` if nobody knows.
pub fn read(content_type: Option<&[u8]>, bytes: &[u8]) -> Option<Vec<Document>> {
    let Some(content_type) = content_type else { return Some(vec![as_json(bytes)?]) };
    let media = Media::of(std::str::from_utf8(content_type).ok()?)?;
    if !media.is_utf8() {
        return None;
    }
    match media.essence.as_str() {
        "application/json"
        | "text/json"
        | "application/x-amz-json-1.0"
        | "application/x-amz-json-1.1"
        | "text/plain" => Some(vec![as_json(bytes)?]),
        other if other.ends_with("+json") => Some(vec![as_json(bytes)?]),
        "application/x-www-form-urlencoded" => {
            let fields = form::document(form::urlencoded(bytes)?);
            let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
            if matches!(first, Some(b'{' | b'[')) {
                Some(vec![fields, as_json(bytes)?])
            } else {
                Some(vec![fields])
            }
        }
        "multipart/form-data" => {
            Some(vec![form::document(form::multipart(media.parameter("boundary")?, bytes)?)])
        }
        _ => None,
    }
}

fn as_json(bytes: &[u8]) -> Option<Document> {
    Some(Document { root: Value::of(&json::parse(bytes).ok()?), fields: None })
}
