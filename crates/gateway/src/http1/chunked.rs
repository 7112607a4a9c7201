//! The chunked coding (RFC 9112, 7.1), strictly: CRLF and nothing else ends a line.

use super::Misframed;

/// The most bytes of one chunk's line, extensions included.
const LONGEST_LINE: usize = 4 * 1024;

/// The most bytes of trailers. They are read and not passed on: nobody judges them.
const LONGEST_TRAILERS: usize = 16 * 1024;

/// A body in chunks, decoded as its bytes come.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    size: u64,
    digits: u8,
    /// Bytes of the line, or of the trailers, so far.
    length: usize,
}

#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a line behind the last chunk.
    Trailer,
    InTrailer,
    TrailerLf,
    LastLf,
    Done,
}

impl Chunked {
    /// Whether the last chunk and its trailers have been.
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Decodes `input` into `out` up to the end of the body; returns how much of it was taken.
    ///
    /// # Errors
    /// [`Misframed`].
    pub fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Misframed> {
        let mut at = 0;
        while let Some(byte) = input.get(at).copied() {
            match self.state {
                State::Done => break,
                State::Data => {
                    let left = input.get(at..).unwrap_or_default();
                    let most = usize::try_from(self.size).unwrap_or(usize::MAX).min(left.len());
                    out.extend_from_slice(left.get(..most).unwrap_or_default());
                    self.size -= most as u64;
                    at += most;
                    if self.size == 0 {
                        self.state = State::DataCr;
                    }
                    continue;
                }
                _ => self.state = self.next(byte)?,
            }
            at += 1;
        }
        Ok(at)
    }

    /// Where one byte of framing leads.
    fn next(&mut self, byte: u8) -> Result<State, Misframed> {
        let wrong = |what| Err(Misframed(what));
        self.length += 1;
        match (self.state, byte) {
            (State::Size, byte) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                self.digits += 1;
                if self.digits > 15 {
                    return wrong("a chunk's size has more than 15 digits");
                }
                self.size = self.size << 4 | u64::from(digit);
                Ok(State::Size)
            }
            (State::Size, _) if self.digits == 0 => wrong("a chunk without a size"),
            (State::Size | State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Size, b';' | b' ' | b'\t') => Ok(State::Extension),
            (State::Size, _) => wrong("a chunk's size is not a number"),
            (State::Extension | State::InTrailer, b'\n' | 0) => {
                wrong("a line of a chunk ends in LF without CR")
            }
            (State::Extension, _) if self.length > LONGEST_LINE => {
                wrong("a chunk's line is longer than 4 KiB")
            }
            (State::Extension, _) => Ok(State::Extension),
            (State::SizeLf, b'\n') => {
                (self.digits, self.length) = (0, 0);
                Ok(if self.size == 0 { State::Trailer } else { State::Data })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                self.length = 0;
                Ok(State::Size)
            }
            (State::DataCr | State::DataLf, _) => wrong("a chunk is longer than its size"),
            _ if self.length > LONGEST_TRAILERS => wrong("trailers are longer than 16 KiB"),
            (State::Trailer, b'\r') => Ok(State::LastLf),
            (State::Trailer | State::InTrailer, byte) if byte != b'\r' && byte != b'\n' => {
                Ok(State::InTrailer)
            }
            (State::InTrailer, b'\r') => Ok(State::TrailerLf),
            (State::TrailerLf, b'\n') => Ok(State::Trailer),
            (State::LastLf, b'\n') => Ok(State::Done),
            _ => wrong("a line of a chunk does not end in CRLF"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, usize), String> {
        let (mut chunked, mut out, mut taken) = (Chunked::default(), Vec::new(), 0);
        for piece in pieces {
            taken += chunked.step(piece, &mut out).map_err(|error| error.to_string())?;
        }
        Ok((out, chunked.is_done(), taken))
    }

    #[test]
    fn chunks_extensions_and_trailers_are_read() {
        let body = b"4\r\nWiki\r\n5;a=b \"c\r\npedia\r\nA \r\n0123456789\r\n0\r\nx: 1\r\ny: 2\r\n\r\nHTTP";
        assert_eq!(decode(&[body]).unwrap(), (b"Wikipedia0123456789".to_vec(), true, body.len() - 4));
    }

    #[test]
    fn what_two_readers_would_frame_differently_is_refused() {
        for body in [
            "4\nWiki\r\n0\r\n\r\n",
            "4\r\nWiki\n0\r\n\r\n",
            "4\r\nWikip\r\n0\r\n\r\n",
            "\r\n",
            "-4\r\nWiki\r\n",
            "0x4\r\nWiki\r\n",
            "+4\r\nWiki\r\n",
            "4;x\n\r\nWiki\r\n",
            "0\r\nx: 1\n\r\n",
            "0\r\n\n",
            "0\r\rx",
            "10000000000000000\r\n",
            "4\r\nWiki\r\r",
        ] {
            assert!(decode(&[body.as_bytes()]).is_err(), "{body:?}");
        }
        let long = format!("1;{}\r\n", "x".repeat(5000));
        assert!(decode(&[long.as_bytes()]).is_err());
        let long = format!("0\r\n{}", "x: y\r\n".repeat(4000));
        assert!(decode(&[long.as_bytes()]).is_err());
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(
            chunks in proptest::collection::vec("[a-z]{1,40}", 0..6),
            tail in "(0\r\n\r\n|0\r\na: b\r\n\r\n|0\r\n|zz|)",
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let body: String = chunks.iter().map(|c| format!("{:x}\r\n{c}\r\n", c.len())).collect::<String>() + &tail;
            let body = body.as_bytes();
            let whole = decode(&[body]);
            if let Ok((out, ..)) = &whole {
                prop_assert_eq!(out, &chunks.concat().into_bytes());
            }
            let single: Vec<&[u8]> = body.chunks(1).collect();
            prop_assert_eq!(decode(&single), whole.clone());
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&pieces), whole);
        }
    }
}
