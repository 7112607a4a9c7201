//! What Doorward itself answers, in the shape the client's SDK reads, naming whose fault it is.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use doorward_core::wire::Protocol;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::{Frame, SizeHint};

use crate::forward::{Broken, Reading};
use crate::judge::{Refusal, Why};

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// It is there already; `None` once it is taken.
    Whole(Option<Bytes>),
    /// It comes from an upstream, piece by piece.
    Relayed(Box<Reading>),
}

/// Names the receipt of an answer.
pub const RECEIPT: HeaderName = HeaderName::from_static("doorward-receipt");

/// Tells SDKs whether trying again can help.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Names what went wrong, for programs: Anthropic's error shape has no place for it.
pub const CODE: HeaderName = HeaderName::from_static("doorward-code");

/// An answer of our own.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// A stable name for what went wrong.
    pub code: &'static str,
    /// What happened, why and what to do, for a person.
    pub message: String,
    /// The receipt it is recorded under.
    pub receipt: Option<String>,
}

impl Answer {
    /// The agent's fault.
    #[must_use]
    pub fn agent(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), receipt: None }
    }

    /// The upstream's fault: 502.
    #[must_use]
    pub fn upstream(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_GATEWAY, code, message: message.into(), receipt: None }
    }

    /// A person changed the mode while this was on its way: half of it would be done in the one and half in the
    /// other.
    #[must_use]
    pub fn moved() -> Self {
        let message = "the policy's mode was changed while this was on its way; try again".to_owned();
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self { status, code: "policy_changed", message, receipt: None }
    }

    /// The same, recorded under `receipt`.
    #[must_use]
    pub fn under(mut self, receipt: impl Into<String>) -> Self {
        self.receipt = Some(receipt.into());
        self
    }

    /// The answer in the error shape of `protocol`.
    #[must_use]
    pub fn into_response(self, protocol: Protocol) -> Response<Body> {
        let message = format!("doorward: {}", self.message.trim_start_matches("[doorward] "));
        let body = protocol.error_body(self.status.as_u16(), self.code, &message);
        let mut response = Response::new(whole(body.into()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Trying again changes nothing about a block, a broken reply or a wrong request. An overload or a
        // ledger that cannot append passes.
        let retry = if self.status == StatusCode::SERVICE_UNAVAILABLE { "true" } else { "false" };
        headers.insert(SHOULD_RETRY, HeaderValue::from_static(retry));
        headers.insert(CODE, HeaderValue::from_static(self.code));
        match self.status {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br, zstd"));
            }
            // RFC 9110, 15.5.22 wants the protocol named that will do.
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("HTTP/1.1"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            }
            _ => {}
        }
        if let Some(receipt) = self.receipt.as_deref().and_then(|receipt| HeaderValue::from_str(receipt).ok())
        {
            headers.insert(RECEIPT, receipt);
        }
        response
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let Refusal { decision, receipt, why } = refusal;
        let (status, code, message) = match why {
            Why::Blocked => (StatusCode::FORBIDDEN, "blocked", decision.notice("this request")),
            Why::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "more requests are waiting to be recorded than may wait; try again shortly".into(),
            ),
            Why::LedgerUnavailable(why) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "ledger_unavailable",
                format!("nothing passes because decisions cannot be recorded: {why}"),
            ),
        };
        Self { status, code, message, receipt }
    }
}

/// A body that is there already.
#[must_use]
pub fn whole(bytes: Bytes) -> Body {
    Body::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
}

impl Body {
    /// Lets what fills it run, while nothing of it can be sent. Returns whether that has come to its end.
    pub fn run(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Relayed(reading) => reading.run(cx),
        }
    }

    /// Whether it was broken off.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        match self {
            Self::Whole(_) => false,
            Self::Relayed(reading) => reading.is_broken(),
        }
    }

    /// Makes what fills it a task of its own, for connections that do not always poll.
    pub fn detach(&mut self) {
        if let Self::Relayed(reading) = self {
            reading.detach();
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Relayed(reading) => Pin::new(&mut **reading).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Relayed(reading) => reading.size_hint(),
        }
    }
}
