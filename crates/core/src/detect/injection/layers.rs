//! Text that was written so that only a machine reads it: base64, hexadecimal, zeroes and ones, Morse
//! code, moved or reversed letters, letters set apart, digits for letters, entities and escapes.
//!
//! Only what decodes to readable text counts: a hash, a key or a picture does not. Work is bounded by the
//! length of the text, and what is decoded is at most as long.

use std::ops::Range;

use memchr::{memchr, memchr3_iter, memrchr};

use super::marks::Mark;
use super::sight::{Owner, Wanted};
use crate::detect::spot::Spot;
use crate::detect::swar::{between, letters, load};
use crate::syntax::base64;

/// The most layers taken out of one text.
const MOST: usize = 64;

/// The fewest letters of a decoded text.
const SHORTEST: usize = 12;

/// The fewest bytes of prose in base64 or hexadecimal: examples of how to encode `hello world` are shorter.
const PROSE: usize = 24;

/// Words that give a moved or reversed alphabet away: long enough not to occur by accident.
const TELLING: [&str; 20] = [
    "ignore",
    "previous",
    "instructions",
    "instruction",
    "disregard",
    "assistant",
    "password",
    "system",
    "prompt",
    "following",
    "conclusion",
    "should",
    "please",
    "summary",
    "everything",
    "execute",
    "command",
    "message",
    "forget",
    "answer",
];

/// One decoded text.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) text: String,
    pub(super) mark: Mark,
    /// Where it stood.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What the pass over all literals is to look for: the telling words under each shift, and reversed.
pub(super) fn literals() -> impl Iterator<Item = (Wanted, Owner)> {
    let moved = (1..26).flat_map(|shift| TELLING.iter().map(move |word| shifted(word, shift)));
    let back = TELLING.iter().map(|word| word.chars().rev().collect());
    let all = moved.chain(back).enumerate();
    all.map(|(index, word)| (Wanted::whole(word), Owner::Moved(index)))
}

/// The layers of `text`, in which `telling` words stand.
pub(super) fn layers(text: &str, telling: &[Spot]) -> Vec<Layer> {
    let mut out = Vec::new();
    runs(text, &mut out);
    moved(text, telling, &mut out);
    spaced(text, &mut out);
    leet(text, &mut out);
    escaped(text, &mut out);
    out.truncate(MOST);
    out
}

/// Caesar's alphabet and mirror writing: two different telling words under the same shift.
fn moved(text: &str, telling: &[Spot], out: &mut Vec<Layer>) {
    let count = TELLING.len();
    let mut seen = [0u32; 26];
    let (mut first, mut last) = ([usize::MAX; 26], [0usize; 26]);
    for spot in telling {
        let group = spot.literal / count;
        if let (Some(seen), Some(first), Some(last)) =
            (seen.get_mut(group), first.get_mut(group), last.get_mut(group))
        {
            *seen |= 1 << (spot.literal % count);
            *first = (*first).min(spot.start);
            *last = (*last).max(spot.end);
        }
    }
    for (group, words) in seen.iter().enumerate() {
        let (Some(first), Some(last)) = (first.get(group), last.get(group)) else { continue };
        if words.count_ones() < 2 {
            continue;
        }
        let (start, end) = around(text, *first, *last);
        let part = text.get(start..end).unwrap_or_default();
        let (text, mark) = if group == 25 {
            (part.chars().rev().collect(), Mark::Reversed)
        } else {
            // Moved forward by `group + 1` to hide it, so moved on to the full circle to read it.
            (shifted(part, 25 - u8::try_from(group).unwrap_or(0)), Mark::Shifted)
        };
        out.push(Layer { text, mark, start, end });
    }
}

/// `text` with each ASCII letter moved `by` places along the alphabet.
fn shifted(text: &str, by: u8) -> String {
    let turn = |c: char, first: u8| {
        let place = (u32::from(c) - u32::from(first) + u32::from(by)) % 26;
        char::from_u32(u32::from(first) + place).unwrap_or(c)
    };
    text.chars()
        .map(|c| match c {
            'a'..='z' => turn(c, b'a'),
            'A'..='Z' => turn(c, b'A'),
            c => c,
        })
        .collect()
}

/// The lines around `start..end`, a little way.
fn around(text: &str, start: usize, end: usize) -> (usize, usize) {
    let bytes = text.as_bytes();
    let (mut from, mut to) = (start, end);
    while from > start.saturating_sub(400) && bytes.get(from.wrapping_sub(1)).is_some_and(|b| *b != b'\n') {
        from -= 1;
    }
    while to < bytes.len().min(end + 400) && bytes.get(to).is_some_and(|b| *b != b'\n') {
        to += 1;
    }
    (text.ceil_char_boundary(from), text.floor_char_boundary(to))
}

/// Whether a run of characters may be made of it.
#[inline]
fn is_run(byte: u8) -> bool {
    kind_of(byte) & 1 != 0
}

/// The shortest run of characters that is decoded, and the shortest stretch of groups: six, with a gap between each.
const RUN: usize = 16;
const GROUPS: usize = 11;

/// What a byte may belong to: 1 for a run, 2 for groups of digits, dots and dashes, 3 for both.
const STRETCHES: [u8; 256] = {
    let mut kinds = [0; 256];
    let (mut rest, mut byte) = (kinds.as_mut_slice(), 0u8);
    while let Some((first, others)) = rest.split_first_mut() {
        let run = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'_' | b'-' | b'=');
        let run = if run { 1 } else { 0 };
        let group =
            byte.is_ascii_hexdigit() || matches!(byte, b' ' | b'/' | b'.' | b'-' | b',' | b'\\' | b'x');
        *first = if group { run | 2 } else { run };
        (rest, byte) = (others, byte.wrapping_add(1));
    }
    kinds
};

/// Finds stretches that are long enough to be decoded. Most of a text is words, and is in none.
#[derive(Debug, Default)]
struct Stretches {
    run: Ahead<1, RUN>,
    group: Ahead<2, GROUPS>,
}

impl Stretches {
    /// The next one at or after `from`: where it begins, and up to where that is known.
    fn next(&mut self, bytes: &[u8], from: usize) -> Option<(usize, usize)> {
        let run = self.run.next(bytes, from).map(|start| (start + RUN, start));
        let group = self.group.next(bytes, from).map(|start| (start + GROUPS, start));
        let first = [run, group].into_iter().flatten().min();
        first.map(|(known, start)| (start, known))
    }
}

/// Where the next stretch of one `KIND` begins that has at least so many bytes; `usize::MAX` if there is none. No part of
/// a text is searched twice.
#[derive(Debug, Default)]
struct Ahead<const KIND: u8, const LEAST: usize>(Option<usize>);

impl<const KIND: u8, const LEAST: usize> Ahead<KIND, LEAST> {
    fn next(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let known = self.0.filter(|start| *start >= from);
        let start = known.unwrap_or_else(|| Self::find(bytes, from).unwrap_or(usize::MAX));
        self.0 = Some(start);
        (start < usize::MAX).then_some(start)
    }

    /// Looks at one block after another: a stretch of `LEAST` bytes has one in it from its beginning to its end.
    fn find(bytes: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        while let Some(block) = bytes.get(at..at + Self::BLOCK) {
            if block.iter().fold(KIND, |all, byte| all & kind_of(*byte)) == 0 {
                at += Self::BLOCK;
                continue;
            }
            let before = bytes.get(from..at).unwrap_or_default().iter().rev();
            let start = at - before.take_while(|byte| kind_of(**byte) & KIND != 0).count();
            let after = bytes.get(at..).unwrap_or_default().iter().take(start + LEAST - at);
            let end = at + after.take_while(|byte| kind_of(**byte) & KIND != 0).count();
            if end >= start + LEAST {
                return Some(start);
            }
            at = end;
        }
        None
    }

    /// How long a block is, so that one of them lies within whatever is to be found.
    const BLOCK: usize = if LEAST >= 15 { 8 } else { 4 };
}

#[inline]
fn kind_of(byte: u8) -> u8 {
    STRETCHES.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Runs of base64, hexadecimal, binary, numbers and Morse code.
fn runs(text: &str, out: &mut Vec<Layer>) {
    let bytes = text.as_bytes();
    let (mut at, mut known) = (0, 0);
    let mut stretches = Stretches::default();
    while at < bytes.len() && out.len() < MOST {
        if at >= known {
            let Some((start, end)) = stretches.next(bytes, at) else { return };
            (at, known) = (start, end);
        }
        let Some(b) = bytes.get(at) else { return };
        // Most of a text is words and spaces.
        if b.is_ascii_whitespace() || b.is_ascii_alphabetic() && !b.is_ascii_hexdigit() {
            let word = bytes.get(at..).unwrap_or_default().iter().take_while(|b| is_run(**b)).count();
            if word < 16 {
                at += word.max(1);
                continue;
            }
        }
        // Groups of digits, dots and dashes, set apart by spaces.
        if is_morse(*b) {
            // A run that fails is passed over whole, or a line of dots would be read again at each dot.
            let first = bytes.get(at..).unwrap_or_default().iter().take_while(|b| is_morse(**b)).count();
            let end = groups(bytes, at, |b| is_morse(b) || b == b'/', 6);
            push(end.and_then(|end| morse(text.get(at..end)?)), Mark::Morse, at, end.unwrap_or(at), out);
            at = end.unwrap_or(at + first);
            continue;
        }
        if matches!(b, b'0' | b'1')
            && let Some(end) = groups(bytes, at, |b| matches!(b, b'0' | b'1'), 6)
        {
            push(binary(text.get(at..end).unwrap_or_default()), Mark::Binary, at, end, out);
            at = end;
            continue;
        }
        if b.is_ascii_digit()
            && let Some(end) = groups(bytes, at, |b| b.is_ascii_digit() || b == b',', 12)
        {
            push(numbers(text.get(at..end).unwrap_or_default()), Mark::Hex, at, end, out);
            at = end;
            continue;
        }
        if b.is_ascii_hexdigit()
            && let Some(end) = groups(bytes, at, |b| b.is_ascii_hexdigit(), 12)
        {
            push(hex(text.get(at..end).unwrap_or_default()), Mark::Hex, at, end, out);
            at = end;
            continue;
        }
        if *b == b'\\'
            && let Some(end) = groups(bytes, at, |b| b.is_ascii_hexdigit() || matches!(b, b'\\' | b'x'), 1)
        {
            if end - at >= 4 * SHORTEST {
                push(hex(text.get(at..end).unwrap_or_default()), Mark::Hex, at, end, out);
            }
            at = end.max(at + 1);
            continue;
        }
        if !is_run(*b) {
            at += 1;
            continue;
        }
        let length = bytes.get(at..).unwrap_or_default().iter().take_while(|b| is_run(**b)).count();
        let end = at + length;
        let run = text.get(at..end).unwrap_or_default();
        if length >= 2 * SHORTEST && run.bytes().all(|b| b.is_ascii_hexdigit()) {
            push(hex(run), Mark::Hex, at, end, out);
        } else if length >= 16 {
            push(base64(run), Mark::Base64, at, end, out);
        }
        at = end;
    }
}

/// The end of a run of at least `least` groups that `fits`, one space or slash between them.
fn groups(bytes: &[u8], from: usize, fits: impl Fn(u8) -> bool, least: usize) -> Option<usize> {
    let before = from.checked_sub(1).and_then(|at| bytes.get(at));
    if before.is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    let (mut at, mut count, mut end) = (from, 0, from);
    loop {
        let length = bytes.get(at..)?.iter().take_while(|b| fits(**b)).count();
        if length == 0 {
            break;
        }
        count += 1;
        end = at + length;
        at = end;
        let gap = bytes.get(at..)?.iter().take(3).take_while(|b| matches!(**b, b' ' | b'/')).count();
        if gap == 0 {
            break;
        }
        at += gap;
    }
    (count >= least).then_some(end)
}

const fn is_morse(b: u8) -> bool {
    matches!(b, b'.' | b'-')
}

fn push(text: Option<String>, mark: Mark, start: usize, end: usize, out: &mut Vec<Layer>) {
    out.extend(text.map(|text| Layer { text, mark, start, end }));
}

/// What `run` says in base64: its readable beginning, so that a damaged end does not hide it.
fn base64(run: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(SHORTEST + 2);
    // Twelve bytes tell whether this is text; a key or a picture is left at once.
    let (first, rest) = run.as_bytes().split_at_checked(SHORTEST / 3 * 4).unwrap_or((run.as_bytes(), &[]));
    let whole = base64::decode_into(first, &mut bytes) == first.len();
    if bytes.len() >= SHORTEST && !bytes.iter().all(|b| is_text(*b)) {
        return None;
    }
    if whole {
        bytes.reserve(rest.len() / 4 * 3 + 2);
        base64::decode_into(rest, &mut bytes);
    }
    prose(&bytes)
}

const fn is_text(b: u8) -> bool {
    matches!(b, b' '..=b'~' | b'\n' | b'\t' | b'\r' | 0x80..)
}

/// The readable beginning of `bytes`, if it is prose. A byte that is wrong here and there does not end it.
fn prose(bytes: &[u8]) -> Option<String> {
    let length = bytes.iter().take_while(|b| is_text(**b)).count();
    let mut text = String::from_utf8_lossy(bytes.get(..length)?).into_owned();
    let wrong = text.matches('\u{fffd}').count();
    if wrong * 12 > text.len() {
        text.truncate(text.find('\u{fffd}').unwrap_or(text.len()));
    }
    text.retain(|c| c != '\u{fffd}');
    (text.len() >= PROSE && reads(&text)).then_some(text)
}

/// Whether `text` is words with spaces between them.
fn reads(text: &str) -> bool {
    let (mut letters, mut vowels, mut spaces, mut all, mut longest, mut word) = (0, 0, 0, 0, 0, 0);
    for c in text.chars() {
        all += 1;
        if c.is_alphabetic() {
            letters += 1;
            word += 1;
            vowels +=
                usize::from(!c.is_ascii() || matches!(c.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u'));
        } else {
            spaces += usize::from(c == ' ');
            longest = longest.max(word);
            word = 0;
        }
    }
    all >= SHORTEST
        && letters * 10 >= all * 6
        && vowels * 5 >= letters
        && spaces >= 1
        && longest.max(word) <= 40 * 2
}

/// What pairs of hexadecimal digits say, whatever stands between them.
fn hex(run: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(run.len() / 2);
    let mut high = None;
    for c in run.chars() {
        let Some(digit) = c.to_digit(16).filter(|_| c != 'x') else { continue };
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(u8::try_from(high << 4 | digit).unwrap_or(0)),
        }
        if bytes.len() == SHORTEST && !bytes.iter().all(|b| is_text(*b)) {
            return None;
        }
    }
    prose(&bytes)
}

/// What groups of zeroes and ones say. Groups of a wrong length are left out: a damaged copy is still one.
fn binary(run: &str) -> Option<String> {
    let mut out = String::new();
    let (mut good, mut all) = (0, 0);
    for group in run.split([' ', '/']).filter(|group| !group.is_empty()) {
        all += 1;
        if !(7..=8).contains(&group.len()) {
            continue;
        }
        let value = group.bytes().fold(0u32, |value, b| value << 1 | u32::from(b == b'1'));
        if let Some(c) = char::from_u32(value).filter(|c| matches!(c, ' '..='~')) {
            good += 1;
            out.push(c);
        }
    }
    let letters = out.chars().filter(|c| c.is_ascii_alphabetic() || *c == ' ').count();
    (good >= 6 && good * 2 >= all && letters * 10 >= good * 8).then_some(out)
}

/// What numbers of characters say.
fn numbers(run: &str) -> Option<String> {
    let mut bytes = Vec::new();
    for group in run.split([' ', ',']).filter(|group| !group.is_empty()) {
        bytes.push(group.parse::<u8>().ok().filter(|b| (32..127).contains(b))?);
    }
    (bytes.len() >= SHORTEST).then(|| prose(&bytes)).flatten()
}

/// What dots and dashes say, in the International alphabet (ITU-R M.1677-1).
fn morse(run: &str) -> Option<String> {
    #[rustfmt::skip]
    const LETTERS: [(&str, char); 26] = [
        (".-", 'a'), ("-...", 'b'), ("-.-.", 'c'), ("-..", 'd'), (".", 'e'), ("..-.", 'f'), ("--.", 'g'), ("....", 'h'),
        ("..", 'i'), (".---", 'j'), ("-.-", 'k'), (".-..", 'l'), ("--", 'm'), ("-.", 'n'), ("---", 'o'), (".--.", 'p'),
        ("--.-", 'q'), (".-.", 'r'), ("...", 's'), ("-", 't'), ("..-", 'u'), ("...-", 'v'), (".--", 'w'), ("-..-", 'x'),
        ("-.--", 'y'), ("--..", 'z'),
    ];
    let mut out = String::new();
    let (mut good, mut all) = (0, 0);
    for group in run.split(' ').filter(|group| !group.is_empty()) {
        if group == "/" {
            out.push(' ');
            continue;
        }
        all += 1;
        if let Some((_, letter)) = LETTERS.iter().find(|(code, _)| *code == group) {
            good += 1;
            out.push(*letter);
        }
    }
    let mut kinds: Vec<char> = out.chars().filter(|c| *c != ' ').collect();
    kinds.sort_unstable();
    kinds.dedup();
    // A rule of dashes or an ellipsis has one or two kinds of letters.
    (good >= 8 && good * 10 >= all * 8 && kinds.len() >= 4).then_some(out)
}

/// Where eight letters in a row stand alone, up to four bytes from one to the next, with some text around. They take at least
/// fifteen bytes, no two letters or digits side by side: so every eight bytes are looked at whether they are like that.
fn letters_apart(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let apart = |eight: &[u8]| {
        let eight = load(eight);
        let letters = letters(eight);
        let either = letters | between(eight, b'0', b'9');
        either & either << 8 == 0 && letters & letters.wrapping_sub(1) != 0
    };
    let mut places: Vec<Range<usize>> = Vec::new();
    for (at, _) in (0usize..).step_by(8).zip(bytes.chunks(8)).filter(|(_, eight)| apart(eight)) {
        let around =
            text.floor_char_boundary(at.saturating_sub(AROUND))..text.floor_char_boundary(at + 8 + AROUND);
        if !bytes.get(around.clone()).is_some_and(has_letters_apart) {
            continue;
        }
        match places.last_mut() {
            Some(last) if last.end >= around.start => last.end = around.end,
            _ => places.push(around),
        }
    }
    places
}

/// How far around eight bytes eight letters set apart are looked for: four bytes for each.
const AROUND: usize = 32;

fn has_letters_apart(bytes: &[u8]) -> bool {
    let (mut streak, mut last) = (0, 0);
    for (at, window) in bytes.windows(3).enumerate() {
        let [before, letter, after] = window else { continue };
        if letter.is_ascii_alphabetic() && !before.is_ascii_alphanumeric() && !after.is_ascii_alphanumeric() {
            streak = if at <= last + 4 { streak + 1 } else { 1 };
            last = at;
            if streak >= 8 {
                return true;
            }
        }
    }
    false
}

/// Letters with one mark between each: `i g n o r e`, two or more between words.
fn spaced(text: &str, out: &mut Vec<Layer>) {
    for place in letters_apart(text) {
        let before = text.get(..place.start).and_then(|before| before.chars().next_back());
        spaced_in(text.get(place.clone()).unwrap_or_default(), before, place.start, out);
    }
}

/// The same in `text`, which begins at `from` behind the character `before`.
fn spaced_in(text: &str, before: Option<char>, from: usize, out: &mut Vec<Layer>) {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let at = |index: usize| chars.get(index).map(|(_, c)| *c);
    let mut index = 0;
    while index < chars.len() && out.len() < MOST {
        let previous = index.checked_sub(1).map_or(before, at);
        let begins =
            at(index).is_some_and(char::is_alphabetic) && previous.is_none_or(|c| !c.is_alphanumeric());
        let gap = at(index + 1).filter(|c| matches!(c, ' ' | '.' | '-' | '_' | '*' | '|' | '\u{b7}'));
        let (true, Some(gap)) = (begins, gap) else {
            index += 1;
            continue;
        };
        let start = index;
        let mut word = String::new();
        let mut count = 0;
        while at(index).is_some_and(char::is_alphabetic) && at(index + 1).is_none_or(|c| !c.is_alphanumeric())
        {
            word.extend(at(index));
            count += 1;
            index += 1;
            if at(index) != Some(gap) && at(index) != Some(' ') {
                break;
            }
            index += 1;
            if gap != ' ' && at(index.saturating_sub(1)) == Some(' ')
                || at(index) == Some(gap)
                || at(index) == Some(' ')
            {
                word.push(' ');
                while at(index).is_some_and(|c| c == gap || c == ' ') {
                    index += 1;
                }
            }
        }
        let place = |index: usize| from + chars.get(index).map_or(text.len(), |(at, _)| *at);
        if count >= SHORTEST {
            out.push(Layer { text: word, mark: Mark::Spaced, start: place(start), end: place(index) });
        }
        index = index.max(start + 1);
    }
}

/// Words with digits among their letters, read as letters: the whole line, if several words of it are so.
fn leet(text: &str, out: &mut Vec<Layer>) {
    let bytes = text.as_bytes();
    // The line looked at, and how many places were found in it.
    let (mut start, mut end, mut count) = (0, 0, 0);
    let mut at = 0;
    while at < bytes.len() {
        // As in `eights`.
        let mut bits = swapped(load(bytes.get(at..).unwrap_or_default()));
        let mut next = at + 7;
        while bits != 0 {
            let place = at + bits.trailing_zeros() as usize / 8;
            bits &= bits.wrapping_sub(1);
            if place >= end {
                let (before, after) = bytes.split_at_checked(place).unwrap_or_default();
                start = memrchr(b'\n', before).map_or(0, |last| last + 1);
                end = memchr(b'\n', after).map_or(bytes.len(), |next| place + next + 1);
                count = 0;
            }
            count += 1;
            if count == 3 {
                leet_in(text.get(start..end).unwrap_or_default(), start, out);
                next = end;
                break;
            }
        }
        at = next;
    }
}

/// The same in a line that begins at `start`.
fn leet_in(line: &str, start: usize, out: &mut Vec<Layer>) {
    if has_words(line) && leet_words(line).nth(2).is_some() && out.len() < MOST {
        let text = line.split(' ').map(|word| if is_leet(word) { unleet(word) } else { word.to_owned() });
        let (text, end) = (text.collect::<Vec<_>>().join(" "), start + line.len());
        out.push(Layer { text, mark: Mark::Leet, start, end });
    }
}

/// Whether there may be three words in a line.
fn has_words(line: &str) -> bool {
    line.bytes().filter(|byte| matches!(byte, 9..=13 | b' ' | 0x80..)).nth(1).is_some()
}

/// Where a letter and a digit or sign that may stand for one are beside each other, by the second of the two.
fn places_of_swaps(line: &[u8]) -> impl Iterator<Item = usize> {
    eights(line).flat_map(|(at, eight)| {
        let mut bits = swapped(eight);
        std::iter::from_fn(move || {
            let next = (bits != 0).then(|| at + bits.trailing_zeros() as usize / 8);
            bits &= bits.wrapping_sub(1);
            next
        })
    })
}

/// Eight bytes after the other, the last each time the first of the next, so that every pair is seen once.
fn eights(line: &[u8]) -> impl Iterator<Item = (usize, u64)> {
    (0..line.len()).step_by(7).map(|at| (at, load(line.get(at..).unwrap_or_default())))
}

/// The second of each such pair, by its highest bit.
const fn swapped(eight: u64) -> u64 {
    let digits = between(eight, b'0', b'1') | between(eight, b'3', b'5') | between(eight, b'7', b'7');
    let swaps = digits | between(eight, b'@', b'@') | between(eight, b'$', b'$');
    let letters = letters(eight);
    letters & swaps << 8 | swaps & letters << 8
}

/// The words of a line that are leet. Each has such a pair, and most words of most lines have none.
fn leet_words(line: &str) -> impl Iterator<Item = &str> {
    let mut done = 0;
    places_of_swaps(line.as_bytes()).filter_map(move |at| {
        let head = line.get(done..at)?.rsplit(char::is_whitespace).next()?;
        let tail = line.get(at..)?.split(char::is_whitespace).next()?;
        done = at + tail.len();
        line.get(at - head.len()..done).filter(|word| is_leet(word))
    })
}

/// The longest word with digits for letters, in bytes.
const LONGEST_LEET: usize = 20;

/// Letters with a digit or sign inside, the way people who write so do: not a version or a name of a file.
fn is_leet(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    if word.len() > LONGEST_LEET {
        return false;
    }
    let swapped = word.chars().filter(|c| matches!(c, '0' | '1' | '3' | '4' | '5' | '7' | '@' | '$')).count();
    let letters = word.chars().filter(char::is_ascii_alphabetic).count();
    let all = word.chars().count();
    all >= 3 && letters + swapped == all && letters >= 1 && (1..=letters + 1).contains(&swapped)
}

fn unleet(word: &str) -> String {
    let plain = |c| match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        c => c,
    };
    word.chars().map(plain).collect()
}

/// Plain letters written as HTML entities, `\u` escapes or percent codes: nobody needs to.
fn escaped(text: &str, out: &mut Vec<Layer>) {
    let codes = || {
        let signs = memchr3_iter(b'&', b'\\', b'%', text.as_bytes());
        let coded = signs.filter_map(|at| code(text.get(at..)?).map(|(c, length)| (at, c, length)));
        // A code that stands in another is none.
        coded.scan(0, |after, (at, c, length)| {
            let apart = at >= *after;
            *after = if apart { at + length } else { *after };
            Some(apart.then_some((at, c, length)))
        })
    };
    let letters = || codes().flatten().filter(|(_, c, _)| c.is_ascii_alphabetic());
    let (Some((start, ..)), Some(_)) = (letters().next(), letters().nth(CODED - 1)) else { return };
    let mut plain = String::with_capacity(text.len());
    let (mut done, mut end) = (0, 0);
    for (at, c, length) in codes().flatten() {
        plain.push_str(text.get(done..at).unwrap_or_default());
        plain.push(c);
        done = at + length;
        end = if c.is_ascii_alphabetic() { done } else { end };
    }
    plain.push_str(text.get(done..).unwrap_or_default());
    out.push(Layer { text: plain, mark: Mark::Escaped, start, end });
}

/// The fewest letters written as codes that count.
const CODED: usize = 8;

/// A character code at the beginning of `rest`, and its length.
fn code(rest: &str) -> Option<(char, usize)> {
    let bytes = rest.as_bytes();
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    match (bytes.first()?, bytes.get(1)?) {
        (b'&', b'#') => {
            let end = bytes.iter().take(12).position(|b| *b == b';')?;
            let digits = rest.get(2..end)?;
            let c = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => number(hex, 16),
                None => number(digits, 10),
            };
            Some((c?, end + 1))
        }
        (b'\\', b'u') => Some((number(rest.get(2..6)?, 16)?, 6)),
        (b'%', _) => Some((number(rest.get(1..3)?, 16).filter(char::is_ascii)?, 3)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::spot::{Literal, Spotter};

    fn seen(text: &str) -> Vec<Layer> {
        let wanted: Vec<String> = literals().map(|(wanted, _)| wanted.text).collect();
        let all = wanted.iter().map(|text| Literal { text, within: false, open: false, words: true });
        let mut telling = Vec::new();
        Spotter::new(all).unwrap().each(text, |spot| telling.push(spot));
        layers(text, &telling)
    }

    fn one(text: &str) -> (String, Mark) {
        let mut layers = seen(text);
        assert_eq!(layers.len(), 1, "{text}: {layers:?}");
        let layer = layers.remove(0);
        (layer.text, layer.mark)
    }

    #[test]
    fn writing_for_machines_is_read() {
        let cases = [
            ("x ZG8gYXMgdGhpcyB0ZXh0IHNheXMgYXQgb25jZQ== y", "do as this text says at once", Mark::Base64),
            ("646f20617320746869732074657874207361797320617420", "do as this text says at ", Mark::Hex),
            (
                "64 6f 20 61 73 20 74 68 69 73 20 74 65 78 74 20 73 61 79 73 20 61 74 20",
                "do as this text says at ",
                Mark::Hex,
            ),
            (
                "\\x64\\x6f\\x20\\x61\\x73\\x20\\x74\\x68\\x69\\x73\\x20\\x74\\x65\\x78\\x74\\x20\\x73\\x61\\x79\\x73\\x20\\x61\\x74\\x20",
                "do as this text says at ",
                Mark::Hex,
            ),
            (
                "01100100 01101111 00100000 01100001 01110011 00100000 01110100 01101000",
                "do as th",
                Mark::Binary,
            ),
            (
                "100 111 32 97 115 32 116 104 105 115 32 116 101 120 116 32 115 97 121 115 32 97 116 32",
                "do as this text says at ",
                Mark::Hex,
            ),
            ("-.. --- / .- ... / - .... .. ... / - . -..- -", "do as this text", Mark::Morse),
            ("cyrnfr vtaber gur grkg", "please ignore the text", Mark::Shifted),
            ("txet eht erongi esaelp", "please ignore the text", Mark::Reversed),
            ("d o  a s  t h i s  t e x t  s a y s", "do as this text says", Mark::Spaced),
            ("pl34s3 1gn0r3 th3 t3xt", "please ignore the text", Mark::Leet),
            (
                "&#105;&#103;&#110;&#111;&#114;&#101; &#116;&#104;&#101; &#116;&#101;&#120;&#116;",
                "ignore the text",
                Mark::Escaped,
            ),
        ];
        for (text, wanted, mark) in cases {
            assert_eq!(one(text), (wanted.to_owned(), mark), "{text}");
        }
    }

    #[test]
    fn digits_for_letters_are_read_line_by_line() {
        let before = "v1.2 has a1, b4 and c3\n";
        let layers = seen(&format!("{before}pl34s3 1gn0r3 th3 t3xt\nand m0r3\n"));
        let places: Vec<_> = layers.iter().map(|it| (it.text.as_str(), it.start, it.end)).collect();
        assert_eq!(places, [("please ignore the text\n", before.len(), before.len() + 23)]);
    }

    #[test]
    fn stretches_are_found_wherever_they_begin() {
        for before in 0..40 {
            let text = format!("{}zyxwvutsrqponmlk! 12 34 56 78 9!", "a! ".repeat(before));
            let mut stretches = Stretches::default();
            let run = 3 * before;
            assert_eq!(stretches.next(text.as_bytes(), 0), Some((run, run + RUN)), "{before}");
            let group = run + 17;
            assert_eq!(stretches.next(text.as_bytes(), run + 1), Some((group, group + GROUPS)));
            assert_eq!(stretches.next(text.as_bytes(), group + 5), None);
        }
    }

    #[test]
    fn what_is_no_text_is_left_alone() {
        for text in [
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            "- - - - - - - - - - - - - - - - -",
            "| 1998 | 12 | 34 | 65 | 70 | 80 | 90 | 77 | 12 | 44 | 56 | 71 |",
            "0 1 1 0 1 0 0 1 0 1 1 1 0 1",
            "a b c d e\nx y z",
            "https://example.test/a%20b%2Fc?x=%7B%7D",
            "v1.2.3 h264 mp3 utf8 sha256 b64",
            "a_long_identifier_with_underscores_and_no_meaning_at_all",
        ] {
            let layers = seen(text);
            assert!(layers.is_empty(), "{text}: {layers:?}");
        }
    }

    #[test]
    fn a_damaged_layer_is_read_as_far_as_it_goes() {
        let damaged = "ZG8gYXMgdGhpcyB0ZXh0IHNheXMgYXQgb25jZQAAAA/////AAAA";
        assert_eq!(one(damaged).0, "do as this text says at once");
    }
}
