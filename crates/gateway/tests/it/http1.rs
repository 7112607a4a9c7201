//! HTTP/1.1 from clients: what follows what on one connection, where it ends, and what is not read at all.

use std::time::Duration;

use doorward_core::wire::Protocol;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Door, message_end, message_start, sse, text};

fn calm() -> String {
    message_start() + &text(0, "hi") + &message_end()
}

async fn door() -> Door {
    Door::before(Protocol::Anthropic, sse(&calm())).await
}

fn asking(words: &str) -> String {
    json!({"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": words}]})
        .to_string()
}

fn head(door: &Door, version: &str, more: &str) -> String {
    format!("POST /t/{}/anthropic/v1/messages HTTP/{version}\r\nhost: {}\r\n{more}", door.token, door.address)
}

fn request(door: &Door, words: &str, more: &str) -> String {
    let body = asking(words);
    format!("{}content-length: {}\r\n\r\n{body}", head(door, "1.1", more), body.len())
}

async fn connected(door: &Door) -> TcpStream {
    TcpStream::connect(door.address).await.unwrap()
}

/// Everything up to the end of the connection.
async fn all(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    let reading = stream.read_to_end(&mut got);
    let _ = tokio::time::timeout(Duration::from_secs(20), reading).await.expect("the connection ends");
    String::from_utf8(got).unwrap()
}

/// Everything up to and with `end`, `times` over.
async fn until(stream: &mut TcpStream, end: &str, times: usize) -> String {
    let mut got = String::new();
    while got.matches(end).count() < times {
        let mut piece = [0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut piece)).await;
        let read = read.unwrap_or_else(|_| panic!("more is to come behind {got}")).unwrap();
        assert!(read > 0, "closed behind {got}");
        got.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    got
}

const LAST_CHUNK: &str = "\r\n0\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn requests_follow_each_other_whole_in_pieces_and_at_once() {
    let door = door().await;
    let mut client = connected(&door).await;
    for _ in 0..3 {
        client.write_all(request(&door, "one", "").as_bytes()).await.unwrap();
        let got = until(&mut client, LAST_CHUNK, 1).await;
        assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with(LAST_CHUNK), "{got}");
        assert!(got.contains("\r\ntransfer-encoding: chunked\r\n") && got.contains("\r\ndate: "), "{got}");
    }
    // Byte by byte.
    for byte in request(&door, "two", "").as_bytes() {
        client.write_all(&[*byte]).await.unwrap();
    }
    until(&mut client, LAST_CHUNK, 1).await;
    // Three at once; the answers come in order.
    let at_once = [request(&door, "three", ""), request(&door, "four", ""), request(&door, "five", "")];
    client.write_all(at_once.concat().as_bytes()).await.unwrap();
    let got = until(&mut client, LAST_CHUNK, 3).await;
    assert_eq!(got.matches("HTTP/1.1 200 OK").count(), 3);
    let asked = door.asked.lock().unwrap();
    let words: Vec<&str> = ["one", "one", "one", "two", "three", "four", "five"].into();
    assert_eq!(asked.len(), words.len());
    for (asked, word) in asked.iter().zip(words) {
        assert!(asked.ends_with(&asking(word)), "{word}: {asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_read_and_what_follows_them_is_the_next_request() {
    let door = door().await;
    let mut client = connected(&door).await;
    let body = asking("please");
    let (front, back) = body.split_at(7);
    let chunked = format!(
        "{}transfer-encoding: chunked\r\n\r\n{:x};a=b\r\n{front}\r\n{:X}\r\n{back}\r\n0\r\nx: y\r\n\r\n{}",
        head(&door, "1.1", ""),
        front.len(),
        back.len(),
        request(&door, "next", "connection: close\r\n")
    );
    client.write_all(chunked.as_bytes()).await.unwrap();
    let got = all(&mut client).await;
    assert_eq!(got.matches("HTTP/1.1 200 OK").count(), 2, "{got}");
    let asked = door.asked.lock().unwrap();
    assert!(asked[0].ends_with(&body) && asked[0].contains(&format!("content-length: {}\r\n", body.len())));
    assert!(asked[1].ends_with(&asking("next")), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_readers_would_frame_differently_is_told_and_ends_the_connection() {
    let door = door().await;
    let body = asking("please");
    let length = body.len();
    for (more, code) in [
        (format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"), 400),
        (format!("content-length: {length}\r\ncontent-length: {length}\r\n"), 400),
        ("transfer-encoding: gzip, chunked\r\n".to_owned(), 400),
        (format!("content-length:{length}\n"), 400),
        (format!("a: b\r\n c\r\ncontent-length: {length}\r\n"), 400),
        (format!("x: {}\r\n", "y".repeat(70_000)), 431),
        (format!("{}\r\n", "x: y\r\n".repeat(200)), 431),
    ] {
        let mut client = connected(&door).await;
        let sent = format!("{}{more}\r\n{body}{}", head(&door, "1.1", ""), request(&door, "smuggled", ""));
        client.write_all(sent.as_bytes()).await.unwrap();
        let got = all(&mut client).await;
        assert!(got.starts_with(&format!("HTTP/1.1 {code} ")), "{more}: {got}");
        assert!(got.contains("doorward-code: framing\r\n") && got.contains("connection: close\r\n"), "{got}");
        assert!(got.matches("HTTP/1.1 4").count() == 1 && !got.contains("HTTP/1.1 200"), "{got}");
    }
    // In the middle of a body: where the next request begins, nobody knows.
    let mut client = connected(&door).await;
    let sent = format!("{}transfer-encoding: chunked\r\n\r\n4\r\n{{\"a\"!\r\n", head(&door, "1.1", ""));
    client.write_all((sent + &request(&door, "smuggled", "")).as_bytes()).await.unwrap();
    let got = all(&mut client).await;
    assert!(got.starts_with("HTTP/1.1 400 "), "{got}");
    assert!(got.matches("HTTP/1.1 4").count() == 1 && !got.contains("HTTP/1.1 200"), "{got}");
    assert!(door.asked.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_http_1_0_get_a_body_up_to_the_end_of_the_connection() {
    let door = door().await;
    let mut client = connected(&door).await;
    let body = asking("please");
    let sent = format!("{}content-length: {}\r\n\r\n{body}", head(&door, "1.0", ""), body.len());
    client.write_all(sent.as_bytes()).await.unwrap();
    let got = all(&mut client).await;
    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("connection: close") && !head.contains("transfer-encoding"), "{head}");
    assert_eq!(body, calm());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_to_go_on_and_is_refused_is_not_told_to_go_on() {
    let door = door().await;
    let mut client = connected(&door).await;
    let more = format!("expect: 100-continue\r\ncontent-length: {}\r\n\r\n", 65 << 20);
    client.write_all(head(&door, "1.1", &more).as_bytes()).await.unwrap();
    let got = all(&mut client).await;
    assert!(got.starts_with("HTTP/1.1 413 ") && !got.contains(" 100 "), "{got}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_still_writing_sees_the_answer() {
    let door = door().await;
    let mut client = connected(&door).await;
    let length: usize = 65 << 20;
    let begin = head(&door, "1.1", &format!("content-length: {length}\r\n\r\n"));
    client.write_all(begin.as_bytes()).await.unwrap();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..65 {
        client.write_all(&piece).await.expect("all of it is taken, and thrown away");
    }
    let got = all(&mut client).await;
    assert!(got.starts_with("HTTP/1.1 413 ") && got.contains("64 MiB"), "{got}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_of_plain_http_says_so_to_tls() {
    let door = door().await;
    let mut client = connected(&door).await;
    client.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await.unwrap();
    let got = all(&mut client).await;
    assert!(got.starts_with("HTTP/1.1 400 ") && got.contains("plain HTTP"), "{got}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_while_its_request_is_worked_on_takes_it_back() {
    let (seen, mut gone) = tokio::sync::mpsc::unbounded_channel();
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", upstream.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = upstream.accept().await.unwrap();
        let mut buffer = [0; 4096];
        // Says nothing, and reads until the other side closes.
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
            seen.send(false).unwrap();
        }
        seen.send(true).unwrap();
    });
    let door =
        Door::toward(Door::untrusted(Protocol::Anthropic, base), doorward_core::session::Mode::Block).await;
    let mut client = connected(&door).await;
    client.write_all(request(&door, "please", "").as_bytes()).await.unwrap();
    assert_eq!(gone.recv().await, Some(false));
    drop(client);
    let closed = async { while gone.recv().await == Some(false) {} };
    tokio::time::timeout(Duration::from_secs(5), closed).await.expect("the request is taken back");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_head_has_no_body_and_another_request_follows() {
    let door = door().await;
    let mut client = connected(&door).await;
    let asked = format!("HEAD /t/nobody/anthropic/v1/models HTTP/1.1\r\nhost: {}\r\n\r\n", door.address);
    client.write_all(asked.as_bytes()).await.unwrap();
    client.write_all(request(&door, "next", "connection: close\r\n").as_bytes()).await.unwrap();
    let got = all(&mut client).await;
    let (head, rest) = got.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    assert!(rest.starts_with("HTTP/1.1 200 OK"), "{rest}");
}
