//! Heads of requests.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use std::mem::MaybeUninit;

use crate::http1::end_of_head;

/// The most bytes of a head.
pub(super) const LONGEST: usize = 64 * 1024;

/// The most headers of one head.
const MOST_HEADERS: usize = 128;

/// A request's head.
#[derive(Debug)]
pub(super) struct Head {
    pub parts: http::request::Parts,
    pub length: Length,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub waits: bool,
    /// Whether the connection may carry another request.
    pub keeps: bool,
}

/// How long the body behind a head is.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Length {
    Known(u64),
    Chunked,
}

/// Why a head is not read: a status, and words for whoever wrote it.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) struct Wrong(pub StatusCode, pub &'static str);

const fn wrong(message: &'static str) -> Wrong {
    Wrong(StatusCode::BAD_REQUEST, message)
}

/// How far a head has been read.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// How far was looked for its end.
    searched: usize,
    /// Whether an empty line before it was passed over.
    passed: bool,
}

/// Takes the next head off `buffer`, once all of it is there.
///
/// # Errors
/// [`Wrong`], if no reader would read it, or not all would read the same.
pub(super) fn take(buffer: &mut BytesMut, progress: &mut Progress) -> Result<Option<Head>, Wrong> {
    // RFC 9112, 2.2: an empty line before a request is passed over. More than one is no habit of anybody.
    if !progress.passed {
        if **buffer == *b"\r" {
            return Ok(None);
        }
        progress.passed = !buffer.is_empty();
        if buffer.starts_with(b"\r\n") {
            let _ = buffer.split_to(2);
        }
    }
    if buffer.first() == Some(&0x16) {
        return Err(wrong("this listener speaks plain HTTP, not TLS; use http://"));
    }
    match end_of_head(buffer, &mut progress.searched).map_err(|misframed| wrong(misframed.0))? {
        Some(end) if end <= LONGEST => parse(&buffer.split_to(end).freeze()).map(Some),
        None if buffer.len() < LONGEST => Ok(None),
        _ => Err(Wrong(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the request's address and headers have more than 64 KiB; send fewer or shorter headers",
        )),
    }
}

fn parse(raw: &Bytes) -> Result<Head, Wrong> {
    let mut space = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(raw, &mut space) {
        Ok(httparse::Status::Complete(length)) if length == raw.len() => {}
        Ok(_) => return Err(wrong("the request's head is not whole")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Wrong(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the request has more than 128 headers",
            ));
        }
        Err(httparse::Error::Version) => {
            return Err(Wrong(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "the request is not HTTP/1.1"));
        }
        Err(_) => return Err(wrong("the request's head is not HTTP/1.1")),
    }
    let mut parts = http::Request::new(()).into_parts().0;
    parts.version = if request.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    parts.method = request
        .method
        .and_then(|method| Method::from_bytes(method.as_bytes()).ok())
        .ok_or(wrong("the request has no readable method"))?;
    let target = request.path.unwrap_or_default();
    if target.contains('#') {
        return Err(wrong("the request's address has a fragment (`#`), which no request carries"));
    }
    parts.uri = Uri::from_maybe_shared(raw.slice_ref(target.as_bytes()))
        .map_err(|_| wrong("the request's address is not readable"))?;
    parts.headers.reserve(request.headers.len());
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(raw.slice_ref(field.value));
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(wrong("a header of the request holds what no header may"));
        };
        parts.headers.append(name, value);
    }
    let length = length(&parts)?;
    let current = parts.version == Version::HTTP_11;
    let waits = current && length != Length::Known(0) && has_word(&parts, &header::EXPECT, "100-continue");
    let keeps = current && !has_word(&parts, &header::CONNECTION, "close");
    Ok(Head { parts, length, waits, keeps })
}

/// Whether a header's list has `word`.
fn has_word(parts: &http::request::Parts, name: &HeaderName, word: &str) -> bool {
    parts.headers.get_all(name).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|given| given.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    })
}

/// RFC 9112, 6.3, where only one answer is possible; a refusal where two are: whoever reads the other one sees
/// another request.
fn length(parts: &http::request::Parts) -> Result<Length, Wrong> {
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    let (coding, length) = (codings.next(), lengths.next());
    if codings.next().is_some() || lengths.next().is_some() || coding.is_some() && length.is_some() {
        return Err(wrong("the request tells its length more than once"));
    }
    match (coding, length) {
        (Some(coding), _) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => match parts.version {
            Version::HTTP_11 => Ok(Length::Chunked),
            _ => Err(wrong("the request is chunked in HTTP/1.0, which has no chunks")),
        },
        (Some(_), _) => Err(wrong("the request has a transfer coding other than chunked")),
        (None, Some(length)) => {
            let digits = length.as_bytes().iter().all(u8::is_ascii_digit) && !length.is_empty();
            let length = length.to_str().ok().filter(|_| digits).and_then(|length| length.parse().ok());
            length.map(Length::Known).ok_or(wrong("the request's length is not a number"))
        }
        (None, None) => Ok(Length::Known(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole or byte by byte, it is the same.
    fn read(text: &str) -> Result<Option<Head>, Wrong> {
        let whole = take(&mut BytesMut::from(text), &mut Progress::default());
        let single = byte_by_byte(text);
        let told = |read: &Result<Option<Head>, Wrong>| {
            read.as_ref().map(|head| head.as_ref().map(|head| head.length)).map_err(|wrong| *wrong)
        };
        assert_eq!(told(&whole), told(&single), "{text:?}");
        whole
    }

    fn byte_by_byte(text: &str) -> Result<Option<Head>, Wrong> {
        let (mut buffer, mut progress) = (BytesMut::new(), Progress::default());
        let mut found = None;
        for byte in text.as_bytes() {
            buffer.extend_from_slice(&[*byte]);
            if let Some(head) = take(&mut buffer, &mut progress)? {
                found = Some(head);
                break;
            }
        }
        // Whole or byte by byte, it is the same.
        let whole = take(&mut BytesMut::from(text), &mut Progress::default())?;
        assert_eq!(
            whole.as_ref().map(|head| head.length),
            found.as_ref().map(|head| head.length),
            "{text:?}"
        );
        Ok(found)
    }

    #[test]
    fn heads_say_how_long_their_body_is_and_whether_another_follows() {
        for (text, length, keeps, waits) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", Length::Known(0), true, false),
            ("\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", Length::Known(0), true, false),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", Length::Known(5), true, false),
            ("POST / HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n", Length::Chunked, true, false),
            ("POST / HTTP/1.0\r\ncontent-length: 5\r\n\r\n", Length::Known(5), false, false),
            (
                "POST / HTTP/1.1\r\ncontent-length: 5\r\nconnection: x , Close\r\n\r\n",
                Length::Known(5),
                false,
                false,
            ),
            (
                "POST / HTTP/1.1\r\ncontent-length: 5\r\nexpect: 100-Continue\r\n\r\n",
                Length::Known(5),
                true,
                true,
            ),
            (
                "POST / HTTP/1.1\r\ncontent-length: 0\r\nexpect: 100-continue\r\n\r\n",
                Length::Known(0),
                true,
                false,
            ),
            (
                "POST / HTTP/1.0\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n",
                Length::Known(5),
                false,
                false,
            ),
        ] {
            let head = read(text).unwrap().expect(text);
            assert_eq!((head.length, head.keeps, head.waits), (length, keeps, waits), "{text}");
        }
        let head =
            read("PROPFIND /a/b?c=%20d HTTP/1.1\r\nHost: x:1\r\nA: b\r\na: c\r\n\r\n").unwrap().unwrap();
        assert_eq!(head.parts.method.as_str(), "PROPFIND");
        assert_eq!(head.parts.uri, "/a/b?c=%20d");
        assert_eq!(head.parts.headers.get_all("a").iter().count(), 2);
        assert!(read("GET / HTTP/1.1\r\nhost: a\r\n").unwrap().is_none());
    }

    #[test]
    fn heads_that_two_readers_read_differently_are_refused() {
        for text in [
            "POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 5, 5\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: +5\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: \r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 0x5\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: xchunked\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding:\r\n\r\n",
            "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\ncontent-length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 5\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 5\r\n\n",
            "POST / HTTP/1.1\r\na: b\r\n c\r\n\r\n",
            "POST / HTTP/1.1\r\n a: b\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length : 5\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length\r\n\r\n",
            "POST / HTTP/1.1\r\na: b\rc: d\r\n\r\n",
            "POST / HTTP/1.1\r\na: \0\r\n\r\n",
            "POST  / HTTP/1.1\r\n\r\n",
            "POST / x HTTP/1.1\r\n\r\n",
            "POST /#a HTTP/1.1\r\n\r\n",
            "POST / HTTP/2.0\r\n\r\n",
            "POST / HTTP/1.1 \r\n\r\n",
            "POST /\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "\x16\x03\x01",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn heads_are_bounded() {
        let status = |text: &str| {
            take(&mut BytesMut::from(text), &mut Progress::default()).map(|_| ()).map_err(|wrong| wrong.0)
        };
        let too_large = Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\na: {}", "x".repeat(LONGEST))), too_large);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(LONGEST))), too_large);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200))), too_large);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(120))), Ok(()));
    }
}
