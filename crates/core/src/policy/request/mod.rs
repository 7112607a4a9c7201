//! Conditions on HTTP requests and on time: `method`, `headers`, `body`, `time_outside`.

use super::truth::Truth;
use crate::action::Capability;
use crate::action::request::{Content, Request};
use crate::session::Millis;
use crate::syntax::decode::{Fields, suggestion};
use crate::syntax::{Diagnostic, Node, Span};

mod conditions;
pub(super) use conditions::Conditions;

mod field;
pub(super) use field::Field;

mod headers;
use headers::Headers;

mod operators;

mod window;
use window::Window;
pub(super) use window::Zones;

/// The longest name, value, pattern or path in a condition, in bytes.
pub(super) const LONGEST: usize = 1024;

/// The keys that are read here.
pub(super) const KEYS: [&str; 5] = ["method", "headers", "body", "time_outside", "timezone"];

/// Headers that have some servers take a request for one of another method.
const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// The conditions on a request in one rule; all must hold.
#[derive(Debug, Default)]
pub(super) struct RequestMatcher {
    methods: Vec<Box<str>>,
    headers: Headers,
    body: Conditions,
    window: Option<Window>,
}

impl RequestMatcher {
    /// Takes its keys out of a rule's matcher, or from beside it.
    pub(super) fn read(fields: &mut Fields<'_, '_>, zones: &mut Zones) -> Self {
        let methods = methods(fields);
        let headers = fields.maybe("headers").map(|node| Headers::read(node, fields.faults()));
        let body = Conditions::maybe("body", fields);
        let window = Window::read(fields, zones);
        Self { methods, headers: headers.unwrap_or_default(), body, window }
    }

    /// This and another; what both ask for this one has.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            methods: if self.methods.is_empty() { other.methods } else { self.methods },
            headers: if self.headers.is_empty() { other.headers } else { self.headers },
            body: if self.body.is_empty() { other.body } else { self.body },
            window: self.window.or(other.window),
        }
    }

    /// Whether it looks into bodies.
    pub(super) fn asks_for_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// Whether it asks for more than the time: then only requests fulfil it.
    pub(super) fn asks_for_request(&self) -> bool {
        !(self.methods.is_empty() && self.headers.is_empty() && self.body.is_empty())
    }

    /// Whether all conditions hold. What is no request fulfils none of them but that on time.
    pub(super) fn holds(&self, request: Option<&Request>, now: Millis) -> Truth {
        self.time(now).min_with(|| {
            if !self.asks_for_request() {
                return Truth::Yes;
            }
            let Some(request) = request else { return Truth::No };
            self.method(request).min_with(|| self.headers.hold(request)).min_with(|| self.body(request))
        })
    }

    /// What is known of the request that an effect with this capability makes, of which nobody saw more.
    pub(super) fn of_effect(&self, capability: Capability) -> Truth {
        use Capability::{BrowserDownload, BrowserNavigate, NetworkFetch, NetworkPost, Unknown};
        let fetches = match capability {
            NetworkFetch | BrowserDownload | BrowserNavigate => true,
            NetworkPost | Unknown => false,
            _ => return Truth::No,
        };
        let fetching =
            |method: &str| ["GET", "HEAD", "OPTIONS"].iter().any(|it| it.eq_ignore_ascii_case(method));
        let method =
            self.methods.is_empty() || !fetches || self.methods.iter().any(|method| fetching(method));
        let body = if self.body.is_empty() || !fetches { Truth::Yes } else { self.body.hold_of_nothing() };
        Truth::from(method).min(body).min(Truth::Unknown)
    }

    /// What is known of a request of which nobody saw anything: when it is made.
    pub(super) fn of_nobody_knows_what(&self, now: Millis) -> Truth {
        self.time(now).min(Truth::Unknown)
    }

    /// Each condition that is given, with its truth; of those on requests only if there is one.
    pub(super) fn explain(&self, request: Option<&Request>, now: Millis) -> Vec<(&'static str, Truth)> {
        let mut all = Vec::new();
        let mut add = |name, given: bool, truth: &dyn Fn() -> Truth| {
            if given {
                all.push((name, truth()));
            }
        };
        if let Some(request) = request {
            add("method", !self.methods.is_empty(), &|| self.method(request));
            add("headers", !self.headers.is_empty(), &|| self.headers.hold(request));
            add("body", !self.body.is_empty(), &|| self.body(request));
        }
        add("time_outside", self.window.is_some(), &|| self.time(now));
        all
    }

    /// Whether it is the time that is asked for, if one is.
    pub(super) fn time(&self, now: Millis) -> Truth {
        self.window.as_ref().map_or(Truth::Yes, |window| window.is_outside(now).into())
    }

    fn method(&self, request: &Request) -> Truth {
        if self.methods.is_empty() {
            return Truth::Yes;
        }
        let overrides = request
            .headers()
            .iter()
            .filter(|header| OVERRIDES.iter().any(|known| same_but_for_underscores(known, &header.name)));
        let sent = self.is_method(request.method());
        let others = overrides.map(|header| match std::str::from_utf8(&header.value) {
            Ok(method) => self.is_method(method),
            Err(_) => Truth::Unknown,
        });
        others.fold(sent, |all, other| if all == other { all } else { Truth::Unknown })
    }

    fn is_method(&self, method: &str) -> Truth {
        if self.methods.iter().any(|known| **known == *method) {
            return Truth::Yes;
        }
        // Some clients and servers put `delete` into capitals, others do not.
        Truth::from(self.methods.iter().any(|known| known.eq_ignore_ascii_case(method))).min(Truth::Unknown)
    }

    fn body(&self, request: &Request) -> Truth {
        if self.body.is_empty() {
            return Truth::Yes;
        }
        match request.content() {
            Content::Absent => self.body.hold_of_nothing(),
            Content::Unknown(_) => Truth::Unknown,
            Content::Read(trees) => {
                let each = trees.iter().map(|tree| self.body.hold(tree.view()));
                each.reduce(|a, b| if a == b { a } else { Truth::Unknown }).unwrap_or(Truth::Unknown)
            }
        }
    }
}

/// Gateways of the CGI kind read `X_Y` as `X-Y`.
fn same_but_for_underscores(a: &str, b: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    a.bytes().map(plain).eq(b.bytes().map(plain))
}

fn methods(fields: &mut Fields<'_, '_>) -> Vec<Box<str>> {
    const USUAL: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    let texts = fields.texts("method");
    for (text, span) in &texts {
        if !is_token(text) {
            let advice = match text.contains([',', ' ']) {
                true => "write a list: `method: [GET, HEAD]`",
                false => "a method is one word: GET, PROPFIND",
            };
            fields.fault(*span, "no method", advice);
        } else if let Some(usual) =
            USUAL.iter().find(|usual| usual.eq_ignore_ascii_case(text) && usual != &text)
        {
            fields.fault(*span, "methods mind case", format!("write `{usual}`"));
        } else if text.len() > LONGEST {
            fields.fault(*span, format!("longer than {LONGEST} bytes"), "");
        }
    }
    texts.into_iter().map(|(text, _)| text.into()).collect()
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fine)
}

/// One mapping or a list of them.
fn one_or_more<'a>(node: &'a Node, key: &str, faults: &mut Vec<Diagnostic>) -> &'a [Node] {
    if node.is_array() && node.elements().is_empty() {
        faults.push(
            Diagnostic::error(node.span, format!("`{key}` is an empty list"))
                .advise(format!("leave `{key}` out or fill it")),
        );
    }
    if node.is_array() { node.elements() } else { std::slice::from_ref(node) }
}

fn error(span: Span, message: impl Into<String>, advice: impl Into<String>) -> Diagnostic {
    Diagnostic::error(span, message).advise(advice)
}

fn meant(word: &str, known: &[&str]) -> String {
    suggestion(word, known.iter().copied()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
