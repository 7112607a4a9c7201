//! The body of a client's request, over either version of HTTP.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::server::h1;

/// How much of a body that is refused is read and thrown away, in bytes, and for how long: a client that is
/// still writing when the connection closes does not see the answer.
pub(crate) const THROWN_AWAY: (usize, Duration) = (256 << 20, Duration::from_secs(10));

/// A request's body as it comes in.
#[derive(Debug)]
pub enum Incoming {
    /// Over HTTP/1.1, read by us.
    First(h1::RequestBody),
    /// A stream of HTTP/2.
    Second(hyper::body::Incoming),
}

/// Why a body yields no more although it has not ended.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// Over HTTP/1.1.
    #[error(transparent)]
    First(h1::Error),
    /// Over HTTP/2.
    #[error(transparent)]
    Second(hyper::Error),
}

impl Incoming {
    /// Reads what is left of a body that is refused, and throws it away.
    pub fn throw_away(self) {
        let (most, patience) = THROWN_AWAY;
        // A connection of HTTP/1.1 does so itself, once it has answered.
        if let Self::Second(mut body) = self {
            tokio::spawn(async move {
                let reading = async {
                    let mut read = 0;
                    while let Some(Ok(frame)) = http_body_util::BodyExt::frame(&mut body).await {
                        read += frame.data_ref().map_or(0, Bytes::len);
                        if read > most {
                            return;
                        }
                    }
                };
                let _ = tokio::time::timeout(patience, reading).await;
            });
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::First(body) => body
                .poll_next(cx)
                .map(|piece| piece.map(|piece| piece.map(Frame::data).map_err(Broken::First))),
            Self::Second(body) => Pin::new(body).poll_frame(cx).map_err(Broken::Second),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::First(body) => body.length().map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Second(body) => body.size_hint(),
        }
    }
}
