//! What is asked of one value.

use std::cmp::Ordering;

use doorward_core::syntax::Node;
use regex::Regex;

use super::super::number::{Decimal, Written, written};
use super::super::truth::Truth;
use super::value::Value;

/// The operators that are about a value that is there.
pub const OPERATORS: [&str; 8] = ["max", "min", "exact", "in", "prefix", "suffix", "contains", "regex"];

/// Whether `value` fulfils one operator with this argument.
pub fn holds(operator: &str, argument: &Node, value: &Value, form: bool) -> Truth {
    match operator {
        "exact" => equals(&Value::of(argument), value, form),
        "in" => Truth::any(argument.elements().iter().map(|one| equals(&Value::of(one), value, form))),
        _ => scalar(value, &|value| match operator {
            "max" => bound(argument, value, Ordering::Greater),
            "min" => bound(argument, value, Ordering::Less),
            _ => text(operator, argument, value),
        }),
    }
}

/// Whether `value`, or one element of it, fulfils all that is asked of a text.
pub fn texts_hold(asked: &[(&str, &Node)], value: &Value) -> Truth {
    scalar(value, &|value| {
        Truth::all(asked.iter().map(|(operator, argument)| text(operator, argument, value)))
    })
}

/// A list is unknown if an element, at any depth, is not false.
fn scalar(value: &Value, holds: &dyn Fn(&Value) -> Truth) -> Truth {
    match value {
        Value::Unread(_) => Truth::Unknown,
        Value::List(elements) => {
            let any = elements.iter().any(|element| scalar(element, holds) != Truth::False);
            Truth::known(false, any)
        }
        value => holds(value),
    }
}

/// False if the value compares with the bound as it must not.
fn bound(bound: &Node, value: &Value, wrong: Ordering) -> Truth {
    let Some(bound) = bound.scalar().and_then(|digits| Decimal::of(&digits)) else { return Truth::Unknown };
    let number = match value {
        Value::Number(digits) => Decimal::of(digits).map_or(Written::Unclear, Written::Number),
        Value::Text { text, .. } => written(text),
        _ => Written::No,
    };
    match number {
        Written::Number(number) => Truth::sure(number.compare(&bound) != wrong),
        Written::Unclear => Truth::Unknown,
        Written::No => Truth::False,
    }
}

fn text(operator: &str, argument: &Node, value: &Value) -> Truth {
    let wanted = argument.as_str().unwrap_or_default();
    let fits = |text: &str| fits(operator, wanted, text);
    match value {
        Value::Text { text, whole: true, .. } => fits(text),
        Value::Text { .. } => Truth::Unknown,
        Value::Bool(value) => Truth::known(false, fits(&value.to_string()) != Truth::False),
        Value::Number(digits) => {
            let short = digits.len() <= 15
                && digits != "-0"
                && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
            Truth::known(false, !short || fits(digits) != Truth::False)
        }
        _ => Truth::False,
    }
}

/// Whether a text fulfils an operator on texts.
pub fn fits(operator: &str, wanted: &str, text: &str) -> Truth {
    match operator {
        "prefix" => Truth::sure(text.starts_with(wanted)),
        "suffix" => Truth::sure(text.ends_with(wanted)),
        "contains" => Truth::sure(text.contains(wanted)),
        _ => Regex::new(wanted).map_or(Truth::Unknown, |regex| Truth::sure(regex.is_match(text))),
    }
}

/// Equality of JSON, and where a reader that converts could see it. A list where none is asked for is unknown if an
/// element is not false.
fn equals(wanted: &Value, found: &Value, form: bool) -> Truth {
    match (wanted, found) {
        (_, Value::Unread(_)) => Truth::Unknown,
        (Value::List(a), Value::List(b)) if a.len() == b.len() => {
            Truth::all(a.iter().zip(b).map(|(a, b)| equals(a, b, form)))
        }
        (Value::Map(a), Value::Map(b)) if a.len() == b.len() => {
            Truth::all(a.iter().map(|(key, a)| match b.iter().find(|(other, _)| other == key) {
                Some((_, b)) => equals(a, b, form),
                None => Truth::False,
            }))
        }
        (Value::List(_), _) => Truth::False,
        (_, Value::List(elements)) => {
            Truth::known(false, elements.iter().any(|found| equals(wanted, found, form) != Truth::False))
        }
        (Value::Map(_), _) | (_, Value::Map(_)) => Truth::False,
        (Value::Text { text: a, whole: true, .. }, Value::Text { text: b, whole: true, .. }) => {
            Truth::sure(a == b)
        }
        (Value::Text { .. }, Value::Text { .. }) => Truth::Unknown,
        (Value::Number(a), Value::Number(b)) => match (Decimal::of(a), Decimal::of(b)) {
            (Some(a), Some(b)) => Truth::sure(a.compare(&b) == Ordering::Equal),
            _ => Truth::Unknown,
        },
        (Value::Bool(a), Value::Bool(b)) => Truth::sure(a == b),
        (Value::Null, Value::Null) => Truth::True,
        (a, b) => mixed(a, b).or(mixed(b, a)).and(certain_in_a_form(a, b, form)),
    }
}

/// In a form all values are text, so there what is written as the value is the value.
fn certain_in_a_form(wanted: &Value, found: &Value, form: bool) -> Truth {
    let (true, Value::Text { text, .. }) = (form, found) else { return Truth::Unknown };
    match (wanted, written(text)) {
        (Value::Number(_), Written::Number(_)) => Truth::True,
        (Value::Bool(value), _) if *text == value.to_string() => Truth::True,
        _ => Truth::Unknown,
    }
}

/// Scalars of different types: true where a reader that converts `b` could take it for `a`, unknown where it is not clear.
fn mixed(a: &Value, b: &Value) -> Truth {
    match (a, b) {
        (Value::Number(a), Value::Text { text, .. }) => match (Decimal::of(a), written(text)) {
            (Some(a), Written::Number(b)) => Truth::sure(a.compare(&b) == Ordering::Equal),
            (_, Written::No) => Truth::False,
            _ => Truth::Unknown,
        },
        (Value::Bool(wanted), Value::Number(digits)) => match Decimal::of(digits) {
            Some(number) => Truth::sure(Decimal::of(if *wanted { "1" } else { "0" }) == Some(number)),
            None => Truth::Unknown,
        },
        (Value::Bool(wanted), Value::Text { text, .. }) => {
            let words = if *wanted {
                ["true", "1", "t", "yes", "y", "on"]
            } else {
                ["false", "0", "f", "no", "n", "off"]
            };
            Truth::sure(words.contains(&&*text.to_lowercase()))
        }
        (Value::Null, Value::Text { text, .. }) => Truth::sure(text.is_empty()),
        _ => Truth::False,
    }
}
