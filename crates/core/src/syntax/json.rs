//! Strict JSON (RFC 8259) with spans: duplicate keys, invalid UTF-8, a byte order mark, trailing bytes
//! and excess depth are faults. Lone surrogates are kept (see [`Str`]): whether they are tolerable is
//! for the reader of the field to say.

use std::collections::HashSet;

use super::{Kind, Member, Node, Span, Str};

/// How deep values may nest: far beyond any provider's schema, far below what exhausts a stack.
pub const MAX_DEPTH: u32 = 128;

/// How many values a text may hold: bounds the memory of a tree to about 100 MB.
pub const MAX_NODES: u32 = 1_000_000;

/// Why a text is not strict JSON, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {at}")]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// The offset where it was found.
    pub at: u32,
}

/// What is wrong with a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// The text ended inside a value.
    #[error("unexpected end of JSON")]
    Truncated,
    /// A byte that cannot stand here.
    #[error("unexpected byte")]
    Unexpected,
    /// The same key twice in one object: readers disagree on which counts.
    #[error("duplicate key")]
    DuplicateKey,
    /// Bytes that are not UTF-8.
    #[error("invalid UTF-8")]
    Utf8,
    /// A raw control character inside a string.
    #[error("control character in a string")]
    Control,
    /// An escape that JSON does not have.
    #[error("bad escape")]
    Escape,
    /// A number JSON does not have, such as `01` or `1.`.
    #[error("bad number")]
    Number,
    /// Deeper than [`MAX_DEPTH`].
    #[error("nested deeper than 128 levels")]
    Depth,
    /// Something after the value.
    #[error("bytes after the JSON value")]
    Trailing,
    /// U+FEFF before the value: some readers skip it, others fail.
    #[error("byte order mark")]
    ByteOrderMark,
    /// More than [`MAX_NODES`] values: a tree is many times larger than its text.
    #[error("more than 1,000,000 values")]
    Nodes,
    /// 4 GiB or more.
    #[error("too large")]
    Size,
}

/// Parses exactly one value, white space around it allowed.
///
/// # Errors
/// The first [`Fault`] found.
pub fn parse(source: &[u8]) -> Result<Node, Fault> {
    if u32::try_from(source.len()).is_err() {
        return Err(Fault { kind: FaultKind::Size, at: 0 });
    }
    if source.starts_with(b"\xef\xbb\xbf") {
        return Err(Fault { kind: FaultKind::ByteOrderMark, at: 0 });
    }
    // One vectorised pass over the whole text is cheaper than checking each string on its own.
    if let Err(error) = std::str::from_utf8(source) {
        return Err(Fault { kind: FaultKind::Utf8, at: position(error.valid_up_to()) });
    }
    let mut parser = Parser { source, at: 0, nodes: 0 };
    parser.space();
    let node = parser.value(0)?;
    parser.space();
    if parser.peek().is_some() { Err(parser.fault(FaultKind::Trailing)) } else { Ok(node) }
}

/// The inside of a string that stands for itself, without escapes: `source` begins behind the opening quote. `None` if there are
/// escapes, if it is no strict JSON, or if the closing quote is missing.
#[must_use]
pub fn verbatim(source: &[u8]) -> Option<&str> {
    let (run, rest) = source.split_at_checked(plain_run(source))?;
    if rest.first() == Some(&b'"') { std::str::from_utf8(run).ok() } else { None }
}

/// Reads the inside of a string: `source` begins behind the opening quote. Returns how many bytes stand before
/// the closing quote and appends them, decoded, to `out` as WTF-8; `None` if they are not strict JSON or the
/// closing quote is missing.
pub fn inside(source: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    if let Some(run) = verbatim(source) {
        out.extend_from_slice(run.as_bytes());
        return Some(run.len());
    }
    let mut parser = Parser { source, at: 0, nodes: 0 };
    let mut decoded = Vec::new();
    parser.decode(&mut decoded).ok()?;
    let length = parser.at.checked_sub(1)?;
    std::str::from_utf8(source.get(..length)?).ok()?;
    push_wtf8(&decoded, out);
    Some(length)
}

/// How many bytes at the beginning of `bytes` stand for themselves in a string: up to the first quote,
/// backslash or control character. Eight at a time: strings are most of any text.
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let (words, _) = bytes.as_chunks::<8>();
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & TOPS;
    let stops = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
        control | zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) != 0
    };
    let skipped = words.iter().position(stops).unwrap_or(words.len()) * 8;
    let rest = bytes.get(skipped..).unwrap_or_default();
    let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
    skipped + stop.unwrap_or(rest.len())
}

/// Appends `text` as the inside of a JSON string: quotes, backslashes and controls escaped.
pub fn escape_into(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len());
    let mut rest = text;
    loop {
        let stands = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        let run = rest.bytes().position(|byte| !stands(byte)).unwrap_or(rest.len());
        let Some((run, behind)) = rest.split_at_checked(run) else { return };
        out.extend_from_slice(run.as_bytes());
        let Some(c) = behind.chars().next() else { return };
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            // U+2028 and U+2029 end a line for some SSE readers; escaped they end it for none.
            c if c < ' ' || matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}') => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = behind.get(c.len_utf8()..).unwrap_or_default();
    }
}

/// Appends `node` as JSON, without spaces. Numbers keep their digits; half a surrogate pair becomes U+FFFD.
pub fn write(node: &Node, out: &mut Vec<u8>) {
    match &node.kind {
        Kind::Null => out.extend_from_slice(b"null"),
        Kind::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Kind::Number(digits) => out.extend_from_slice(digits.as_bytes()),
        Kind::String(text) => out.extend(quoted(text)),
        Kind::Array(nodes) => {
            out.push(b'[');
            for (at, node) in nodes.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(node, out);
            }
            out.push(b']');
        }
        Kind::Object(members) => {
            out.push(b'{');
            for (at, member) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend(quoted(&member.key));
                out.push(b':');
                write(&member.value, out);
            }
            out.push(b'}');
        }
    }
}

/// `text` as a JSON string with its quotes.
#[must_use]
pub fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    escape_into(text, &mut out);
    out.push(b'"');
    out
}

struct Parser<'a> {
    source: &'a [u8],
    at: usize,
    nodes: u32,
}

#[expect(clippy::cast_possible_truncation, reason = "`parse` refuses sources of 4 GiB and more")]
const fn position(at: usize) -> u32 {
    at as u32
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    fn fault(&self, kind: FaultKind) -> Fault {
        Fault { kind, at: position(self.at) }
    }

    /// The fault for a byte that should not be here, or for there being none.
    fn unexpected(&self) -> Fault {
        self.fault(if self.peek().is_none() { FaultKind::Truncated } else { FaultKind::Unexpected })
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let hit = self.peek() == Some(byte);
        self.at += usize::from(hit);
        hit
    }

    fn value(&mut self, depth: u32) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(self.fault(FaultKind::Depth));
        }
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.fault(FaultKind::Nodes));
        }
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Kind::String(self.string()?),
            Some(b't') => self.word(b"true", Kind::Bool(true))?,
            Some(b'f') => self.word(b"false", Kind::Bool(false))?,
            Some(b'n') => self.word(b"null", Kind::Null)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return Err(self.unexpected()),
        };
        Ok(Node { kind, span: Span::new(position(start), position(self.at)) })
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, Fault> {
        for expected in word {
            if !self.eat(*expected) {
                return Err(self.unexpected());
            }
        }
        Ok(kind)
    }

    fn array(&mut self, depth: u32) -> Result<Kind, Fault> {
        self.at += 1;
        let mut elements = Vec::new();
        self.space();
        if self.eat(b']') {
            return Ok(Kind::Array(elements));
        }
        loop {
            self.space();
            elements.push(self.value(depth + 1)?);
            self.space();
            if self.eat(b']') {
                return Ok(Kind::Array(elements));
            }
            if !self.eat(b',') {
                return Err(self.unexpected());
            }
        }
    }

    fn object(&mut self, depth: u32) -> Result<Kind, Fault> {
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        self.space();
        if self.eat(b'}') {
            return Ok(Kind::Object(members));
        }
        loop {
            self.space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.unexpected());
            }
            let key = self.string()?;
            let key_span = Span::new(position(start), position(self.at));
            self.space();
            if !self.eat(b':') {
                return Err(self.unexpected());
            }
            self.space();
            let value = self.value(depth + 1)?;
            members.push(Member { key, key_span, value });
            self.space();
            if self.eat(b'}') {
                break;
            }
            if !self.eat(b',') {
                return Err(self.unexpected());
            }
        }
        match duplicate(&members) {
            Some(span) => Err(Fault { kind: FaultKind::DuplicateKey, at: span.start }),
            None => Ok(Kind::Object(members)),
        }
    }

    fn string(&mut self) -> Result<Str, Fault> {
        self.at += 1;
        let start = self.at;
        self.at += plain_run(self.source.get(start..).unwrap_or_default());
        if self.peek() == Some(b'"') {
            let text = Str::new(self.slice(start)?);
            self.at += 1;
            return Ok(text);
        }
        self.at = start;
        let mut out = Vec::new();
        self.decode(&mut out)?;
        Ok(Str::from_wtf8(out))
    }

    fn slice(&self, start: usize) -> Result<&str, Fault> {
        let bytes = self.source.get(start..self.at).unwrap_or_default();
        std::str::from_utf8(bytes).map_err(|_| self.fault(FaultKind::Utf8))
    }

    /// Appends the rest of a string to `out`, decoded, and steps behind its closing quote.
    fn decode(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        loop {
            let left = self.source.get(self.at..).unwrap_or_default();
            let run = left.get(..plain_run(left)).unwrap_or_default();
            out.extend_from_slice(run);
            self.at += run.len();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape(out)?,
                Some(_) => return Err(self.fault(FaultKind::Control)),
                None => return Err(self.fault(FaultKind::Truncated)),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.at += 1;
        let Some(byte) = self.peek() else { return Err(self.fault(FaultKind::Truncated)) };
        self.at += 1;
        let plain = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let unit = self.hex4()?;
                push_unit(unit, out);
                return Ok(());
            }
            _ => {
                self.at -= 1;
                return Err(self.fault(FaultKind::Escape));
            }
        };
        out.push(plain);
        Ok(())
    }

    fn hex4(&mut self) -> Result<u16, Fault> {
        let mut unit = 0u16;
        for _ in 0..4 {
            let Some(byte) = self.peek() else { return Err(self.fault(FaultKind::Truncated)) };
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(self.fault(FaultKind::Escape));
            };
            unit = unit << 4 | u16::try_from(digit).unwrap_or_default();
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.fault(FaultKind::Number));
        }
        Ok(Kind::Number(self.slice(start)?.into()))
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start {
            return Ok(());
        }
        Err(self.fault(if self.peek().is_none() { FaultKind::Truncated } else { FaultKind::Number }))
    }
}

/// Appends one UTF-16 unit as WTF-8. A low half that follows a high half joins with it, so that
/// concatenating the halves of a pair gives the character whichever way the pair was cut.
pub fn push_unit(unit: u16, out: &mut Vec<u8>) {
    if (0xdc00..0xe000).contains(&unit)
        && let Some(high) = high_half(out)
    {
        out.truncate(out.len() - 3);
        let scalar = 0x1_0000 + (u32::from(high - 0xd800) << 10) + u32::from(unit - 0xdc00);
        let joined = char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER);
        out.extend_from_slice(joined.encode_utf8(&mut [0; 4]).as_bytes());
        return;
    }
    match char::from_u32(u32::from(unit)) {
        Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.extend_from_slice(&surrogate_bytes(unit)),
    }
}

/// Appends WTF-8 to WTF-8, joining a pair that was cut between the two.
pub fn push_wtf8(more: &[u8], out: &mut Vec<u8>) {
    match more.first_chunk::<3>() {
        Some(first @ [0xed, 0xb0..=0xbf, _]) => {
            push_unit(surrogate(first), out);
            out.extend_from_slice(more.get(3..).unwrap_or_default());
        }
        _ => out.extend_from_slice(more),
    }
}

/// The high surrogate that `out` ends in, if it does.
fn high_half(out: &[u8]) -> Option<u16> {
    match out.last_chunk::<3>() {
        Some(last @ [0xed, 0xa0..=0xaf, _]) => Some(surrogate(last)),
        _ => None,
    }
}

fn surrogate(bytes: &[u8; 3]) -> u16 {
    let [_, middle, last] = bytes;
    0xd000 | (u16::from(middle & 0x3f) << 6) | u16::from(last & 0x3f)
}

fn surrogate_bytes(unit: u16) -> [u8; 3] {
    let low = |shift: u32| u8::try_from((unit >> shift) & 0x3f).unwrap_or_default() | 0x80;
    [0xed, low(6), low(0)]
}

/// Where the first repeated key stands. Small objects are compared pairwise, which needs no memory.
fn duplicate(members: &[Member]) -> Option<Span> {
    if members.len() <= 16 {
        return members.iter().enumerate().find_map(|(index, member)| {
            let before = members.get(..index).unwrap_or_default();
            before.iter().any(|other| other.key == member.key).then_some(member.key_span)
        });
    }
    let mut seen = HashSet::with_capacity(members.len());
    members.iter().find(|member| !seen.insert(member.key.as_wtf8())).map(|member| member.key_span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind(text: &[u8]) -> FaultKind {
        parse(text).expect_err("should be refused").kind
    }

    #[test]
    fn refuses_what_readers_disagree_on() {
        assert_eq!(kind(br#"{"type":1,"type":2}"#), FaultKind::DuplicateKey);
        assert_eq!(kind(br#"{"type":1,"typ\u0065":2}"#), FaultKind::DuplicateKey);
        assert_eq!(kind(b"\xef\xbb\xbf{}"), FaultKind::ByteOrderMark);
        assert_eq!(kind(b"\"\xff\""), FaultKind::Utf8);
        assert_eq!(kind(b"\"a\nb\""), FaultKind::Control);
        assert_eq!(kind(b"{} {}"), FaultKind::Trailing);
        assert_eq!(kind(b"[1,]"), FaultKind::Unexpected);
        assert_eq!(kind(b"{\"a\":1,}"), FaultKind::Unexpected);
        assert_eq!(kind(b"01"), FaultKind::Number);
        assert_eq!(kind(b"1."), FaultKind::Truncated);
        assert_eq!(kind(b"NaN"), FaultKind::Unexpected);
        assert_eq!(kind(br#""\x41""#), FaultKind::Escape);
        assert_eq!(kind(b"{\"a\":"), FaultKind::Truncated);
        assert_eq!(kind(&[b'['; 4000]), FaultKind::Depth);
        let many = ["[", &"0,".repeat(MAX_NODES as usize), "0]"].concat();
        assert_eq!(kind(many.as_bytes()), FaultKind::Nodes);
        let wide: String = (0..40).map(|n| format!("\"k{}\":0,", n % 39)).collect();
        assert_eq!(kind(format!("{{{}}}", wide.trim_end_matches(',')).as_bytes()), FaultKind::DuplicateKey);
    }

    #[test]
    fn spans_cover_the_bytes_of_each_value() {
        let source = br#" {"a" : [ 1.50e+1 , "x\u0041" ] } "#;
        let node = parse(source).unwrap();
        let list = node.get("a").unwrap();
        assert_eq!(list.span.of(source), br#"[ 1.50e+1 , "x\u0041" ]"#);
        assert_eq!(list.elements()[0].kind, Kind::Number("1.50e+1".into()));
        assert_eq!(list.elements()[1].as_str(), Some("xA"));
        assert_eq!(node.member("a").unwrap().span().of(source), br#""a" : [ 1.50e+1 , "x\u0041" ]"#);
    }

    #[test]
    fn a_pair_cut_in_two_joins_when_the_halves_meet() {
        let high = parse(br#""\ud83d""#).unwrap();
        let low = parse(br#""\ude00!""#).unwrap();
        assert!(!high.as_string().unwrap().is_well_formed());
        let mut joined = Vec::new();
        push_wtf8(high.as_string().unwrap().as_wtf8(), &mut joined);
        push_wtf8(low.as_string().unwrap().as_wtf8(), &mut joined);
        assert_eq!(String::from_utf8(joined).unwrap(), "\u{1f600}!");
        assert_eq!(parse(br#""\ud83d\ude00""#).unwrap().as_str(), Some("\u{1f600}"));
        assert!(!parse(br#""\ude00\ud83d""#).unwrap().as_string().unwrap().is_well_formed());
    }

    fn same(ours: &Node, theirs: &serde_json::Value) -> bool {
        use serde_json::Value;
        match (&ours.kind, theirs) {
            (Kind::Null, Value::Null) => true,
            (Kind::Bool(a), Value::Bool(b)) => a == b,
            (Kind::Number(a), Value::Number(b)) => a.parse::<f64>().ok() == b.as_f64(),
            (Kind::String(a), Value::String(b)) => a.as_str() == b,
            (Kind::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Kind::Object(a), Value::Object(b)) => {
                a.len() == b.len()
                    && a.iter().all(|m| b.get(m.key.as_str()).is_some_and(|v| same(&m.value, v)))
            }
            _ => false,
        }
    }

    proptest! {
        /// Whatever we accept, serde_json reads the same; whatever it refuses, we refuse.
        #[test]
        fn agrees_with_the_oracle(text in r#"[\[\]{}:,"\\u0-9a-f eE.+truefalsn-]{0,40}"#) {
            let ours = parse(text.as_bytes());
            let theirs: Result<serde_json::Value, _> = serde_json::from_str(&text);
            if let Ok(node) = &ours {
                let surrogate = text.contains("\\ud");
                match theirs {
                    Ok(value) => prop_assert!(same(node, &value)),
                    Err(error) => prop_assert!(surrogate || error.to_string().contains("out of range")),
                }
            }
        }

        #[test]
        fn any_bytes_any_text_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in any::<String>()) {
            let _ = parse(&bytes);
            let escaped = quoted(&text);
            prop_assert_eq!(parse(&escaped).unwrap().as_str().unwrap().to_owned(), text);
        }
    }
}
