//! The look over all words of a text: which stretches of it are worth reading.

use std::ops::Range;

use super::features::{at_a_glance, tokens};
use super::table::Table;
use super::{Learnt, PASSAGE};
use crate::pace::Pace;

/// Words are judged whenever so many bytes of them have gone by.
const STEP: usize = 100;

/// A text that is not longer is read whole: few words tell little.
const SHORT: usize = 2 * PASSAGE;

/// How many steps are judged together: a short order, a longer one, a passage.
const REACHES: [usize; 3] = [1, 3, PASSAGE / STEP];

/// A stretch whose words say more than this is read: learning sets the bias so that few attacks say less.
const PROMISING: f32 = 0.0;

/// What stands before a place: the weights of all words up to it, and how many these are.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    at: usize,
    sum: i64,
    count: usize,
}

/// A look that has come so far.
struct Look<'l> {
    table: &'l Table,
    /// The ends of the last steps, the newest first.
    ends: [Before; PASSAGE / STEP],
    found: Vec<Range<usize>>,
}

/// The stretches of `text` that are worth reading, in order, each apart from the others.
pub(in crate::detect::injection) fn stretches(
    learnt: &Learnt,
    text: &str,
    pace: &Pace<'_>,
) -> Vec<Range<usize>> {
    if text.len() <= SHORT {
        return std::iter::once(0..text.len()).collect();
    }
    let table = &learnt.file.glance;
    let mut look = Look { table, ends: [Before::default(); PASSAGE / STEP], found: Vec::new() };
    let (mut now, mut stepped) = (Before::default(), 0);
    for token in tokens(text.as_bytes()) {
        now.sum += i64::from(table.weight(at_a_glance(token)));
        now.count += 1;
        now.at = token.end;
        if now.at - stepped >= STEP {
            look.step(now);
            pace.went(now.at - stepped);
            stepped = now.at;
        }
    }
    look.step(now);
    look.found
}

impl Look<'_> {
    /// Judges what ends here.
    fn step(&mut self, now: Before) {
        let promises = |first: &&Before| {
            self.table.margin(now.sum - first.sum, now.count - first.count) > PROMISING && first.at < now.at
        };
        let firsts = REACHES.iter().filter_map(|reach| self.ends.get(reach - 1));
        if let Some(first) = firsts.rev().find(promises) {
            match self.found.last_mut() {
                Some(last) if last.end >= first.at => last.end = now.at,
                _ => self.found.push(first.at..now.at),
            }
        }
        self.ends.rotate_right(1);
        if let Some(newest) = self.ends.first_mut() {
            *newest = now;
        }
    }
}
