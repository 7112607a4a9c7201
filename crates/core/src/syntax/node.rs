//! The tree both languages decode into.

use super::Span;

/// One value of the source, with the bytes it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where it stands: for a JSON string with its quotes, for a container with its brackets.
    pub span: Span,
}

/// What a [`Node`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as its digits stand in the source: never rounded through a float.
    Number(Box<str>),
    /// A string, unescaped.
    String(Str),
    /// A sequence.
    Array(Vec<Node>),
    /// A mapping with distinct keys, in source order.
    Object(Vec<Member>),
}

/// One key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The key, unescaped.
    pub key: Str,
    /// Where the key stands, with its quotes.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Member {
    /// From the first byte of the key to the last of the value.
    #[must_use]
    pub const fn span(&self) -> Span {
        Span::new(self.key_span.start, self.value.span.end)
    }
}

/// A decoded string. JSON can spell half a surrogate pair, which no `str` can hold; streaming
/// providers do split a pair over two deltas, so the halves are kept beside the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Str {
    text: Box<str>,
    wtf8: Option<Box<[u8]>>,
}

impl Str {
    /// A string without lone surrogates.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self { text: text.into(), wtf8: None }
    }

    /// A string given as WTF-8 (UTF-8 that may hold lone surrogates).
    #[must_use]
    pub fn from_wtf8(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::new(text),
            Err(error) => {
                let bytes = error.into_bytes();
                let text = String::from_utf8_lossy(&bytes).into_owned().into();
                Self { text, wtf8: Some(bytes.into()) }
            }
        }
    }

    /// The text; lone surrogates read as U+FFFD.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the text is complete: no lone surrogate in it.
    #[must_use]
    pub const fn is_well_formed(&self) -> bool {
        self.wtf8.is_none()
    }

    /// The string as WTF-8, halves of pairs included.
    #[must_use]
    pub fn as_wtf8(&self) -> &[u8] {
        self.wtf8.as_deref().unwrap_or(self.text.as_bytes())
    }
}

impl std::ops::Deref for Str {
    type Target = str;
    fn deref(&self) -> &str {
        &self.text
    }
}

impl Node {
    /// The value of member `key`, if this is an object that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.member(key).map(|member| &member.value)
    }

    /// Member `key`, if this is an object that has it.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<&Member> {
        self.members().iter().find(|member| &*member.key == key)
    }

    /// The value of member `key` unless it is absent or `null`.
    #[must_use]
    pub fn some(&self, key: &str) -> Option<&Node> {
        self.get(key).filter(|node| !node.is_null())
    }

    /// The text of member `key`, if it is a string.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::as_str)
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The string with its surrogate halves, if this is a string.
    #[must_use]
    pub const fn as_string(&self) -> Option<&Str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match self.kind {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The number as an unsigned integer, if it is written as one and fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match &self.kind {
            Kind::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// The text of a string, number or truth value as a person would write it; `None` for the rest.
    #[must_use]
    pub fn scalar(&self) -> Option<String> {
        match &self.kind {
            Kind::String(text) => Some(text.as_str().to_owned()),
            Kind::Number(digits) => Some(digits.to_string()),
            Kind::Bool(value) => Some(value.to_string()),
            Kind::Null | Kind::Array(_) | Kind::Object(_) => None,
        }
    }

    /// The elements; empty unless this is an array.
    #[must_use]
    pub fn elements(&self) -> &[Node] {
        match &self.kind {
            Kind::Array(elements) => elements,
            _ => &[],
        }
    }

    /// The members; empty unless this is an object.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        match &self.kind {
            Kind::Object(members) => members,
            _ => &[],
        }
    }

    /// Whether this is `null`.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// Whether this is an object.
    #[must_use]
    pub const fn is_object(&self) -> bool {
        matches!(self.kind, Kind::Object(_))
    }

    /// Whether this is an array.
    #[must_use]
    pub const fn is_array(&self) -> bool {
        matches!(self.kind, Kind::Array(_))
    }

    /// What a person would call this value.
    #[must_use]
    pub const fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::String(_) => "text",
            Kind::Array(_) => "a list",
            Kind::Object(_) => "a mapping",
        }
    }

    /// Calls `visit` with every string value below and including this node (keys are not values).
    pub fn each_string<'a>(&'a self, visit: &mut dyn FnMut(&'a str, Span)) {
        match &self.kind {
            Kind::String(text) => visit(text, self.span),
            Kind::Array(elements) => elements.iter().for_each(|node| node.each_string(visit)),
            Kind::Object(members) => members.iter().for_each(|member| member.value.each_string(visit)),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
        }
    }
}
