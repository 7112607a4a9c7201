//! What a body is, by its `Content-Type` (RFC 9110, section 8.3), and by its first byte where servers do not ask for
//! the type.

use super::form;
use super::multipart;
use super::tree::Tree;
use crate::syntax::json;

/// A media type with its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Media {
    /// `type/subtype`, in lower case.
    pub essence: String,
    /// Names in lower case, values without quotes.
    pub parameters: Vec<(String, String)>,
}

/// Every way in which servers read `body`; `None` if nobody can tell.
pub(super) fn read(content_type: Option<&[u8]>, body: &[u8]) -> Option<Vec<Tree>> {
    let Some(content_type) = content_type else { return json_only(body) };
    let media = Media::parse(content_type)?;
    // Another character set is another text: EBCDIC has hidden attacks from filters before.
    let charset = media.parameters.iter().find(|(name, _)| name == "charset");
    if charset.is_some_and(|(_, value)| !is_utf8(value)) {
        return None;
    }
    match media.essence.as_str() {
        "application/x-www-form-urlencoded" => {
            let form = form::read(body)?;
            // `curl -d '{…}'` sends JSON under this type, and servers that do not ask for the type read it.
            if !looks_like_json(body) {
                return Some(vec![form]);
            }
            Some(vec![form, Tree::json(json::parse(body).ok()?)])
        }
        "multipart/form-data" => Some(vec![multipart::read(media.parameter("boundary")?, body)?]),
        essence if is_json(essence) || essence == "text/plain" => json_only(body),
        _ => None,
    }
}

/// Whether servers read what is of this type as JSON, and in no other way.
pub(super) fn is_json_alone(content_type: Option<&[u8]>) -> bool {
    let Some(content_type) = content_type else { return true };
    Media::parse(content_type).is_some_and(|media| is_json(&media.essence) || media.essence == "text/plain")
}

fn json_only(body: &[u8]) -> Option<Vec<Tree>> {
    Some(vec![Tree::json(json::parse(body).ok()?)])
}

fn is_json(essence: &str) -> bool {
    const NAMES: [&str; 4] =
        ["application/json", "text/json", "application/x-amz-json-1.0", "application/x-amz-json-1.1"];
    NAMES.contains(&essence) || essence.ends_with("+json")
}

fn looks_like_json(body: &[u8]) -> bool {
    let first = body.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    matches!(first, Some(b'{' | b'['))
}

pub(super) fn is_utf8(charset: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|name| charset.eq_ignore_ascii_case(name))
}

impl Media {
    /// Reads `type/subtype; name=value; name="value"`, strictly: parameters twice, escapes in quotes and anything
    /// else that readers take differently is no media type.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let (essence, rest) =
            text.split_once(';').map_or((text, None), |(essence, rest)| (essence, Some(rest)));
        let essence = essence.trim_matches([' ', '\t']).to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let parameters = rest.map_or(Some(Vec::new()), parameters)?;
        Some(Self { essence, parameters })
    }

    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Reads `name=value; name="value"`. A `;` at the end is fine.
pub(super) fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut rest = text.trim_matches([' ', '\t']);
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=')?;
        let name = name.to_ascii_lowercase();
        let (value, behind) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let end = behind.find([';', ' ', '\t']).unwrap_or(behind.len());
                behind.split_at_checked(end).filter(|(value, _)| is_token(value))?
            }
        };
        let odd = |c: char| c == '\\' || c.is_control();
        if !is_token(&name) || value.contains(odd) || found.iter().any(|(known, _)| *known == name) {
            return None;
        }
        found.push((name, value.to_owned()));
        let behind = behind.trim_start_matches([' ', '\t']);
        rest = match behind.strip_prefix(';') {
            Some(next) => next.trim_start_matches([' ', '\t']),
            None if behind.is_empty() => behind,
            None => return None,
        };
    }
    Some(found)
}

/// Whether it is a token (RFC 9110, section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fine)
}
