//! Conditions on what a request carries and on the arguments of a call.

mod form;
mod media;
mod operators;
mod path;
mod query;
mod value;

use doorward_core::syntax::{Node, json};

use super::number::{Decimal, Written, written};
use super::truth::Truth;
pub use operators::fits;
use operators::{OPERATORS, holds, texts_hold};
use path::Query;
use value::{Document, Found, Value};

/// What is known of a body.
pub enum Content {
    /// There is none.
    Absent,
    /// Nobody knows.
    Unknown,
    /// Every way to read it.
    Read(Vec<Document>),
}

/// The conditions of a list, or one alone.
pub fn conditions(node: &Node) -> Vec<&Node> {
    if node.is_array() { node.elements().iter().collect() } else { vec![node] }
}

/// Whether `body` fulfils all conditions.
pub fn judge(node: &Node, body: &Content) -> Truth {
    let all = |judge: &dyn Fn(&Node) -> Truth| Truth::all(conditions(node).into_iter().map(judge));
    match body {
        Content::Absent => all(&|condition| Truth::sure(wants_none(condition))),
        Content::Unknown => all(&|_| Truth::Unknown),
        // A server reads a body in one way: in that, all conditions hold or not.
        Content::Read(readings) => {
            Truth::agree(readings.iter().map(|reading| all(&|condition| one(condition, reading))))
        }
    }
}

/// The same of no body.
pub fn absent(node: &Node) -> Truth {
    judge(node, &Content::Absent)
}

/// The same of the arguments of a call.
pub fn arguments(node: &Node, text: &str) -> Truth {
    let content = match json::parse(text.as_bytes()) {
        Ok(tree) if tree.is_object() => {
            Content::Read(vec![Document { root: Value::of(&tree), fields: None }])
        }
        _ => Content::Unknown,
    };
    judge(node, &content)
}

/// What the arguments of a call say.
pub fn of_arguments(text: &str) -> Content {
    match json::parse(text.as_bytes()) {
        Ok(tree) if tree.is_object() => {
            Content::Read(vec![Document { root: Value::of(&tree), fields: None }])
        }
        _ => Content::Unknown,
    }
}

/// The one value at `path` that is sure, written the same however it is spelled.
pub fn single(path: &str, content: Content) -> Option<String> {
    let Content::Read(readings) = content else { return None };
    let [document] = readings.as_slice() else { return None };
    let found = query::find(&Query::of(path)?, document);
    let [Found { value, sure: true }] = found.as_slice() else { return None };
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(digits) => Some(format!("{:?}", Decimal::of(digits)?)),
        Value::Text { text, whole: true, .. } => Some(match written(text) {
            Written::Number(number) => format!("{number:?}"),
            _ => text.clone(),
        }),
        _ => None,
    }
}

/// What a body of this type is.
pub fn read(content_type: Option<&[u8]>, bytes: &[u8]) -> Content {
    media::read(content_type, bytes).map_or(Content::Unknown, Content::Read)
}

fn wants_none(condition: &Node) -> bool {
    condition.get("present").and_then(Node::as_bool) == Some(false)
}

fn one(condition: &Node, document: &Document) -> Truth {
    let Some(query) = condition.text("jsonpath").and_then(Query::of) else { return Truth::Unknown };
    let found = query::find(&query, document);
    if wants_none(condition) {
        return exists(&found).not();
    }
    let asked: Vec<(&str, &Node)> =
        OPERATORS.iter().filter_map(|operator| Some((*operator, condition.get(operator)?))).collect();
    if asked.is_empty() {
        return exists(&found);
    }
    let form = document.is_form();
    let (others, texts): (Vec<_>, Vec<_>) =
        asked.into_iter().partition(|(word, _)| ["max", "min", "exact", "in"].contains(word));
    let fulfils = |value: &Value| {
        Truth::all(others.iter().map(|(word, argument)| holds(word, argument, value, form)))
            .and(if texts.is_empty() { Truth::True } else { texts_hold(&texts, value) })
    };
    let absent = (!found.iter().any(|found| found.sure)).then_some(Truth::False);
    Truth::agree(found.iter().map(|found| fulfils(&found.value)).chain(absent))
}

/// "A value that is sure and not `null` is there."
fn exists(found: &[Found]) -> Truth {
    Truth::known(found.iter().any(|found| found.sure && found.value != Value::Null), !found.is_empty())
}
