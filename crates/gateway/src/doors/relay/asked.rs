//! While a person is asked about a call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use doorward_core::Action;
use doorward_core::stream::{Held, Input, Outcome, Output, Ruling};

use super::{Halt, Keeping, Run, TICK, killed, millis};
use crate::encoding::{Broke, Decoding};
use crate::forward;
use crate::hold::Waits;
use crate::kept::End;
use crate::upstream::UpstreamBody;

/// Most bytes of the upstream's that are put aside meanwhile; then it has to wait as well.
const MOST_ASIDE: usize = 4 << 20;

/// Whether somebody reads the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// As far as is known.
    There,
    /// Nothing has been taken since a person was asked.
    Waiting,
    /// It went while a person was asked. The reply goes on for who asks for it again.
    Gone,
}

/// What the upstream said while nobody could read it.
#[derive(Default)]
pub(super) struct Aside {
    pieces: VecDeque<Option<Result<Bytes, Broke>>>,
    bytes: usize,
}

impl Aside {
    /// Whether more may be put aside: not much, and nothing behind the end.
    fn has_room(&self) -> bool {
        self.bytes < MOST_ASIDE && self.pieces.back().is_none_or(|last| matches!(last, Some(Ok(_))))
    }

    fn push(&mut self, piece: Option<Result<Bytes, Broke>>) {
        if let Some(Ok(bytes)) = &piece {
            self.bytes += bytes.len();
        }
        self.pieces.push_back(piece);
    }

    fn pop(&mut self) -> Option<Option<Result<Bytes, Broke>>> {
        let piece = self.pieces.pop_front()?;
        if let Some(Ok(bytes)) = &piece {
            self.bytes = self.bytes.saturating_sub(bytes.len());
        }
        Some(piece)
    }
}

/// What the upstream says next.
pub(super) async fn next(
    aside: &mut Aside,
    body: &mut Option<Decoding<UpstreamBody>>,
) -> Option<Result<Bytes, Broke>> {
    match (aside.pop(), body) {
        (Some(piece), _) => piece,
        (None, body) => from_upstream(body).await,
    }
}

async fn from_upstream(body: &mut Option<Decoding<UpstreamBody>>) -> Option<Result<Bytes, Broke>> {
    match body {
        Some(body) => body.next().await,
        None => None,
    }
}

impl Run {
    /// The ruling on a call. While a person is asked, the client hears that the connection lives, and what the
    /// upstream says is put aside: some providers close a connection on which nobody reads.
    pub(super) async fn rule(&mut self, action: Action, held: Held) -> Result<Ruling, Halt> {
        let tool = action.tool.as_ref().map(|tool| tool.name.to_string()).unwrap_or_default();
        let (gateway, session) = (Arc::clone(&self.relay.gateway), Arc::clone(&self.relay.session));
        let waits = Waits::default();
        let mut ruling = std::pin::pin!(async {
            let judged = gateway.pass(action, held, &waits).await;
            forward::ruling(&gateway, judged, &tool).await
        });
        let mut gone = false;
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
        let ruling = loop {
            let ruled = tokio::select! {
                biased;
                () = killed(&gateway, &session) => return Err(Halt::Killed),
                ruling = &mut ruling => Some(ruling),
                () = self.reply.client_gone(), if self.client != Client::Gone && !gone => {
                    gone = true;
                    None
                }
                piece = from_upstream(&mut self.body), if waits.asked() && self.aside.has_room() => {
                    self.aside.push(piece);
                    None
                }
                _ = tick.tick() => {
                    self.keep_alive();
                    None
                }
            };
            if waits.asked() && self.client == Client::There {
                self.client = Client::Waiting;
            }
            if gone && self.client == Client::Waiting {
                self.go_on_alone()?;
            }
            if let Some(ruling) = ruled {
                break ruling;
            }
        };
        self.heard = Instant::now();
        if let Some(Keeping { tape, .. }) = self.relay.keeping.as_ref().filter(|_| waits.asked()) {
            tape.judged_by(gateway.in_force().number);
        }
        Ok(ruling)
    }

    /// Lets the client know that the connection lives, if it is time.
    fn keep_alive(&mut self) {
        let mut outputs = Vec::new();
        self.relay.machine.step(Input::Tick(millis(self.started)), &mut outputs);
        for output in outputs {
            let Output::KeepAlive(bytes) = output else { continue };
            self.begin_streaming();
            // A client that has gone, or reads nothing, is noticed where something is sent that matters.
            let _ = self.reply.offer(bytes);
        }
    }

    /// The client gave up while a person was asked: the reply goes on without it, to be given to who asks the same.
    pub(super) fn go_on_alone(&mut self) -> Result<(), Halt> {
        if self.client == Client::There {
            return Err(Halt::ClientGone);
        }
        let Some(Keeping { key, tape }) = &self.relay.keeping else { return Err(Halt::ClientGone) };
        tape.judged_by(self.relay.gateway.in_force().number);
        if !self.relay.gateway.kept().keep(key.clone(), Arc::clone(tape)) {
            return Err(Halt::ClientGone);
        }
        self.client = Client::Gone;
        Ok(())
    }

    /// Notes what the client gets, as long as it is little enough to be kept.
    pub(super) fn record(&mut self, bytes: &Bytes) {
        if let Some(Keeping { tape, .. }) = &self.relay.keeping
            && !tape.push(bytes.clone())
        {
            self.forget_tape();
        }
    }

    fn forget_tape(&mut self) {
        if let Some(Keeping { tape, .. }) = self.relay.keeping.take() {
            tape.end(End::Broken);
            self.relay.gateway.kept().forget(&tape);
        }
    }

    /// Ends what is kept as the reply has ended; `result` says so if nobody has read it.
    pub(super) fn end_tape(&mut self, result: &mut &'static str, outcome: &Outcome) {
        if self.client != Client::Gone {
            return;
        }
        match &self.relay.keeping {
            Some(Keeping { tape, .. }) if *result == "completed" => {
                tape.end(End::Whole(outcome.coverage.clone()));
                *result = "kept";
            }
            _ => self.forget_tape(),
        }
    }
}
