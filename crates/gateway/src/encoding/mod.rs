//! Content codings (RFC 9110, 8.4.1): what came compressed, read as what it says.
//!
//! A [`Decoder`] takes pieces as they come and gives what can be known from them at once, so that an event of
//! a stream never waits here. It does no I/O. Everything an attacker can make grow is bounded: the window
//! (RFC 8878 lets a frame ask for terabytes), the ratio, and one step's output. What two decoders could read
//! in different ways is a fault: bytes behind the end, a checksum that does not fit, a stream that breaks off.

use doorward_core::wire::Fault;
use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, header};

mod body;
mod brotli;
pub mod deflate;
mod gzip;
mod zstandard;

pub use body::{Broke, Decoding, Meter};

/// How much may come out before the ratio counts: short texts of one letter are no bomb.
const FREE: u64 = 4 << 20;

/// The most bytes out for one byte in. Ordinary conversations reach 10, event streams of single words 50,
/// bombs 1,000 (gzip) and far more (brotli, zstd).
const RATIO: u64 = 100;

/// What comes out of one step at most, unless the caller wants less.
pub const STEP: usize = 32 * 1024;

/// A coding that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 7932, without large windows.
    Brotli,
    /// RFC 8878, windows up to 8 MiB as RFC 9659 has it.
    Zstd,
    /// RFC 1950, or RFC 1951 bare.
    Deflate,
}

impl Coding {
    /// The coding that `headers` name; `None` if there is none.
    ///
    /// # Errors
    /// If more than one is named, or one that is not read. `deflate` is not: some send it with and some
    /// without zlib's frame, and readers guess.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Fault> {
        match Self::of_decoded(headers)? {
            Some(Self::Deflate) => Err(unread("deflate")),
            other => Ok(other),
        }
    }

    /// The same of a body that goes on decoded: nobody reads it after us, so that `deflate` says what we read in it.
    ///
    /// # Errors
    /// If more than one is named, or one that is not read.
    pub fn of_decoded(headers: &HeaderMap) -> Result<Option<Self>, Fault> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let name = value.to_str().unwrap_or_default().trim().to_ascii_lowercase();
        if values.next().is_some() || name.contains(',') {
            return Err(unknown("it names more than one content coding".into()));
        }
        match name.as_str() {
            "identity" => Ok(None),
            "gzip" | "x-gzip" => Ok(Some(Self::Gzip)),
            "br" => Ok(Some(Self::Brotli)),
            "zstd" => Ok(Some(Self::Zstd)),
            "deflate" => Ok(Some(Self::Deflate)),
            other => Err(unread(other)),
        }
    }
}

fn unread(name: &str) -> Fault {
    let shown: String = name.chars().take(40).collect();
    unknown(format!("its content coding `{}` is not read", shown.escape_debug()))
}

fn unknown(what: String) -> Fault {
    Fault::new("content_encoding", format!("{what}; use one of gzip, br, zstd, or none"))
}

fn corrupt(what: &str) -> Fault {
    Fault::new("encoding.corrupt", format!("the compressed body is damaged: {what}"))
}

fn trailing() -> Fault {
    Fault::new("encoding.trailing", "something stands behind the end of the compressed body")
}

fn window(what: &str) -> Fault {
    Fault::new("encoding.window", format!("decompressing needs more memory than it may take: {what}"))
}

/// Inflates from the front of `input` until `out` has `most` bytes, nothing more can be known, or the data ends, which is true.
fn inflate(with: &mut Decompress, input: &mut &[u8], out: &mut Vec<u8>, most: usize) -> Result<bool, Fault> {
    loop {
        let start = out.len();
        out.resize(most, 0);
        let (taken, given) = (with.total_in(), with.total_out());
        let free = out.get_mut(start..).unwrap_or_default();
        let status = with.decompress(input, free, FlushDecompress::None);
        let taken = usize::try_from(with.total_in() - taken).unwrap_or(usize::MAX);
        let given = usize::try_from(with.total_out() - given).unwrap_or(usize::MAX);
        out.truncate(start + given);
        *input = input.get(taken..).unwrap_or_default();
        match status.map_err(|_| corrupt("its data cannot be inflated"))? {
            Status::StreamEnd => return Ok(true),
            Status::Ok | Status::BufError if out.len() >= most || (taken == 0 && given == 0) => {
                return Ok(false);
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

/// Whether a step has said all it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All input is taken and nothing more can be known from it.
    Starved,
    /// The room is used up; there may be more.
    More,
}

/// Decodes one body.
pub struct Decoder {
    kind: Kind,
    taken: u64,
    given: u64,
}

enum Kind {
    Gzip(Box<gzip::Gzip>),
    Brotli(Box<brotli::Brotli>),
    Zstd(zstandard::Zstd),
    Deflate(Box<deflate::Deflate>),
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("taken", &self.taken)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder at the beginning of a body.
    ///
    /// # Errors
    /// If the memory for it cannot be had.
    pub fn new(coding: Coding) -> Result<Self, Fault> {
        let kind = match coding {
            Coding::Gzip => Kind::Gzip(Box::default()),
            Coding::Brotli => Kind::Brotli(Box::default()),
            Coding::Zstd => Kind::Zstd(zstandard::Zstd::new()?),
            Coding::Deflate => Kind::Deflate(Box::default()),
        };
        Ok(Self { kind, taken: 0, given: 0 })
    }

    /// Takes from the front of `input` and appends to `out`, at most `room` bytes. `input` is left at what was
    /// not taken.
    ///
    /// # Errors
    /// With a fault whose code begins with `encoding.`. Nothing more can be read then.
    pub fn step(&mut self, input: &mut &[u8], out: &mut Vec<u8>, room: usize) -> Result<Progress, Fault> {
        let (before, length) = (input.len(), out.len());
        let progress = match &mut self.kind {
            Kind::Gzip(gzip) => gzip.step(input, out, room),
            Kind::Brotli(brotli) => brotli.step(input, out, room),
            Kind::Zstd(zstd) => zstd.step(input, out, room),
            Kind::Deflate(deflate) => deflate.step(input, out, room),
        }?;
        self.taken += before.saturating_sub(input.len()) as u64;
        self.given += out.len().saturating_sub(length) as u64;
        if self.given > FREE && self.given > self.taken.saturating_mul(RATIO) {
            let why = format!("the compressed body grows to more than {RATIO} times its size");
            return Err(Fault::new("encoding.ratio", why));
        }
        Ok(progress)
    }

    /// Whether the body may end here.
    ///
    /// # Errors
    /// If it broke off. A body without a single byte is whole: some send the header with nothing behind it.
    pub fn end(&self) -> Result<(), Fault> {
        let whole = match &self.kind {
            Kind::Gzip(gzip) => gzip.is_whole(),
            Kind::Brotli(brotli) => brotli.is_whole(),
            Kind::Zstd(zstd) => zstd.is_whole(),
            Kind::Deflate(deflate) => deflate.is_whole(),
        };
        if whole || self.taken == 0 {
            return Ok(());
        }
        Err(Fault::new("encoding.truncated", "the compressed body ended before it was complete"))
    }

    /// What the decoder holds, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.kind {
            Kind::Gzip(_) | Kind::Deflate(_) => gzip::MEMORY,
            Kind::Brotli(brotli) => brotli.memory(),
            Kind::Zstd(zstd) => zstd.memory(),
        }
    }
}

#[cfg(test)]
mod tests;
