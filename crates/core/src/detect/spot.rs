//! Many literals in one pass. An automaton takes one step after another, and each waits for the one before; so the
//! first three and four bytes of every place are looked up in small tables instead, and the automaton is asked only
//! where some literal begins like that: at one place in fifty of ordinary text.

use std::ops::ControlFlow;

use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, BuildError};

/// A literal to be found.
#[derive(Clone, Debug)]
pub(super) struct Literal<'a> {
    pub(super) text: &'a str,
    /// Whether an ASCII letter or digit may stand before it.
    pub(super) within: bool,
}

/// Finds literals, whatever the case of their ASCII letters.
#[derive(Debug)]
pub(super) struct Spotter {
    /// How literals begin that may begin anywhere, and those that begin words.
    anywhere: Beginnings,
    at_words: Beginnings,
    automaton: NFA,
}

/// A place where a literal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// Which one, in the order they were given.
    pub(super) literal: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Spotter {
    pub(super) fn new<'a>(literals: impl Iterator<Item = Literal<'a>> + Clone) -> Result<Self, BuildError> {
        let (mut anywhere, mut at_words) = (Beginnings::default(), Beginnings::default());
        for literal in literals.clone() {
            let beginnings = if literal.within { &mut anywhere } else { &mut at_words };
            beginnings.add(literal.text.as_bytes());
        }
        let automaton = NFA::builder()
            .ascii_case_insensitive(true)
            .prefilter(false)
            .build(literals.map(|literal| literal.text))?;
        Ok(Self { anywhere, at_words, automaton })
    }

    /// Gives `found` each place at or after `from` where a literal stands, by where they begin. A literal that begins
    /// words may be given within one too.
    pub(super) fn each(&self, text: &str, from: usize, mut found: impl FnMut(Spot) -> ControlFlow<()>) {
        let bytes = text.as_bytes();
        // What no literal needs is not looked up.
        let ended = match (self.anywhere.short || self.at_words.short, self.at_words.used) {
            (false, false) => self.pass::<false, false>(bytes, from, &mut found),
            (false, true) => self.pass::<false, true>(bytes, from, &mut found),
            (true, false) => self.pass::<true, false>(bytes, from, &mut found),
            (true, true) => self.pass::<true, true>(bytes, from, &mut found),
        };
        if ended.is_break() {
            return;
        }
        // What is left at the end is too short for the tables.
        for at in bytes.len().saturating_sub(3).max(from)..bytes.len() {
            if self.at(bytes, at, &mut found).is_break() {
                return;
            }
        }
    }

    /// All places with four bytes. `SHORT`: some literal has less; `WORDS`: some literal begins words.
    fn pass<const SHORT: bool, const WORDS: bool>(
        &self,
        bytes: &[u8],
        from: usize,
        found: &mut impl FnMut(Spot) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut word =
            from.checked_sub(1).and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        for (at, four) in bytes.get(from..).unwrap_or_default().windows(4).enumerate() {
            let &[a, b, c, d] = four else { break };
            let key = Key::of([a, b, c, d]);
            let begins = self.anywhere.has::<SHORT>(key) || WORDS && !word && self.at_words.has::<SHORT>(key);
            if WORDS {
                word = a.is_ascii_alphanumeric();
            }
            if begins {
                self.at(bytes, from + at, found)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// The literals that stand at `start`.
    fn at(
        &self,
        bytes: &[u8],
        start: usize,
        found: &mut impl FnMut(Spot) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Ok(mut state) = self.automaton.start_state(Anchored::Yes) else { return ControlFlow::Break(()) };
        for (length, byte) in (1..).zip(bytes.get(start..).unwrap_or_default()) {
            state = self.automaton.next_state(Anchored::Yes, state, *byte);
            if !self.automaton.is_special(state) {
                continue;
            }
            if self.automaton.is_dead(state) {
                break;
            }
            if !self.automaton.is_match(state) {
                continue;
            }
            for index in 0..self.automaton.match_len(state) {
                let literal = self.automaton.match_pattern(state, index);
                // What ends here and began later has its own turn.
                if self.automaton.pattern_len(literal) == length {
                    found(Spot { literal: literal.as_usize(), start, end: start + length })?;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// The bytes at one place, as the tables have them.
#[derive(Clone, Copy)]
struct Key {
    three: usize,
    four: usize,
}

impl Key {
    /// Letters of either case are the same; so are some signs, which costs a look and no more.
    #[inline]
    const fn of(four: [u8; 4]) -> Self {
        let four = u32::from_le_bytes(four) | 0x2020_2020;
        let three = four & 0x00ff_ffff;
        // Fibonacci hashing: the highest bits of a product depend on all bits of the factor.
        Self {
            three: (three.wrapping_mul(0x9e37_79b1) >> 16) as usize,
            four: (four.wrapping_mul(0x9e37_79b1) >> 16) as usize,
        }
    }
}

/// Which beginnings there are: a bit for each hash.
#[derive(Debug)]
struct Beginnings {
    three: Bits,
    four: Bits,
    /// Whether there are any, and any of less than four bytes.
    used: bool,
    short: bool,
}

type Bits = Box<[u64; 1024]>;

impl Default for Beginnings {
    fn default() -> Self {
        Self { three: Box::new([0; 1024]), four: Box::new([0; 1024]), used: false, short: false }
    }
}

impl Beginnings {
    fn add(&mut self, literal: &[u8]) {
        self.used = true;
        self.short |= literal.len() < 4;
        match *literal {
            [a, b, c, d, ..] => set(&mut self.four, Key::of([a, b, c, d]).four),
            [a, b, c] => set(&mut self.three, Key::of([a, b, c, 0]).three),
            [a, b] => (0..=u8::MAX).for_each(|c| set(&mut self.three, Key::of([a, b, c, 0]).three)),
            _ => {
                self.three.fill(u64::MAX);
            }
        }
    }

    #[inline]
    fn has<const SHORT: bool>(&self, key: Key) -> bool {
        let four = word(&self.four, key.four) >> (key.four % 64);
        let three = if SHORT { word(&self.three, key.three) >> (key.three % 64) } else { 0 };
        (three | four) & 1 != 0
    }
}

#[inline]
fn word(bits: &Bits, hash: usize) -> u64 {
    bits.get(hash / 64).copied().unwrap_or(u64::MAX)
}

fn set(bits: &mut Bits, hash: usize) {
    bits.get_mut(hash / 64).into_iter().for_each(|word| *word |= 1 << (hash % 64));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spots(literals: &[&str], within: bool, text: &str, from: usize) -> Vec<Spot> {
        let all = literals.iter().map(|text| Literal { text, within });
        let mut found = Vec::new();
        Spotter::new(all).unwrap().each(text, from, |spot| {
            found.push(spot);
            ControlFlow::Continue(())
        });
        found
    }

    #[test]
    fn literals_are_found_wherever_they_stand() {
        let spot = |literal, start, end| Spot { literal, start, end };
        let literals = ["pass", "password", "sword", "key", "ab", "é"];
        assert_eq!(spots(&literals, true, "PassWord", 0), [spot(0, 0, 4), spot(1, 0, 8), spot(2, 3, 8)],);
        assert_eq!(spots(&literals, true, "x KEY", 0), [spot(3, 2, 5)]);
        assert_eq!(spots(&literals, true, "key", 0), [spot(3, 0, 3)]);
        assert_eq!(spots(&literals, true, "caB", 0), [spot(4, 1, 3)]);
        assert_eq!(spots(&literals, true, "ab é ab", 1), [spot(5, 3, 5), spot(4, 6, 8)]);
        assert_eq!(spots(&literals, true, "é", 0), [spot(5, 0, 2)]);
        assert_eq!(spots(&literals, true, "", 0), []);
    }

    #[test]
    fn a_look_can_be_ended() {
        let all = ["abc", "bcd"].iter().map(|text| Literal { text, within: true });
        let mut count = 0;
        Spotter::new(all).unwrap().each("abcd abcd", 0, |_| {
            count += 1;
            ControlFlow::Break(())
        });
        assert_eq!(count, 1);
    }

    proptest! {
        #[test]
        fn everything_that_stands_there_is_found(
            literals in proptest::collection::vec("[a-cA-C.é]{1,5}", 1..6),
            text in "[a-cA-C.é ]{0,24}",
            within in any::<bool>(),
        ) {
            let refs: Vec<&str> = literals.iter().map(String::as_str).collect();
            let mut found = spots(&refs, within, &text, 0);
            if !within {
                let begins = |spot: &Spot| !text.split_at(spot.start).0.ends_with(|c: char| c.is_ascii_alphanumeric());
                found.retain(begins);
            }
            let mut wanted = Vec::new();
            for (start, _) in text.char_indices() {
                if !within && text.split_at(start).0.ends_with(|c: char| c.is_ascii_alphanumeric()) {
                    continue;
                }
                for (literal, word) in literals.iter().enumerate() {
                    let end = start + word.len();
                    if text.get(start..end).is_some_and(|there| there.eq_ignore_ascii_case(word)) {
                        wanted.push(Spot { literal, start, end });
                    }
                }
            }
            let order = |spot: &Spot| (spot.start, spot.end, spot.literal);
            let starts: Vec<usize> = found.iter().map(|spot| spot.start).collect();
            prop_assert!(starts.is_sorted());
            found.sort_by_key(order);
            wanted.sort_by_key(order);
            prop_assert_eq!(found, wanted);
        }
    }
}
