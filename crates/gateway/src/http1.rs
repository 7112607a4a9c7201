//! The framing of HTTP/1.1 (RFC 9112), as both sides of the gateway read it: what two readers could frame
//! differently is refused.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};

mod chunked;
pub(crate) use chunked::Chunked;

/// How much is read at once. On the stack: a stream that waits keeps no buffer.
pub(crate) const READ: usize = 32 * 1024;

/// Why bytes are not HTTP/1.1 as every reader reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misframed(pub &'static str);

/// Where the head that `buffer` begins with ends, once all of it is there. `searched` is how far was looked
/// before. A line that ends in LF alone is another head to a reader who wants CRLF.
///
/// # Errors
/// [`Misframed`], at such a line.
pub(crate) fn end_of_head(buffer: &[u8], searched: &mut usize) -> Result<Option<usize>, Misframed> {
    let unread = buffer.get(*searched..).unwrap_or_default();
    for (at, _) in unread.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        let at = *searched + at;
        let before = buffer.get(..at).unwrap_or_default();
        if !before.ends_with(b"\r") {
            return Err(Misframed("a line of the head ends in LF without CR"));
        }
        if before.ends_with(b"\r\n\r") || before == b"\r" {
            return Ok(Some(at + 1));
        }
    }
    *searched = buffer.len();
    Ok(None)
}

/// Reads once and gives what came to `take`; `None` at the end.
pub(crate) fn read<S: AsyncRead + Unpin, T>(
    stream: &mut S,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<Option<T>>> {
    let mut space = [const { MaybeUninit::uninit() }; READ];
    let mut buffer = ReadBuf::uninit(&mut space);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok((!buffer.filled().is_empty()).then(|| take(buffer.filled()))))
}

/// How the end of a body is known (RFC 9112, 6.3).
#[derive(Debug)]
pub(crate) enum Framing {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Done,
}

impl Framing {
    /// The content among `bytes`, and how many bytes are left behind its end.
    ///
    /// # Errors
    /// [`Misframed`].
    pub fn take(&mut self, bytes: &[u8]) -> Result<(Bytes, usize), Misframed> {
        match self {
            Self::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let (piece, rest) = bytes.split_at(most.min(bytes.len()));
                *left -= piece.len() as u64;
                if *left == 0 {
                    *self = Self::Done;
                }
                Ok((Bytes::copy_from_slice(piece), rest.len()))
            }
            Self::Chunked(chunked) => {
                let mut piece = Vec::with_capacity(bytes.len());
                let taken = chunked.step(bytes, &mut piece)?;
                if chunked.is_done() {
                    *self = Self::Done;
                }
                Ok((piece.into(), bytes.len() - taken))
            }
            Self::UntilClose => Ok((Bytes::copy_from_slice(bytes), 0)),
            Self::Done => Ok((Bytes::new(), bytes.len())),
        }
    }
}
