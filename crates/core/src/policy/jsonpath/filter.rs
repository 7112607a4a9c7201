//! What stands behind `?` in a path.

use regex::Regex;

use super::super::pattern;
use super::Segment;

/// A filter, compiled.
#[derive(Debug)]
pub(super) enum Filter {
    /// `a || b`
    Any(Vec<Filter>),
    /// `a && b`
    All(Vec<Filter>),
    /// `!a`
    Not(Box<Filter>),
    /// `a == b`
    Compare(Value, Comparison, Value),
    /// A path alone: whether it leads anywhere.
    Exists(Query),
    /// `match(…)`, `search(…)`
    Matches(Value, Pattern),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Different,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// What can be compared.
#[derive(Debug)]
pub(super) enum Value {
    Literal(Literal),
    Query(Query),
    /// `length(…)`
    Length(Box<Value>),
    /// `count(…)`
    Count(Query),
    /// `value(…)`
    Only(Query),
}

#[derive(Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    /// As it is spelled.
    Number(Box<str>),
    Text(Box<str>),
}

/// A path within a filter.
#[derive(Debug)]
pub(super) struct Query {
    /// From the root (`$`), not from the node that is tested (`@`).
    pub absolute: bool,
    pub segments: Vec<Segment>,
    singular: bool,
}

/// A regular expression.
#[derive(Debug)]
pub(super) struct Pattern(Regex);

impl Query {
    pub(super) fn new(absolute: bool, segments: Vec<Segment>) -> Self {
        let singular = super::name_of(&segments).is_some();
        Self { absolute, segments, singular }
    }

    /// Whether it leads to one node at most.
    pub(super) const fn is_singular(&self) -> bool {
        self.singular
    }
}

impl Pattern {
    pub(super) fn compile(text: &str, whole: bool) -> Result<Self, String> {
        pattern::compile_iregexp(text, whole).map(Self)
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}
