//! Monitor mode before a coded reply: bytes are left alone, so the client gets the coded ones, and what is read
//! and judged is a decoded copy.

use bytes::Bytes;
use doorward_core::Coverage;
use doorward_core::stream::Input;
use doorward_core::wire::Fault;

use super::{Ending, Flow, Halt, Run};
use crate::encoding::{Broke, Decoder, Meter, Progress, STEP};

/// What is read while the client gets something else.
pub struct Copy {
    decoder: Decoder,
    meter: Meter,
    /// Came, and waits until the copy of it is judged.
    waiting: Vec<Bytes>,
    /// How the copy ended, if it did before the body: the rest passes unread.
    ended: Option<Ending>,
}

impl Copy {
    /// A copy read through `decoder`.
    pub fn new(decoder: Decoder, meter: Meter) -> Box<Self> {
        Box::new(Self { decoder, meter, waiting: Vec::new(), ended: None })
    }

    /// The next decoded piece of `input`; `None` if nothing more can be known from it.
    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        loop {
            let mut out = Vec::new();
            let progress = self.decoder.step(input, &mut out, STEP)?;
            self.meter.cover(self.decoder.memory())?;
            if !out.is_empty() {
                return Ok(Some(out));
            }
            if progress == Progress::Starved {
                return Ok(None);
            }
        }
    }
}

impl Run {
    /// What came from upstream while a copy is read.
    pub(super) async fn copied(&mut self, piece: Option<Result<Bytes, Broke>>) -> Flow {
        match piece {
            Some(Ok(bytes)) => self.look(bytes).await,
            Some(Err(_)) => self.close(Input::Aborted).await,
            None => match self.copy.as_ref().map(|copy| copy.decoder.end()) {
                Some(Err(fault)) => {
                    self.stop_looking(fault).await;
                    self.close(Input::End).await
                }
                _ => self.close(Input::End).await,
            },
        }
    }

    /// Reads what `bytes` say, then lets them pass.
    async fn look(&mut self, bytes: Bytes) -> Flow {
        let mut input = &*bytes;
        while let Some(copy) = self.copy.as_mut().filter(|copy| copy.ended.is_none()) {
            match copy.step(&mut input) {
                Ok(Some(piece)) => match self.step(Input::Bytes(&piece)).await {
                    Flow::On => {}
                    Flow::Ended(ending) => return self.break_off(ending),
                    Flow::Killed => return Flow::Killed,
                },
                Ok(None) => break,
                Err(fault) => self.stop_looking(fault).await,
            }
        }
        let judged = self.relay.machine.waiting() == 0;
        let Some(copy) = &mut self.copy else { return Flow::On };
        copy.waiting.push(bytes);
        if judged || copy.ended.is_some() { self.pass().await } else { Flow::On }
    }

    /// The copy cannot be read further; the bytes still pass, and the receipt says so.
    async fn stop_looking(&mut self, fault: Fault) {
        let coverage = Coverage::Partial(fault.code.to_owned());
        if let Flow::Ended(mut ending) = self.step(Input::Revoked(fault)).await {
            ending.outcome.coverage = std::mem::take(&mut ending.outcome.coverage).and(coverage);
            if let Some(copy) = &mut self.copy {
                copy.ended = Some(ending);
            }
        }
    }

    /// The end of the body: what waits passes, unless a stop is why it ended.
    async fn close(&mut self, input: Input<'_>) -> Flow {
        let ended = self.copy.as_mut().and_then(|copy| copy.ended.take());
        let ending = match ended {
            Some(ending) => ending,
            None => match self.step(input).await {
                Flow::Ended(ending) => ending,
                flow => return flow,
            },
        };
        if ending.outcome.fault.as_ref().is_some_and(|fault| fault.code == "monitor.stopped") {
            return self.break_off(ending);
        }
        match self.pass().await {
            Flow::On => Flow::Ended(ending),
            flow => flow,
        }
    }

    async fn pass(&mut self) -> Flow {
        let waiting = self.copy.as_mut().map(|copy| std::mem::take(&mut copy.waiting)).unwrap_or_default();
        for bytes in waiting {
            match self.write(bytes).await {
                Ok(()) => {}
                Err(Halt::ClientGone) => return Flow::Ended(self.gone()),
                Err(Halt::Killed) => return Flow::Killed,
            }
        }
        Flow::On
    }

    /// Ends the reply so that the client cannot take what it got for the whole.
    fn break_off(&mut self, ending: Ending) -> Flow {
        self.reply.cut(None);
        Flow::Ended(ending)
    }
}
