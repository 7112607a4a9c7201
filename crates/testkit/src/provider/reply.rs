//! An answer as bytes, and how to send them.

use std::time::Duration;

use super::script::{Delivery, Split};

/// How the body's length is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Framing {
    /// `content-length`, which need not be true.
    Length(usize),
    /// `transfer-encoding: chunked`.
    Chunked,
}

/// What happens after the last piece.
#[derive(Debug, Clone)]
pub(super) enum Ending {
    /// The body ends as HTTP says.
    Clean,
    /// The connection closes in the middle of the body.
    Truncated,
    /// The connection is reset in the middle of the body.
    Reset,
    /// The piece is sent again and again until the client closes.
    Endless { piece: Vec<u8>, every: Duration },
}

/// One answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) framing: Framing,
    /// The body, in the pieces in which it is written to the socket.
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) ending: Ending,
    /// Wait before the first byte.
    pub(super) first: Duration,
    /// Wait after each piece.
    pub(super) delay: Duration,
}

impl Reply {
    /// A JSON body in one piece.
    pub(super) fn json(status: u16, body: &str) -> Self {
        Self::bytes(status, "application/json", body.as_bytes().to_vec())
    }

    /// Any body in one piece.
    pub(super) fn bytes(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            framing: Framing::Length(body.len()),
            pieces: vec![body],
            ending: Ending::Clean,
            first: Duration::ZERO,
            delay: Duration::ZERO,
        }
    }

    /// A stream of server-sent events, one piece each.
    pub(super) fn stream(events: Vec<Vec<u8>>) -> Self {
        let headers = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")];
        Self {
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            framing: Framing::Chunked,
            pieces: events,
            ..Self::bytes(200, "", Vec::new())
        }
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Ends otherwise. An unclean end of a body of known length withholds its second half.
    pub(super) fn ending(mut self, ending: Ending) -> Self {
        if let (Framing::Length(length), Ending::Truncated | Ending::Reset) = (self.framing, &ending) {
            let mut body = self.pieces.concat();
            body.truncate(length / 2);
            self.pieces = vec![body];
        }
        self.ending = ending;
        self
    }

    /// Changes the body's bytes; a known length stays true.
    pub(super) fn map(mut self, change: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        self.pieces = self.pieces.iter().map(|piece| change(piece)).collect();
        if let Framing::Length(length) = &mut self.framing {
            *length = self.pieces.iter().map(Vec::len).sum();
        }
        self
    }

    /// Wraps the body in gzip although identity was asked for.
    pub(super) fn gzip(mut self) -> Self {
        let body = gzip(&self.pieces.concat());
        if let Framing::Length(length) = &mut self.framing {
            *length = body.len();
        }
        self.pieces = vec![body];
        self.with("content-encoding", "gzip")
    }

    /// Applies the request's delivery options.
    pub(super) fn deliver(mut self, delivery: &Delivery) -> Self {
        self.first = self.first.max(delivery.first);
        self.delay = self.delay.max(delivery.delay);
        match delivery.split {
            Split::Events => {}
            Split::Every(size) => self.pieces = cut(&self.pieces.concat(), || size),
            Split::Random(seed) => {
                let mut random = Random(seed);
                self.pieces = cut(&self.pieces.concat(), || usize::from(random.next() % 24) + 1);
            }
        }
        self
    }
}

fn cut(body: &[u8], mut size: impl FnMut() -> usize) -> Vec<Vec<u8>> {
    let mut rest = body;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at_checked(size().max(1)).unwrap_or((rest, &[]));
        pieces.push(piece.to_vec());
        rest = tail;
    }
    pieces
}

/// A small generator (splitmix64): the same seed gives the same pieces on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 56) as u8
    }
}

/// gzip (RFC 1952) around stored blocks (RFC 1951, 3.2.4): valid, and nothing to depend on.
fn gzip(body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut blocks = body.chunks(0xffff).peekable();
    if blocks.peek().is_none() {
        out.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    out.extend(crc32(body).to_le_bytes());
    out.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_the_standard_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn any_split_keeps_the_bytes() {
        let body: Vec<u8> = (0..=255).collect();
        let reply = Reply::stream(vec![body.clone()]);
        for split in [Split::Every(1), Split::Random(3)] {
            let delivery = Delivery { split, ..Delivery::default() };
            let pieces = reply.clone().deliver(&delivery).pieces;
            assert!(pieces.len() > 5);
            assert_eq!(pieces.concat(), body);
        }
    }

    #[test]
    fn a_truncated_body_is_shorter_than_promised() {
        let reply = Reply::json(200, "{\"a\":1}").ending(Ending::Truncated);
        let Framing::Length(promised) = reply.framing else { panic!("a JSON body has a length") };
        assert!(reply.pieces.concat().len() < promised);
    }
}
