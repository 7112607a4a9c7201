//! Zstandard (RFC 8878), by its reference implementation: the only one that gives each block as it comes
//! instead of keeping a window's worth back.

use doorward_core::wire::Fault;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::{Progress, corrupt, window};

/// The largest window, as a power of two: the 8 MiB that RFC 9659 lets a sender use over HTTP.
const WINDOW: u32 = 23;

/// Reads frames one after another, as RFC 8878, 3.1 has it.
pub struct Zstd {
    context: DCtx<'static>,
    /// Between two frames, with nothing left to say.
    whole: bool,
    /// More may come out without more going in.
    pending: bool,
}

impl Zstd {
    pub fn new() -> Result<Self, Fault> {
        let mut context = DCtx::try_create().ok_or_else(|| window("there is none"))?;
        let limited = context.set_parameter(DParameter::WindowLogMax(WINDOW));
        limited.map_err(|_| window("its window cannot be bounded"))?;
        Ok(Self { context, whole: false, pending: false })
    }

    pub fn step(&mut self, input: &mut &[u8], out: &mut Vec<u8>, room: usize) -> Result<Progress, Fault> {
        let start = out.len();
        out.resize(start + room, 0);
        let (mut given, mut taken) = (0, 0);
        let mut result = Ok(());
        while given < room && (self.pending || taken < input.len()) {
            let mut to = OutBuffer::around(out.get_mut(start + given..).unwrap_or_default());
            let mut from = InBuffer::around(input.get(taken..).unwrap_or_default());
            let hint = self.context.decompress_stream(&mut to, &mut from);
            (given, taken) = (given + to.pos(), taken + from.pos());
            match hint {
                // Zero: the frame ended and all of it is out.
                Ok(hint) => self.whole = hint == 0,
                Err(code) => {
                    result = Err(fault(code));
                    break;
                }
            }
            // A full buffer may mean that there is more; one that is not full means that there is not.
            self.pending = given == room && !self.whole;
        }
        out.truncate(start + given);
        *input = input.get(taken..).unwrap_or_default();
        let more = self.pending || !input.is_empty();
        result.map(|()| if more { Progress::More } else { Progress::Starved })
    }

    pub const fn is_whole(&self) -> bool {
        self.whole
    }

    pub fn memory(&self) -> usize {
        self.context.sizeof()
    }
}

fn fault(code: usize) -> Fault {
    match zstd_safe::get_error_name(code) {
        why if why.contains("memory") || why.contains("window") || why.contains("Allocation") => {
            window("its window is larger than 8 MiB")
        }
        why => corrupt(why),
    }
}
