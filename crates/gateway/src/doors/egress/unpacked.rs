//! What a body says under its coding. What is judged is what the server will read, not bytes that only look random.

use bytes::Bytes;
use doorward_core::wire::sphyr::call::Net;
use doorward_core::wire::sphyr::code;
use http::{HeaderMap, HeaderValue, header};

use super::denied::Denial;
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
    Ok(unpacked.map(|(bytes, whole)| Unpacked { bytes, said: false, whole }))
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
