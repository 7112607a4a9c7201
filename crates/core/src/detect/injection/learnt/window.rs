//! The passage that ends with the clause just read: as many clauses before it as fit, each number of theirs once.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use super::{BITS, Learnt};

/// The clauses of a passage.
#[derive(Debug)]
pub(in crate::detect::injection) struct Window {
    clauses: VecDeque<Clause>,
    /// How long they may be together, in bytes.
    longest: usize,
    /// Their lengths together.
    length: usize,
    /// How often each number stands in them.
    counts: Vec<u16>,
    /// The numbers that stand in them at all, and the sum of their weights.
    distinct: usize,
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
        Self { clauses: VecDeque::new(), longest, length: 0, counts: vec![0; 1 << BITS], distinct: 0, sum: 0 }
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
            if let Some(count) = self.count(*number) {
                *count += 1;
                if *count == 1 {
                    self.distinct += 1;
                    self.sum += learnt.of_passage(*number);
                }
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
        (learnt.file.passage.margin(self.sum, self.distinct), start)
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
            if let Some(count) = self.count(*number) {
                *count -= 1;
                if *count == 0 {
                    self.distinct -= 1;
                    self.sum -= learnt.of_passage(*number);
                }
            }
        }
    }

    /// No clause has a number twice, and no passage has more clauses than bytes: no count comes near its end.
    fn count(&mut self, number: u32) -> Option<&mut u16> {
        usize::try_from(number).ok().and_then(|number| self.counts.get_mut(number))
    }
}
