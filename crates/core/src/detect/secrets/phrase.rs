//! Phrases of twelve or more words that stand for the key of a wallet (BIP-39).

use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use crate::detect::swar::{letters, load, load_end, lower, others};

/// The English list of BIP-39, in its order, which is that of the alphabet.
const LIST: &str = include_str!("bip39.txt");

/// The words of the list as numbers. Every word of every text is looked up: as text, in a map, that took a tenth of a decision.
struct Words {
    /// In the order of the list.
    sorted: Vec<u64>,
    /// A bit for each [`mark`] that a word has: most words of a text are none of the list, and have another.
    marks: Vec<u64>,
}

fn words() -> &'static Words {
    static WORDS: OnceLock<Words> = OnceLock::new();
    WORDS.get_or_init(|| {
        let sorted: Vec<u64> = LIST.split_whitespace().filter_map(|word| number(word.as_bytes())).collect();
        let mut marks = vec![0; 1 << 10];
        for (at, bit) in sorted.iter().map(|word| mark(*word)) {
            marks.get_mut(at).into_iter().for_each(|marks| *marks |= bit);
        }
        Words { sorted, marks }
    })
}

/// Where among the marks a number has its bit, and the bit: sixteen bits of its product with a large odd number.
const fn mark(number: u64) -> (usize, u64) {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
    ((mixed >> 6) as usize, 1 << (mixed & 63))
}

/// The word at the beginning of `bytes`, its letters as one number in either case, and its length; `None` for one that is longer or
/// shorter than those of the list.
fn word(bytes: &[u8]) -> Option<(u64, usize)> {
    let small = lower(load(bytes));
    let length = others(small, b'a', b'z').trailing_zeros() as usize / 8;
    let goes_on = length == 8 && bytes.get(8).is_some_and(u8::is_ascii_alphabetic);
    let unused = 64 - 8 * length;
    (length >= 3 && !goes_on).then(|| (small.swap_bytes() >> unused << unused, length))
}

fn number(letters: &[u8]) -> Option<u64> {
    word(letters).filter(|(_, length)| *length == letters.len()).map(|(number, _)| number)
}

fn index(letters: &[u8]) -> Option<u16> {
    let number = number(letters).filter(|number| is_marked(*number))?;
    u16::try_from(words().sorted.binary_search(&number).ok()?).ok()
}

/// Whether it may be a word of the list; of the others one in thirty may.
fn is_marked(number: u64) -> bool {
    let (at, bit) = mark(number);
    words().marks.get(at).is_some_and(|marks| marks & bit != 0)
}

/// A phrase in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Phrase {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether its checksum fits.
    pub(super) checked: bool,
}

/// How few words a phrase has, and how many bytes stand at most between two of them.
const FEWEST: usize = 12;
const GAP: usize = 6;

/// Every so many bytes a word is looked up before all are. Twelve words of three letters and what is between them take 47
/// bytes: one of these places is within them, with two words from there on.
const STRIDE: usize = 32;

/// The first run of 12, 15, 18, 21 or 24 words of the list. Words may be numbered, quoted, or set off by commas.
pub(super) fn find(text: &str) -> Option<Phrase> {
    if may_hold(text.as_bytes()) { find_in(text) } else { None }
}

/// Whether so many words that may be of the list stand one behind the other around one of the places that are looked at. Prose has few
/// words of the list, and hardly ever two.
fn may_hold(bytes: &[u8]) -> bool {
    (0..bytes.len()).step_by(STRIDE).any(|at| {
        let start = start_of_word(bytes, at);
        let mut forth = std::iter::successors(known_from(bytes, start), |end| known_from(bytes, *end));
        if forth.next().is_none() || forth.next().is_none() {
            return false;
        }
        let forth = 2 + forth.take(FEWEST).count();
        let back = std::iter::successors(known_before(bytes, start), |start| known_before(bytes, *start));
        forth + back.take(FEWEST).count() >= FEWEST
    })
}

/// Where the word begins that stands at `at`, as far back as words of the list go.
fn start_of_word(bytes: &[u8], at: usize) -> usize {
    if !bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
        return at;
    }
    let before = lower(load_end(bytes.get(..at).unwrap_or_default()));
    at - others(before, b'a', b'z').leading_zeros() as usize / 8
}

/// Where the next word behind `at` ends, if it is near and may be on the list.
fn known_from(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let gap = letters(load(rest)).trailing_zeros() as usize / 8;
    let (number, length) = rest.get(gap..).filter(|_| gap <= GAP).and_then(word)?;
    is_marked(number).then_some(at + gap + length)
}

/// Where the word before `at` begins, if it is near and may be on the list.
fn known_before(bytes: &[u8], at: usize) -> Option<usize> {
    let before = bytes.get(..at)?;
    let gap = before.iter().rev().take(GAP + 1).position(u8::is_ascii_alphabetic)?;
    let word = before.get(..at - gap)?;
    let length = word.iter().rev().take(9).take_while(|byte| byte.is_ascii_alphabetic()).count();
    number(word.get(word.len() - length..)?).filter(|number| is_marked(*number)).map(|_| word.len() - length)
}

fn find_in(text: &str) -> Option<Phrase> {
    let mut run: Vec<(usize, usize, u16)> = Vec::new();
    let mut at = 0;
    for word in text.as_bytes().split(|byte| !byte.is_ascii_alphabetic()) {
        let (start, end) = (at, at + word.len());
        at = end + 1;
        if word.is_empty() {
            continue;
        }
        let known = index(word);
        let gap = run.last().map_or(0, |(_, end, _)| start - end);
        match known.filter(|_| gap <= GAP) {
            Some(index) => run.push((start, end, index)),
            None => {
                if let Some(found) = phrase(&run) {
                    return Some(found);
                }
                run.clear();
                run.extend(known.map(|index| (start, end, index)));
            }
        }
        if run.len() > 24 {
            run.remove(0);
        }
    }
    phrase(&run)
}

/// The longest phrase with a checksum that fits, or the whole run if it is of a length that phrases have.
fn phrase(run: &[(usize, usize, u16)]) -> Option<Phrase> {
    let lengths = [24, 21, 18, 15, 12];
    if run.len() < FEWEST {
        return None;
    }
    let made = |words: &[(usize, usize, u16)], checked| {
        Some(Phrase { start: words.first()?.0, end: words.last()?.1, checked })
    };
    for length in lengths {
        if let Some(words) = run.windows(length).find(|words| fits(words)) {
            return made(words, true);
        }
    }
    // Prose has short words again and again; a phrase of chance has different ones.
    let mut different: Vec<u16> = run.iter().map(|(.., index)| *index).collect();
    different.sort_unstable();
    different.dedup();
    if lengths.contains(&run.len()) && different.len() + 1 >= run.len() { made(run, false) } else { None }
}

/// Eleven bits a word; the last `length / 3` bits are the first of the SHA-256 of the others.
fn fits(words: &[(usize, usize, u16)]) -> bool {
    let bits: Vec<bool> =
        words.iter().flat_map(|(.., index)| (0..11).rev().map(move |bit| index >> bit & 1 == 1)).collect();
    let sum = words.len() / 3;
    let Some((entropy, check)) = bits.split_at_checked(bits.len() - sum) else { return false };
    let byte = |bits: &[bool]| bits.iter().fold(0u8, |byte, bit| byte << 1 | u8::from(*bit));
    let bytes: Vec<u8> = entropy.chunks(8).map(byte).collect();
    let digest = Sha256::digest(&bytes);
    let first = digest.first().copied().unwrap_or_default();
    check.iter().enumerate().all(|(at, bit)| (first >> (7 - at) & 1 == 1) == *bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole() {
        assert_eq!(
            (LIST.split_whitespace().count(), index(b"abandon"), index(b"Zoo")),
            (2048, Some(0), Some(2047))
        );
        assert!(words().sorted.is_sorted() && words().sorted.len() == 2048);
        for (word, at) in LIST.split_whitespace().zip(0..) {
            assert_eq!(index(word.as_bytes()), Some(at), "{word}");
        }
        for none in ["", "a", "ab", "abandons", "aband", "abandonabandon", "zooz"] {
            assert_eq!(index(none.as_bytes()), None, "{none}");
        }
    }

    /// Wherever it stands: what is looked at first misses none.
    #[test]
    fn a_phrase_is_found_at_any_place() {
        let of = |length: usize| {
            let words = LIST.split_whitespace().filter(|word| word.len() == length).take(FEWEST);
            words.collect::<Vec<_>>().join(" ")
        };
        let (short, long) = (of(3), of(8));
        for phrase in [short.clone(), long, short.replace(' ', " , - ,"), short.replace(' ', "\",\"")] {
            for before in 0..100 {
                for [front, behind] in
                    [["x ", " é"], ["", ""], ["1. ", "."], ["aaaaaaaaaa,", ",zzzzzzzzzzzz"]]
                {
                    let text =
                        format!("{}{front}{phrase}{behind}", ". ".repeat(before).get(before..).unwrap());
                    assert_eq!(find(&text), find_in(&text), "{text}");
                    assert!(find(&text).is_some(), "{text}");
                }
            }
        }
        assert!(!may_hold(&short.as_bytes()[..43]) && may_hold(short.as_bytes()));
        assert_eq!(find(&short.replace(' ', " , - , ")), None);
    }

    #[test]
    fn phrases_are_found_and_their_checksum_is_read() {
        // The first vector of BIP-39's own test vectors, and one with its last word changed.
        let right = format!("my seed: {}about", "abandon ".repeat(11));
        assert_eq!(find(&right).map(|found| found.checked), Some(true));
        assert_eq!(find(&format!("{}zoo", "abandon ".repeat(11))), None);
        let numbered = "1. orbit 2. lunar 3. velvet 4. cactus 5. rhythm 6. ocean 7. puzzle 8. galaxy 9. timber 10. quantum \
                        11. walnut 12. ribbon";
        assert!(find(numbered).is_some());
        assert_eq!(
            find(
                "the quick brown fox jumps over the lazy dog and then it will run across the open field again"
            ),
            None
        );
    }
}
