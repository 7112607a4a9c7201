//! An HTTP request among what is kept: its lines, and its body if that is not too long.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_core::action::request::{Body, Header, Request, Unread};

/// Most headers that are kept of one request.
const MAX_HEADERS: usize = 128;

/// Ends of the names of headers that carry credentials. Their values are not kept: a policy may ask whether such a
/// header is there, and hardly ever what it says.
const CREDENTIALS: [&str; 8] =
    ["authorization", "cookie", "key", "token", "secret", "signature", "password", "auth"];

/// What is kept of `request`, to this `url`, in at most `left` bytes, and whether that is all of it but for the URL; nothing
/// if its own URL is longer.
pub(super) fn kept(request: &Request, url: &str, left: &mut usize) -> Option<(Request, bool)> {
    *left = left.checked_sub(request.method().len() + request.url().len())?;
    let mut whole = request.headers().len() <= MAX_HEADERS;
    let mut headers = Vec::new();
    for Header { name, value } in request.headers().iter().take(MAX_HEADERS) {
        let secret = CREDENTIALS.iter().any(|end| name.to_ascii_lowercase().ends_with(end));
        let value: Box<[u8]> = if secret { Box::default() } else { value.clone() };
        whole &= !secret;
        let Some(rest) = left.checked_sub(name.len() + value.len()) else {
            whole = false;
            break;
        };
        *left = rest;
        headers.push(Header { name: name.clone(), value });
    }
    let body = match request.body() {
        Body::Whole(bytes) => match left.checked_sub(bytes.len()) {
            Some(rest) => {
                *left = rest;
                Body::Whole(bytes.clone())
            }
            None => {
                whole = false;
                Body::Unknown(Unread::Oversize)
            }
        },
        body => body.clone(),
    };
    Some((Request::new(request.method(), url, headers, body), whole))
}

/// `[method, url, what is known of the body, body, name, value, name, value, …]`, body and values in base64.
pub(super) fn strings(request: &Request) -> Vec<String> {
    let (known, body) = match request.body() {
        Body::Absent => ("absent", String::new()),
        Body::Whole(bytes) => ("whole", STANDARD.encode(bytes)),
        Body::Unknown(why) => (why.as_str(), String::new()),
    };
    let mut out = vec![request.method().to_owned(), request.url().to_owned(), known.to_owned(), body];
    for Header { name, value } in request.headers() {
        out.extend([name.to_string(), STANDARD.encode(value)]);
    }
    out
}

/// What [`strings`] wrote; `None` if it is something else.
pub(super) fn read(strings: &[&str]) -> Option<Request> {
    let ([method, url, known, body], headers) = strings.split_first_chunk::<4>()?;
    let body = match *known {
        "absent" => Body::Absent,
        "whole" => Body::Whole(STANDARD.decode(body).ok()?.into()),
        known => Body::Unknown(UNREAD.into_iter().find(|why| why.as_str() == known)?),
    };
    let (pairs, rest) = headers.as_chunks::<2>();
    let header = |[name, value]: &[&str; 2]| {
        Some(Header { name: (*name).into(), value: STANDARD.decode(value).ok()?.into() })
    };
    let headers = pairs.iter().map(header).collect::<Option<_>>()?;
    rest.is_empty().then(|| Request::new(method, url, headers, body))
}

const UNREAD: [Unread; 4] = [Unread::Tunnelled, Unread::Unparsed, Unread::Oversize, Unread::Encoded];
