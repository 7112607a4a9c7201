//! Conditions on requests: paths on bodies, and the bodies themselves.

use doorward_core::action::request::{Body, Content, Header, Request};
use doorward_core::action::{Action, alone};
use doorward_core::policy::{Given, Policy, Truth};
use doorward_core::session::Facts;
use doorward_core::syntax::{Kind, Node, Source, json};
use serde_json::Value;

fn posted(content_type: &str, body: &[u8]) -> Request {
    let headers = vec![Header { name: "Content-Type".into(), value: content_type.as_bytes().into() }];
    Request::new("POST", "https://api.example.com/", headers, Body::Whole(body.to_vec().into()))
}

/// What a policy with the single condition `condition` knows of `action`; `None` if it does not load.
fn holds(condition: &str, action: &Action) -> Option<Truth> {
    let text = format!("default: allow\nrules:\n- name: r\n  deny: {{body: {condition}}}\n");
    let policy = Policy::compile(&[Source { name: "policy", text: &text }]).ok()?;
    let facts = Facts::default();
    let given = Given {
        effects: &action.effects,
        home: "",
        findings: &[],
        facts: &facts,
        lists: &doorward_core::detect::destination::Lists::default(),
    };
    policy.explain(action, &given).first().map(|rule| rule.holds)
}

/// A path, a line feed, and a body. Existence and absence are complements; what is not JSON to `serde_json` is
/// unknown; a path of plain names leads where `serde_json` goes.
pub fn jsonpath(data: &[u8]) {
    let mut halves = data.splitn(2, |byte| *byte == b'\n');
    let (path, body) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    let Ok(path) = std::str::from_utf8(path) else { return };
    if path.contains(char::is_control) || body.is_empty() {
        return;
    }
    let quoted = String::from_utf8_lossy(&json::quoted(path)).into_owned();
    let action = alone::request(posted("application/json", body));
    let there = holds(&format!("{{jsonpath: {quoted}}}"), &action);
    let absent = holds(&format!("{{jsonpath: {quoted}, present: false}}"), &action);
    let Some(there) = there else {
        assert_eq!(absent, None, "{path} loads in one of two conditions");
        return;
    };
    let complement = match there {
        Truth::Yes => Truth::No,
        Truth::Unknown => Truth::Unknown,
        Truth::No => Truth::Yes,
    };
    assert_eq!(absent, Some(complement), "{path}: there {there:?}, absent {absent:?}");
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        // Numbers beyond its own are refused by `serde_json`.
        if json::parse(body).is_err() {
            assert_eq!(there, Truth::Unknown, "{path} on what is not JSON");
        }
        return;
    };
    if json::parse(body).is_ok() {
        plain(path, &value, there);
    }
}

/// What is known of `$.a.b`, by another walk.
fn plain(path: &str, value: &Value, there: Truth) {
    let Some(names) = path.strip_prefix("$.") else { return };
    let names: Vec<&str> = names.split('.').collect();
    let is_name = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    if !names.iter().all(is_name) {
        return;
    }
    let exact = names.iter().try_fold(value, |value, name| value.as_object()?.get(*name));
    if exact.is_some_and(|value| !value.is_null()) {
        assert_eq!(there, Truth::Yes, "{path}");
    } else {
        assert_ne!(there, Truth::Yes, "{path} leads nowhere");
    }
}

const TYPES: [&str; 4] = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "text/plain",
];

/// The first byte chooses the type. A body reads the same twice; as JSON it is JSON to `serde_json`; as a form it
/// has as many values as there are pairs or parts, and those are in the body.
pub fn body(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let choice = usize::from(*choice) % TYPES.len();
    let Some(content_type) = TYPES.get(choice) else { return };
    let request = posted(content_type, body);
    let again = posted(content_type, body);
    let (Content::Read(trees), Content::Read(others)) = (request.content(), again.content()) else {
        assert_eq!(
            matches!(request.content(), Content::Read(_)),
            matches!(again.content(), Content::Read(_)),
            "the same bytes read differently"
        );
        return;
    };
    assert!(!trees.is_empty(), "read, in no way");
    for (tree, other) in trees.iter().zip(others) {
        assert_eq!(tree.view().root(), other.view().root(), "the same bytes read differently");
        if !tree.view().is_form() {
            assert!(std::str::from_utf8(body).is_ok(), "JSON that is not UTF-8");
            continue;
        }
        let leaves = leaves(tree.view().root());
        let pairs = match choice {
            1 => body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).count(),
            _ => body.windows(3).filter(|window| window == b"--b").count() - 1,
        };
        assert_eq!(leaves.len(), pairs, "values lost or made up");
        if choice == 2 {
            let found = |text: &str| body.windows(text.len().max(1)).any(|window| window == text.as_bytes());
            let texts = leaves.iter().filter_map(|leaf| leaf.as_str());
            texts.for_each(|text| assert!(text.is_empty() || found(text), "a value that was not sent"));
        }
    }
}

fn leaves(node: &Node) -> Vec<&Node> {
    match &node.kind {
        Kind::Array(elements) => elements.iter().flat_map(leaves).collect(),
        Kind::Object(members) => members.iter().flat_map(|member| leaves(&member.value)).collect(),
        _ => vec![node],
    }
}
