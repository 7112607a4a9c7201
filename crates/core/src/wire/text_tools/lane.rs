//! A text on its way through a reply: what of it is held, and as which call.

use std::collections::VecDeque;

use super::beside::List;
use super::{Mark, Scanner, TextTools};
use crate::decision::Coverage;
use crate::syntax::{Node, Span, json};
use crate::wire::Fault;
use crate::wire::frame::{CallId, CallKind, Calls, Frame, Observation, Repair};
use crate::wire::splice::Edit;

/// One text of a reply: all that a client joins to one message.
#[derive(Debug)]
pub(crate) struct Lane {
    scanner: Scanner,
    /// What is held at the end of what was heard.
    held: Option<CallId>,
    /// Calls that turned out to be none, to be used again once their bytes are gone.
    spare: VecDeque<CallId>,
    ended: bool,
}

/// What of a string is held.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The calls in it and where they stand, in the coordinates of the string's source.
    pub entries: Vec<(CallId, Span)>,
    /// Those that begin in it.
    pub leads: Vec<CallId>,
    /// Where entries stand at which a call's text begins, here or in a copy: there the notice goes.
    pub heads: Vec<u32>,
    /// The same as `entries`, in bytes of what the string says.
    pub stretches: Vec<Stretch>,
    /// What stands beside the string and goes by what it says.
    pub lists: Vec<List>,
}

/// A piece of a string that is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub call: CallId,
    /// Where it begins and ends, in bytes of what the string says (WTF-8).
    pub from: usize,
    pub to: usize,
    /// Whether the call begins here.
    pub begins: bool,
}

impl Heard {
    /// A call that is no text, and where it stands.
    pub fn call(call: CallId, span: Span, leads: bool) -> Self {
        let leads = if leads { vec![call] } else { Vec::new() };
        Self { entries: vec![(call, span)], leads, ..Self::default() }
    }

    /// Adds what was heard in another string of the same frame.
    pub fn add(&mut self, more: Self) {
        self.entries.extend(more.entries);
        self.leads.extend(more.leads);
        self.heads.extend(more.heads);
        self.stretches.extend(more.stretches);
        self.lists.extend(more.lists);
    }

    /// Puts the entries in the order in which they stand.
    pub fn sort(&mut self) {
        self.entries.sort_by_key(|(_, span)| span.start);
        self.heads.sort_unstable();
    }

    /// Whether nothing of it has to wait or to be told apart.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.lists.is_empty()
    }
}

impl Lane {
    /// A lane for agents that read text so; `None` if no text is to be held.
    pub fn new(text_tools: TextTools) -> Option<Self> {
        let scanner = Scanner::new(text_tools)?;
        Some(Self { scanner, held: None, spare: VecDeque::new(), ended: false })
    }

    /// Hears a string; what is none says nothing.
    ///
    /// # Errors
    /// As [`Lane::hear`].
    pub fn hear_node(&mut self, node: &Node, source: &[u8], calls: &mut Calls) -> Result<Heard, Fault> {
        match node.as_string() {
            Some(text) => self.hear(text.as_wtf8(), node.span, source, calls),
            None => Ok(Heard::default()),
        }
    }

    /// Hears every string below `node`, one behind the other.
    ///
    /// # Errors
    /// As [`Lane::hear`].
    pub fn hear_all(&mut self, node: &Node, source: &[u8], calls: &mut Calls) -> Result<Heard, Fault> {
        let mut heard = self.hear_node(node, source, calls)?;
        let members = node.members().iter().map(|member| &member.value);
        for part in node.elements().iter().chain(members) {
            heard.add(self.hear_all(part, source, calls)?);
        }
        Ok(heard)
    }

    /// Hears the string at `span` of `source` (quotes included), which says `text` (WTF-8).
    ///
    /// # Errors
    /// If the text has ended before: who reads on would join it to what was settled then. If there are too
    /// many calls.
    fn hear(&mut self, text: &[u8], span: Span, source: &[u8], calls: &mut Calls) -> Result<Heard, Fault> {
        let mut heard = Heard::default();
        if text.is_empty() {
            return Ok(heard);
        }
        if self.ended {
            return Err(Fault::new("text.late", "text after the end of its message"));
        }
        let mut raw = Raw::new(span, source);
        // Where what is held begins in this string, and whether it began before.
        let mut held = self.held.take().map(|call| (0, Some(call)));
        let mut at = 0;
        while let Some(mark) = self.scanner.next(text, &mut at) {
            match mark {
                Mark::Hold(from) => held = Some((from, None)),
                Mark::Free(_) => {
                    if let Some((_, Some(call))) = held.take() {
                        // What began in this frame has no bytes yet that could tell when they are gone.
                        let kept = calls.get(call).is_some_and(|call| !call.pieces.is_empty());
                        calls.waive(call);
                        self.spare.extend(kept.then_some(call));
                    }
                }
                Mark::Call(to, readings) => {
                    let Some((from, known)) = held.take() else { continue };
                    let call = known.unwrap_or_else(|| self.suspect(calls));
                    heard.put(Stretch { call, from, to, begins: known.is_none() }, &mut raw);
                    calls.settle(call, readings);
                    if calls.too_many() {
                        return Err(too_many());
                    }
                }
            }
        }
        if let Some((from, known)) = held {
            let call = known.unwrap_or_else(|| self.suspect(calls));
            heard.put(Stretch { call, from, to: text.len(), begins: known.is_none() }, &mut raw);
            self.held = Some(call);
            if calls.too_many() {
                return Err(too_many());
            }
        }
        Ok(heard)
    }

    /// Whether the end of what was heard is held.
    pub const fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// Another block begins: clients join texts in different ways there.
    pub fn seam(&mut self) {
        self.scanner.seam();
    }

    /// The message has ended: what is open counts as far as it came.
    pub fn end(&mut self, calls: &mut Calls, saw: &mut Vec<Observation>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        match (self.scanner.end(), self.held.take()) {
            (Some(Mark::Call(_, readings)), Some(call)) => calls.settle(call, readings),
            (_, Some(call)) => calls.waive(call),
            (_, None) => {}
        }
        if self.scanner.saw_unknown() {
            saw.push(Observation::Coverage(Coverage::Partial("unknown text tool".to_owned())));
        }
    }

    fn suspect(&mut self, calls: &mut Calls) -> CallId {
        if let Some(call) = self.spare.front().copied()
            && calls.reuse(call)
        {
            self.spare.pop_front();
            return call;
        }
        calls.suspect()
    }
}

fn too_many() -> Fault {
    Fault::new("hold.calls", "too many calls in one reply")
}

impl Heard {
    fn put(&mut self, stretch: Stretch, raw: &mut Raw<'_>) {
        if stretch.begins {
            self.leads.push(stretch.call);
        }
        self.repeat(stretch, raw);
    }

    /// The same of a copy: no call begins in it, but its text may.
    pub(super) fn repeat(&mut self, stretch: Stretch, raw: &mut Raw<'_>) {
        let span = Span::new(raw.place(stretch.from), raw.place(stretch.to));
        if span.start >= span.end {
            return;
        }
        self.entries.push((stretch.call, span));
        self.stretches.push(stretch);
        if stretch.begins {
            self.heads.push(span.start);
        }
    }
}

/// Finds the places of decoded text in the inside of a JSON string, in ascending order.
pub(super) struct Raw<'a> {
    literal: &'a [u8],
    start: u32,
    decoded: usize,
    at: usize,
}

impl<'a> Raw<'a> {
    /// Of the string at `span` of `source`, quotes included.
    pub fn new(span: Span, source: &'a [u8]) -> Self {
        let inside = Span::new(span.start.saturating_add(1), span.end.saturating_sub(1));
        Self { literal: inside.of(source), start: inside.start, decoded: 0, at: 0 }
    }

    /// Where the byte `decoded` of the decoded text stands in the source.
    fn place(&mut self, decoded: usize) -> u32 {
        self.start.saturating_add(u32::try_from(self.offset(decoded)).unwrap_or(u32::MAX))
    }

    /// The same in the inside of the string.
    fn offset(&mut self, wanted: usize) -> usize {
        while self.decoded < wanted && self.at < self.literal.len() {
            let rest = self.literal.get(self.at..).unwrap_or_default();
            let plain = rest.iter().take(wanted - self.decoded).take_while(|byte| **byte != b'\\').count();
            if plain > 0 {
                self.at += plain;
                self.decoded += plain;
                continue;
            }
            let (length, gives) = escape(rest);
            self.at += length;
            self.decoded += gives;
        }
        self.at
    }
}

/// The length of the escape that `text` begins with, and of what it stands for.
fn escape(text: &[u8]) -> (usize, usize) {
    if text.get(1) != Some(&b'u') {
        return (2, 1);
    }
    let unit = |at: usize| {
        let digits = text.get(at..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        digits.and_then(|digits| u16::from_str_radix(digits, 16).ok())
    };
    match unit(2) {
        Some(0..0x80) => (6, 1),
        Some(0x80..0x800) => (6, 2),
        Some(0xd800..0xdc00)
            if text.get(6..8) == Some(b"\\u")
                && unit(8).is_some_and(|low| (0xdc00..0xe000).contains(&low)) =>
        {
            (12, 4)
        }
        _ => (6, 3),
    }
}

/// The repair of a frame, and in it what takes the place of blocked calls in its text.
pub(crate) fn join_edits(repair: Repair, frame: &Frame, calls: &Calls) -> Repair {
    let blocked = |(call, span): &(CallId, Span)| {
        let in_text = calls.get(*call).is_some_and(|call| call.kind == CallKind::Text);
        let notice = calls.blocked(*call).filter(|_| in_text)?;
        let begins = match frame.heads.as_slice() {
            [] => frame.leads.contains(call),
            heads => heads.binary_search(&span.start).is_ok(),
        };
        if !begins {
            return Some(Edit::remove(*span));
        }
        let mut text = Vec::new();
        json::escape_into(notice, &mut text);
        // What follows must not go on in the notice's line.
        text.extend_from_slice(b"\\n");
        Some(Edit::replace(*span, text))
    };
    if frame.lists.iter().any(|list| list.drops_its_frame(calls)) {
        return Repair::Drop;
    }
    let lists = frame.lists.iter().flat_map(|list| list.edits(calls));
    let mut texts = frame.entries.iter().filter_map(blocked).chain(lists).peekable();
    if texts.peek().is_none() {
        return repair;
    }
    match repair {
        Repair::Keep => Repair::Edit {
            edits: texts.collect(),
            keep: true,
            before: bytes::Bytes::new(),
            then: bytes::Bytes::new(),
        },
        Repair::Edit { mut edits, before, then, .. } => {
            edits.extend(texts);
            Repair::Edit { edits, keep: true, before, then }
        }
        repair @ (Repair::Drop | Repair::Replace(_)) => repair,
    }
}
