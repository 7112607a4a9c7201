//! A request's body: the connection, lent to who reads it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::head::{Head, LONGEST, Length};
use crate::http1::{Chunked, Framing, Misframed, read};

/// Tells a client that waits before it sends its body that it may.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Why a request's body breaks off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The connection ended before the body did.
    #[error("the connection closed before the body was whole")]
    Truncated,
    /// It is not framed as every reader reads it.
    #[error("{0}")]
    Framing(&'static str),
}

impl From<Misframed> for Error {
    fn from(misframed: Misframed) -> Self {
        Self::Framing(misframed.0)
    }
}

/// A connection and what has been read of it and not been taken.
#[derive(Debug)]
pub(super) struct Wire {
    pub stream: TcpStream,
    pub buffer: BytesMut,
}

impl Wire {
    /// Reads ahead what fits; whether the client has closed its side, or the connection broke.
    pub fn is_closed(&mut self, cx: &mut Context<'_>) -> bool {
        while self.buffer.len() < LONGEST {
            let buffer = &mut self.buffer;
            match read(&mut self.stream, cx, |bytes| buffer.extend_from_slice(bytes)) {
                Poll::Pending => return false,
                Poll::Ready(Ok(Some(()))) => {}
                Poll::Ready(Ok(None) | Err(_)) => return true,
            }
        }
        false
    }
}

/// Where a connection is found again once the body that had it is read or dropped.
#[derive(Debug, Default, Clone)]
pub(super) struct Lent(Arc<Mutex<Option<Returned>>>);

/// A connection that came back.
#[derive(Debug)]
pub(super) struct Returned {
    pub wire: Wire,
    /// Whether the body was read to its end, so that another request may follow.
    pub whole: bool,
}

impl Lent {
    /// The connection, if nobody reads a body from it.
    pub fn take(&self) -> Option<Returned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the client has gone while its request is worked on. Not looked at while its body is read: who
    /// reads it sees that.
    pub fn client_gone(&self, cx: &mut Context<'_>) -> bool {
        let mut returned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        returned.as_mut().is_some_and(|returned| returned.whole && returned.wire.is_closed(cx))
    }
}

/// A request's body. It has the connection until it ends or is dropped.
#[derive(Debug)]
pub struct RequestBody {
    wire: Option<Wire>,
    framing: Framing,
    /// What is still to be written before a client sends it that waits.
    interim: &'static [u8],
    lent: Lent,
}

impl RequestBody {
    /// The body behind `head` on `wire`, and where `wire` will be found.
    pub(super) fn new(wire: Wire, head: &Head) -> (Self, Lent) {
        let framing = match head.length {
            Length::Known(0) => Framing::Done,
            Length::Known(bytes) => Framing::Length(bytes),
            Length::Chunked => Framing::Chunked(Chunked::default()),
        };
        let lent = Lent::default();
        let interim = if head.waits { CONTINUE } else { b"" };
        let mut body = Self { wire: Some(wire), framing, interim, lent: lent.clone() };
        if body.is_done() {
            body.give_back();
        }
        (body, lent)
    }

    /// The next piece: all that has arrived; `None` at the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            let Some(wire) = self.wire.as_mut().filter(|_| !matches!(self.framing, Framing::Done)) else {
                return Poll::Ready(None);
            };
            // Who has begun to send does not wait to be told.
            if !wire.buffer.is_empty() && self.interim.len() == CONTINUE.len() {
                self.interim = b"";
            }
            match ready!(ask_on(&mut wire.stream, &mut self.interim, cx)) {
                Ok(()) => {}
                Err(error) => return self.broken(error.into()),
            }
            let piece = if wire.buffer.is_empty() {
                let (framing, buffer) = (&mut self.framing, &mut wire.buffer);
                let taking = |bytes: &[u8]| {
                    let (piece, left) = framing.take(bytes)?;
                    // The beginning of another request.
                    buffer.extend_from_slice(bytes.get(bytes.len() - left..).unwrap_or_default());
                    Ok(piece)
                };
                match ready!(read(&mut wire.stream, cx, taking)) {
                    Ok(Some(piece)) => piece,
                    Ok(None) => return self.broken(Error::Truncated),
                    Err(error) => return self.broken(error.into()),
                }
            } else {
                let taken = self.framing.take(&wire.buffer);
                taken.map(|(piece, left)| {
                    let _ = wire.buffer.split_to(wire.buffer.len() - left);
                    piece
                })
            };
            match piece {
                Ok(piece) => {
                    if self.is_done() {
                        self.give_back();
                    }
                    if !piece.is_empty() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Err(misframed) => return self.broken(misframed.into()),
            }
        }
    }

    /// How long it still is, if that was told.
    pub(crate) const fn length(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(left) => Some(left),
            Framing::Done => Some(0),
            Framing::Chunked(_) | Framing::UntilClose => None,
        }
    }

    const fn is_done(&self) -> bool {
        matches!(self.framing, Framing::Done)
    }

    fn broken(&mut self, error: Error) -> Poll<Option<Result<Bytes, Error>>> {
        self.give_back();
        Poll::Ready(Some(Err(error)))
    }

    fn give_back(&mut self) {
        if let Some(wire) = self.wire.take() {
            let returned = Returned { wire, whole: self.is_done() };
            *self.lent.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(returned);
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Writes what is left of an interim answer.
fn ask_on(stream: &mut TcpStream, interim: &mut &'static [u8], cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    while !interim.is_empty() {
        let written = ready!(std::pin::Pin::new(&mut *stream).poll_write(cx, interim))?;
        *interim = interim.get(written..).unwrap_or_default();
    }
    Poll::Ready(Ok(()))
}
