//! Tags with the names of tools, as Cline and its relatives read them.
//!
//! Their parsers agree on the beginning: a known tool's tag opens a call wherever it stands, in prose, in
//! quotes or in a fence. They differ on the end: one looks for the first closing tag, another ignores it
//! inside a parameter, and which parameters there are differs by version. A call left open when the text
//! ends is run as it is. So a stretch is followed in every way at once and ends where the last of them has;
//! what the others read before that are readings too.

use std::collections::VecDeque;

use super::readings;
use super::tags::{self, Form, Known, LONGEST, Opening, Opens};
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
    /// Reads on from `at`; gives up to where it has read.
    pub fn step(&mut self, fragment: &[u8], at: usize, marks: &mut VecDeque<Mark>) -> usize {
        let Some((_, rest)) = fragment.split_at_checked(at) else { return fragment.len() };
        match &mut self.state {
            State::Text => {
                let found = rest.iter().position(|byte| *byte == b'<');
                self.notice(rest.get(..found.unwrap_or(rest.len())).unwrap_or_default());
                let Some(found) = found else { return fragment.len() };
                marks.push_back(Mark::Hold(at + found));
                self.stray.clear();
                self.seam = false;
                self.state = State::Suspect(vec![b'<']);
                at + found + 1
            }
            State::Suspect(tag) => {
                let Some(byte) = rest.first() else { return fragment.len() };
                // A `<` begins anew.
                let opens = if *byte == b'<' {
                    Opens::No
                } else {
                    tag.push(*byte);
                    tags::opens(tag)
                };
                match opens {
                    Opens::Maybe => at + 1,
                    Opens::Yes(opening) => {
                        self.state = State::Open(Box::new(Call::new(opening)));
                        at + 1
                    }
                    Opens::No => {
                        if *byte != b'<' {
                            tag.pop();
                        }
                        self.stray = std::mem::take(tag);
                        marks.push_back(Mark::Free(at));
                        self.state = State::Text;
                        at
                    }
                }
            }
            State::Open(call) => match call.push(rest) {
                None => fragment.len(),
                Some(end) => {
                    marks.push_back(Mark::Call(at + end, call.readings(self.seam)));
                    self.state = State::Text;
                    at + end
                }
            },
        }
    }

    pub fn seam(&mut self) {
        self.seam = true;
    }

    pub fn end(&mut self) -> Option<Mark> {
        match std::mem::take(&mut self.state) {
            State::Text => None,
            State::Suspect(_) => Some(Mark::Free(0)),
            State::Open(call) => Some(Mark::Call(0, call.readings(self.seam))),
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
    /// Where parsers are that are inside of a call.
    places: Vec<Place>,
}

/// Where a parser is that has read some tag as the beginning of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// What closes the call.
    call: String,
    /// Whether it looks for parameters.
    parameters: bool,
    /// The parameter it is inside of.
    inside: Option<Vec<u8>>,
}

/// How many places are followed at once; beyond, the call ends with the text.
const MOST_PLACES: usize = 64;

impl Call {
    fn new(opening: Opening) -> Self {
        let places = vec![Place::of(&opening)];
        Self { opening, body: Kept::default(), tag: Vec::new(), places }
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

    /// Takes the tag that has just closed; gives whether no parser is inside of a call any more.
    fn tag_closed(&mut self) -> bool {
        if self.places.len() > MOST_PLACES {
            return false;
        }
        let mut places: Vec<Place> = Vec::with_capacity(self.places.len() + 1);
        let mut add = |place: Place| {
            if !places.contains(&place) {
                places.push(place);
            }
        };
        for place in std::mem::take(&mut self.places) {
            place.after(&self.tag, &mut add);
        }
        // To those that do not know the call around it, a call begins wherever its tag stands.
        if let Opens::Yes(opening) = tags::opens(&self.tag) {
            add(Place::of(&opening));
        }
        self.places = places;
        self.places.is_empty()
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

impl Place {
    fn of(opening: &Opening) -> Self {
        Self { call: opening.tag.clone(), parameters: opening.form == Form::Parameters, inside: None }
    }

    /// Where a parser that is here may be behind `tag`.
    fn after(self, tag: &[u8], add: &mut impl FnMut(Self)) {
        if let Some(name) = &self.inside {
            let inside = self.inside.clone().filter(|_| !tags::closes(tag, name));
            return add(Self { inside, ..self });
        }
        if tags::closes(tag, self.call.as_bytes()) {
            return;
        }
        let opened = tags::any_opening(tag).filter(|_| self.parameters);
        let Some((name, known)) = opened.and_then(|(name, _)| Some((name, tags::parameter(name)?))) else {
            return add(self);
        };
        add(Self { inside: Some(name.to_ascii_lowercase()), ..self.clone() });
        if known == Known::Somewhere {
            add(self);
        }
    }
}
