//! Header lines that HTTP libraries write into every request. The SDK's `auto_instrument` signs and sends what `requests` and
//! `httpx` would have sent, these lines too. They belong to a connection that Doorward opens itself; what they say is said there
//! anew. So a line that says just that is left out, and any other is refused as a header that is not the client's to set.

use super::call::Line;
use crate::url::Url;

/// What goes on, and what only says how this request would be framed by itself: `Connection: keep-alive` or `close`, the `Host`
/// that `url` names, the `Content-Length` that the body has. A name that is given more than once says nothing, and goes on to
/// be refused.
pub(super) fn apart(lines: Vec<Line>, url: &str, body: &[u8]) -> (Vec<Line>, Vec<Line>) {
    let once = |name: &str| lines.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).count() == 1;
    let left_out: Vec<bool> =
        lines.iter().map(|(name, value)| once(name) && says_itself(name, value, url, body)).collect();
    let mut left_out = left_out.into_iter();
    let (framing, sent) = lines.into_iter().partition(|_| left_out.next().unwrap_or_default());
    (sent, framing)
}

fn says_itself(name: &str, value: &str, url: &str, body: &[u8]) -> bool {
    match name.to_ascii_lowercase().as_str() {
        "connection" => ["keep-alive", "close"].iter().any(|word| value.eq_ignore_ascii_case(word)),
        "content-length" => value == body.len().to_string(),
        "host" => is_host(value, url),
        _ => false,
    }
}

/// Whether `value` is the authority of `url`, with its port or, if that goes without saying, without.
fn is_host(value: &str, url: &str) -> bool {
    let Some((scheme, _)) = url.split_once("://") else { return false };
    // Nothing but an authority, so that what is read is all that stands there.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if value.is_empty() || !value.bytes().all(plain) {
        return false;
    }
    let told = format!("{scheme}://{value}/");
    match (Url::parse(&told), Url::parse(url)) {
        (Ok(told), Ok(url)) => told.host == url.host && told.port == url.port,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(url: &str, body: &str, lines: &[(&str, &str)]) -> Vec<String> {
        let lines = lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        apart(lines, url, body.as_bytes()).1.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_libraries_write_is_left_out() {
        let lines = [
            ("Host", "A.example"),
            ("User-Agent", "x/1"),
            ("connection", "Keep-Alive"),
            ("Content-Length", "4"),
            ("Accept", "*/*"),
        ];
        assert_eq!(left_out("https://a.example/b", "body", &lines), ["Host", "connection", "Content-Length"]);
        let (sent, _) = apart(vec![("a".into(), "1".into()), ("b".into(), "2".into())], "https://a/", b"");
        assert_eq!(sent.len(), 2, "in their order: {sent:?}");
        assert_eq!(left_out("https://a.example/", "", &[("Connection", "close")]), ["Connection"]);
    }

    #[test]
    fn a_host_is_the_one_that_the_url_names() {
        for (url, host, same) in [
            ("https://a.example/", "a.example", true),
            ("https://a.example/", "a.example:443", true),
            ("https://a.example:443/", "a.example", true),
            ("https://a.example:8443/x", "a.example:8443", true),
            ("https://a.example./", "a.example", true),
            ("http://a.example/", "a.example:80", true),
            ("https://[2001:db8::1]:8443/", "[2001:db8::1]:8443", true),
            ("https://a.example/", "b.example", false),
            ("https://a.example/", "a.example:80", false),
            ("https://a.example:8443/", "a.example", false),
            ("https://a.example/", "", false),
            ("https://a.example/", "x@a.example", false),
            ("https://a.example/", "a.example/", false),
            ("https://a.example/", "a.example, b.example", false),
            ("https://a.example/", "a.example#", false),
            ("https://u@a.example/", "a.example", false),
            ("a.example", "a.example", false),
        ] {
            assert_eq!(!left_out(url, "", &[("host", host)]).is_empty(), same, "{url} {host}");
        }
    }

    #[test]
    fn whatever_says_something_else_stays_to_be_refused() {
        for lines in [
            &[("Content-Length", "5")][..],
            &[("Content-Length", "04")],
            &[("Content-Length", "+4")],
            &[("Content-Length", "4, 4")],
            &[("Content_Length", "4")],
            &[("Content-Length", "4"), ("content-length", "4")],
            &[("Host", "a.example"), ("host", "a.example")],
            &[("Connection", "keep-alive, x-forwarded-for")],
            &[("Connection", "upgrade")],
            &[("Keep-Alive", "timeout=5")],
            &[("Proxy-Connection", "keep-alive")],
            &[("Transfer-Encoding", "chunked")],
        ] {
            assert!(left_out("https://a.example/", "body", lines).is_empty(), "{lines:?}");
        }
    }
}
