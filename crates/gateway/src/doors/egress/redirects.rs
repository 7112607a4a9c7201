//! Where an answer leads instead of being one, and the request that follows it: judged as if the agent had made it, with
//! what the site may choose (place, method, body) and without what was meant for that site only.

use doorward_core::url::{Url, resolve};
use doorward_core::wire::sphyr::call::Net;
use doorward_core::wire::sphyr::code;
use http::{HeaderMap, StatusCode, header};

use super::denied::Denial;
use crate::upstream::Place;

/// The headers that go on to another origin: those that say nothing of who asks. A list of the others would have to know
/// the name of every header in which somebody has put a key.
const FOR_EVERYBODY: [&str; 7] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "content-encoding",
    "content-language",
    "content-type",
    "user-agent",
];

/// Where an answer to a request of `url` redirects to, whole; `None` if it does not, or readers could disagree (RFC 9110,
/// 15.4; two lines of `Location`, bytes beyond ASCII).
pub fn target(url: &str, status: StatusCode, headers: &HeaderMap) -> Option<String> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let mut lines = headers.get_all(header::LOCATION).iter();
    let line = lines.next()?.to_str().ok()?;
    if lines.next().is_some() { None } else { resolve(url, line) }
}

/// The request that follows `net` to `url`.
pub fn follow(net: &Net, status: StatusCode, url: String) -> Net {
    // RFC 9110, 15.4.2 to 15.4.4: 303 asks for another resource; 301 and 302 do so after a POST, as all clients have it.
    let asks = match (status.as_u16(), net.method.as_str()) {
        (_, "GET" | "HEAD") => false,
        (303, _) | (301 | 302, "POST") => true,
        _ => false,
    };
    let stays = same_origin(&net.url, &url);
    let goes_on = |name: &str| {
        let name = name.to_ascii_lowercase();
        let about_body = name.starts_with("content-") || name == "idempotency-key";
        (stays || FOR_EVERYBODY.contains(&name.as_str())) && !(asks && about_body)
    };
    let headers = net.headers.iter().filter(|(name, _)| goes_on(name)).cloned().collect();
    let method = if asks { "GET".to_owned() } else { net.method.clone() };
    let body = if asks { Vec::new() } else { net.body.clone() };
    Net { url, method, body, headers, ..net.clone() }
}

/// Whether two URLs are of one scheme, host and port.
fn same_origin(one: &str, other: &str) -> bool {
    let place = |url: &str| Url::parse(url).ok().and_then(|url| Place::of(&url));
    place(one).is_some_and(|one| Some(one) == place(other))
}

/// That a redirect was not followed: whoever asked goes on by itself from there. Nothing is tried again from the beginning,
/// because what came before has been sent.
pub fn refused(denial: Denial, location: &str) -> Denial {
    let message = format!(
        "the answer redirects, and following it was refused: {} ({})",
        denial.message, denial.code.name
    );
    Denial {
        code: code::REDIRECT_BLOCKED,
        message,
        retry_after: None,
        // A site must not be able to suspend a key.
        touched: None,
        seen: true,
        redirect: Some(location.into()),
        ..denial
    }
}

#[cfg(test)]
mod tests {
    use doorward_core::wire::sphyr::call::Time;

    use super::*;

    fn net(method: &str) -> Net {
        let line = |name: &str| (name.to_owned(), "1".to_owned());
        Net {
            session: String::new(),
            url: "https://a.example/x".into(),
            method: method.into(),
            category: String::new(),
            signature: String::new(),
            time: Time { text: String::new(), seconds: 0 },
            body: b"body".to_vec(),
            headers: ["Authorization", "X-Key", "Accept", "Content-Type", "Idempotency-Key"].map(line).into(),
            framing: Vec::new(),
            trace: String::new(),
            preflight: false,
            follow: None,
        }
    }

    fn followed(method: &str, status: u16, url: &str) -> (String, usize, Vec<String>) {
        let next = follow(&net(method), StatusCode::from_u16(status).unwrap(), url.into());
        (next.method, next.body.len(), next.headers.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn methods_follow_the_rfc() {
        for (method, status, then, body) in [
            ("GET", 301, "GET", 4),
            ("HEAD", 303, "HEAD", 4),
            ("POST", 301, "GET", 0),
            ("POST", 302, "GET", 0),
            ("POST", 303, "GET", 0),
            ("POST", 307, "POST", 4),
            ("POST", 308, "POST", 4),
            ("PUT", 302, "PUT", 4),
            ("PUT", 303, "GET", 0),
            ("DELETE", 308, "DELETE", 4),
        ] {
            let (found, length, headers) = followed(method, status, "https://a.example/y");
            assert_eq!((found.as_str(), length), (then, body), "{method} {status}");
            assert_eq!(headers.len(), if body == 0 { 3 } else { 5 }, "{method} {status} {headers:?}");
        }
    }

    #[test]
    fn who_asks_is_told_to_nobody_else() {
        for other in ["https://b.example/", "http://a.example/x", "https://a.example:444/x", "https://a.b/"] {
            let (_, _, headers) = followed("POST", 307, other);
            assert_eq!(headers, ["Accept", "Content-Type"], "{other}");
        }
        assert_eq!(followed("POST", 307, "https://A.example:443/z").2.len(), 5);
    }

    #[test]
    fn only_one_place_is_one() {
        let lines = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::LOCATION, line.parse().unwrap());
            }
            headers
        };
        let at = |status: u16, headers: &HeaderMap| {
            target("https://a.example/b/c", StatusCode::from_u16(status).unwrap(), headers)
        };
        assert_eq!(at(302, &lines(&["../d"])).as_deref(), Some("https://a.example/d"));
        assert_eq!(at(302, &lines(&["//b.example"])).as_deref(), Some("https://b.example"));
        assert_eq!(at(302, &lines(&["/a", "/b"])), None);
        assert_eq!(at(302, &lines(&[])), None);
        for status in [200, 201, 300, 304, 305, 306] {
            assert_eq!(at(status, &lines(&["/a"])), None, "{status}");
        }
    }
}
