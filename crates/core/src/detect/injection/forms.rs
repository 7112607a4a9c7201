//! All forms of all signals, each found by the one of its sets that few clauses meet: of some hundreds a clause is asked about
//! a few.

use super::set::Set;
use super::signal::{Clause, Form, Signal};

/// How many forms are found by their sets; more are tried one by one.
const MOST: usize = 512;

/// Numbers of forms, one bit each.
type Found = [u64; MOST / 64];

/// Where forms are found.
#[derive(Debug, Default)]
pub(super) struct Forms {
    /// The signal of each form, and which of its forms it is.
    all: Vec<(usize, usize)>,
    /// By what opens a clause: concepts, and for each bit the forms that it may make hold.
    opening: Index,
    /// The same by what is in it.
    holding: Index,
}

#[derive(Debug, Default)]
struct Index {
    known: Set,
    forms: Vec<Found>,
}

impl Index {
    fn add(&mut self, set: Set, form: usize) {
        self.known |= set;
        self.forms.resize(Set::BITS, Found::default());
        for bit in set.bits() {
            let word = self.forms.get_mut(bit).and_then(|found| found.get_mut(form / 64));
            word.into_iter().for_each(|word| *word |= 1 << (form % 64));
        }
    }

    fn find(&self, set: Set, found: &mut Found) {
        for more in (set & self.known).bits().filter_map(|bit| self.forms.get(bit)) {
            found.iter_mut().zip(more).for_each(|(word, more)| *word |= more);
        }
    }
}

impl Forms {
    pub(super) fn of(signals: &[Signal]) -> Self {
        let mut forms = Self::default();
        for (signal, of_signal) in signals.iter().enumerate() {
            for (index, form) in of_signal.forms().iter().enumerate() {
                let (set, opens) = form.rarest();
                (if opens { &mut forms.opening } else { &mut forms.holding }).add(set, forms.all.len());
                forms.all.push((signal, index));
            }
        }
        forms
    }

    /// The forms that may hold in a clause with these concepts and marks, and where an order begins of these, in the order of
    /// their signals.
    fn found<'s>(
        &self,
        signals: &'s [Signal],
        set: Set,
        opened: Set,
    ) -> impl Iterator<Item = (usize, &'s Signal, &'s Form)> {
        let mut found = Found::default();
        self.opening.find(opened, &mut found);
        self.holding.find(set, &mut found);
        let numbers = (0..).step_by(64).zip(found).flat_map(|(first, word)| {
            let lefts = std::iter::successors(Some(word), |left| Some(left & left.wrapping_sub(1)));
            let lefts = lefts.take_while(|left| *left != 0);
            lefts.map(move |left| first + left.trailing_zeros() as usize)
        });
        numbers.chain(MOST..self.all.len()).filter_map(|number| {
            let (signal, form) = self.all.get(number)?;
            let of = signals.get(*signal)?;
            Some((*signal, of, of.forms().get(*form)?))
        })
    }

    /// Whether one may hold in a clause that has these concepts and at most these marks among `set`.
    pub(super) fn may_hold(&self, signals: &[Signal], words: Set, marks: Set, opened: Set) -> bool {
        let set = words | marks;
        self.found(signals, set, opened).any(|(_, _, form)| form.may_hold(words, set, opened))
    }

    /// Each signal that holds in `clause`, by its number, and the weight with which it does.
    pub(super) fn weigh(&self, signals: &[Signal], clause: &Clause<'_>, mut each: impl FnMut(usize, u8)) {
        let (mut last, mut weight) = (0, 0);
        for (signal, of, form) in self.found(signals, clause.set, clause.opened) {
            if signal != last && weight > 0 {
                each(last, weight);
            }
            if signal != last {
                (last, weight) = (signal, 0);
            }
            if of.is_for(clause.kind) {
                weight = weight.max(form.weigh(clause));
            }
        }
        if weight > 0 {
            each(last, weight);
        }
    }
}
