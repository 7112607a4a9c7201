//! What a stranger cannot do: fill it, hold it, confuse it.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::served::{Paper, TIMEOUT, read, served, served_with};

#[tokio::test]
async fn a_large_body_is_refused() {
    let served = served().await;
    let body = |n: usize| format!("{{\"reason\":\"x\"{}}}", " ".repeat(n - 14));
    assert_eq!(served.operator("POST", "/v1/kill", &body(16 * 1024)).await.status, 200);
    let reply = served.operator("POST", "/v1/kill", &body(16 * 1024 + 1)).await;
    assert_eq!((reply.status, reply.code().as_str()), (413, "too_large"));
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
    let headers =
        format!("{}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n", served.bearer());
    let chunked =
        format!("POST /v1/kill HTTP/1.1\r\n{}{headers}\r\n{}0\r\n\r\n", served.host(), chunk.repeat(5));
    assert_eq!(served.raw(chunked.as_bytes()).await.status, 413);
    assert_eq!(served.desk.acts.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let served = served().await;
    let reply = served.send("GET", "/healthz", &format!("X: {}\r\n", "x".repeat(20_000)), "").await;
    assert_eq!(reply.status, 431, "{reply:?}");
}

#[tokio::test]
async fn a_second_request_on_a_connection_is_not_read() {
    let served = served().await;
    let one = format!("GET /healthz HTTP/1.1\r\n{}\r\n", served.host());
    let reply = served.raw(format!("{one}{one}").as_bytes()).await;
    assert_eq!(reply.status, 200);
    assert!(!reply.body.contains("HTTP/1.1"), "{reply:?}");
}

#[tokio::test]
async fn a_head_or_body_that_does_not_come_is_given_up() {
    let served = served().await;
    let start = Instant::now();
    let mut head = TcpStream::connect(served.address).await.unwrap();
    head.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    let mut body = TcpStream::connect(served.address).await.unwrap();
    let (host, bearer) = (served.host(), served.bearer());
    let request = format!(
        "POST /v1/kill HTTP/1.1\r\n{host}{bearer}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
    );
    body.write_all(request.as_bytes()).await.unwrap();
    let (head, body) = tokio::join!(read(&mut head), read(&mut body));
    assert!(head.status == 0 || head.status == 408, "{head:?}");
    assert_eq!(body.status, 408);
    let took = start.elapsed();
    assert!((TIMEOUT / 2..TIMEOUT * 10).contains(&took), "{took:?}");
    assert!(served.desk.acts.lock().unwrap().is_empty());
}

/// An agent opens connections without end and says nothing; the person still gets through.
#[tokio::test]
async fn silent_strangers_do_not_lock_the_operator_out() {
    let served = served().await;
    let mut strangers = Vec::new();
    for _ in 0..200 {
        strangers.push(TcpStream::connect(served.address).await.unwrap());
    }
    let start = Instant::now();
    assert_eq!(served.operator("POST", "/v1/kill", "{}").await.status, 200);
    assert!(start.elapsed() < TIMEOUT / 2, "{:?}", start.elapsed());
    // The oldest made room, long before their time was up; the youngest are still there.
    let ended = |stream: &TcpStream| {
        let read = stream.try_read(&mut [0; 16]);
        read.map_err(|error| error.kind()) != Err(std::io::ErrorKind::WouldBlock)
    };
    let [first, .., last] = strangers.as_slice() else { panic!("no strangers") };
    let _ = tokio::time::timeout(TIMEOUT / 4, first.readable()).await;
    assert!(ended(first), "connections without bound");
    assert!(!ended(last));
}

/// And neither do they end a request of the operator that is being worked on.
#[tokio::test]
async fn strangers_do_not_push_the_operator_out() {
    let served = served_with(Paper { delay: Duration::from_millis(500), ..Paper::default() }, true).await;
    let flood = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut strangers = Vec::new();
        for _ in 0..200 {
            strangers.push(TcpStream::connect(served.address).await.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(600)).await;
    };
    let (reply, ()) = tokio::join!(served.operator("POST", "/v1/kill", "{}"), flood);
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn shutting_down_lets_running_requests_finish() {
    let mut served = served_with(Paper { delay: Duration::from_millis(300), ..Paper::default() }, true).await;
    let stop = served.stop.take().unwrap();
    let later = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(stop);
    };
    let (reply, ()) = tokio::join!(served.operator("POST", "/v1/kill", "{}"), later);
    assert_eq!(reply.status, 200);
    served.task.await.unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err(), "still listening");
}
