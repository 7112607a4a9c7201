//! What a URL names: one strict reading for policy, floor and rules alike.
//!
//! Clients, proxies and servers read URLs differently, and that is how allow-lists are fooled. So whoever
//! compares a URL compares this: what readers could disagree about in scheme, host and port is not read at all,
//! and a path that can be read in several ways has all of its readings ([`Path`]).
//!
//! What stands in the text as it is read is borrowed from it: most URLs are read without taking memory.

use std::borrow::Cow;

mod address;
mod host;
mod mask;
mod path;
mod resolve;
mod special;

pub use address::Reach;
pub use host::{Host, covers, host_of, reach_of};
pub use mask::{masked, masked_host};
pub use path::{Path, Reading};
pub use resolve::resolve;

/// The longest URL that is read, in bytes.
const LONGEST: usize = 8192;

/// A URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url<'a> {
    /// In lower case; `None` if it has none, as in `curl example.com`.
    pub scheme: Option<Cow<'a, str>>,
    /// Where it goes.
    pub host: Host<'a>,
    /// The port it gives, or else the one its scheme implies; `None` if nothing tells.
    pub port: Option<u16>,
    /// What it asks for there.
    pub path: Path<'a>,
    /// What stands between `?` and `#`, as it is sent; `None` if there is no `?`.
    pub query: Option<&'a str>,
}

/// A host and, if given or implied by the scheme, a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host.
    pub host: Host<'a>,
    /// The port; `None` if nothing tells.
    pub port: Option<u16>,
}

/// Why a URL is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// More than 8,192 bytes.
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
    /// WHATWG's readers take a backslash for a slash and skip tabs and line ends, others do not.
    #[error("it has a space, a control character or a backslash in it, which readers take differently")]
    Character,
    /// No scheme by RFC 3986, section 3.1.
    #[error("what stands before `://` is no scheme")]
    Scheme,
    /// `user@` leads where it does not seem to.
    #[error("it has user information (`@`) before its host")]
    UserInformation,
    /// No name and no address, or one spelled with `%`.
    #[error("its host is neither a name nor an address")]
    Host,
    /// No number from 0 to 65535.
    #[error("its port is no number below 65536")]
    Port,
    /// A control character, encoded.
    #[error("its path has an encoded control character in it")]
    Path,
}

impl<'a> Url<'a> {
    /// Reads `text`, which may lack a scheme (`example.com/x`, `example.com:80`).
    ///
    /// # Errors
    /// If readers could disagree about where it leads, or it leads nowhere.
    pub fn parse(text: &'a str) -> Result<Self, UrlFault> {
        let pieces = Pieces::of(text)?;
        let Authority { host, port } = pieces.authority()?;
        let (path, query) = match pieces.rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (pieces.rest, None),
        };
        let scheme = pieces.scheme.map(host::in_small_letters);
        Ok(Self { scheme, host, port, path: Path::read(path).ok_or(UrlFault::Path)?, query })
    }
}

/// The authority of `url`, which may lack a scheme; `None` if it has none or if two readers could see different
/// ones.
#[must_use]
pub fn authority(url: &str) -> Option<Authority<'_>> {
    Pieces::of(url).ok()?.authority().ok()
}

/// A URL, cut where every reader cuts it.
struct Pieces<'a> {
    scheme: Option<&'a str>,
    authority: &'a str,
    /// Path and query.
    rest: &'a str,
}

impl<'a> Pieces<'a> {
    fn of(text: &'a str) -> Result<Self, UrlFault> {
        if text.len() > LONGEST {
            return Err(UrlFault::TooLong);
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(UrlFault::Character);
        }
        let (text, _fragment) = text.split_once('#').unwrap_or((text, ""));
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
            // `example.com/login?next=https://…` has no scheme of its own.
            Some((before, _)) if !before.contains(['/', '?']) => return Err(UrlFault::Scheme),
            _ => (None, text.strip_prefix("//").unwrap_or(text)),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end).ok_or(UrlFault::Host)?;
        if authority.contains('@') {
            return Err(UrlFault::UserInformation);
        }
        Ok(Self { scheme, authority, rest })
    }

    fn authority(&self) -> Result<Authority<'a>, UrlFault> {
        if self.authority.is_empty() || self.authority.contains('%') {
            return Err(UrlFault::Host);
        }
        let (host, port) = split_port(self.authority)?;
        let host = host_of(host).ok_or(UrlFault::Host)?;
        Ok(Authority { host, port: port.or_else(|| implied_port(self.scheme?)) })
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// The port that goes without saying.
#[must_use]
pub fn implied_port(scheme: &str) -> Option<u16> {
    const KNOWN: [(&str, u16); 7] =
        [("https", 443), ("http", 80), ("wss", 443), ("ws", 80), ("ftp", 21), ("ssh", 22), ("sftp", 22)];
    KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(scheme)).map(|(_, port)| *port)
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), UrlFault> {
    // Only digits: `+80` is a number to Rust and to nobody else.
    let number = |text: &str| match text {
        "" => Ok(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map(Some).map_err(|_| UrlFault::Port)
        }
        _ => Err(UrlFault::Port),
    };
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(UrlFault::Host)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, number(port)?)),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(UrlFault::Host),
        };
    }
    match authority.split_once(':') {
        // More than one colon and no brackets: an IPv6 address alone.
        Some((_, rest)) if rest.contains(':') => Ok((authority, None)),
        Some((host, port)) => Ok((host, number(port)?)),
        None => Ok((authority, None)),
    }
}

#[cfg(test)]
mod reach_tests;
#[cfg(test)]
mod tests;
