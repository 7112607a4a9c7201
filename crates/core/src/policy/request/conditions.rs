//! Conditions on the values in a body, or in the arguments of a call.

use super::super::jsonpath::{Nodes, Path};
use super::super::truth::Truth;
use super::operators::Operators;
use super::{LONGEST, error, one_or_more};
use crate::action::request::View;
use crate::syntax::decode::Fields;
use crate::syntax::{Diagnostic, Node};

/// The most conditions in one list.
const MOST: usize = 64;

/// Conditions that must all hold.
#[derive(Debug, Default)]
pub(in super::super) struct Conditions(Vec<Condition>);

/// What is asked of the values at one path.
#[derive(Debug)]
struct Condition {
    path: Path,
    /// Whether there must be a value, or must be none.
    present: bool,
    operators: Operators,
}

impl Conditions {
    /// Takes the conditions under `key`, if there are any.
    pub(in super::super) fn maybe(key: &'static str, fields: &mut Fields<'_, '_>) -> Self {
        fields.maybe(key).map_or_else(Self::default, |node| Self::read(node, key, fields.faults()))
    }

    /// Reads one condition or a list of them; `key` is what they are called in the policy.
    pub(in super::super) fn read(node: &Node, key: &str, faults: &mut Vec<Diagnostic>) -> Self {
        let nodes = one_or_more(node, key, faults);
        if nodes.len() > MOST {
            faults.push(error(node.span, format!("more than {MOST} conditions"), ""));
            return Self::default();
        }
        Self(nodes.iter().filter_map(|node| Condition::read(node, key, faults)).collect())
    }

    /// Whether nothing is asked.
    pub(in super::super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all hold.
    pub(in super::super) fn hold(&self, view: View<'_>) -> Truth {
        self.0.iter().fold(Truth::Yes, |all, condition| all.min_with(|| condition.holds(view)))
    }

    /// Whether all hold where there is no body at all.
    pub(in super::super) fn hold_of_nothing(&self) -> Truth {
        self.0.iter().all(|condition| !condition.present).into()
    }
}

impl Condition {
    fn read(node: &Node, key: &str, faults: &mut Vec<Diagnostic>) -> Option<Self> {
        let what = format!("a condition in `{key}`");
        let mut fields = Fields::of(node, &what, faults);
        let path = fields.need("jsonpath");
        let path = path.and_then(|path| read_path(path, fields.faults()));
        let present = fields.maybe_bool("present");
        let operators = Operators::read(node, &mut fields);
        if present == Some(false) && !operators.is_empty() {
            fields.fault(
                node.span,
                "what is not there has no value: this can never hold",
                "leave `present: false` alone",
            );
        }
        fields.finish();
        Some(Self { path: path?, present: present.unwrap_or(true), operators })
    }

    fn holds(&self, view: View<'_>) -> Truth {
        let nodes = self.path.find(view);
        if !self.present {
            return match exists(&nodes, view) {
                Truth::Yes => Truth::No,
                Truth::Unknown => Truth::Unknown,
                Truth::No => Truth::Yes,
            };
        }
        if self.operators.is_empty() {
            return exists(&nodes, view);
        }
        // Readers that differ on what stands there must agree on what is asked.
        let absent = !nodes.found.iter().any(|found| found.sure);
        let each = nodes.found.iter().map(|found| self.operators.hold(found.node, view.is_form()));
        let all = each.chain(absent.then_some(Truth::No)).chain(nodes.unknown.then_some(Truth::Unknown));
        all.reduce(|a, b| if a == b { a } else { Truth::Unknown }).unwrap_or(Truth::No)
    }
}

/// Whether there is a value. `null` is one for some readers and none for others.
fn exists(nodes: &Nodes<'_>, view: View<'_>) -> Truth {
    let there = |node: &Node| view.is_form() || !node.is_null();
    if nodes.found.iter().any(|found| found.sure && there(found.node)) {
        Truth::Yes
    } else if nodes.unknown || !nodes.found.is_empty() {
        Truth::Unknown
    } else {
        Truth::No
    }
}

/// A path, or the fault that it is none.
pub(super) fn read_path(node: &Node, faults: &mut Vec<Diagnostic>) -> Option<Path> {
    let Some(text) = node.as_str() else {
        let message = format!("a path must be text, not {}", node.kind_name());
        faults.push(error(node.span, message, "put it in quotes"));
        return None;
    };
    if text.len() > LONGEST {
        faults.push(error(node.span, format!("a path longer than {LONGEST} bytes"), ""));
        return None;
    }
    match Path::compile(text) {
        Ok(path) => Some(path),
        Err(wrong) => {
            faults.push(error(node.span, wrong.message, wrong.advice));
            None
        }
    }
}
