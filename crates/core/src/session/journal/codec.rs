//! The bytes of deltas and snapshots: numbers as unsigned LEB128 in their shortest form, texts behind their length.
//! Described in `spec/session.md`. What is read is not trusted: every length is bounded by what is left.

/// Why bytes are no delta or snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kept state cannot be read: {0}")]
pub struct Spoilt(pub(in crate::session) &'static str);

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;

/// Appends fields.
#[derive(Debug)]
pub(in crate::session) struct Writer(Vec<u8>);

impl Writer {
    /// Of a value of this `kind`.
    pub fn new(kind: u8) -> Self {
        Self(vec![VERSION, kind])
    }

    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub fn number(&mut self, mut number: u64) {
        loop {
            let low = u8::try_from(number & 0x7f).unwrap_or_default();
            number >>= 7;
            if number == 0 {
                return self.0.push(low);
            }
            self.0.push(low | 0x80);
        }
    }

    /// Eight bytes: digests have no small numbers among them.
    pub fn digest(&mut self, digest: u64) {
        self.0.extend_from_slice(&digest.to_be_bytes());
    }

    pub fn digests(&mut self, digests: &[u64]) {
        self.number(digests.len() as u64);
        digests.iter().for_each(|digest| self.digest(*digest));
    }

    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// The bytes; empty if nothing was written.
    pub fn finish(self) -> Vec<u8> {
        if self.0.len() > 2 { self.0 } else { Vec::new() }
    }
}

/// Takes fields off.
#[derive(Debug)]
pub(in crate::session) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    /// The fields of a value of this `kind`. No bytes are no fields.
    pub fn new(bytes: &'b [u8], kind: u8) -> Result<Self, Spoilt> {
        match bytes {
            [] => Ok(Self(bytes)),
            [VERSION, of, rest @ ..] if *of == kind => Ok(Self(rest)),
            [VERSION, ..] => Err(Spoilt("it is of another kind")),
            _ => Err(Spoilt("it is of another version")),
        }
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> Result<u8, Spoilt> {
        let (first, rest) = self.0.split_first().ok_or(Spoilt("it ends early"))?;
        self.0 = rest;
        Ok(*first)
    }

    pub fn number(&mut self) -> Result<u64, Spoilt> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 || shift > 0 && byte == 0 {
                break;
            }
            number |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Spoilt("a number is not written as it should be"))
    }

    /// A number no larger than `most`.
    pub fn small(&mut self, most: u64) -> Result<u64, Spoilt> {
        self.number().and_then(|n| if n <= most { Ok(n) } else { Err(Spoilt("a number is too large")) })
    }

    pub fn digest(&mut self) -> Result<u64, Spoilt> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Spoilt("it ends early"))?;
        self.0 = rest;
        Ok(u64::from_be_bytes(*bytes))
    }

    /// At most `most` digests.
    pub fn digests(&mut self, most: usize) -> Result<Vec<u64>, Spoilt> {
        let count = self.small(most as u64)?;
        (0..count).map(|_| self.digest()).collect()
    }

    /// A text of at most `most` bytes.
    pub fn text(&mut self, most: usize) -> Result<&'b str, Spoilt> {
        let length = usize::try_from(self.small(most as u64)?).unwrap_or(usize::MAX);
        let (text, rest) = self.0.split_at_checked(length).ok_or(Spoilt("it ends early"))?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| Spoilt("a text is not UTF-8"))
    }

    /// One of `all`, by its index.
    pub fn choice<T: Copy>(&mut self, all: &[T]) -> Result<T, Spoilt> {
        let index = usize::from(self.byte()?);
        all.get(index).copied().ok_or(Spoilt("a word is not known"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::new(b'x');
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        numbers.iter().for_each(|n| writer.number(*n));
        writer.text("wörld");
        writer.digests(&[1, u64::MAX]);
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes, b'x').unwrap();
        for n in numbers {
            assert_eq!(reader.number(), Ok(n));
        }
        assert_eq!(reader.text(16), Ok("wörld"));
        assert_eq!(reader.digests(2), Ok(vec![1, u64::MAX]));
        assert!(reader.is_empty() && Writer::new(b'x').finish().is_empty());
        assert!(Reader::new(&bytes, b'y').is_err() && Reader::new(&[9, b'x'], b'x').is_err());
    }

    #[test]
    fn one_number_has_one_spelling() {
        for bad in [
            &[1, b'x', 0x80, 0][..],
            &[1, b'x', 0x80],
            &[1, b'x', 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
        ] {
            assert!(Reader::new(bad, b'x').unwrap().number().is_err(), "{bad:?}");
        }
        assert!(Reader::new(&[1, b'x', 5], b'x').unwrap().small(4).is_err());
        assert!(Reader::new(&[1, b'x', 5, b'a'], b'x').unwrap().text(9).is_err());
        assert!(Reader::new(&[1, b'x', 2, 255, 255], b'x').unwrap().text(9).is_err());
    }
}
