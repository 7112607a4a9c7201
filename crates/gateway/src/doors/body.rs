//! Bodies taken whole, bounded in bytes, time and together.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use doorward_core::wire::Fault;
use http::request::Parts;
use http::{StatusCode, header};
use hyper::body::Body as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::answer::Answer;
use crate::encoding::{Broke, Coding, Decoder, Decoding, Progress, STEP};
use crate::incoming::Incoming;
use crate::memory::{self, UNIT};

/// The largest request: prompts carry images.
const LARGEST: usize = 64 << 20;

/// How long a client may send nothing in the middle of a body.
const SILENCE: Duration = Duration::from_secs(30);

/// How long a whole body may take: 64 MiB over a line of 1 Mbit/s.
const WHOLE: Duration = Duration::from_secs(600);

/// The largest window of a decoder, with what else it keeps.
const WINDOW: usize = 18 << 20;

/// How long an error reply may take.
const GATHER: Duration = Duration::from_secs(60);

/// A body and its share of what all, and what this agent, may take: to be held until it has gone on.
pub(super) struct Gathered<'a> {
    /// As it came.
    pub bytes: Bytes,
    /// What it says, decoded, or why that cannot be known.
    pub read: Result<Bytes, Fault>,
    pub shares: Shares<'a>,
}

/// Memory in units that all requests share, taken as bytes arrive, so that what is only announced takes none.
/// Nobody waits for a share while holding one: large requests would wait for each other.
pub(super) struct Shares<'a> {
    memory: [&'a Semaphore; 2],
    held: Vec<SemaphorePermit<'a>>,
}

impl<'a> Shares<'a> {
    const fn new(memory: [&'a Semaphore; 2]) -> Self {
        Self { memory, held: Vec::new() }
    }

    /// Takes what `bytes` need. Less than a unit is not counted: the number of connections bounds those.
    fn cover(&mut self, bytes: usize) -> Result<(), Answer> {
        while bytes / UNIT > self.held.len() / self.memory.len() {
            for share in self.memory {
                self.held.push(share.try_acquire().map_err(|_| busy())?);
            }
        }
        Ok(())
    }

    /// Takes what `bytes` more need than what has been covered.
    pub(super) fn cover_more(&mut self, bytes: usize) -> Result<(), Answer> {
        self.cover(self.held.len() / self.memory.len() * UNIT + bytes)
    }
}

/// The whole body, bounded. All bodies together are bounded too: a few hundred half-sent ones must not take
/// the machine's memory.
pub(super) async fn whole_body<'a>(
    head: &Parts,
    body: Incoming,
    memory: [&'a Semaphore; 2],
) -> Result<Gathered<'a>, Answer> {
    let mut shares = Shares::new(memory);
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut body = Decoding::new(body, None);
    let gathered = if announced > LARGEST {
        Err(too_large("the request"))
    } else {
        let whole = Instant::now() + WHOLE;
        gather(&mut body, LARGEST, &mut shares, |now| whole.min(now + SILENCE)).await
    };
    let bytes = match gathered {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(fault)) => return Err(wrong(fault.code, fault.message)),
        Err(answer) => {
            // Who waits to be told to go on has not begun to write.
            if answer.status == StatusCode::PAYLOAD_TOO_LARGE && !head.headers.contains_key(header::EXPECT) {
                body.into_inner().throw_away();
            }
            return Err(answer);
        }
    };
    let read = match Coding::of(&head.headers) {
        Ok(None) => Ok(bytes.clone()),
        Ok(Some(coding)) => tokio::task::block_in_place(|| decode(coding, &bytes, &mut shares))?,
        Err(fault) => Err(fault),
    };
    Ok(Gathered { bytes, read, shares })
}

/// What `bytes` say. An [`Answer`] is about size, a [`Fault`] about what they are.
fn decode(coding: Coding, bytes: &[u8], shares: &mut Shares<'_>) -> Result<Result<Bytes, Fault>, Answer> {
    let (mut input, mut out) = (bytes, Vec::new());
    let mut decoder = match Decoder::new(coding) {
        Ok(decoder) => decoder,
        Err(fault) => return Ok(Err(fault)),
    };
    loop {
        match decoder.step(&mut input, &mut out, STEP) {
            Ok(Progress::Starved) => break,
            Ok(Progress::More) => {}
            Err(fault) => return Ok(Err(fault)),
        }
        if out.len() > LARGEST {
            return Err(too_large("the decompressed request"));
        }
        shares.cover(bytes.len() + out.len() + decoder.memory())?;
    }
    Ok(decoder.end().map(|()| out.into()))
}

/// All of a body. An [`Answer`] is about its size and time, a [`Fault`] about its coding.
async fn gather<B>(
    body: &mut Decoding<B>,
    most: usize,
    shares: &mut Shares<'_>,
    until: impl Fn(Instant) -> Instant,
) -> Result<Result<Bytes, Fault>, Answer>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    let mut bytes = BytesMut::new();
    loop {
        match timeout_at(until(Instant::now()), body.next()).await {
            Ok(Some(Ok(data))) => {
                if bytes.len() + data.len() > most {
                    return Err(too_large("the request"));
                }
                bytes.extend_from_slice(&data);
                shares.cover(bytes.len() + body.memory())?;
            }
            Ok(Some(Err(Broke::Fault(fault)))) => return Ok(Err(fault)),
            Ok(Some(Err(Broke::Aborted))) => {
                return Err(wrong("body", "the body did not arrive whole".to_owned()));
            }
            Ok(None) => return Ok(Ok(bytes.freeze())),
            Err(_) => {
                let why = format!(
                    "nothing of the request's body came for {} s, or all of it took longer than {} s",
                    SILENCE.as_secs(),
                    WHOLE.as_secs()
                );
                return Err(Answer::agent(StatusCode::REQUEST_TIMEOUT, "timeout", why));
            }
        }
    }
}

fn wrong(code: &'static str, message: String) -> Answer {
    Answer::agent(StatusCode::BAD_REQUEST, code, message)
}

fn too_large(what: &str) -> Answer {
    let why = format!(
        "{what} is larger than {} MiB ({LARGEST} bytes), the most that is read; send fewer or smaller images, or \
         upload them to the provider's files endpoint and name them by their id",
        LARGEST >> 20
    );
    Answer::agent(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why)
}

fn busy() -> Answer {
    let why = "large requests take all the memory they may at present; try again shortly";
    Answer::agent(StatusCode::SERVICE_UNAVAILABLE, "overloaded", why)
}

/// A body of at most `most` bytes once it is decoded. An [`Answer`] says that it is longer, broke off or took too long, a
/// [`Fault`] that it cannot be decoded.
pub(super) async fn small_body<B>(
    decoder: Option<Decoder>,
    body: B,
    most: usize,
) -> Result<Result<Bytes, Fault>, Answer>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    // Room for the body and the largest window of a decoder: what one error reply may take.
    let own = memory::of(2 * (most + WINDOW));
    let mut body = Decoding::new(body, decoder);
    let until = Instant::now() + GATHER;
    gather(&mut body, most, &mut Shares::new([&own, &own]), |_| until).await
}

/// The same of a client's body, as it came, whose bytes count on what all such bodies may take.
pub(super) async fn counted_body<B>(body: B, most: usize, all: &Semaphore) -> Result<Bytes, Answer>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    if usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX) > most {
        return Err(larger_than(most));
    }
    let own = memory::of(2 * most);
    let mut body = Decoding::new(body, None);
    let until = Instant::now() + GATHER;
    let gathered =
        gather(&mut body, most, &mut Shares::new([all, &own]), |now| until.min(now + SILENCE)).await;
    match gathered {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(fault)) => Err(wrong(fault.code, fault.message)),
        Err(answer) if answer.code == "too_large" => Err(larger_than(most)),
        Err(answer) => Err(answer),
    }
}

fn larger_than(most: usize) -> Answer {
    let why = format!("the request has more than {most} bytes, the most that is read here");
    Answer::agent(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_arrived_is_counted_and_given_back() {
        let (all, own) = (memory::of(16 * UNIT), memory::of(8 * UNIT));
        let mut first = Shares::new([&all, &own]);
        assert!(first.cover(UNIT - 1).is_ok());
        assert_eq!((all.available_permits(), own.available_permits()), (16, 8));
        assert!(first.cover(8 * UNIT).is_ok());
        assert_eq!((all.available_permits(), own.available_permits()), (8, 0));
        // Its own agent waits for it, another does not.
        let mut second = Shares::new([&all, &own]);
        assert_eq!(second.cover(UNIT).map_err(|answer| answer.code), Err("overloaded"));
        let others = memory::of(8 * UNIT);
        assert!(Shares::new([&all, &others]).cover(UNIT).is_ok());
        drop(first);
        assert!(second.cover(UNIT).is_ok());
        // What is made of it comes on top.
        assert!(second.cover_more(3 * UNIT).is_ok());
        assert_eq!(own.available_permits(), 4);
        assert!(second.cover_more(UNIT - 1).is_ok());
        assert_eq!(own.available_permits(), 4);
        assert_eq!(second.cover_more(5 * UNIT).map_err(|answer| answer.code), Err("overloaded"));
    }
}
