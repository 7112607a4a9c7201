//! Upstreams by name: the only places this process ever connects to.

use std::sync::Arc;

use bytes::Bytes;
use doorward_core::wire::Protocol;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use zeroize::Zeroizing;

mod dial;

mod h1;
pub(crate) use h1::request_head;

mod h2;

mod connections;

use connections::Connections;
pub(crate) use connections::{SendError, UpstreamBody};

mod lookup;
pub use lookup::{Answer as Addresses, Lookup, System};

mod reach;
pub(crate) use reach::{Keep, Terms};
pub use reach::{Place, Reacher, Unreached};

mod tls;

use dial::Dialer;

/// An upstream as configured.
pub struct UpstreamSettings {
    /// Its name, in paths and receipts.
    pub name: String,
    /// What it speaks. Never guessed.
    pub protocol: Protocol,
    /// Where it is: `http(s)://host[:port][/path]`, nothing else.
    pub base: String,
    /// Whether the operator trusts it: the official providers, a server of one's own. No reseller is.
    pub trusted: bool,
    /// Whether what Doorward does not know may pass, if the upstream is trusted.
    pub unknown_passes: bool,
    /// The key to use in the place of whatever the client sends. Only ever sent to `base`.
    pub key: Option<Zeroizing<String>>,
    /// Where it goes; where the protocol has it, unless the provider wants it elsewhere.
    pub key_header: Option<KeyHeader>,
}

/// In which header a key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyHeader {
    /// `Authorization: Bearer <key>`: OpenAI and most who speak as it does.
    Bearer,
    /// `x-api-key: <key>`: Anthropic.
    XApiKey,
    /// `api-key: <key>`: Azure.
    ApiKey,
    /// `x-goog-api-key`: Google.
    XGoogApiKey,
}

impl std::fmt::Debug for UpstreamSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamSettings")
            .field("name", &self.name)
            .field("protocol", &self.protocol)
            .field("base", &self.base)
            .field("trusted", &self.trusted)
            .field("key", &self.key.as_ref().map(|_| "(hidden)"))
            .finish_non_exhaustive()
    }
}

/// Why an upstream cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[error("upstream `{name}`: {message}")]
pub struct UpstreamError {
    /// The upstream's name.
    pub name: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Where an upstream is: scheme, host, port and the path its base ends in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub tls: bool,
    pub host: String,
    pub port: u16,
    authority: String,
    path: String,
}

/// An upstream ready for use, with its connections.
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// What it speaks.
    pub protocol: Protocol,
    /// Whether the operator trusts it.
    pub trusted: bool,
    /// Whether what Doorward does not know may pass from it.
    pub unknown_passes: bool,
    origin: Origin,
    key: Option<(HeaderName, HeaderValue)>,
    connections: Connections,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream")
            .field("name", &self.name)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    /// Prepares an upstream. Nothing is connected yet.
    ///
    /// # Errors
    /// If the base is not of the documented form, the key cannot stand in a header, or the system's
    /// certificates cannot be read.
    pub fn new(settings: UpstreamSettings) -> Result<Self, UpstreamError> {
        let error = |message: String| UpstreamError { name: settings.name.clone(), message };
        let origin = Origin::parse(&settings.base).map_err(error)?;
        let header = settings.key_header.unwrap_or(match settings.protocol {
            Protocol::Anthropic => KeyHeader::XApiKey,
            Protocol::OpenAi => KeyHeader::Bearer,
            Protocol::Gemini => KeyHeader::XGoogApiKey,
        });
        let key = settings.key.as_ref().map(|key| header.with(key)).transpose().map_err(error)?;
        let dialer = Dialer::new(&origin).map_err(error)?;
        Ok(Self {
            name: settings.name.as_str().into(),
            protocol: settings.protocol,
            trusted: settings.trusted,
            unknown_passes: settings.unknown_passes,
            origin,
            key,
            connections: Connections::new(dialer),
        })
    }

    /// The head of a request to this upstream: `rest` (path below the base, then query) and the client's
    /// headers, less what belongs to the connection or to Doorward.
    ///
    /// # Errors
    /// In words, if the path cannot be sent.
    pub(crate) fn head(
        &self,
        from: &http::request::Parts,
        rest: &str,
    ) -> Result<http::request::Parts, String> {
        let scheme = if self.origin.tls { "https" } else { "http" };
        let rest = if self.key.is_some() && self.protocol == Protocol::Gemini {
            without_credentials(rest)
        } else {
            rest.to_owned()
        };
        let uri = format!("{scheme}://{}{}/{rest}", self.origin.authority, self.origin.path);
        let request = http::Request::builder().method(from.method.clone()).uri(uri).body(());
        let (mut head, ()) =
            request.map_err(|error| format!("the path cannot be forwarded: {error}"))?.into_parts();
        head.headers = forwarded_headers(&from.headers);
        // What is judged must be readable: the answer is wanted as it is.
        head.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some((name, key)) = &self.key {
            // A configured key is never mixed with what the client brought.
            for name in CREDENTIALS {
                head.headers.remove(name);
            }
            head.headers.insert(name.clone(), key.clone());
        }
        Ok(head)
    }

    /// Sends a request and waits for the head of its reply. Only [`forward`](crate::forward) calls this.
    /// Dropping the future takes the request back.
    ///
    /// # Errors
    /// [`SendError`].
    pub(crate) async fn send(
        &self,
        head: &http::request::Parts,
        body: &Bytes,
        _: crate::forward::Key,
    ) -> Result<http::Response<UpstreamBody>, SendError> {
        self.connections.send(head, body).await
    }
}

/// Where clients put credentials.
const CREDENTIALS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// `rest` without the query parameters in which Google's interfaces take credentials.
fn without_credentials(rest: &str) -> String {
    const NAMES: [&str; 4] = ["key", "$key", "access_token", "oauth_token"];
    let Some((path, query)) = rest.split_once('?') else { return rest.to_owned() };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|parameter| {
            let name = parameter.split('=').next().unwrap_or_default();
            !NAMES.contains(&decoded(name).to_ascii_lowercase().as_str())
        })
        .collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

/// The name of a query parameter as servers read it. What is no escape stays.
fn decoded(name: &str) -> String {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((byte, more)) = rest.split_first() {
        let escaped = (*byte == b'%').then(|| more.get(..2)).flatten();
        let value = escaped
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(value.unwrap_or(*byte));
        rest = if value.is_some() { more.get(2..).unwrap_or_default() } else { more };
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl KeyHeader {
    /// The header with `key` in it.
    fn with(self, key: &str) -> Result<(HeaderName, HeaderValue), String> {
        let (name, text) = match self {
            Self::Bearer => (header::AUTHORIZATION, format!("Bearer {key}")),
            Self::XApiKey => (HeaderName::from_static("x-api-key"), key.to_owned()),
            Self::ApiKey => (HeaderName::from_static("api-key"), key.to_owned()),
            Self::XGoogApiKey => (HeaderName::from_static("x-goog-api-key"), key.to_owned()),
        };
        // Moved, not copied: wiped with the header's last clone.
        let owned = Zeroizing::new(text.into_bytes());
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(owned)).map_err(|_| {
            "the key holds characters that cannot stand in a header; check the file it is read from"
                .to_owned()
        })?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

/// Headers that belong to one connection (RFC 9110, 7.6.1), are set anew, or are not the peer's business.
fn drops(name: &HeaderName, named: &[HeaderName]) -> bool {
    const CONNECTION: [HeaderName; 13] = [
        header::CONNECTION,
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::EXPECT,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        // Would let the client go around us next time.
        header::ALT_SVC,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    CONNECTION.contains(name) || named.contains(name) || name.as_str().starts_with("doorward-")
}

/// `headers` less those that do not cross.
pub(crate) fn forwarded_headers(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Judged by; must not vanish afterwards.
        .filter(|name| *name != header::CONTENT_TYPE)
        .collect();
    let mut out = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if !drops(name, &named) {
            out.append(name.clone(), value.clone());
        }
    }
    join_cookies(&mut out);
    out
}

/// HTTP/2 may split the cookies over several lines, HTTP/1.1 may not (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() < 2 {
        return;
    }
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

impl Origin {
    /// Reads a base URL strictly: what a lenient reader would repair is refused.
    fn parse(base: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            Err(format!("`{}` {what}; write it as https://host[:port][/path]", base.escape_debug()))
        };
        let (tls, rest) = match (base.strip_prefix("https://"), base.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return wrong("does not begin with https:// or http://"),
        };
        if base.bytes().any(|byte| !byte.is_ascii_graphic() || b"\\<>\"`{}^|".contains(&byte)) {
            return wrong("holds a character that no URL has");
        }
        if rest.contains(['?', '#']) {
            return wrong("has a query or fragment");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return wrong("names a user; credentials go into `key_file` or `key_env`");
        }
        let parsed: http::uri::Authority = match authority.parse() {
            Ok(parsed) => parsed,
            Err(_) => return wrong("has no readable host"),
        };
        let path = path.trim_end_matches('/');
        if parsed.host().is_empty() || path.split('/').skip(1).any(|part| matches!(part, "" | "." | "..")) {
            return wrong("has no host, or a path with empty or dot segments");
        }
        let port = match (parsed.port(), authority.ends_with(':')) {
            (_, true) => return wrong("ends in a colon without a port"),
            (Some(port), _) => port.as_u16(),
            (None, _) if authority.len() > parsed.host().len() => return wrong("has no readable port"),
            (None, _) => {
                if tls {
                    443
                } else {
                    80
                }
            }
        };
        Ok(Self {
            tls,
            host: parsed.host().trim_matches(['[', ']']).to_owned(),
            port,
            authority: authority.to_owned(),
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_read_strictly() {
        let origin = Origin::parse("https://api.example.com:8443/v1/").unwrap();
        assert_eq!(
            (origin.tls, origin.host.as_str(), origin.port, origin.path.as_str()),
            (true, "api.example.com", 8443, "/v1")
        );
        assert_eq!(Origin::parse("http://[::1]:9").unwrap().host, "::1");
        for bad in [
            "api.example.com",
            "ftp://x",
            "https://user@host",
            "https://a.example@evil.example/",
            "https://host?x",
            "https://host#x",
            "https://host/a/../b",
            "https://host//b",
            "https://ho st",
            "https://host\\@evil",
            "https://",
            "https://host:",
            "https://host:99999",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_in_the_query_is_a_credential() {
        for (rest, without) in [
            ("v1beta/models?key=k", "v1beta/models"),
            ("m:x?alt=sse&key=k", "m:x?alt=sse"),
            ("m?%6bEy=k&alt=sse&%24key=k", "m?alt=sse"),
            ("m?access_token=t&keys=1&pageToken=key", "m?keys=1&pageToken=key"),
            ("m?key&a=%zz%6", "m?a=%zz%6"),
            ("m", "m"),
        ] {
            assert_eq!(without_credentials(rest), without, "{rest}");
        }
    }

    #[test]
    fn headers_of_the_connection_and_of_doorward_do_not_cross() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, x-secret-hop"),
            ("x-secret-hop", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("alt-svc", "h3=\":443\""),
            ("doorward-anything", "1"),
            ("anthropic-beta", "a"),
            ("authorization", "Bearer t"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let out = forwarded_headers(&headers);
        let names: Vec<_> = out.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["anthropic-beta", "authorization"]);
    }
}
