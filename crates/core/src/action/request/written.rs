//! A request that a person wrote down: in the tests beside a policy, in vectors.

use bytes::Bytes;

use super::{Body, Header, Request, Unread};
use crate::syntax::decode::Fields;
use crate::syntax::{Diagnostic, Node, json};

const UNREAD: [(&str, Unread); 4] = [
    (Unread::Tunnelled.as_str(), Unread::Tunnelled),
    (Unread::Unparsed.as_str(), Unread::Unparsed),
    (Unread::Oversize.as_str(), Unread::Oversize),
    (Unread::Encoded.as_str(), Unread::Encoded),
];

impl Request {
    /// Reads `method` (omitted: `GET`), `url`, `headers` (each name with a text or a list of texts) and at most one
    /// of `body` (its text), `json` (a value; without a `Content-Type` it has that of JSON) and `unread` (why the
    /// body is not known). Faults are added to `faults`.
    pub fn written(node: &Node, faults: &mut Vec<Diagnostic>) -> Option<Self> {
        let before = faults.len();
        let mut fields = Fields::of(node, "a request", faults);
        let method = fields.maybe_text("method").unwrap_or("GET");
        let url = fields.text("url");
        let given = fields.present(&["body", "json", "unread"]);
        let text = fields.maybe("body");
        let value = node.get("json");
        fields.maybe("json");
        let unread = fields.maybe_choice("unread", &UNREAD);
        let mut headers =
            fields.maybe("headers").map(|node| written_headers(node, &mut fields)).unwrap_or_default();
        if let Some((key, span)) = given.get(1) {
            fields.fault(*span, format!("a second body: `{key}`"), "give one of body, json, unread");
        }
        let body = match (text, value, unread) {
            (_, _, Some(why)) => Body::Unknown(why),
            (_, Some(value), None) => {
                if !headers.iter().any(|header| header.name.eq_ignore_ascii_case("content-type")) {
                    headers.push(header("Content-Type", "application/json"));
                }
                let mut out = Vec::new();
                json::write(value, &mut out);
                Body::Whole(out.into())
            }
            (Some(text), None, None) => match text.as_str() {
                Some(text) => Body::Whole(Bytes::copy_from_slice(text.as_bytes())),
                None => {
                    fields.fault(text.span, "`body` must be text", "put it in quotes, or write `json:`");
                    Body::Absent
                }
            },
            (None, None, None) => Body::Absent,
        };
        fields.finish();
        let url = url?;
        (faults.len() == before).then(|| Self::new(method, url, headers, body))
    }
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.as_bytes().into() }
}

fn written_headers(node: &Node, fields: &mut Fields<'_, '_>) -> Vec<Header> {
    if !node.is_object() {
        fields.fault(node.span, "`headers` must be a mapping", "write `headers: {Host: example.com}`");
    }
    let mut all = Vec::new();
    for member in node.members() {
        let one = std::slice::from_ref(&member.value);
        let values = if member.value.is_array() { member.value.elements() } else { one };
        for value in values {
            match value.as_str() {
                Some(text) => all.push(header(&member.key, text)),
                None => fields.fault(value.span, "the value of a header must be text", "put it in quotes"),
            }
        }
    }
    all
}
