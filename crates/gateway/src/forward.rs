//! The only module that writes onward: requests to upstreams, replies to clients. It takes permits by
//! value, because they own what may be written.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use doorward_core::stream::{Held, Ruling};
use http_body_util::combinators::BoxBody;
use hyper::body::Frame;
use tokio::sync::mpsc;

use crate::answer::{Answer, Body};
use crate::judge::{Gateway, Refusal};
use crate::record::{Content, Permit, StreamPermit};
use crate::upstream::{SendError, Upstream, UpstreamBody};

/// Opens permits. Nobody else can make one.
#[derive(Debug)]
pub struct Key(());

/// How many pieces of a reply may wait for a slow client before the upstream is no longer read.
const WAITING: usize = 16;

/// How long an upstream may take until the head of its reply.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why a request did not reach the upstream, or its reply not us.
#[derive(Debug)]
pub enum Unsent {
    /// It may no longer go.
    Refused(Refusal),
    /// The upstream did not answer.
    Upstream(Answer),
}

/// A request as it will be sent: to where, with which head, which bytes.
#[derive(Debug)]
pub struct Outgoing {
    /// Where it goes. The upstream dials its own origin and nothing else.
    pub upstream: Arc<Upstream>,
    /// Method, address and headers.
    pub head: http::request::Parts,
    /// The judged bytes.
    pub body: Bytes,
    /// How many blocked calls were put back into them.
    pub restored: usize,
}

impl Content for Outgoing {
    const PART: &'static str = "body";

    fn content(&self) -> &[u8] {
        &self.body
    }

    fn notes(&self) -> Vec<String> {
        match self.restored {
            0 => Vec::new(),
            calls => vec![format!("restore {calls}")],
        }
    }
}

/// Sends the judged request. Dropping the future closes the connection, which is how a client that has
/// gone cancels what it asked for.
///
/// # Errors
/// [`Unsent`].
pub(crate) async fn request(
    gateway: &Gateway,
    permit: Permit<Outgoing>,
) -> Result<http::Response<UpstreamBody>, Unsent> {
    let permit = gateway.renew(permit).await.map_err(Unsent::Refused)?;
    let receipt = permit.receipt().to_owned();
    let Outgoing { upstream, head, body, .. } = permit.open(Key(()));
    let sending = upstream.send(&head, &body, Key(()));
    let failed = |code, message: String| Unsent::Upstream(Answer::upstream(code, message).under(receipt));
    match tokio::time::timeout(PATIENCE, sending).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => {
            let (what, cause) = match &error {
                SendError::Connect(error) => ("cannot be reached", innermost(error)),
                SendError::Exchange(error) => ("broke off before its reply", innermost(error)),
            };
            Err(failed("upstream_unreachable", format!("the upstream `{}` {what}: {cause}", upstream.name)))
        }
        Err(_) => Err(failed(
            "upstream_timeout",
            format!("the upstream `{}` did not answer in 600 s", upstream.name),
        )),
    }
}

/// The innermost cause of an error: the one that says something.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The ruling on a held call: its bytes back, or what the agent is told.
pub async fn ruling(gateway: &Gateway, judged: Result<Permit<Held>, Refusal>, tool: &str) -> Ruling {
    let permit = match judged {
        Ok(permit) => gateway.renew(permit).await,
        Err(refusal) => Err(refusal),
    };
    match permit {
        Ok(permit) => Ruling::Release(permit.open(Key(()))),
        Err(refusal) => Ruling::Replace(notice(&refusal, tool)),
    }
}

fn notice(refusal: &Refusal, tool: &str) -> String {
    // The name is the provider's word: cut, and without what could make it more than a name.
    let tool: String = tool.chars().filter(|c| !c.is_control() && *c != '`').take(80).collect();
    match &refusal.why {
        crate::Why::Blocked => {
            let receipt = refusal.receipt.as_deref().unwrap_or_default();
            format!("{} (receipt {receipt})", refusal.decision.notice(&format!("the call to `{tool}`")))
        }
        _ => format!(
            "[doorward] The call to `{tool}` was withheld because its decision could not be recorded. Do not retry now; tell your user that Doorward needs attention."
        ),
    }
}

/// The writing end of a reply to a client. It owns the permit under which it writes.
#[derive(Debug)]
pub struct Reply {
    permit: StreamPermit,
    body: mpsc::Sender<Bytes>,
    cut: Arc<OnceLock<Option<Bytes>>>,
    sent: u64,
}

impl Reply {
    /// A reply under `permit`, and the body the client reads.
    #[must_use]
    pub fn new(permit: StreamPermit) -> (Self, Body) {
        let (body, pieces) = mpsc::channel(WAITING);
        let cut = Arc::new(OnceLock::new());
        let reading = Reading { pieces, cut: Arc::clone(&cut), ended: false };
        (Self { permit, body, cut, sent: 0 }, BoxBody::new(reading))
    }

    /// Writes `bytes` if the client has room for them, and gives them back if it has not.
    ///
    /// # Errors
    /// If the client has gone.
    pub fn offer(&mut self, bytes: Bytes) -> Result<Option<Bytes>, ClientGone> {
        let length = bytes.len() as u64;
        match self.body.try_send(bytes) {
            Ok(()) => {
                self.sent += length;
                Ok(None)
            }
            Err(mpsc::error::TrySendError::Full(bytes)) => Ok(Some(bytes)),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(ClientGone),
        }
    }

    /// Writes `bytes`, waiting for a slow client.
    ///
    /// # Errors
    /// If the client has gone.
    pub async fn send(&mut self, bytes: Bytes) -> Result<(), ClientGone> {
        let length = bytes.len() as u64;
        self.body.send(bytes).await.map_err(|_| ClientGone)?;
        self.sent += length;
        Ok(())
    }

    /// Stops the reply at once: what a slow client has not taken yet is dropped, `last` ends it. Without a
    /// `last` the connection breaks off, so that the client cannot take what it got for the whole.
    pub fn cut(&self, last: Option<Bytes>) {
        let _ = self.cut.set(last);
    }

    /// Returns when the client has gone.
    pub async fn client_gone(&self) {
        self.body.closed().await;
    }

    /// The permit.
    #[must_use]
    pub const fn permit(&self) -> &StreamPermit {
        &self.permit
    }

    /// Bytes handed to the client so far.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Ends the body and gives the permit back for its closing receipt.
    #[must_use]
    pub fn finish(self) -> StreamPermit {
        self.permit
    }
}

/// Nobody reads the reply any more.
#[derive(Debug, Clone, Copy)]
pub struct ClientGone;

/// The reply was broken off; the connection closes without the end HTTP would give it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the reply was broken off")]
pub struct Broken;

/// The reading end, as the server sends it.
struct Reading {
    pieces: mpsc::Receiver<Bytes>,
    cut: Arc<OnceLock<Option<Bytes>>>,
    ended: bool,
}

impl hyper::body::Body for Reading {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let polled = this.pieces.poll_recv(cx);
        // Looked at after polling: whoever cuts drops the sender next, which wakes us.
        if let Some(last) = this.cut.get() {
            this.pieces.close();
            if std::mem::replace(&mut this.ended, true) {
                return Poll::Ready(None);
            }
            return Poll::Ready(Some(last.clone().map(Frame::data).ok_or(Broken)));
        }
        polled.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
