//! gzip (RFC 1952). The frame is read here, the deflated data by `flate2`.

use doorward_core::wire::Fault;
use flate2::{Crc, Decompress};

use super::{Progress, corrupt, inflate, trailing};

/// What inflating takes: the window of 32 KiB and its tables.
pub const MEMORY: usize = 48 * 1024;

/// The longest header: a file's name and a comment, which nobody sends over HTTP.
const LONGEST_HEADER: usize = 1024;

/// The most members of one body. HTTP's have one; each costs a window to begin, whatever it holds, so that a
/// megabyte of empty ones would keep a thread for seconds.
const MOST_MEMBERS: u32 = 1024;

/// The beginning of every member.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// Reads members one after another, as RFC 1952, 2.2 has it.
pub struct Gzip {
    part: Part,
    /// A header or trailer that has not come whole.
    held: Vec<u8>,
    inflate: Decompress,
    sum: Crc,
    members: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    Data,
    Trailer,
}

impl Default for Gzip {
    fn default() -> Self {
        Self {
            part: Part::Header,
            held: Vec::new(),
            inflate: Decompress::new(false),
            sum: Crc::new(),
            members: 0,
        }
    }
}

impl Gzip {
    pub fn step(&mut self, input: &mut &[u8], out: &mut Vec<u8>, room: usize) -> Result<Progress, Fault> {
        let most = out.len() + room;
        loop {
            match self.part {
                Part::Header => {
                    let Some((byte, rest)) = input.split_first() else { return Ok(Progress::Starved) };
                    self.held.push(*byte);
                    *input = rest;
                    self.header()?;
                }
                Part::Data if out.len() >= most => return Ok(Progress::More),
                Part::Data => {
                    let inflated = self.data(input, out, most)?;
                    if !inflated {
                        return Ok(if out.len() >= most { Progress::More } else { Progress::Starved });
                    }
                }
                Part::Trailer => {
                    let Some((byte, rest)) = input.split_first() else { return Ok(Progress::Starved) };
                    self.held.push(*byte);
                    *input = rest;
                    self.trailer()?;
                }
            }
        }
    }

    /// Looks whether the header has come whole.
    fn header(&mut self) -> Result<(), Fault> {
        let begun = self.held.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic);
        if !begun {
            return Err(if self.members > 0 {
                trailing()
            } else {
                corrupt("it does not begin as gzip does")
            });
        }
        if self.members >= MOST_MEMBERS {
            return Err(corrupt("it has more than 1024 members"));
        }
        if self.held.len() > LONGEST_HEADER {
            return Err(corrupt("its header does not end"));
        }
        if header_is_whole(&self.held)? {
            self.held.clear();
            self.inflate.reset(false);
            self.sum.reset();
            self.part = Part::Data;
        }
        Ok(())
    }

    /// Inflates; true if the member's data ended.
    fn data(&mut self, input: &mut &[u8], out: &mut Vec<u8>, most: usize) -> Result<bool, Fault> {
        let start = out.len();
        let ended = inflate(&mut self.inflate, input, out, most)?;
        self.sum.update(out.get(start..).unwrap_or_default());
        if ended {
            self.part = Part::Trailer;
        }
        Ok(ended)
    }

    fn trailer(&mut self) -> Result<(), Fault> {
        let Some((sum, rest)) = self.held.split_first_chunk::<4>() else { return Ok(()) };
        let Some((length, _)) = rest.split_first_chunk::<4>() else { return Ok(()) };
        if u32::from_le_bytes(*sum) != self.sum.sum() || u32::from_le_bytes(*length) != self.sum.amount() {
            return Err(corrupt("its checksum or length is wrong"));
        }
        self.held.clear();
        self.members = self.members.saturating_add(1);
        self.part = Part::Header;
        Ok(())
    }

    pub const fn is_whole(&self) -> bool {
        self.members > 0 && matches!(self.part, Part::Header) && self.held.is_empty()
    }
}

/// Whether `bytes` are a whole header (RFC 1952, 2.3).
fn header_is_whole(bytes: &[u8]) -> Result<bool, Fault> {
    let Some((fixed, mut rest)) = bytes.split_first_chunk::<10>() else { return Ok(false) };
    let [_, _, method, flags, ..] = *fixed;
    if method != 8 || flags & RESERVED != 0 {
        return Err(corrupt("its header has a method or flags that do not exist"));
    }
    if flags & EXTRA != 0 {
        let Some((length, after)) = rest.split_first_chunk::<2>() else { return Ok(false) };
        let Some(after) = after.get(usize::from(u16::from_le_bytes(*length))..) else { return Ok(false) };
        rest = after;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let Some(end) = rest.iter().position(|byte| *byte == 0) else { return Ok(false) };
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }
    if flags & HEADER_CRC != 0 {
        let Some((told, _)) = rest.split_first_chunk::<2>() else { return Ok(false) };
        let mut sum = Crc::new();
        sum.update(bytes.get(..bytes.len() - rest.len()).unwrap_or_default());
        let [low, high, ..] = sum.sum().to_le_bytes();
        if *told != [low, high] {
            return Err(corrupt("its header's checksum is wrong"));
        }
    }
    Ok(true)
}
