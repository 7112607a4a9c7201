//! Hosts: whose they are, from their spelling alone.

use std::borrow::Cow;

use super::super::AssetClass;
use super::stronger;
use crate::url::{Reach, authority, reach_of};

/// The class of a host, `host:port` or URL. Only what the text itself says: names are not resolved. If readers could
/// take it for different hosts, the most sensitive one counts.
#[must_use]
pub fn classify_host(text: &str) -> AssetClass {
    // Buckets have names of their own kind.
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    if ["s3", "gs", "gcs", "r2", "b2", "abfs", "abfss", "wasb", "oss"].contains(&scheme) {
        return AssetClass::External;
    }
    let class = |host: &str| match reach_of(host) {
        Some(Reach::Metadata) => AssetClass::CloudMetadata,
        // Documents use them for anybody's.
        None | Some(Reach::Public | Reach::Documentation) => AssetClass::External,
        Some(_) => AssetClass::Internal,
    };
    readings(text).map(|host| class(&host)).fold(AssetClass::External, |so_far, class| match so_far {
        AssetClass::External => class,
        so_far => stronger(so_far, class),
    })
}

/// The class of what a URL leads to. [`AssetClass::Unknown`] if readers could disagree about it, unless one of them
/// goes to a metadata service.
#[must_use]
pub fn classify_url(url: &str) -> AssetClass {
    let class = classify_host(url);
    if class == AssetClass::CloudMetadata {
        return class;
    }
    let reach = authority(url).and_then(|_| readings(url).map(|host| reach_of(&host)).next().flatten());
    match reach {
        None => AssetClass::Unknown,
        // Nobody's: what answers there is no public server.
        Some(Reach::Documentation) => AssetClass::Internal,
        Some(_) => class,
    }
}

/// The hosts that readers could see in a URL or `user@host:port`, that of most first.
fn readings(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = rest.trim_start_matches(['/', '\\']);
    // For some a backslash is a slash, for others a letter.
    let strict = cut(rest, &['/', '?', '#', '\\']);
    let loose = Some(cut(rest, &['/', '?', '#'])).filter(|loose| loose.len() > strict.len());
    let authorities = [Some(strict), loose].into_iter().flatten();
    authorities.flat_map(|authority| {
        let last = authority.rsplit('@').next().unwrap_or(authority);
        let first = authority.split_once('@').map_or(authority, |(_, host)| host);
        let between = first.split('@').next().filter(|host| *host != last && authority.contains('@'));
        [Some(last), between].into_iter().flatten().flat_map(|authority| {
            let host = without_port(authority);
            [Some(Cow::Borrowed(host)), plainer(host).map(Cow::Owned)].into_iter().flatten()
        })
    })
}

fn cut<'t>(text: &'t str, at: &[char]) -> &'t str {
    text.split(at).next().unwrap_or(text)
}

fn without_port(authority: &str) -> &str {
    if let Some(inner) = authority.strip_prefix('[') {
        return inner.split(']').next().unwrap_or(inner);
    }
    match authority.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => authority,
    }
}

/// `host` as those read it that drop white space and control characters, and decode escapes.
fn plainer(host: &str) -> Option<String> {
    let skipped = |c: char| c.is_whitespace() || c.is_control();
    if !host.contains(|c| skipped(c) || c == '%') || host.contains(':') {
        return None;
    }
    let mut bytes = Vec::with_capacity(host.len());
    let mut rest = host;
    while let Some((before, behind)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = behind.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let length = if digits.is_some() { 2 } else { 0 };
        bytes.push(digits.unwrap_or(b'%'));
        rest = behind.get(length..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    let text = String::from_utf8(bytes).ok()?;
    Some(text.chars().filter(|c| !skipped(*c)).collect())
}
