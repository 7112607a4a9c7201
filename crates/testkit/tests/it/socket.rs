//! The provider on its socket: what it was sent, and what became of the client.

use std::time::Duration;

use doorward_testkit::Provider;
use doorward_testkit::provider::End;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn post(provider: &Provider, scenario: &str) -> TcpStream {
    let body = format!("{{\"model\":\"scripted:{scenario}\",\"stream\":true}}");
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(provider.address()).await.unwrap();
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    stream
}

/// Reads until the answer contains `text` or the connection ends.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            break;
        }
    }
    String::from_utf8(read).unwrap()
}

async fn ended(provider: &Provider) -> End {
    for _ in 0..500 {
        match provider.seen().last().unwrap().end {
            End::Open => tokio::time::sleep(Duration::from_millis(10)).await,
            end => return end,
        }
    }
    End::Open
}

async fn start() -> Provider {
    Provider::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_whole_answer_ends_and_is_logged() {
    let provider = start().await;
    let mut stream = post(&provider, "text_tool;split=1").await;
    let answer = read_until(&mut stream, "\r\n0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(ended(&provider).await, End::Sent);
    let seen = provider.seen();
    assert_eq!((seen.len(), seen[0].scenario.as_str()), (1, "text_tool"));
    assert!(seen[0].headers.contains(&("x-api-key".to_owned(), "k".to_owned())));
}

#[tokio::test]
async fn an_endless_answer_ends_when_the_client_leaves() {
    let provider = start().await;
    let mut stream = post(&provider, "endless").await;
    read_until(&mut stream, "and on").await;
    assert_eq!(provider.seen()[0].end, End::Open);
    drop(stream);
    assert_eq!(ended(&provider).await, End::ClientClosed);
}

#[tokio::test]
async fn a_truncated_answer_lacks_its_end_and_a_misspelt_scenario_its_message() {
    let provider = start().await;
    let answer = read_until(&mut post(&provider, "truncated").await, "\r\n0\r\n\r\n").await;
    assert!(answer.contains("message_start") && !answer.ends_with("\r\n0\r\n\r\n"));
    let answer = read_until(&mut post(&provider, "txet").await, "txet").await;
    assert!(answer.starts_with("HTTP/1.1 599 "));
}
