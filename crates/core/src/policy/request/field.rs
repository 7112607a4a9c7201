//! The value of one field, as the key of a counter.

use super::super::jsonpath::Path;
use super::super::number::{Decimal, Numeral};
use super::conditions::read_path;
use super::error;
use crate::action::request::{Content, Request, View};
use crate::syntax::{Diagnostic, Kind, Node};

/// A path to one value.
#[derive(Debug)]
pub(in super::super) struct Field(Path);

impl Field {
    /// Reads a singular path: of keys and indices only.
    pub(in super::super) fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Option<Self> {
        let path = read_path(node, faults)?;
        if path.is_singular() {
            return Some(Self(path));
        }
        faults.push(error(node.span, "a path to several values", "name one: keys and indices only"));
        None
    }

    /// The value in a tree: the same text for the same value, however it is spelled. `None` if there is none, or
    /// none that all readers agree on.
    pub(in super::super) fn value(&self, view: View<'_>) -> Option<String> {
        let nodes = self.0.find(view);
        let found = nodes.found.only()?;
        if nodes.unknown || !found.sure {
            return None;
        }
        match &found.node.kind {
            Kind::Number(digits) => Some(format!("#{}", Decimal::parse(digits)?.canonical())),
            Kind::String(text) if text.is_well_formed() => Some(match Numeral::of(text) {
                Numeral::Exact(value) => format!("#{}", value.canonical()),
                _ => format!("={}", text.as_str()),
            }),
            Kind::Bool(value) => Some(format!("={value}")),
            _ => None,
        }
    }

    /// The value in a request's body, if it has one reading.
    pub(in super::super) fn value_in(&self, request: &Request) -> Option<String> {
        match request.content() {
            Content::Read(trees) => match trees.as_slice() {
                [tree] => self.value(tree.view()),
                _ => None,
            },
            Content::Absent | Content::Unknown(_) => None,
        }
    }
}
