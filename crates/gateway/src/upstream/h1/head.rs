//! Heads: a request's written, a reply's read.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, Version, header};
use zeroize::Zeroizing;

use super::Error;
use crate::http1::{Misframed, end_of_head};

/// The most bytes of a reply's head, all interim ones before it included.
const LONGEST: usize = 64 * 1024;

/// The most headers of one head.
const MOST_HEADERS: usize = 256;

/// The most interim replies (1xx) before the real one.
const MOST_INTERIM: u32 = 16;

/// A request's head as it goes on the wire; wiped when dropped, because it may hold a key.
pub(crate) fn request_head(head: &http::request::Parts, body: usize) -> Zeroizing<Vec<u8>> {
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = head.uri.authority().map_or("", |authority| authority.as_str());
    let length: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(length + path.len() + authority.len() + 80));
    for text in [head.method.as_str(), " ", path, " HTTP/1.1\r\nhost: ", authority, "\r\n"] {
        out.extend_from_slice(text.as_bytes());
    }
    for (name, value) in &head.headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    // RFC 9110, 8.6: a length where a body would have a meaning, even if there is none.
    if body > 0 || matches!(head.method, http::Method::POST | http::Method::PUT | http::Method::PATCH) {
        out.extend_from_slice(format!("content-length: {body}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// How long the body behind a head is.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Length {
    Known(u64),
    Chunked,
    UntilClose,
}

/// A reply's head.
#[derive(Debug)]
pub(super) struct Head {
    pub parts: http::response::Parts,
    pub length: Length,
    /// Whether the connection stays open behind the body.
    pub reusable: bool,
}

/// Gathers bytes until the head of the real reply is there.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    buffer: Vec<u8>,
    /// How far the buffer has been searched for the end of the head.
    searched: usize,
    /// Bytes of interim heads.
    passed: usize,
    interim: u32,
}

impl HeadReader {
    /// Whether anything has come.
    pub const fn has_begun(&self) -> bool {
        self.interim > 0 || !self.buffer.is_empty()
    }

    /// Takes the next bytes; the head and what came behind it once it is there. `bodyless`: the request was a
    /// `HEAD`.
    ///
    /// # Errors
    /// [`Error::Framing`].
    pub fn push(&mut self, bytes: &[u8], bodyless: bool) -> Result<Option<(Head, Bytes)>, Error> {
        self.buffer.extend_from_slice(bytes);
        while let Some(end) = end_of_head(&self.buffer, &mut self.searched)? {
            let rest = self.buffer.split_off(end);
            let raw = std::mem::replace(&mut self.buffer, rest);
            self.searched = 0;
            if let Some(head) = parse(&raw, bodyless)? {
                return Ok(Some((head, std::mem::take(&mut self.buffer).into())));
            }
            self.interim += 1;
            self.passed += raw.len();
            if self.interim > MOST_INTERIM {
                return Err(Misframed("more than 16 interim replies (1xx)").into());
            }
        }
        if self.passed + self.buffer.len() > LONGEST {
            return Err(Misframed("the reply's head is longer than 64 KiB").into());
        }
        Ok(None)
    }
}

/// The head in `raw`; `None` for an interim one.
fn parse(raw: &[u8], bodyless: bool) -> Result<Option<Head>, Error> {
    let mut space = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut space);
    let wrong = |what| Error::Framing(Misframed(what));
    match response.parse(raw) {
        Ok(httparse::Status::Complete(length)) if length == raw.len() => {}
        Ok(_) => return Err(wrong("the reply's head is not whole")),
        Err(httparse::Error::TooManyHeaders) => return Err(wrong("the reply has more than 256 headers")),
        Err(_) => return Err(wrong("the reply's head is not HTTP/1.1")),
    }
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(wrong("the reply has no readable status"))?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(wrong("the upstream switches protocols unasked"));
    }
    if status.is_informational() {
        return Ok(None);
    }
    let mut reply = http::Response::new(());
    *reply.status_mut() = status;
    let current = response.version == Some(1);
    *reply.version_mut() = if current { Version::HTTP_11 } else { Version::HTTP_10 };
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(wrong("a header of the reply holds what no header may"));
        };
        reply.headers_mut().append(name, value);
    }
    let (parts, ()) = reply.into_parts();
    let length = length(&parts, bodyless)?;
    let closes = parts.headers.get_all(header::CONNECTION).iter().any(|value| {
        value
            .to_str()
            .map_or(true, |value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("close")))
    });
    let reusable = current && !closes && length != Length::UntilClose;
    Ok(Some(Head { parts, length, reusable }))
}

/// RFC 9112, 6.3, where only one answer is possible; a refusal where two are.
fn length(parts: &http::response::Parts, bodyless: bool) -> Result<Length, Error> {
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    let (coding, length) = (codings.next(), lengths.next());
    if codings.next().is_some() || lengths.next().is_some() || coding.is_some() && length.is_some() {
        return Err(Misframed("the reply tells its length more than once").into());
    }
    if bodyless || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Length::Known(0));
    }
    match (coding, length) {
        (Some(coding), _) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => match parts.version {
            Version::HTTP_11 => Ok(Length::Chunked),
            _ => Err(Misframed("the reply is chunked in HTTP/1.0, which has no chunks").into()),
        },
        (Some(_), _) => Err(Misframed("the reply has a transfer coding other than chunked").into()),
        (None, Some(length)) => {
            let text = length.to_str().unwrap_or_default();
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let length = text.parse().ok().filter(|_| digits);
            length.map(Length::Known).ok_or(Misframed("the reply's length is not a number").into())
        }
        (None, None) => Ok(Length::UntilClose),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<(Head, Bytes)>, String> {
        let mut byte_by_byte = HeadReader::default();
        for byte in text.as_bytes() {
            if let Some((head, _)) =
                byte_by_byte.push(std::slice::from_ref(byte), false).map_err(|error| error.to_string())?
            {
                let whole = HeadReader::default().push(text.as_bytes(), false).unwrap().expect("the same");
                assert_eq!((head.length, head.reusable), (whole.0.length, whole.0.reusable));
                return Ok(Some(whole));
            }
        }
        Ok(None)
    }

    #[test]
    fn heads_say_how_long_their_body_is() {
        for (text, length, reusable) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Length::Known(5), true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", Length::Chunked, true),
            ("HTTP/1.1 200 OK\r\n\r\n", Length::UntilClose, false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", Length::Known(5), false),
            ("HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\n", Length::Known(0), true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: x, Close\r\n\r\n", Length::Known(5), false),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                Length::Known(0),
                true,
            ),
        ] {
            let (head, rest) = read(text).unwrap().expect(text);
            assert_eq!((head.length, head.reusable, rest.len()), (length, reusable, 0), "{text}");
        }
        let (head, rest) = read("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").unwrap().unwrap();
        assert_eq!((head.parts.status, rest.len()), (StatusCode::OK, 0));
        let with_body = HeadReader::default().push(b"HTTP/1.1 200 OK\r\n\r\nabc", false).unwrap().unwrap();
        assert_eq!(&with_body.1[..], b"abc");
        let to_head = HeadReader::default().push(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", true);
        assert_eq!(to_head.unwrap().unwrap().0.length, Length::Known(0));
    }

    #[test]
    fn heads_that_two_readers_frame_differently_are_refused() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\ncontent-length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na : b\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n",
            "\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(17);
        assert!(read(&interim).is_err());
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(LONGEST));
        assert!(HeadReader::default().push(long.as_bytes(), false).is_err());
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(300));
        assert!(HeadReader::default().push(many.as_bytes(), false).is_err());
    }

    #[test]
    fn requests_are_written_as_they_are() {
        let request =
            http::Request::post("http://a.example:81/v1/x?y=1").header("x-a", "b").body(()).unwrap();
        let (head, ()) = request.into_parts();
        assert_eq!(
            std::str::from_utf8(&request_head(&head, 3)).unwrap(),
            "POST /v1/x?y=1 HTTP/1.1\r\nhost: a.example:81\r\nx-a: b\r\ncontent-length: 3\r\n\r\n"
        );
    }
}
