//! What a body says under its coding. What is judged is what the server will read, not bytes that only look random.

use bytes::Bytes;
use doorward_core::wire::sphyr::call::Net;
use doorward_core::wire::sphyr::code;
use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, HeaderValue, header};

use super::denied::Denial;
use crate::encoding::deflate::is_framed;
use crate::encoding::{Coding, Decoder, Progress, STEP};

/// How much of it is looked at, in bytes. What it is beyond that is a file.
const LARGEST: usize = 1 << 20;

/// How files begin that are packed: gzip (RFC 1952, 2.3.1), Zstandard (RFC 8878, 3.1.1).
const MAGIC: [(&[u8], Coding); 2] =
    [(&[0x1f, 0x8b], Coding::Gzip), (&[0x28, 0xb5, 0x2f, 0xfd], Coding::Zstd)];

/// A body whose coding was taken off.
#[derive(Debug)]
pub struct Unpacked {
    /// What it says, as far as it is looked at.
    pub bytes: Bytes,
    /// Whether the request says that it is coded, so that this is what the server reads.
    pub said: bool,
    /// Whether that is all of it.
    pub whole: bool,
}

/// What the body of `net` says, if it is coded.
///
/// # Errors
/// A [`Denial`] if it says that it is and cannot be read.
pub fn of(net: &Net) -> Result<Option<Unpacked>, Denial> {
    let mut headers = HeaderMap::new();
    for (name, value) in &net.headers {
        if let Some(value) =
            HeaderValue::from_str(value).ok().filter(|_| name.eq_ignore_ascii_case("content-encoding"))
        {
            headers.append(header::CONTENT_ENCODING, value);
        }
    }
    let unread = |fault: doorward_core::wire::Fault| Denial::new(code::HEADER_INVALID, fault.message);
    if let Some(coding) = Coding::of(&headers).map_err(unread)? {
        let (bytes, whole) = unpack(coding, &net.body).map_err(unread)?;
        return Ok(Some(Unpacked { bytes, said: true, whole }));
    }
    let packed = MAGIC.iter().find(|(magic, _)| net.body.starts_with(magic));
    // What only begins like a packed file is what it is.
    let unpacked = packed.and_then(|(_, coding)| unpack(*coding, &net.body).ok());
    Ok(unpacked.or_else(|| inflated(&net.body)).map(|(bytes, whole)| Unpacked { bytes, said: false, whole }))
}

fn unpack(coding: Coding, bytes: &[u8]) -> Result<(Bytes, bool), doorward_core::wire::Fault> {
    let (mut input, mut out) = (bytes, Vec::new());
    let mut decoder = Decoder::new(coding)?;
    while out.len() < LARGEST {
        match decoder.step(&mut input, &mut out, STEP)? {
            Progress::Starved => {
                decoder.end()?;
                return Ok((out.into(), true));
            }
            Progress::More => {}
        }
    }
    Ok((out.into(), false))
}

/// What deflated data says (RFC 1951), in zlib's frame (RFC 1950) or bare, as far as it is looked at. Bare data begins like
/// anything: it is some if it is no text and ends where its data ends.
fn inflated(bytes: &[u8]) -> Option<(Bytes, bool)> {
    let framed = bytes.first_chunk().is_some_and(|first| is_framed(*first));
    if !framed && (bytes.len() < 16 || std::str::from_utf8(bytes).is_ok()) {
        return None;
    }
    let (mut inflate, mut out) = (Decompress::new(framed), vec![0; STEP]);
    let mut filled = 0;
    loop {
        let taken = usize::try_from(inflate.total_in()).ok()?;
        let input = bytes.get(taken..)?;
        let status = inflate.decompress(input, out.get_mut(filled..)?, FlushDecompress::None).ok()?;
        let before = filled;
        filled = usize::try_from(inflate.total_out()).ok()?;
        let ended = status == Status::StreamEnd;
        if ended && inflate.total_in() != bytes.len() as u64 {
            return None;
        }
        if ended || filled >= LARGEST {
            out.truncate(filled);
            return Some((out.into(), ended));
        }
        // It wants more than there is.
        if filled == before && inflate.total_in() == taken as u64 {
            return None;
        }
        out.resize((out.len() * 2).min(LARGEST + STEP), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, ZlibEncoder};

    use super::*;

    #[test]
    fn deflated_data_is_known_without_its_name() {
        let text = "a sentence that is written again and again. ".repeat(100);
        let mut framed = ZlibEncoder::new(Vec::new(), Compression::default());
        framed.write_all(text.as_bytes()).unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(text.as_bytes()).unwrap();
        for mut packed in [framed.finish().unwrap(), bare.finish().unwrap()] {
            assert_eq!(inflated(&packed), Some((text.clone().into(), true)));
            assert_eq!(inflated(&packed[..packed.len() - 1]), None);
            packed.push(0);
            assert_eq!(inflated(&packed), None);
        }
        let mut large = DeflateEncoder::new(Vec::new(), Compression::default());
        large.write_all(&vec![b'x'; 3 * LARGEST]).unwrap();
        let (bytes, whole) = inflated(&large.finish().unwrap()).unwrap();
        assert!(bytes.len() >= LARGEST && bytes.len() <= LARGEST + 2 * STEP && !whole);
        for other in [&b"x="[..], b"x\x9c", b"a text that is no more than a text", &[0xff; 64]] {
            assert_eq!(inflated(other), None);
        }
    }
}
