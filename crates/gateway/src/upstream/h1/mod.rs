//! HTTP/1.1 to an upstream (RFC 9112), read by us.
//!
//! An upstream is a peer like any other: what frames its replies is read strictly, and what two readers could
//! frame differently is refused. The body is polled by whoever relays it, on the relay's own task: events of
//! a stream come in chunks of their own, and handing each of 2,000 from task to task took 4 µs where reading
//! it takes a fraction of one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::http1::{Chunked, Framing, Misframed, read};

mod head;
pub(crate) use head::request_head;
use head::{Head, HeadReader, Length};

mod pool;
pub(super) use pool::{IDLE, Lane, Pool};

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The connection ended before anything of the reply came.
    #[error("{why}")]
    Unheard {
        /// Whether anything of the request was written.
        sent: bool,
        /// How it ended.
        why: io::Error,
    },
    /// The reply ended before it was whole.
    #[error("the connection closed before the reply was whole")]
    Truncated,
    /// The reply is not HTTP/1.1 as every reader reads it.
    #[error("{0}")]
    Framing(#[from] Misframed),
}

impl Error {
    /// Whether the request may be sent on another connection: nothing of the reply came, and either nothing of the request was
    /// written, or doing it twice is as good as once (RFC 9112, 9.3.1).
    pub const fn may_be_sent_again(&self, idempotent: bool) -> bool {
        match self {
            Self::Unheard { sent, .. } => idempotent || !*sent,
            Self::Io(_) | Self::Truncated | Self::Framing(_) => false,
        }
    }
}

/// A connection that may carry one exchange at a time.
#[derive(Debug)]
pub(super) struct Connection<S> {
    stream: S,
    /// Whose it is and where it leads, if more than one place is reached from where it is kept.
    lane: Option<Lane>,
    made: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, lane: None, made: Instant::now() }
    }

    /// The same, for one lane only.
    pub fn on(stream: S, lane: Lane) -> Self {
        Self { lane: Some(lane), ..Self::new(stream) }
    }

    /// Whether it can carry another exchange: the other side has neither closed nor said anything unasked.
    fn is_idle(&mut self) -> bool {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        Pin::new(&mut self.stream).poll_read(&mut cx, &mut buffer).is_pending()
    }

    /// Sends a request and reads the head of its reply. Once the reply has begun, what is left of the request
    /// is not sent any more. Afterwards the connection waits in `pool` for another, if there is one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn exchange(
        mut self,
        head: &[u8],
        body: &Bytes,
        bodyless: bool,
        pool: Option<&Arc<Pool<S>>>,
    ) -> Result<http::Response<Body<S>>, Error>
    where
        S: Send + 'static,
    {
        let mut sending = Sending { head, body, sent: 0, flushed: false };
        let mut reader = HeadReader::default();
        let (Head { parts, length, reusable }, rest) = std::future::poll_fn(|cx| {
            let broke = match sending.poll(&mut self.stream, cx) {
                Poll::Ready(Err(error)) => Some(error),
                Poll::Ready(Ok(())) | Poll::Pending => None,
            };
            loop {
                let read = read(&mut self.stream, cx, |bytes| reader.push(bytes, bodyless));
                match (read, &broke) {
                    (Poll::Ready(Ok(Some(Ok(Some(head))))), _) => return Poll::Ready(Ok(head)),
                    (Poll::Ready(Ok(Some(Ok(None)))), _) => {}
                    (Poll::Ready(Ok(Some(Err(error)))), _) => return Poll::Ready(Err(error)),
                    // Writing says better what is wrong than reading.
                    (_, Some(error)) => {
                        return Poll::Ready(Err(sending.failed(error.kind().into(), &reader)));
                    }
                    (Poll::Ready(Ok(None)), _) => {
                        let why = io::Error::new(io::ErrorKind::UnexpectedEof, Error::Truncated);
                        return Poll::Ready(Err(sending.failed(why, &reader)));
                    }
                    (Poll::Ready(Err(error)), _) => return Poll::Ready(Err(sending.failed(error, &reader))),
                    (Poll::Pending, _) => return Poll::Pending,
                }
            }
        })
        .await?;
        let reusable = reusable && sending.is_done();
        let framing = match length {
            Length::Known(0) => Framing::Done,
            Length::Known(bytes) => Framing::Length(bytes),
            Length::Chunked => Framing::Chunked(Chunked::default()),
            Length::UntilClose => Framing::UntilClose,
        };
        let mut body = Body { connection: Some(self), framing, rest, reusable, pool: pool.cloned() };
        if matches!(body.framing, Framing::Done) {
            body.finish();
        }
        Ok(http::Response::from_parts(parts, body))
    }
}

/// A request being written.
struct Sending<'a> {
    head: &'a [u8],
    body: &'a [u8],
    sent: usize,
    flushed: bool,
}

impl Sending<'_> {
    const fn is_done(&self) -> bool {
        self.flushed
    }

    /// The connection has ended by `why`, when `reader` had come so far.
    fn failed(&self, why: io::Error, reader: &HeadReader) -> Error {
        if reader.has_begun() { why.into() } else { Error::Unheard { sent: self.sent > 0, why } }
    }

    fn poll<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.head.len() + self.body.len() {
            let head = self.head.get(self.sent..).unwrap_or_default();
            let body = self.body.get(self.sent.saturating_sub(self.head.len())..).unwrap_or_default();
            let slices = [io::IoSlice::new(head), io::IoSlice::new(body)];
            let written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        if !self.flushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// The body of a reply. Dropping it before its end closes the connection.
#[derive(Debug)]
pub(crate) struct Body<S> {
    connection: Option<Connection<S>>,
    framing: Framing,
    /// What came along with the head.
    rest: Bytes,
    reusable: bool,
    pool: Option<Arc<Pool<S>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Body<S> {
    /// The next piece: all that has arrived, up to [`READ`](crate::http1::READ); `None` at the end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if matches!(self.framing, Framing::Done) {
                return Poll::Ready(None);
            }
            let read = if self.rest.is_empty() {
                let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
                let framing = &mut self.framing;
                match ready!(read(&mut connection.stream, cx, |bytes| framing.take(bytes))) {
                    Ok(read) => read,
                    Err(error) => return self.broken(error.into()),
                }
            } else {
                let rest = std::mem::take(&mut self.rest);
                Some(self.framing.take(&rest))
            };
            match read {
                Some(Ok((piece, left))) => {
                    if matches!(self.framing, Framing::Done) {
                        // Something behind the end belongs to nobody's request.
                        self.reusable &= left == 0;
                        self.finish();
                    }
                    if !piece.is_empty() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Some(Err(error)) => return self.broken(error.into()),
                None if matches!(self.framing, Framing::UntilClose) => {
                    self.framing = Framing::Done;
                    self.connection = None;
                }
                None => return self.broken(Error::Truncated),
            }
        }
    }

    fn broken(&mut self, error: Error) -> Poll<Option<Result<Bytes, Error>>> {
        self.connection = None;
        self.framing = Framing::Done;
        Poll::Ready(Some(Err(error)))
    }

    /// The reply has come to its end: the connection is free for another.
    fn finish(&mut self) {
        let connection = self.connection.take().filter(|_| self.reusable && self.rest.is_empty());
        if let (Some(connection), Some(pool)) = (connection, &self.pool) {
            pool.put(connection);
        }
    }

    /// Whether it has come to its end.
    pub const fn is_done(&self) -> bool {
        matches!(self.framing, Framing::Done)
    }
}

#[cfg(test)]
mod tests;
