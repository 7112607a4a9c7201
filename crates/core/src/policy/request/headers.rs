//! Conditions on the headers of a request.

use super::super::truth::Truth;
use super::operators::Texts;
use super::{error, is_token, meant, one_or_more, same_but_for_underscores};
use crate::action::request::Request;
use crate::syntax::decode::Fields;
use crate::syntax::{Diagnostic, Node};

/// The most conditions in one list.
const MOST: usize = 64;

/// Conditions that must all hold.
#[derive(Debug, Default)]
pub(super) struct Headers(Vec<Condition>);

#[derive(Debug)]
struct Condition {
    name: Box<str>,
    present: bool,
    exact: Option<Box<str>>,
    any: Vec<Box<str>>,
    texts: Texts,
}

impl Headers {
    pub(super) fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Self {
        let nodes = one_or_more(node, "headers", faults);
        if nodes.len() > MOST {
            faults.push(error(node.span, format!("more than {MOST} conditions"), ""));
            return Self::default();
        }
        Self(nodes.iter().filter_map(|node| Condition::read(node, faults)).collect())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn hold(&self, request: &Request) -> Truth {
        self.0.iter().fold(Truth::Yes, |all, condition| all.min_with(|| condition.holds(request)))
    }
}

impl Condition {
    fn read(node: &Node, faults: &mut Vec<Diagnostic>) -> Option<Self> {
        let mut fields = Fields::of(node, "a condition in `headers`", faults);
        let name = fields.need("name");
        let present = fields.maybe_bool("present");
        let exact = fields.maybe("exact").and_then(|node| value(node, "exact", &mut fields));
        let list = fields.maybe("in");
        let any: Vec<Box<str>> =
            fields.list("in").iter().filter_map(|node| value(node, "in", &mut fields)).collect();
        let texts = Texts::read(&mut fields);
        if list.is_some_and(|list| list.is_array() && list.elements().is_empty()) {
            fields.fault(node.span, "`in` is an empty list: no value is in it", "fill it");
        }
        let asks = exact.is_some() || !any.is_empty() || !texts.is_empty();
        if present == Some(false) && asks {
            let advice = "leave `present: false` alone";
            fields.fault(node.span, "what is not there has no value: this can never hold", advice);
        }
        let called = name.and_then(Node::as_str).filter(|name| is_token(name));
        if let (Some(name), None) = (name, called) {
            let advice =
                meant(name.as_str().unwrap_or_default().trim_end_matches(':'), &["Host", "Content-Type"]);
            fields.fault(name.span, "no name of a header", advice);
        }
        fields.finish();
        Some(Self { name: called?.into(), present: present.unwrap_or(true), exact, any, texts })
    }

    fn holds(&self, request: &Request) -> Truth {
        let values = request.header(&self.name);
        let alike = request.headers().iter().any(|header| {
            !header.name.eq_ignore_ascii_case(&self.name)
                && header.name.len() == self.name.len()
                && same_but_for_underscores(&header.name, &self.name)
        });
        if alike { Truth::Unknown } else { self.value(values) }
    }

    fn value<'a>(&self, mut values: impl Iterator<Item = &'a [u8]> + Clone) -> Truth {
        let all = values.clone();
        let Some(first) = values.next() else { return (!self.present).into() };
        if !self.present {
            return Truth::No;
        }
        let asks = self.exact.is_some() || !self.any.is_empty() || !self.texts.is_empty();
        if !asks {
            return Truth::Yes;
        }
        // Bytes beyond ASCII are Latin-1 for some readers and UTF-8 for others.
        let text = |value: &'a [u8]| std::str::from_utf8(value).ok().filter(|text| text.is_ascii());
        let Some(first) = text(first) else { return Truth::Unknown };
        let alone = values.next().is_none();
        if alone {
            return self.fits(first).into();
        }
        let Some(texts) = all.map(text).collect::<Option<Vec<&str>>>() else { return Truth::Unknown };
        let joined = Truth::from(self.fits(&texts.join(", ")));
        // Readers take all values, the first or the last.
        let agree = texts.iter().all(|text| Truth::from(self.fits(text)) == joined);
        if agree { joined } else { Truth::Unknown }
    }

    fn fits(&self, value: &str) -> bool {
        self.exact.as_ref().is_none_or(|exact| **exact == *value)
            && (self.any.is_empty() || self.any.iter().any(|one| **one == *value))
            && self.texts.hold(value)
    }
}

/// A value to be compared with. It may be empty: a header's value may be.
fn value(node: &Node, key: &'static str, fields: &mut Fields<'_, '_>) -> Option<Box<str>> {
    match node.as_str() {
        Some(text) if text.trim() == text && !text.contains(char::is_control) => Some(text.into()),
        Some(_) => {
            let message =
                format!("no value of a header is this `{key}`: they have no white space around them");
            fields.fault(node.span, message, "");
            None
        }
        None => {
            let message = format!("`{key}` must be text, not {}", node.kind_name());
            fields.fault(node.span, message, "put it in quotes: headers are text");
            None
        }
    }
}
