//! Bodies taken whole, bounded in bytes, time and together.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::bad_request;
use crate::answer::Answer;

/// The largest request: prompts carry images.
const LARGEST: usize = 64 << 20;

/// The unit in which requests share memory.
const UNIT: usize = 1 << 20;

/// How long gathering a body may take.
const GATHER: Duration = Duration::from_secs(60);

/// The whole body, bounded, as it is: an encoded one cannot be judged. All bodies together are bounded too:
/// a few hundred half-sent ones must not take the machine's memory.
pub(super) async fn whole_body<'a>(
    head: &Parts,
    body: Incoming,
    memory: [&'a Semaphore; 2],
) -> Result<Gathered<'a>, Answer> {
    let mut encodings = head.headers.get_all(header::CONTENT_ENCODING).iter();
    if encodings.any(|encoding| encoding != "identity") {
        let why = "the request is encoded; send it without Content-Encoding so that it can be read";
        return Err(Answer::agent(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding", why));
    }
    match tokio::time::timeout(GATHER, gather(body, LARGEST, memory)).await {
        Ok(gathered) => gathered,
        Err(_) => {
            let why = "the request's body took longer than 60 s";
            Err(Answer::agent(StatusCode::REQUEST_TIMEOUT, "timeout", why))
        }
    }
}

/// A body and its share of what all, and what this agent, may take: to be held until it has gone on.
pub(super) struct Gathered<'a> {
    pub bytes: Bytes,
    pub shares: Vec<SemaphorePermit<'a>>,
}

/// Shares are taken as bytes arrive, so that what is only announced takes none. Nobody waits for a share
/// while holding one: large requests would wait for each other.
async fn gather<'a>(
    mut body: Incoming,
    most: usize,
    memory: [&'a Semaphore; 2],
) -> Result<Gathered<'a>, Answer> {
    let mut bytes = BytesMut::new();
    let mut shares = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| bad_request("body", format!("the body cannot be read: {error}")))?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > most {
            let why = format!("the request is larger than {most} bytes");
            return Err(Answer::agent(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why));
        }
        bytes.extend_from_slice(data);
        while bytes.len() / UNIT > shares.len() / memory.len() {
            for share in memory {
                shares.push(share.try_acquire().map_err(|_| busy())?);
            }
        }
    }
    Ok(Gathered { bytes: bytes.freeze(), shares })
}

fn busy() -> Answer {
    let why = "large requests take all the memory they may at present; try again shortly";
    Answer::agent(StatusCode::SERVICE_UNAVAILABLE, "overloaded", why)
}

/// A body of at most `most` bytes that shares its memory with nobody; `None` if it is longer, broke off or
/// took too long.
pub(super) async fn small_body(body: Incoming, most: usize) -> Option<Bytes> {
    let own = Semaphore::new(most / UNIT + 1);
    let gathered = tokio::time::timeout(GATHER, gather(body, most, [&own, &own])).await;
    gathered.ok()?.ok().map(|gathered| gathered.bytes)
}
