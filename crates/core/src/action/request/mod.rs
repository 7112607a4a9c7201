//! An HTTP request, as a door read it.
//!
//! What it carries is read at most once however many rules look at it, and only if one does. Where servers
//! could read a body differently it has several readings, or none: a condition is then unknown, which
//! restricts and never allows.

use std::sync::OnceLock;

use bytes::Bytes;

use super::asset::classify_url;
use super::{Capability, Effect, Target};
use crate::url::{Url, authority};

mod form;
mod media;
mod multipart;
mod shown;
mod tree;
mod written;

pub use tree::{Found, Tree, View, loose_name};

/// Headers in which a client shows who it is to where the request goes: their credential stands where it belongs.
pub const CREDENTIALS: [&str; 5] =
    ["authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// How much of a body is judged whole at the egress and library doors, in bytes: 1 MiB. The model door has its own
/// limit; whatever a door does not hand over is [`Unread::Oversize`].
pub const JUDGED_WHOLE: usize = 1 << 20;

/// An HTTP request.
pub struct Request {
    method: Box<str>,
    url: Box<str>,
    headers: Vec<Header>,
    body: Body,
    read: OnceLock<Content>,
}

/// One field line of a request's head (RFC 9110, section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name, as sent. Case does not matter.
    pub name: Box<str>,
    /// Its value, without white space around it. It may be any bytes.
    pub value: Box<[u8]>,
}

/// What a door knows of a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none, or it is empty.
    Absent,
    /// All of it, content codings (`gzip`) taken off.
    Whole(Bytes),
    /// There is or may be one, and it cannot be judged.
    Unknown(Unread),
}

/// Why a body cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It passes through a tunnel that is not opened.
    Tunnelled,
    /// It is of no format that is read, or readers could take it differently.
    Unparsed,
    /// It is larger than what the door judges whole.
    Oversize,
    /// It is compressed or encoded in a way the door does not take off.
    Encoded,
}

impl Unread {
    /// The word in explanations and receipts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tunnelled => "tunnelled",
            Self::Unparsed => "unparsed",
            Self::Oversize => "oversize",
            Self::Encoded => "encoded",
        }
    }
}

/// A body as it is judged.
#[derive(Debug)]
pub enum Content {
    /// There is none.
    Absent,
    /// Every way in which servers read it; at least one.
    Read(Vec<Tree>),
    /// Nobody knows.
    Unknown(Unread),
}

impl Request {
    /// A request with these parts. `url` is absolute, as the door understood it; a `Host` that says something else
    /// belongs among the `headers`.
    #[must_use]
    pub fn new(method: &str, url: &str, headers: Vec<Header>, body: Body) -> Self {
        let body = match body {
            Body::Whole(bytes) if bytes.is_empty() => Body::Absent,
            body => body,
        };
        Self { method: method.into(), url: url.into(), headers, body, read: OnceLock::new() }
    }

    /// The method, as sent: case matters (RFC 9110, section 9.1).
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The URL it is sent to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its header lines, in order.
    #[must_use]
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// The values of the header `name`, in order.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|h| &*h.value)
    }

    /// What the door knows of its body.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// What it carries, read when it is first asked for.
    pub fn content(&self) -> &Content {
        self.read.get_or_init(|| match &self.body {
            Body::Absent => Content::Absent,
            Body::Unknown(why) => Content::Unknown(*why),
            Body::Whole(bytes) => self.read_body(bytes),
        })
    }

    /// How much memory its body takes as it is read, in bytes; nothing if it has not been read.
    #[must_use]
    pub fn memory(&self) -> usize {
        match self.read.get() {
            Some(Content::Read(trees)) => trees.iter().map(Tree::memory).sum(),
            Some(Content::Absent | Content::Unknown(_)) | None => 0,
        }
    }

    /// Whether its body is read as JSON if it is read at all, and as nothing else.
    #[must_use]
    pub fn is_json(&self) -> bool {
        let mut types = self.header("content-type");
        let (first, second) = (types.next(), types.next());
        second.is_none() && media::is_json_alone(first)
    }

    fn read_body(&self, bytes: &Bytes) -> Content {
        let mut types = self.header("content-type");
        let (first, second) = (types.next(), types.next());
        let trees = if second.is_some() { None } else { media::read(first, bytes) };
        trees.map_or(Content::Unknown(Unread::Unparsed), Content::Read)
    }

    /// What it would do: fetch from or send to where its URL leads, and to where its `Host` header says if that
    /// is another place. A rule that restricts then speaks about either, one that allows must cover both.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        let asks = ["GET", "HEAD", "OPTIONS"].contains(&&*self.method) && self.body == Body::Absent;
        let capability = if asks { Capability::NetworkFetch } else { Capability::NetworkPost };
        let effect = |url: String| Effect {
            capability,
            asset: classify_url(&url),
            target: Target::Url(url),
            from: Vec::new(),
            by: "request".to_owned(),
        };
        let elsewhere = self.overrides().map(effect);
        std::iter::once(effect(self.url.to_string())).chain(elsewhere).collect()
    }

    /// The URLs that result from `Host` headers which name another place than the URL does.
    fn overrides(&self) -> impl Iterator<Item = String> {
        let parsed = Url::parse(&self.url).ok();
        self.header("host").filter_map(move |value| {
            let host = String::from_utf8_lossy(value);
            let (scheme, rest) = self.url.split_once("://")?;
            let tail = rest.find(['/', '?', '#']).and_then(|at| rest.get(at..)).unwrap_or_default();
            let other = format!("{scheme}://{host}{tail}");
            let same = match (&parsed, authority(&other)) {
                (Some(url), Some(other)) => url.host == other.host && url.port == other.port,
                _ => false,
            };
            (!same).then_some(other)
        })
    }
}

/// Neither values of headers nor the body: there are secrets in them.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|header| &*header.name).collect();
        let url = self.url.split('?').next().unwrap_or_default();
        let mut out = f.debug_struct("Request");
        out.field("method", &self.method).field("url", &url).field("headers", &names).finish_non_exhaustive()
    }
}

impl PartialEq for Request {
    /// What was sent counts, not what was looked at.
    fn eq(&self, other: &Self) -> bool {
        self.method == other.method
            && self.url == other.url
            && self.headers == other.headers
            && self.body == other.body
    }
}

impl Eq for Request {}

#[cfg(test)]
mod tests;
