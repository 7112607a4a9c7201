//! Judging one JSON object on its own: what `doorward inspect` does with every line, and what the
//! examples beside the rules are run through.

use crate::action::alone::{self, NoAction};
use crate::decision::Decision;
use crate::engine::Engine;
use crate::session::Facts;
use crate::syntax::json;

/// The longest `id` that is echoed, in bytes.
const LONGEST_ID: usize = 1024;

/// Why a line could not be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is not one strict JSON value.
    #[error("not strict JSON: {0}")]
    Json(#[from] json::Fault),
    /// It is a JSON value, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// It is longer than this many bytes.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// A member is missing or of the wrong kind.
    #[error("`{0}` must be {1}")]
    Member(&'static str, &'static str),
    /// Its text is no action.
    #[error(transparent)]
    Action(#[from] NoAction),
}

/// A line's `id`, byte for byte as it stood there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(Box<[u8]>);

impl Id {
    /// The JSON value as it stood in the line.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Judges one line, alone: no session, every tool declared. Members that are not known are ignored.
///
/// # Errors
/// What is wrong with the line.
pub fn judge_line(engine: &Engine, line: &[u8]) -> Result<(Id, Decision), LineError> {
    let node = json::parse(line)?;
    if !node.is_object() {
        return Err(LineError::NotAnObject);
    }
    let id = match node.get("id") {
        None => b"null".as_slice(),
        Some(id) => id.span.of(line),
    };
    if id.len() > LONGEST_ID {
        return Err(LineError::Member("id", "at most 1024 bytes long"));
    }
    let kind = node.text("kind").ok_or(LineError::Member("kind", "text"))?;
    let text = node.text("text").ok_or(LineError::Member("text", "text"))?;
    let shell = match node.some("shell") {
        None => None,
        Some(word) => Some(word.as_str().ok_or(LineError::Member("shell", "sh, powershell or cmd"))?),
    };
    let action = alone::read(kind, text, shell)?;
    Ok((Id(id.into()), engine.decide(&action, &Facts::default())))
}

/// Appends the answer for a judged line, a line itself. `micros` is how long judging took.
pub fn write_answer(id: &Id, decision: &Decision, micros: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    out.extend_from_slice(id.as_bytes());
    member("verdict", decision.verdict.as_str(), out);
    out.extend_from_slice(format!(",\"risk\":{}", decision.risk).as_bytes());
    member("coverage", &decision.coverage.to_string(), out);
    out.extend_from_slice(b",\"reasons\":[");
    for (index, reason) in decision.reasons.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{\"rule\":" } else { b",{\"rule\":" });
        out.extend_from_slice(&json::quoted(&reason.rule));
        member("layer", reason.layer.as_str(), out);
        out.extend_from_slice(format!(",\"severity\":{}", reason.severity).as_bytes());
        member("message", &reason.message, out);
        out.push(b'}');
    }
    out.extend_from_slice(format!("],\"micros\":{micros}}}\n").as_bytes());
}

/// Appends the answer for a line that could not be judged; `line` counts from 1.
pub fn write_error(line: u64, error: &LineError, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{{\"id\":null,\"line\":{line}").as_bytes());
    member("error", &error.to_string(), out);
    out.extend_from_slice(b"}\n");
}

fn member(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b',');
    out.extend_from_slice(&json::quoted(name));
    out.push(b':');
    out.extend_from_slice(&json::quoted(value));
}
