//! What a path finds.

use std::cmp::Ordering;

use regex::RegexBuilder;

use super::super::number::{Decimal, Written, written};
use super::super::truth::Truth;
use super::path::{Logic, Operand, Query, Segment, Selector};
use super::value::{Document, Found, Value};

/// How many values one side of a comparison may have.
const MOST_CASES: usize = 8;

/// Everything that `query` finds in `document`.
pub fn find(query: &Query, document: &Document) -> Vec<Found> {
    let mut found = run(query, &document.root, document);
    if let Some(fields) = &document.fields {
        by_whole_name(query, fields, &mut found);
        by_pieces(query, fields, &mut found);
    }
    found
}

fn run(query: &Query, here: &Value, document: &Document) -> Vec<Found> {
    let start = if query.relative { here } else { &document.root };
    let mut nodes = vec![Found { value: start.clone(), sure: true }];
    for segment in &query.segments {
        nodes = nodes.iter().flat_map(|node| step(segment, node, document)).collect();
    }
    nodes
}

fn step(segment: &Segment, node: &Found, document: &Document) -> Vec<Found> {
    let mut from = vec![node.clone()];
    if segment.descends {
        below(node, &mut from);
    }
    let one = |node: &Found| -> Vec<Found> {
        let all = segment.selectors.iter();
        all.flat_map(|selector| select(selector, node, document)).collect()
    };
    from.iter().flat_map(one).collect()
}

/// Everything below, at any depth.
fn below(node: &Found, out: &mut Vec<Found>) {
    for child in children(&node.value) {
        let child = Found { value: child.clone(), sure: node.sure };
        out.push(child.clone());
        below(&child, out);
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::List(elements) => elements.iter().collect(),
        Value::Map(members) => members.iter().map(|(_, value)| value).collect(),
        _ => Vec::new(),
    }
}

fn select(selector: &Selector, node: &Found, document: &Document) -> Vec<Found> {
    let like = |value: &Value, sure: bool| Found { value: value.clone(), sure: node.sure && sure };
    let form = document.is_form();
    if matches!(node.value, Value::Unread(_)) {
        return vec![like(&node.value, false)];
    }
    match selector {
        Selector::Name(name) => match &node.value {
            Value::Map(members) => {
                let exact = members.iter().filter(|(key, _)| key == name).map(|(_, value)| like(value, true));
                let folded = members.iter().filter(|(key, _)| key != name && same_but_for_case(key, name));
                exact.chain(folded.map(|(_, value)| like(value, false))).collect()
            }
            _ => Vec::new(),
        },
        _ if form && matches!(node.value, Value::Text { .. }) => vec![like(&node.value, false)],
        Selector::All => children(&node.value).into_iter().map(|value| like(value, true)).collect(),
        Selector::Index(index) => match &node.value {
            Value::Map(members) if form => {
                let named = members.iter().filter(|(key, _)| *key == index.to_string());
                named.map(|(_, value)| like(value, true)).collect()
            }
            Value::List(elements) if form && elements.iter().any(|value| matches!(value, Value::Map(_))) => {
                elements.iter().map(|value| like(value, false)).collect()
            }
            Value::List(elements) => {
                let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
                let at = if *index < 0 { index + length } else { *index };
                let at = usize::try_from(at).ok();
                at.and_then(|at| elements.get(at)).map(|value| like(value, true)).into_iter().collect()
            }
            _ => Vec::new(),
        },
        Selector::Slice(start, end, step) => match &node.value {
            Value::Map(_) if form => vec![like(&Value::Unread(None), false)],
            Value::List(elements) => slice(elements.len(), *start, *end, *step)
                .into_iter()
                .filter_map(|at| elements.get(at))
                .map(|value| like(value, true))
                .collect(),
            _ => Vec::new(),
        },
        Selector::Filter(logic) => {
            let judged =
                children(&node.value).into_iter().map(|child| (child, holds(logic, child, document)));
            let kept = judged.filter(|(_, truth)| *truth != Truth::False);
            kept.map(|(child, truth)| like(child, truth == Truth::True)).collect()
        }
    }
}

/// The indices of a slice (RFC 9535, section 2.3.4.2).
fn slice(length: usize, start: Option<i64>, end: Option<i64>, step: i64) -> Vec<usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let normal = |at: i64| if at < 0 { length + at } else { at };
    let mut out = Vec::new();
    if step > 0 {
        let from = normal(start.unwrap_or(0)).clamp(0, length);
        let to = normal(end.unwrap_or(length)).clamp(0, length);
        let mut at = from;
        while at < to {
            out.push(at);
            at = at.saturating_add(step);
        }
    } else if step < 0 {
        let from = normal(start.unwrap_or(length - 1)).clamp(-1, length - 1);
        let to = end.map_or(-1, |end| normal(end).clamp(-1, length - 1));
        let mut at = from;
        while at > to {
            out.push(at);
            at = at.saturating_add(step);
        }
    }
    out.into_iter().filter_map(|at| usize::try_from(at).ok()).collect()
}

/// By simple case folding, as the case-insensitive patterns of `regex` do it.
pub fn same_but_for_case(a: &str, b: &str) -> bool {
    let pattern = format!(r"\A(?:{})\z", regex::escape(a));
    RegexBuilder::new(&pattern).case_insensitive(true).build().is_ok_and(|regex| regex.is_match(b))
}

/// A path of one key finds the field of that name.
fn by_whole_name(query: &Query, fields: &[(String, Value)], found: &mut Vec<Found>) {
    let [segment] = query.segments.as_slice() else { return };
    let (false, [Selector::Name(name)]) = (segment.descends, segment.selectors.as_slice()) else { return };
    for (_, value) in fields.iter().filter(|(field, _)| field == name) {
        match found.iter_mut().find(|found| found.value.field() == value.field()) {
            Some(found) => found.sure = true,
            None => found.push(Found { value: value.clone(), sure: true }),
        }
    }
}

/// A path of keys and indices finds the fields whose names have the same pieces.
fn by_pieces(query: &Query, fields: &[(String, Value)], found: &mut Vec<Found>) {
    let mut wanted = Vec::new();
    for segment in &query.segments {
        match (segment.descends, segment.selectors.as_slice()) {
            (false, [Selector::Name(name)]) => wanted.extend(pieces(name)),
            (false, [Selector::Index(index)]) => wanted.extend(pieces(&index.to_string())),
            _ => return,
        }
    }
    for (name, value) in fields {
        let name = pieces(name);
        let same =
            name.len() == wanted.len() && name.iter().zip(&wanted).all(|(a, b)| same_but_for_case(a, b));
        if same && !found.iter().any(|found| found.value.holds(value.field())) {
            found.push(Found { value: value.clone(), sure: false });
        }
    }
}

fn pieces(name: &str) -> Vec<String> {
    let pieces = name.split(['.', '[', ']', '_', '-', '+', ' ']);
    pieces.filter(|piece| !piece.is_empty()).map(str::to_owned).collect()
}

fn holds(logic: &Logic, here: &Value, document: &Document) -> Truth {
    match logic {
        Logic::Or(these) => Truth::any(these.iter().map(|one| holds(one, here, document))),
        Logic::And(these) => Truth::all(these.iter().map(|one| holds(one, here, document))),
        Logic::Not(one) => holds(one, here, document).not(),
        Logic::Exists(query) => {
            let found = run(query, here, document);
            Truth::known(found.iter().any(|found| found.sure), !found.is_empty())
        }
        Logic::Compare(left, word, right) => {
            let (left, right) = (cases(left, here, document), cases(right, here, document));
            let pairs = left.iter().flat_map(|a| right.iter().map(move |b| (a, b)));
            let form = document.is_form();
            Truth::agree(pairs.map(|(a, b)| compare(a.as_ref(), word, b.as_ref(), form)))
        }
        Logic::Regex { of, pattern, whole } => {
            let pattern = if *whole { format!(r"\A(?:{pattern})\z") } else { pattern.clone() };
            let Ok(regex) = RegexBuilder::new(&pattern).crlf(true).build() else { return Truth::Unknown };
            Truth::agree(cases(of, here, document).iter().map(|case| match case {
                Some(Value::Text { text, whole: true, .. }) => Truth::sure(regex.is_match(text)),
                Some(Value::Text { .. } | Value::Unread(_)) => Truth::Unknown,
                _ => Truth::False,
            }))
        }
    }
}

/// What an operand may be; `None` is nothing.
fn cases(operand: &Operand, here: &Value, document: &Document) -> Vec<Option<Value>> {
    match operand {
        Operand::Literal(value) => vec![Some(value.clone())],
        Operand::Query(query) => {
            let found = run(query, here, document);
            if found.len() > MOST_CASES {
                return vec![Some(Value::Unread(None))];
            }
            let absent = (!found.iter().any(|found| found.sure)).then_some(None);
            found.into_iter().map(|found| Some(readable(found.value))).chain(absent).collect()
        }
        Operand::Length(inner) => cases(inner, here, document).iter().map(|c| length(c.as_ref())).collect(),
        Operand::Count(query) => {
            let found = run(query, here, document);
            if found.iter().any(|found| !found.sure) {
                return vec![Some(Value::Unread(None))];
            }
            vec![Some(Value::Number(found.len().to_string()))]
        }
        Operand::ValueOf(query) => {
            let found = run(query, here, document);
            match found.as_slice() {
                [one] if one.sure => vec![Some(readable(one.value.clone()))],
                all if all.iter().any(|found| !found.sure) => vec![Some(Value::Unread(None))],
                _ => vec![None],
            }
        }
    }
}

/// Readers drop, replace or refuse half a surrogate pair.
fn readable(value: Value) -> Value {
    match value {
        Value::Text { whole: false, field, .. } => Value::Unread(field),
        value => value,
    }
}

fn length(value: Option<&Value>) -> Option<Value> {
    let length = match value? {
        Value::Text { text, .. } => text.chars().count(),
        Value::List(elements) => elements.len(),
        Value::Map(members) => members.len(),
        Value::Unread(field) => return Some(Value::Unread(*field)),
        Value::Null | Value::Bool(_) | Value::Number(_) => return None,
    };
    Some(Value::Number(length.to_string()))
}

fn compare(a: Option<&Value>, word: &str, b: Option<&Value>, form: bool) -> Truth {
    match word {
        "==" => equal(a, b, form),
        "!=" => equal(a, b, form).not(),
        "<" => less(a, b, form),
        ">" => less(b, a, form),
        "<=" => less(a, b, form).or(equal(a, b, form)),
        _ => less(b, a, form).or(equal(a, b, form)),
    }
}

fn equal(a: Option<&Value>, b: Option<&Value>, form: bool) -> Truth {
    let (a, b) = match (a, b) {
        (None, None) => return Truth::True,
        (Some(a), Some(b)) => (a, b),
        (Some(Value::Unread(_)), None) | (None, Some(Value::Unread(_))) => return Truth::Unknown,
        _ => return Truth::False,
    };
    if let Some(order) = order(a, b, form) {
        return order.map_or(Truth::Unknown, |order| Truth::sure(order == Ordering::Equal));
    }
    match (a, b) {
        (Value::Unread(_), _) | (_, Value::Unread(_)) => Truth::Unknown,
        (Value::Text { text, .. }, Value::Bool(value)) | (Value::Bool(value), Value::Text { text, .. })
            if form =>
        {
            Truth::sure(*text == value.to_string())
        }
        (Value::List(a), Value::List(b)) if a.len() == b.len() => {
            Truth::all(a.iter().zip(b).map(|(a, b)| equal(Some(a), Some(b), form)))
        }
        (Value::Map(a), Value::Map(b)) if a.len() == b.len() => {
            Truth::all(a.iter().map(|(key, a)| match b.iter().find(|(other, _)| other == key) {
                Some((_, b)) => equal(Some(a), Some(b), form),
                None => Truth::False,
            }))
        }
        (a, b) => Truth::sure(a == b),
    }
}

fn less(a: Option<&Value>, b: Option<&Value>, form: bool) -> Truth {
    if matches!(a, Some(Value::Unread(_))) || matches!(b, Some(Value::Unread(_))) {
        return Truth::Unknown;
    }
    let (Some(a), Some(b)) = (a, b) else { return Truth::False };
    match order(a, b, form) {
        Some(Some(order)) => Truth::sure(order == Ordering::Less),
        Some(None) => Truth::Unknown,
        None => Truth::False,
    }
}

/// The order of two numbers or two texts; `Some(None)` if nobody can tell, `None` if they have none.
fn order(a: &Value, b: &Value, form: bool) -> Option<Option<Ordering>> {
    let number = |value: &Value| match value {
        Value::Number(digits) => Decimal::of(digits).map_or(Written::Unclear, Written::Number),
        Value::Text { text, .. } if form => written(text),
        _ => Written::No,
    };
    match (a, b) {
        (Value::Text { text: a, whole: true, .. }, Value::Text { text: b, whole: true, .. }) => {
            Some(Some(a.cmp(b)))
        }
        (Value::Text { .. }, Value::Text { .. }) => Some(None),
        (Value::Number(_), _) | (_, Value::Number(_)) => match (number(a), number(b)) {
            (Written::No, _) | (_, Written::No) => None,
            (Written::Number(a), Written::Number(b)) => Some(Some(a.compare(&b))),
            _ => Some(None),
        },
        _ => None,
    }
}
