//! Phrases: concepts that follow one another stand for another concept, so that a few closed lists of words
//! make many turns: `note` `to` `agents`, `your` `earlier` `task`.

use super::gate::Features;
use super::lexicon::{Draft, Hit};
use super::set::Set;
use crate::syntax::{Diagnostic, Span};

/// How many bytes may stand between two steps: three or four words.
const GAP: usize = 20;

/// How many after `..`.
const WIDE: usize = 72;

/// The most steps of a phrase.
const MOST: usize = 6;

/// One turn.
#[derive(Clone, Debug)]
pub(super) struct Phrase {
    concept: usize,
    /// What one of its steps is of: the one of the fewest concepts.
    rarest: Set,
    steps: Vec<Step>,
    /// The sign that stands right after it.
    closed: Option<Sign>,
}

/// A sign after which somebody is told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// A colon, a dash, an exclamation mark or a closing bracket.
    Colon,
    /// One of these or a comma.
    Comma,
    /// The end of the sentence.
    End,
}

/// One place of a phrase: one of these concepts, at most so many bytes after the one before.
#[derive(Clone, Copy, Debug)]
struct Step {
    set: Set,
    gap: usize,
}

impl Phrase {
    /// Reads `text`: names of concepts with `|` for `or`, `..` for more words between, `:` or `,` at the
    /// end for a sign after which somebody is told something, `.` for the end of the sentence.
    pub(super) fn read(
        concept: usize,
        text: &str,
        span: Span,
        draft: &Draft,
        faults: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let mut phrase = Self { concept, rarest: Set::EMPTY, steps: Vec::new(), closed: None };
        let mut gap = GAP;
        for name in text.split_whitespace() {
            match name {
                ".." => gap = WIDE,
                ":" => phrase.closed = Some(Sign::Colon),
                "," => phrase.closed = Some(Sign::Comma),
                "." => phrase.closed = Some(Sign::End),
                name => {
                    let set = draft.set(name, span, faults);
                    phrase.steps.push(Step { set, gap: std::mem::replace(&mut gap, GAP) });
                }
            }
        }
        if phrase.steps.is_empty() || phrase.steps.len() > MOST {
            let message = format!("a phrase has one to {MOST} concepts");
            faults.push(Diagnostic::error(span, message));
            return None;
        }
        let sets = phrase.steps.iter().map(|step| step.set);
        phrase.rarest = sets.min_by_key(|set| set.bits().count()).unwrap_or_default();
        Some(phrase)
    }

    /// Whether one of its steps consists of `keys` only.
    pub(super) fn is_reached(&self, keys: Set) -> bool {
        self.steps.iter().any(|step| step.set.is_within(keys))
    }

    /// Its concept, if all its steps are in `set` and the `features` of a clause allow it.
    pub(super) fn may_make(&self, set: Set, features: Features) -> Set {
        let may = self.rarest.meets(set)
            && self.closed.is_none_or(|sign| features.may_close(sign))
            && self.steps.iter().all(|step| step.set.meets(set));
        if may { Set::of(self.concept) } else { Set::EMPTY }
    }

    /// Adds where it stands to `hits`, which are in the order of their beginnings, and its concept to `set`.
    pub(super) fn find(&self, folded: &str, set: &mut Set, hits: &mut Vec<Hit>) {
        if !self.rarest.meets(*set) || !self.steps.iter().all(|step| step.set.meets(*set)) {
            return;
        }
        // Where the steps up to here began and end, in the order of their ends, and the same for the next one.
        let (mut open, mut next): (Vec<(usize, usize)>, Vec<_>) = (Vec::new(), Vec::new());
        for (index, step) in self.steps.iter().enumerate() {
            next.clear();
            for hit in hits.iter().filter(|hit| step.set.has(hit.concept)) {
                if index == 0 {
                    next.push((hit.end, hit.start));
                    continue;
                }
                let before = open.partition_point(|(end, _)| *end <= hit.start);
                let near = before.checked_sub(1).and_then(|at| open.get(at));
                if let Some((_, start)) = near.filter(|(end, _)| hit.start - end <= step.gap) {
                    next.push((hit.end, *start));
                }
            }
            next.sort_unstable();
            std::mem::swap(&mut open, &mut next);
            if open.is_empty() {
                return;
            }
        }
        open.dedup();
        let found =
            open.into_iter().filter(|(end, _)| self.closed.is_none_or(|sign| sign.follows(folded, *end)));
        let found: Vec<Hit> = found
            .map(|(end, start)| Hit {
                concept: self.concept,
                word: usize::MAX,
                start,
                end,
                free: false,
                marked: false,
                opens: false,
            })
            .collect();
        if !found.is_empty() {
            set.add(self.concept);
            hits.extend(found);
            hits.sort_by_key(|hit| (hit.start, hit.end));
        }
    }
}

impl Sign {
    /// Whether it stands after `end`.
    fn follows(self, folded: &str, end: usize) -> bool {
        let rest = folded.get(end..).unwrap_or_default().trim_start_matches([' ', '*', '_']);
        if self == Self::End {
            return rest.is_empty() || rest.starts_with(['.', '!', ';', '"', '\'', ')', '-', '<']);
        }
        // The name of a value ends in a quotation mark.
        let rest = rest.strip_prefix('"').filter(|rest| rest.starts_with(':')).unwrap_or(rest);
        rest.starts_with([':', '!', ']', '>', '\u{2014}', '\u{2013}', '\u{ff1a}'])
            || rest.starts_with("- ")
            || rest.starts_with("--")
            || self == Self::Comma && rest.starts_with([',', ';'])
    }
}
