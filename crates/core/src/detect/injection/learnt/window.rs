//! The passages that end with the clause just read: for each reach as many clauses before it as fit, each number of theirs once.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use super::{Learnt, features};

/// What a passage has of a clause: a number, and what it speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::detect::injection) struct Number {
    pub(super) place: u32,
    pub(super) weight: i32,
    /// A later clause has it too.
    pub(super) again: bool,
}

/// The clauses of the passages.
#[derive(Debug)]
pub(in crate::detect::injection) struct Window {
    clauses: VecDeque<Clause>,
    /// Which clause the first of them is, counted from the beginning of the text.
    first: u32,
    /// For each number the last clause that has it, and which of that clause's it is. A table of all numbers there are would
    /// be a megabyte to set up for a text of a line.
    last: HashMap<u32, (u32, usize), BuildHasherDefault<Spread>>,
    passages: [Passage; 2],
}

#[derive(Debug)]
struct Clause {
    start: usize,
    length: usize,
    numbers: Vec<Number>,
}

/// One passage.
#[derive(Clone, Copy, Debug, Default)]
struct Passage {
    /// How long its clauses may be together, in bytes, and how long they are.
    longest: usize,
    length: usize,
    /// Its first clause.
    first: u32,
    /// The sum of the weights of its numbers, and how many there are.
    sum: i64,
    count: usize,
}

/// How many numbers are remembered before those of clauses long gone are forgotten: a passage has some hundreds, some
/// thousands at most, and a small table stays where it is read fast.
const REMEMBERED: usize = 1 << 12;

impl Window {
    /// For passages of at most so many bytes, the longest first.
    pub(in crate::detect::injection) fn new(longest: [usize; 2]) -> Self {
        let passages = longest.map(|longest| Passage { longest, ..Passage::default() });
        let last = HashMap::with_capacity_and_hasher(1 << 10, BuildHasherDefault::default());
        Self { clauses: VecDeque::new(), first: 0, last, passages }
    }

    /// Adds a clause that begins at `start` and is `length` bytes long when folded, and lets go of what no longer fits; some of
    /// its `numbers` may stand in it more than once. Says of each passage how far it is on the side of attacks, and where it
    /// begins.
    pub(in crate::detect::injection) fn push(
        &mut self,
        learnt: &Learnt,
        start: usize,
        length: usize,
        mut numbers: Vec<Number>,
    ) -> [(f32, usize); 2] {
        let this = self.next();
        let mut index = 0;
        numbers.retain(|number| {
            let before = match self.last.entry(number.place) {
                Entry::Occupied(mut known) if known.get().0 != this => Some(known.insert((this, index))),
                Entry::Occupied(_) => return false,
                Entry::Vacant(free) => {
                    free.insert((this, index));
                    None
                }
            };
            index += 1;
            if let Some((clause, at)) = before {
                let clause = clause.checked_sub(self.first).and_then(|at| self.clauses.get_mut(at as usize));
                let number = clause.and_then(|clause| clause.numbers.get_mut(at));
                number.into_iter().for_each(|number| number.again = true);
            }
            for passage in &mut self.passages {
                if before.is_none_or(|(before, _)| before < passage.first) {
                    passage.sum += i64::from(number.weight);
                    passage.count += 1;
                }
            }
            true
        });
        self.clauses.push_back(Clause { start, length, numbers });
        for passage in &mut self.passages {
            passage.length += length;
            passage.shorten(this, self.first, &self.clauses);
        }
        self.forget();
        self.passages.map(|passage| {
            let first = self.clauses.get((passage.first - self.first) as usize);
            let margin = learnt.file.passage.margin(passage.sum, passage.count);
            (margin, first.map_or(start, |first| first.start))
        })
    }

    /// The numbers of one of the passages, each once.
    pub(in crate::detect::injection) fn numbers(&self, passage: usize) -> Vec<u32> {
        let first = self.passages.get(passage).map_or(self.first, |passage| passage.first);
        let clauses = self.clauses.iter().skip((first - self.first) as usize);
        let mut all: Vec<u32> =
            clauses.flat_map(|clause| clause.numbers.iter().map(|number| number.place)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Forgets everything, for another stretch.
    pub(in crate::detect::injection) fn clear(&mut self) {
        let next = self.next();
        self.clauses.clear();
        self.first = next;
        self.passages = self.passages.map(|Passage { longest, .. }| Passage {
            longest,
            first: next,
            ..Passage::default()
        });
    }

    /// Which clause the next one is. A text has fewer clauses than bytes, and of these fewer than a number holds.
    fn next(&self) -> u32 {
        self.first.saturating_add(u32::try_from(self.clauses.len()).unwrap_or(u32::MAX))
    }

    /// Drops clauses that no passage has.
    fn forget(&mut self) {
        let first = self.passages.iter().map(|passage| passage.first).min().unwrap_or(self.first);
        while self.first < first && self.clauses.pop_front().is_some() {
            self.first += 1;
        }
        if self.last.len() > REMEMBERED {
            self.last.retain(|_, (last, _)| *last >= first);
        }
    }
}

impl Passage {
    /// Lets go of its first clauses until it fits, but for `this` one.
    fn shorten(&mut self, this: u32, front: u32, clauses: &VecDeque<Clause>) {
        while self.length > self.longest && self.first < this {
            let Some(clause) = clauses.get((self.first - front) as usize) else { break };
            for number in clause.numbers.iter().filter(|number| !number.again) {
                self.sum -= i64::from(number.weight);
                self.count -= 1;
            }
            self.length -= clause.length;
            self.first += 1;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_passage_has_each_number_of_its_clauses_once(
            clauses in proptest::collection::vec((1usize..40, proptest::collection::btree_set(0u32..30, 0..8)), 1..40),
            cleared in 0usize..60,
        ) {
            let learnt = Learnt::shipped(std::iter::empty()).unwrap();
            let longest = [60, 25];
            let mut window = Window::new(longest);
            let mut begin = 0;
            for (at, (length, numbers)) in clauses.iter().enumerate() {
                if at == cleared {
                    window.clear();
                    begin = at;
                }
                let weighed = |place: &u32| Number { place: *place, weight: *place as i32 - 9, again: false };
                let twice = numbers.iter().chain(numbers.iter().take(2));
                let told = window.push(&learnt, at, *length, twice.map(weighed).collect());
                for (passage, (longest, (margin, start))) in longest.into_iter().zip(told).enumerate() {
                    let mut first = at;
                    let length = |first: usize| clauses[first..=at].iter().map(|(length, _)| length).sum::<usize>();
                    while first > begin && length(first - 1) <= longest {
                        first -= 1;
                    }
                    let mut all: Vec<u32> = clauses[first..=at].iter().flat_map(|(_, numbers)| numbers.clone()).collect();
                    all.sort_unstable();
                    all.dedup();
                    let sum = all.iter().map(|place| i64::from(*place) - 9).sum();
                    prop_assert_eq!(start, first);
                    prop_assert_eq!(margin, learnt.file.passage.margin(sum, all.len()));
                    prop_assert_eq!(window.numbers(passage), all);
                }
            }
        }
    }
}
