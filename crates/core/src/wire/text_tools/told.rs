//! A text that a reply says more than once: where in it calls are held, for its copies.

use super::beside::{Before, List, among};
use super::lane::Raw;
use super::{Heard, Stretch};
use crate::syntax::Node;
use crate::wire::frame::{CallId, Calls};

/// Where calls stand in a text, in order. Of the text itself nothing is kept.
#[derive(Debug, Default)]
pub(crate) struct Told {
    held: Vec<Kept>,
    /// The length of the text so far (WTF-8), and how many characters that are.
    length: usize,
    characters: u64,
    /// Whether it ends in the first half of a surrogate pair.
    half: bool,
}

#[derive(Debug)]
struct Kept {
    stretch: Stretch,
    /// Which use of the call's number this is: a number is used again once its text was found to be no call.
    life: u32,
    /// How many characters precede it.
    before: u64,
}

impl Told {
    /// Adds a fragment (WTF-8) in which `heard` is held.
    pub fn add(&mut self, fragment: &[u8], heard: &[Stretch], calls: &Calls) {
        // Two halves become one character, one byte for each half and two for the pair shorter.
        let joins = self.half && matches!(fragment, [0xed, 0xb0..=0xbf, ..]);
        let base = self.length.saturating_sub(if joins { 2 } else { 0 });
        let counted = self.characters.saturating_sub(u64::from(joins));
        for stretch in heard {
            let (from, to) = (base.saturating_add(stretch.from), base.saturating_add(stretch.to));
            if !stretch.begins
                && let Some(last) = self.held.last_mut()
                && last.stretch.call == stretch.call
            {
                last.stretch.to = to;
                continue;
            }
            // Only the newest can have turned out to be none: a text full of `<` keeps one of them.
            if self.held.last().is_some_and(|last| !last.lives(calls)) {
                self.held.pop();
            }
            let before = counted.saturating_add(characters(fragment.get(..stretch.from).unwrap_or_default()));
            let life = calls.get(stretch.call).map_or(0, |call| call.life);
            self.held.push(Kept { stretch: Stretch { from, to, ..*stretch }, life, before });
        }
        self.length = base.saturating_add(fragment.len());
        self.characters = counted.saturating_add(characters(fragment));
        self.half = matches!(fragment, [.., 0xed, 0xa0..=0xaf, _]);
    }

    /// Hears a copy of the text: `part` says it at `node`.
    pub fn repeat(&self, part: &Node, node: &Node, source: &[u8], calls: &Calls, heard: &mut Heard) {
        let mut raw = Raw::new(node.span, source);
        for kept in self.held.iter().filter(|kept| kept.lives(calls)) {
            heard.repeat(kept.stretch, &mut raw);
        }
        heard.lists.extend(List::beside(part, &self.before(calls)));
    }

    /// What stands in `part` beside a fragment in which `stretches` are held.
    pub fn beside(&self, part: &Node, stretches: &[Stretch], calls: &Calls) -> impl Iterator<Item = List> {
        let none = stretches.is_empty() || !List::has(part);
        let held = if none { Before::new() } else { among(self.before(calls), stretches) };
        List::beside(part, &held).collect::<Vec<_>>().into_iter()
    }

    /// The calls in it, and how many characters precede each.
    pub fn before(&self, calls: &Calls) -> Before {
        let living = self.held.iter().filter(|kept| kept.lives(calls));
        living.map(|kept| (kept.stretch.call, kept.before)).collect::<Vec<(CallId, u64)>>()
    }
}

impl Kept {
    /// Whether it is, or may be, a call.
    fn lives(&self, calls: &Calls) -> bool {
        calls.get(self.stretch.call).is_some_and(|call| !call.waived && call.life == self.life)
    }
}

/// How many characters a text (WTF-8) has.
fn characters(text: &[u8]) -> u64 {
    text.iter().filter(|byte| !matches!(byte, 0x80..=0xbf)).count() as u64
}
