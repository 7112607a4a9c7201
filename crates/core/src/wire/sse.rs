//! Server-sent events (WHATWG HTML, "Server-sent events"), as strictly as every reader agrees on.
//!
//! Clients split lines in different ways: the specification ends a line at CR, LF or CRLF, some SDKs
//! only at LF, `httpx` also at U+0085, U+2028 and U+2029. A stream that reads differently under any of
//! these is a fault, because an event could hide from one reader and be seen by the other.

use bytes::{Bytes, BytesMut};

use super::Fault;
use crate::syntax::Span;

/// One event with the bytes it came in: every byte up to and including the blank line after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// All of its bytes, leading comments and final blank line included.
    pub raw: Bytes,
    /// The event's name, if it has one.
    pub name: Option<Span>,
    /// Its data, if it has any.
    pub data: Option<Span>,
}

impl Event {
    /// The name as bytes.
    #[must_use]
    pub fn name(&self) -> Option<&[u8]> {
        self.name.map(|span| span.of(&self.raw))
    }

    /// The data as bytes.
    #[must_use]
    pub fn data(&self) -> Option<&[u8]> {
        self.data.map(|span| span.of(&self.raw))
    }
}

/// Cuts a byte stream into [`Event`]s. Every split of the same bytes gives the same events.
#[derive(Debug)]
pub struct Splitter {
    buffer: BytesMut,
    /// Where the line being read began.
    line: usize,
    /// Up to where there were only blank lines.
    blank: usize,
    /// How far the buffer has been searched for the end of that line.
    searched: usize,
    name: Option<Span>,
    data: Option<Span>,
    /// Whether a space follows `data:` in this stream, once known.
    spaced: Option<bool>,
    /// The same of `event:`.
    name_spaced: Option<bool>,
    started: bool,
    limit: usize,
}

impl Splitter {
    /// A splitter that refuses events of more than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            line: 0,
            blank: 0,
            searched: 0,
            name: None,
            data: None,
            spaced: None,
            name_spaced: None,
            started: false,
            limit: limit.min(u32::MAX as usize),
        }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event, or `None` until more bytes come.
    ///
    /// # Errors
    /// A [`Fault`] if the bytes are not an event stream that every reader reads alike.
    pub fn next_event(&mut self) -> Result<Option<Event>, Fault> {
        if !self.started && !self.buffer.is_empty() {
            match self.buffer.first_chunk::<3>() {
                Some(b"\xef\xbb\xbf") => {
                    return Err(fault("sse.bom", "the stream begins with a byte order mark"));
                }
                None if b"\xef\xbb".starts_with(&self.buffer) => return Ok(None),
                _ => self.started = true,
            }
        }
        while let Some((length, ending)) = self.line_end()? {
            let (start, end) = (self.line, self.line + length);
            self.line = end + ending;
            self.searched = self.line;
            if length == 0 {
                // Blank lines alone are no event; they go with the next one. A flood of them stays cheap.
                if start == self.blank {
                    self.blank = self.line;
                    continue;
                }
                return self.event().map(Some);
            }
            self.field(start, end)?;
        }
        if self.buffer.len() > self.limit { Err(self.oversize()) } else { Ok(None) }
    }

    /// What has come and was not given out: it begins where an event begins.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether an event of this length may be.
    pub(crate) const fn fits(&self, length: usize) -> bool {
        length <= self.limit
    }

    /// Gives out the next `length` bytes of [`Self::unread`], which the caller knows to be whole events of a
    /// form that was read before.
    pub(crate) fn pass(&mut self, length: usize) -> Bytes {
        (self.line, self.searched, self.blank) = (0, 0, 0);
        (self.name, self.data) = (None, None);
        self.buffer.split_to(length.min(self.buffer.len())).freeze()
    }

    /// The bytes after the last whole event.
    #[must_use]
    pub fn rest(&mut self) -> Bytes {
        (self.line, self.searched, self.blank) = (0, 0, 0);
        self.buffer.split().freeze()
    }

    /// The length of the current line and of its ending, once the ending is there.
    fn line_end(&mut self) -> Result<Option<(usize, usize)>, Fault> {
        // Past the limit nothing is read, or the fault would depend on how much has come in one piece.
        let most = self.buffer.len().min(self.limit);
        let unread = self.buffer.get(self.searched..most).unwrap_or_default();
        let Some(offset) = unread.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            self.searched = most;
            return Ok(None);
        };
        self.searched += offset;
        let length = self.searched - self.line;
        match (unread.get(offset), unread.get(offset + 1)) {
            (Some(b'\n'), _) => Ok(Some((length, 1))),
            (_, Some(b'\n')) => Ok(Some((length, 2))),
            // A CR at the end of what has come: the LF may be in the next chunk.
            (_, None) => Ok(None),
            _ => Err(fault("sse.bare-cr", "a line ends in CR without LF; readers disagree on where it ends")),
        }
    }

    fn field(&mut self, start: usize, end: usize) -> Result<(), Fault> {
        let line = self.buffer.get(start..end).unwrap_or_default();
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, skip) = match colon {
            Some(0) => return Ok(()),
            Some(at) => {
                (line.get(..at).unwrap_or_default(), at + 1 + usize::from(line.get(at + 1) == Some(&b' ')))
            }
            None => (line, line.len()),
        };
        let value = Some(Span::new(offset(start + skip), offset(end)));
        let empty = line.get(skip..).is_none_or(<[u8]>::is_empty);
        if field == b"event" && self.data.is_some() {
            // Who dispatches at the data line has taken the name of the event before.
            return Err(fault("sse.field-order", "an event's name follows its data"));
        }
        if !empty && matches!(field, b"data" | b"event") && line.get(skip..) != Some(b"[DONE]") {
            let spaced = colon.is_some_and(|at| line.get(at + 1) == Some(&b' '));
            // Some clients look for `data: ` with its space: they would miss the events without.
            let known = if field == b"data" { &mut self.spaced } else { &mut self.name_spaced };
            if *known.get_or_insert(spaced) != spaced {
                return Err(fault("sse.mixed-forms", "lines come with and without a space after the colon"));
            }
        }
        let slot = match field {
            b"data" => &mut self.data,
            b"event" => &mut self.name,
            b"id" | b"retry" => return Ok(()),
            _ => return Err(fault("sse.field", "a line is neither data, event, id, retry nor a comment")),
        };
        if slot.is_some() {
            // Readers that take each data line as an event of its own would see other events.
            return Err(fault("sse.repeated-field", "an event has more than one data or event line"));
        }
        *slot = value;
        Ok(())
    }

    fn event(&mut self) -> Result<Event, Fault> {
        // Before it is cut off: what is refused stays in `rest`, so that monitor mode loses nothing.
        check_text(self.buffer.get(..self.line).unwrap_or_default())?;
        let data = self.data.filter(|span| span.start < span.end);
        if self.name.is_some() && data.is_none() {
            // Who does not forget the name would give it to the next event.
            return Err(fault("sse.no-data", "an event has a name and no data"));
        }
        let raw = self.buffer.split_to(self.line).freeze();
        (self.line, self.searched, self.blank) = (0, 0, 0);
        self.data = None;
        let name = self.name.take();
        Ok(Event { raw, name, data })
    }

    fn oversize(&self) -> Fault {
        fault("sse.oversize", format!("an event is larger than {} bytes", self.limit))
    }
}

fn fault(code: &'static str, message: impl Into<String>) -> Fault {
    Fault::new(code, message)
}

#[expect(clippy::cast_possible_truncation, reason = "events are bounded below 4 GiB by `Splitter::new`")]
const fn offset(at: usize) -> u32 {
    at as u32
}

/// Refuses what would split the event for readers that split lines at more than CR and LF.
fn check_text(raw: &[u8]) -> Result<(), Fault> {
    if raw.iter().any(|byte| matches!(byte, 0 | 0x0b | 0x0c | 0x1c..=0x1e)) {
        return Err(fault(
            "sse.control",
            "an event holds a control character that some readers end a line at",
        ));
    }
    if raw.is_ascii() {
        return Ok(());
    }
    let text = std::str::from_utf8(raw).map_err(|_| fault("sse.utf8", "an event is not valid UTF-8"))?;
    let hides_a_field = text
        .split(['\u{85}', '\u{2028}', '\u{2029}'])
        .skip(1)
        .any(|line| ["data", "event", "id", "retry", ":"].iter().any(|field| line.starts_with(field)));
    if hides_a_field {
        return Err(fault(
            "sse.hidden-line",
            "a Unicode line separator is followed by what some readers take for a field",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(chunks: &[&[u8]]) -> Result<Vec<Event>, Fault> {
        let mut splitter = Splitter::new(1 << 20);
        let mut out = Vec::new();
        for chunk in chunks {
            splitter.push(chunk);
            while let Some(event) = splitter.next_event()? {
                out.push(event);
            }
        }
        Ok(out)
    }

    #[test]
    fn keeps_every_byte_and_finds_the_fields() {
        let stream = b": hello\n\n\n\nevent: a\r\ndata: {}\r\n\r\nid: 1\nretry: 5\ndata: x\n\n";
        let found = events(&[stream]).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found.iter().map(|e| e.raw.clone()).collect::<Vec<_>>().concat(), stream);
        assert_eq!((found[1].name(), found[1].data()), (Some(&b"a"[..]), Some(&b"{}"[..])));
        assert_eq!((found[0].data(), found[2].data()), (None, Some(&b"x"[..])));
    }

    #[test]
    fn refuses_what_readers_split_differently() {
        let code = |stream: &[u8]| events(&[stream]).expect_err("refused").code;
        assert_eq!(code(b"data: {}\r\rdata: {}\n\n"), "sse.bare-cr");
        assert_eq!(code(b"\xef\xbb\xbfdata: {}\n\n"), "sse.bom");
        assert_eq!(code(b"data: {\ndata: }\n\n"), "sse.repeated-field");
        assert_eq!(code(b"event: a\nevent: b\n\n"), "sse.repeated-field");
        assert_eq!(code("data: \"x\u{2028}data: {}\"\n\n".as_bytes()), "sse.hidden-line");
        assert_eq!(code(": x\u{85}data: {}\n\n".as_bytes()), "sse.hidden-line");
        assert_eq!(code(b": x\x0cdata: {}\n\n"), "sse.control");
        assert_eq!(code(b"data: \xff\n\n"), "sse.utf8");
        assert_eq!(code(b"dat: 1\n\n"), "sse.field");
        assert_eq!(code(b"data: {}\nevent: a\n\n"), "sse.field-order");
        assert_eq!(code(b"event: a\n\n"), "sse.no-data");
        assert_eq!(code(b"event: a\ndata: {}\n\nevent:a\ndata: {}\n\n"), "sse.mixed-forms");
        assert!(events(&[b"data:{}\n\ndata: \n\n"]).is_ok());
        assert_eq!(code(b"data: {}\n\ndata:{}\n\n"), "sse.mixed-forms");
        assert!(events(&[b"data:{}\n\ndata: [DONE]\n\n"]).is_ok());
        assert!(events(&["data: \"a\u{2028}b\"\n\n".as_bytes()]).is_ok());
        let mut splitter = Splitter::new(10);
        splitter.push(b"data: 0123456789");
        assert_eq!(splitter.next_event().expect_err("too large").code, "sse.oversize");
    }

    #[test]
    fn what_is_wrong_beyond_the_limit_is_not_read() {
        for stream in [&b"data: 0123456789\rx\n\n"[..], b"data: 0123\rx\n\n", b"data: 012\r\n\n"] {
            for size in [1, stream.len()] {
                let mut splitter = Splitter::new(10);
                let fault = stream.chunks(size).find_map(|piece| {
                    splitter.push(piece);
                    splitter.next_event().err()
                });
                assert_eq!(fault.map(|fault| fault.code), Some("sse.oversize"), "{size}: {stream:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn chunking_never_matters(text in "(data: [a-z]{0,5}|event: x|: c|id: 1|\r|\n|\n\n|\r\n|\u{2028}|\u{feff}){0,12}", cuts in proptest::collection::vec(0usize..80, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts { chunks.push(&bytes[from..cut]); from = cut; }
            chunks.push(&bytes[from..]);
            prop_assert_eq!(events(&chunks), events(&[bytes]));
        }
    }
}
