//! The shape of a text event, so that the next one of the same shape need not be read in full.
//!
//! A reply has thousands of events that differ in a word of text and in nothing else. One of them is read in
//! full; what stands around its text is kept. A later event is taken by this template only if it is the same
//! byte for byte but for that text, and the text is the inside of a strict JSON string: then its tree is the
//! tree that was read but for one string, and its reader would make the same of it. Anything else is read in
//! full, and any event read in full puts an end to the template before.

use crate::syntax::{Span, json};

/// The longest text taken by template. A longer event is rare, and would be searched again with each piece it
/// comes in.
const LONGEST: usize = 8 * 1024;

/// What of a text event may differ from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The inside of a JSON string: the text itself.
    Text,
    /// The inside of a JSON string that the reader does not look at: thinking, padding.
    Ignored,
    /// The digits of a number that counts events.
    Count,
}

/// What a reader says of a text event: enough to take the next one without it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Varying {
    /// Which text of the reply it adds to, in the reader's own numbering.
    pub lane: u64,
    /// Where the event's JSON begins.
    pub at: u32,
    /// The values that may differ, a string's quotes included, in the event's JSON and in order.
    pub slots: Vec<(Span, Slot)>,
}

/// An event with holes where its strings stood.
#[derive(Debug)]
pub(crate) struct Template {
    pub lane: u64,
    /// What precedes each slot.
    parts: Vec<(Vec<u8>, Slot)>,
    /// What follows the last.
    rest: Vec<u8>,
}

impl Template {
    /// The template of the event `raw`; `None` if nothing in it may differ.
    pub fn new(raw: &[u8], varying: &Varying) -> Option<Self> {
        let at = varying.at;
        let mut parts = Vec::with_capacity(varying.slots.len());
        let mut from = 0;
        for (span, slot) in &varying.slots {
            // Without the quotes, which stay.
            let quote = usize::from(*slot != Slot::Count);
            let (start, end) = ((span.start + at) as usize + quote, (span.end + at) as usize - quote);
            parts.push((raw.get(from..start)?.to_vec(), *slot));
            from = end;
        }
        let rest = raw.get(from..)?.to_vec();
        (!parts.is_empty()).then_some(Self { lane: varying.lane, parts, rest })
    }

    /// How much of an event of this shape is the same in each.
    pub fn around(&self) -> usize {
        self.parts.iter().map(|(before, _)| before.len()).sum::<usize>() + self.rest.len()
    }

    /// The length of the event that `bytes` begin with, if it is of this shape. Its text, decoded, is appended
    /// to `text` as WTF-8, its number to `count`; without a match both may hold anything.
    pub fn take(&self, bytes: &[u8], text: &mut Vec<u8>, count: &mut Vec<u8>) -> Option<usize> {
        let mut left = bytes;
        for (before, slot) in &self.parts {
            left = left.strip_prefix(before.as_slice())?;
            let near = left.get(..LONGEST.min(left.len()))?;
            let length = match slot {
                Slot::Text => json::inside(near, text)?,
                Slot::Ignored => json::inside(near, &mut Vec::new())?,
                Slot::Count => counted(near, count)?,
            };
            let (inside, after) = left.split_at_checked(length)?;
            if !inside.is_ascii() && splits_lines(inside) {
                return None;
            }
            left = after;
        }
        left = left.strip_prefix(self.rest.as_slice())?;
        Some(bytes.len() - left.len())
    }
}

/// The length of the number that `bytes` begin with: digits only, as JSON writes them.
fn counted(bytes: &[u8], count: &mut Vec<u8>) -> Option<usize> {
    let digits = bytes.split(|byte| !byte.is_ascii_digit()).next()?;
    if digits.is_empty() || digits.len() > 19 || digits.starts_with(b"0") && digits.len() > 1 {
        return None;
    }
    count.extend_from_slice(digits);
    Some(digits.len())
}

/// Whether there is something that some readers of event streams end a line at (see [`super::sse`]).
fn splits_lines(text: &[u8]) -> bool {
    std::str::from_utf8(text).map_or(true, |text| text.contains(['\u{85}', '\u{2028}', '\u{2029}']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &[u8] = b"event: a\ndata: {\"pad\":\"xx\",\"text\":\"Hello\"}\n\n";

    fn template() -> Template {
        let slots = vec![(Span::new(7, 11), Slot::Ignored), (Span::new(19, 26), Slot::Text)];
        Template::new(EVENT, &Varying { lane: 3, at: 15, slots }).unwrap()
    }

    #[test]
    fn takes_what_differs_in_its_strings_only() {
        let mut text = Vec::new();
        let next =
            "event: a\ndata: {\"pad\":\"\",\"text\":\"wörld\\n\\ud83d\\ude00\"}\n\nevent: b\n".as_bytes();
        assert_eq!(template().take(next, &mut text, &mut Vec::new()), Some(next.len() - 9));
        assert_eq!(text, "wörld\n😀".as_bytes());
    }

    #[test]
    fn takes_nothing_else() {
        for other in [
            "event: a\ndata: {\"pad\":\"\",\"text\":\"x\"} \n\n",
            "event: a\ndata: {\"pad\":\"\",\"text\":\"x\",\"text\":\"y\"}\n\n",
            "event: a\ndata: {\"pad\":\"\",\"text\":\"x\\\"}\n\n",
            "event: a\ndata: {\"pad\":\"\",\"text\":\"x\\u00g0\"}\n\n",
            "event: a\ndata: {\"pad\":\"\",\"text\":\"x\ty\"}\n\n",
            "event: a\ndata: {\"pad\":\"\",\"text\":\"x\u{2028}y\"}\n\n",
            "event: a\ndata: {\"pad\":\"\u{85}\",\"text\":\"x\"}\n\n",
            "event: a\ndata: {\"pad\":\"\",\"text\":\"x\"}\n",
            "event: a\ndata: {\"pad\":\"\",\"text\":\"x",
            "event: b\ndata: {\"pad\":\"\",\"text\":\"x\"}\n\n",
        ] {
            assert_eq!(template().take(other.as_bytes(), &mut Vec::new(), &mut Vec::new()), None, "{other}");
        }
        let invalid = b"event: a\ndata: {\"pad\":\"\",\"text\":\"\xff\"}\n\n";
        assert_eq!(template().take(invalid, &mut Vec::new(), &mut Vec::new()), None);
        let long = format!("event: a\ndata: {{\"pad\":\"\",\"text\":\"{}\"}}\n\n", "x".repeat(LONGEST));
        assert_eq!(template().take(long.as_bytes(), &mut Vec::new(), &mut Vec::new()), None);
    }

    #[test]
    fn a_number_that_counts_may_differ_too() {
        let event = b"data: {\"n\":7,\"text\":\"Hello\"}\n\n";
        let slots = vec![(Span::new(5, 6), Slot::Count), (Span::new(14, 21), Slot::Text)];
        let template = Template::new(event, &Varying { lane: 0, at: 6, slots }).unwrap();
        let take = |n: &str| {
            let (mut text, mut count) = (Vec::new(), Vec::new());
            let event = format!("data: {{\"n\":{n},\"text\":\"x\"}}\n\n");
            template.take(event.as_bytes(), &mut text, &mut count)?;
            Some((String::from_utf8(text).unwrap(), String::from_utf8(count).unwrap()))
        };
        for n in ["0", "8", "1234567890123456789"] {
            assert_eq!(take(n), Some(("x".into(), n.into())));
        }
        for n in ["", "08", "-1", "1.5", "1e3", "\"1\"", "12345678901234567890"] {
            assert_eq!(take(n), None, "{n}");
        }
    }
}
