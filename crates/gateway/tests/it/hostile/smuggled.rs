//! Requests in requests: at our own listener, and in what we write to others.

use super::*;

/// A request to the door whose URL says who sent it.
fn asking(rig: &Rig, url: &str, more: &str) -> String {
    let asked = json!({"url": url}).to_string();
    let head = format!("POST /v1/net HTTP/1.1\r\nhost: {}\r\n{}{more}", rig.address, rig.credential());
    format!("{head}content-length: {}\r\n\r\n{asked}", asked.len())
}

/// Lines that say where a body ends in a way that two readers could read differently. `{n}` is its length.
const FRAMINGS: &[&str] = &[
    "content-length: {n}\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: chunked\r\ncontent-length: {n}\r\n",
    "content-length: {n}\r\ncontent-length: 0\r\n",
    "content-length: {n}\r\nContent-Length: {n}\r\n",
    "content-length: {n}, {n}\r\n",
    "content-length: {n} {n}\r\n",
    "content-length: +{n}\r\n",
    "content-length: -{n}\r\n",
    "content-length: 0x{n}\r\n",
    "content-length: {n};\r\n",
    "content-length: {n}.0\r\n",
    "content-length: \"{n}\"\r\n",
    "content-length:\r\n",
    "content-length: 18446744073709551617\r\n",
    "content-length : {n}\r\n",
    "content-length\t: {n}\r\n",
    " content-length: {n}\r\n",
    "content-length:\r\n {n}\r\n",
    "x: y\r\n content-length: {n}\r\n",
    "content-length: {n}\n",
    "x: y\ncontent-length: {n}\r\n",
    "x: y\rcontent-length: {n}\r\n",
    "x: y\0\r\ncontent-length: {n}\r\n",
    "content\0-length: {n}\r\ncontent-length: {n}\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
    "transfer-encoding: chunked, identity\r\n",
    "transfer-encoding: identity, chunked\r\n",
    "transfer-encoding: identity\r\n",
    "transfer-encoding: xchunked\r\n",
    "transfer-encoding: chunked;q=1\r\n",
    "transfer-encoding: \"chunked\"\r\n",
    "transfer-encoding: gzip, chunked\r\n",
    "transfer-encoding: \x0bchunked\r\n",
    "transfer-encoding:\r\n chunked\r\n",
    "transfer-encoding : chunked\r\n",
    "transfer-encoding: chunked\n",
    "transfer-encoding: chun\tked\r\n",
    "transfer-encoding: chunk\r\n",
    "transfer-encoding:\r\n",
];

/// Chunks that two readers could cut differently; `{a}` is the size of what is asked for, `{b}` itself.
const CHUNKS: &[&str] = &[
    "{a}\n{b}\r\n0\r\n\r\n",
    "{a}\r\n{b}\n0\r\n\r\n",
    "{a}\r\n{b}0\r\n\r\n",
    "{a}\r\n{b}\r\n0\n\r\n",
    "{a}\r{b}\r\n0\r\n\r\n",
    "0x{a}\r\n{b}\r\n0\r\n\r\n",
    "+{a}\r\n{b}\r\n0\r\n\r\n",
    "-{a}\r\n{b}\r\n0\r\n\r\n",
    "_{a}\r\n{b}\r\n0\r\n\r\n",
    "{a};x\ny\r\n{b}\r\n0\r\n\r\n",
    "{a};x\0y\r\n{b}\r\n0\r\n\r\n",
    "{a},\r\n{b}\r\n0\r\n\r\n",
    "1000000000000000{a}\r\n{b}\r\n0\r\n\r\n",
    "ffffffffffffffff{a}\r\n{b}\r\n0\r\n\r\n",
    "000000000000000000{a}\r\n{b}\r\n0\r\n\r\n",
    "{a}g\r\n{b}\r\n0\r\n\r\n",
    "\r\n{a}\r\n{b}\r\n0\r\n\r\n",
    "{a}\r\n{b}\r\n\r\n0\r\n\r\n",
    "{a}\r\n{b}\r\n0\r\nx: y\n\r\n",
    "{a}\r\n{b}\r\n0\r\nx: y\rz\r\n\r\n",
];

/// Sends `request` with another one behind it that would go out if it were read as one, and expects one refusal, the end
/// of the connection, and nothing sent.
async fn refused(rig: &Rig, upstream: &Raw, what: &str, request: &str) {
    let behind = asking(rig, &format!("{}smuggled", upstream.url()), "");
    let answer = answered(rig.address, format!("{request}{behind}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"), "{what:?}: {answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what:?}: {answer}");
    assert!(upstream.heard().is_empty(), "{what:?}: {:?}", upstream.heard());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_two_readers_would_end_differently_is_refused_and_ends_the_connection() {
    let rig = Arc::new(Rig::new().await);
    let mut tasks = Vec::new();
    for path in ["/v1/net", "/mcp"] {
        for framing in FRAMINGS {
            let rig = Arc::clone(&rig);
            tasks.push(tokio::spawn(async move {
                let upstream = Raw::answering().await;
                let asked = json!({"url": upstream.url()}).to_string();
                let lines = framing.replace("{n}", &asked.len().to_string());
                let head = format!("POST {path} HTTP/1.1\r\nhost: {}\r\n{}", rig.address, rig.credential());
                refused(&rig, &upstream, framing, &format!("{head}{lines}\r\n{asked}")).await;
            }));
        }
        for chunks in CHUNKS {
            let rig = Arc::clone(&rig);
            tasks.push(tokio::spawn(async move {
                let upstream = Raw::answering().await;
                let asked = json!({"url": upstream.url()}).to_string();
                let body = chunks.replace("{a}", &format!("{:x}", asked.len())).replace("{b}", &asked);
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: {}\r\n{}transfer-encoding: chunked\r\n\r\n",
                    rig.address,
                    rig.credential()
                );
                refused(&rig, &upstream, chunks, &format!("{head}{body}")).await;
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(rig.names.asked().is_empty(), "{:?}", rig.names.asked());
    // As it should be written, with chunks and without, it goes; and so does what is behind it.
    let upstream = Raw::answering().await;
    let asked = json!({"url": upstream.url()}).to_string();
    let chunked = format!(
        "POST /v1/net HTTP/1.1\r\nhost: {}\r\n{}transfer-encoding: chunked\r\n\r\n{:x};a=b\r\n{asked}\r\n0\r\n\r\n",
        rig.address,
        rig.credential(),
        asked.len()
    );
    let last = asking(&rig, &upstream.url(), "connection: close\r\n");
    let answer = answered(rig.address, format!("{chunked}{last}").as_bytes()).await;
    assert_eq!((answer.matches("HTTP/1.1 200 OK").count(), upstream.heard().len()), (2, 2), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_another_host_or_of_another_form_goes_nowhere() {
    let rig = Rig::new().await;
    let (own, credential) = (rig.address, rig.credential());
    let upstream = Raw::answering().await;
    let asked = json!({"url": upstream.url()}).to_string();
    for (what, line, host) in [
        ("another host", "POST /v1/net HTTP/1.1", "host: evil.example\r\n".to_owned()),
        ("no host", "POST /v1/net HTTP/1.1", String::new()),
        ("two hosts", "POST /v1/net HTTP/1.1", format!("host: {own}\r\nhost: evil.example\r\n")),
        ("the same twice", "POST /v1/net HTTP/1.1", format!("host: {own}\r\nHost: {own}\r\n")),
        ("a list of hosts", "POST /v1/net HTTP/1.1", format!("host: {own}, evil.example\r\n")),
        ("a user", "POST /v1/net HTTP/1.1", format!("host: evil@{own}\r\n")),
        ("a path", "POST /v1/net HTTP/1.1", format!("host: {own}/\r\n")),
        ("another port", "POST /v1/net HTTP/1.1", "host: 127.0.0.1:1\r\n".to_owned()),
        ("a dot", "POST /v1/net HTTP/1.1", format!("host: {own}.\r\n")),
        ("a page", "POST /v1/net HTTP/1.1", format!("host: {own}\r\norigin: https://evil.example\r\n")),
        ("a page without an origin", "POST /v1/net HTTP/1.1", format!("host: {own}\r\norigin: null\r\n")),
        ("a whole URL", "POST http://up.example/v1/net HTTP/1.1", format!("host: {own}\r\n")),
        ("a whole URL of our own", &format!("POST http://{own}/v1/net HTTP/1.1"), format!("host: {own}\r\n")),
        ("an authority", &format!("CONNECT {own} HTTP/1.1"), format!("host: {own}\r\n")),
        ("a star", "OPTIONS * HTTP/1.1", format!("host: {own}\r\n")),
        ("another method", "GET /v1/net HTTP/1.1", format!("host: {own}\r\n")),
        ("a method in small letters", "post /v1/net HTTP/1.1", format!("host: {own}\r\n")),
        ("a path that is another's", "POST /v1/net/ HTTP/1.1", format!("host: {own}\r\n")),
        ("a path with dots", "POST /x/../v1/net HTTP/1.1", format!("host: {own}\r\n")),
        ("a path in escapes", "POST /v1/n%65t HTTP/1.1", format!("host: {own}\r\n")),
        ("two slashes", "POST //v1/net HTTP/1.1", format!("host: {own}\r\n")),
        ("another version", "POST /v1/net HTTP/1.2", format!("host: {own}\r\n")),
        ("no version", "POST /v1/net", format!("host: {own}\r\n")),
        ("two spaces", "POST  /v1/net HTTP/1.1", format!("host: {own}\r\n")),
        ("a tab", "POST\t/v1/net HTTP/1.1", format!("host: {own}\r\n")),
        ("a fragment", "POST /v1/net#x HTTP/1.1", format!("host: {own}\r\n")),
    ] {
        let request = format!(
            "{line}\r\n{host}{credential}connection: close\r\ncontent-length: {}\r\n\r\n{asked}",
            asked.len()
        );
        let answer = answered(own, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"), "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: {answer}");
    }
    assert!(upstream.heard().is_empty() && rig.names.asked().is_empty());
    // Headers that are named as those of this connection alone count all the same: nothing is framed by another reading.
    let named = "connection: close, content-length, host, authorization\r\n";
    let answer = answered(own, asking(&rig, &upstream.url(), named).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && upstream.heard().len() == 1, "{answer}");
}

/// What stands in the arguments stays where it was put: one request goes out, framed once, or none.
#[tokio::test(flavor = "multi_thread")]
async fn headers_that_say_more_than_one_line_are_refused() {
    let rig = Rig::new().await;
    let upstream = Raw::answering().await;
    let headers = |name: &str, value: &str| json!({ name: value });
    for (headers, code) in [
        (headers("a", "b\r\nc: d"), "HEADER_INVALID"),
        (headers("a", "b\r\n\r\nGET / HTTP/1.1"), "HEADER_INVALID"),
        (headers("a", "b\nc: d"), "HEADER_INVALID"),
        (headers("a", "b\rc: d"), "HEADER_INVALID"),
        (headers("a", "b\0"), "HEADER_INVALID"),
        (headers("a", "b\u{b}c"), "HEADER_INVALID"),
        (headers("a", "\u{7f}"), "HEADER_INVALID"),
        (headers("a", " b"), "HEADER_INVALID"),
        (headers("a", "b\t"), "HEADER_INVALID"),
        (headers("a", "é"), "HEADER_INVALID"),
        (headers("a", "b\u{560a}c: d"), "HEADER_INVALID"),
        (headers("a", "b\u{2028}c"), "HEADER_INVALID"),
        (headers("", "b"), "HEADER_INVALID"),
        (headers("a b", "c"), "HEADER_INVALID"),
        (headers("a:", "c"), "HEADER_INVALID"),
        (headers("a: b\r\nc", "d"), "HEADER_INVALID"),
        (headers("a\r\nb", "c"), "HEADER_INVALID"),
        (headers(" a", "b"), "HEADER_INVALID"),
        (headers("a\0", "b"), "HEADER_INVALID"),
        (headers("transfer-encoding\u{212a}", "b"), "HEADER_INVALID"),
        (headers(":path", "/other"), "HEADER_INVALID"),
        (headers(":authority", "evil.example"), "HEADER_INVALID"),
        (headers("(a)", "b"), "HEADER_INVALID"),
        (json!({"a": 1}), "HEADER_INVALID"),
        (json!({"a": ["b", "c"]}), "HEADER_INVALID"),
        (json!({"a": null}), "HEADER_INVALID"),
        (json!([["a", "b"]]), "HEADER_INVALID"),
        (json!({"A": "b", "a": "c"}), "HEADER_COLLISION"),
        (headers("host", "evil.example"), "HEADER_COLLISION"),
        (headers("HOST", "evil.example"), "HEADER_COLLISION"),
        (headers("Content-Length", "0"), "HEADER_COLLISION"),
        (headers("content_length", "0"), "HEADER_COLLISION"),
        (headers("CONTENT_LENGTH", "0"), "HEADER_COLLISION"),
        (headers("Transfer-Encoding", "chunked"), "HEADER_COLLISION"),
        (headers("transfer_encoding", "chunked"), "HEADER_COLLISION"),
        (headers("TE", "trailers"), "HEADER_COLLISION"),
        (headers("Trailer", "x"), "HEADER_COLLISION"),
        (headers("Connection", "x-forwarded-for"), "HEADER_COLLISION"),
        (headers("Keep-Alive", "1"), "HEADER_COLLISION"),
        (headers("Proxy-Connection", "keep-alive"), "HEADER_COLLISION"),
        (headers("Upgrade", "websocket"), "HEADER_COLLISION"),
        (headers("HTTP2-Settings", "AAMAAABk"), "HEADER_COLLISION"),
        (headers("Expect", "100-continue"), "HEADER_COLLISION"),
        (headers("Doorward-Agent", "other"), "HEADER_COLLISION"),
    ] {
        let asked = json!({"url": upstream.url(), "headers": headers});
        assert_eq!(rig.code(&asked).await, code, "{asked}");
    }
    assert!(upstream.heard().is_empty() && rig.names.asked().is_empty());
}

/// One request goes out, its head is read in one way, and its body is as long as it says.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_out_is_one_request_whatever_stands_in_it() {
    let rig = Rig::new().await;
    let inner = "GET /smuggled HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    for (more, target, body) in [
        (json!({}), "GET / ", ""),
        (json!({"method": "GET", "body": inner}), "GET / ", inner),
        (
            json!({"method": "POST", "body": format!("0\r\n\r\n{inner}")}),
            "POST / ",
            &*format!("0\r\n\r\n{inner}"),
        ),
        (json!({"method": "POST"}), "POST / ", ""),
        (json!({"method": "PUT"}), "PUT / ", ""),
        (json!({"method": "PATCH", "body": "\r\n\r\n"}), "PATCH / ", "\r\n\r\n"),
        (json!({"method": "DELETE", "body": inner}), "DELETE / ", inner),
        (json!({"method": "HEAD", "body": inner}), "HEAD / ", inner),
        (json!({"path": "a%20HTTP/1.1?x=%20y"}), "GET /a%20HTTP/1.1?x=%20y ", ""),
        (json!({"path": "?x=%0d%0aHost:%20evil.example"}), "GET /?x=%0d%0aHost:%20evil.example ", ""),
        (json!({"path": "a#/../b"}), "GET /a ", ""),
        (json!({"headers": {"X": "a: b, c; d=\"e\""}}), "GET / ", ""),
        (
            json!({"headers": {"Content-Type": "message/http"}, "method": "POST", "body": inner}),
            "POST / ",
            inner,
        ),
    ] {
        let upstream = Raw::answering().await;
        let mut asked = json!({"url": upstream.url()});
        for (name, value) in more.as_object().unwrap() {
            match name.as_str() {
                "path" => asked["url"] = json!(format!("{}{}", upstream.url(), value.as_str().unwrap())),
                _ => asked[name] = value.clone(),
            }
        }
        assert_eq!(rig.code(&asked).await, "200", "{asked}");
        let heard = upstream.heard();
        let [heard] = heard.as_slice() else { panic!("{asked}: {heard:?}") };
        let (head, rest) = heard.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("{target}HTTP/1.1\r\n")), "{asked}: {heard:?}");
        assert_eq!(rest, body, "{asked}: {heard:?}");
        let lines = |name: &str| {
            let lines = head.split("\r\n").filter(|line| line.to_ascii_lowercase().starts_with(name));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines("host:"), [format!("host: up.example:{}", upstream.port)], "{heard:?}");
        assert!(lines("transfer-encoding").is_empty() && lines("connection").is_empty(), "{heard:?}");
        let length = lines("content-length");
        assert!(length.len() < 2 && !head.contains('\0'), "{heard:?}");
        assert!(head.split("\r\n").all(|line| !line.contains(['\r', '\n'])), "{heard:?}");
        if !body.is_empty() {
            assert_eq!(length, [format!("content-length: {}", body.len())]);
        }
    }
    // What cannot stand in a request line is not repaired.
    let upstream = Raw::answering().await;
    for path in ["a b", "a\r\nb", "a\tb", "é", "a\\b", "a%0d%0ab", "a%00b", "\u{2028}"] {
        let asked = json!({"url": format!("{}{path}", upstream.url())});
        assert_eq!(rig.code(&asked).await, "INVALID_URL", "{asked}");
    }
    assert!(upstream.heard().is_empty());
}

/// A header block of HTTP/2, every line as it is (RFC 7541, 6.2.2).
fn block(lines: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in lines {
        out.push(0);
        for text in [name, value] {
            match u8::try_from(text.len()).unwrap() {
                length @ 0..127 => out.push(length),
                // RFC 7541, 5.1: what is above a prefix of seven bits, below 128.
                length => out.extend([127, length - 127]),
            }
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Whether a request of these lines and this body is answered with a status that says that it went out.
async fn over_http2(rig: &Rig, lines: &[(&str, &str)], body: &[u8]) -> bool {
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes.extend(frame(1, 4, 1, &block(lines)));
    bytes.extend(frame(0, 1, 1, body));
    let _ = stream.write_all(&bytes).await;
    let mut got = Vec::new();
    let reading = async {
        loop {
            let mut rest = got.as_slice();
            while let [a, b, c, kind, _, _, _, _, last, ..] = *rest {
                let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                let Some(payload) = rest.get(9..9 + length) else { break };
                match (kind, last) {
                    // `:status: 200` is the eighth of the static table.
                    (1, 1) => return payload.contains(&0x88),
                    (3, 1) | (7, _) => return false,
                    _ => {}
                }
                rest = &rest[9 + length..];
            }
            if stream.read_buf(&mut got).await.unwrap_or(0) == 0 {
                return false;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn pseudo_headers_of_http2_are_what_they_must_be() {
    let rig = Rig::new().await;
    let upstream = Raw::answering().await;
    let body = json!({"url": upstream.url()}).to_string();
    let (own, credential) = (rig.address.to_string(), format!("Bearer {}", *rig.key.credential()));
    let (length, longer) = (body.len().to_string(), (body.len() + 1).to_string());
    let fine: Vec<(&str, &str)> = vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/v1/net"),
        (":authority", &own),
        ("authorization", &credential),
    ];
    assert!(over_http2(&rig, &fine, body.as_bytes()).await, "as it should be");
    assert_eq!(upstream.heard().len(), 1);
    let without = |name: &str| fine.iter().copied().filter(|(own, _)| *own != name).collect::<Vec<_>>();
    let with = |line: (&'static str, &'static str)| [fine.clone(), vec![line]].concat();
    let instead = |name: &str, value: &'static str| {
        fine.iter().map(|(own, text)| (*own, if *own == name { value } else { *text })).collect::<Vec<_>>()
    };
    for (what, lines) in [
        ("no method", without(":method")),
        ("no path", without(":path")),
        ("no scheme", without(":scheme")),
        ("no authority", without(":authority")),
        ("two paths", [vec![(":path", "/other")], fine.clone()].concat()),
        ("two methods", [vec![(":method", "GET")], fine.clone()].concat()),
        ("two authorities", [vec![(":authority", "evil.example")], fine.clone()].concat()),
        ("one behind the others", with((":path", "/v1/net"))),
        ("one that is not known", [vec![(":other", "x")], fine.clone()].concat()),
        ("a status", [vec![(":status", "200")], fine.clone()].concat()),
        ("another host", with(("host", "evil.example"))),
        ("another authority", instead(":authority", "evil.example")),
        ("an empty path", instead(":path", "")),
        ("a whole URL for a path", instead(":path", "http://evil.example/v1/net")),
        ("a request in a path", instead(":path", "/v1/net HTTP/1.1\r\nhost: evil.example\r\n\r\n")),
        ("a method with a line", instead(":method", "POST / HTTP/1.1\r\nx: y")),
        ("capitals", with(("X-A", "b"))),
        ("a colon in a name", with(("a:b", "c"))),
        ("a line in a name", with(("a\r\nb", "c"))),
        ("a line in a value", with(("a", "b\r\nc: d"))),
        ("NUL in a value", with(("a", "b\0"))),
        ("a connection", with(("connection", "close"))),
        ("chunks", with(("transfer-encoding", "chunked"))),
        ("an upgrade", with(("upgrade", "h2c"))),
        ("another te", with(("te", "gzip"))),
        ("a length that is too long", [fine.clone(), vec![("content-length", &longer)]].concat()),
        (
            "two lengths",
            [fine.clone(), vec![("content-length", &length), ("content-length", &longer)]].concat(),
        ),
        ("a page", with(("origin", "https://evil.example"))),
    ] {
        let went = over_http2(&rig, &lines, body.as_bytes()).await;
        assert!(!went, "{what}");
    }
    assert_eq!(upstream.heard().len(), 1, "{:?}", upstream.heard());
}
