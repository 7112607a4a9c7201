//! Text as it reads to a model: invisible characters dropped, look-alike letters made plain, so that
//! `ig\u{200b}nore` and fullwidth letters cannot hide a word from a pattern. Offsets lead back to the
//! original. ASCII text passes through untouched.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::pace::Pace;
use crate::syntax::Span;

/// Characters that are there for no reader's sake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hidden {
    /// Letters spelled in invisible characters: tags (U+E0020 to U+E007E) outside of flag emoji, and variation selectors in a row,
    /// of which a character has one at most.
    pub tags: u32,
    /// Characters that reverse the direction of reading (U+202D, U+202E and the isolates).
    pub bidi: u32,
    /// Zero-width characters between Latin letters, where no script needs them, and such characters in a row.
    pub invisible: u32,
}

/// Normalised text.
#[derive(Debug)]
pub struct Normalized<'a> {
    /// The text.
    pub text: Cow<'a, str>,
    /// What was hidden in it. Tag characters and variation selectors in a row are in `text` as the letters they stand for.
    pub hidden: Hidden,
    /// Where runs begin: offset here, offset in the original.
    runs: Vec<(usize, usize)>,
}

impl Normalized<'_> {
    /// The span of the original that `start..end` of the normalised text came from.
    #[must_use]
    pub fn original(&self, start: usize, end: usize) -> Span {
        let at = |offset: usize| {
            let index = self.runs.partition_point(|(here, _)| *here <= offset);
            let run = index.checked_sub(1).and_then(|index| self.runs.get(index));
            let (here, there) = run.copied().unwrap_or((0, 0));
            u32::try_from(there + (offset - here)).unwrap_or(u32::MAX)
        };
        let (start, end) = (at(start), at(end));
        Span::new(start, end.max(start))
    }
}

/// Normalises `text`.
#[must_use]
pub fn normalize(text: &str) -> Normalized<'_> {
    normalize_in_steps(text, &Pace::whole())
}

/// The same, in steps.
pub(super) fn normalize_in_steps<'a>(text: &'a str, pace: &Pace<'_>) -> Normalized<'a> {
    if text.is_ascii() {
        return Normalized { text: Cow::Borrowed(text), hidden: Hidden::default(), runs: Vec::new() };
    }
    let mut out = String::with_capacity(text.len());
    let mut runs = Vec::new();
    let mut hidden = Hidden::default();
    let mut flag = false;
    let mut before = ' ';
    // Where the word ends that is being read, and whether it mixes alphabets.
    let (mut word_end, mut mixed) = (0, false);
    // Whether the next kept character starts a run: lengths differed since the last one.
    let mut broken = true;
    let mut next = 0;
    while let Some(rest) = text.get(next..).filter(|rest| !rest.is_empty()) {
        let at = next;
        // Most of most texts is ASCII and stays.
        let plain_part = rest.bytes().position(|b| !b.is_ascii()).unwrap_or(rest.len());
        if let Some(part) = rest.get(..plain_part).filter(|part| !part.is_empty()) {
            if std::mem::take(&mut broken) {
                runs.push((out.len(), at));
            }
            out.push_str(part);
            before = part.chars().next_back().unwrap_or(' ');
            flag = false;
            next += plain_part;
            pace.went(plain_part);
            continue;
        }
        let mut chars = rest.chars();
        let Some(c) = chars.next() else { break };
        next += c.len_utf8();
        pace.went(c.len_utf8());
        let after = chars.next().unwrap_or(' ');
        flag = c == '\u{1f3f4}' || flag && is_tag(c);
        if at >= word_end && !c.is_ascii() && is_letter(c) {
            (word_end, mixed) = word(text, word_end, at);
        }
        let kept = match c {
            c if is_tag(c) => {
                hidden.tags += u32::from(!flag && c != '\u{e007f}');
                tagged(c)
            }
            c if byte_of(c).is_some() && (byte_of(before).is_some() || byte_of(after).is_some()) => {
                hidden.tags += 1;
                byte_of(c).map(char::from).filter(|c| (' '..='~').contains(c))
            }
            '\u{202d}' | '\u{202e}' | '\u{2066}'..='\u{2068}' => {
                hidden.bidi += 1;
                None
            }
            c if is_zero_width(c) => {
                // Emoji and Indic or Arabic script need joiners; Latin words do not.
                let between = before.is_ascii_alphanumeric() && after.is_ascii_alphanumeric();
                hidden.invisible += u32::from(between || is_zero_width(before) && is_zero_width(after));
                None
            }
            c if is_dropped(c) => None,
            c => Some(plain(c, mixed && at < word_end)),
        };
        match kept {
            Some(kept) => {
                if broken {
                    runs.push((out.len(), at));
                }
                broken = kept.len_utf8() != c.len_utf8();
                out.push(kept);
            }
            None => broken = true,
        }
        before = c;
    }
    runs.push((out.len(), text.len()));
    Normalized { text: Cow::Owned(out), hidden, runs }
}

const fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0020}'..='\u{e007f}')
}

/// The letter that a tag character stands for.
fn tagged(c: char) -> Option<char> {
    is_tag(c).then(|| u32::from(c) - 0xe0000).and_then(char::from_u32).filter(|c| (' '..='~').contains(c))
}

/// The byte that a variation selector stands for where they are used to write (U+FE00 to U+FE0F, then U+E0100 to U+E01EF).
fn byte_of(c: char) -> Option<u8> {
    match c {
        '\u{fe00}'..='\u{fe0f}' => u8::try_from(u32::from(c) - 0xfe00).ok(),
        '\u{e0100}'..='\u{e01ef}' => u8::try_from(u32::from(c) - 0xe0100 + 16).ok(),
        _ => None,
    }
}

/// An accent that follows its letter.
const fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// Characters that are left out: no width, directions, variations.
const fn is_dropped(c: char) -> bool {
    is_zero_width(c)
        || matches!(
            c,
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}'
                | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'
        )
}

/// [`char::is_alphabetic`], at once for the letters that texts are written in: the tables of all scripts are searched for
/// the others.
fn is_letter(c: char) -> bool {
    LETTERS.iter().any(|(first, last)| (*first..=*last).contains(&c)) || c.is_alphabetic()
}

/// Cyrillic, Han, Hangul, Kana, Greek, Arabic, Hebrew, Devanagari.
#[rustfmt::skip]
const LETTERS: [(char, char); 10] = [
    ('\u{410}', '\u{44f}'), ('\u{4e00}', '\u{9fff}'), ('\u{ac00}', '\u{d7a3}'), ('\u{3041}', '\u{3096}'), ('\u{30a1}', '\u{30fa}'),
    ('\u{3b1}', '\u{3c9}'), ('\u{620}', '\u{64a}'), ('\u{5d0}', '\u{5ea}'), ('\u{904}', '\u{939}'), ('\u{e0}', '\u{f6}'),
];

const fn is_zero_width(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{00ad}' | '\u{180e}')
}

/// Where the word around `at`, not before `floor`, ends, and whether Latin letters and ones that look like
/// them stand side by side in it. A word of one alphabet is what it seems.
fn word(text: &str, floor: usize, at: usize) -> (usize, bool) {
    let rest = text.get(at..).unwrap_or_default();
    let letter = |c: char| tagged(c).unwrap_or_else(|| plain(c, false)).is_ascii_alphabetic();
    let inside = |c: &char| is_letter(*c) || letter(*c) || is_dropped(*c) || is_tag(*c) || is_accent(*c);
    let before = text.get(floor..at).unwrap_or_default().chars().rev();
    let (mut end, mut like) = (at, false);
    let mut latin = before.take_while(inside).any(letter);
    for c in rest.chars().take_while(inside) {
        end += c.len_utf8();
        latin |= letter(c);
        like |= !c.is_ascii() && look_alike(plain(c, false)).is_some();
    }
    (end, latin && like)
}

/// The ASCII letter `c` looks like, or `c`. Letters of other alphabets only in `mixed` words.
fn plain(c: char, mixed: bool) -> char {
    match c {
        c if c.is_ascii() => c,
        // Fullwidth forms are ASCII, shifted.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{00a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        '\u{2028}' | '\u{2029}' | '\u{0085}' => '\n',
        '\u{2018}' | '\u{2019}' | '\u{02bc}' => '\'',
        '\u{017f}' => 's',
        '\u{2010}'..='\u{2013}' | '\u{2212}' => '-',
        '\u{2100}'..='\u{214f}'
        | '\u{2460}'..='\u{24ff}'
        | '\u{1d400}'..='\u{1d7ff}'
        | '\u{1f100}'..='\u{1f1ff}'
        | '\u{ff61}'..='\u{ffee}' => {
            // Greek ones are among them, which look like Latin ones in turn.
            let plain = folded(c);
            if mixed { look_alike(plain).unwrap_or(plain) } else { plain }
        }
        _ if mixed => look_alike(c).unwrap_or(c),
        _ => c,
    }
}

fn look_alike(c: char) -> Option<char> {
    LOOK_ALIKES.iter().find(|(like, _)| *like == c).map(|(_, plain)| *plain)
}

/// Mathematical, circled and squared letters as plain ones (NFKC), if that is one character.
fn folded(c: char) -> char {
    let mut plain = ComposingNormalizerBorrowed::new_nfkc().normalize_iter(std::iter::once(c));
    match (plain.next(), plain.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// Cyrillic and Greek letters drawn like Latin ones.
#[rustfmt::skip]
const LOOK_ALIKES: [(char, char); 52] = [
    ('а', 'a'), ('е', 'e'), ('о', 'o'), ('р', 'p'), ('с', 'c'), ('х', 'x'), ('у', 'y'), ('і', 'i'),
    ('ј', 'j'), ('ѕ', 's'), ('ԁ', 'd'), ('һ', 'h'), ('ԛ', 'q'), ('ԝ', 'w'), ('А', 'A'), ('В', 'B'),
    ('Е', 'E'), ('К', 'K'), ('М', 'M'), ('Н', 'H'), ('О', 'O'), ('Р', 'P'), ('С', 'C'), ('Т', 'T'),
    ('Х', 'X'), ('І', 'I'), ('Ѕ', 'S'), ('α', 'a'), ('ο', 'o'), ('ρ', 'p'), ('ν', 'v'), ('ι', 'i'),
    ('ɡ', 'g'), ('ɑ', 'a'), ('ո', 'n'), ('ս', 'u'), ('օ', 'o'), ('ց', 'g'), ('ɩ', 'i'), ('κ', 'k'), ('τ', 't'), ('υ', 'u'),
    ('γ', 'y'), ('ѵ', 'v'), ('ѡ', 'w'), ('ԍ', 'g'), ('Α', 'A'), ('Β', 'B'), ('Ε', 'E'), ('Ι', 'I'), ('Ο', 'O'), ('Τ', 'T'),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hidden_words_become_plain_and_are_counted() {
        let text = "ig\u{200b}nore \u{0430}ll \u{ff21}";
        let seen = normalize(text);
        assert_eq!(seen.text, "ignore all A");
        assert_eq!(seen.hidden, Hidden { invisible: 1, ..Hidden::default() });
        assert_eq!(seen.original(0, 6).of(text.as_bytes()), "ig\u{200b}nore".as_bytes());
        assert_eq!(seen.original(7, 10).of(text.as_bytes()), "\u{0430}ll".as_bytes());
        assert_eq!(seen.original(11, 12).of(text.as_bytes()), "\u{ff21}".as_bytes());
    }

    #[test]
    fn a_drawn_letter_of_another_alphabet_is_read_at_once() {
        let seen = normalize("A\u{1d72f}");
        assert_eq!(seen.text, "AT");
        assert_eq!(normalize("\u{1d6c0}\u{1d72f}").text, "\u{3a9}\u{3a4}");
    }

    #[test]
    fn tag_letters_are_read_and_flags_are_not_hidden_text() {
        let spelled: String = "run".chars().filter_map(|c| char::from_u32(0xe0000 + u32::from(c))).collect();
        let hidden = format!("hi {spelled}");
        let seen = normalize(&hidden);
        assert_eq!((seen.text.as_ref(), seen.hidden.tags), ("hi run", 3));
        let scotland = "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}";
        assert_eq!(normalize(scotland).hidden.tags, 0);
        let family = "\u{1f468}\u{200d}\u{1f469}";
        assert_eq!(normalize(family).hidden.invisible, 0);
    }

    #[test]
    fn what_is_written_in_variation_selectors_is_read() {
        let written = |text: &str| {
            let selector =
                |byte: u8| char::from_u32(u32::from(byte) + if byte < 16 { 0xfe00 } else { 0xe0100 - 16 });
            text.bytes().filter_map(selector).collect::<String>()
        };
        let hidden = format!("hi \u{1f600}{}", written("run it\n"));
        let seen = normalize(&hidden);
        assert_eq!((seen.text.as_ref(), seen.hidden.tags), ("hi \u{1f600}run it", 7));
        // One of them belongs to the character before it.
        for ordinary in
            ["\u{2764}\u{fe0f} it", "\u{845b}\u{e0100}\u{57ce}", "\u{1f3f3}\u{fe0f}\u{200d}\u{1f308}"]
        {
            assert_eq!(normalize(ordinary).hidden, Hidden::default(), "{ordinary}");
        }
        let bits = "\u{200b}\u{200c}".repeat(20);
        assert_eq!(normalize(&format!("word {bits} word")).hidden.invisible, 38);
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        for text in
            ["plain", "Привет, мир", "a\u{200b}b\u{202e}c", "日本語\u{3000}x", "ск\u{202e}at", "ѕ\u{1d41a}"]
        {
            let once = normalize(text).text.into_owned();
            assert_eq!(normalize(&once).text, once);
        }
    }

    #[test]
    fn words_of_one_alphabet_stay_and_drawn_letters_become_plain() {
        assert_eq!(normalize("Все уже ВСЕ").text, "Все уже ВСЕ");
        assert_eq!(normalize("\u{441}at").text, "cat");
        let drawn = "\u{1d422}\u{1d420}\u{1d427}\u{1d428}\u{1d42b}\u{1d41e} \u{24d0}\u{24db}\u{24db}";
        assert_eq!(normalize(drawn).text, "ignore all");
    }

    #[test]
    fn the_letters_that_are_known_at_once_are_letters() {
        for (first, last) in LETTERS {
            assert!((first..=last).all(char::is_alphabetic), "{first} {last}");
        }
    }

    /// Letters, look-alikes, drawn letters and everything that is dropped.
    const MIXED: &str =
        "[a-zаеорсхαο \u{200b}\u{202e}\u{fe0f}\u{e0061}-\u{e0065}\u{1d41a}\u{24d0}\u{ff41}\u{301}]{0,24}";

    proptest! {
        #[test]
        fn whatever_stands_there_is_normalised_once_with_places_in_range(text in prop_oneof![MIXED, ".{0,40}"]) {
            let seen = normalize(&text);
            prop_assert_eq!(&normalize(&seen.text).text, &seen.text);
            prop_assert!(seen.text.len() <= text.len());
            for (at, _) in seen.text.char_indices() {
                let span = seen.original(at, seen.text.len());
                prop_assert!(span.start <= span.end && span.end as usize <= text.len());
                prop_assert!(text.is_char_boundary(span.start as usize));
            }
        }
    }
}
