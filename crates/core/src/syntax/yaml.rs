//! Strict YAML for what people write (policy, configuration, rules), into the same [`Node`] tree as
//! JSON.
//!
//! Scalars follow the YAML 1.2 core schema: `no` and `on` are text, `012` is twelve. What would make
//! two readers disagree, or a reader see something the author did not write, is a fault: duplicate
//! keys, anchors, aliases, merge keys, tags, several documents, values that are not finite.

use std::collections::HashSet;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::{Diagnostic, Kind, Member, Node, Span, Str};

/// How deep values may nest.
pub const MAX_DEPTH: usize = 64;

/// The largest source, in bytes: 4 MiB.
pub const MAX_BYTES: usize = 4 << 20;

/// The most faults reported at once; past these a file is not YAML a person wrote.
const MOST_FAULTS: usize = 100;

/// Parses exactly one document. An empty one is `null`.
///
/// # Errors
/// All faults found, in source order. What the scanner cannot get past ends the list.
pub fn parse(source: &[u8]) -> Result<Node, Vec<Diagnostic>> {
    match read(source) {
        (Some(node), faults) if faults.is_empty() => Ok(node),
        (_, faults) => Err(faults),
    }
}

/// Parses exactly one document, and gives what could be read of it beside its faults, so that a person is told what is
/// wrong with the rest in the same breath. With any fault it is no document: where an alias stands, for one, is nothing.
#[must_use]
pub fn read(source: &[u8]) -> (Option<Node>, Vec<Diagnostic>) {
    let text = match readable(source) {
        Ok(text) => text,
        Err(fault) => return (None, vec![fault]),
    };
    let mut ended = true;
    let mut tree = Tree { offsets: Offsets::of(text), open: Vec::new(), root: None, faults: Vec::new() };
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let at = tree.offsets.byte(error.marker());
                tree.fault(Span::new(at, at), error.info().to_owned(), "");
                ended = false;
                break;
            }
        };
        let span = Span::new(tree.offsets.byte(&span.start), tree.offsets.byte(&span.end));
        if matches!(event, Event::DocumentStart(_)) {
            documents += 1;
        }
        if documents > 1 {
            tree.fault(span, "a second YAML document", "keep one document in a file");
            ended = false;
            break;
        }
        if tree.take(event, span).is_err() || tree.faults.len() >= MOST_FAULTS {
            ended = false;
            break;
        }
    }
    let Tree { root, mut faults, .. } = tree;
    faults.sort_by_key(|fault| fault.span);
    let root = ended.then(|| root.unwrap_or(Node { kind: Kind::Null, span: Span::default() }));
    (root, faults)
}

/// The source as text, if it is text a YAML reader can agree on.
fn readable(source: &[u8]) -> Result<&str, Diagnostic> {
    if source.len() > MAX_BYTES {
        return Err(Diagnostic::error(Span::default(), "larger than 4 MiB").advise("split it"));
    }
    let text = std::str::from_utf8(source).map_err(|error| {
        let at = position(error.valid_up_to());
        Diagnostic::error(Span::new(at, at + 1), "not UTF-8").advise("save the file as UTF-8")
    })?;
    if text.starts_with('\u{feff}') {
        return Err(Diagnostic::error(Span::new(0, 3), "a byte order mark")
            .advise("save the file as UTF-8 without a byte order mark"));
    }
    // YAML 1.2.2, 5.1: none of these may stand in a stream. A bare carriage return is a line break to
    // some readers only.
    let odd = text.bytes().enumerate().find(|(at, byte)| match byte {
        b'\t' | b'\n' => false,
        b'\r' => source.get(at + 1) != Some(&b'\n'),
        byte => *byte < b' ' || *byte == 0x7f,
    });
    match odd {
        Some((at, byte)) => {
            let at = position(at);
            Err(Diagnostic::error(Span::new(at, at + 1), format!("control character 0x{byte:02x}"))
                .advise("remove it, or write it as an escape in double quotes"))
        }
        None => Ok(text),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "sources are at most 4 MiB")]
const fn position(at: usize) -> u32 {
    at as u32
}

/// The scanner counts characters, spans count bytes.
enum Offsets {
    Ascii(u32),
    Table(Vec<u32>),
}

impl Offsets {
    fn of(text: &str) -> Self {
        if text.is_ascii() {
            return Self::Ascii(position(text.len()));
        }
        let ends = std::iter::once(position(text.len()));
        Self::Table(text.char_indices().map(|(at, _)| position(at)).chain(ends).collect())
    }

    fn byte(&self, marker: &Marker) -> u32 {
        match self {
            Self::Ascii(end) => position(marker.index()).min(*end),
            Self::Table(table) => table.get(marker.index()).or(table.last()).copied().unwrap_or(0),
        }
    }
}

/// A container that is not closed yet.
struct Open {
    start: u32,
    /// The end of what was put in last: block containers have no closing bracket.
    end: u32,
    inside: Inside,
}

enum Inside {
    Sequence(Vec<Node>),
    Mapping { members: Vec<Member>, key: Option<(Str, Span)>, seen: HashSet<Box<str>> },
}

struct Tree {
    offsets: Offsets,
    open: Vec<Open>,
    root: Option<Node>,
    faults: Vec<Diagnostic>,
}

/// Reading cannot go on.
struct Stop;

impl Tree {
    fn fault(&mut self, span: Span, message: impl Into<String>, advice: &str) {
        self.faults.push(Diagnostic::error(span, message).advise(advice));
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.marks(anchor, tag.is_some(), span);
                self.scalar(&text, style, span);
            }
            Event::SequenceStart(anchor, tag) => {
                self.marks(anchor, tag.is_some(), span);
                self.start(Inside::Sequence(Vec::new()), span)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.marks(anchor, tag.is_some(), span);
                let inside = Inside::Mapping { members: Vec::new(), key: None, seen: HashSet::new() };
                self.start(inside, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(_) => {
                self.fault(span, "an alias", "write the value out again");
                // Something, so that nobody says that nothing stands there.
                self.put(Node { kind: Kind::Object(Vec::new()), span });
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn marks(&mut self, anchor: usize, tag: bool, span: Span) {
        if anchor != 0 {
            self.fault(span, "an anchor", "write the value out where it is needed");
        }
        if tag {
            self.fault(span, "a tag", "remove it: quotes make text, digits make numbers");
        }
    }

    fn start(&mut self, inside: Inside, span: Span) -> Result<(), Stop> {
        if self.open.len() >= MAX_DEPTH {
            self.fault(span, format!("nested deeper than {MAX_DEPTH} levels"), "");
            return Err(Stop);
        }
        if self.wants_key() {
            self.fault(span, "a list or mapping used as a key", "keys are plain text");
        }
        self.open.push(Open { start: span.start, end: span.end, inside });
        Ok(())
    }

    fn end(&mut self, span: Span) {
        let Some(open) = self.open.pop() else { return };
        let end = if span.end > span.start { span.end } else { open.end };
        let kind = match open.inside {
            Inside::Sequence(elements) => Kind::Array(elements),
            Inside::Mapping { members, .. } => Kind::Object(members),
        };
        self.put(Node { kind, span: Span::new(open.start, end.max(open.start)) });
    }

    /// Whether the next node is a key.
    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { inside: Inside::Mapping { key: None, .. }, .. }))
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) {
        let plain = style == ScalarStyle::Plain;
        if self.wants_key() {
            self.key(text, plain, span);
            return;
        }
        let kind = if plain { self.plain(text, span) } else { Kind::String(Str::new(text)) };
        self.put(Node { kind, span });
    }

    fn key(&mut self, text: &str, plain: bool, span: Span) {
        if plain && text == "<<" {
            self.fault(span, "a merge key", "write the keys out, or quote it if it is meant as text");
        } else if plain && text.is_empty() {
            self.fault(span, "a value without a key", "");
        }
        let mut twice = false;
        if let Some(Open { inside: Inside::Mapping { key, seen, .. }, end, .. }) = self.open.last_mut() {
            twice = !seen.insert(text.into());
            *key = Some((Str::new(text), span));
            *end = (*end).max(span.end);
        }
        if twice {
            self.fault(span, format!("`{}` is given twice", shown(text)), "keep one of them");
        }
    }

    /// A plain scalar by the core schema (YAML 1.2.2, 10.3.2).
    fn plain(&mut self, text: &str, span: Span) -> Kind {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
            "true" | "True" | "TRUE" => Kind::Bool(true),
            "false" | "False" | "FALSE" => Kind::Bool(false),
            _ if is_decimal(text) => Kind::Number(text.into()),
            _ => match radix(text) {
                Some(Ok(value)) => Kind::Number(value.to_string().into()),
                Some(Err(())) => {
                    self.fault(span, format!("the number `{}` is too large", shown(text)), "");
                    Kind::Null
                }
                None if is_not_finite(text) => {
                    let advice = "put it in quotes if it is meant as text";
                    self.fault(span, format!("`{}` is not a finite number", shown(text)), advice);
                    Kind::Null
                }
                None => Kind::String(Str::new(text)),
            },
        }
    }

    fn put(&mut self, node: Node) {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        open.end = open.end.max(node.span.end);
        match &mut open.inside {
            Inside::Sequence(elements) => elements.push(node),
            Inside::Mapping { members, key, .. } => match key.take() {
                Some((key, key_span)) => members.push(Member { key, key_span, value: node }),
                // A container as a key: already a fault, keep keys and values in step.
                None => *key = Some((Str::new(""), node.span)),
            },
        }
    }
}

/// At most forty characters of what the user wrote.
fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(40).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_decimal(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_is_good = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    !(whole.is_empty() && fraction.is_empty()) && digits(whole) && digits(fraction) && exponent_is_good
}

/// `0x1F` and `0o17`, which the schema has beside decimals.
fn radix(text: &str) -> Option<Result<u64, ()>> {
    let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) => (digits, 8),
        (None, None) => return None,
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some(u64::from_str_radix(digits, radix).map_err(|_| ()))
}

fn is_not_finite(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(rest, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}
