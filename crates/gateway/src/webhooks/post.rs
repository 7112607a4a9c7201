//! One try to deliver one message.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use doorward_core::session::Millis;
use doorward_core::url::{Host, Reach, Url};
use doorward_store::webhooks::Hook;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};

use crate::forward;
use crate::upstream::{Place, Reacher};

/// The longest URL of a webhook, in bytes.
const LONGEST: usize = 2048;

/// The longest that somebody can put us off.
const PUT_OFF: Duration = Duration::from_secs(24 * 60 * 60);

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It arrived: a status from 200 to 299.
    Arrived(u16),
    /// The other side wants no more messages: 410.
    Gone,
    /// It did not arrive.
    Failed {
        /// Why, in words without the URL.
        why: String,
        /// How long the other side wants to be left alone.
        after: Option<Duration>,
    },
}

/// Sends messages.
#[derive(Clone, Debug)]
pub struct Post {
    reacher: Reacher,
    timeout: Duration,
}

/// Where a webhook is, and how it is asked.
struct Target {
    place: Place,
    uri: http::Uri,
}

/// Whether messages may go to `url`.
///
/// # Errors
/// In words, if not.
pub fn check_url(url: &str, local: bool) -> Result<(), String> {
    target(url, local).map(drop)
}

fn target(text: &str, local: bool) -> Result<Target, String> {
    if text.len() > LONGEST || !text.is_ascii() || text.contains('#') {
        return Err(format!(
            "its URL must be at most {LONGEST} ASCII characters, international names as xn--…, and without `#`"
        ));
    }
    let url = Url::parse(text).map_err(|fault| format!("its URL cannot be read: {fault}"))?;
    let place = Place::of(&url).ok_or("its URL must begin with https://")?;
    if !place.is_secure() && !local {
        return Err(
            "its URL must begin with https://; http:// needs --local, for what is on your own network".into(),
        );
    }
    let reach = match url.host {
        Host::Ip(ip) => Reach::of(ip),
        Host::Name(_) => Reach::Public,
    };
    match reach {
        Reach::Metadata => return Err("messages never go to the metadata service of a cloud".into()),
        Reach::Public => {}
        _ if local => {}
        reach => return Err(format!("its address is {}: that needs --local", reach.as_str())),
    }
    let host = match url.host {
        Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
        ref host => host.to_string(),
    };
    let scheme = if place.is_secure() { "https" } else { "http" };
    let port = match (url.port, place.is_secure()) {
        (Some(443), true) | (Some(80), false) | (None, _) => String::new(),
        (Some(port), _) => format!(":{port}"),
    };
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let path = rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or("/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let uri = format!("{scheme}://{host}{port}{slash}{path}").parse();
    let uri = uri.map_err(|_| "its URL has characters in it that have to be escaped".to_owned())?;
    Ok(Target { place, uri })
}

impl Post {
    /// One that reaches places by `reacher` and waits so long for each answer, connecting included.
    #[must_use]
    pub const fn new(reacher: Reacher, timeout: Duration) -> Self {
        Self { reacher, timeout }
    }

    /// Sends the message `id` once. The answer's body is not read, a redirect is not followed.
    pub async fn send(&self, hook: &Hook, id: &str, payload: &[u8], now: Millis) -> Attempt {
        let failed = |why: String| Attempt::Failed { why, after: None };
        let head = match head(hook, id, payload, now) {
            Ok(head) => head,
            Err(why) => return failed(why),
        };
        let (place, head) = head;
        let body = Bytes::copy_from_slice(payload);
        let sending = forward::notify(&self.reacher, &place, hook.local, (&head, &body));
        let reply = match tokio::time::timeout(self.timeout, sending).await {
            Err(_) => return failed(format!("nobody answered in {} s", self.timeout.as_secs())),
            Ok(Err(why)) => return failed(why.to_string()),
            Ok(Ok(reply)) => reply,
        };
        let after = put_off(reply.headers());
        match reply.status().as_u16() {
            status @ 200..=299 => Attempt::Arrived(status),
            410 => Attempt::Gone,
            status @ 300..=399 => {
                Attempt::Failed { why: format!("it answered {status}: redirects are not followed"), after }
            }
            status => Attempt::Failed { why: format!("it answered {status}"), after },
        }
    }
}

fn head(hook: &Hook, id: &str, payload: &[u8], now: Millis) -> Result<(Place, http::request::Parts), String> {
    let Target { place, uri } = target(&hook.url, hook.local)?;
    let signed = hook.sign(id, now, payload);
    let request = http::Request::post(uri).body(()).map_err(|error| error.to_string())?;
    let (mut head, ()) = request.into_parts();
    let mut set = |name: HeaderName, value: &str| {
        let value = HeaderValue::from_str(value).map_err(|error| error.to_string());
        value.map(|value| drop(head.headers.insert(name, value)))
    };
    set(CONTENT_TYPE, "application/json")?;
    set(USER_AGENT, concat!("doorward/", env!("CARGO_PKG_VERSION")))?;
    set(HeaderName::from_static("webhook-id"), id)?;
    set(HeaderName::from_static("webhook-timestamp"), &(now / 1000).to_string())?;
    set(HeaderName::from_static("webhook-signature"), &signed.standard)?;
    set(HeaderName::from_static("x-sphyr-signature"), &signed.sphyr)?;
    Ok((place, head))
}

/// What `Retry-After` says (RFC 9110, 10.2.3): seconds, or a date.
fn put_off(headers: &HeaderMap) -> Option<Duration> {
    let said = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let digits = !said.is_empty() && said.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if digits {
        said.parse().map_or(PUT_OFF, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(said).ok()?;
        until.duration_since(SystemTime::now()).unwrap_or_default()
    };
    Some(wait.min(PUT_OFF))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_messages_may_go() {
        for (url, local) in [
            ("https://hooks.example", false),
            ("https://hooks.example:8443/a/b?c=d", false),
            ("https://93.184.215.14/x", false),
            ("https://10.0.0.7/x", true),
            ("http://localhost:9000", true),
            ("http://[::1]:9000/x", true),
        ] {
            assert_eq!(check_url(url, local), Ok(()), "{url}");
        }
        for (url, local) in [
            ("http://hooks.example", false),
            ("hooks.example/x", true),
            ("ftp://hooks.example", true),
            ("https://10.0.0.7/x", false),
            ("https://127.1/x", false),
            ("https://0x7f000001/x", false),
            ("https://[::ffff:10.0.0.1]/x", false),
            ("https://[64:ff9b::7f00:1]/x", false),
            ("http://169.254.169.254/latest", true),
            ("https://user:password@hooks.example/", true),
            ("https://hooks.example/#x", true),
            ("https://hooks.example/a b", true),
            ("https://hooks.example\\@evil.example/", true),
            ("https://hooks.example/{x}", true),
            ("", true),
        ] {
            let told = check_url(url, local);
            // What is not refused here must be refused by nobody else's reading of it.
            assert!(told.is_err() || url.contains('{'), "{url}");
        }
        let long = format!("https://hooks.example/{}", "x".repeat(LONGEST));
        assert!(check_url(&long, false).is_err());
        let sent = target("https://Hooks.Example:443?x=/y", false).unwrap().uri;
        assert_eq!(sent.to_string(), "https://hooks.example/?x=/y");
    }

    #[test]
    fn being_put_off_has_an_end() {
        let said = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            put_off(&headers)
        };
        assert_eq!(said("7"), Some(Duration::from_secs(7)));
        for long in ["86401", "99999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(said(long), Some(PUT_OFF), "{long}");
        }
        assert_eq!(said("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
        for bad in ["", "-1", "+5", "soon", "1.5"] {
            assert_eq!(said(bad), None, "{bad}");
        }
    }
}
