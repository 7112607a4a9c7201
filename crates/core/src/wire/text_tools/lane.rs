//! A text on its way through a reply: what of it is held, and as which call.

use std::collections::VecDeque;

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
}

impl Heard {
    /// Adds what was heard in another string of the same frame.
    pub fn add(&mut self, more: Self) {
        self.entries.extend(more.entries);
        self.leads.extend(more.leads);
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
        let inside = Span::new(span.start.saturating_add(1), span.end.saturating_sub(1));
        let mut raw = Raw { literal: inside.of(source), decoded: 0, at: 0 };
        let mut place = |decoded: usize| {
            inside.start.saturating_add(u32::try_from(raw.offset(decoded)).unwrap_or(u32::MAX))
        };
        // Where what is held begins in this string, and whether it began before.
        let mut held = self.held.take().map(|call| (inside.start, Some(call)));
        let mut at = 0;
        while let Some(mark) = self.scanner.next(text, &mut at) {
            match mark {
                Mark::Hold(from) => held = Some((place(from), None)),
                Mark::Free(_) => {
                    if let Some((_, Some(call))) = held.take() {
                        calls.waive(call);
                        self.spare.push_back(call);
                    }
                }
                Mark::Call(to, readings) => {
                    let Some((from, known)) = held.take() else { continue };
                    let call = known.unwrap_or_else(|| self.suspect(calls));
                    heard.put(call, Span::new(from, place(to)), known.is_none());
                    calls.settle(call, readings);
                    if calls.too_many() {
                        return Err(Fault::new("hold.calls", "too many calls in one reply"));
                    }
                }
            }
        }
        if let Some((from, known)) = held {
            let call = known.unwrap_or_else(|| self.suspect(calls));
            heard.put(call, Span::new(from, inside.end), known.is_none());
            self.held = Some(call);
        }
        Ok(heard)
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

impl Heard {
    fn put(&mut self, call: CallId, span: Span, begins: bool) {
        if span.start < span.end {
            self.entries.push((call, span));
        }
        if begins {
            self.leads.push(call);
        }
    }
}

/// Finds the places of decoded text in the inside of a JSON string, in ascending order.
struct Raw<'a> {
    literal: &'a [u8],
    decoded: usize,
    at: usize,
}

impl Raw<'_> {
    /// Where the byte `wanted` of the decoded text stands.
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
        if !frame.leads.contains(call) {
            return Some(Edit::remove(*span));
        }
        let mut text = Vec::new();
        json::escape_into(notice, &mut text);
        // What follows must not go on in the notice's line.
        text.extend_from_slice(b"\\n");
        Some(Edit::replace(*span, text))
    };
    let mut texts = frame.entries.iter().filter_map(blocked).peekable();
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
