//! Signals: what a clause says, in terms of concepts and marks, and how much that weighs.

use std::ops::Range;

use super::lexicon::{Draft, Hit, Lexicon};
use super::marks::Mark;
use super::set::Set;
use crate::action::PartKind;
use crate::syntax::decode::Fields;
use crate::syntax::{Diagnostic, Node, Span};

/// One signal.
#[derive(Debug)]
pub struct Signal {
    /// Its id, such as `inject.override`.
    pub id: String,
    /// What was seen, for a person.
    pub description: String,
    /// Texts in which it must be seen, and where they stand.
    pub examples: Vec<(String, Span)>,
    /// Texts in which it must not be seen and which must stay below the line.
    pub near_misses: Vec<(String, Span)>,
    /// The file it stands in, as its source is named.
    pub origin: String,
    forms: Vec<Form>,
    /// Whether it means something in a tool's definition too, which is full of instructions.
    in_definitions: bool,
    /// Whether honest texts say the same so often that it decides only where what was learnt speaks for it too.
    pub(super) is_corroborated: bool,
}

/// One way for a signal to hold in a clause.
#[derive(Debug)]
pub(super) struct Form {
    /// From each of these at least one.
    all: Vec<Set>,
    /// Nothing of this.
    none: Set,
    /// One of each of these stands where an order begins.
    starts: Vec<Set>,
    /// How sure it makes, in percent.
    weight: u8,
}

const PARTS: [(&str, bool); 2] = [("tool_result", false), ("tool_definition", true)];

impl Signal {
    /// Reads one element of `signals`.
    pub(in crate::detect) fn read(
        origin: &str,
        node: &Node,
        draft: &Draft,
        faults: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let mut fields = Fields::of(node, "a signal", faults);
        let id = fields.text("id");
        let description = fields.text("description");
        let weight = fields.whole("weight", 5..=79).and_then(|weight| u8::try_from(weight).ok());
        let in_definitions = fields.choices("in", &PARTS).contains(&true);
        let is_corroborated = fields.maybe_bool("corroborated").unwrap_or(false);
        let forms = fields.list("forms");
        let owned = |texts: Vec<(&str, _)>| {
            texts.into_iter().map(|(text, span)| (text.to_owned(), span)).collect::<Vec<_>>()
        };
        let examples = owned(fields.texts("examples"));
        let near_misses = owned(fields.texts("near_misses"));
        if examples.is_empty() || near_misses.is_empty() {
            fields.fault(node.span, "a signal needs at least one example and one near miss", "");
        }
        if forms.is_empty() {
            fields.fault(node.span, "a signal needs `forms`: what must stand in one clause", "");
        }
        fields.finish();
        let weight = weight?;
        let forms = forms.iter().map(|form| Form::read(form, weight, draft, faults)).collect();
        Some(Self {
            id: id?.to_owned(),
            description: description?.to_owned(),
            examples,
            near_misses,
            origin: origin.to_owned(),
            forms,
            in_definitions,
            is_corroborated,
        })
    }

    /// For each of its forms what must stand in a clause: from each of these one.
    pub(super) fn needs(&self) -> impl Iterator<Item = &[Set]> {
        self.forms.iter().map(|form| form.all.as_slice())
    }

    pub(super) fn forms(&self) -> &[Form] {
        &self.forms
    }

    /// Whether it means something in text of this kind.
    pub(super) fn is_for(&self, kind: PartKind) -> bool {
        kind != PartKind::ToolDefinition || self.in_definitions
    }
}

impl Form {
    fn read(node: &Node, weight: u8, draft: &Draft, faults: &mut Vec<Diagnostic>) -> Self {
        let mut fields = Fields::of(node, "a form", faults);
        let all = fields.texts("all");
        let none = fields.texts("none");
        let start = fields.texts("start");
        let own = fields.maybe_whole("weight", 5..=79).and_then(|weight| u8::try_from(weight).ok());
        if all.is_empty() && start.is_empty() {
            fields.fault(node.span, "a form needs `all` or `start`", "");
        }
        fields.finish();
        let mut each = |names: Vec<(&str, _)>| {
            names.into_iter().map(|(names, span)| draft.set(names, span, faults)).collect::<Vec<Set>>()
        };
        let starts = each(start);
        let mut sets = each(all);
        let none = each(none).into_iter().collect();
        sets.extend(&starts);
        // Marks of decoded layers are tried on their own, what follows a call is read without one; everything
        // else is reached by a key word.
        let concepts = sets.iter().any(|set| !set.is_within(Mark::ALL_BITS));
        let reached = draft.reached() | Mark::Called.bit();
        if concepts && !sets.iter().any(|set| set.is_within(reached)) {
            faults.push(
                Diagnostic::error(node.span, "no concept of this form is a key")
                    .advise("the first pass looks for words of concepts with `key: true` only"),
            );
        }
        Self { all: sets, none, starts, weight: own.unwrap_or(weight) }
    }

    /// The one of its sets that fewest clauses meet, as far as that can be told, and whether it is one of what opens a clause.
    /// A set of few concepts is met less often than one of many, and one with marks, which stand in every second clause, more.
    pub(super) fn rarest(&self) -> (Set, bool) {
        let often = |set: &&Set| (set.meets(Mark::ALL_BITS), set.bits().count());
        let start = self.starts.iter().min_by_key(often).map(|set| (*set, true));
        let held = || self.all.iter().min_by_key(often).map(|set| (*set, false));
        start.or_else(held).unwrap_or_default()
    }

    /// Whether it may hold in a clause with these `words`, and with marks of those in `set` beside them, where an order begins of
    /// `opened`.
    pub(super) fn may_hold(&self, words: Set, set: Set, opened: Set) -> bool {
        self.starts.iter().all(|start| start.meets(opened))
            && self.all.iter().all(|wanted| wanted.meets(set))
            && !self.none.meets(words)
    }

    /// Its weight in `clause`. What is cited is not said: an order in quotation marks weighs half.
    pub(super) fn weigh(&self, clause: &Clause<'_>) -> u8 {
        if !self.all.iter().all(|set| set.meets(clause.set)) || self.none.meets(clause.set) {
            return 0;
        }
        if !self.starts.iter().all(|start| start.meets(clause.opened)) {
            return 0;
        }
        if self.starts.iter().all(|start| clause.begins(*start, false)) {
            let half = self.starts.is_empty() && clause.cited.is_some() && clause.reports;
            return if half { self.weight / 2 } else { self.weight };
        }
        let cited = clause.cited.is_some() && self.starts.iter().all(|start| clause.begins(*start, true));
        if cited { self.weight / 2 } else { 0 }
    }
}

/// A clause with what is known of it.
#[derive(Debug)]
pub(super) struct Clause<'a> {
    pub(super) kind: PartKind,
    pub(super) set: Set,
    /// The concepts of words that stand where an order may begin.
    pub(super) opened: Set,
    pub(super) hits: &'a [Hit],
    pub(super) lexicon: &'a Lexicon,
    /// Where it cites somebody.
    pub(super) cited: Option<Range<usize>>,
    /// It has words by which a text quotes or speaks about attacks.
    pub(super) reports: bool,
}

impl Clause<'_> {
    /// Whether it calls the model or pretends to be the system, so that what follows is said to the one who was
    /// called.
    pub(super) fn calls(&self) -> bool {
        let source = self.set.meets(Mark::Source.bit());
        let calls = self.set & if source { self.lexicon.tokens } else { self.lexicon.calls };
        !calls.is_empty() && self.begins(calls, false)
    }

    /// Whether a word of one of `concepts` stands where an order begins, be it one that is cited.
    fn begins(&self, concepts: Set, even_cited: bool) -> bool {
        let cited = |at: &usize| self.cited.as_ref().is_some_and(|span| span.contains(at));
        let mut orders = self.hits.iter().filter(|hit| concepts.has(hit.concept));
        orders.any(|hit| hit.opens && (even_cited || !cited(&hit.start)))
    }
}

/// What a folded clause cites: sentences in quotation marks after words of its own, from the first to the last.
/// What stands in quotation marks as a whole is not cited, for nobody says so; nor is a value after a colon, unless
/// the clause `reports`.
pub(super) fn cited(folded: &str, reports: bool) -> Option<Range<usize>> {
    let mut found: Option<Range<usize>> = None;
    let mut before = ' ';
    let (mut letters, mut from) = (0usize, 0);
    for (at, c) in folded.char_indices() {
        // Inside of quotation marks that were looked at.
        if at < from {
            continue;
        }
        letters += usize::from(c.is_alphabetic());
        if let Some(close) = closing(c, before) {
            let start = at + c.len_utf8();
            let rest = folded.get(start..).unwrap_or_default();
            let length = rest.find(close).unwrap_or(rest.len());
            let inside = rest.get(..length).unwrap_or_default();
            let value = folded.get(..at).unwrap_or_default().trim_end().ends_with([':', '=', ',']);
            let said = reports || found.is_some() || !value;
            if letters >= 6 && length >= 12 && inside.contains(' ') && said {
                found = Some(found.map_or(start, |found| found.start)..start + length);
            }
            from = start + length + close.len_utf8();
        }
        before = c;
    }
    found
}

/// The mark that closes what `c` opens, if it opens something after `before`.
const fn closing(c: char, before: char) -> Option<char> {
    match c {
        '"' | '`' => Some(c),
        '\'' if !before.is_ascii_alphanumeric() => Some(c),
        '\u{2018}' => Some('\u{2019}'),
        '\u{201c}' => Some('\u{201d}'),
        '\u{201e}' => Some('\u{201c}'),
        '\u{ab}' => Some('\u{bb}'),
        '\u{300c}' => Some('\u{300d}'),
        _ => None,
    }
}
