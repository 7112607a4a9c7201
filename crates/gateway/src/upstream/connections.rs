//! The connections to one upstream, whichever version of HTTP they speak.
//!
//! Over TLS that is settled with each connection (ALPN, RFC 7301); without TLS it is HTTP/1.1.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Frame;
use tokio::sync::Mutex;

use super::dial::{Dialer, Stream};
use super::{h1, h2};

/// How often a request looks for another connection because its own had ended unnoticed.
const TRIES: usize = 3;

/// The connections to one upstream.
pub(super) struct Connections {
    dialer: Dialer,
    first: Arc<h1::Pool<Stream>>,
    second: h2::Lanes,
    /// Whether the upstream was heard to speak HTTP/1.1 and nothing newer.
    old: AtomicBool,
    /// Held while a connection is made that may speak HTTP/2: the requests that wait here will share it.
    dialing: Mutex<()>,
}

impl Connections {
    /// Connections that `dialer` makes. Nothing is connected yet.
    pub fn new(dialer: Dialer) -> Self {
        Self {
            dialer,
            first: Arc::default(),
            second: h2::Lanes::default(),
            old: AtomicBool::new(false),
            dialing: Mutex::default(),
        }
    }

    /// Sends a request and waits for the head of its reply. Dropping the future closes its connection, or resets
    /// its stream.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(
        &self,
        head: &http::request::Parts,
        body: &Bytes,
    ) -> Result<http::Response<UpstreamBody>, SendError> {
        if let Some(connection) = self.first.take(h1::IDLE, |_| true) {
            return self.over_first(connection, head, body).await;
        }
        if !self.dialer.negotiates() {
            let stream = self.dialer.connect().await.map_err(SendError::Connect)?;
            return self.over_first(h1::Connection::new(stream), head, body).await;
        }
        // Boxed: rarer than the other, and larger.
        Box::pin(self.negotiated(head, body)).await
    }

    async fn over_first(
        &self,
        connection: h1::Connection<Stream>,
        head: &http::request::Parts,
        body: &Bytes,
    ) -> Result<http::Response<UpstreamBody>, SendError> {
        let bodyless = head.method == http::Method::HEAD;
        let head = h1::request_head(head, body.len());
        let reply = connection.exchange(&head, body, bodyless, Some(&self.first)).await;
        Ok(reply.map_err(|error| SendError::Exchange(error.into()))?.map(UpstreamBody::H1))
    }

    async fn negotiated(
        &self,
        head: &http::request::Parts,
        body: &Bytes,
    ) -> Result<http::Response<UpstreamBody>, SendError> {
        for _ in 0..TRIES {
            let place = match self.settled().await? {
                Settled::First(connection) => return self.over_first(connection, head, body).await,
                Settled::Second(place) => place,
            };
            let request = http::Request::from_parts(head.clone(), Full::new(body.clone()));
            match place.exchange(request).await {
                Ok(reply) => return Ok(reply.map(UpstreamBody::H2)),
                Err(h2::Unsent::NotYet) => {}
                Err(h2::Unsent::Broken(error)) => return Err(SendError::Exchange(error.into())),
            }
        }
        Err(SendError::Connect(io::Error::new(io::ErrorKind::NotConnected, "each connection ended at once")))
    }

    /// A place on a connection of HTTP/2, or a new connection, whatever it speaks.
    async fn settled(&self) -> Result<Settled, SendError> {
        if let Some(place) = self.second.place() {
            return Ok(Settled::Second(place));
        }
        let one = if self.old.load(Ordering::Relaxed) { None } else { Some(self.dialing.lock().await) };
        if let Some(place) = self.second.place() {
            return Ok(Settled::Second(place));
        }
        let stream = self.dialer.connect().await.map_err(SendError::Connect)?;
        let new = stream.speaks_http2();
        self.old.store(!new, Ordering::Relaxed);
        let settled = if new {
            let opened = self.second.open(stream).await;
            Settled::Second(opened.map_err(|error| SendError::Exchange(error.into()))?)
        } else {
            Settled::First(h1::Connection::new(stream))
        };
        drop(one);
        Ok(settled)
    }
}

enum Settled {
    First(h1::Connection<Stream>),
    Second(h2::Place),
}

/// Why there is no reply.
#[derive(Debug)]
pub(crate) enum SendError {
    /// Nobody could be reached.
    Connect(io::Error),
    /// The exchange broke off.
    Exchange(ExchangeError),
}

/// Why an exchange broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// In HTTP/1.1.
    #[error(transparent)]
    H1(#[from] h1::Error),
    /// In HTTP/2.
    #[error(transparent)]
    H2(#[from] hyper::Error),
}

/// The body of an upstream's reply. It is read by whoever polls it. If it is dropped before its end, its connection
/// closes, or its stream is reset.
#[derive(Debug)]
pub(crate) enum UpstreamBody {
    /// In HTTP/1.1.
    H1(h1::Body<Stream>),
    /// In HTTP/2.
    H2(h2::Body),
}

impl hyper::body::Body for UpstreamBody {
    type Data = Bytes;
    type Error = ExchangeError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        let piece = match self.get_mut() {
            Self::H1(body) => body.poll_next(cx).map(|piece| piece.map(|piece| piece.map_err(Into::into))),
            Self::H2(body) => body.poll_next(cx).map(|piece| piece.map(|piece| piece.map_err(Into::into))),
        };
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::H1(body) => body.is_done(),
            Self::H2(body) => body.is_done(),
        }
    }
}

#[cfg(test)]
mod tests;
