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

use crate::action::request::View;

/// A path, compiled.
#[derive(Debug)]
pub(super) struct Path {
    segments: Vec<Segment>,
    /// The keys on the way if the path is singular: how the field of a form may be called.
    keys: Option<Vec<Box<str>>>,
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
        let keys = keys_of(&segments);
        Ok(Self { segments, keys })
    }

    /// Whether it leads to one value at most: names and indices only.
    pub(super) const fn is_singular(&self) -> bool {
        self.keys.is_some()
    }

    /// What it leads to.
    pub(super) fn find<'a>(&'a self, view: View<'a>) -> Nodes<'a> {
        evaluate::find(self, view)
    }
}

fn keys_of(segments: &[Segment]) -> Option<Vec<Box<str>>> {
    let key = |segment: &Segment| match (segment.descendant, segment.selectors.as_slice()) {
        (false, [Selector::Name(name)]) => Some(name.clone()),
        (false, [Selector::Index(index)]) => Some(index.to_string().into()),
        _ => None,
    };
    segments.iter().map(key).collect()
}

#[cfg(test)]
mod tests;
