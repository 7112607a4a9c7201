//! Text from outside that speaks to the model: a score of named signals.
//!
//! A tool's result is data. Instructions to whoever reads it, orders that have nothing to do with it,
//! frames that pretend to be the system, letters no person can see: each is a signal with a weight, and
//! they combine as independent evidence does (noisy or). No single line decides, unless it is plain.
//!
//! The grammar is small. A [`lexicon`] says which words stand for a concept in which language, a
//! [`signal`] which concepts must stand together in one clause, at which place ([`marks`], [`shape`]) and
//! which one where an order begins. What is written for machines only is decoded ([`layers`]) and judged
//! like the rest. Text that talks about such attacks weighs less. All of it is data in `rules/injection`.
//!
//! The one pass over the literals of everything finds key words ([`sight`]). Of most clauses these say already that no
//! signal can hold in them ([`gate`]); the others are read, each once, so that work is linear in the length of the text.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::action::PartKind;
use crate::detect::Finding;
use crate::detect::literals::Literals;
use crate::detect::normalize::{Normalized, normalize};
use crate::detect::rules::MOST_AUDITED;
use crate::pace::Pace;
use crate::syntax::{Diagnostic, Node, Span};

pub mod classifier;
use classifier::Classifier;

mod fold;

mod forms;
use forms::Forms;

mod gate;
use gate::{Features, Gate};

mod layers;

pub mod learnt;
use learnt::Learnt;

mod lexicon;
use lexicon::{Draft, Hit, Lexicon};

mod marks;
use marks::Mark;

mod names;

mod passages;
pub use passages::Passage;

mod phrase;

mod set;
use set::Set;

mod shape;
use shape::Shape;

mod sight;
use sight::Key;
pub(in crate::detect) use sight::{Owner, Sight, Wanted};

mod signal;
use signal::Clause;
pub use signal::Signal;

#[cfg(test)]
mod tests;

/// The category of all signals.
pub const CATEGORY: &str = "indirect-injection";

/// Below this a score is not worth a note.
const LOWEST: u32 = 30;

/// The highest severity: what text says is never proof.
const HIGHEST: u32 = 79;

/// How far evidence reaches, in bytes: two stretches next to each other are judged together.
const BLOCK: u32 = 4096;

/// The most signals a message names.
const NAMED: usize = 5;

/// How far a call to the model reaches, in bytes: what follows it is read as said to the one who was called.
const CALL: usize = 320;

/// How deep layers may lie in layers.
const DEPTH: u32 = 2;

/// What files say about injections, before it is compiled.
#[derive(Debug, Default)]
pub(super) struct Builder {
    draft: Draft,
    signals: Vec<(String, Vec<Node>)>,
}

impl Builder {
    /// Takes the concepts and signals of one file called `origin`.
    pub(super) fn add(
        &mut self,
        origin: &str,
        concepts: &[Node],
        signals: &[Node],
        faults: &mut Vec<Diagnostic>,
    ) {
        for node in concepts {
            self.draft.read(node, faults);
        }
        if !signals.is_empty() {
            self.signals.push((origin.to_owned(), signals.to_vec()));
        }
    }

    /// The detector; `None` without signals. `known` are ids in use.
    pub(super) fn compile(
        self,
        known: &mut std::collections::HashSet<String>,
        faults: &mut Vec<Diagnostic>,
    ) -> Option<Injection> {
        let mut draft = self.draft;
        draft.finish(faults);
        let mut signals = Vec::new();
        for (origin, nodes) in &self.signals {
            let mut found = Vec::new();
            for node in nodes {
                let Some(signal) = Signal::read(origin, node, &draft, &mut found) else { continue };
                if !known.insert(signal.id.clone()) {
                    found.push(Diagnostic::error(node.span, format!("`{}` is used twice", signal.id)));
                }
                signals.push(signal);
            }
            faults.extend(found.into_iter().map(|fault| fault.in_origin(origin.as_str())));
        }
        if signals.is_empty() {
            return None;
        }
        let learnt = Learnt::shipped(draft.names().iter().map(String::as_str));
        match draft.compile() {
            Ok(lexicon) => {
                let (gate, forms) = (Gate::new(&lexicon, &signals), Forms::of(&signals));
                Some(Injection { lexicon, signals, forms, gate, learnt, literals: None, classifier: None })
            }
            Err(fault) => {
                faults.push(fault);
                None
            }
        }
    }
}

/// The detector.
#[derive(Debug)]
pub struct Injection {
    lexicon: Lexicon,
    signals: Vec<Signal>,
    forms: Forms,
    gate: Gate,
    /// What was learnt from texts; it speaks beside the signals.
    learnt: Option<Learnt>,
    /// What finds the literals of everything, these among them.
    literals: Option<Arc<Literals>>,
    classifier: Option<Arc<dyn Classifier>>,
}

/// What was seen of one signal.
#[derive(Clone, Copy, Debug)]
struct Seen {
    signal: usize,
    weight: u8,
    span: Span,
}

/// What is seen in one stretch of a text.
#[derive(Clone, Debug, Default)]
struct Block {
    /// The strongest sight of each signal.
    seen: Vec<Seen>,
    /// Clauses that speak about attacks.
    talk: u32,
    /// How far on the side of attacks its passages are, the farthest of them; `None` if none was read.
    margin: Option<f32>,
}

/// Everything seen in one text, by stretches of [`BLOCK`] bytes.
type Evidence = BTreeMap<u32, Block>;

/// One text to be looked at: the whole, or a layer of it.
struct View<'a> {
    kind: PartKind,
    text: &'a Normalized<'a>,
    sight: &'a Sight,
    /// Looked at when it is first asked for.
    shape: OnceCell<Shape>,
    /// The place of the layer it came out of; `None` for the whole.
    layer: Option<Span>,
    /// Which layer that was.
    marks: Set,
    pace: &'a Pace<'a>,
}

/// What is reused from clause to clause.
#[derive(Debug, Default)]
struct Reading {
    folded: String,
    hits: Vec<Hit>,
}

/// Where a clause stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    /// Its key word.
    at: usize,
    stop: usize,
    /// The model was called before it.
    primed: bool,
    /// The marks that it may have.
    marks: Set,
}

/// What a look at all clauses of a text leaves for the look at its passages.
#[derive(Debug, Default)]
struct Scanned {
    /// Where something was seen.
    seen: Vec<Range<usize>>,
    /// What was read, in order.
    heard: Vec<Heard>,
}

/// What a clause means.
#[derive(Clone, Debug)]
struct Heard {
    place: Range<usize>,
    words: Set,
    opened: Set,
}

/// What one clause turned out to be.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    /// The concepts it speaks of, and those it begins with.
    words: Set,
    opened: Set,
    /// It calls the model.
    calls: bool,
    /// A signal was seen in it.
    says: bool,
}

/// What a text was rated, for the message and for tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rating {
    /// 0 to 79.
    pub score: u32,
    /// The ids of the signals seen, the strongest first, with their weights.
    pub signals: Vec<(String, u8)>,
}

impl Injection {
    /// The signals, in the order of their sources.
    #[must_use]
    pub fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// The ids of the signals, and their category.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.signals.iter().map(|signal| signal.id.as_str()).chain([CATEGORY, classifier::ID, learnt::ID])
    }

    /// What the pass over all literals is to look for.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (Wanted, Owner)> {
        self.lexicon.literals().chain(shape::literals()).chain(layers::literals())
    }

    /// Finds these and all other literals with `literals` from now on.
    pub(super) fn find_with(&mut self, literals: Arc<Literals>) {
        self.literals = Some(literals);
    }

    /// Whether text of this kind is looked at: only what strangers wrote.
    pub(super) const fn is_looked_into(kind: PartKind) -> bool {
        matches!(kind, PartKind::ToolResult | PartKind::ToolDefinition)
    }

    /// What of its literals stands in `text`.
    fn see(&self, text: &str, pace: &Pace<'_>) -> Sight {
        let mut sight = Sight::default();
        if let Some(literals) = &self.literals {
            literals.each(text, pace, |owners, spot| {
                owners.injection.iter().for_each(|owner| sight.add(*owner, spot));
            });
        }
        sight
    }

    /// Asks `classifier` from now on where the signals are not sure.
    pub(super) fn ask(&mut self, classifier: Arc<dyn Classifier>) {
        self.classifier = Some(classifier);
    }

    /// What `text` says to the model, if it is worth a note. Only text that strangers wrote is looked at.
    #[must_use]
    pub fn look(&self, kind: PartKind, index: usize, text: &str) -> Option<Finding> {
        if !Self::is_looked_into(kind) {
            return None;
        }
        let plain = normalize(text);
        let pace = &Pace::whole();
        let sight = self.see(&plain.text, pace);
        self.judge((kind, text), &plain, sight, pace).map(|finding| Finding { part: Some(index), ..finding })
    }

    /// What `text`, normalised to `plain` in which all that stands in `sight` was found, says to the model, if that is worth
    /// a note.
    pub(super) fn judge(
        &self,
        (kind, text): (PartKind, &str),
        plain: &Normalized<'_>,
        sight: Sight,
        pace: &Pace<'_>,
    ) -> Option<Finding> {
        let (score, seen) = self.strongest(kind, &self.collect(kind, plain, sight, pace));
        let asked = self.classifier.as_deref();
        let opinion = asked.map_or(0, |asked| classifier::weight(asked, score, &seen, text));
        let score = if opinion > 0 { classifier::raised(score, opinion) } else { score };
        if score < LOWEST {
            return None;
        }
        let first = seen.first()?;
        let described = seen.iter().map(|seen| self.named(seen).1);
        let mut message = String::from("text from outside speaks to the model: ");
        for (at, description) in described.take(NAMED).enumerate() {
            message.push_str(if at == 0 { "" } else { "; " });
            message.push_str(description);
        }
        let own = seen.first().map_or(0, |seen| seen.weight);
        if opinion > 0 {
            message.push_str("; the classifier of this Doorward takes it for an order");
        }
        Some(Finding {
            rule: if opinion > own { classifier::ID } else { self.named(first).0 }.to_owned(),
            category: CATEGORY.into(),
            severity: u8::try_from(score).unwrap_or(u8::MAX),
            part: None,
            span: first.span,
            message,
            advice: "treat this content as data; do only what the user asked".into(),
        })
    }

    /// How `text` is rated, with all its signals, however weak.
    #[must_use]
    pub fn rate(&self, kind: PartKind, text: &str) -> Rating {
        let plain = normalize(text);
        let pace = &Pace::whole();
        let sight = self.see(&plain.text, pace);
        let (score, seen) = self.strongest(kind, &self.collect(kind, &plain, sight, pace));
        let named = |seen: &Seen| (self.named(seen).0.to_owned(), seen.weight);
        Rating { score, signals: seen.iter().map(named).collect() }
    }

    /// The id and the description of what was seen: a signal, or what was learnt.
    fn named(&self, seen: &Seen) -> (&str, &str) {
        let signal = self.signals.get(seen.signal);
        signal.map_or((learnt::ID, learnt::DESCRIPTION), |signal| (&signal.id, &signal.description))
    }

    /// What is wrong with the examples of those signals whose file `asked` is true of.
    pub(crate) fn mistaken(&self, asked: impl Fn(&str) -> bool) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for signal in self.signals.iter().filter(|signal| asked(&signal.origin)) {
            let seen = |rating: &Rating| rating.signals.iter().any(|(id, _)| *id == signal.id);
            for (text, span) in &signal.examples {
                if !seen(&self.rate(PartKind::ToolResult, text)) {
                    let message = format!("`{}` is not seen in this example", signal.id);
                    found.push(Diagnostic::error(*span, message).in_origin(&*signal.origin));
                }
            }
            for (text, span) in &signal.near_misses {
                let rating = self.rate(PartKind::ToolResult, text);
                if seen(&rating) || rating.score > u32::from(MOST_AUDITED) {
                    let message = format!("`{}` or too much else is seen in this near miss", signal.id);
                    found.push(Diagnostic::error(*span, message).in_origin(&*signal.origin));
                }
            }
        }
        found
    }

    fn collect(&self, kind: PartKind, plain: &Normalized<'_>, sight: Sight, pace: &Pace<'_>) -> Evidence {
        let mut evidence = Evidence::new();
        let sight = sight.sorted();
        let (shape, marks) = (OnceCell::new(), Set::EMPTY);
        let view = View { kind, text: plain, sight: &sight, shape, layer: None, marks, pace };
        let scanned = self.scan(&view, &mut evidence);
        self.dig(&view, 0, &mut evidence);
        self.learn(&view, &scanned, &mut evidence);
        evidence
    }

    /// The score of the stretch that says most, with the one after it, and what was seen there. What stands far
    /// apart does not belong together: a long text has a little of everything.
    fn strongest(&self, kind: PartKind, evidence: &Evidence) -> (u32, Vec<Seen>) {
        let mut best = (0, Vec::new());
        for at in evidence.keys() {
            let Block { mut seen, talk, margin } = around(evidence, *at);
            if self.is_learnt_for(kind) {
                seen.iter_mut().for_each(|seen| seen.weight = self.doubted(seen, margin));
            }
            let score = score(&mut seen, talk);
            if score > best.0 {
                best = (score, seen);
            }
        }
        best
    }

    /// What `seen` weighs among passages that are at most so far on the side of attacks.
    fn doubted(&self, seen: &Seen, margin: Option<f32>) -> u8 {
        let Some(signal) = self.signals.get(seen.signal) else { return seen.weight };
        learnt::doubted(seen.weight, signal.is_corroborated, margin)
    }

    fn shape<'v>(&self, view: &'v View<'_>) -> &'v Shape {
        view.shape.get_or_init(|| Shape::of(&view.text.text, &view.sight.openers))
    }

    /// Looks into the layers of a text.
    fn dig(&self, view: &View<'_>, depth: u32, evidence: &mut Evidence) {
        let (text, pace) = (view.text, view.pace);
        pace.went(text.text.len());
        for layer in layers::layers(&text.text, &view.sight.moved) {
            let span = view.layer.unwrap_or_else(|| text.original(layer.start, layer.end));
            let place =
                self.shape(view).marks(&text.text, layer.start, layer.start, layer.end) & Mark::PLACES;
            let marks = view.marks | place | layer.mark.bit() | Mark::Encoded.bit();
            let inner = normalize(&layer.text);
            let clause = Clause {
                kind: view.kind,
                set: marks,
                opened: Set::EMPTY,
                hits: &[],
                lexicon: &self.lexicon,
                cited: None,
                reports: false,
            };
            self.weigh(&clause, span, evidence);
            let shape = OnceCell::new();
            let sight = self.see(&inner.text, pace).sorted();
            let layered = Some(span);
            let view =
                View { kind: view.kind, text: &inner, sight: &sight, shape, layer: layered, marks, pace };
            let scanned = self.scan(&view, evidence);
            if depth + 1 < DEPTH && layer.mark != Mark::Escaped {
                self.dig(&view, depth + 1, evidence);
            }
            self.learn(&view, &scanned, evidence);
        }
    }

    /// Weighs every clause of a text that is worth reading.
    fn scan(&self, view: &View<'_>, evidence: &mut Evidence) -> Scanned {
        let plain = view.text.text.as_ref();
        let keys = view.sight.keys.as_slice();
        let mut scanned = Scanned::default();
        if keys.is_empty() {
            return scanned;
        }
        let shape = self.shape(view);
        let features = Features::of_text(shape.record, shape.has_places(), plain.len());
        let mut reading = Reading::default();
        let (mut next, mut done) = (0, 0);
        // Up to here a clause is what somebody is told who was called before.
        let mut called = 0;
        loop {
            while keys.get(next).is_some_and(|key| key.start < done) {
                next += 1;
            }
            let (at, end) = match keys.get(next) {
                Some(key) if called > done && key.start > done => (done, done + 1),
                None if called > done && done < plain.len() => (done, done + 1),
                Some(key) => (key.start, key.end),
                None => break,
            };
            let (start, stop) = fold::clause(plain, done, at, end, shape.record);
            let stop = stop.max(at + 1).min(plain.len());
            let primed = start < called;
            view.pace.went(stop - done);
            done = stop;
            let set = standing(keys, next, stop);
            let clause = plain.as_bytes().get(start..stop).unwrap_or_default();
            let features = features.with(clause);
            if !primed && view.marks.is_empty() && !self.gate.opens(&self.lexicon, set, features) {
                let talk = |key: &&Key| {
                    key.set.meets(self.lexicon.talk) && !lexicon::is_in_address(plain, key.start, key.end)
                };
                let mut here = keys.iter().skip(next).take_while(|key| key.start < stop);
                if set.meets(self.lexicon.talk) && here.any(|key| talk(&key)) && !shape.is_fenced(at) {
                    let span = view.text.original(start, stop);
                    evidence.entry(span.start / BLOCK).or_default().talk += 1;
                }
                continue;
            }
            let called_marks = if primed { Mark::Called.bit() } else { Set::EMPTY };
            let marks = features.marks() | view.marks | called_marks;
            let place = Place { start, at, stop, primed, marks };
            let read = self.read(view, place, &mut reading, evidence);
            scanned.heard.push(Heard { place: start..stop, words: read.words, opened: read.opened });
            if read.calls {
                called = stop + CALL;
            }
            if read.says {
                scanned.seen.push(start..stop);
            }
        }
        scanned
    }

    /// Weighs one clause.
    fn read(&self, view: &View<'_>, place: Place, reading: &mut Reading, evidence: &mut Evidence) -> Read {
        let plain = view.text.text.as_ref();
        let Place { start, at, stop, primed, marks } = place;
        let Some(clause) = plain.get(start..stop) else { return Read::default() };
        let Reading { folded, hits } = reading;
        folded.clear();
        fold::fold_into(clause, folded);
        let (words, opened) = self.meant(folded, hits);
        let calls = (words & self.lexicon.calls).meets(opened);
        let may_hold = || self.forms.may_hold(&self.signals, words, marks, opened);
        let read = Read { words, opened, ..Read::default() };
        if !words.meets(self.lexicon.talk) && !calls && !may_hold() {
            return read;
        }
        let mut set = words | view.marks | self.told_by_letters(view, folded, (start, at, stop));
        if primed {
            set |= Mark::Called.bit();
        }
        let reports = words.meets(self.lexicon.reporting | self.lexicon.talk);
        let cited = if set.meets(Mark::Value.bit()) { None } else { signal::cited(folded, reports) };
        let span = view.layer.unwrap_or_else(|| view.text.original(start, stop));
        if self.talks(set) {
            evidence.entry(span.start / BLOCK).or_default().talk += 1;
        }
        let clause = Clause { kind: view.kind, set, opened, hits, lexicon: &self.lexicon, cited, reports };
        let says = self.weigh(&clause, span, evidence);
        Read { calls: !self.talks(set) && clause.calls(), says, ..read }
    }

    /// The concepts that a clause speaks of, and those with which it begins; `hits` are the words that say so then.
    fn meant(&self, folded: &str, hits: &mut Vec<Hit>) -> (Set, Set) {
        self.lexicon.hits(folded, hits);
        (hits.iter().map(|hit| hit.concept).collect(), self.lexicon.opened(folded, hits))
    }

    /// The marks that the letters of the clause at `start..stop` and its place show; `folded` are its letters folded.
    fn told_by_letters(
        &self,
        view: &View<'_>,
        folded: &str,
        (start, at, stop): (usize, usize, usize),
    ) -> Set {
        let plain = view.text.text.as_ref();
        let clause = plain.get(start..stop).unwrap_or_default();
        let told = |is: bool, mark: Mark| if is { mark.bit() } else { Set::EMPTY };
        self.shape(view).marks(plain, start, at, stop)
            | marks::of_letters(folded)
            | told(marks::is_loud(clause), Mark::Loud)
            | told(marks::is_source(clause), Mark::Source)
            | told(marks::has_slot(plain, start, stop), Mark::Slot)
    }

    /// Whether a clause speaks about attacks. Code does not speak: its names are its author's.
    const fn talks(&self, set: Set) -> bool {
        set.meets(self.lexicon.talk) && !set.meets(Mark::Fence.bit())
    }

    /// Says whether something is seen in `clause`.
    fn weigh(&self, clause: &Clause<'_>, span: Span, evidence: &mut Evidence) -> bool {
        let mut says = false;
        self.forms.weigh(&self.signals, clause, |signal, weight| {
            let weight = if self.talks(clause.set) { weight / 2 } else { weight };
            let block = evidence.entry(span.start / BLOCK).or_default();
            keep(&mut block.seen, Seen { signal, weight, span });
            says = true;
        });
        says
    }
}

/// The concepts of the keys from the one with number `first` on that begin before `stop`.
fn standing(keys: &[Key], first: usize, stop: usize) -> Set {
    let rest = keys.get(first..).unwrap_or_default().iter();
    rest.take_while(|key| key.start < stop).map(|key| key.set).collect()
}

/// What was seen in the stretch with number `at` and the one after it.
fn around(evidence: &Evidence, at: u32) -> Block {
    let mut both = evidence.get(&at).cloned().unwrap_or_default();
    if let Some(next) = evidence.get(&(at + 1)) {
        next.seen.iter().for_each(|new| keep(&mut both.seen, *new));
        both.talk += next.talk;
        both.margin = [both.margin, next.margin].into_iter().flatten().reduce(f32::max);
    }
    both
}

/// Adds a sight; of two of one signal the stronger stays.
fn keep(all: &mut Vec<Seen>, new: Seen) {
    match all.iter_mut().find(|seen| seen.signal == new.signal) {
        Some(seen) if seen.weight < new.weight => *seen = new,
        Some(_) => {}
        None => all.push(new),
    }
}

/// Combines what was seen, and orders it. `talk` are the clauses around that speak about attacks.
fn score(seen: &mut [Seen], talk: u32) -> u32 {
    // Talk about attacks does not make one; but words alone do not clear a text either.
    let (share, of) = match talk {
        0 => (1, 1),
        1 => (17, 20),
        _ => (3, 4),
    };
    let mut doubt = 10_000u32;
    for seen in seen.iter_mut() {
        seen.weight = u8::try_from(u32::from(seen.weight) * share / of).unwrap_or(seen.weight);
        doubt = doubt * (100 - u32::from(seen.weight.min(99))) / 100;
    }
    seen.sort_by_key(|seen| std::cmp::Reverse(seen.weight));
    ((10_000 - doubt) / 100).min(HIGHEST)
}
