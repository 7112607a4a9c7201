//! The shape of a text: which parts of it are comments, attributes, hidden, fenced, rows of a table or
//! values of a record. Looked at once, and only if a key word stands somewhere.

use memchr::{memchr_iter, memrchr};

use super::marks::Mark;
use super::set::Set;
use super::sight::{Owner, Wanted};
use crate::detect::spot::Spot;

/// How far a hidden element may reach, in bytes.
const HIDDEN_REACH: usize = 4096;

/// How far an attribute's value may reach, in bytes.
const ATTRIBUTE_REACH: usize = 1024;

/// How much of a text tells what kind of document it is, in bytes.
const SAMPLE: usize = 16 << 10;

/// What opens a region, and which.
const OPENERS: [(&str, Opens); 32] = [
    ("[//]: #", Opens::Line),
    ("[comment]: #", Opens::Line),
    ("<!--", Opens::Comment),
    ("<! --", Opens::Comment),
    ("```", Opens::Fence),
    (" alt=", Opens::Attribute),
    (" title=", Opens::Attribute),
    (" aria-label=", Opens::Attribute),
    (" content=", Opens::Attribute),
    (" placeholder=", Opens::Attribute),
    (" data-", Opens::Attribute),
    ("display:none", Opens::Style),
    ("display: none", Opens::Style),
    ("visibility:hidden", Opens::Style),
    ("visibility: hidden", Opens::Style),
    ("font-size:0", Opens::Style),
    ("font-size: 0", Opens::Style),
    ("font-size:1px", Opens::Style),
    ("font-size: 1px", Opens::Style),
    ("opacity:0", Opens::Style),
    ("opacity: 0", Opens::Style),
    ("color:white", Opens::Style),
    ("color: white", Opens::Style),
    ("color:#fff", Opens::Style),
    ("color: #fff", Opens::Style),
    (":-9999", Opens::Style),
    (": -9999", Opens::Style),
    ("<noscript", Opens::Style),
    (" hidden>", Opens::Unshown),
    ("<hidden>", Opens::Unshown),
    (" value=", Opens::Attribute),
    (" summary=", Opens::Attribute),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opens {
    Comment,
    /// A comment of Markdown: to the end of the line.
    Line,
    Fence,
    Attribute,
    Style,
    /// A part that nobody is shown: from here.
    Unshown,
}

/// What the pass over all literals is to look for.
pub(super) fn literals() -> impl Iterator<Item = (Wanted, Owner)> {
    OPENERS.iter().enumerate().map(|(index, (text, _))| (Wanted::anywhere(text), Owner::Opener(index)))
}

/// What a text looks like.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Regions, in the order of their beginnings: start, end, mark.
    regions: Vec<(usize, usize, Mark)>,
    /// Marks of the whole text.
    whole: Set,
    table: bool,
    /// Some of its lines are headings, elements of lists or hold code.
    listed: bool,
    /// The text is a record: JSON, or a dictionary printed by a program.
    pub(super) record: bool,
    /// Where the text begins and ends, without space around it.
    inner: (usize, usize),
}

impl Shape {
    /// The shape of `text`, in which `openers` stand, none of them within another.
    pub(super) fn of(text: &str, openers: &[Spot]) -> Self {
        let mut shape = Self { regions: regions(text, openers), ..Self::default() };
        let start = text.len() - text.trim_start().len();
        shape.inner = (start, text.trim_end().len());
        let mut cut = text.len().min(SAMPLE);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let sample = text.get(..cut).unwrap_or_default();
        let mut lines = Lines::default();
        sample.lines().for_each(|line| lines.add(line));
        shape.table = lines.rows >= 3 && lines.rows * 5 >= lines.all;
        let head = sample.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '('));
        shape.record = (head.starts_with('{') || head.starts_with("[{"))
            && head.get(..400).unwrap_or(head).contains(':');
        shape.listed = lines.manual >= 2;
        if lines.manual >= 2 && lines.manual * 3 >= lines.all || lines.manual == 1 && lines.all <= 3 {
            shape.whole |= Mark::Manual.bit();
        }
        if lines.mail {
            shape.whole |= Mark::Mail.bit();
        }
        if defines_tool(sample) {
            shape.whole |= Mark::Tool.bit();
        }
        shape
    }

    /// Whether it has regions or is a table.
    pub(super) const fn has_places(&self) -> bool {
        self.table || !self.regions.is_empty()
    }

    /// Whether `at` is in a fenced block.
    pub(super) fn is_fenced(&self, at: usize) -> bool {
        self.regions_at(at).any(|mark| mark == Mark::Fence)
    }

    /// The regions that `at` is in. Regions of one kind do not nest, so they are among the last few that began before.
    fn regions_at(&self, at: usize) -> impl Iterator<Item = Mark> {
        let upto = self.regions.partition_point(|(from, _, _)| *from <= at);
        let near = self.regions.get(..upto).unwrap_or_default().iter().rev().take(8);
        near.filter(move |(_, to, _)| *to > at).map(|(_, _, mark)| *mark)
    }

    /// Marks of the clause at `start..end`, in which a key word stands at `key`.
    pub(super) fn marks(&self, text: &str, start: usize, key: usize, end: usize) -> Set {
        let mut set = self.regions_at(key).fold(self.whole, |set, mark| set | mark.bit());
        let line = line_at(text, start);
        let head = line.trim_start();
        if self.table {
            set |= if head.starts_with('|') { Mark::Cell.bit() } else { Mark::Outside.bit() };
        }
        if self.record {
            set |= Mark::Value.bit();
        }
        if self.listed && is_manual(head) {
            set |= Mark::Manual.bit();
        }
        let comments = ["//", "/*", "* ", "--", ";;", "%", "\"\"\""];
        if head.starts_with('#') && !head.starts_with("##")
            || head.starts_with(['/', '*', '-', ';', '%', '"'])
                && comments.iter().any(|mark| head.starts_with(mark))
        {
            set |= Mark::CodeComment.bit();
        }
        let after = text.get(end..).unwrap_or_default();
        let after = after.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '*'));
        let blocks = ["```", "~~~", "<code", "<pre"];
        if after.starts_with(['`', '~', '<']) && blocks.iter().any(|mark| after.starts_with(mark)) {
            set |= Mark::CodeFollows.bit();
        }
        if (end - start) * 10 >= (self.inner.1.saturating_sub(self.inner.0)) * 7 {
            set |= Mark::Alone.bit();
        }
        if start <= self.inner.0 + 2 {
            set |= Mark::First.bit();
        }
        if end + 2 >= self.inner.1 {
            set |= Mark::Last.bit();
        }
        set
    }
}

/// The line that `at` stands in, up to `at` and a little beyond.
fn line_at(text: &str, at: usize) -> &str {
    let bytes = text.as_bytes();
    // A clause may begin with the space before its first word.
    let mut at = at;
    while bytes.get(at).is_some_and(|b| matches!(b, b'\n' | b' ' | b'\t' | b'\r')) {
        at += 1;
    }
    let lowest = at.saturating_sub(512);
    let before = bytes.get(lowest..at).unwrap_or_default();
    let mut start = memrchr(b'\n', before).map_or(lowest, |last| lowest + last + 1);
    let mut end = bytes.len().min(at + 64);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(start..end).unwrap_or_default()
}

/// How many lines look like what.
#[derive(Debug, Default)]
struct Lines {
    all: usize,
    rows: usize,
    manual: usize,
    mail: bool,
}

impl Lines {
    fn add(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        self.all += 1;
        let bars = memchr_iter(b'|', line.as_bytes()).nth(1).is_some();
        let row = || line.starts_with('|') && line.ends_with('|') || line.matches(" | ").count() >= 2;
        self.rows += usize::from(line == "|" || bars && row());
        self.manual += usize::from(is_manual(line));
        let lower = [
            "hi ",
            "hi,",
            "hi all",
            "hello",
            "dear ",
            "best,",
            "regards",
            "from:",
            "subject:",
            "to:",
            "sincerely",
            "cheers",
            "thanks,",
        ];
        self.mail |= lower
            .iter()
            .any(|head| line.get(..head.len()).is_some_and(|start| start.eq_ignore_ascii_case(head)));
    }
}

/// Whether a text defines a tool for models, or is one of the other things a tool server says of itself.
fn defines_tool(text: &str) -> bool {
    let has = |word: &str| text.contains(word);
    let described = has("description") || has("instructions");
    [
        "inputSchema",
        "input_schema",
        "serverInfo",
        "@mcp.",
        "sampling/createMessage",
        "resource://",
        "licitation",
    ]
    .iter()
    .any(|word| has(word))
        || described && has("\"name\"") && !has("\"@type\"")
        || described
            && ["name:", "tool:", "tools:", "Tool manifest", "tool description"].iter().any(|word| has(word))
}

/// Whether a line is one of documentation: a heading, an element of a list, code within a sentence.
fn is_manual(line: &str) -> bool {
    let bytes = line.as_bytes();
    let digits = bytes.iter().take(2).take_while(|b| b.is_ascii_digit()).count();
    let numbered = bytes.get(digits..).is_some_and(|rest| rest.starts_with(b". "));
    let heads = ["# ", "## ", "### ", "#### ", "- ", "* ", "> ", "[^", ".. ", "$ ", "//", "#!", "/*"];
    let headed = line.starts_with(['#', '-', '*', '>', '[', '.', '$', '/'])
        && heads.iter().any(|head| line.starts_with(head));
    let link = || memchr_iter(b']', bytes).any(|at| bytes.get(at + 1) == Some(&b'('));
    let inline = || !line.starts_with("```") && (memchr_iter(b'`', bytes).nth(1).is_some() || link());
    numbered || headed || inline()
}

fn regions(text: &str, openers: &[Spot]) -> Vec<(usize, usize, Mark)> {
    let mut regions = Vec::new();
    let mut fence: Option<usize> = None;
    // Where the search for an end stopped last, by kind: no text is searched twice.
    let mut comment_until = 0;
    for hit in openers {
        let Some((_, opens)) = OPENERS.get(hit.literal) else { continue };
        match opens {
            Opens::Comment if hit.start >= comment_until => {
                let end = after(text, hit.end, "-->", usize::MAX).unwrap_or(text.len());
                comment_until = end;
                regions.push((hit.end, end, Mark::Comment));
            }
            Opens::Comment => {}
            Opens::Line => {
                let end = after(text, hit.end, "\n", HIDDEN_REACH).unwrap_or(text.len());
                regions.push((hit.start, end, Mark::Comment));
            }
            Opens::Fence => match fence.take() {
                None => fence = Some(hit.end),
                Some(start) => regions.push((start, hit.start, Mark::Fence)),
            },
            Opens::Attribute => {
                let name = text.get(hit.end..).unwrap_or_default();
                let Some(gap) = name.bytes().take(24).position(|b| b == b'"' || b == b'\'') else { continue };
                let start = hit.end + gap + 1;
                let quote = if name.as_bytes().get(gap) == Some(&b'"') { "\"" } else { "'" };
                let end = after(text, start, quote, ATTRIBUTE_REACH).unwrap_or(start);
                regions.push((start, end, Mark::Attribute));
            }
            Opens::Style => {
                let Some(start) = after(text, hit.end, ">", 512) else { continue };
                let end = after(text, start + 1, "</", HIDDEN_REACH).unwrap_or(start);
                regions.push((start, end, Mark::Unseen));
            }
            Opens::Unshown => {
                let end = after(text, hit.end, "</", HIDDEN_REACH).unwrap_or(hit.end);
                regions.push((hit.end, end, Mark::Unseen));
            }
        }
    }
    regions.extend(fence.map(|start| (start, text.len(), Mark::Fence)));
    regions.sort_unstable_by_key(|(start, _, _)| *start);
    regions
}

/// Where `mark` stands at or after `from`, not further than `reach` bytes.
fn after(text: &str, from: usize, mark: &str, reach: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let end = bytes.len().min(from.saturating_add(reach));
    let window = bytes.get(from..end)?;
    window.windows(mark.len()).position(|window| window == mark.as_bytes()).map(|at| from + at)
}
