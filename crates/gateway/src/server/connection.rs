//! One connection of a client, in HTTP/1.1 or, with prior knowledge, HTTP/2. Which of them shows in its first
//! bytes; both are served on the same port.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::{Frame, SizeHint};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{Server, h1, spoken_at, stopped};
use crate::answer::{Answer, Body};
use crate::forward::Broken;
use crate::incoming::Incoming;

/// How long a client may take to begin.
const BEGIN: Duration = Duration::from_secs(10);

/// What waits to be written on a stream of HTTP/2. A head must fit.
const BUFFER: usize = 64 * 1024;

/// The beginning of HTTP/2 (RFC 9113, 3.4), as far as no request of HTTP/1.1 begins so.
const PREFACE: [u8; 4] = *b"PRI ";

/// Streams at once on one connection of HTTP/2.
const STREAMS: u32 = 128;

/// What a client may send ahead on one stream, and on all of a connection together. Bodies are read at once or
/// refused, so streams do not wait for each other here.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// How many streams that the client has reset may wait to be taken note of (CVE-2023-44487), and how many that we
/// reset because of what the client sent (CVE-2025-8671). Beyond, the connection is closed.
const RESETS: usize = 20;
const FAULTS: usize = 64;

/// How often a silent client is asked whether it is there, and how long its answer may take.
const ASK: Duration = Duration::from_secs(20);

/// How often it is looked whether a connection of HTTP/2 is in use. It is closed when it was not, twice in a row.
const LOOK: Duration = Duration::from_secs(60);

/// Serves a connection to its end.
pub async fn serve(server: Arc<Server>, stream: TcpStream, stop: watch::Receiver<bool>) {
    match tokio::time::timeout(BEGIN, wants_http2(&stream)).await {
        // Boxed: larger than the other, and rarer.
        Ok(Ok(true)) => Box::pin(second(server, stream, stop)).await,
        Ok(Ok(false)) => h1::serve(server, stream, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "a connection ended before it began"),
        Err(_) => tracing::debug!("a client connected and said nothing"),
    }
}

/// Whether the client speaks HTTP/2. Nothing is taken off the connection.
async fn wants_http2(stream: &TcpStream) -> std::io::Result<bool> {
    let mut seen = [0; PREFACE.len()];
    let mut pause = Duration::from_millis(5);
    loop {
        let read = stream.peek(&mut seen).await?;
        let seen = seen.get(..read).unwrap_or_default();
        if !PREFACE.starts_with(seen) || read == 0 {
            return Ok(false);
        }
        if read == PREFACE.len() {
            return Ok(true);
        }
        // A client that writes so little at a time is rare, and what is only peeked at wakes nobody again. The
        // longer it takes, the rarer it is looked: thousands that send one byte and wait must cost nothing.
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

async fn second(server: Arc<Server>, stream: TcpStream, mut stop: watch::Receiver<bool>) {
    let Ok(peer) = stream.peer_addr() else { return };
    let busy = Arc::new(());
    let running = Arc::clone(&busy);
    let service = service_fn(move |request| {
        let (server, busy) = (Arc::clone(&server), Arc::clone(&running));
        async move { Ok::<_, Infallible>(on_stream(&server, request, peer.ip(), busy).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(BUFFER).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(BUFFER)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(FAULTS)
        .keep_alive_interval(ASK)
        .keep_alive_timeout(ASK)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut look = tokio::time::interval(LOOK);
    let (mut idle, mut ending) = (0, false);
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            () = stopped(&mut stop), if !ending => ending = true,
            _ = look.tick(), if !ending => {
                // The service holds one, each running stream another.
                idle = if Arc::strong_count(&busy) > 2 { 0 } else { idle + 1 };
                ending = idle > 2;
            }
        }
        if ending {
            connection.as_mut().graceful_shutdown();
        }
    };
    note(ended);
}

/// A request on a stream. Each takes a place, as a connection of HTTP/1.1 does: it needs a connection upstream.
async fn on_stream(
    server: &Server,
    request: Request<hyper::body::Incoming>,
    peer: IpAddr,
    busy: Arc<()>,
) -> Response<Held> {
    let (head, body) = request.into_parts();
    let Ok(place) = Arc::clone(&server.room).try_acquire_owned() else {
        let why = "as many requests are running as may; try again shortly";
        let answer = Answer::agent(StatusCode::SERVICE_UNAVAILABLE, "overloaded", why);
        let held = |body| Held { body, _place: None, _busy: busy };
        return answer.into_response(spoken_at(head.uri.path())).map(held);
    };
    let response = server.request(head, Incoming::Second(body), peer).await;
    response.map(|mut body| {
        // A stream is not polled while its window is closed.
        body.detach();
        Held { body, _place: Some(place), _busy: busy }
    })
}

/// A body that holds its stream's place until it is sent.
struct Held {
    body: Body,
    _place: Option<OwnedSemaphorePermit>,
    _busy: Arc<()>,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn note(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
