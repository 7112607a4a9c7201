//! Tags with the names of tools, as Cline and its relatives read them.
//!
//! Their parsers agree on the beginning: a known tool's tag opens a call wherever it stands, in prose, in
//! quotes or in a fence. They differ on the end: one looks for the first closing tag, another ignores it
//! inside a parameter, and which parameters there are differs by version. A call left open when the text
//! ends is run as it is. So a stretch ends where a parser would stop that knows every parameter, which no
//! parser can pass; what others read before that are readings too.

use super::readings;
use super::tags::{self, LONGEST, Opening, Opens};
use super::{Kept, Mark, Reading};

#[derive(Debug, Default)]
pub(crate) struct Scanner {
    state: State,
    /// Whether the text was cut where it is held, in a way that clients mend differently.
    seam: bool,
    /// The tag that is being read in free text, to notice those that nobody knows.
    stray: Vec<u8>,
    unknown: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// What may become a tag that opens a call.
    Suspect(Vec<u8>),
    Open(Box<Call>),
}

impl Scanner {
    pub fn push(&mut self, fragment: &[u8], marks: &mut Vec<Mark>) {
        let mut at = 0;
        while let Some(rest) = fragment.get(at..).filter(|rest| !rest.is_empty()) {
            match &mut self.state {
                State::Text => {
                    let found = rest.iter().position(|byte| *byte == b'<');
                    self.notice(rest.get(..found.unwrap_or(rest.len())).unwrap_or_default());
                    let Some(found) = found else { return };
                    marks.push(Mark::Hold(at + found));
                    self.stray.clear();
                    self.seam = false;
                    self.state = State::Suspect(vec![b'<']);
                    at += found + 1;
                }
                State::Suspect(tag) => {
                    let Some(byte) = rest.first() else { return };
                    // A `<` begins anew.
                    let opens = if *byte == b'<' {
                        Opens::No
                    } else {
                        tag.push(*byte);
                        tags::opens(tag)
                    };
                    match opens {
                        Opens::Maybe => at += 1,
                        Opens::Yes(opening) => {
                            self.state = State::Open(Box::new(Call::new(opening)));
                            at += 1;
                        }
                        Opens::No => {
                            if *byte != b'<' {
                                tag.pop();
                            }
                            self.stray = std::mem::take(tag);
                            marks.push(Mark::Free(at));
                            self.state = State::Text;
                        }
                    }
                }
                State::Open(call) => match call.push(rest) {
                    None => return,
                    Some(end) => {
                        at += end;
                        let readings = call.readings(self.seam);
                        marks.push(Mark::Call(at, readings));
                        self.state = State::Text;
                    }
                },
            }
        }
    }

    pub fn seam(&mut self) {
        self.seam = true;
    }

    pub fn end(&mut self, marks: &mut Vec<Mark>) {
        match std::mem::take(&mut self.state) {
            State::Text => {}
            State::Suspect(_) => marks.push(Mark::Free(0)),
            State::Open(call) => marks.push(Mark::Call(0, call.readings(self.seam))),
        }
    }

    pub const fn saw_unknown(&self) -> bool {
        self.unknown
    }

    /// Follows a tag of free text to its end, to see whether it looks like a tool's.
    fn notice(&mut self, text: &[u8]) {
        if self.stray.is_empty() || self.unknown {
            return;
        }
        let end = text.iter().position(|byte| *byte == b'>');
        let more = text.get(..end.map_or(text.len(), |end| end + 1)).unwrap_or_default();
        if self.stray.len() + more.len() > LONGEST {
            self.stray.clear();
            return;
        }
        self.stray.extend_from_slice(more);
        if end.is_some() {
            self.unknown = tags::looks_like_tool(&self.stray);
            self.stray.clear();
        }
    }
}

/// A call that is open.
#[derive(Debug)]
struct Call {
    opening: Opening,
    body: Kept,
    /// The tag that is being read.
    tag: Vec<u8>,
    /// The parameter that is open.
    inside: Option<Vec<u8>>,
}

impl Call {
    fn new(opening: Opening) -> Self {
        Self { opening, body: Kept::default(), tag: Vec::new(), inside: None }
    }

    /// Takes what belongs to the call. Gives where it ends, if it does.
    fn push(&mut self, text: &[u8]) -> Option<usize> {
        let mut from = 0;
        for (at, byte) in text.iter().enumerate() {
            match byte {
                b'<' => {
                    self.tag.clear();
                    self.tag.push(b'<');
                }
                _ if self.tag.is_empty() => {}
                b'>' => {
                    self.tag.push(b'>');
                    self.body.push(text.get(from..=at).unwrap_or_default());
                    from = at + 1;
                    if self.tag_closed() {
                        return Some(at + 1);
                    }
                    self.tag.clear();
                }
                _ if self.tag.len() > LONGEST => self.tag.clear(),
                _ => self.tag.push(*byte),
            }
        }
        self.body.push(text.get(from..).unwrap_or_default());
        None
    }

    /// Whether the tag that has just closed ends the call.
    fn tag_closed(&mut self) -> bool {
        if let Some(name) = &self.inside {
            if tags::closes(&self.tag, name) {
                self.inside = None;
            }
            return false;
        }
        if tags::closes(&self.tag, self.opening.tag.as_bytes()) {
            return true;
        }
        if let Some((name, _)) = tags::any_opening(&self.tag) {
            self.inside = Some(name.to_vec());
        }
        false
    }

    fn readings(&self, seam: bool) -> Vec<Reading> {
        let text = match self.body.text() {
            _ if seam => Err("it is cut over several blocks, which clients join in different ways"),
            text => text,
        };
        match text {
            Ok(text) => readings::of(&self.opening, text),
            Err(why) => vec![Reading::fault(&self.opening.tool, why)],
        }
    }
}
