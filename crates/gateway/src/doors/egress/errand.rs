//! A request as it will be sent, and the action that the engine judges it as.

use std::sync::Arc;

use bytes::Bytes;
use doorward_core::action::request::{Body, Header, Request, Unread};
use doorward_core::action::{Action, Decoded, Part, PartKind, alone};
use doorward_core::url::{Url, masked_host};
use doorward_core::wire::sphyr::call::{self, Net};
use doorward_core::wire::sphyr::code;
use doorward_core::{Coverage, Door, Source};
use doorward_store::accounts::Key;
use http::{HeaderName, HeaderValue, header};

use super::denied::Denial;
use super::net::session_of;
use super::sessions::Session;
use super::unpacked::Unpacked;
use crate::forward::Errand;
use crate::upstream::Place;

/// What the engine judges: the request as it will be sent.
pub(super) fn action(
    net: &Net,
    (key, session): (&Key, &Session),
    unpacked: Option<&Unpacked>,
    source: Source,
) -> Action {
    let lines = net
        .headers
        .iter()
        .map(|(name, value)| Header { name: name.as_str().into(), value: value.as_bytes().into() });
    // As the server reads it.
    let body = match unpacked {
        Some(Unpacked { said: true, whole: false, .. }) => Body::Unknown(Unread::Oversize),
        Some(Unpacked { said: true, bytes, .. }) => Body::Whole(bytes.clone()),
        _ => Body::Whole(net.body.clone().into()),
    };
    let request = Request::new(&net.method, &net.url, lines.collect(), body);
    let peer = Url::parse(&net.url).map(|url| masked_host(&url.host.to_string())).unwrap_or_default();
    let decoded = unpacked.map(|unpacked| Decoded {
        text: String::from_utf8_lossy(&unpacked.bytes).into(),
        whole: unpacked.whole,
    });
    let said = decoded.as_ref().map(|it| Part { kind: PartKind::Outbound, text: Arc::clone(&it.text) });
    let plain = alone::request(request);
    Action {
        parts: plain.parts.iter().cloned().chain(said).collect(),
        decoded,
        coverage: match unpacked {
            Some(Unpacked { whole: false, .. }) => Coverage::Partial("packed body beyond 1 MiB".to_owned()),
            _ => Coverage::Full,
        },
        door: Door::Egress,
        source,
        agent: key.agent.shared(),
        session: session_of(key, session),
        peer: peer.into(),
        ..plain
    }
}

/// Headers that are not the client's to set: they say where a request ends, where it goes, or what becomes of the connection.
const OURS: [&str; 10] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "http2-settings",
];

/// The request as it will be sent.
pub(super) fn errand(net: &Net, most: usize) -> Result<Errand, Denial> {
    let url = Url::parse(&net.url)
        .map_err(|fault| Denial::new(code::INVALID_URL, format!("the URL cannot be read: {fault}")))?;
    let place = Place::of(&url)
        .ok_or_else(|| Denial::new(code::INVALID_URL, "the URL is of neither https nor http"))?;
    let host = match url.host {
        doorward_core::url::Host::Ip(std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
        ref host => host.to_string(),
    };
    if net.body.len() > most {
        let message = format!("the body has more than {most} bytes");
        return Err(Denial::new(code::ARGUMENTS_INVALID, message));
    }
    let unsendable =
        || Denial::new(code::INVALID_URL, "the URL has characters in it that have to be escaped");
    let scheme = if place.is_secure() { "https" } else { "http" };
    let port = match (url.port, place.is_secure()) {
        (Some(443), true) | (Some(80), false) | (None, _) => String::new(),
        (Some(port), _) => format!(":{port}"),
    };
    let (path, query) = target(&net.url);
    if !path.is_ascii() || !query.is_ascii() {
        return Err(unsendable());
    }
    let uri = format!("{scheme}://{host}{port}{path}{query}");
    let request = http::Request::builder().method(net.method.as_str()).uri(uri).body(());
    let (mut head, ()) = request.map_err(|_| unsendable())?.into_parts();
    call::sendable(&net.headers).map_err(|wrong| Denial::new(wrong.code, wrong.message))?;
    for (name, value) in &net.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) else {
            return Err(Denial::new(code::HEADER_INVALID, "a header cannot stand in a request"));
        };
        // Some servers take `_` for `-`.
        let read = name.as_str().replace('_', "-");
        let ours = |prefix: &&str| read.starts_with(prefix);
        if OURS.contains(&read.as_str()) || ["doorward-", "proxy-"].iter().any(ours) {
            let message = "a header is given that only Doorward sets, or that belongs to the connection";
            return Err(Denial::new(code::HEADER_COLLISION, message));
        }
        head.headers.insert(name, value);
    }
    if !head.headers.contains_key(header::ACCEPT_ENCODING) {
        head.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    Ok(Errand { place, head, body: Bytes::from(net.body.clone()) })
}

/// Path and query of a URL that was read, as they were written.
fn target(url: &str) -> (&str, &str) {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or("/");
    match rest.find('?') {
        Some(0) => ("/", rest),
        Some(at) => rest.split_at_checked(at).unwrap_or((rest, "")),
        None => (rest, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_go_as_they_were_written() {
        for (url, sent) in [
            ("https://a.example", ("/", "")),
            ("https://a.example?x=/y", ("/", "?x=/y")),
            ("https://a.example/b/../c?d#e", ("/b/../c", "?d")),
            ("https://a.example/%2e%2E//", ("/%2e%2E//", "")),
        ] {
            assert_eq!(target(url), sent, "{url}");
        }
    }
}
