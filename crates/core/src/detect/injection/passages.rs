//! Passages of a text, as what was learnt sees them, and as it is learnt from.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::Range;

use super::learnt::{self, Learnt, Number, Window};
use super::set::Set;
use super::{BLOCK, Block, Evidence, Heard, Hit, Injection, Scanned, Seen, View, around, fold, keep, score};
use crate::action::PartKind;
use crate::detect::normalize::normalize;
use crate::pace::Pace;

/// A score from which on calls are stopped: what is less is only noted, and nothing is read for its sake.
const STOPS: u32 = 60;

/// A few clauses in a row, for learning.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// What they are made of: numbers below `1 <<` [`learnt::BITS`], each once.
    pub numbers: Vec<u32>,
    /// Their words for the look over a whole text: numbers below `1 <<` [`learnt::GLANCE_BITS`], as often as they stand there.
    pub words: Vec<u32>,
    /// How far what is shipped takes it to be on the side of attacks.
    pub margin: f32,
}

/// What is told a passage's place, how far it is on the side of attacks, and on demand its numbers.
type Each<'e> = dyn FnMut(Range<usize>, f32, &dyn Fn() -> Vec<u32>) + 'e;

impl Injection {
    /// All passages of `text`, whether what is shipped would read them or not.
    #[must_use]
    pub fn passages(&self, text: &str) -> Vec<Passage> {
        let Some(learnt) = &self.learnt else { return Vec::new() };
        let plain = normalize(text);
        let pace = &Pace::whole();
        let sight = self.see(&plain.text, pace).sorted();
        let kind = PartKind::ToolResult;
        let (shape, marks) = (OnceCell::new(), Set::EMPTY);
        let view = View { kind, text: &plain, sight: &sight, shape, layer: None, marks, pace };
        let mut found = Vec::new();
        let whole = 0..plain.text.len();
        self.each_passage(
            &view,
            learnt,
            (std::slice::from_ref(&whole), &[]),
            &mut |place, margin, numbers| {
                let words = learnt::words(plain.text.get(place).unwrap_or_default());
                found.push(Passage { numbers: numbers(), words, margin });
            },
        );
        found
    }

    /// Whether something was learnt about texts of this kind. Definitions of tools are orders by their nature.
    pub(super) fn is_learnt_for(&self, kind: PartKind) -> bool {
        self.learnt.is_some() && kind == PartKind::ToolResult
    }

    /// Weighs the passages of a text by what was learnt, where a look at its words promises something and around those places
    /// where something was seen that would decide.
    pub(super) fn learn(&self, view: &View<'_>, scanned: &Scanned, evidence: &mut Evidence) {
        let Some(learnt) = self.learnt.as_ref().filter(|_| self.is_learnt_for(view.kind)) else { return };
        let Scanned { seen, heard } = scanned;
        let place = |place: &Range<usize>| view.text.original(place.start, place.end).start / BLOCK;
        let seen: Vec<Range<usize>> = match view.layer {
            // A layer is in one place, and there may be as many as there are stretches.
            Some(span) if !decides(evidence, span.start / BLOCK) => Vec::new(),
            Some(_) => seen.to_vec(),
            None => {
                let mut deciding: BTreeSet<u32> = seen.iter().map(place).collect();
                deciding.retain(|at| decides(evidence, *at));
                seen.iter().filter(|it| deciding.contains(&place(it))).cloned().collect()
            }
        };
        let stretches = learnt::stretches(learnt, &view.text.text, &seen, view.pace);
        self.each_passage(view, learnt, (&stretches, heard), &mut |place, margin, _| {
            let span = view.layer.unwrap_or_else(|| view.text.original(place.start, place.end));
            let block = evidence.entry(span.start / BLOCK).or_default();
            block.margin = block.margin.into_iter().chain([margin]).reduce(f32::max);
            let weight = learnt::weight(margin);
            if weight > 0 {
                keep(&mut block.seen, Seen { signal: learnt::SIGNAL, weight, span });
            }
        });
    }

    /// Calls `each` with the passages that end with each clause of `stretches`, a long one and a short one if that is another:
    /// its place, how far it is on the side of attacks, and its numbers. What was `heard` is not read again.
    fn each_passage(
        &self,
        view: &View<'_>,
        learnt: &Learnt,
        (stretches, heard): (&[Range<usize>], &[Heard]),
        each: &mut Each<'_>,
    ) {
        if stretches.is_empty() {
            return;
        }
        let mut window = Window::new([learnt::PASSAGE, learnt::SHORT]);
        let (mut folded, mut hits) = (String::new(), Vec::new());
        for stretch in stretches {
            window.clear();
            let (mut done, mut at) = (0, stretch.start);
            while at < stretch.end {
                let (place, numbers) =
                    self.numbers(view, (learnt, heard), (done, at), (&mut folded, &mut hits));
                (done, at) = (place.end, place.end);
                view.pace.went(place.len());
                let [(long, first), (short, later)] = window.push(learnt, place.start, folded.len(), numbers);
                each(first..at, long, &|| window.numbers(0));
                if later > first {
                    each(later..at, short, &|| window.numbers(1));
                }
            }
        }
    }

    /// The clause around `at` that begins at `done` or later, and its numbers; `folded` are its letters folded then.
    fn numbers(
        &self,
        view: &View<'_>,
        (learnt, heard): (&Learnt, &[Heard]),
        (done, at): (usize, usize),
        (folded, hits): (&mut String, &mut Vec<Hit>),
    ) -> (Range<usize>, Vec<Number>) {
        let plain = view.text.text.as_ref();
        let (start, stop) = fold::clause(plain, done, at, at + 1, self.shape(view).record);
        let stop = stop.max(at + 1).min(plain.len());
        folded.clear();
        fold::fold_into(plain.get(start..stop).unwrap_or_default(), folded);
        let known = heard.binary_search_by_key(&start, |heard| heard.place.start);
        let known = known.ok().and_then(|at| heard.get(at)).filter(|heard| heard.place.end == stop);
        // No key word, no concept.
        let keys = view.sight.keys.as_slice();
        let is_told =
            || keys.get(keys.partition_point(|key| key.start < start)).is_some_and(|key| key.start < stop);
        let (words, opened) = match known {
            Some(heard) => (heard.words, heard.opened),
            None if is_told() => self.meant(folded, hits),
            None => (Set::EMPTY, Set::EMPTY),
        };
        let set = words | view.marks | self.told_by_letters(view, folded, (start, start, stop));
        (start..stop, learnt.clause(folded, set, opened))
    }
}

/// Whether signals in the stretch with number `at` and one beside it stop a call, if passages do not take it back.
fn decides(evidence: &Evidence, at: u32) -> bool {
    [at.checked_sub(1), Some(at)].into_iter().flatten().any(|at| {
        let Block { mut seen, talk, .. } = around(evidence, at);
        score(&mut seen, talk) >= STOPS
    })
}
