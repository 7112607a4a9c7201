//! Holding later copies to what was said before: what was judged or audited must be what a client reads,
//! whichever copy it takes.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::Step;
use super::items::{self, Saying, texts};
use super::lanes::Hearing;
use crate::syntax::{Kind, Node, Str, json};
use crate::wire::Fault;
use crate::wire::frame::{Gathered, Observation};
use crate::wire::stray::check_rest;
use crate::wire::text_tools::Told;

/// Stands for a text; two texts with one digest are one text.
pub(super) type Digest = [u8; 32];

/// The digest of a text.
pub(super) fn digest_of(text: &[u8]) -> Digest {
    Sha256::digest(text).into()
}

/// What stands for a text, however it is cut.
#[derive(Debug, Default)]
pub(super) struct Sum {
    hash: Sha256,
    /// Half a surrogate pair at the end: its other half changes it (WTF-8).
    half: Vec<u8>,
    begun: bool,
}

impl Sum {
    /// Adds a fragment (WTF-8).
    pub fn add(&mut self, fragment: &[u8]) {
        if fragment.is_empty() {
            return;
        }
        self.begun = true;
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

    pub const fn is_empty(&self) -> bool {
        !self.begun
    }

    /// The digest of all that was said.
    pub fn digest(&self) -> Digest {
        let mut hash = self.hash.clone();
        hash.update(&self.half);
        hash.finalize().into()
    }
}

/// A text as its deltas say it.
#[derive(Debug, Default)]
pub(super) struct Said {
    gathered: Gathered,
    pub sum: Sum,
    pub refusal: bool,
    /// Where calls stand in it, for its copies.
    pub told: Told,
}

impl Said {
    /// Adds a fragment (WTF-8) of a text in which nothing is held.
    pub fn add(&mut self, fragment: &[u8], saw: &mut Vec<Observation>) {
        self.gathered.add(fragment, saw);
        self.sum.add(fragment);
    }

    /// Adds what an event or a copy says first. `place`: its item and its own number there.
    pub fn say(
        &mut self,
        saying: Saying<'_>,
        place: (u64, u64),
        hearing: &mut Hearing<'_>,
        step: &mut Step<'_>,
    ) -> Result<(), Fault> {
        let text = saying.text.as_wtf8();
        if text.is_empty() {
            return Ok(());
        }
        self.add(text, step.saw);
        self.refusal = saying.refusal;
        let Some(mut heard) = hearing.hear(saying, place, step)? else { return Ok(()) };
        self.told.add(text, &heard.stretches, step.calls);
        heard.lists.extend(self.told.beside(saying.part, &heard.stretches, step.calls));
        hearing.heard.add(heard);
        Ok(())
    }

    /// Gives what was gathered out to be audited.
    pub fn flush(&mut self, saw: &mut Vec<Observation>) {
        self.gathered.flush(saw);
    }

    /// Compares a copy. What was never said in deltas is said by its copy; an empty copy says nothing.
    fn check(
        &mut self,
        copy: Saying<'_>,
        place: (u64, u64),
        hearing: &mut Hearing<'_>,
        step: &mut Step<'_>,
    ) -> Result<(), Fault> {
        if self.sum.is_empty() {
            self.say(copy, place, hearing, step)?;
            self.flush(step.saw);
        } else if !copy.is_empty() {
            if digest_of(copy.text.as_wtf8()) != self.sum.digest() {
                return Err(differ("a text"));
            }
            hearing.repeat(copy, self.refusal, &self.told, step)?;
        }
        Ok(())
    }
}

/// Whether a text in WTF-8 ends in the first half of a surrogate pair.
fn ends_in_half(text: &[u8]) -> bool {
    matches!(text, [.., 0xed, 0xa0..=0xaf, _])
}

/// Takes an event within the message `item`.
pub(super) fn message_event(
    kind: &str,
    node: &Node,
    (item, open): (u64, bool),
    parts: &mut BTreeMap<u64, Said>,
    hearing: &mut Hearing<'_>,
    step: &mut Step<'_>,
) -> Result<(), Fault> {
    let place = node.get("content_index").and_then(Node::as_u64).unwrap_or(0);
    let saying = match kind {
        "response.output_text.delta" => Saying::under(node, "delta", false),
        "response.refusal.delta" => Saying::under(node, "delta", true),
        "response.output_text.done" => Saying::under(node, "text", false),
        "response.refusal.done" => Saying::under(node, "refusal", true),
        "response.content_part.added" | "response.content_part.done" => {
            let part = node.get("part");
            if let Some(part) = part.filter(|_| hearing.holds()) {
                items::check_plain_part(part)?;
            }
            part.and_then(Saying::of_part)
        }
        "response.output_text.annotation.added" => {
            if let (Some(said), Some(annotation)) = (parts.get(&place), node.some("annotation")) {
                hearing.annotation(annotation, &said.told, step);
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    if !open {
        return Err(super::order("more of a message that is done"));
    }
    let Some(saying) = saying else {
        return if kind.starts_with("response.content_part.") {
            Ok(())
        } else {
            Err(super::order("an event of a message without its text"))
        };
    };
    let said = parts.entry(place).or_default();
    if kind.ends_with(".delta") || kind.ends_with(".added") {
        return said.say(saying, (item, place), hearing, step);
    }
    said.flush(step.saw);
    said.check(saying, (item, place), hearing, step)?;
    if saying.is_empty() { Ok(()) } else { hearing.repeated((item, place)) }
}

/// Compares the whole copy of the message `item` with what its events said.
pub(super) fn check_message(
    copy: &Node,
    item: u64,
    parts: &mut BTreeMap<u64, Said>,
    hearing: &mut Hearing<'_>,
    step: &mut Step<'_>,
) -> Result<(), Fault> {
    check_rest(copy, &[])?;
    if hearing.holds() {
        items::check_plain(copy)?;
    }
    let mut repeated = 0;
    for (place, saying) in texts(copy).enumerate() {
        repeated += usize::from(!saying.is_empty());
        let place = place as u64;
        parts.entry(place).or_default().check(saying, (item, place), hearing, step)?;
    }
    // With a part left out, those around it would be one text.
    let said = parts.values().filter(|said| !said.sum.is_empty()).count();
    if hearing.holds() && repeated > 0 && repeated != said {
        return Err(differ("a message"));
    }
    if repeated == 0 { Ok(()) } else { hearing.repeated((item, 0)) }
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
