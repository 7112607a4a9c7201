//! A JSON string as it is spelled: where in the source each character of its text stands, so that a stretch of the
//! text can be replaced and the rest keeps its spelling.

use std::borrow::Cow;

use super::{Span, json};

/// One string literal, decoded.
#[derive(Debug)]
pub struct Spelled<'a> {
    text: Cow<'a, str>,
    /// Where an escape is, and what follows it: offset in the text, offset in the source. Between two of them both grow
    /// alike. Empty if the literal is spelled as it reads.
    runs: Vec<(u32, u32)>,
    /// Where the text begins in the source.
    start: u32,
}

impl<'a> Spelled<'a> {
    /// The literal under `span` of `source`, which must be a valid one with its quotes; half a surrogate pair reads as
    /// U+FFFD.
    #[must_use]
    pub fn of(source: &'a [u8], span: Span) -> Self {
        let inside = Span::new(span.start + 1, span.end.saturating_sub(1).max(span.start + 1));
        let raw = inside.of(source);
        let start = inside.start;
        match std::str::from_utf8(raw) {
            Ok(text) if !raw.contains(&b'\\') => Self { text: Cow::Borrowed(text), runs: Vec::new(), start },
            _ => Self::decoded(raw, start),
        }
    }

    /// A text that is not spelled at all: it stands for itself.
    #[must_use]
    pub const fn plain(text: &'a str) -> Self {
        Self { text: Cow::Borrowed(text), runs: Vec::new(), start: 0 }
    }

    fn decoded(raw: &[u8], start: u32) -> Self {
        let (mut text, mut runs) = (String::with_capacity(raw.len()), Vec::new());
        let short = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        let mut next = 0;
        while let Some(rest) = raw.get(next..).filter(|rest| !rest.is_empty()) {
            let plain = rest.iter().position(|byte| *byte == b'\\').unwrap_or(rest.len());
            if let Some(Ok(run)) = rest.get(..plain).filter(|run| !run.is_empty()).map(std::str::from_utf8) {
                text.push_str(run);
                next += plain;
                continue;
            }
            let (decoded, length) = unit(rest);
            runs.push((short(text.len()), start.saturating_add(short(next))));
            text.push(decoded);
            next += length.max(1);
            runs.push((short(text.len()), start.saturating_add(short(next))));
        }
        Self { text: Cow::Owned(text), runs, start }
    }

    /// What it says.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the bytes `start..end` of the text stand in the source.
    #[must_use]
    pub fn span(&self, start: usize, end: usize) -> Span {
        let at = |offset: usize| {
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            let after = self.runs.partition_point(|(here, _)| *here <= offset);
            let run = after.checked_sub(1).and_then(|run| self.runs.get(run));
            let (here, there) = run.copied().unwrap_or((0, self.start));
            there.saturating_add(offset - here)
        };
        let start_at = at(start);
        Span::new(start_at, at(end).max(start_at))
    }
}

/// The character that `rest` begins with, and how many bytes it is spelled in.
fn unit(rest: &[u8]) -> (char, usize) {
    let escape = |length: usize| match rest.get(1) {
        Some(b'u') => {
            let unit = hex(rest, 2);
            let low = || rest.get(6..8).filter(|next| *next == b"\\u").map(|_| hex(rest, 8));
            match (unit, char::from_u32(unit)) {
                (0xd800..=0xdbff, _) => match low() {
                    Some(low @ 0xdc00..=0xdfff) => {
                        let joined = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        (char::from_u32(joined).unwrap_or('\u{fffd}'), 12)
                    }
                    _ => ('\u{fffd}', 6),
                },
                (_, plain) => (plain.unwrap_or('\u{fffd}'), 6),
            }
        }
        Some(b'b') => ('\u{8}', length),
        Some(b'f') => ('\u{c}', length),
        Some(b'n') => ('\n', length),
        Some(b'r') => ('\r', length),
        Some(b't') => ('\t', length),
        Some(byte) => (char::from(*byte), length),
        None => ('\u{fffd}', 1),
    };
    match rest.first() {
        Some(b'\\') => escape(2),
        Some(byte) if byte.is_ascii() => (char::from(*byte), 1),
        _ => {
            let head = rest.get(..4.min(rest.len())).unwrap_or_default();
            let valid = match std::str::from_utf8(head) {
                Ok(text) => text.chars().next(),
                Err(error) => head
                    .get(..error.valid_up_to())
                    .and_then(|head| std::str::from_utf8(head).ok())
                    .and_then(|text| text.chars().next()),
            };
            valid.map_or(('\u{fffd}', 1), |c| (c, c.len_utf8()))
        }
    }
}

fn hex(rest: &[u8], from: usize) -> u32 {
    let digits = rest.get(from..from + 4).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0xfffd)
}

/// `source` with each of `edits` applied; they are in order and do not overlap.
#[must_use]
pub fn edited(source: &str, edits: &[(Span, String)]) -> String {
    let mut out = String::with_capacity(source.len());
    let mut from = 0;
    for (span, with) in edits {
        out.push_str(source.get(from..span.start as usize).unwrap_or_default());
        out.push_str(with);
        from = span.end as usize;
    }
    out.push_str(source.get(from..).unwrap_or_default());
    out
}

/// `text` as the inside of a JSON string.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 8);
    json::escape_into(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{Kind, json};
    use proptest::prelude::*;

    fn spell(text: &str, how: &[u8]) -> String {
        let mut out = String::from("\"");
        for (nth, c) in text.chars().enumerate() {
            if how.get(nth % how.len().max(1)).copied().unwrap_or(0) % 2 == 1 {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            } else {
                out.push_str(&escaped(&c.to_string()));
            }
        }
        out.push('"');
        out
    }

    proptest! {
        #[test]
        fn every_stretch_of_a_text_is_found_in_its_spelling(
            text in "\\PC{0,12}[\"\\\\\n\t/]{0,3}[a-z\u{1f600}é]{0,8}",
            how in proptest::collection::vec(any::<u8>(), 1..9),
            from in 0usize..20, length in 0usize..20,
        ) {
            let source = format!("  {}", spell(&text, &how));
            let node = json::parse(source.as_bytes()).unwrap();
            let spelled = Spelled::of(source.as_bytes(), node.span);
            prop_assert_eq!(spelled.text(), text.as_str());
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let start = places[from.min(places.len() - 1)];
            let end = places[(from + length).min(places.len() - 1)].max(start);
            let edit = (spelled.span(start, end), "X".to_owned());
            let changed = edited(&source, &[edit]);
            let read = json::parse(changed.as_bytes()).unwrap();
            let Kind::String(read) = &read.kind else { panic!("no string") };
            prop_assert_eq!(read.as_str(), format!("{}X{}", text.get(..start).unwrap(), text.get(end..).unwrap()));
        }
    }

    #[test]
    fn halves_of_pairs_are_one_character_each() {
        let source = br#""a\ud800b\udc00\ud83d\ude00c""#;
        let node = json::parse(source).unwrap();
        let spelled = Spelled::of(source, node.span);
        assert_eq!(spelled.text(), "a\u{fffd}b\u{fffd}\u{1f600}c");
        let at = spelled.text().find('c').unwrap();
        assert_eq!(spelled.span(at, at + 1).of(source), b"c");
    }
}
