//! HTTP/2 to an upstream, where it offers it with TLS.
//!
//! One connection carries as many requests as its server allows, and the next one would wait, silently, until
//! another ends: with streams that last for minutes that is no answer. So there are lanes, each a connection, and a
//! request takes the first that has room, or opens another.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

/// How long a connection without requests is kept.
const IDLE: Duration = Duration::from_secs(60);

/// Requests on one connection. Servers allow 100 or more, as a rule; who allows fewer gets fewer.
pub(super) const ROOM: usize = 64;

/// The largest list of headers in a reply.
const HEADERS: u32 = 64 * 1024;

/// What an upstream may send ahead on one stream, and on all of a connection together: so much that clients that do
/// not read cannot hold up the others, who share the connection with them.
pub(super) const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * ROOM as u32;

/// What waits to be written on one stream.
const SEND_BUFFER: usize = 64 * 1024;

/// How often a silent connection is asked whether its server is there, and how long the answer may take.
const ASK: Duration = Duration::from_secs(20);

/// The connections to one upstream.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<Vec<Lane>>);

#[derive(Debug)]
struct Lane {
    requests: SendRequest<Full<Bytes>>,
    busy: Arc<AtomicUsize>,
    /// How many requests it takes: [`ROOM`], or what its server allows.
    room: Arc<AtomicUsize>,
    used: Instant,
}

/// A place for one request on a connection, until its reply is let go.
#[derive(Debug)]
pub(super) struct Place {
    requests: SendRequest<Full<Bytes>>,
    busy: Busy,
}

#[derive(Debug)]
struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lanes {
    /// A place on a connection that is open and has room.
    pub fn place(&self) -> Option<Place> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|lane| {
            let idle = lane.busy.load(Ordering::Relaxed) == 0 && lane.used.elapsed() > IDLE;
            !lane.requests.is_closed() && !idle
        });
        lanes.iter_mut().find_map(Lane::place)
    }

    /// Begins to speak HTTP/2 on `stream` and gives the first place on it.
    ///
    /// # Errors
    /// If the connection breaks at once.
    pub async fn open<S>(&self, stream: S) -> Result<Place, hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, mut connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADERS)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(ASK)
            .keep_alive_timeout(ASK)
            .handshake(TokioIo::new(stream))
            .await?;
        let room = Arc::new(AtomicUsize::new(ROOM));
        let allowed = Arc::clone(&room);
        tokio::spawn(async move {
            let ended = std::future::poll_fn(|cx| {
                let ended = Pin::new(&mut connection).poll(cx);
                allowed.store(connection.current_max_send_streams().min(ROOM), Ordering::Relaxed);
                ended
            });
            if let Err(error) = ended.await {
                tracing::debug!(%error, "a connection to an upstream ended early");
            }
        });
        let busy = Arc::new(AtomicUsize::new(1));
        let place = Place { requests: requests.clone(), busy: Busy(Arc::clone(&busy)) };
        let lane = Lane { requests, busy, room, used: Instant::now() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
        Ok(place)
    }

    /// How many connections there are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Lane {
    fn place(&mut self) -> Option<Place> {
        // Counted under the lock of all lanes, so nobody takes the same place.
        if self.busy.load(Ordering::Relaxed) >= self.room.load(Ordering::Relaxed) {
            return None;
        }
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.used = Instant::now();
        Some(Place { requests: self.requests.clone(), busy: Busy(Arc::clone(&self.busy)) })
    }
}

/// Why there is no reply.
#[derive(Debug)]
pub(super) enum Unsent {
    /// The connection had ended and nothing was sent: the request may take another.
    NotYet,
    /// The exchange broke off.
    Broken(hyper::Error),
}

impl Place {
    /// Sends a request and waits for the head of its reply. Dropping the future, or the reply's body, resets its
    /// stream and leaves the others alone.
    ///
    /// # Errors
    /// [`Unsent`].
    pub async fn exchange(
        mut self,
        request: http::Request<Full<Bytes>>,
    ) -> Result<http::Response<Body>, Unsent> {
        match self.requests.try_send_request(request).await {
            Ok(reply) => Ok(reply.map(|body| Body { body, _busy: self.busy })),
            Err(mut error) => match error.take_message() {
                Some(_) => Err(Unsent::NotYet),
                None => Err(Unsent::Broken(error.into_error())),
            },
        }
    }
}

/// The body of a reply.
#[derive(Debug)]
pub(crate) struct Body {
    body: Incoming,
    _busy: Busy,
}

impl Body {
    /// The next piece; `None` at the end. Trailers are left out.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        loop {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                    Ok(_) | Err(_) => {}
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Whether it has come to its end.
    pub fn is_done(&self) -> bool {
        self.body.is_end_stream()
    }
}
