//! A body read through its coding, if it has one.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use doorward_core::wire::Fault;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Decoder, Progress, STEP};
use crate::memory::UNIT;

/// Why a body yields no more although it has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broke {
    /// Whoever sent it broke off.
    Aborted,
    /// It cannot be decoded.
    Fault(Fault),
}

/// A body whose pieces are what it says, whatever coding it came in. Trailers are left out.
#[derive(Debug)]
pub struct Decoding<B> {
    body: B,
    coded: Option<Box<Coded>>,
}

#[derive(Debug)]
struct Coded {
    decoder: Decoder,
    meter: Option<Meter>,
    /// Received and not taken yet.
    input: Bytes,
    /// Whether the decoder may have more to say without more input.
    more: bool,
}

impl<B> Decoding<B>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    /// `body`, as it comes or through `decoder`.
    pub fn new(body: B, decoder: Option<Decoder>) -> Self {
        let coded = |decoder| Box::new(Coded { decoder, meter: None, input: Bytes::new(), more: false });
        let coded = decoder.map(coded);
        Self { body, coded }
    }

    /// The same, with what its decoder holds counted by `meter`.
    #[must_use]
    pub fn metered(mut self, meter: Meter) -> Self {
        if let Some(coded) = &mut self.coded {
            coded.meter = Some(meter);
        }
        self
    }

    /// The body itself, with what is not read of it.
    pub fn into_inner(self) -> B {
        self.body
    }

    /// The next piece; `None` at the end. Decoded pieces have at most [`STEP`] bytes, so a small one cannot
    /// grow behind the back of whoever reads slowly. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Bytes, Broke>> {
        loop {
            if let Some(coded) = &mut self.coded {
                match coded.step() {
                    Ok(Some(piece)) => return Some(Ok(piece)),
                    Ok(None) => {}
                    Err(fault) => return Some(Err(Broke::Fault(fault))),
                }
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match (frame.into_data(), &mut self.coded) {
                    (Err(_), _) => {}
                    (Ok(data), Some(coded)) => coded.input = data,
                    (Ok(data), None) => return Some(Ok(data)),
                },
                Some(Err(_)) => return Some(Err(Broke::Aborted)),
                None => {
                    let ended = self.coded.as_ref().map_or(Ok(()), |coded| coded.decoder.end());
                    return ended.err().map(|fault| Err(Broke::Fault(fault)));
                }
            }
        }
    }

    /// What its decoder holds, in bytes.
    pub fn memory(&self) -> usize {
        self.coded.as_ref().map_or(0, |coded| coded.decoder.memory())
    }
}

impl Coded {
    fn step(&mut self) -> Result<Option<Bytes>, Fault> {
        while self.more || !self.input.is_empty() {
            let mut out = Vec::new();
            let mut rest = &*self.input;
            let progress = self.decoder.step(&mut rest, &mut out, STEP)?;
            if let Some(meter) = &mut self.meter {
                meter.cover(self.decoder.memory())?;
            }
            let taken = self.input.len() - rest.len();
            self.input.advance(taken);
            self.more = progress == Progress::More;
            if !out.is_empty() {
                out.shrink_to_fit();
                return Ok(Some(out.into()));
            }
        }
        Ok(None)
    }
}

/// What a decoder that runs for a while takes of the memory that all share, in MiB. Less than one is not
/// counted.
#[derive(Debug)]
pub struct Meter {
    memory: [Arc<Semaphore>; 2],
    held: Vec<OwnedSemaphorePermit>,
}

impl Meter {
    /// A meter that takes from each of `memory`, nothing yet.
    pub const fn new(memory: [Arc<Semaphore>; 2]) -> Self {
        Self { memory, held: Vec::new() }
    }

    /// Takes what `bytes` need.
    ///
    /// # Errors
    /// If there is not so much.
    pub fn cover(&mut self, bytes: usize) -> Result<(), Fault> {
        while bytes / UNIT > self.held.len() / self.memory.len() {
            for memory in &self.memory {
                let share = Arc::clone(memory).try_acquire_owned().map_err(|_| {
                    let why = "others hold the memory that decompressing the body needs; try again shortly";
                    Fault::new("encoding.memory", why)
                })?;
                self.held.push(share);
            }
        }
        Ok(())
    }
}
