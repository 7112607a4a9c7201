//! Edit blocks, patches and fenced commands, as aider reads them.
//!
//! Which of its formats an agent uses is not known, and a model may write in any. So each format's reading
//! runs over the same lines, side by side: SEARCH/REPLACE blocks and commands in shell fences; whole files
//! in each of the seven fences it chooses from; patches. A stretch is open while any of them is inside of
//! something, and has what each of them found.
//!
//! A line is what Python's `splitlines` takes for one: readers that end lines elsewhere would find a fence
//! where we see the middle of a line.

use std::collections::VecDeque;

use super::{Kept, MOST_READINGS, Mark, Reading};
use crate::syntax::json;

mod lines;
use lines::{Cutter, Piece};

mod formats;
use formats::{Blocks, Fences, Found, Patches};

/// The longest line of which more is kept than its beginning: no path is longer.
const LONGEST_LINE: usize = 4096;

/// How many files named earlier a block without a name may mean.
const MOST_FILES: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct Scanner {
    cutter: Cutter,
    line: Line,
    /// What is held, if something is: it begins at the first byte of a line that is no space.
    held: Option<Stretch>,
    /// The last three lines, the newest first.
    before: VecDeque<String>,
    /// The files named so far, the newest last.
    files: Vec<String>,
    blocks: Blocks,
    fences: Fences,
    patches: Patches,
}

/// The line that is being read.
#[derive(Debug, Default)]
struct Line {
    /// What it says behind the space it begins with, up to [`LONGEST_LINE`].
    text: Vec<u8>,
    indented: bool,
    /// Whether it has been ruled out that it opens something.
    plain: bool,
}

#[derive(Debug, Default)]
struct Stretch {
    text: Kept,
    /// Where its last line begins.
    line_starts: usize,
    found: Vec<Found>,
    seam: bool,
}

impl Scanner {
    /// Reads on from `at`; gives up to where it has read.
    pub fn step(&mut self, fragment: &[u8], at: usize, marks: &mut VecDeque<Mark>) -> usize {
        let Some((_, rest)) = fragment.split_at_checked(at) else { return fragment.len() };
        let (taken, ends) = match self.cutter.next(rest) {
            Piece::Part(taken) => (taken, 0),
            Piece::End { before, end } => (before, end),
            Piece::Rest(taken) => return at + taken,
        };
        marks.extend(self.part(rest.get(..taken).unwrap_or_default(), at));
        if ends > 0 {
            marks.extend(self.line_ends(at + taken));
            if let Some(held) = &mut self.held {
                held.text.push(b"\n");
                held.line_starts = held.text.bytes.len();
            }
        }
        at + taken + ends
    }

    pub fn seam(&mut self) {
        match &mut self.held {
            Some(held) => held.seam = true,
            // For those who put a line end there; who does not has a line that opens nothing.
            None => {
                self.line_ends(0);
            }
        }
    }

    pub fn end(&mut self) -> Option<Mark> {
        let last = self.line_ends(0);
        let open = self.held.take().map(|mut held| {
            let ends = held.text.bytes.len();
            self.blocks.end(ends, &mut held.found);
            self.fences.end(ends, &mut held.found);
            self.patches.end(ends, &mut held.found);
            self.concluded(&held, 0)
        });
        last.or(open)
    }

    /// A part of a line, which begins at `at` of the fragment.
    fn part(&mut self, part: &[u8], at: usize) -> Option<Mark> {
        let mut from = 0;
        if self.line.text.is_empty() {
            // The space a line begins with matters only in that it is there.
            from = lines::leading_space(part);
            self.line.indented |= from > 0;
        }
        let said = part.get(from..).unwrap_or_default();
        let room = LONGEST_LINE.saturating_sub(self.line.text.len());
        self.line.text.extend_from_slice(said.get(..room.min(said.len())).unwrap_or_default());
        if let Some(held) = &mut self.held {
            held.text.push(part);
            if self.open() || self.line.plain || !self.rule_out() {
                return None;
            }
            self.held = None;
            return Some(Mark::Free(at));
        }
        if said.is_empty() || self.line.plain || self.rule_out() {
            return None;
        }
        let mut held = Stretch::default();
        held.text.push(said);
        self.held = Some(held);
        Some(Mark::Hold(at + from))
    }

    /// Whether the line so far opens nothing, whatever follows.
    fn rule_out(&mut self) -> bool {
        self.line.plain = !formats::may_open(&self.line.text, self.line.indented);
        self.line.plain
    }

    /// Whether some format is inside of something.
    fn open(&self) -> bool {
        self.blocks.open() || self.fences.open() || self.patches.open()
    }

    /// The line is complete; its end stands at `at` of the fragment.
    fn line_ends(&mut self, at: usize) -> Option<Mark> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line.text).into_owned();
        let mut mark = None;
        if let Some(mut held) = self.held.take() {
            let here = lines::At {
                line: &text,
                indented: line.indented,
                before: &self.before,
                starts: held.line_starts,
                ends: held.text.bytes.len(),
            };
            let was_in_block = self.blocks.open();
            self.blocks.line(&here, &mut held.found);
            self.fences.line(&here, was_in_block || self.blocks.open(), &mut held.found);
            self.patches.line(&here, &mut held.found);
            mark = match (self.open(), held.found.is_empty()) {
                (true, _) => {
                    self.held = Some(held);
                    None
                }
                (false, true) => Some(Mark::Free(at)),
                (false, false) => Some(self.concluded(&held, at)),
            };
        }
        self.before.truncate(2);
        self.before.push_front(if line.indented { format!(" {text}") } else { text });
        mark
    }

    /// The readings of a stretch that is over.
    fn concluded(&mut self, held: &Stretch, at: usize) -> Mark {
        let text = match held.text.text() {
            _ if held.seam => Err("it is cut over several blocks, which clients join in different ways"),
            text => text,
        };
        let text = match text {
            Ok(text) => text,
            Err(why) => return Mark::Call(at, vec![Reading::fault("edit_block", why)]),
        };
        let mut readings: Vec<Reading> = Vec::new();
        for found in &held.found {
            if formats::said_already(found, &held.found) {
                continue;
            }
            self.read(found, text, &mut readings);
            if readings.len() > MOST_READINGS {
                let why = "it can be read as more than 32 different calls";
                return Mark::Call(at, vec![Reading::fault("edit_block", why)]);
            }
        }
        Mark::Call(at, readings)
    }

    fn read(&mut self, found: &Found, text: &str, readings: &mut Vec<Reading>) {
        let part = |range: &std::ops::Range<usize>| text.get(range.clone()).unwrap_or_default();
        let mut add = |name: &str, arguments: Vec<(&str, Vec<&str>)>| {
            let reading = Reading { name: name.to_owned(), arguments: Ok(object(&arguments)) };
            if !readings.contains(&reading) {
                readings.push(reading);
            }
        };
        match found {
            Found::Command { shell, text } => {
                let script = part(text).trim();
                if script.is_empty() {
                    return;
                }
                add(shell, vec![("command", vec![script])]);
                // aider runs it line by line: what a quote or a here-document holds together runs apart.
                if script.contains(['\'', '"', '`', '\\']) || script.contains("<<") {
                    let lines = script.lines().map(str::trim);
                    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
                        add(shell, vec![("command", vec![line])]);
                    }
                }
            }
            Found::Edit { files, old, new } => {
                let named = self.named(files);
                add(
                    "edit_block",
                    vec![
                        ("path", named.iter().map(String::as_str).collect()),
                        ("old_text", vec![part(old)]),
                        ("new_text", vec![part(new)]),
                    ],
                );
            }
            Found::File { file, text: range, .. } => {
                let content = part(range);
                let mut files: Vec<String> = file.iter().cloned().collect();
                let hunks = content.contains("@@");
                // A patch may name files itself; if not, it goes on with the last one.
                let patched = content.lines().filter_map(|line| line.strip_prefix("+++ "));
                let patched: Vec<String> = patched
                    .take(MOST_FILES)
                    .map(|name| name.strip_prefix("b/").unwrap_or(name).trim().to_owned())
                    .collect();
                if !patched.is_empty() {
                    self.named(&patched);
                } else if hunks {
                    files.extend(self.files.iter().cloned());
                }
                if !files.is_empty() {
                    self.named(&files);
                }
                add(
                    "edit_block",
                    vec![("path", files.iter().map(String::as_str).collect()), ("content", vec![content])],
                );
            }
            Found::Patch { text } => add("apply_patch", vec![("patch", vec![part(text)])]),
        }
    }

    /// The files an edit names; without a name, every file named before it.
    fn named(&mut self, files: &[String]) -> Vec<String> {
        if files.is_empty() {
            return self.files.clone();
        }
        for file in files {
            self.files.retain(|known| known != file);
            self.files.push(file.clone());
        }
        let most = self.files.len().saturating_sub(MOST_FILES);
        self.files.drain(..most);
        files.to_vec()
    }
}

/// A JSON object; one value stands alone, several in a list, none is left out.
fn object(arguments: &[(&str, Vec<&str>)]) -> String {
    let mut out = b"{".to_vec();
    for (name, values) in arguments.iter().filter(|(_, values)| !values.is_empty()) {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(&json::quoted(name));
        out.push(b':');
        let mut list = values.iter();
        if let (Some(only), None) = (list.next(), list.next()) {
            out.extend_from_slice(&json::quoted(only));
            continue;
        }
        out.push(b'[');
        for (place, value) in values.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&json::quoted(value));
        }
        out.push(b']');
    }
    out.push(b'}');
    String::from_utf8(out).unwrap_or_default()
}
