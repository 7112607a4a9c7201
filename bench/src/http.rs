//! As much of HTTP/1.1 as two ends need that know each other.

use anyhow::{Context as _, bail};

/// How much of a body's end is kept, to find what must stand there.
const TAIL: usize = 4096;

/// Where `needle` begins in `haystack`.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(rest) = haystack.get(from..) {
        let at = from + rest.iter().position(|byte| *byte == first)?;
        if haystack.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// A header's value in a head, by its lower-case name.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes of a body with a length are still to come.
    Length(u64),
    /// The line with a chunk's size.
    Size,
    /// So many bytes of a chunk, its CRLF included, are still to come.
    Chunk(u64),
    /// The lines after the last chunk.
    Trailer,
    /// Until the connection closes.
    Close,
    Done,
}

/// Reads one reply, in whatever pieces it comes.
#[derive(Debug)]
pub struct Reply {
    state: State,
    /// The head, or the line that is being read.
    line: Vec<u8>,
    /// The status; 0 before the head is whole.
    pub status: u16,
    /// Whether the connection can be used again.
    pub keeps: bool,
    /// Bytes of the body so far, without transfer coding.
    pub length: u64,
    /// The body's last few kilobytes.
    tail: Vec<u8>,
}

impl Default for Reply {
    fn default() -> Self {
        Self { state: State::Head, line: Vec::new(), status: 0, keeps: true, length: 0, tail: Vec::new() }
    }
}

impl Reply {
    /// Takes the next bytes, hands pieces of the body to `each`; `true` once the reply is whole.
    pub fn feed(&mut self, mut bytes: &[u8], each: &mut impl FnMut(&[u8])) -> anyhow::Result<bool> {
        while !bytes.is_empty() && self.state != State::Done {
            bytes = match self.state {
                State::Head => self.head(bytes)?,
                State::Length(left) => {
                    let (body, rest) = bytes.split_at(part(left, bytes.len()));
                    let left = left - body.len() as u64;
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                    self.body(body, each);
                    rest
                }
                State::Chunk(left) => {
                    let (body, rest) = bytes.split_at(part(left, bytes.len()));
                    let after = left - body.len() as u64;
                    // The last two of them are the line's end, not the body's.
                    let ours = part(left.saturating_sub(2), body.len());
                    self.state = if after == 0 { State::Size } else { State::Chunk(after) };
                    self.body(body.get(..ours).unwrap_or_default(), each);
                    rest
                }
                State::Size => self.size(bytes)?,
                State::Trailer => match self.take_line(bytes) {
                    (Some(line), rest) => {
                        if line.is_empty() {
                            self.state = State::Done;
                        }
                        rest
                    }
                    (None, rest) => rest,
                },
                State::Close => {
                    self.body(bytes, each);
                    &[]
                }
                State::Done => bytes,
            };
        }
        Ok(self.state == State::Done)
    }

    /// The connection was closed: whether that ends the reply well.
    pub fn closed(&mut self) -> anyhow::Result<()> {
        self.keeps = false;
        match self.state {
            State::Close | State::Done => Ok(()),
            State::Head => bail!("the connection was closed before a reply"),
            _ => bail!("the connection was closed after {} bytes of a reply", self.length),
        }
    }

    /// Whether `text` stands at the body's end.
    pub fn ends_with(&self, text: &str) -> bool {
        let from = self.tail.len().saturating_sub(TAIL);
        self.tail.get(from..).is_some_and(|tail| find(tail, text.as_bytes()).is_some())
    }

    /// The body's end, for error messages.
    pub fn tail(&self) -> String {
        String::from_utf8_lossy(self.tail.get(..self.tail.len().min(400)).unwrap_or_default()).into_owned()
    }

    fn body(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8])) {
        self.length += bytes.len() as u64;
        if bytes.len() >= TAIL {
            self.tail.clear();
        } else if self.tail.len() > 4 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
        self.tail.extend_from_slice(bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default());
        each(bytes);
    }

    fn head<'a>(&mut self, bytes: &'a [u8]) -> anyhow::Result<&'a [u8]> {
        let before = self.line.len();
        self.line.extend_from_slice(bytes);
        let from = before.saturating_sub(3);
        let Some(end) = self.line.get(from..).and_then(|new| find(new, b"\r\n\r\n")) else {
            return Ok(&[]);
        };
        let end = from + end + 4;
        let head = String::from_utf8_lossy(self.line.get(..end).unwrap_or_default()).into_owned();
        self.line.clear();
        let status = head.split_ascii_whitespace().nth(1).and_then(|status| status.parse().ok());
        self.status =
            status.with_context(|| format!("no status in `{}`", head.lines().next().unwrap_or_default()))?;
        self.keeps = !header(&head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let coding = header(&head, "transfer-encoding");
        self.state = match header(&head, "content-length").map(str::parse) {
            _ if coding.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) => State::Size,
            Some(Ok(0)) => State::Done,
            Some(Ok(length)) => State::Length(length),
            Some(Err(_)) => bail!("an unreadable length"),
            None => State::Close,
        };
        Ok(bytes.get(end - before..).unwrap_or_default())
    }

    fn size<'a>(&mut self, bytes: &'a [u8]) -> anyhow::Result<&'a [u8]> {
        // The usual line is whole and plain: read where it stands, because there are very many.
        let digits = bytes.iter().take(8).take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, rest) = match bytes.split_at(digits) {
            (digits, [b'\r', b'\n', rest @ ..]) if self.line.is_empty() => (hexadecimal(digits)?, rest),
            _ => {
                let (Some(line), rest) = self.take_line(bytes) else { return Ok(&[]) };
                (hexadecimal(line.split(|byte| *byte == b';').next().unwrap_or_default())?, rest)
            }
        };
        self.state = if size == 0 { State::Trailer } else { State::Chunk(size + 2) };
        Ok(rest)
    }

    /// A line without its end, once it is whole.
    fn take_line<'a>(&mut self, bytes: &'a [u8]) -> (Option<Vec<u8>>, &'a [u8]) {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            self.line.extend_from_slice(bytes);
            return (None, &[]);
        };
        let (line, rest) = bytes.split_at(end + 1);
        self.line.extend_from_slice(line);
        let mut line = std::mem::take(&mut self.line);
        line.truncate(line.trim_ascii_end().len());
        (Some(line), rest)
    }
}

fn hexadecimal(digits: &[u8]) -> anyhow::Result<u64> {
    let text = std::str::from_utf8(digits).unwrap_or_default().trim();
    u64::from_str_radix(text, 16).with_context(|| format!("`{}` is no chunk's size", text.escape_debug()))
}

fn part(left: u64, here: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, size: usize) -> (Reply, Vec<u8>, bool) {
        let (mut reply, mut body, mut done) = (Reply::default(), Vec::new(), false);
        for piece in text.as_bytes().chunks(size) {
            done = reply.feed(piece, &mut |bytes| body.extend_from_slice(bytes)).unwrap();
        }
        (reply, body, done)
    }

    #[test]
    fn replies_are_read_in_any_pieces() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";
        let length = "HTTP/1.1 200 OK\r\nContent-Length: 19\r\nconnection: close\r\n\r\nabc0123456789abcdef";
        for (text, keeps) in [(chunked, true), (length, false)] {
            for size in 1..text.len() {
                let (reply, body, done) = read(text, size);
                assert!(done, "{size}");
                assert_eq!(
                    (body.as_slice(), reply.length, reply.status),
                    (&b"abc0123456789abcdef"[..], 19, 200)
                );
                assert_eq!(reply.keeps, keeps);
                assert!(reply.ends_with("9abc"));
            }
        }
    }

    #[test]
    fn what_is_cut_is_noticed() {
        let (mut reply, _, done) = read("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", 7);
        assert!(!done && reply.closed().is_err());
        let (mut reply, _, done) = read("HTTP/1.1 200 OK\r\n\r\nuntil the end", 7);
        assert!(!done && reply.closed().is_ok());
        assert_eq!(reply.length, 13);
    }

    #[test]
    fn needles_are_found() {
        assert_eq!(find(b"aab\r\n\r\nx", b"\r\n\r\n"), Some(3));
        assert_eq!(find(b"aaab", b"aab"), Some(1));
        assert_eq!(find(b"ab", b"abc"), None);
    }
}
