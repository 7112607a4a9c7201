//! Strict YAML, against our JSON, which is its subset, and against itself.

use doorward_core::syntax::{Kind, Node, Span, json, yaml};

/// The YAML reader agrees with the JSON reader on what both accept, keeps its bounds, and names at least one
/// fault, within the text, for what it refuses.
pub fn yaml(data: &[u8]) {
    let end = u32::try_from(data.len()).unwrap_or(u32::MAX);
    match yaml::parse(data) {
        Ok(node) => {
            bounds(&node, Span::new(0, end), 0);
            if let Ok(json) = json::parse(data) {
                assert!(same(&node, &json), "YAML reads {node:?} where JSON reads {json:?}");
            }
        }
        Err(faults) => {
            assert!((1..=200).contains(&faults.len()), "{} faults", faults.len());
            for fault in &faults {
                assert!(fault.span.start <= fault.span.end, "an inverted span: {fault:?}");
                assert!(!fault.message.is_empty(), "a fault without words");
                let (line, column) = fault.position(data);
                assert!(line >= 1 && column >= 1 && line <= data.len() + 1, "a fault outside of the text");
            }
        }
    }
}

/// Values within bounds, keys distinct.
fn bounds(node: &Node, source: Span, depth: usize) {
    assert!(depth <= yaml::MAX_DEPTH, "deeper than allowed");
    assert!(node.span.start <= node.span.end && node.span.end <= source.end, "a value outside of the text");
    node.elements().iter().for_each(|element| bounds(element, source, depth + 1));
    let mut keys: Vec<&str> = node.members().iter().map(|member| member.key.as_str()).collect();
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), all, "a key twice");
    node.members().iter().for_each(|member| bounds(&member.value, source, depth + 1));
}

/// Whether two trees hold the same value, wherever it stands.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.kind, &b.kind) {
        (Kind::Array(a), Kind::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Kind::Object(a), Kind::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.key == b.key && same(&a.value, &b.value))
        }
        (Kind::Number(a), Kind::Number(b)) => a == b || a.parse::<f64>() == b.parse::<f64>(),
        (a, b) => a == b,
    }
}
