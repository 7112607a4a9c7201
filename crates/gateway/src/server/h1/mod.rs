//! A connection of HTTP/1.1 (RFC 9112), read and written by us, on one task: requests one behind the other, the
//! relay of a reply included.
//!
//! A library stood here before. It read bodies over a channel to itself, so that each request woke its own task
//! and another thread, and hid the length of a request that tells two.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use doorward_core::wire::Protocol;
use http::{Method, Response, StatusCode, Version};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::{Server, stopped};
use crate::answer::{Answer, Body};
use crate::http1::read;
use crate::incoming::{Incoming, THROWN_AWAY};

mod head;
use head::{Head, Wrong};

mod body;
pub use body::{Error, RequestBody};
use body::{Returned, Wire};

mod answer;
use answer::{Ended, Manner, Sending};

/// How long a client may take to send a request's head once it has begun, and until its first request.
const HEAD: Duration = Duration::from_secs(10);

/// How long a connection may wait for its next request. Longer than clients keep theirs (5 s in Python, 4 in
/// Node): whoever closes first must not be the one who does not know of the other's request.
const IDLE: Duration = Duration::from_secs(75);

/// Why there is no next request.
enum No {
    /// The client has closed, or says nothing any more, or the process ends.
    More,
    Wrong(Wrong),
}

/// Serves a connection to its end.
pub(super) async fn serve(server: Arc<Server>, stream: TcpStream, mut stop: watch::Receiver<bool>) {
    let Ok(peer) = stream.peer_addr() else { return };
    let mut wire = Wire { stream, buffer: BytesMut::new() };
    let mut fresh = true;
    loop {
        let head = tokio::select! {
            biased;
            head = next_head(&mut wire, std::mem::take(&mut fresh)) => head,
            () = stopped(&mut stop) => Err(No::More),
        };
        let head = match head {
            Ok(head) => head,
            Err(No::More) => return,
            Err(No::Wrong(wrong)) => return refuse(&server, wire, wrong).await,
        };
        let mut manner = Manner {
            headless: head.parts.method == Method::HEAD,
            current: head.parts.version == Version::HTTP_11,
            keeps: head.keeps,
            patience: server.settings.patience.idle,
        };
        let (response, returned) = answer(&server, wire, head, peer.ip()).await;
        let (Some(response), Some(Returned { wire: back, whole })) = (response, returned) else { return };
        wire = back;
        manner.keeps &= whole && !*stop.borrow();
        let ended = Sending::new(response, manner).send(&mut wire).await;
        match ended {
            Ended::Whole => {}
            Ended::Last if whole && wire.buffer.is_empty() => return,
            Ended::Last => return linger(wire).await,
            Ended::Broken => {
                // Without chunks or a length nothing else tells the client that this is not all.
                if !manner.current {
                    let _ = wire.stream.set_zero_linger();
                }
                return;
            }
            Ended::Gone => return,
        }
    }
}

/// The next request's head.
async fn next_head(wire: &mut Wire, fresh: bool) -> Result<Head, No> {
    if wire.buffer.is_empty() {
        let beginning = poll_fn(|cx| more(wire, cx));
        let patience = if fresh { HEAD } else { IDLE };
        tokio::time::timeout(patience, beginning).await.unwrap_or(Err(No::More))?;
    }
    let mut progress = head::Progress::default();
    let reading = poll_fn(|cx| {
        loop {
            match head::take(&mut wire.buffer, &mut progress) {
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Ok(None) => ready!(more(wire, cx))?,
                Err(wrong) => return Poll::Ready(Err(No::Wrong(wrong))),
            }
        }
    });
    let late = Wrong(StatusCode::REQUEST_TIMEOUT, "the request's head took longer than 10 s");
    let head = tokio::time::timeout(HEAD, reading).await.unwrap_or(Err(No::Wrong(late)))?;
    if wire.buffer.is_empty() {
        // A connection whose request is worked on keeps no buffer.
        wire.buffer = BytesMut::new();
    }
    Ok(head)
}

/// Reads what has come.
fn more(wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Result<(), No>> {
    let buffer = &mut wire.buffer;
    match ready!(read(&mut wire.stream, cx, |bytes| buffer.extend_from_slice(bytes))) {
        Ok(Some(())) => Poll::Ready(Ok(())),
        Ok(None) | Err(_) => Poll::Ready(Err(No::More)),
    }
}

/// Works on one request while looking whether the client stays. No response: it has gone.
async fn answer(
    server: &Server,
    wire: Wire,
    head: Head,
    peer: IpAddr,
) -> (Option<Response<Body>>, Option<Returned>) {
    let (body, lent) = RequestBody::new(wire, &head);
    let response = {
        let mut working = std::pin::pin!(server.request(head.parts, Incoming::First(body), peer));
        poll_fn(|cx| match working.as_mut().poll(cx) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending if lent.client_gone(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    };
    (response, lent.take())
}

/// Tells a client what is wrong with what it sent, and closes: where the next request begins, nobody knows.
async fn refuse(server: &Server, mut wire: Wire, Wrong(status, message): Wrong) {
    let answer = Answer::agent(status, "framing", message).into_response(Protocol::OpenAi);
    let patience = server.settings.patience.idle;
    let manner = Manner { headless: false, current: true, keeps: false, patience };
    if Sending::new(answer, manner).send(&mut wire).await == Ended::Last {
        linger(wire).await;
    }
}

/// Closes the connection when the client has read the answer: as long as something it sent is unread, closing
/// would take the answer back (RFC 9112, 9.6).
async fn linger(mut wire: Wire) {
    let (most, patience) = THROWN_AWAY;
    let _ = wire.stream.shutdown().await;
    let mut seen = 0;
    let draining = poll_fn(|cx| {
        loop {
            match read(&mut wire.stream, cx, <[u8]>::len) {
                Poll::Ready(Ok(Some(length))) if seen + length < most => seen += length,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    let _ = tokio::time::timeout(patience, draining).await;
}
