//! Upstreams that lie about where their replies end, or never get to it.

use std::io::Write as _;

use doorward_gateway::Patience;

use super::*;

/// How patient the door is here.
const PATIENCE: Patience = Patience { idle: Duration::from_secs(2), total: Duration::from_secs(6) };

/// A door that waits for nobody for long, and gives back at most 64 KiB.
async fn rig() -> Rig {
    let settings =
        egress::Settings { patience: PATIENCE, largest_reply: 64 << 10, ..egress::Settings::default() };
    Rig::with(Wish { settings, ..Wish::default() }).await
}

/// What comes of a reply.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// It is given back: its status, its body.
    Given(u16, &'static str),
    /// It is refused with this code, or broken off where it has begun.
    Refused(&'static str),
    /// The tool refuses it with this code; passed on as it comes, it is broken off.
    Broken(&'static str),
    /// The tool refuses it with this code; passed on as it comes, it is whole.
    Passed(&'static str),
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A reply with these header lines and this body, as they are.
fn raw(lines: &str, body: &[u8]) -> Act {
    let mut bytes = format!("HTTP/1.1 200 OK\r\n{lines}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    Act::Say(bytes)
}

fn coded(coding: &str, body: &[u8]) -> Act {
    raw(&format!("content-encoding: {coding}\r\ncontent-length: {}\r\n", body.len()), body)
}

/// Who says what, and what comes of it.
fn liars() -> Vec<(&'static str, Vec<Act>, Then)> {
    use Then::{Broken, Given, Passed, Refused};
    let fetch = Refused("FETCH_ERROR");
    let one = |text: &str| vec![Act::Hear, say(text)];
    let linger = |act: Act| vec![Act::Hear, act, Act::Linger];
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none";
    let drip = |text: &str| Act::Repeat(text.as_bytes().to_vec(), Duration::from_millis(50));
    let flood = |text: &str| Act::Repeat(text.repeat(200).into_bytes(), Duration::ZERO);
    let chunked = "transfer-encoding: chunked\r\n";
    vec![
        // Where a reply ends.
        ("two replies", one(&format!("{ok}{ok}")), Given(200, "one")),
        (
            "a reply and another's head as its rest",
            one(&format!("{ok}HTTP/1.1 500 No\r\n")),
            Given(200, "one"),
        ),
        (
            "shorter than it says",
            one("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none"),
            Broken("FETCH_ERROR"),
        ),
        (
            "reset in the middle",
            [
                one("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none"),
                vec![Act::Wait(Duration::from_millis(50)), Act::Reset],
            ]
            .concat(),
            Broken("FETCH_ERROR"),
        ),
        ("up to its end", one("HTTP/1.1 200 OK\r\n\r\nall of it"), Given(200, "all of it")),
        ("HTTP/1.0", one("HTTP/1.0 200 OK\r\n\r\nall of it"), Given(200, "all of it")),
        (
            "chunks and trailers",
            linger(raw(chunked, b"3\r\none\r\n0\r\nset-cookie: a=b\r\n\r\n")),
            Given(200, "one"),
        ),
        (
            "chunks without an end",
            one(&format!("HTTP/1.1 200 OK\r\n{chunked}\r\n3\r\none\r\n")),
            Broken("FETCH_ERROR"),
        ),
        (
            "a chunk longer than its size",
            linger(raw(chunked, b"2\r\none\r\n0\r\n\r\n")),
            Broken("FETCH_ERROR"),
        ),
        (
            "a chunk's size that overflows",
            linger(raw(chunked, b"10000000000000003\r\none\r\n0\r\n\r\n")),
            Broken("FETCH_ERROR"),
        ),
        (
            "a chunk's size below nothing",
            linger(raw(chunked, b"-3\r\none\r\n0\r\n\r\n")),
            Broken("FETCH_ERROR"),
        ),
        ("a chunk's size with 0x", linger(raw(chunked, b"0x3\r\none\r\n0\r\n\r\n")), Broken("FETCH_ERROR")),
        ("chunks with LF", linger(raw(chunked, b"3\none\n0\n\n")), Broken("FETCH_ERROR")),
        ("an endless extension", vec![Act::Hear, raw(chunked, b"3;"), flood("x")], Broken("FETCH_ERROR")),
        (
            "endless trailers",
            vec![Act::Hear, raw(chunked, b"3\r\none\r\n0\r\n"), flood("a: b\r\n")],
            Broken("FETCH_ERROR"),
        ),
        (
            "length and chunks",
            one(&format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n{chunked}\r\n3\r\none\r\n0\r\n\r\n")),
            fetch,
        ),
        ("two lengths", one("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\none"), fetch),
        ("a length in two parts", one("HTTP/1.1 200 OK\r\ncontent-length: 3, 3\r\n\r\none"), fetch),
        ("a length with a sign", one("HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\none"), fetch),
        ("a length below nothing", one("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\none"), fetch),
        (
            "another coding of transfer",
            one("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n"),
            fetch,
        ),
        ("chunked twice", one(&format!("HTTP/1.1 200 OK\r\n{chunked}{chunked}\r\n0\r\n\r\n")), fetch),
        ("almost chunked", one("HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n"), fetch),
        ("chunks in HTTP/1.0", one(&format!("HTTP/1.0 200 OK\r\n{chunked}\r\n0\r\n\r\n")), fetch),
        // Heads that two readers split differently.
        (
            "a header folded",
            one("HTTP/1.1 200 OK\r\na: b\r\n set-cookie: c=d\r\ncontent-length: 0\r\n\r\n"),
            fetch,
        ),
        (
            "a bare CR in a header",
            one("HTTP/1.1 200 OK\r\na: b\rset-cookie: c=d\r\ncontent-length: 0\r\n\r\n"),
            fetch,
        ),
        (
            "a bare LF behind a header",
            one("HTTP/1.1 200 OK\r\na: b\nset-cookie: c=d\r\ncontent-length: 0\r\n\r\n"),
            fetch,
        ),
        ("NUL in a header", one("HTTP/1.1 200 OK\r\na: b\0c\r\ncontent-length: 0\r\n\r\n"), fetch),
        ("a space before the colon", one("HTTP/1.1 200 OK\r\ncontent-length : 3\r\n\r\none"), fetch),
        ("no colon", one("HTTP/1.1 200 OK\r\nsomething\r\ncontent-length: 3\r\n\r\none"), fetch),
        ("a header without a name", one("HTTP/1.1 200 OK\r\n: x\r\ncontent-length: 3\r\n\r\none"), fetch),
        ("endless headers", vec![Act::Hear, say("HTTP/1.1 200 OK\r\n"), flood("a: b\r\n")], fetch),
        ("an endless header", vec![Act::Hear, say("HTTP/1.1 200 OK\r\na: "), flood("xxxxxxxx")], fetch),
        ("an endless reason", vec![Act::Hear, say("HTTP/1.1 200 "), flood("xxxxxxxx")], fetch),
        // What is no reply at all.
        ("HTTP/0.9", one("<html>hello</html>"), fetch),
        ("TLS", vec![Act::Hear, Act::Say(vec![0x15, 3, 3, 0, 2, 2, 40])], fetch),
        ("HTTP/2", vec![Act::Hear, Act::Say(vec![0, 0, 0, 4, 0, 0, 0, 0, 0])], fetch),
        ("another version", one("HTTP/2.0 200 OK\r\ncontent-length: 3\r\n\r\none"), fetch),
        ("another protocol", one("ICY 200 OK\r\ncontent-length: 3\r\n\r\none"), fetch),
        ("a status of four digits", one("HTTP/1.1 2000 OK\r\ncontent-length: 3\r\n\r\none"), fetch),
        ("a status below 100", one("HTTP/1.1 099 OK\r\ncontent-length: 3\r\n\r\none"), fetch),
        (
            "another protocol from here on",
            linger(say("HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")),
            fetch,
        ),
        ("nothing", vec![Act::Hear], fetch),
        ("nothing, and not heard", vec![Act::Reset], fetch),
        // Time.
        ("never an answer", vec![Act::Hear, Act::Linger], fetch),
        ("a head byte by byte", vec![Act::Hear, say("HTTP/1.1 200 OK\r\n"), drip("a")], fetch),
        ("interim replies for ever", vec![Act::Hear, drip("HTTP/1.1 103 Hints\r\n\r\n")], fetch),
        ("many interim replies", one(&format!("{}{ok}", "HTTP/1.1 100 Continue\r\n\r\n".repeat(40))), fetch),
        (
            "a few interim replies",
            linger(say(&format!("{}{ok}", "HTTP/1.1 103 Hints\r\nlink: x\r\n\r\n".repeat(3)))),
            Given(200, "one"),
        ),
        (
            "a body that stops",
            linger(say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none")),
            Broken("FETCH_ERROR"),
        ),
        (
            "a body byte by byte",
            vec![Act::Hear, say("HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n"), drip("x")],
            Broken("FETCH_ERROR"),
        ),
        (
            "a body without an end",
            vec![Act::Hear, say("HTTP/1.1 200 OK\r\n\r\n"), flood("xxxxxxxxxxxxxxxxxxxxxxx")],
            Broken("INBOUND_SAFETY_BLOCKED"),
        ),
        ("an answer before the question", vec![say(ok), Act::Linger], Given(200, "one")),
        // What is inside.
        ("a bomb", linger(coded("gzip", &gzip(&vec![0; 20 << 20]))), Passed("INBOUND_SAFETY_BLOCKED")),
        (
            "a bomb in a bomb",
            linger(coded("gzip, gzip", &gzip(&gzip(&vec![0; 20 << 20])))),
            Passed("INBOUND_SAFETY_BLOCKED"),
        ),
        ("packed, it says", linger(coded("gzip", b"plain")), Passed("INBOUND_SAFETY_BLOCKED")),
        (
            "packed, and cut",
            linger(coded("gzip", &gzip(b"something")[..12])),
            Passed("INBOUND_SAFETY_BLOCKED"),
        ),
        ("a coding that nobody knows", linger(coded("rot13", b"bar")), Passed("INBOUND_SAFETY_BLOCKED")),
        // Replies that have no body, whatever they say.
        ("no content, with some", one("HTTP/1.1 204 No\r\ncontent-length: 3\r\n\r\none"), Given(204, "")),
        (
            "not modified, with a length",
            one("HTTP/1.1 304 Same\r\ncontent-length: 3\r\n\r\n"),
            Given(304, ""),
        ),
        (
            "a reset page, with some",
            one("HTTP/1.1 205 Reset\r\ncontent-length: 3\r\n\r\none"),
            Given(205, "one"),
        ),
        (
            "a status nobody knows",
            one("HTTP/1.1 799 What\r\ncontent-length: 3\r\n\r\none"),
            Given(799, "one"),
        ),
    ]
}

/// The status, the body, and whether it came to its end as the head announced.
fn taken_apart(answer: &str) -> (u16, String, bool) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let head = head.to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        let mut plain = String::new();
        let mut rest = body;
        while let Some((size, after)) = rest.split_once("\r\n") {
            let Ok(size) = usize::from_str_radix(size, 16) else { return (status, plain, false) };
            if size == 0 {
                return (status, plain, after == "\r\n");
            }
            let Some(piece) = after.get(..size) else { return (status, plain, false) };
            plain.push_str(piece);
            rest = after.get(size + 2..).unwrap_or_default();
        }
        return (status, plain, false);
    }
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    let bodyless = matches!(status, 204 | 304);
    (status, body.to_owned(), bodyless && body.is_empty() || length == Some(body.len()))
}

/// Through the tool: read whole, or refused.
async fn through_the_tool(rig: &Rig, what: &str, url: &str, then: Then) {
    let session = rig.session().await;
    let answer = rig.tool("sphyr_net", session.call(url, now(), &json!({}))).await;
    match then {
        Then::Given(status, body) => {
            let given = (&answer["status"], &answer["upstream_response_body"]);
            assert_eq!(given, (&json!(status), &json!(body)), "{what}: {answer}");
            assert!(
                !answer["upstream_response_headers"].to_string().contains("set-cookie"),
                "{what}: {answer}"
            );
        }
        Then::Refused(code) | Then::Broken(code) | Then::Passed(code) => {
            assert_eq!(answer["code"], code, "{what}: {answer}");
            assert!(answer.get("upstream_response_body").is_none(), "{what}: {answer}");
        }
    }
}

/// Passed on as it comes: one reply, whole or visibly cut.
async fn passed_on(rig: &Rig, what: &str, url: &str, then: Then) {
    let asked = json!({"url": url}).to_string();
    let request = format!(
        "POST /v1/net HTTP/1.1\r\nhost: {}\r\n{}connection: close\r\ncontent-length: {}\r\n\r\n{asked}",
        rig.address,
        rig.credential(),
        asked.len()
    );
    let answer = answered(rig.address, request.as_bytes()).await;
    let (status, body, is_whole) = taken_apart(&answer);
    let replies = answer.matches("HTTP/1.1 ").count();
    // What breaks off before anything of it was written is none.
    assert!(replies == 1 || answer.is_empty() && matches!(then, Then::Broken(_)), "{what}: {answer}");
    match then {
        Then::Given(told, text) => {
            assert_eq!((status, body.as_str(), is_whole), (told, text, true), "{what}: {answer}")
        }
        Then::Refused(code) => assert!(status == 502 && body.contains(code) && is_whole, "{what}: {answer}"),
        // Before its first byte that can still be said.
        Then::Broken(_) if status == 502 => {
            assert!(body.contains("FETCH_ERROR") && is_whole, "{what}: {answer}")
        }
        Then::Broken(_) => assert!((replies == 0 || status == 200) && !is_whole, "{what}: {answer}"),
        Then::Passed(_) => assert!(status == 200 && answer.contains("content-encoding: "), "{what}"),
    }
}

/// Whatever an upstream does, its reply is one whole reply, or none; nothing of it is another's; every request has an outcome.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_upstream_says_is_one_reply_or_none() {
    let rig = Arc::new(rig().await);
    let mut tasks = Vec::new();
    let liars = liars();
    let count = liars.len() as u64;
    // Not all at once: what is slow here must be the upstreams.
    let turns = Arc::new(tokio::sync::Semaphore::new(12));
    for (what, acts, then) in liars {
        let (rig, turns) = (Arc::clone(&rig), Arc::clone(&turns));
        tasks.push(tokio::spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            let upstream = Raw::acting(acts).await;
            through_the_tool(&rig, what, &upstream.url(), then).await;
            passed_on(&rig, what, &upstream.url(), then).await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    // Nobody is hurt.
    let upstream = Raw::answering().await;
    assert_eq!(rig.code(&json!({"url": upstream.url()})).await, "200");
    // Each request has its decision and its outcome.
    for _ in 0..500 {
        let receipts = rig.door.receipts_since(0);
        let kinds = |kind: &str| receipts.iter().filter(|receipt| receipt["kind"] == kind).count() as u64;
        if kinds("outcome") > 2 * count {
            assert_eq!((kinds("decision"), kinds("outcome")), (2 * count + 1, 2 * count + 1));
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("some requests have no outcome");
}

/// An answer to `HEAD` tells how long the page is, and has none: what is passed on must not announce one either.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_head_has_no_body_for_anybody() {
    let rig = rig().await;
    let upstream = Raw::acting(vec![
        Act::Hear,
        say("HTTP/1.1 200 OK\r\nx-a: b\r\nconnection: close\r\ncontent-length: 9\r\n\r\n"),
        Act::Linger,
    ])
    .await;
    let asked = json!({"url": upstream.url(), "method": "HEAD"}).to_string();
    let request = format!(
        "POST /v1/net HTTP/1.1\r\nhost: {}\r\n{}content-length: {}\r\n\r\n{asked}",
        rig.address,
        rig.credential(),
        asked.len()
    );
    // Two on one connection: the second answer begins where the first one ends.
    let last = request.replace("content-length", "connection: close\r\ncontent-length");
    let answer = answered(rig.address, format!("{request}{last}").as_bytes()).await;
    let (first, second) = answer.split_at(answer.rfind("HTTP/1.1 200 OK").unwrap());
    for one in [first, second] {
        let (status, body, is_whole) = taken_apart(one);
        assert_eq!((status, body.as_str(), is_whole), (200, "", true), "{answer}");
        assert!(one.contains("x-a: b\r\n"), "{answer}");
    }
    assert_eq!(upstream.heard().len(), 2);
}

/// Who answers before all of the request has come is heard, and what is left of the request stays here.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_the_middle_of_the_request_is_heard() {
    let rig = rig().await;
    let early = vec![
        Act::Wait(Duration::from_millis(50)),
        say("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno!"),
        Act::Wait(Duration::from_secs(2)),
    ];
    let upstream = Raw::acting(early).await;
    let asked = json!({"url": upstream.url(), "method": "POST", "body": "a word. ".repeat(100_000)});
    let reply = rig.net(&asked).await;
    assert_eq!((reply.status, reply.body.as_str()), (413, "no!"));
}

/// An upstream cannot speak for Doorward, nor name headers away.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_does_not_speak_for_doorward() {
    let rig = rig().await;
    let lines = "doorward-receipt: 01FAKE\r\ndoorward-code: blocked\r\nx-request-id: 01FAKE\r\nX-Request-Id: 01FAKE\r\n\
                 connection: close, x-hop\r\nx-hop: secret\r\nkeep-alive: timeout=5\r\ntrailer: x\r\nupgrade: h2c\r\n\
                 alt-svc: h3=\":443\"\r\nproxy-authenticate: Basic\r\nx-stays: 1\r\ncontent-length: 3\r\n";
    let upstream = Raw::acting(vec![Act::Hear, raw(lines, b"one")]).await;
    let reply = rig.net(&json!({"url": upstream.url()})).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "one"));
    assert!(!reply.head.contains("01fake") && !reply.head.contains("doorward-code"), "{}", reply.head);
    for gone in ["x-hop", "keep-alive", "upgrade", "trailer", "alt-svc", "proxy-authenticate"] {
        assert!(!reply.head.contains(&format!("\r\n{gone}: ")), "{gone}: {}", reply.head);
    }
    assert!(
        reply.head.contains("\r\nx-stays: 1") && reply.head.matches("x-request-id: ").count() == 1,
        "{}",
        reply.head
    );
}

/// What a page calls itself is not what it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_calls_itself_data_is_flagged_as_a_page() {
    let rig = rig().await;
    for (kind, body, is_page) in [
        ("application/json", "<!DOCTYPE html><p>hello</p>", true),
        ("text/plain", "  \n<HTML>hello</HTML>", true),
        ("TEXT/HTML", "hello", true),
        ("application/json", "{\"a\":\"<html>\"}", false),
    ] {
        let lines = format!("content-type: {kind}\r\ncontent-length: {}\r\n", body.len());
        let upstream = Raw::acting(vec![Act::Hear, raw(&lines, body.as_bytes())]).await;
        let session = rig.session().await;
        let answer = rig.tool("sphyr_net", session.call(&upstream.url(), now(), &json!({}))).await;
        assert_eq!(answer["safety"]["html_body"], is_page, "{kind} {body}: {answer}");
    }
}
