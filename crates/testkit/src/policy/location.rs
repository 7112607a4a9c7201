//! Patterns for URLs.

use doorward_core::url::{Host, Path, Url, authority, implied_port};

use super::truth::Truth;
use super::{glob, host};

/// Whether `pattern` fits the URL `text`.
pub fn fits(pattern: &str, text: &str) -> Truth {
    let Ok(url) = Url::parse(text) else {
        // Where it leads may be known, and what it asks for there not.
        return Truth::known(false, authority(text).is_none_or(|at| is_at(pattern, &at.host)));
    };
    if pattern == "*" || pattern == "**" {
        return Truth::True;
    }
    Truth::any(alternatives(pattern).iter().map(|pattern| one(pattern, &url)))
}

/// Whether `pattern` is about that host, whatever else it asks for.
pub fn is_at(pattern: &str, at: &Host<'_>) -> bool {
    pattern == "*"
        || pattern == "**"
        || alternatives(pattern).iter().any(|pattern| {
            let rest = pattern.split_once("://").map_or(pattern.as_str(), |(_, rest)| rest);
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            let (name, _) = split_port(authority);
            name == "*" || host::fits(name, at)
        })
}

/// Every text that `{a,b}` stands for.
fn alternatives(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let Some((inside, after)) = rest.split_once('}') else { return vec![pattern.to_owned()] };
    let tails = alternatives(after);
    let choices = inside.split(',');
    choices.flat_map(|choice| tails.iter().map(move |tail| format!("{before}{choice}{tail}"))).collect()
}

fn one(pattern: &str, url: &Url<'_>) -> Truth {
    let (scheme, rest) = match pattern.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, pattern),
    };
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (rest, None),
    };
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    let (name, port) = split_port(authority);
    Truth::all([
        scheme_fits(scheme.as_deref(), url),
        Truth::sure(name == "*" || host::fits(name, &url.host)),
        if name == "*" && port.is_none() { Truth::True } else { port_fits(port, url) },
        path_fits(path, &url.path),
        Truth::all(query.into_iter().flat_map(|query| query.split('&')).map(|pair| query_fits(pair, url))),
    ])
}

fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((name, port)) if !authority.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (authority, None),
        },
        _ => (authority, None),
    }
}

fn scheme_fits(wanted: Option<&str>, url: &Url<'_>) -> Truth {
    match (wanted, url.scheme.as_deref()) {
        (None, _) => Truth::True,
        (Some(wanted), Some(scheme)) => Truth::sure(wanted == scheme),
        // `curl example.com`: the client chooses.
        (Some(_), None) => Truth::Unknown,
    }
}

fn port_fits(wanted: Option<u16>, url: &Url<'_>) -> Truth {
    match (wanted, url.port) {
        (Some(wanted), Some(port)) => Truth::sure(wanted == port),
        (Some(_), None) => Truth::Unknown,
        (None, None) => Truth::True,
        (None, Some(port)) => Truth::known(url.scheme.as_deref().and_then(implied_port) == Some(port), true),
    }
}

fn path_fits(pattern: &str, path: &Path<'_>) -> Truth {
    let pattern = format!("/{pattern}");
    let Some(pattern) = Path::read(&pattern) else { return Truth::False };
    let pattern: Vec<&str> = pattern.segments().collect();
    Truth::agree(path.readings().map(|reading| {
        let found: Vec<&str> = reading.iter().collect();
        Truth::known(
            glob::segments(&pattern, &found, &|a, b| star(a, b)),
            glob::segments(&pattern, &found, &|a, b| star(&a.to_lowercase(), &b.to_lowercase())),
        )
    }))
}

/// `*` alone is special here: `?` cannot stand in a path.
fn star(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((front, rest)) => text.strip_prefix(front).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.filter_map(|at| text.get(at..)).any(|tail| star(rest, tail))
        }),
    }
}

fn query_fits(pair: &str, url: &Url<'_>) -> Truth {
    let (name, wanted) = pair.split_once('=').unwrap_or((pair, ""));
    let (name, wanted) = (decode(name), decode(wanted));
    let found = url.query.unwrap_or_default().split('&').filter(|piece| !piece.is_empty());
    let values = found.filter_map(|piece| {
        let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
        (decode(key) == name).then(|| decode(value))
    });
    Truth::agree(values.map(|value| Truth::sure(star(&wanted, &value))))
}

/// `+` is a space, `%` and two digits a byte.
fn decode(text: &str) -> String {
    let mut bytes = text.bytes().peekable();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let hex = |byte: Option<u8>| char::from(byte?).to_digit(16);
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                bytes = ahead;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
