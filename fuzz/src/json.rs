//! Strict JSON, against `serde_json`.

use doorward_core::syntax::json::{FaultKind, parse, quoted};
use doorward_core::syntax::{Kind, Node, Span};
use serde_json::Value;

/// What our reader accepts, `serde_json` accepts with an equal value, and what we refuse, it refuses too,
/// but for what we are stricter in on purpose.
pub fn json(data: &[u8]) {
    let theirs = serde_json::from_slice::<Value>(data);
    match (parse(data), theirs) {
        (Ok(node), Ok(value)) => {
            assert!(equal(&node, &value), "read differently: {node:?} and {value:?}");
            spans(&node, Span::new(0, u32::try_from(data.len()).unwrap_or(u32::MAX)), data);
        }
        (Ok(node), Err(error)) => assert!(beyond(&node, 1), "serde_json refuses what we read: {error}"),
        (Err(fault), Ok(_)) => {
            let stricter = matches!(
                fault.kind,
                FaultKind::DuplicateKey | FaultKind::Depth | FaultKind::Nodes | FaultKind::ByteOrderMark
            );
            assert!(stricter, "we refuse what serde_json reads: {fault}");
        }
        (Err(fault), Err(_)) => assert!(fault.at as usize <= data.len(), "a fault outside of the text"),
    }
}

/// Whether two readers saw the same value.
pub fn equal(node: &Node, value: &Value) -> bool {
    match (&node.kind, value) {
        (Kind::Null, Value::Null) => true,
        (Kind::Bool(ours), Value::Bool(theirs)) => ours == theirs,
        (Kind::Number(digits), Value::Number(theirs)) => match (theirs.as_i64(), theirs.as_u64()) {
            (Some(number), _) => digits.parse() == Ok(number),
            (_, Some(number)) => digits.parse() == Ok(number),
            // serde_json rounds in its own way, by a few units in the last place.
            _ => digits.parse::<f64>().is_ok_and(|ours| {
                theirs.as_f64().is_some_and(|theirs| (ours - theirs).abs() <= ours.abs() * 1e-14)
            }),
        },
        (Kind::String(ours), Value::String(theirs)) => ours.is_well_formed() && ours.as_str() == theirs,
        (Kind::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| equal(ours, theirs))
        }
        (Kind::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().all(|member| {
                    theirs.get(member.key.as_str()).is_some_and(|theirs| equal(&member.value, theirs))
                })
        }
        _ => false,
    }
}

/// Whether `serde_json` cannot hold this: half a surrogate pair, a number beyond its floats, its own depth.
fn beyond(node: &Node, depth: u32) -> bool {
    depth > 127
        || match &node.kind {
            Kind::Number(digits) => digits.parse::<f64>().is_ok_and(f64::is_infinite),
            Kind::String(text) => !text.is_well_formed(),
            Kind::Array(elements) => elements.iter().any(|element| beyond(element, depth + 1)),
            Kind::Object(members) => {
                members.iter().any(|m| !m.key.is_well_formed() || beyond(&m.value, depth + 1))
            }
            Kind::Null | Kind::Bool(_) => false,
        }
}

/// Every value lies within its parent, and its bytes alone are the same value.
fn spans(node: &Node, parent: Span, source: &[u8]) {
    let Span { start, end } = node.span;
    assert!(parent.start <= start && start < end && end <= parent.end, "a value outside of its parent");
    match &node.kind {
        Kind::Number(digits) => assert_eq!(digits.as_bytes(), node.span.of(source), "not these digits"),
        Kind::String(text) => {
            assert_eq!(parse(node.span.of(source)).map(|again| again.kind), Ok(node.kind.clone()));
            let again = parse(&quoted(text)).ok();
            assert_eq!(again.as_ref().and_then(Node::as_str), Some(text.as_str()), "quoting changes a text");
        }
        Kind::Array(elements) => elements.iter().for_each(|element| spans(element, node.span, source)),
        Kind::Object(members) => {
            for member in members {
                let key = parse(member.key_span.of(source)).map(|key| key.kind);
                assert_eq!(key, Ok(Kind::String(member.key.clone())), "a key's span is not the key");
                spans(&member.value, node.span, source);
            }
        }
        Kind::Null | Kind::Bool(_) => {}
    }
}
