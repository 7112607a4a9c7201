//! JSONPath (RFC 9535) over [`View`]s, for conditions.
//!
//! It says more than a list of nodes: what only some readers would find at a path is found and not sure, and a path
//! that would take too much work, or leads through what is not read, is unknown from there on. `spec/policy.md` has
//! the differences from the RFC.

mod evaluate;
pub(super) use evaluate::Nodes;

mod filter;
use filter::Filter;

mod parse;

use crate::action::request::{View, loose_name};

/// A path, compiled.
#[derive(Debug)]
pub(super) struct Path {
    segments: Vec<Segment>,
    /// How the field of a form may be called that it leads to, if it leads to one value at most.
    name: Option<FieldName>,
}

/// What the field of a form may be called that stands at the end of some keys.
#[derive(Debug)]
struct FieldName {
    /// The key, if it is the only one.
    only: Option<Box<str>>,
    /// What is left of the keys when one forgets how servers write nesting.
    loose: Box<str>,
}

/// One step of a path.
#[derive(Debug)]
struct Segment {
    /// `..`: from the node and everything below it.
    descendant: bool,
    selectors: Vec<Selector>,
}

/// What one step selects among the children of a node.
#[derive(Debug)]
enum Selector {
    Name(Box<str>),
    Wildcard,
    Index(i64),
    Slice { start: Option<i64>, end: Option<i64>, step: i64 },
    Filter(Box<Filter>),
}

/// What is wrong with a path, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) advice: String,
}

impl Path {
    /// Compiles a path: of RFC 9535 if it begins with `$` and is one, otherwise keys and indices between dots.
    ///
    /// # Errors
    /// If it is neither, or has more than one `..`.
    pub(super) fn compile(text: &str) -> Result<Self, Wrong> {
        let segments = parse::path(text)?;
        let name = name_of(&segments);
        Ok(Self { segments, name })
    }

    /// Whether it leads to one value at most: names and indices only.
    pub(super) const fn is_singular(&self) -> bool {
        self.name.is_some()
    }

    /// What it leads to.
    pub(super) fn find<'a>(&'a self, view: View<'a>) -> Nodes<'a> {
        evaluate::find(self, view)
    }
}

fn name_of(segments: &[Segment]) -> Option<FieldName> {
    let key = |segment: &Segment| match (segment.descendant, segment.selectors.as_slice()) {
        (false, [Selector::Name(name)]) => Some(name.clone()),
        (false, [Selector::Index(index)]) => Some(index.to_string().into()),
        _ => None,
    };
    let keys: Vec<Box<str>> = segments.iter().map(key).collect::<Option<_>>()?;
    let loose = loose_name(keys.iter().map(|key| &**key)).into();
    let only = if let [key] = keys.as_slice() { Some(key.clone()) } else { None };
    Some(FieldName { only, loose })
}

#[cfg(test)]
mod tests;
