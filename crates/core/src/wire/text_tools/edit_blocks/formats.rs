//! aider's formats, each as its parser takes the lines.

use std::collections::VecDeque;
use std::ops::Range;

use super::lines::At;

/// What one format has found in a stretch; ranges are of the text that was kept of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A command to run.
    Command { shell: &'static str, text: Range<usize> },
    /// A block that replaces `old` by `new`, in one of these files.
    Edit { files: Vec<String>, old: Range<usize>, new: Range<usize> },
    /// A whole file; `blocks` if nothing stands in it but edit blocks.
    File { file: Option<String>, text: Range<usize>, blocks: bool },
    /// A patch that names its files.
    Patch { text: Range<usize> },
}

/// Fences of shells, and the tool their text is a call of.
const SHELLS: [(&str, &str); 12] = [
    ("bash", "bash"),
    ("shell", "shell"),
    ("sh", "bash"),
    ("cmd", "cmd"),
    ("batch", "cmd"),
    ("powershell", "powershell"),
    ("ps1", "powershell"),
    ("zsh", "bash"),
    ("fish", "shell"),
    ("ksh", "bash"),
    ("csh", "shell"),
    ("tcsh", "shell"),
];

const TICKS: &str = "```";

/// The fences around files, of which aider takes the first that no file of the chat holds.
const FENCES: [(&str, &str); 7] = [
    (TICKS, TICKS),
    ("````", "````"),
    ("<source>", "</source>"),
    ("<code>", "</code>"),
    ("<pre>", "</pre>"),
    ("<codeblock>", "</codeblock>"),
    ("<sourcecode>", "</sourcecode>"),
];

const PATCH_BEGINS: [&str; 4] = ["*** Begin Patch", "*** Update File:", "*** Add File:", "*** Delete File:"];
const PATCH_ENDS: &str = "*** End Patch";

/// Whether a line that begins so may open something.
pub(super) fn may_open(line: &[u8], indented: bool) -> bool {
    let agree = |word: &str| {
        let common = word.len().min(line.len());
        line.get(..common) == word.as_bytes().get(..common)
    };
    agree(TICKS)
        || may_be_marker(line, b'<', b" SEARCH", b'>')
        || !indented
            && (FENCES.iter().any(|(open, close)| agree(open) || agree(close))
                || PATCH_BEGINS.iter().any(|word| agree(word)))
}

/// Whether `line` is, or may become, 5 to 9 of `sign`, then `word`, then perhaps `last`, then space.
fn may_be_marker(line: &[u8], sign: u8, word: &[u8], last: u8) -> bool {
    let signs = line.iter().take_while(|byte| **byte == sign).count();
    let rest = line.get(signs..).unwrap_or_default();
    if rest.is_empty() {
        return (1..=9).contains(&signs);
    }
    if !(5..=9).contains(&signs) {
        return false;
    }
    let common = word.len().min(rest.len());
    if rest.get(..common) != word.get(..common) {
        return false;
    }
    let behind = rest.get(common..).unwrap_or_default();
    let behind = behind.strip_prefix(&[last]).unwrap_or(behind);
    String::from_utf8_lossy(behind).trim().is_empty()
}

/// Whether a whole line is such a marker.
fn marker(line: &str, sign: char, word: &str, last: char) -> bool {
    let rest = line.trim_start_matches(sign);
    let signs = line.len() - rest.len();
    let Some(rest) = rest.strip_prefix(word) else { return false };
    (5..=9).contains(&signs) && rest.strip_prefix(last).unwrap_or(rest).trim().is_empty()
}

fn head(line: &str) -> bool {
    marker(line, '<', " SEARCH", '>')
}

fn divider(line: &str) -> bool {
    marker(line, '=', "", ' ')
}

fn updated(line: &str) -> bool {
    marker(line, '>', " REPLACE", ' ')
}

/// The shell whose fence begins here.
fn shell(line: &str) -> Option<&'static str> {
    let language = line.strip_prefix(TICKS)?;
    SHELLS.iter().find(|(word, _)| language.starts_with(word)).map(|(_, tool)| *tool)
}

/// SEARCH/REPLACE blocks, and commands in the fences of shells.
#[derive(Debug, Default)]
pub(super) struct Blocks(Inside);

#[derive(Debug, Default)]
enum Inside {
    #[default]
    Nothing,
    Shell {
        shell: &'static str,
        from: usize,
        lines: u32,
    },
    Search {
        files: Vec<String>,
        from: usize,
    },
    Replace {
        files: Vec<String>,
        old: Range<usize>,
        from: usize,
    },
}

impl Blocks {
    pub const fn open(&self) -> bool {
        !matches!(self.0, Inside::Nothing)
    }

    pub fn line(&mut self, here: &At<'_>, found: &mut Vec<Found>) {
        let behind = here.ends + 1;
        self.0 = match std::mem::take(&mut self.0) {
            // A block one or two lines behind the fence makes it no command.
            Inside::Nothing | Inside::Shell { lines: 0..=1, .. } if head(here.line) => {
                Inside::Search { files: names(here.before), from: behind }
            }
            Inside::Nothing => match shell(here.line) {
                Some(shell) => Inside::Shell { shell, from: behind, lines: 0 },
                None => Inside::Nothing,
            },
            Inside::Shell { shell, from, .. } if here.line.starts_with(TICKS) => {
                found.push(Found::Command { shell, text: from..here.starts });
                Inside::Nothing
            }
            Inside::Shell { shell, from, lines } => Inside::Shell { shell, from, lines: lines + 1 },
            Inside::Search { files, from } if divider(here.line) => {
                Inside::Replace { files, old: from..here.starts, from: behind }
            }
            Inside::Replace { files, old, from } if updated(here.line) || divider(here.line) => {
                found.push(Found::Edit { files, old, new: from..here.starts });
                Inside::Nothing
            }
            inside => inside,
        };
    }

    /// The text has ended: what is open counts as far as it came.
    pub fn end(&mut self, ends: usize, found: &mut Vec<Found>) {
        match std::mem::take(&mut self.0) {
            Inside::Nothing => {}
            Inside::Shell { shell, from, .. } => found.push(Found::Command { shell, text: from..ends }),
            Inside::Search { files, from } => {
                found.push(Found::Edit { files, old: from..from, new: from..ends });
            }
            Inside::Replace { files, old, from } => {
                found.push(Found::Edit { files, old, new: from..ends });
            }
        }
    }
}

/// The names a block may have: in the three lines before it, as long as they are fences.
fn names(before: &VecDeque<String>) -> Vec<String> {
    let mut names = Vec::new();
    for line in before {
        if let Some(name) = name_in(line)
            && !names.contains(&name)
        {
            names.push(name);
        }
        if !FENCES.iter().any(|(open, _)| line.starts_with(open)) {
            break;
        }
    }
    names
}

/// The file a line names, without the signs models put around it.
fn name_in(line: &str) -> Option<String> {
    let line = line.trim();
    if line == "..." {
        return None;
    }
    if let Some(rest) = FENCES.iter().find_map(|(open, _)| line.strip_prefix(open)) {
        return Some(rest.to_owned()).filter(|rest| rest.contains(['.', '/']));
    }
    let line = line.trim_end_matches(':').trim_start_matches('#').trim();
    let line = line.trim_matches('`').trim_matches('*');
    Some(line.to_owned()).filter(|name| !name.is_empty())
}

/// Whole files in fences. Each fence is followed on its own: a file in one may hold the others.
#[derive(Debug, Default)]
pub(super) struct Fences([Option<Fence>; FENCES.len()]);

#[derive(Debug)]
struct Fence {
    file: Option<String>,
    from: usize,
    /// Whether anything but edit blocks stands in it.
    other: bool,
}

impl Fences {
    pub fn open(&self) -> bool {
        self.0.iter().any(Option::is_some)
    }

    /// `in_block`: whether the line belongs to an edit block.
    pub fn line(&mut self, here: &At<'_>, in_block: bool, found: &mut Vec<Found>) {
        for (fence, (open, close)) in self.0.iter_mut().zip(FENCES) {
            if here.indented || !(here.line.starts_with(open) || here.line.starts_with(close)) {
                if let Some(fence) = fence {
                    fence.other |= !in_block && !here.line.trim().is_empty();
                }
                continue;
            }
            *fence = match fence.take() {
                Some(fence) => {
                    fence.found(here.starts, found);
                    None
                }
                None => {
                    let file = here.before.front().and_then(|line| whole_name(line));
                    Some(Fence { file, from: here.ends + 1, other: false })
                }
            };
        }
    }

    /// The text has ended: a file that is open counts as far as it came.
    pub fn end(&mut self, ends: usize, found: &mut Vec<Found>) {
        for fence in std::mem::take(&mut self.0).into_iter().flatten() {
            fence.found(ends, found);
        }
    }
}

impl Fence {
    fn found(self, ends: usize, found: &mut Vec<Found>) {
        let text = self.from..ends.max(self.from);
        found.push(Found::File { file: self.file, text, blocks: !self.other });
    }
}

/// The file that a line before a fence names.
fn whole_name(line: &str) -> Option<String> {
    let name = line.trim().trim_matches('*').trim_end_matches(':').trim_matches('`');
    let name = name.trim_start_matches('#').trim();
    Some(name.to_owned()).filter(|name| !name.is_empty() && name.len() <= 1000)
}

/// Whether what a fence holds is said by what else was found: edit blocks of the same file, or a command. A
/// line of prose before a command is no file anyone would miss.
pub(super) fn said_already(found: &Found, all: &[Found]) -> bool {
    let Found::File { file, text, blocks } = found else { return false };
    all.iter().any(|other| match other {
        Found::Edit { files, .. } => *blocks && file.as_ref().is_some_and(|file| files.contains(file)),
        Found::Command { text: command, .. } => {
            command == text
                && file.as_ref().is_none_or(|file| file.contains(' ') && !file.contains(['/', '\\']))
        }
        Found::File { .. } | Found::Patch { .. } => false,
    })
}

/// Patches that name their files.
#[derive(Debug, Default)]
pub(super) struct Patches(Option<usize>);

impl Patches {
    pub const fn open(&self) -> bool {
        self.0.is_some()
    }

    pub fn line(&mut self, here: &At<'_>, found: &mut Vec<Found>) {
        let Some(from) = self.0 else {
            if !here.indented && PATCH_BEGINS.iter().any(|begin| here.line.starts_with(begin)) {
                self.0 = Some(here.starts);
            }
            return;
        };
        let ends = here.line.trim_end() == PATCH_ENDS;
        // Any other line makes aider refuse the patch.
        let belongs = here.indented
            || here.line.is_empty()
            || ["+", "-", "@@", "***"].iter().any(|head| here.line.starts_with(head));
        if ends || !belongs {
            found.push(Found::Patch { text: from..if ends { here.ends } else { here.starts } });
            self.0 = None;
        }
    }

    /// The text has ended: aider does without the end of a patch.
    pub fn end(&mut self, ends: usize, found: &mut Vec<Found>) {
        if let Some(from) = self.0.take() {
            found.push(Found::Patch { text: from..ends });
        }
    }
}
