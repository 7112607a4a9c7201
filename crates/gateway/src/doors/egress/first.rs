//! The first bytes of an answer that is passed on: waited for, so that one that breaks off before them is a refusal and not a
//! connection that closes without a word.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};

/// How long they are waited for. After that the head goes on by itself: some answers begin when something happens.
const WAITS: Duration = Duration::from_secs(5);

/// The same for streams of events: their clients take the head for the beginning.
const EVENTS: Duration = Duration::from_millis(250);

/// A body, and what was taken out of it already.
#[derive(Debug)]
pub(super) struct Begun<B> {
    first: Option<Frame<Bytes>>,
    rest: B,
}

/// Waits for the first bytes of `body`, which came with these `headers`.
///
/// # Errors
/// If it breaks off before them.
pub(super) async fn begun<B>(headers: &HeaderMap, mut body: B) -> Result<Begun<B>, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let events = kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream");
    let until = tokio::time::Instant::now() + if events { EVENTS } else { WAITS };
    loop {
        let Ok(frame) = tokio::time::timeout_at(until, body.frame()).await else { break };
        match frame.transpose()? {
            Some(frame) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
            first => return Ok(Begun { first, rest: body }),
        }
    }
    Ok(Begun { first: None, rest: body })
}

impl<B: Body<Data = Bytes>> Begun<B> {
    /// All of it, if all has come.
    pub fn whole(&self) -> Option<&Bytes> {
        self.first.as_ref().and_then(Frame::data_ref).filter(|_| self.rest.is_end_stream())
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Begun<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
