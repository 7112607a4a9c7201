//! deflate (RFC 9110, 8.4.1.2): zlib's frame (RFC 1950), as the name says, or bare data (RFC 1951), as some send it. Which it is,
//! its first two bytes say, as for browsers. Readers that guess otherwise read something else, so this is for bodies that go on decoded.

use doorward_core::wire::Fault;
use flate2::Decompress;

use super::{Progress, inflate, trailing};

/// Reads one of them.
#[derive(Default)]
pub struct Deflate {
    /// The first bytes, until it is known what they begin.
    held: Vec<u8>,
    inflate: Option<Decompress>,
    ended: bool,
}

impl Deflate {
    pub fn step(&mut self, input: &mut &[u8], out: &mut Vec<u8>, room: usize) -> Result<Progress, Fault> {
        let most = out.len() + room;
        while self.inflate.is_none() {
            let Some((byte, rest)) = input.split_first() else { return Ok(Progress::Starved) };
            self.held.push(*byte);
            *input = rest;
            if let Some(first) = self.held.first_chunk() {
                self.inflate = Some(Decompress::new(is_framed(*first)));
            }
        }
        let Some(with) = &mut self.inflate else { return Ok(Progress::Starved) };
        let mut held = self.held.as_slice();
        if !held.is_empty() && !self.ended {
            self.ended = inflate(with, &mut held, out, most)?;
        }
        let left = held.len();
        self.held.drain(..self.held.len() - left);
        if self.held.is_empty() && !self.ended {
            self.ended = inflate(with, input, out, most)?;
        }
        match (self.ended, self.held.is_empty() && input.is_empty()) {
            (true, true) => Ok(Progress::Starved),
            (true, false) => Err(trailing()),
            (false, _) if out.len() >= most => Ok(Progress::More),
            (false, _) => Ok(Progress::Starved),
        }
    }

    pub const fn is_whole(&self) -> bool {
        self.ended
    }
}

/// Whether this begins zlib's frame (RFC 1950, 2.2).
pub const fn is_framed([method, flags]: [u8; 2]) -> bool {
    let check = (method as u16) << 8 | flags as u16;
    method & 0x0f == 8 && method >> 4 <= 7 && check.is_multiple_of(31)
}
