//! JSON Lines: one value a line.
//!
//! Clients split lines in different ways: at LF, at CR as well, or wherever Python's `splitlines` does. A line
//! that is another line to one of them is a fault. In a `loose` source, which may be any file, only lines that
//! begin as a JSON object are lines; the rest passes as it comes, unless what only some take for the beginning
//! of a line may be a call.

use bytes::{Bytes, BytesMut};

use super::Fault;

/// What comes out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A whole line with its end, to be read.
    Line(Bytes),
    /// Bytes that are no line to be read.
    Raw(Bytes),
}

/// How much of what could be the beginning of an object stands at the end of what has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    /// None of it.
    Not,
    /// The place for it: a line begins here to somebody, or will when spaces are taken off.
    Place,
    /// Its bracket.
    Bracket,
    /// An object: what follows is kept until its line has come.
    Object,
}

impl Begun {
    /// With one more byte. Beyond ASCII every byte may belong to a separator, or to a space.
    const fn with(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Object, _) | (Self::Bracket, b'"') => Self::Object,
            (Self::Place, b'{') => Self::Bracket,
            (Self::Bracket, b' ' | b'\t' | b'\r') => Self::Bracket,
            (_, b'\r' | 0x0b | 0x0c | 0x1c..=0x1f | 0x80..) => Self::Place,
            (Self::Place, b' ' | b'\t') => Self::Place,
            _ => Self::Not,
        }
    }
}

/// Cuts bytes into [`Piece`]s. Every split of the same bytes gives the same lines.
#[derive(Debug)]
pub(crate) struct Splitter {
    buffer: BytesMut,
    /// How far the buffer has been searched for a line's end.
    searched: usize,
    /// Inside a line that is not read, and how far an object has begun in it to somebody.
    passing: Option<Begun>,
    loose: bool,
    limit: usize,
}

impl Splitter {
    /// A splitter that refuses lines of more than `limit` bytes.
    pub fn new(limit: usize, loose: bool) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, passing: None, loose, limit }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next piece, or `None` until more bytes come.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, Fault> {
        if self.loose && self.passing.is_none() && self.searched == 0 && !self.begins_as_object() {
            // Whether it does must not depend on how many bytes have come.
            if self.undecided() && self.buffer.len() <= self.limit {
                return Ok(None);
            }
            if self.undecided() {
                let raw = self.buffer.split().freeze();
                return self.oversize(&raw);
            }
            self.passing = Some(Begun::Place);
        }
        if let Some(begun) = self.passing {
            return self.pass(begun);
        }
        let unread = self.buffer.get(self.searched..).unwrap_or_default();
        let end = unread.iter().position(|byte| *byte == b'\n').map(|at| self.searched + at + 1);
        match end {
            Some(end) => {
                let raw = self.buffer.split_to(end).freeze();
                self.searched = 0;
                if raw.len() > self.limit {
                    return self.oversize(&raw);
                }
                self.checked(raw).map(Some)
            }
            None if self.buffer.len() > self.limit => {
                let raw = self.buffer.split().freeze();
                self.oversize(&raw)
            }
            None => {
                self.searched = self.buffer.len();
                Ok(None)
            }
        }
    }

    /// More of a line that is not read: all that has come, up to what may be an object.
    fn pass(&mut self, begun: Begun) -> Result<Option<Piece>, Fault> {
        let (mut begun, mut end) = (begun, None);
        let unread = self.buffer.get(self.searched..).unwrap_or_default();
        for (at, byte) in unread.iter().enumerate() {
            let next = begun.with(*byte);
            if *byte == b'\n' || next == Begun::Object && begun != Begun::Object {
                end = Some((self.searched + at, *byte == b'\n'));
                break;
            }
            begun = next;
        }
        match end {
            Some((at, true)) => {
                let raw = self.buffer.split_to(at + 1).freeze();
                (self.searched, self.passing) = (0, None);
                // In pieces it would have been too long before its end came.
                if begun == Begun::Object && raw.len() > self.limit {
                    return self.oversize(&raw);
                }
                self.unheld(begun, raw).map(Some)
            }
            // The quote stays with what follows it.
            Some((at, false)) => {
                let raw = self.buffer.split_to(at).freeze();
                (self.searched, self.passing) = (0, Some(Begun::Object));
                if raw.is_empty() { self.next_piece() } else { Ok(Some(Piece::Raw(raw))) }
            }
            None if begun == Begun::Object => {
                self.searched = self.buffer.len();
                if self.buffer.len() > self.limit {
                    let raw = self.buffer.split().freeze();
                    return self.oversize(&raw);
                }
                Ok(None)
            }
            None => {
                self.passing = Some(begun);
                let raw = self.buffer.split().freeze();
                Ok((!raw.is_empty()).then_some(Piece::Raw(raw)))
            }
        }
    }

    /// The end of a line that was not read, unless an object in it may be a call.
    fn unheld(&mut self, begun: Begun, raw: Bytes) -> Result<Piece, Fault> {
        if begun != Begun::Object || !speaks_of_calls(&raw) {
            return Ok(Piece::Raw(raw));
        }
        self.give_back(&raw);
        let message = "what some readers take for a line of its own may hold a call";
        Err(Fault::new("lines.hidden-line", message))
    }

    /// What has come since the last line's end; a last line need not have one.
    pub fn last(&mut self) -> Result<Option<Piece>, Fault> {
        if self.passing.is_none() && self.loose && !self.begins_as_object() {
            self.passing = Some(Begun::Place);
        }
        let passing = self.passing;
        let raw = self.rest();
        match passing {
            _ if raw.is_empty() => Ok(None),
            Some(begun) => {
                let begun = raw.iter().fold(begun, |begun, byte| begun.with(*byte));
                self.unheld(begun, raw).map(Some)
            }
            None => self.checked(raw).map(Some),
        }
    }

    /// The bytes that were not given out.
    pub fn rest(&mut self) -> Bytes {
        self.searched = 0;
        self.buffer.split().freeze()
    }

    /// The line from its first byte that is no space.
    fn begun(&self) -> &[u8] {
        let line = self.buffer.strip_prefix(MARK).unwrap_or(&self.buffer);
        after_spaces(line)
    }

    /// Whether the line may be a JSON object with members.
    fn begins_as_object(&self) -> bool {
        self.begun().strip_prefix(b"{").is_some_and(|inside| after_spaces(inside).first() == Some(&b'"'))
    }

    /// Whether more bytes could still make it one.
    fn undecided(&self) -> bool {
        let begun = self.begun();
        let inside = begun.strip_prefix(b"{");
        begun.is_empty()
            || inside.is_some_and(|inside| after_spaces(inside).is_empty())
            || MARK.starts_with(&self.buffer)
    }

    /// Puts `raw` back where monitor mode finds it.
    fn give_back(&mut self, raw: &[u8]) {
        let mut whole = BytesMut::from(raw);
        whole.unsplit(self.buffer.split());
        self.buffer = whole;
    }

    fn oversize(&mut self, raw: &[u8]) -> Result<Option<Piece>, Fault> {
        self.give_back(raw);
        Err(Fault::new("lines.oversize", format!("a line is larger than {} bytes", self.limit)))
    }

    /// The line, if every client reads it as one.
    fn checked(&mut self, raw: Bytes) -> Result<Piece, Fault> {
        let line = raw.strip_suffix(b"\n").unwrap_or(&raw);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let fault = if line.contains(&b'\r') {
            Some(Fault::new("lines.bare-cr", "a line holds a CR; readers disagree on where it ends"))
        } else if hides_a_line(line) {
            Some(Fault::new(
                "lines.hidden-line",
                "a line separator other than LF is followed by what some readers take for a line",
            ))
        } else {
            None
        };
        match fault {
            None => Ok(Piece::Line(raw)),
            Some(fault) => {
                self.give_back(&raw);
                Err(fault)
            }
        }
    }
}

/// The mark that some files begin with.
const MARK: &[u8] = b"\xef\xbb\xbf";

fn after_spaces(line: &[u8]) -> &[u8] {
    let spaces = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
    line.get(spaces..).unwrap_or_default()
}

/// Whether `text` may name a call, in a key or a type; an escape may spell anything.
fn speaks_of_calls(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 7] =
        [b"_call", b"-call", b"functioncall", b"toolcall", b"tool_use", b"tooluse", b"\\u"];
    let lower = text.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.windows(word.len()).any(|window| window == *word))
}

/// Whether a separator that Python's `splitlines` knows stands before what could be an object.
fn hides_a_line(line: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(line) else { return false };
    if text.is_ascii() && !text.bytes().any(|byte| matches!(byte, 0x0b | 0x0c | 0x1c..=0x1e)) {
        return false;
    }
    let separators = ['\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    text.split(separators).skip(1).any(|rest| rest.trim_start().starts_with('{'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines to be read, and all bytes, or the fault.
    fn run(chunks: &[&[u8]], loose: bool) -> Result<(Vec<Bytes>, Vec<u8>), &'static str> {
        let mut splitter = Splitter::new(64, loose);
        let (mut lines, mut all) = (Vec::new(), Vec::new());
        let mut take = |piece: Piece| match piece {
            Piece::Line(raw) => {
                all.extend_from_slice(&raw);
                lines.push(raw);
            }
            Piece::Raw(raw) => all.extend_from_slice(&raw),
        };
        for chunk in chunks {
            splitter.push(chunk);
            while let Some(piece) = splitter.next_piece().map_err(|fault| fault.code)? {
                take(piece);
            }
        }
        splitter.last().map_err(|fault| fault.code)?.into_iter().for_each(take);
        Ok((lines, all))
    }

    #[test]
    fn lines_are_lines_to_everyone() {
        let (lines, all) = run(&[b"{\"a\":1}\r\n\n{\"b\":2}"], false).unwrap();
        assert_eq!(lines.len(), 3);
        assert_eq!(all, b"{\"a\":1}\r\n\n{\"b\":2}");
        assert_eq!(run(&[b"{\"a\":1}\r{\"b\":2}\n"], false), Err("lines.bare-cr"));
        assert_eq!(
            run(&["{\"a\":\"x\u{2028} {\\\"b\\\":2}\u{2028}\"}\n".as_bytes()], false),
            Err("lines.hidden-line")
        );
        assert!(run(&["{\"a\":\"x\u{2028}y\"}\n".as_bytes()], false).is_ok());
        assert_eq!(run(&[&[b'x'; 100]], false), Err("lines.oversize"));
    }

    /// Readers that take spaces off, split at every separator Unicode has, or at CR, take these for lines. Who
    /// reads results as the provider's own examples do (`json.loads(line.strip())`) is one of them.
    #[test]
    fn no_call_hides_in_a_line_that_is_not_read() {
        let call = r#"{"response":{"tool_calls":1}}"#;
        let places = [
            "\u{b}",
            " \u{c}\t",
            "\u{1f}",
            "\u{a0}",
            "\u{3000}",
            "{}\r",
            "x\u{2028} ",
            "x\r\u{feff}",
            "[]\u{1c}",
        ];
        for before in places {
            for text in [
                format!("{before}{call}\n"),
                format!("x\n{before}{call}"),
                format!("{before}{{ {}", call.strip_prefix('{').unwrap()),
            ] {
                let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
                for chunks in [&[text.as_bytes()][..], &single] {
                    assert_eq!(run(chunks, true), Err("lines.hidden-line"), "{text:?}");
                }
            }
            let text = format!("{before}{{\"a\":1}}\n\n");
            assert_eq!(run(&[text.as_bytes()], true).unwrap().1, text.as_bytes(), "a file of another kind");
        }
        let array = format!("[{call},{call}]\n");
        assert_eq!(run(&[array.as_bytes()], true).unwrap().1, array.as_bytes());
    }

    /// What may be an object is kept until its line has come, and no longer than a line may be.
    #[test]
    fn an_object_in_a_line_that_is_not_read_is_bounded_in_every_split() {
        for length in 55..70 {
            let text = format!("x\u{2028}{{\"{}\n", "a".repeat(length));
            let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            let whole = run(&[text.as_bytes()], true);
            assert_eq!(run(&single, true), whole, "{length}");
            // The quote and the end of the line count.
            assert_eq!(whole.is_err(), length + 2 > 64, "{length}: {whole:?}");
        }
    }

    #[test]
    fn a_file_that_is_something_else_passes() {
        for text in ["name,age\r{x\n1,2\n", "{\n  \"a\": 1\n}\n", "\u{85}{ }", "{}\n{}", "\n\n  \n", ""] {
            let (lines, all) = run(&[text.as_bytes()], true).unwrap();
            assert!(lines.is_empty(), "{text:?}");
            assert_eq!(all, text.as_bytes());
        }
        let long = [b'x'; 1000];
        assert_eq!(run(&[&long], true).unwrap().1, long);
        assert_eq!(run(&[b" \t{ \"a\":1}\nx\n\xef\xbb\xbf{\"b\":1}\n"], true).unwrap().0.len(), 2);
        assert_eq!(run(&[b"x\n{\"a\":1}\r{\"b\":2}\n"], true), Err("lines.bare-cr"));
    }

    proptest! {
        #[test]
        fn chunking_never_matters(text in "(\\{|\"|a|aaaaaaaa|\n|\r\n|\r| |\u{2028}|\u{feff}|\\}){0,40}", loose in any::<bool>(), cuts in proptest::collection::vec(0usize..80, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(run(&chunks, loose), run(&[bytes], loose));
            prop_assert_eq!(run(&single, loose), run(&[bytes], loose));
        }
    }
}
