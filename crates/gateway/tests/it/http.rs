//! HTTP as it goes wrong: silence, floods, upgrades, bodies without end, clients that do not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use doorward_core::session::Mode;
use doorward_core::wire::Protocol;
use doorward_gateway::{Patience, Settings};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Door, message_end, message_start, send, sse, text};

fn calm() -> String {
    message_start() + &text(0, "hi") + &message_end()
}

fn conversation() -> String {
    json!({"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "please"}]})
        .to_string()
}

fn patient(idle: u64, total: u64) -> Settings {
    let patience = Patience { idle: Duration::from_millis(idle), total: Duration::from_millis(total) };
    Settings { patience, ..Settings::default() }
}

/// An upstream that does `act` on each connection, once it has been sent something.
async fn upstream<F, Done>(act: F) -> String
where
    F: Fn(TcpStream) -> Done + Send + Sync + 'static,
    Done: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let act = Arc::new(act);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let act = Arc::clone(&act);
            tokio::spawn(async move {
                let mut buffer = [0; 16384];
                let _ = stream.read(&mut buffer).await;
                act(stream).await;
            });
        }
    });
    base
}

const STREAMED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

async fn chunk(stream: &mut TcpStream, bytes: &str) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n{bytes}\r\n", bytes.len()).as_bytes()).await
}

async fn connect(door: &Door) -> TcpStream {
    let mut client = TcpStream::connect(door.address).await.unwrap();
    let body = conversation();
    let head = format!(
        "POST /t/{}/anthropic/v1/messages HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n{body}",
        door.token,
        door.address,
        body.len()
    );
    client.write_all(head.as_bytes()).await.unwrap();
    client
}

async fn ask(door: &Door) -> crate::support::Reply {
    door.send("POST", &format!("/t/{}/anthropic/v1/messages", door.token), &conversation()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn informational_replies_are_passed_over_and_bounded() {
    // The usual ones.
    let few = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    let answer = [few.as_bytes(), &sse(&calm())].concat();
    let door = Door::before(Protocol::Anthropic, answer).await;
    let reply = ask(&door).await;
    assert_eq!((reply.status, reply.body), (200, calm()));

    // Without end: refused soon, and the connection is closed.
    let sent = Arc::new(AtomicUsize::new(0));
    let (counted, closed) = (Arc::clone(&sent), Arc::new(tokio::sync::Notify::new()));
    let told = Arc::clone(&closed);
    let base = upstream(move |mut stream| {
        let (counted, told) = (Arc::clone(&counted), Arc::clone(&told));
        async move {
            while stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n").await.is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
            told.notify_one();
        }
    })
    .await;
    let door = Door::toward(Door::untrusted(Protocol::Anthropic, base), Mode::Block).await;
    let begun = Instant::now();
    let reply = ask(&door).await;
    assert_eq!(reply.status, 502, "{reply:?}");
    assert!(reply.body.contains("interim"), "{reply:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    tokio::time::timeout(Duration::from_secs(5), closed.notified()).await.expect("the flood is cut off");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_says_nothing_is_given_up() {
    let base = upstream(|stream| async move {
        tokio::time::sleep(Duration::from_secs(30)).await;
        drop(stream);
    })
    .await;
    let settings = patient(300, 60_000);
    let door = Door::served(Door::untrusted(Protocol::Anthropic, base), Mode::Block, settings).await;
    let reply = ask(&door).await;
    assert_eq!(reply.status, 502, "{reply:?}");
    assert!(reply.head.contains("upstream_timeout") && reply.body.contains("idle_timeout"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_falls_silent_ends_the_reply() {
    let base = upstream(|mut stream| async move {
        stream.write_all(STREAMED.as_bytes()).await.unwrap();
        chunk(&mut stream, &(message_start() + &text(0, "so far"))).await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
    })
    .await;
    let settings = patient(300, 60_000);
    let door = Door::served(Door::untrusted(Protocol::Anthropic, base), Mode::Block, settings).await;
    let reply = ask(&door).await;
    assert!(reply.body.contains("so far") && reply.body.contains("idle_timeout"), "{reply:?}");
    assert!(reply.body.contains("event: error"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_without_end_is_ended() {
    let base = upstream(|mut stream| async move {
        stream.write_all(STREAMED.as_bytes()).await.unwrap();
        let _ = chunk(&mut stream, &message_start()).await;
        // Never silent for long.
        while chunk(&mut stream, ": still there\n\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let settings = patient(500, 1_500);
    let door = Door::served(Door::untrusted(Protocol::Anthropic, base), Mode::Block, settings).await;
    let begun = Instant::now();
    let reply = ask(&door).await;
    assert!(reply.body.contains("total_timeout"), "{reply:?}");
    assert!((1..6).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_are_answered_with_what_to_do_instead() {
    for mode in [Mode::Block, Mode::Monitor] {
        let door = Door::start(Protocol::OpenAi, sse(""), mode).await;
        let upgrade = "upgrade: WebSocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
        for path in ["v1/responses", "v1/realtime"] {
            let target = format!("/t/{}/openai/{path}", door.token);
            let reply = send(door.address, "GET", &target, upgrade, "").await;
            assert_eq!(reply.status, 426, "{reply:?}");
            assert!(reply.head.contains("upgrade: http/1.1"), "{reply:?}");
            assert!(reply.head.contains("doorward-receipt") && reply.head.contains("x-should-retry: false"));
            assert!(reply.body.contains("server-sent events") && reply.body.contains("supports_websockets"));
        }
        assert!(door.asked.lock().unwrap().is_empty());
    }
    // Other upgrades are ignored, and do not reach the upstream.
    let door = Door::before(Protocol::Anthropic, sse(&calm())).await;
    let target = format!("/t/{}/anthropic/v1/messages", door.token);
    let reply = send(door.address, "POST", &target, "upgrade: h2c\r\n", &conversation()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(!door.asked.lock().unwrap()[0].to_ascii_lowercase().contains("upgrade"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_with_the_limit_named() {
    let door = Door::before(Protocol::Anthropic, sse(&calm())).await;
    // Announced: refused at once, and the client, still writing, sees the answer.
    let mut client = TcpStream::connect(door.address).await.unwrap();
    let size = (64 << 20) + 1;
    let head = format!(
        "POST /t/{}/anthropic/v1/messages HTTP/1.1\r\nhost: {}\r\ncontent-length: {size}\r\n\r\n",
        door.token, door.address
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        client.write_all(&piece).await.expect("the connection stays open while the client writes");
    }
    client.write_all(b"x").await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(5), client.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("64 MiB"), "{answer}");

    // Who asks first is told at once and need not send anything.
    let mut client = TcpStream::connect(door.address).await.unwrap();
    let head = head.replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(5), client.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(door.asked.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let door = Door::before(Protocol::Anthropic, sse(&calm())).await;
    let mut client = TcpStream::connect(door.address).await.unwrap();
    let body = conversation();
    let head = format!(
        "POST /t/{}/anthropic/v1/messages HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nexpect: 100-continue\r\n\
         content-length: {}\r\n\r\n",
        door.token,
        door.address,
        body.len()
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    tokio::time::timeout(Duration::from_secs(5), client.read_exact(&mut interim)).await.unwrap().unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(body.as_bytes()).await.unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 200") && rest.contains("message_stop"), "{rest}");
    assert!(!door.asked.lock().unwrap()[0].to_ascii_lowercase().contains("expect"));
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_stay_behind_on_both_sides() {
    let base = upstream(|mut stream| async move {
        stream.write_all(STREAMED.as_bytes()).await.unwrap();
        chunk(&mut stream, &calm()).await.unwrap();
        stream.write_all(b"0\r\nx-late: 1\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    })
    .await;
    let door = Door::toward(Door::untrusted(Protocol::Anthropic, base), Mode::Block).await;
    let mut client = TcpStream::connect(door.address).await.unwrap();
    let body = conversation();
    let head = format!(
        "POST /t/{}/anthropic/v1/messages HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
         te: trailers\r\n\r\n{:x}\r\n{body}\r\n0\r\nx-early: 1\r\n\r\n",
        door.token,
        door.address,
        body.len()
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut all = String::new();
    client.read_to_string(&mut all).await.unwrap();
    assert!(all.starts_with("HTTP/1.1 200") && all.contains("message_stop"), "{all}");
    assert!(!all.contains("x-late"), "{all}");
    assert!(all.ends_with("0\r\n\r\n"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_stops_the_upstream() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let base = upstream(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            stream.write_all(STREAMED.as_bytes()).await.unwrap();
            let mut piece = message_start();
            for index in 0.. {
                if chunk(&mut stream, &piece).await.is_err() {
                    return;
                }
                count.fetch_add(piece.len(), Ordering::Relaxed);
                piece = text(index, &"x".repeat(16 << 10));
            }
        }
    })
    .await;
    let door = Door::toward(Door::untrusted(Protocol::Anthropic, base), Mode::Block).await;
    let mut client = connect(&door).await;
    // Until nothing moves any more.
    let mut before = usize::MAX;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = written.load(Ordering::Relaxed);
        if now == before && now > 0 {
            break;
        }
        before = now;
    }
    let stalled = written.load(Ordering::Relaxed);
    assert_eq!(stalled, before, "the upstream keeps writing to a client that does not read");
    // What the sockets of both connections hold, and less than a MiB of ours.
    assert!(stalled < 24 << 20, "{stalled} bytes were taken for a client that does not read");
    // It goes on once the client reads.
    let mut buffer = vec![0; 1 << 20];
    let mut read = 0;
    while read <= stalled {
        let some = tokio::time::timeout(Duration::from_secs(5), client.read(&mut buffer)).await;
        read += some.expect("the stream goes on").unwrap();
    }
    assert!(written.load(Ordering::Relaxed) > stalled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_given_up() {
    let closed = Arc::new(tokio::sync::Notify::new());
    let told = Arc::clone(&closed);
    let base = upstream(move |mut stream| {
        let told = Arc::clone(&told);
        async move {
            stream.write_all(STREAMED.as_bytes()).await.unwrap();
            let mut piece = message_start();
            for index in 0.. {
                if chunk(&mut stream, &piece).await.is_err() {
                    break;
                }
                piece = text(index, &"x".repeat(64 << 10));
            }
            told.notify_one();
        }
    })
    .await;
    let settings = patient(500, 60_000);
    let door = Door::served(Door::untrusted(Protocol::Anthropic, base), Mode::Block, settings).await;
    let client = connect(&door).await;
    tokio::time::timeout(Duration::from_secs(10), closed.notified()).await.expect("the upstream is let go");
    drop(client);
}
