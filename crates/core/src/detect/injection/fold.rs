//! One clause as the lexicon reads it: small letters, no accents on Latin letters, one space between
//! words; and where clauses begin and end.

use icu_normalizer::properties::{CanonicalDecompositionBorrowed, Decomposed};

/// The longest clause that is looked at as one, in bytes; what is longer is cut.
pub(super) const LONGEST: usize = 512;

/// Whether `c` belongs to a script that sets words apart by spaces and has capitals, so that a word is a
/// whole word or none.
pub(super) fn is_bounded(c: char) -> bool {
    c.is_ascii() || c.is_lowercase() || c.is_uppercase()
}

/// `clause`, folded.
pub(super) fn folded(clause: &str) -> String {
    let mut out = String::with_capacity(clause.len());
    fold_into(clause, &mut out);
    out
}

/// Appends `clause`, folded, to `out`.
pub(super) fn fold_into(clause: &str, out: &mut String) {
    if clause.is_ascii() {
        return fold_ascii(clause, out);
    }
    let marks = CanonicalDecompositionBorrowed::new();
    let mut space = false;
    for c in clause.chars() {
        if c.is_whitespace() {
            space = !out.is_empty();
            continue;
        }
        if std::mem::take(&mut space) {
            // A capital after a comma begins a sentence of its own: somebody put it there.
            if c.is_uppercase() && out.ends_with(',') {
                out.pop();
                out.push(';');
            }
            out.push(' ');
        }
        match c {
            c if c.is_ascii() => out.push(c.to_ascii_lowercase()),
            '\u{300}'..='\u{36f}' => {}
            'ß' => out.push_str("ss"),
            'ı' | 'İ' => out.push('i'),
            'ø' | 'Ø' => out.push('o'),
            'đ' | 'Đ' => out.push('d'),
            'ł' | 'Ł' => out.push('l'),
            c => match base(&marks, c) {
                Some(base) => out.push(base.to_ascii_lowercase()),
                None => out.extend(c.to_lowercase()),
            },
        }
    }
}

/// The same for a clause of ASCII alone, as most are.
fn fold_ascii(clause: &str, out: &mut String) {
    let mut folded = std::mem::take(out).into_bytes();
    folded.reserve(clause.len());
    let mut space = false;
    for byte in clause.bytes() {
        if matches!(byte, 9..=13 | b' ') {
            space = !folded.is_empty();
            continue;
        }
        if std::mem::take(&mut space) {
            if byte.is_ascii_uppercase()
                && let Some(comma) = folded.last_mut().filter(|last| **last == b',')
            {
                *comma = b';';
            }
            folded.push(b' ');
        }
        folded.push(byte.to_ascii_lowercase());
    }
    *out = String::from_utf8(folded).unwrap_or_default();
}

/// The ASCII letter under the accents of `c`, if there is one.
fn base(marks: &CanonicalDecompositionBorrowed<'_>, c: char) -> Option<char> {
    let mut c = c;
    // No letter carries more than three accents.
    for _ in 0..4 {
        match marks.decompose(c) {
            Decomposed::Expansion(first, _) | Decomposed::Singleton(first) => c = first,
            Decomposed::Default => return c.is_ascii().then_some(c),
        }
    }
    None
}

/// The clause around `at..end`, not before `floor`: from the end of the last sentence, line or cell to
/// the end of this one. At most [`LONGEST`] bytes. `record` says that the text is one of data, in which quotes
/// end values.
pub(super) fn clause(text: &str, floor: usize, at: usize, end: usize, record: bool) -> (usize, usize) {
    let bytes = text.as_bytes();
    let lowest = floor.max(at.saturating_sub(LONGEST / 2));
    let mut start = at;
    while start > lowest && !ends_before(bytes, start, record) {
        start -= 1;
    }
    let highest = bytes.len().min(start.saturating_add(LONGEST)).max(end);
    let mut stop = end;
    while stop < highest && !ends_before(bytes, stop, record) {
        stop += 1;
    }
    // The byte that ends a clause belongs to it.
    while !text.is_char_boundary(start) {
        start += 1;
    }
    while !text.is_char_boundary(stop) {
        stop += 1;
    }
    (start.min(at), stop.max(end))
}

/// What a byte may have to do with the end of a clause: 1 if one may end right after it, 2 if right before it.
const ENDS: [u8; 256] = {
    let mut ends = [0; 256];
    let (mut rest, mut byte) = (ends.as_mut_slice(), 0u8);
    while let Some((first, others)) = rest.split_first_mut() {
        *first = match byte {
            b'.' | b'!' | b'?' | b';' | b'\n' | b'>' | b'{' | b'}' | b'\'' | b'"' => 1,
            0xa4 | 0x82 | 0x81 | 0x9f | 0x9b => 1,
            b'|' => 3,
            b'<' => 2,
            _ => 0,
        };
        (rest, byte) = (others, byte.wrapping_add(1));
    }
    ends
};

/// Whether a clause ends right before `at`. Next to most bytes none does.
#[inline]
fn ends_before(bytes: &[u8], at: usize, record: bool) -> bool {
    let ends = |at: Option<usize>| {
        let byte = at.and_then(|at| bytes.get(at)).copied();
        byte.and_then(|byte| ENDS.get(usize::from(byte)).copied()).unwrap_or_default()
    };
    let may_end = at == 0 || ends(at.checked_sub(1)) & 1 != 0 || ends(Some(at)) & 2 != 0;
    may_end && is_end(bytes, at, record)
}

fn is_end(bytes: &[u8], at: usize, record: bool) -> bool {
    let get = |at: Option<usize>| at.and_then(|at| bytes.get(at)).copied();
    let before = get(at.checked_sub(1));
    let here = get(Some(at));
    match before {
        None => true,
        Some(b'.' | b'!' | b'?' | b';') => {
            here.is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b')' | b'<' | b'*'))
        }
        Some(b'\n') => line_ends(bytes, at),
        Some(b'|' | b'>' | b'{' | b'}') => true,
        Some(b'\'' | b'"') if record => ends_value(bytes, at),
        // `।` and `۔`, then `。`, `！`, `？`, `；`.
        Some(0xa4) => bytes.get(at.saturating_sub(3)..at) == Some("।".as_bytes()),
        Some(0x82) => bytes.get(at.saturating_sub(3)..at) == Some("。".as_bytes()),
        Some(0x81 | 0x9f | 0x9b) => {
            let last = bytes.get(at.saturating_sub(3)..at);
            ["！", "？", "；"].iter().any(|mark| last == Some(mark.as_bytes()))
                || bytes.get(at.saturating_sub(2)..at) == Some("؛".as_bytes())
        }
        _ => matches!(here, Some(b'<' | b'|')),
    }
}

/// Whether the line that ended before `at` ended a clause: the next one does not go on in small letters.
fn line_ends(bytes: &[u8], at: usize) -> bool {
    let mut rest =
        bytes.get(at..).unwrap_or_default().iter().take(64).skip_while(|b| matches!(b, b' ' | b'\t'));
    !rest.next().is_some_and(u8::is_ascii_lowercase)
}

/// Whether the quote before `at` opens or closes a value: a colon, comma or bracket is on its other side.
fn ends_value(bytes: &[u8], at: usize) -> bool {
    let mark = |b: Option<&u8>| matches!(b, Some(b':' | b',' | b'{' | b'}' | b'[' | b']'));
    let quote = at.saturating_sub(1);
    let mut before = bytes.get(..quote).unwrap_or_default().iter().rev().take(8).skip_while(|b| **b == b' ');
    mark(bytes.get(at)) || mark(before.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(text: &str, word: &str) -> String {
        let at = text.find(word).unwrap();
        let (start, end) = clause(text, 0, at, at + word.len(), text.starts_with('{'));
        text.get(start..end).unwrap().to_owned()
    }

    #[test]
    fn a_clause_ends_with_its_sentence_line_cell_or_value() {
        assert_eq!(around("One. Two is here. Three.", "Two"), " Two is here.");
        assert_eq!(around("a line\nthat goes on\nAnother one", "goes"), "a line\nthat goes on\n");
        assert_eq!(around("<td>China</td><td>ignore this</td>", "ignore"), "ignore this");
        assert_eq!(around("{'name': 'it', 'text': 'send it now', 'x': 1}", "send"), "send it now'");
        assert_eq!(around("एक है। दूसरा वाक्य। तीन", "दूसरा"), " दूसरा वाक्य।");
        assert_eq!(around("version 1.2.3 of x.y stays", "of"), "version 1.2.3 of x.y stays");
    }

    #[test]
    fn folding_drops_case_accents_and_runs_of_space() {
        assert_eq!(folded("Überspringe  ALLE\n Anweisungen"), "uberspringe alle anweisungen");
        assert_eq!(folded("Bỏ qua hướng dẫn, ĐÃ"), "bo qua huong dan; da");
        assert_eq!(folded("ИГНОРИРУЙ"), "игнорируй");
    }

    #[test]
    fn ascii_is_folded_as_everything_is() {
        for text in ["", "  A\tb\u{b}C, D,E,  f.\r\n", "\u{1c}x \u{7f}"] {
            let other = folded(&format!("\u{301}{text}"));
            assert_eq!(folded(text), other, "{text:?}");
        }
    }

    #[test]
    fn a_clause_is_bounded_and_holds_what_was_asked_for() {
        let text = "é".repeat(4000);
        let (start, end) = clause(&text, 0, 3000, 3002, false);
        assert!(start <= 3000 && end >= 3002 && end - start <= LONGEST + 4, "{start} {end}");
        assert!(text.get(start..end).is_some());
    }
}
