//! What runs through a pipe, as far as it is known.

use super::Word;
use crate::action::Flow;

/// The longest text that is carried along; longer text is only known by its origin.
pub(super) const MAX_TEXT: usize = 64 * 1024;

/// Data on its way from one command to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stream {
    /// The effects it comes from.
    pub(super) from: Vec<Flow>,
    /// The text itself, if known.
    pub(super) text: Option<String>,
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

    /// Appends what comes after.
    pub(super) fn append(&mut self, other: Self) {
        add_flows(&mut self.from, &other.from);
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
