//! Passages of a text, as what was learnt sees them, and as it is learnt from.

use std::cell::OnceCell;
use std::ops::Range;

use super::learnt::{self, Learnt, Window};
use super::set::Set;
use super::{BLOCK, Evidence, Injection, Seen, View, fold, keep};
use crate::action::PartKind;
use crate::detect::normalize::normalize;
use crate::pace::Pace;

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
        self.each_passage(
            &view,
            learnt,
            0..plain.text.len(),
            &mut Window::new(),
            &mut |place, margin, window| {
                let words = learnt::words(plain.text.get(place).unwrap_or_default());
                found.push(Passage { numbers: window.numbers(), words, margin });
            },
        );
        found
    }

    /// Whether something was learnt about texts of this kind. Definitions of tools are orders by their nature.
    pub(super) fn is_learnt_for(&self, kind: PartKind) -> bool {
        self.learnt.is_some() && kind == PartKind::ToolResult
    }

    /// Weighs the passages of a text by what was learnt, where a look at its words promises something.
    pub(super) fn learn(&self, view: &View<'_>, evidence: &mut Evidence) {
        let Some(learnt) = self.learnt.as_ref().filter(|_| self.is_learnt_for(view.kind)) else { return };
        let stretches = learnt::stretches(learnt, &view.text.text, view.pace);
        if stretches.is_empty() {
            return;
        }
        let mut window = Window::new();
        for stretch in stretches {
            self.each_passage(view, learnt, stretch, &mut window, &mut |place, margin, _| {
                let span = view.layer.unwrap_or_else(|| view.text.original(place.start, place.end));
                let block = evidence.entry(span.start / BLOCK).or_default();
                block.margin = block.margin.into_iter().chain([margin]).reduce(f32::max);
                let weight = learnt::weight(margin);
                if weight > 0 {
                    keep(&mut block.seen, Seen { signal: learnt::SIGNAL, weight, span });
                }
            });
        }
    }

    /// Calls `each` with the passage that ends with each clause of `stretch`: its place, how far it is on the side of
    /// attacks, and its numbers.
    fn each_passage(
        &self,
        view: &View<'_>,
        learnt: &Learnt,
        stretch: Range<usize>,
        window: &mut Window,
        each: &mut dyn FnMut(Range<usize>, f32, &Window),
    ) {
        let plain = view.text.text.as_ref();
        let record = self.shape(view).record;
        let (mut folded, mut hits) = (String::new(), Vec::new());
        window.clear(learnt);
        let (mut done, mut at) = (0, stretch.start);
        while at < stretch.end {
            let (start, stop) = fold::clause(plain, done, at, at + 1, record);
            let stop = stop.max(at + 1).min(plain.len());
            (done, at) = (stop, stop);
            let Some(clause) = plain.get(start..stop) else { continue };
            view.pace.went(clause.len());
            folded.clear();
            fold::fold_into(clause, &mut folded);
            self.lexicon.hits(&folded, &mut hits);
            let words: Set = hits.iter().map(|hit| hit.concept).collect();
            let opened = self.lexicon.opened(&folded, &mut hits);
            let set = words | view.marks | self.told_by_letters(view, &folded, (start, start, stop));
            let numbers = learnt.clause(&folded, set, opened);
            let (margin, first) = window.push(learnt, start..stop, folded.len(), numbers);
            each(first..stop, margin, window);
        }
    }
}
