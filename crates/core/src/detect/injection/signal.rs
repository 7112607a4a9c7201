//! Signals: what a clause says, in terms of concepts and marks, and how much that weighs.

use super::lexicon::{Draft, Hit, Lexicon, Set};
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
}

/// One way for a signal to hold in a clause.
#[derive(Debug)]
struct Form {
    /// From each of these at least one.
    all: Vec<Set>,
    /// Nothing of this.
    none: Set,
    /// One of these stands where an order begins.
    start: Set,
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
        })
    }

    /// The weight with which it holds in a clause, 0 if it does not.
    pub(super) fn weigh(&self, clause: &Clause<'_>) -> u8 {
        if clause.kind == PartKind::ToolDefinition && !self.in_definitions {
            return 0;
        }
        self.forms.iter().filter(|form| form.holds(clause)).map(|form| form.weight).max().unwrap_or(0)
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
        let mut sets: Vec<Set> =
            all.into_iter().map(|(names, span)| draft.set(names, span, faults)).collect();
        let mut join = |names: Vec<(&str, _)>| {
            names.into_iter().fold(0, |set, (names, span)| set | draft.set(names, span, faults))
        };
        let (none, start) = (join(none), join(start));
        if start != 0 {
            sets.push(start);
        }
        // Marks of decoded layers are tried on their own; everything else is reached by a key word.
        let concepts = sets.iter().any(|set| set & u128::MAX >> 32 != 0);
        if concepts && !sets.iter().any(|set| set & !draft.keys() == 0) {
            faults.push(
                Diagnostic::error(node.span, "no concept of this form is a key")
                    .advise("the first pass looks for words of concepts with `key: true` only"),
            );
        }
        Self { all: sets, none, start, weight: own.unwrap_or(weight) }
    }

    fn holds(&self, clause: &Clause<'_>) -> bool {
        self.all.iter().all(|set| set & clause.set != 0)
            && self.none & clause.set == 0
            && (self.start == 0 || clause.begins(self.start))
    }
}

/// A clause with what is known of it.
#[derive(Debug)]
pub(super) struct Clause<'a> {
    pub(super) kind: PartKind,
    pub(super) folded: &'a str,
    pub(super) set: Set,
    pub(super) hits: &'a [Hit],
    pub(super) lexicon: &'a Lexicon,
}

impl Clause<'_> {
    /// Whether a word of one of `concepts` stands where an order begins.
    fn begins(&self, concepts: Set) -> bool {
        let orders = self.hits.iter().filter(|hit| concepts & (1 << hit.concept) != 0);
        orders.into_iter().any(|hit| hit.free || self.lexicon.opens(self.folded, self.hits, hit.start))
    }
}
