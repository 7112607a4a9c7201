//! Brotli (RFC 7932).

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use doorward_core::wire::Fault;

use super::{Progress, corrupt, trailing};

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// Reads one stream. Its window is 16 MiB at most: larger ones are an extension that HTTP does not have.
pub struct Brotli {
    state: State,
    total: usize,
    ended: bool,
}

impl Default for Brotli {
    fn default() -> Self {
        let alloc = StandardAlloc::default;
        Self { state: BrotliState::new_strict(alloc(), alloc(), alloc()), total: 0, ended: false }
    }
}

impl Brotli {
    pub fn step(&mut self, input: &mut &[u8], out: &mut Vec<u8>, room: usize) -> Result<Progress, Fault> {
        if self.ended {
            return if input.is_empty() { Ok(Progress::Starved) } else { Err(trailing()) };
        }
        let start = out.len();
        out.resize(start + room, 0);
        let (mut left, mut taken, mut free, mut given) = (input.len(), 0, room, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut taken,
            input,
            &mut free,
            &mut given,
            out.get_mut(start..).unwrap_or_default(),
            &mut self.total,
            &mut self.state,
        );
        out.truncate(start + given);
        *input = input.get(taken..).unwrap_or_default();
        match result {
            BrotliResult::NeedsMoreInput => Ok(Progress::Starved),
            BrotliResult::NeedsMoreOutput => Ok(Progress::More),
            BrotliResult::ResultFailure => Err(corrupt("it cannot be read as brotli")),
            BrotliResult::ResultSuccess if input.is_empty() => {
                self.ended = true;
                Ok(Progress::Starved)
            }
            BrotliResult::ResultSuccess => Err(trailing()),
        }
    }

    pub const fn is_whole(&self) -> bool {
        self.ended
    }

    /// The ring buffer grows up to the window.
    pub fn memory(&self) -> usize {
        usize::try_from(self.state.ringbuffer_size).unwrap_or(0)
    }
}
