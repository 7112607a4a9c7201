//! A reply that was kept, given to the client that asks for it again.

use std::sync::Arc;
use std::time::Instant;

use doorward_core::Coverage;
use doorward_core::stream::Outcome;
use http::Response;

use super::{TICK, killed, millis};
use crate::answer::{Body, RECEIPT};
use crate::forward::{Patience, Reply};
use crate::judge::Gateway;
use crate::kept::{End, Piece, RequestKey, Tape};
use crate::record::{Closing, StreamPermit};

/// Gives what came of `tape`, and what comes still. If this client goes as well before the end, it is kept for the
/// next.
pub fn again(
    gateway: Arc<Gateway>,
    permit: StreamPermit,
    session: Arc<str>,
    (key, tape): (RequestKey, Arc<Tape>),
    patience: Patience,
) -> Response<Body> {
    let receipt = Arc::clone(permit.receipt());
    let mut response = Response::new(());
    *response.status_mut() = tape.status;
    response.headers_mut().clone_from(&tape.headers);
    if let Ok(value) = http::HeaderValue::from_str(&receipt) {
        response.headers_mut().insert(RECEIPT, value);
    }
    let (mut reply, client) = Reply::new(permit);
    let started = Instant::now();
    let relay = async move {
        let (result, coverage) = tokio::select! {
            biased;
            () = killed(&gateway, &session) => ("revoked", Coverage::default()),
            played = play(&mut reply, &tape, patience) => played,
            () = tokio::time::sleep(patience.total) => ("aborted", Coverage::default()),
        };
        match result {
            "completed" => {}
            "client_gone" => {
                let _ = gateway.kept().keep(key, Arc::clone(&tape));
            }
            // The client must not take what it got for the whole.
            _ => reply.cut(None),
        }
        let bytes = reply.sent();
        let outcome = Outcome { coverage, ..Outcome::default() };
        let closing =
            Closing { result, outcome, status: tape.status.as_u16(), bytes, millis: millis(started) };
        gateway.recorder().close(reply.finish().await, closing).await;
    };
    response.map(|()| Body::Relayed(Box::new(client.of(relay))))
}

/// Writes the tape to its end; says how it went.
async fn play(reply: &mut Reply, tape: &Tape, patience: Patience) -> (&'static str, Coverage) {
    let mut moved = tape.moved();
    let mut place = 0;
    loop {
        moved.mark_unchanged();
        let bytes = match tape.at(place) {
            Piece::Bytes(bytes) => {
                place += 1;
                bytes
            }
            Piece::End(End::Whole(coverage)) => return ("completed", coverage),
            Piece::End(End::Broken) => return ("aborted", Coverage::default()),
            Piece::Later => {
                tokio::select! {
                    () = reply.client_gone() => return ("client_gone", Coverage::default()),
                    moved = moved.changed() => match moved {
                        Ok(()) => continue,
                        Err(_) => return ("aborted", Coverage::default()),
                    },
                    () = tokio::time::sleep(TICK) => bytes::Bytes::from_static(tape.keep_alive),
                }
            }
        };
        match tokio::time::timeout(patience.idle, reply.send(bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return ("client_gone", Coverage::default()),
        }
    }
}
