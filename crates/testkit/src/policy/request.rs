//! Conditions on requests: method, headers, body.

use doorward_core::action::request::{Body, Request};
use doorward_core::syntax::Node;

use super::body::{self, Content, conditions};
use super::rule::texts;
use super::truth::Truth;

const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Whether `request` fulfils the condition `key`.
pub fn condition(key: &str, value: &Node, request: &Request) -> Truth {
    match key {
        "method" => method(value, request),
        "headers" => Truth::all(conditions(value).into_iter().map(|condition| header(condition, request))),
        _ => body::judge(value, &content(request)),
    }
}

fn method(value: &Node, request: &Request) -> Truth {
    let listed = texts(value);
    let one = |method: &str| {
        Truth::known(
            listed.contains(&method),
            listed.iter().any(|listed| listed.eq_ignore_ascii_case(method)),
        )
    };
    let overrides = request
        .headers()
        .iter()
        .filter(|header| OVERRIDES.contains(&&*header.name.to_ascii_lowercase().replace('_', "-")));
    let overrides = overrides.map(|header| match std::str::from_utf8(&header.value) {
        Ok(method) => one(method),
        Err(_) => Truth::Unknown,
    });
    Truth::agree(std::iter::once(one(request.method())).chain(overrides))
}

const OPERATORS: [&str; 6] = ["exact", "in", "prefix", "suffix", "contains", "regex"];

fn header(condition: &Node, request: &Request) -> Truth {
    let name = condition.text("name").unwrap_or_default().to_ascii_lowercase();
    let alike = request.headers().iter().any(|header| {
        let other = header.name.to_ascii_lowercase();
        other != name && other.replace('_', "-") == name.replace('_', "-")
    });
    if alike {
        return Truth::Unknown;
    }
    let values: Vec<&[u8]> = request.header(&name).collect();
    let wants_none = condition.get("present").and_then(Node::as_bool) == Some(false);
    if values.is_empty() || wants_none {
        return Truth::sure(values.is_empty() && wants_none);
    }
    let asked: Vec<(&str, &Node)> =
        OPERATORS.iter().filter_map(|operator| Some((*operator, condition.get(operator)?))).collect();
    let joined = values.join(b", ".as_slice());
    let readings = std::iter::once(joined.as_slice()).chain(values.iter().copied());
    Truth::agree(
        readings.map(|value| Truth::all(asked.iter().map(|(word, wanted)| one(word, wanted, value)))),
    )
}

fn one(operator: &str, wanted: &Node, value: &[u8]) -> Truth {
    let Some(text) = std::str::from_utf8(value).ok().filter(|text| text.is_ascii()) else {
        return Truth::Unknown;
    };
    match operator {
        "exact" | "in" => Truth::sure(texts(wanted).contains(&text)),
        operator => body::fits(operator, wanted.as_str().unwrap_or_default(), text),
    }
}

pub fn content(request: &Request) -> Content {
    match request.body() {
        Body::Absent => Content::Absent,
        Body::Unknown(_) => Content::Unknown,
        Body::Whole(bytes) => {
            let types: Vec<&[u8]> = request.header("content-type").collect();
            match types.as_slice() {
                [] => body::read(None, bytes),
                [one] => body::read(Some(one), bytes),
                _ => Content::Unknown,
            }
        }
    }
}
