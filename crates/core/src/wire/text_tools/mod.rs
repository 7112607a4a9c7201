//! Calls in plain text: agents that declare no tools and parse what the model says.
//!
//! Cline, Roo Code, Kilo Code and `OpenHands` read tags (`<execute_command><command>…`), aider reads edit
//! blocks and fenced commands. Their parsers are lenient and differ from each other and from version to
//! version. So a [`Scanner`] does not look for *the* call in a text: it finds the stretch that some client
//! reads a call in, up to where the last of them has stopped, and gives every [`Reading`] of it. All of
//! them are judged, and the stretch goes on if all may.
//!
//! The scanner does no I/O and keeps no text but a stretch that is open. Its work is linear in the text, and
//! any cut of the same text into fragments gives the same stretches and readings.

mod beside;
mod edit_blocks;
mod lane;
mod readings;
mod tags;
mod told;
mod xml;

use std::collections::VecDeque;

pub(crate) use beside::List;
pub(crate) use lane::{Heard, Lane, Stretch, join_edits};
pub(crate) use told::Told;

/// The longest call: what the arguments of one reply may take altogether.
const MOST_TEXT: usize = 4 << 20;

/// The most readings one stretch may have; beyond, it is a fault. Twice what several files in one honest
/// call need.
const MOST_READINGS: usize = 32;

/// How an agent reads calls from text. Set for each agent, never guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TextTools {
    /// Nobody has said: no text is held, and a reply to a request without tools is not fully covered.
    #[default]
    Unset,
    /// It reads no calls from text.
    None,
    /// It reads tags with the names of tools (Cline, Roo Code, Kilo Code, `OpenHands`).
    Xml,
    /// It reads edit blocks, patches and fenced commands (aider).
    EditBlocks,
}

impl TextTools {
    /// Every value that can be set, by its word in the settings.
    pub const WORDS: [(&str, Self); 3] =
        [("none", Self::None), ("xml", Self::Xml), ("edit_blocks", Self::EditBlocks)];

    /// Whether text is held.
    #[must_use]
    pub const fn holds(self) -> bool {
        matches!(self, Self::Xml | Self::EditBlocks)
    }
}

/// What one client may take a stretch of text for: a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The tool.
    pub name: String,
    /// Its arguments as the text of a JSON object, or why they cannot be judged.
    pub arguments: Result<String, String>,
}

impl Reading {
    fn fault(name: &str, why: &str) -> Self {
        Self { name: name.to_owned(), arguments: Err(why.to_owned()) }
    }
}

/// What a scanner says of a fragment. Offsets are bytes of that fragment; what is held may have begun in
/// an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// From here on the text may be a call.
    Hold(usize),
    /// What was held up to here is none.
    Free(usize),
    /// What was held up to here is a call to some client.
    Call(usize, Vec<Reading>),
}

/// Finds calls in one text that comes in fragments.
#[derive(Debug)]
pub(crate) struct Scanner {
    format: Format,
    /// Said, but not taken yet: two at most.
    marks: VecDeque<Mark>,
}

#[derive(Debug)]
enum Format {
    Xml(xml::Scanner),
    EditBlocks(Box<edit_blocks::Scanner>),
}

impl Scanner {
    /// A scanner for agents that read text so; `None` if no text is to be held.
    pub fn new(text_tools: TextTools) -> Option<Self> {
        let format = match text_tools {
            TextTools::Unset | TextTools::None => return None,
            TextTools::Xml => Format::Xml(xml::Scanner::default()),
            TextTools::EditBlocks => Format::EditBlocks(Box::default()),
        };
        Some(Self { format, marks: VecDeque::new() })
    }

    /// The next mark in `fragment` (WTF-8), of which everything before `at` has been read. `None`: it has been
    /// read to its end.
    pub fn next(&mut self, fragment: &[u8], at: &mut usize) -> Option<Mark> {
        loop {
            if let Some(mark) = self.marks.pop_front() {
                return Some(mark);
            }
            if *at >= fragment.len() {
                return None;
            }
            *at = match &mut self.format {
                Format::Xml(scanner) => scanner.step(fragment, *at, &mut self.marks),
                Format::EditBlocks(scanner) => scanner.step(fragment, *at, &mut self.marks),
            };
        }
    }

    /// A seam: some clients join the text before and behind it as it is, others put a line end between.
    pub fn seam(&mut self) {
        match &mut self.format {
            Format::Xml(scanner) => scanner.seam(),
            Format::EditBlocks(scanner) => scanner.seam(),
        }
    }

    /// The text has ended. What is held is settled; the offset is 0.
    pub fn end(&mut self) -> Option<Mark> {
        match &mut self.format {
            Format::Xml(scanner) => scanner.end(),
            Format::EditBlocks(scanner) => scanner.end(),
        }
    }

    /// Whether something like a call has passed that nobody here knows.
    pub const fn saw_unknown(&self) -> bool {
        match &self.format {
            Format::Xml(scanner) => scanner.saw_unknown(),
            Format::EditBlocks(_) => false,
        }
    }
}

/// Text that is kept, up to [`MOST_TEXT`].
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    over: bool,
}

impl Kept {
    fn push(&mut self, more: &[u8]) {
        if self.over || self.bytes.len().saturating_add(more.len()) > MOST_TEXT {
            self.over = true;
            self.bytes = Vec::new();
            return;
        }
        crate::syntax::json::push_wtf8(more, &mut self.bytes);
    }

    fn text(&self) -> Result<&str, &'static str> {
        if self.over {
            return Err("it is larger than 4 MiB");
        }
        std::str::from_utf8(&self.bytes).map_err(|_| "it holds half a surrogate pair")
    }
}

#[cfg(test)]
mod tests;
