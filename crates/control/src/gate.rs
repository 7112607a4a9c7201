//! Who gets in: every check a request passes before anything is done for it.

use std::net::IpAddr;

use doorward_core::routes::{self, Found, Listener, Matched, Principal};
use doorward_store::Token;
use http::header::{self, HeaderMap, HeaderValue};
use http::{StatusCode, Uri, request};

use crate::answer::{self, Answer};

/// What the gate knows.
pub(crate) struct Gate {
    /// The operator's token.
    pub(crate) operator: Token,
    /// The port we are reached at.
    pub(crate) port: u16,
    /// Other authorities (`host` or `host:port`, lower case) we are reached under.
    pub(crate) hosts: Vec<String>,
}

/// A request that was let in. `operator` says whether it showed the token.
pub(crate) struct Admitted<'r> {
    pub(crate) matched: Matched<'r>,
    pub(crate) operator: bool,
}

impl Gate {
    /// Lets the request in or answers it. The order matters: a page in a browser learns nothing, not
    /// even which paths there are, and a caller without token learns only what the table in the source
    /// says anyway.
    ///
    /// The answer is boxed: refusals are rare and large.
    pub(crate) fn admit<'r>(&self, request: &'r request::Parts) -> Result<Admitted<'r>, Box<Answer>> {
        self.target_is_plain(&request.uri)?;
        self.host_is_ours(&request.headers)?;
        self.origin_is_ours(&request.headers)?;
        let matched = route(request)?;
        let operator = match matched.route.principal {
            Principal::Nobody => false,
            Principal::Operator => self.is_operator(&request.headers)?,
            // No line of the table says so, and a test holds it to that; if one did, nobody would get in.
            Principal::Agent => return Err(unauthorized("agents have no business on this listener")),
        };
        Ok(Admitted { matched, operator })
    }

    /// In any other form than `/path` the target names a host, and it and `Host` could disagree.
    fn target_is_plain(&self, uri: &Uri) -> Result<(), Box<Answer>> {
        if uri.authority().is_none() && uri.scheme().is_none() {
            return Ok(());
        }
        Err(refuse(
            StatusCode::BAD_REQUEST,
            "not_a_proxy",
            "the request target must be a path",
            "this is the control listener; point proxies and clients at the data listener",
        ))
    }

    /// DNS rebinding: a page of attacker.example, whose name now resolves to 127.0.0.1, is same-origin
    /// with us for the browser. But the browser sends its name as `Host`.
    fn host_is_ours(&self, headers: &HeaderMap) -> Result<(), Box<Answer>> {
        match only(headers, header::HOST) {
            Some(host) if self.is_ours(host) => Ok(()),
            _ => Err(refuse(
                StatusCode::FORBIDDEN,
                "foreign_host",
                "the Host header does not name this listener",
                "use the address that doorward printed",
            )),
        }
    }

    /// A browser names the page a request comes from, unless it is a plain navigation. Programs send no
    /// `Origin` at all.
    fn origin_is_ours(&self, headers: &HeaderMap) -> Result<(), Box<Answer>> {
        if !headers.contains_key(header::ORIGIN) {
            return Ok(());
        }
        let host = only(headers, header::ORIGIN)
            .and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
        match host {
            Some(host) if self.is_ours(host) => Ok(()),
            _ => Err(refuse(
                StatusCode::FORBIDDEN,
                "foreign_origin",
                "the request comes from a page of another origin",
                "open the control listener's own address instead",
            )),
        }
    }

    /// Whether `authority` is a loopback address or name with our port, or one of the configured.
    fn is_ours(&self, authority: &str) -> bool {
        if self.hosts.iter().any(|host| host.eq_ignore_ascii_case(authority)) {
            return true;
        }
        // The default port may be left out.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (authority, "80"),
        };
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        digits && port.parse() == Ok(self.port) && is_loopback(host)
    }

    fn is_operator(&self, headers: &HeaderMap) -> Result<bool, Box<Answer>> {
        if !headers.contains_key(header::AUTHORIZATION) {
            return Err(unauthorized("this needs the operator's token"));
        }
        let token = only(headers, header::AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token)
        });
        match token {
            Some(token) if self.operator.matches(token) => Ok(true),
            _ => Err(unauthorized("this is not the operator's token")),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse().map(IpAddr::V6),
        None => host.parse().map(IpAddr::V4),
    };
    address.is_ok_and(|address| address.is_loopback())
}

/// The value of a header that is there exactly once: of two, the next reader might take the other.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)?.to_str().ok()
}

fn route(request: &request::Parts) -> Result<Matched<'_>, Box<Answer>> {
    match routes::find(Listener::Control, request.method.as_str(), request.uri.path()) {
        Found::Route(matched) => Ok(matched),
        Found::MethodNotAllowed(methods) => {
            let allowed = methods.join(", ");
            let advice = format!("use {allowed}");
            let mut answer = refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path does not take this method",
                &advice,
            );
            if let Ok(value) = HeaderValue::from_str(&allowed) {
                answer.headers_mut().insert(header::ALLOW, value);
            }
            Err(answer)
        }
        Found::NotFound => Err(refuse(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is nothing at this path",
            "agents' routes are on the data listener",
        )),
    }
}

fn unauthorized(message: &str) -> Box<Answer> {
    let advice = "send 'Authorization: Bearer TOKEN' with the content of operator.token in DOORWARD_HOME";
    let mut answer = refuse(StatusCode::UNAUTHORIZED, "unauthorized", message, advice);
    let challenge = HeaderValue::from_static("Bearer realm=\"doorward\"");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    answer
}

fn refuse(status: StatusCode, code: &str, message: &str, advice: &str) -> Box<Answer> {
    Box::new(answer::error(status, code, message, advice))
}

#[cfg(test)]
mod tests {
    use doorward_store::TokenKind;

    use super::*;

    #[test]
    fn ours_is_loopback_at_our_port_or_configured() {
        let operator = Token::random(TokenKind::Operator).unwrap();
        let mut gate = Gate { operator, port: 7879, hosts: vec!["door.example:8443".into()] };
        for ours in [
            "localhost:7879",
            "LOCALHOST:7879",
            "127.0.0.1:7879",
            "127.9.9.9:7879",
            "[::1]:7879",
            "door.example:8443",
        ] {
            assert!(gate.is_ours(ours), "{ours}");
        }
        for foreign in [
            "",
            ":7879",
            "localhost",
            "localhost:",
            "localhost:80",
            "localhost:7878",
            "localhost:+7879",
            "127.0.0.1",
            "127.0.0.1.evil.example:7879",
            "localhost.evil.example:7879",
            "evil.example:7879",
            "[::1]",
            "::1:7879",
            "door.example",
            "10.0.0.1:7879",
            "0.0.0.0:7879",
            "[::]:7879",
            "x@localhost:7879",
            "localhost:7879/",
            "2130706433:7879",
            "127.1:7879",
            " localhost:7879",
            "localhost.:7879",
            "[127.0.0.1]:7879",
        ] {
            assert!(!gate.is_ours(foreign), "{foreign}");
        }
        gate.port = 80;
        assert!(gate.is_ours("localhost") && gate.is_ours("[::1]") && gate.is_ours("127.0.0.1:80"));
    }
}
