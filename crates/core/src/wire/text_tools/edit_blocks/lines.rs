//! Lines as Python's `splitlines` cuts them.

use std::collections::VecDeque;

/// A line that is complete, and what stands before it.
pub(super) struct At<'a> {
    /// The line without the space it begins with, cut to what is kept.
    pub line: &'a str,
    pub indented: bool,
    /// The lines before, the newest first.
    pub before: &'a VecDeque<String>,
    /// How much of the stretch has been kept before this line, and at its end.
    pub starts: usize,
    pub ends: usize,
}

/// Cuts a text into lines, whatever fragments it comes in.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// A `\r` was the last byte: a `\n` behind it is part of the same end.
    carriage: bool,
}

pub(super) enum Piece {
    /// So many bytes of a line.
    Part(usize),
    /// So many bytes of a line, and so many that end it.
    End { before: usize, end: usize },
    /// So many bytes that belong to the end of the line before.
    Rest(usize),
}

impl Cutter {
    /// The next piece of `text`, which is not empty.
    pub fn next(&mut self, text: &[u8]) -> Piece {
        if std::mem::take(&mut self.carriage) && text.first() == Some(&b'\n') {
            return Piece::Rest(1);
        }
        for (at, byte) in text.iter().enumerate() {
            // Bytes of UTF-8 sequences are 0x80 and above, so none of these is part of another character.
            let end = match byte {
                b'\n' | 0x0b | 0x0c | 0x1c..=0x1e => 1,
                b'\r' => {
                    self.carriage = true;
                    1
                }
                0xc2 if text.get(at + 1) == Some(&0x85) => 2,
                0xe2 if matches!(text.get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9])) => 3,
                _ => continue,
            };
            return Piece::End { before: at, end };
        }
        Piece::Part(text.len())
    }
}

/// How many bytes of space `text` begins with.
pub(super) fn leading_space(text: &[u8]) -> usize {
    let valid = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => {
            std::str::from_utf8(text.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
    };
    // Python counts U+001F as space too.
    valid.len() - valid.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{1f}').len()
}
