//! What runs through a pipe, as far as it is known.

use std::sync::Arc;

use super::{Word, decode};
use crate::action::Flow;

/// The longest text that is carried along; longer text is only known by its origin.
pub(super) const MAX_TEXT: usize = 64 * 1024;

/// The most bytes that are no text and are carried along.
pub(super) const LONGEST_RAW: usize = 256 * 1024;

/// Data on its way from one command to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stream {
    /// The effects it comes from.
    pub(super) from: Vec<Flow>,
    /// The text itself, if known.
    pub(super) text: Option<String>,
    /// Bytes that are no text, if they are known; then `text` is not.
    pub(super) raw: Option<Arc<[u8]>>,
    /// Known parts of a text that is not known as a whole.
    pub(super) heard: String,
    /// What it is about if the text is not known: a path, a process name, a port.
    pub(super) about: String,
    /// Whether there is any: false for a command whose input is just the terminal.
    pub(super) present: bool,
}

impl Stream {
    /// A stream that carries this text.
    pub(super) fn of_text(text: String) -> Self {
        let text = (text.len() <= MAX_TEXT).then_some(text);
        Self { text, present: true, ..Self::default() }
    }

    /// No output at all.
    pub(super) fn silent() -> Self {
        Self::of_text(String::new())
    }

    /// A stream from these effects, its text not known.
    pub(super) fn of_flows(from: Vec<Flow>, about: impl Into<String>) -> Self {
        Self { from, about: about.into(), present: true, ..Self::default() }
    }

    /// A stream that carries these bytes.
    pub(super) fn of_bytes(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::of_text(text),
            Err(error) => {
                let raw = (error.as_bytes().len() <= LONGEST_RAW).then(|| error.as_bytes().into());
                Self { raw, present: true, ..Self::default() }
            }
        }
    }

    /// The bytes it carries, if all of them are known.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.raw.as_deref().or(self.text.as_deref().map(str::as_bytes))
    }

    /// The same origins with what was decoded of it, if that is known.
    pub(super) fn decoded(self, bytes: Option<Vec<u8>>) -> Self {
        let raw = bytes.as_deref().filter(|bytes| bytes.len() <= LONGEST_RAW).map(Arc::from);
        let text = bytes.and_then(decode::text_of);
        let raw = raw.filter(|_| text.is_none());
        Self { text, raw, present: true, ..self }
    }

    /// What it carries is changed, nobody knows into what: most filters leave most of it.
    pub(super) fn unknown(&mut self) {
        let text = self.text.take().unwrap_or_default();
        if self.heard.len() + text.len() <= MAX_TEXT {
            self.heard.push_str(&text);
        }
        self.raw = None;
    }

    /// Appends what comes after.
    pub(super) fn append(&mut self, other: Self) {
        add_flows(&mut self.from, &other.from);
        if self.raw.is_some() || other.raw.is_some() {
            let whole = match (self.bytes().unwrap_or_default(), other.bytes()) {
                (_, None) => None,
                (own, Some(more)) if own.len() + more.len() <= LONGEST_RAW => Some([own, more].concat()),
                _ => None,
            };
            let known = self.text.is_some() || self.raw.is_some() || !self.present;
            let joined = whole.filter(|_| known).map(Self::of_bytes).unwrap_or_default();
            (self.text, self.raw) = (joined.text, joined.raw);
            self.present = true;
            return;
        }
        match (&mut self.text, &other.text) {
            (Some(text), Some(more)) if text.len() + more.len() <= MAX_TEXT => text.push_str(more),
            _ => {
                let before = self.text.take().unwrap_or_default();
                self.heard.push_str(&before);
                let after = other.text.as_deref().unwrap_or(&other.heard);
                if self.heard.len() + after.len() <= MAX_TEXT {
                    self.heard.push_str(after);
                }
            }
        }
        if self.about.is_empty() {
            self.about = other.about;
        }
        self.present |= other.present;
    }

    /// The text, or what is known of it; `None` if that is nothing.
    pub(super) fn said(&self) -> Option<&str> {
        self.text.as_deref().or(Some(&self.heard)).filter(|text| !text.is_empty())
    }

    /// As a command substitution sees it.
    pub(super) fn into_word(self) -> Word {
        match self.text {
            Some(text) => {
                let text = text.trim_end_matches('\n').to_owned();
                Word { text, exact: true, from: self.from, stream: None }
            }
            None => Word { text: unknown(&self.about), exact: false, from: self.from, stream: None },
        }
    }
}

/// The stand-in for a text that is not known.
pub(super) fn unknown(about: &str) -> String {
    let about = about.trim();
    let clean = |c: char| !matches!(c, '{' | '}' | '$' | '`' | '\n');
    if about.len() <= 256 && about.chars().all(clean) { format!("${{{about}}}") } else { "${…}".to_owned() }
}

/// `text` without its stand-ins.
pub(super) fn without_unknowns(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((_, after)) = after.split_once('}') else { break };
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Adds `more` to a set of flows.
pub(super) fn add_flows(flows: &mut Vec<Flow>, more: &[Flow]) {
    for flow in more {
        if !flows.contains(flow) {
            flows.push(*flow);
        }
    }
}
