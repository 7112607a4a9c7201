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
use tokio::sync::{Semaphore, TryAcquireError, mpsc};

use crate::answer::{Answer, Body};
use crate::judge::{Gateway, Refusal};
use crate::record::{Content, Permit, StreamPermit};
use crate::upstream::{SendError, Upstream, UpstreamBody};

/// Opens permits. Nobody else can make one.
#[derive(Debug)]
pub struct Key(());

/// How many pieces of a reply may wait for a slow client before the upstream is no longer read.
const WAITING: usize = 16;

/// How many bytes of them may wait. One piece may be larger: then nothing else waits.
const WAITING_BYTES: usize = 256 * 1024;

/// How long others are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long an upstream may say nothing, until its reply begins and in the middle of it, and a client may
    /// read nothing.
    pub idle: Duration,
    /// How long a reply may take altogether.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { idle: Duration::from_secs(600), total: Duration::from_secs(3600) }
    }
}

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
    patience: Patience,
) -> Result<http::Response<UpstreamBody>, Unsent> {
    let permit = gateway.renew(permit).await.map_err(Unsent::Refused)?;
    let receipt = permit.receipt().to_owned();
    let Outgoing { upstream, head, body, .. } = permit.open(Key(()));
    let sending = upstream.send(&head, &body, Key(()));
    let failed = |code, message: String| Unsent::Upstream(Answer::upstream(code, message).under(receipt));
    match tokio::time::timeout(patience.idle, sending).await {
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
            format!(
                "the upstream `{}` did not answer in {} s (setting `idle_timeout`)",
                upstream.name,
                patience.idle.as_secs()
            ),
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
    shared: Arc<Shared>,
    sent: u64,
}

/// What both ends of a reply know.
#[derive(Debug)]
struct Shared {
    /// Set when it is broken off, with what ends it.
    cut: OnceLock<Option<Bytes>>,
    /// Bytes that may still wait for the client.
    room: Semaphore,
}

impl Shared {
    /// What a piece of this length takes of the room.
    fn share(length: usize) -> u32 {
        u32::try_from(length.min(WAITING_BYTES)).unwrap_or(u32::MAX)
    }
}

impl Reply {
    /// A reply under `permit`, and the body the client reads.
    #[must_use]
    pub fn new(permit: StreamPermit) -> (Self, Body) {
        let (body, pieces) = mpsc::channel(WAITING);
        let shared = Arc::new(Shared { cut: OnceLock::new(), room: Semaphore::new(WAITING_BYTES) });
        let reading = Reading { pieces, shared: Arc::clone(&shared), ended: false };
        (Self { permit, body, shared, sent: 0 }, BoxBody::new(reading))
    }

    /// Writes `bytes` if the client has room for them, and gives them back if it has not.
    ///
    /// # Errors
    /// If the client has gone.
    pub fn offer(&mut self, bytes: Bytes) -> Result<Option<Bytes>, ClientGone> {
        let length = bytes.len();
        let share = match self.shared.room.try_acquire_many(Shared::share(length)) {
            Ok(share) => share,
            Err(TryAcquireError::NoPermits) => return Ok(Some(bytes)),
            Err(TryAcquireError::Closed) => return Err(ClientGone),
        };
        match self.body.try_send(bytes) {
            Ok(()) => {
                share.forget();
                self.sent += length as u64;
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
        let length = bytes.len();
        let share = self.shared.room.acquire_many(Shared::share(length)).await.map_err(|_| ClientGone)?;
        self.body.send(bytes).await.map_err(|_| ClientGone)?;
        share.forget();
        self.sent += length as u64;
        Ok(())
    }

    /// Stops the reply at once: what a slow client has not taken yet is dropped, `last` ends it. Without a
    /// `last` the connection breaks off, so that the client cannot take what it got for the whole.
    pub fn cut(&self, last: Option<Bytes>) {
        let _ = self.shared.cut.set(last);
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
    shared: Arc<Shared>,
    ended: bool,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.shared.room.close();
    }
}

impl hyper::body::Body for Reading {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let polled = this.pieces.poll_recv(cx);
        // Looked at after polling: whoever cuts drops the sender next, which wakes us.
        if let Some(last) = this.shared.cut.get() {
            this.pieces.close();
            if std::mem::replace(&mut this.ended, true) {
                return Poll::Ready(None);
            }
            return Poll::Ready(Some(last.clone().map(Frame::data).ok_or(Broken)));
        }
        polled.map(|piece| {
            piece.map(|piece| {
                this.shared.room.add_permits(piece.len().min(WAITING_BYTES));
                Ok(Frame::data(piece))
            })
        })
    }
}
