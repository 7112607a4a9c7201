//! The passage that ends with the clause just read: as many clauses before it as fit, each number of theirs once.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::rc::Rc;

use super::{Learnt, features};

/// The clauses of a passage.
#[derive(Debug)]
pub(in crate::detect::injection) struct Window {
    clauses: VecDeque<Clause>,
    /// How long they may be together, in bytes.
    longest: usize,
    /// Their lengths together.
    length: usize,
    /// How often each number stands in them. A table of all numbers there are would be a megabyte to set up for a text of a line.
    counts: HashMap<u32, u16, BuildHasherDefault<Spread>>,
    /// The sum of the weights of these numbers.
    sum: i64,
}

#[derive(Debug)]
struct Clause {
    place: Range<usize>,
    length: usize,
    numbers: Rc<[u32]>,
}

impl Window {
    pub(in crate::detect::injection) fn new(longest: usize) -> Self {
        Self { clauses: VecDeque::new(), longest, length: 0, counts: HashMap::default(), sum: 0 }
    }

    /// Adds the clause at `place`, `length` bytes long when folded, and lets go of what no longer fits. Says how far the
    /// passage is on the side of attacks, and where it begins.
    pub(in crate::detect::injection) fn push(
        &mut self,
        learnt: &Learnt,
        place: Range<usize>,
        length: usize,
        numbers: Rc<[u32]>,
    ) -> (f32, usize) {
        for number in numbers.iter() {
            // No clause has a number twice, and no passage has more clauses than bytes: no count comes near its end.
            let count = self.counts.entry(*number).or_default();
            *count += 1;
            if *count == 1 {
                self.sum += learnt.of_passage(*number);
            }
        }
        self.length += length;
        self.clauses.push_back(Clause { place, length, numbers });
        while self.length > self.longest && self.clauses.len() > 1 {
            let Some(first) = self.clauses.pop_front() else { break };
            self.length -= first.length;
            self.forget(learnt, &first);
        }
        let start = self.clauses.front().map_or(0, |first| first.place.start);
        (learnt.file.passage.margin(self.sum, self.counts.len()), start)
    }

    /// The numbers of the passage, each once.
    pub(in crate::detect::injection) fn numbers(&self) -> Vec<u32> {
        let mut all: Vec<u32> =
            self.clauses.iter().flat_map(|clause| clause.numbers.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Forgets everything, for another stretch.
    pub(in crate::detect::injection) fn clear(&mut self, learnt: &Learnt) {
        while let Some(clause) = self.clauses.pop_front() {
            self.forget(learnt, &clause);
        }
        self.length = 0;
    }

    fn forget(&mut self, learnt: &Learnt, clause: &Clause) {
        for number in clause.numbers.iter() {
            let Entry::Occupied(mut count) = self.counts.entry(*number) else { continue };
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
                self.sum -= learnt.of_passage(*number);
            }
        }
    }
}

/// Numbers are spread already, and a passage has some thousands of them at most: whoever makes up words whose numbers collide
/// makes these few wait for each other.
#[derive(Clone, Copy, Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = features::mixed(self.0, u64::from(number));
    }

    fn finish(&self) -> u64 {
        // The table takes its places from the low bits, which a product has spread least.
        self.0 ^ self.0 >> 32
    }
}
