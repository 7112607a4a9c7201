//! An answer on its way out.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::Body as _;
use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep};

use super::body::Wire;
use crate::answer::Body;

/// Small pieces are gathered up to so many bytes before they are written.
const GATHER: usize = 16 * 1024;

/// Pieces of this size and more are written from where they are.
const LARGE: usize = 8 * 1024;

/// How an answer is to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// The request was a `HEAD`: its answer has no body.
    pub headless: bool,
    /// The client speaks HTTP/1.1 and reads chunks.
    pub current: bool,
    /// Whether the connection may carry another request.
    pub keeps: bool,
    /// How long a client may read nothing.
    pub patience: Duration,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// All of it is written.
    Whole,
    /// All of it is written, and the connection must close behind it.
    Last,
    /// It was broken off: what was written must not pass for the whole.
    Broken,
    /// The client has gone, or reads nothing.
    Gone,
}

/// How the client knows where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Chunked,
    Length(u64),
    UntilClose,
    /// There is none, whatever the headers say.
    None,
}

/// An answer being written.
pub(super) struct Sending {
    body: Body,
    framing: Framing,
    manner: Manner,
    /// Gathered and not written.
    front: Vec<u8>,
    written: usize,
    /// A large piece behind it.
    piece: Bytes,
    /// Nothing more is to come.
    ended: bool,
    /// Since when the client has taken nothing.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Sending {
    pub fn new(response: Response<Body>, manner: Manner) -> Self {
        let (head, body) = response.into_parts();
        let exact = body.size_hint().exact();
        let framing =
            if manner.headless || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
                Framing::None
            } else {
                match exact {
                    Some(length) => Framing::Length(length),
                    None if manner.current => Framing::Chunked,
                    None => Framing::UntilClose,
                }
            };
        let front = written_head(head.status, &head.headers, framing, manner);
        Self { body, framing, manner, front, written: 0, piece: Bytes::new(), ended: false, stuck: None }
    }

    /// Writes the answer to its end.
    pub async fn send(mut self, wire: &mut Wire) -> Ended {
        let ended = std::future::poll_fn(|cx| self.poll(wire, cx)).await;
        // What remains to be done for the record, the client does not wait for.
        if ended == Ended::Whole || ended == Ended::Last {
            std::future::poll_fn(|cx| if self.body.run(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        }
        ended
    }

    fn poll(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            if let Some(broken) = self.fill(cx) {
                return Poll::Ready(broken);
            }
            if self.is_empty() {
                if self.ended {
                    let last = self.framing == Framing::UntilClose || !self.manner.keeps;
                    return Poll::Ready(if last { Ended::Last } else { Ended::Whole });
                }
                return if wire.is_closed(cx) { Poll::Ready(Ended::Gone) } else { Poll::Pending };
            }
            match self.write(wire, cx) {
                Poll::Ready(Ok(())) => self.stuck = None,
                Poll::Ready(Err(_)) => return Poll::Ready(Ended::Gone),
                Poll::Pending => {
                    // Who fills the body is who hears that it is to be broken off.
                    self.body.run(cx);
                    return self.wait(wire, cx);
                }
            }
        }
    }

    /// Takes what the body has, as long as little waits.
    fn fill(&mut self, cx: &mut Context<'_>) -> Option<Ended> {
        while !self.ended && self.piece.is_empty() && self.front.len() - self.written < GATHER {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => self.push(frame.into_data().unwrap_or_default()),
                Poll::Ready(Some(Err(_))) => return Some(Ended::Broken),
                Poll::Ready(None) => {
                    self.ended = true;
                    match self.framing {
                        Framing::Chunked => self.front.extend_from_slice(b"0\r\n\r\n"),
                        // Shorter than was said: the client must see that.
                        Framing::Length(left) if left > 0 => return Some(Ended::Broken),
                        Framing::Length(_) | Framing::UntilClose | Framing::None => {}
                    }
                }
                Poll::Pending => break,
            }
        }
        None
    }

    fn push(&mut self, data: Bytes) {
        // An empty chunk would end the body.
        if data.is_empty() {
            return;
        }
        let data = match &mut self.framing {
            Framing::None => return,
            Framing::Chunked => {
                let _ = write!(self.front, "{:x}\r\n", data.len());
                data
            }
            Framing::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
                *left -= most as u64;
                data.slice(..most)
            }
            Framing::UntilClose => data,
        };
        if data.len() < LARGE {
            self.front.extend_from_slice(&data);
            self.close_chunk();
        } else {
            self.piece = data;
        }
    }

    fn close_chunk(&mut self) {
        if self.framing == Framing::Chunked {
            self.front.extend_from_slice(b"\r\n");
        }
    }

    fn is_empty(&self) -> bool {
        self.written == self.front.len() && self.piece.is_empty()
    }

    /// Writes once.
    fn write(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let front = self.front.get(self.written..).unwrap_or_default();
        let waiting = front.len();
        let slices = [IoSlice::new(front), IoSlice::new(&self.piece)];
        let written = std::task::ready!(Pin::new(&mut wire.stream).poll_write_vectored(cx, &slices))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.written += written.min(waiting);
        let of_piece = written.saturating_sub(waiting);
        self.piece.advance(of_piece.min(self.piece.len()));
        if self.written == self.front.len() {
            // A stream that waits keeps no buffer.
            self.front = Vec::new();
            self.written = 0;
            if of_piece > 0 && self.piece.is_empty() {
                self.close_chunk();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The client takes nothing at present.
    fn wait(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Ended> {
        let patience = self.manner.patience;
        let stuck =
            self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        if self.body.is_broken() {
            return Poll::Ready(Ended::Broken);
        }
        if stuck.as_mut().poll(cx).is_ready() || wire.is_closed(cx) {
            return Poll::Ready(Ended::Gone);
        }
        Poll::Pending
    }
}

/// A head as it goes on the wire.
fn written_head(status: StatusCode, headers: &HeaderMap, framing: Framing, manner: Manner) -> Vec<u8> {
    let length: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let mut out = Vec::with_capacity(length + 512);
    let _ = write!(out, "HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
    for (name, value) in headers {
        // These say how the bytes are framed that were read, not those that are written.
        if *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if !headers.contains_key(header::DATE) {
        let _ = write!(out, "date: {}\r\n", httpdate::fmt_http_date(SystemTime::now()));
    }
    match framing {
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Length(length) => {
            let _ = write!(out, "content-length: {length}\r\n");
        }
        Framing::UntilClose | Framing::None => {}
    }
    if !manner.keeps || framing == Framing::UntilClose {
        out.extend_from_slice(b"connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}
