//! What texts that steer an agent have in common with each other, and ordinary ones do not: learnt from texts that were
//! written for it (`training/`), where rules end that somebody must think of first.
//!
//! Two looks. One at all words of the text, by stretches ([`glance`]); and where these promise something, one at passages
//! of a few clauses: words, first letters, several of them in a row, and what the lexicon says that they mean. Either is a sum of
//! weights out of a table: nothing but the text decides.

use super::set::Set;

mod features;

mod glance;
pub(super) use glance::stretches;

mod table;
use table::Learnt as File;
pub use table::{DIGEST, MAGIC};

mod window;
pub(super) use window::{Number, Window};

/// How many weights there are for passages, as a power of two.
pub const BITS: u32 = 19;
/// The same for the look over all words.
pub const GLANCE_BITS: u32 = 17;

/// How much text a passage is, in bytes: the longest orders of the training texts stand in as many.
pub const PASSAGE: usize = 600;

/// The same for one order among much else: in a passage it would be a few words of many.
pub const SHORT: usize = 250;

/// A passage of fewer features than this is weighed as if it had so many: two words prove nothing.
pub const FEW: usize = 100;

/// The id of its signal, what it says for a person, and what it has in place of a signal's number.
pub const ID: &str = "inject.learnt";
pub(super) const SIGNAL: usize = usize::MAX;
pub(super) const DESCRIPTION: &str = "it reads as texts do that steer an agent against its user";

/// What is shipped.
pub(in crate::detect) const SHIPPED: &[u8] = include_bytes!("../../../../../../rules/injection/learnt.bin");

/// What was learnt.
#[derive(Clone, Debug)]
pub(super) struct Learnt {
    file: File,
    /// The numbers of the names of concepts and marks, by their bits.
    names: Vec<u64>,
}

impl Learnt {
    /// What is shipped, for a lexicon whose concepts are called `names` by their bits.
    pub(super) fn shipped<'n>(names: impl Iterator<Item = &'n str>) -> Option<Self> {
        Some(Self { file: File::read(SHIPPED)?, names: names.map(features::of_name).collect() })
    }

    /// The numbers of one clause, some of them more than once.
    pub(super) fn clause(&self, folded: &str, set: Set, opened: Set) -> Vec<Number> {
        // A word is about as many bytes long as it has numbers.
        let mut numbers = Vec::with_capacity(folded.len() + 16);
        features::of_clause(folded, set, opened, &self.names, |place| {
            numbers.push(Number { place, weight: self.file.passage.weight(place), again: false });
        });
        numbers
    }
}

/// The words of `text`, and every two of them, for the look over the whole.
pub(super) fn words(text: &str) -> Vec<u32> {
    let mut before = 0;
    let numbers = features::tokens(text.as_bytes())
        .flat_map(|token| features::at_a_glance(std::mem::replace(&mut before, token.stem), token));
    numbers.collect()
}

/// The digest of the texts that what is shipped was learnt from; `None` if the file is none.
#[must_use]
pub fn digest() -> Option<[u8; DIGEST]> {
    File::read(SHIPPED).map(|file| file.digest)
}

/// How sure a passage makes, in percent, that is this far on the side of attacks.
pub(super) fn weight(margin: f32) -> u8 {
    let (mut from, mut low) = (f32::MIN, 0);
    for (to, high) in LADDER {
        if margin < to {
            let part = if to > from { (margin - from).max(0.0) / (to - from) } else { 0.0 };
            return (f32::from(low) + part * (f32::from(high) - f32::from(low))) as u8;
        }
        (from, low) = (to, high);
    }
    low
}

/// From which margin on it is how sure; in between it grows evenly. Measured on texts that nothing was learnt from:
/// `docs/detection.md`.
const LADDER: [(f32, u8); 3] = [(0.28, 0), (0.6, 60), (1.2, 70)];

/// What a signal of this `weight` weighs in passages that are at most so far on the side of attacks; `None` if none
/// was read. One that honest texts give as often needs passages on the side of attacks beside it
/// (`is_corroborated`); of the others the weaker ones do not decide alone in passages that were read and are ordinary.
pub(super) fn doubted(weight: u8, is_corroborated: bool, margin: Option<f32>) -> u8 {
    match (is_corroborated, weight) {
        (true, _) if margin.is_none_or(|margin| margin < SPOKEN_FOR) => weight.min(30),
        (false, ..PLAIN) if margin.is_some_and(|margin| margin < ORDINARY) => weight.min(30),
        _ => weight,
    }
}

/// From here on passages speak for such a signal.
const SPOKEN_FOR: f32 = -0.2;

/// Below this they speak for an ordinary text.
const ORDINARY: f32 = -1.4;

/// A signal of this weight is plain enough to need nothing beside it.
const PLAIN: u8 = 68;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_become_weights_that_grow_with_them() {
        let weights: Vec<u8> = [-9.0, 0.2, 0.29, 0.4, 0.6, 0.9, 1.2, 5.0].map(weight).to_vec();
        assert!(weights.is_sorted(), "{weights:?}");
        assert_eq!((weight(0.27), weight(0.6), weight(9.0)), (0, 60, 70));
    }

    #[test]
    fn what_honest_texts_say_too_needs_something_beside_it() {
        assert_eq!(doubted(62, true, Some(-0.3)), 30);
        assert_eq!(doubted(62, true, None), 30);
        assert_eq!(doubted(62, true, Some(0.3)), 62);
        assert_eq!(doubted(62, false, Some(0.1)), 62);
        assert_eq!(doubted(62, false, Some(-1.5)), 30);
        assert_eq!(doubted(62, false, None), 62);
        assert_eq!(doubted(70, false, Some(-1.5)), 70);
    }
}
