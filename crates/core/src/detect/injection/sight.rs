//! What the one pass over all literals finds of this detector's own: key words, what opens regions of a page, and words
//! that give a moved alphabet away.

use super::set::Set;
use crate::detect::spot::Spot;

/// A literal that this detector wants to be found.
#[derive(Clone, Debug)]
pub(in crate::detect) struct Wanted {
    pub(in crate::detect) text: String,
    /// Whether an ASCII letter or digit may stand before it, and after it.
    pub(in crate::detect) within: bool,
    pub(in crate::detect) open: bool,
    /// Whether it is words: a space in it stands for the end of a line too.
    pub(in crate::detect) words: bool,
}

impl Wanted {
    pub(in crate::detect) fn anywhere(text: &str) -> Self {
        Self { text: text.to_owned(), within: true, open: true, words: false }
    }

    /// Words, between which and other letters something else stands.
    pub(super) fn whole(text: String) -> Self {
        Self { text, within: false, open: false, words: true }
    }
}

/// What a literal stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect) enum Owner {
    /// These concepts.
    Key(Set),
    /// What opens a region, by its index.
    Opener(usize),
    /// A telling word, by its index.
    Moved(usize),
}

/// A key word, and the concepts it may stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) set: Set,
}

/// Everything of this detector's own that stands in one text.
#[derive(Debug, Default)]
pub(in crate::detect) struct Sight {
    /// By where they begin, once [`Self::sorted`].
    pub(super) keys: Vec<Key>,
    pub(super) openers: Vec<Spot>,
    pub(super) moved: Vec<Spot>,
}

impl Sight {
    /// Takes a literal that was found.
    pub(in crate::detect) fn add(&mut self, owner: Owner, spot: Spot) {
        let Spot { start, end, .. } = spot;
        match owner {
            Owner::Key(set) => self.keys.push(Key { start, end, set }),
            Owner::Opener(literal) => self.openers.push(Spot { literal, ..spot }),
            Owner::Moved(literal) => self.moved.push(Spot { literal, ..spot }),
        }
    }

    pub(super) fn sorted(mut self) -> Self {
        self.keys.sort_unstable_by_key(|key| (key.start, key.end));
        // One after another, by where they end, none of them within another.
        self.openers.sort_unstable_by_key(|spot| (spot.end, spot.start));
        let mut after = 0;
        self.openers.retain(|spot| {
            let apart = spot.start >= after;
            after = if apart { spot.end } else { after };
            apart
        });
        self
    }
}
