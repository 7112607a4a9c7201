//! Strict JSON and YAML: one [`Node`] tree with byte spans, for requests, replies, policy,
//! configuration and rules alike.
//!
//! Two parsers that read the same bytes differently are a way around a firewall. So nothing here is
//! lenient: duplicate keys, invalid UTF-8, trailing bytes and unbounded depth are faults, and a fault
//! says where it is.

use sha2::{Digest as _, Sha256};

mod node;
pub use node::{Kind, Member, Node, Str};

mod object;
pub use object::Object;

mod hex;
pub use hex::hex;

pub mod json;

pub mod yaml;

pub mod decode;

pub mod spelled;

pub(crate) mod base64;

/// Something a person wrote, by name: the caller reads files, this crate does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// What faults call it: a file name, `argument`, an environment variable.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
}

/// A range of bytes in the source a [`Node`] was read from; `start..end`, never inverted.
///
/// Offsets are 32 bits wide: sources of 4 GiB and more are refused before parsing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// The span `start..end`.
    #[must_use]
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// The span as a range for slicing with `get`.
    #[must_use]
    pub const fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The bytes of `source` under this span; empty if the span lies outside of it.
    #[must_use]
    pub fn of(self, source: &[u8]) -> &[u8] {
        source.get(self.range()).unwrap_or_default()
    }
}

/// Whether a [`Diagnostic`] stops the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The source is refused.
    Error,
    /// The source is accepted; the user should look.
    Warning,
}

/// A fault in something a person wrote (policy, configuration, rules): what, where, what to do.
///
/// Plain data; the binary renders it with a snippet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the load.
    pub severity: Severity,
    /// What is wrong, in the user's words, lower case, no full stop.
    pub message: String,
    /// Where, in the source named by `origin`.
    pub span: Span,
    /// What to do about it; empty if the message says it all.
    pub advice: String,
    /// The name of the source: a file name, `argument`, an environment variable.
    pub origin: String,
}

impl Diagnostic {
    /// An error at `span`, without advice or origin yet.
    #[must_use]
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            span,
            advice: String::new(),
            origin: String::new(),
        }
    }

    /// A warning at `span`, without advice or origin yet.
    #[must_use]
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// The same with advice: what the user should do.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    /// The same with the name of its source.
    #[must_use]
    pub fn in_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = origin.into();
        self
    }

    /// Line and column, both from 1, of the fault in `source`; the column counts characters.
    #[must_use]
    pub fn position(&self, source: &[u8]) -> (usize, usize) {
        let before = source.get(..self.span.start as usize).unwrap_or(source);
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let last = before.rsplit(|b| *b == b'\n').next().unwrap_or_default();
        (line, String::from_utf8_lossy(last).chars().count() + 1)
    }
}

/// The SHA-256 digest over `texts`, in hexadecimal. Each is preceded by its length (eight bytes, big endian), so that no
/// two lists read the same.
pub(crate) fn digest<T: AsRef<[u8]>>(texts: impl Iterator<Item = T>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        let text = text.as_ref();
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        for digit in [byte >> 4, byte & 15] {
            hex.extend(char::from_digit(u32::from(digit), 16));
        }
        hex
    })
}
