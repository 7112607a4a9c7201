//! Holding later copies to what was said before: what was judged or audited must be what a client reads,
//! whichever copy it takes.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::items::texts;
use crate::syntax::{Kind, Node, Str, json};
use crate::wire::Fault;
use crate::wire::frame::{Gathered, Observation};
use crate::wire::stray::check_rest;

/// Stands for a text; two texts with one digest are one text.
pub(super) type Digest = [u8; 32];

/// The digest of a text.
pub(super) fn digest_of(text: &[u8]) -> Digest {
    Sha256::digest(text).into()
}

/// A text as its deltas say it.
#[derive(Debug, Default)]
pub(super) struct Said {
    gathered: Gathered,
    hash: Sha256,
    /// Half a surrogate pair at the end: its other half changes it (WTF-8).
    half: Vec<u8>,
    length: usize,
}

impl Said {
    /// Adds a fragment (WTF-8).
    pub fn add(&mut self, fragment: &[u8], saw: &mut Vec<Observation>) {
        if fragment.is_empty() {
            return;
        }
        self.length += fragment.len();
        self.gathered.add(fragment, saw);
        if self.half.is_empty() && !ends_in_half(fragment) {
            self.hash.update(fragment);
            return;
        }
        let mut text = std::mem::take(&mut self.half);
        json::push_wtf8(fragment, &mut text);
        if ends_in_half(&text) {
            self.half = text.split_off(text.len().saturating_sub(3));
        }
        self.hash.update(&text);
    }

    /// Gives what was gathered out to be audited.
    pub fn flush(&mut self, saw: &mut Vec<Observation>) {
        self.gathered.flush(saw);
    }

    /// The digest of all that was said.
    pub fn digest(&self) -> Digest {
        let mut hash = self.hash.clone();
        hash.update(&self.half);
        hash.finalize().into()
    }

    /// Compares a copy. What was never said in deltas is said by its copy; an empty copy says nothing.
    fn check(&mut self, copy: &Str, saw: &mut Vec<Observation>) -> Result<(), Fault> {
        if self.length == 0 {
            self.add(copy.as_wtf8(), saw);
            self.flush(saw);
        } else if !copy.as_wtf8().is_empty() && digest_of(copy.as_wtf8()) != self.digest() {
            return Err(differ("a text"));
        }
        Ok(())
    }
}

/// Whether a text in WTF-8 ends in the first half of a surrogate pair.
fn ends_in_half(text: &[u8]) -> bool {
    matches!(text, [.., 0xed, 0xa0..=0xaf, _])
}

/// Takes an event within a message.
pub(super) fn message_event(
    kind: &str,
    node: &Node,
    open: bool,
    parts: &mut BTreeMap<u64, Said>,
    saw: &mut Vec<Observation>,
) -> Result<(), Fault> {
    let place = node.get("content_index").and_then(Node::as_u64).unwrap_or(0);
    let part = node.get("part");
    let text = match kind {
        "response.output_text.delta" | "response.refusal.delta" => node.get("delta"),
        "response.output_text.done" => node.get("text"),
        "response.refusal.done" => node.get("refusal"),
        "response.content_part.added" | "response.content_part.done" => {
            part.and_then(|part| part.get("text").or_else(|| part.get("refusal")))
        }
        _ => return Ok(()),
    };
    if !open {
        return Err(super::order("more of a message that is done"));
    }
    let Some(text) = text.and_then(Node::as_string) else {
        return if kind.starts_with("response.content_part.") {
            Ok(())
        } else {
            Err(super::order("an event of a message without its text"))
        };
    };
    let said = parts.entry(place).or_default();
    if kind.ends_with(".delta") || kind.ends_with(".added") {
        said.add(text.as_wtf8(), saw);
        return Ok(());
    }
    said.flush(saw);
    said.check(text, saw)
}

/// Compares the whole copy of a message with what its events said.
pub(super) fn check_message(
    copy: &Node,
    parts: &mut BTreeMap<u64, Said>,
    saw: &mut Vec<Observation>,
) -> Result<(), Fault> {
    check_rest(copy, &[])?;
    for (place, text) in texts(copy).enumerate() {
        parts.entry(place as u64).or_default().check(text, saw)?;
    }
    Ok(())
}

/// Writes `node` so that two values that mean the same are written the same: keys in order, `null` left out.
/// Members of the top named `without` are left out too.
pub(super) fn canonical(node: &Node, without: &[&str], out: &mut Vec<u8>) {
    match &node.kind {
        Kind::Null => out.extend_from_slice(b"n"),
        Kind::Bool(value) => out.extend_from_slice(if *value { b"t" } else { b"f" }),
        Kind::Number(digits) => {
            out.push(b'#');
            out.extend_from_slice(digits.as_bytes());
            out.push(b';');
        }
        Kind::String(text) => write_text(text, out),
        Kind::Array(elements) => {
            out.push(b'[');
            elements.iter().for_each(|element| canonical(element, &[], out));
            out.push(b']');
        }
        Kind::Object(members) => {
            let mut members: Vec<_> = members
                .iter()
                .filter(|member| !member.value.is_null() && !without.contains(&&*member.key))
                .collect();
            members.sort_by(|a, b| a.key.as_wtf8().cmp(b.key.as_wtf8()));
            out.push(b'{');
            for member in members {
                write_text(&member.key, out);
                canonical(&member.value, &[], out);
            }
            out.push(b'}');
        }
    }
}

/// A text with its length before it, so that no text can pass for two.
fn write_text(text: &Str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\"{}:", text.as_wtf8().len()).as_bytes());
    out.extend_from_slice(text.as_wtf8());
}

pub(super) fn differ(what: &str) -> Fault {
    Fault::new("responses.copies", format!("{what} differs from what was said before"))
}
