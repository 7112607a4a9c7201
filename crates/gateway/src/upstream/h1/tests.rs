//! A scripted peer at the other end of a pipe.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n";

async fn whole(mut body: Body<DuplexStream>) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    while let Some(piece) = std::future::poll_fn(|cx| body.poll_next(cx)).await {
        out.extend_from_slice(&piece?);
    }
    Ok(out)
}

/// What comes of an exchange with a peer that reads the request and writes `reply`, then closes.
async fn exchange(reply: &'static [u8]) -> (Result<Vec<u8>, Error>, bool) {
    let (ours, mut theirs) = duplex(1 << 16);
    let pool = Arc::new(Pool::default());
    let peer = tokio::spawn(async move {
        let mut request = vec![0; REQUEST.len() + 2];
        theirs.read_exact(&mut request).await.unwrap();
        assert_eq!(request, [REQUEST, b"hi"].concat());
        theirs.write_all(reply).await.unwrap();
        theirs.shutdown().await.unwrap();
        theirs
    });
    let answer =
        Connection::new(ours).exchange(REQUEST, &Bytes::from_static(b"hi"), false, Some(&pool)).await;
    let kept = peer.await.unwrap();
    let said = match answer {
        Ok(response) => whole(response.into_body()).await,
        Err(error) => Err(error),
    };
    drop(kept);
    let pooled = !format!("{pool:?}").contains("idle: []");
    (said, pooled)
}

#[tokio::test]
async fn replies_are_read_to_their_end_and_the_connection_kept() {
    for (reply, said, kept) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"[..], &b"hello"[..], true),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello", true),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"", true),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", b"x", true),
        // Nobody asked for what stands behind the end.
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n", b"hello", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP", b"", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello", b"hello", false),
    ] {
        let (got, pooled) = exchange(reply).await;
        assert_eq!((got.unwrap().as_slice(), pooled), (said, kept), "{:?}", String::from_utf8_lossy(reply));
    }
}

#[tokio::test]
async fn replies_that_break_off_are_errors() {
    for reply in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    ] {
        let (got, pooled) = exchange(reply).await;
        assert!(got.is_err() && !pooled, "{:?}", String::from_utf8_lossy(reply));
    }
}

/// A server that answers before it has read everything (too large, not allowed) is heard.
#[tokio::test]
async fn an_early_answer_is_heard() {
    let (ours, mut theirs) = duplex(1 << 10);
    let pool = Arc::new(Pool::default());
    let peer = tokio::spawn(async move {
        theirs.write_all(b"HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
        theirs
    });
    let body = Bytes::from(vec![b'x'; 1 << 20]);
    let answer = Connection::new(ours).exchange(REQUEST, &body, false, Some(&pool)).await.unwrap();
    assert_eq!(answer.status(), 413);
    assert_eq!(whole(answer.into_body()).await.unwrap(), b"no");
    assert!(pool.take(IDLE, |_| true).is_none(), "half a request was sent on it");
    drop(peer);
}

#[tokio::test]
async fn a_connection_that_closed_or_spoke_meanwhile_is_not_used_again() {
    let pool = Arc::new(Pool::default());
    let (ours, theirs) = duplex(64);
    pool.put(Connection::new(ours));
    assert!(pool.take(IDLE, |_| true).is_some());
    let (ours, mut theirs_too) = duplex(64);
    pool.put(Connection::new(ours));
    theirs_too.write_all(b"H").await.unwrap();
    assert!(pool.take(IDLE, |_| true).is_none());
    let (ours, theirs_gone) = duplex(64);
    pool.put(Connection::new(ours));
    drop(theirs_gone);
    assert!(pool.take(IDLE, |_| true).is_none());
    drop(theirs);
}
