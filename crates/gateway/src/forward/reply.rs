//! A reply between the relay that judges it and the connection that sends it.
//!
//! The relay is polled by the connection, on the connection's own task: what it writes waits in a queue of
//! this task and wakes nobody. As tasks of their own the two woke each other for each piece, on another
//! thread more often than not. When the client goes before the end, what is left of the relay becomes a task,
//! so that the end is recorded.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::runtime::Handle;

use crate::answer::Answer;
use crate::record::StreamPermit;

/// How many pieces of a reply may wait for a slow client before the upstream is no longer read.
const WAITING: usize = 16;

/// How many bytes of them may wait. One piece may be larger: then nothing else waits.
const WAITING_BYTES: usize = 256 * 1024;

/// The writing end of a reply to a client. It owns the permit under which it writes.
#[derive(Debug)]
pub struct Reply {
    permit: StreamPermit,
    end: WritingEnd,
    sent: u64,
}

/// The reading end, as the connection sends it, and the relay that fills it.
pub struct Reading {
    shared: Arc<Shared>,
    relay: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// What is still to come, if that is known.
    left: Option<u64>,
    ended: bool,
}

/// What the door learns before the first byte.
#[derive(Debug)]
pub enum Begun {
    /// There is a reply, piece by piece.
    Streaming,
    /// There is a reply of this many bytes.
    Whole(u64),
    /// There is none, and this is to be said instead.
    Instead(Answer),
}

/// Nobody reads the reply any more.
#[derive(Debug, Clone, Copy)]
pub struct ClientGone;

/// The reply was broken off; the connection closes without the end HTTP would give it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the reply was broken off")]
pub struct Broken;

/// What both ends share.
#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    begun: Option<Begun>,
    pieces: VecDeque<Bytes>,
    /// How many bytes they have.
    bytes: usize,
    /// Set when it is broken off, with what ends it.
    cut: Option<Option<Bytes>>,
    /// Nothing more will be written.
    ended: bool,
    /// Nothing more will be read.
    gone: bool,
    /// Who waits for a piece, for room, and for the client to go.
    reader: Option<Waker>,
    writer: Option<Waker>,
    watcher: Option<Waker>,
}

/// Ends the reply when it is dropped, however that comes about.
#[derive(Debug)]
struct WritingEnd(Arc<Shared>);

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, length: usize) -> bool {
        self.pieces.is_empty() || self.pieces.len() < WAITING && self.bytes + length <= WAITING_BYTES
    }

    fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.pieces.push_back(piece);
        wake(&mut self.reader);
    }

    fn pop(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.len();
        wake(&mut self.writer);
        Some(piece)
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Keeps who is to be woken, without cloning it anew each time.
fn keep(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

impl Drop for WritingEnd {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.ended = true;
        wake(&mut state.reader);
    }
}

impl Reply {
    /// A reply under `permit`, and the end that the client reads.
    #[must_use]
    pub fn new(permit: StreamPermit) -> (Self, Reading) {
        let shared = Arc::<Shared>::default();
        let reading = Reading { shared: Arc::clone(&shared), relay: None, left: None, ended: false };
        (Self { permit, end: WritingEnd(shared), sent: 0 }, reading)
    }

    /// Tells the door how the reply begins. Only the first time counts.
    pub fn begin(&self, begun: Begun) {
        let mut state = self.end.0.state();
        state.begun.get_or_insert(begun);
        wake(&mut state.reader);
    }

    /// Writes `bytes` if the client has room for them, and gives them back if it has not.
    ///
    /// # Errors
    /// If the client has gone.
    pub fn offer(&mut self, bytes: Bytes) -> Result<Option<Bytes>, ClientGone> {
        let mut state = self.end.0.state();
        if state.gone {
            return Err(ClientGone);
        }
        if !state.has_room(bytes.len()) {
            return Ok(Some(bytes));
        }
        self.sent += bytes.len() as u64;
        state.push(bytes);
        Ok(None)
    }

    /// Writes `bytes`, waiting for a slow client.
    ///
    /// # Errors
    /// If the client has gone.
    pub async fn send(&mut self, bytes: Bytes) -> Result<(), ClientGone> {
        std::future::poll_fn(|cx| {
            let mut state = self.end.0.state();
            if state.gone {
                return Poll::Ready(Err(ClientGone));
            }
            if !state.has_room(bytes.len()) {
                keep(&mut state.writer, cx);
                keep(&mut state.watcher, cx);
                return Poll::Pending;
            }
            self.sent += bytes.len() as u64;
            state.push(bytes.clone());
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Stops the reply at once: what a slow client has not taken yet is dropped, `last` ends it. Without a
    /// `last` the connection breaks off, so that the client cannot take what it got for the whole.
    pub fn cut(&self, last: Option<Bytes>) {
        let mut state = self.end.0.state();
        state.cut.get_or_insert(last);
        wake(&mut state.reader);
    }

    /// Returns when the client has gone.
    pub async fn client_gone(&self) {
        std::future::poll_fn(|cx| {
            let mut state = self.end.0.state();
            if state.gone {
                return Poll::Ready(());
            }
            keep(&mut state.watcher, cx);
            Poll::Pending
        })
        .await;
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

    /// Ends the body, lets the connection send its end, and gives the permit back for its closing receipt.
    pub async fn finish(self) -> StreamPermit {
        let Self { permit, end, .. } = self;
        drop(end);
        let mut yielded = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        permit
    }
}

impl Reading {
    /// The reading end, filled by `relay`, which runs while this is polled.
    #[must_use]
    pub fn of(mut self, relay: impl Future<Output = ()> + Send + 'static) -> Self {
        self.relay = Some(Box::pin(relay));
        self
    }

    /// How the reply begins, once that is known.
    pub async fn begun(&mut self) -> Begun {
        let begun = std::future::poll_fn(|cx| {
            self.run(cx);
            let mut state = self.shared.state();
            match state.begun.take() {
                Some(begun) => Poll::Ready(begun),
                None if state.ended => {
                    Poll::Ready(Begun::Instead(Answer::upstream("broken", "the reply broke off")))
                }
                None => Poll::Pending,
            }
        })
        .await;
        self.left = match begun {
            Begun::Whole(length) => Some(length),
            Begun::Streaming | Begun::Instead(_) => None,
        };
        begun
    }

    /// Lets the relay run. It must, also while the client has no room: it is the relay that hears of a stop.
    /// Returns whether it has come to its end.
    pub fn run(&mut self, cx: &mut Context<'_>) -> bool {
        if self.relay.as_mut().is_some_and(|relay| relay.as_mut().poll(cx).is_ready()) {
            self.relay = None;
        }
        self.relay.is_none()
    }

    /// Whether it was broken off, so that nothing written so far needs to be sent any more.
    pub fn is_broken(&self) -> bool {
        matches!(self.shared.state().cut, Some(None))
    }

    /// Makes the relay a task of its own, for connections that do not always poll.
    pub fn detach(&mut self) {
        if let (Some(relay), Ok(runtime)) = (self.relay.take(), Handle::try_current()) {
            runtime.spawn(relay);
        }
    }

    fn take(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        let mut state = self.shared.state();
        if let Some(last) = state.cut.clone() {
            state.pieces.clear();
            if std::mem::replace(&mut self.ended, true) {
                return Poll::Ready(None);
            }
            return Poll::Ready(Some(last.ok_or(Broken)));
        }
        match state.pop() {
            Some(piece) => Poll::Ready(Some(Ok(piece))),
            None if state.ended => Poll::Ready(None),
            None => {
                // What is written by a relay of this task comes while the task runs.
                if self.relay.is_none() {
                    keep(&mut state.reader, cx);
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.gone = true;
            state.pieces.clear();
            wake(&mut state.writer);
            wake(&mut state.watcher);
        }
        self.detach();
    }
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl hyper::body::Body for Reading {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let mut taken = this.take(cx);
        if taken.is_pending() && this.relay.is_some() {
            this.run(cx);
            taken = this.take(cx);
        }
        taken.map(|piece| {
            piece.map(|piece| {
                piece.map(|piece| {
                    let length = piece.len() as u64;
                    this.left = this.left.map(|left| left.saturating_sub(length));
                    Frame::data(piece)
                })
            })
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
