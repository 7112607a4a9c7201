//! Words: quotes, expansions, substitutions.

use super::super::ast::{List, Piece, Raw, Var};
use super::super::decode;
use super::{Parser, SECOND_LOOKS, parse};

impl Parser<'_, '_> {
    /// A word; empty with nothing taken if none starts here.
    pub(super) fn word(&mut self) -> Raw {
        let mut raw = Raw::new();
        loop {
            let Some(byte) = self.byte(0) else { return raw };
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b')' => return raw,
                b'\r' if matches!(self.byte(1), Some(b'\n') | None) => return raw,
                b'(' => {
                    if !self.pattern_or_array(&mut raw) {
                        return raw;
                    }
                }
                b'<' | b'>' => {
                    if self.byte(1) != Some(b'(') {
                        return raw;
                    }
                    self.take(2);
                    let list = self.nested(|p| p.sublist());
                    raw.push(Piece::Process { list, reads: byte == b'<' });
                }
                _ => self.word_piece(byte, &mut raw),
            }
        }
    }

    pub(super) fn word_piece(&mut self, byte: u8, raw: &mut Raw) {
        match byte {
            b'\\' => self.escaped(raw),
            b'\'' => self.single_quoted(raw),
            b'"' => {
                self.take(1);
                self.quoted_text(raw, Some(b'"'));
            }
            b'$' => self.dollar(raw, false),
            b'`' => self.backticks(raw, false),
            _ => {
                let bytes = self.source.as_bytes().get(self.at..).unwrap_or_default();
                let run = bytes.iter().take_while(|b| !is_special(**b)).count().max(1);
                let run = (run..=run + 3).find(|n| self.source.is_char_boundary(self.at + n)).unwrap_or(run);
                let start = self.at;
                self.take(run);
                let text = self.source.get(start..start + run).unwrap_or_default();
                if let Some(Piece::Bare(last)) = raw.last_mut() {
                    last.push_str(text);
                } else {
                    raw.push(Piece::Bare(text.to_owned()));
                }
            }
        }
    }

    /// `x=(…)` as an argument, an extended glob `@(…)`, or neither.
    pub(super) fn pattern_or_array(&mut self, raw: &mut Raw) -> bool {
        let Some(Piece::Bare(last)) = raw.last_mut() else { return false };
        match last.as_bytes().last() {
            Some(b'=') if name_length(last) > 0 => {
                let elements = self.nested(|p| p.array());
                for element in elements {
                    raw.extend(element);
                    raw.push(Piece::Bare(" ".to_owned()));
                }
                true
            }
            Some(b'?' | b'*' | b'+' | b'@' | b'!') => {
                let start = self.at;
                let mut depth = 0u32;
                while let Some(byte) = self.byte(0) {
                    match byte {
                        b'(' => depth += 1,
                        b')' => depth -= 1,
                        b'\n' => break,
                        _ => {}
                    }
                    self.take(1);
                    if depth == 0 {
                        break;
                    }
                }
                let inner = self.source.get(start + 1..self.at).unwrap_or_default();
                let inner = inner.strip_suffix(')').unwrap_or(inner);
                if let Some(Piece::Bare(last)) = raw.last_mut()
                    && let Some(kind) = last.pop()
                {
                    last.push_str(&alternatives(kind, inner));
                }
                self.at > start
            }
            _ => false,
        }
    }

    pub(super) fn escaped(&mut self, raw: &mut Raw) {
        if self.byte(1) == Some(b'\n') {
            self.take(2);
            return;
        }
        self.take(1);
        let escaped = self.rest().chars().next();
        let mut text = String::new();
        match escaped {
            Some(c) => {
                text.push(c);
                self.take(c.len_utf8());
            }
            None => text.push('\\'),
        }
        push_quoted(raw, &text);
    }

    pub(super) fn single_quoted(&mut self, raw: &mut Raw) {
        self.take(1);
        let start = self.at;
        let length = self.rest().find('\'');
        self.take(length.unwrap_or(self.rest().len()));
        push_quoted(raw, self.text(start));
        if length.is_none() {
            self.fault();
        }
        self.take(1);
    }

    /// Double-quoted text up to `end`, or to the end of a here-document's body.
    pub(super) fn quoted_text(&mut self, raw: &mut Raw, end: Option<u8>) {
        if end.is_some() {
            push_quoted(raw, "");
        }
        loop {
            let bytes = self.source.as_bytes().get(self.at..).unwrap_or_default();
            let run = bytes.iter().take_while(|b| !matches!(b, b'"' | b'\\' | b'$' | b'`')).count();
            if run > 0 {
                let start = self.at;
                self.take(run);
                push_quoted(raw, self.source.get(start..start + run).unwrap_or_default());
            }
            match self.byte(0) {
                None => {
                    if end.is_some() {
                        self.fault();
                    }
                    return;
                }
                Some(b'"') if end == Some(b'"') => {
                    self.take(1);
                    return;
                }
                Some(b'\\') => match self.byte(1) {
                    Some(b'\n') => self.take(2),
                    Some(c @ (b'$' | b'`' | b'\\')) => {
                        push_quoted(raw, char::from(c).encode_utf8(&mut [0; 4]));
                        self.take(2);
                    }
                    Some(b'"') if end.is_some() => {
                        push_quoted(raw, "\"");
                        self.take(2);
                    }
                    _ => {
                        push_quoted(raw, "\\");
                        self.take(1);
                    }
                },
                Some(b'$') => self.dollar(raw, true),
                Some(b'`') => self.backticks(raw, true),
                Some(other) => {
                    push_quoted(raw, char::from(other).encode_utf8(&mut [0; 4]));
                    self.take(1);
                }
            }
        }
    }

    pub(super) fn sublist(&mut self) -> List {
        let list = self.list();
        self.close_paren();
        list
    }

    pub(super) fn dollar(&mut self, raw: &mut Raw, quoted: bool) {
        match self.byte(1) {
            Some(b'(') if self.byte(2) == Some(b'(') => self.nested(|p| p.dollar_arith(raw, quoted)),
            Some(b'(') => {
                self.take(2);
                let list = self.nested(|p| p.sublist());
                raw.push(Piece::Run { list, quoted });
            }
            Some(b'{') => self.nested(|p| p.braced(raw, quoted)),
            Some(b'[') => {
                self.take(2);
                let inner = self.nested(|p| p.arith("]")).unwrap_or_default();
                raw.push(Piece::Arith(inner));
            }
            Some(b'\'') if !quoted => self.ansi_quoted(raw),
            Some(b'"') if !quoted => self.take(1),
            Some(c) if c.is_ascii_alphabetic() || c == b'_' => {
                self.take(1);
                let length = name_length(self.rest());
                let name = self.rest().get(..length).unwrap_or_default().to_owned();
                self.take(length);
                raw.push(simple_var(name, quoted));
            }
            Some(c) if c.is_ascii_digit() || b"@*#?-$!".contains(&c) => {
                self.take(2);
                raw.push(simple_var(char::from(c).to_string(), quoted));
            }
            _ => {
                self.take(1);
                if quoted {
                    push_quoted(raw, "$");
                } else {
                    raw.push(Piece::Bare("$".to_owned()));
                }
            }
        }
    }

    pub(super) fn dollar_arith(&mut self, raw: &mut Raw, quoted: bool) {
        let start = self.at;
        if self.budget.second_looks < SECOND_LOOKS {
            self.take(3);
            let noted = self.budget.gaps();
            if let Some(inner) = self.arith("))") {
                raw.push(Piece::Arith(inner));
                return;
            }
            self.budget.second_looks += 1;
            if self.budget.exhausted() {
                return;
            }
            self.budget.forget_gaps(noted);
            self.at = start;
        }
        self.take(2);
        let list = self.sublist();
        raw.push(Piece::Run { list, quoted });
    }

    /// An arithmetic expression up to `end`; `None` if it does not end so.
    pub(super) fn arith(&mut self, end: &str) -> Option<Raw> {
        let mut raw = Raw::new();
        let mut depth = 0u32;
        loop {
            match self.byte(0)? {
                b')' if depth > 0 => {
                    depth -= 1;
                    push_quoted(&mut raw, ")");
                    self.take(1);
                }
                b')' | b']' if depth == 0 && self.looking_at(end) => {
                    self.take(end.len());
                    return Some(raw);
                }
                b')' => return None,
                b'(' => {
                    depth += 1;
                    push_quoted(&mut raw, "(");
                    self.take(1);
                }
                b'$' => self.dollar(&mut raw, true),
                b'`' => self.backticks(&mut raw, true),
                b'\\' => self.take(2),
                _ => {
                    let bytes = self.source.as_bytes().get(self.at..).unwrap_or_default();
                    let stop = |b: &u8| matches!(b, b'(' | b')' | b'$' | b'`' | b'\\' | b']');
                    let run = bytes.iter().take_while(|b| !stop(b)).count().max(1);
                    let text = self.source.get(self.at..self.at + run).unwrap_or_default();
                    push_quoted(&mut raw, &text.replace('"', ""));
                    self.take(run);
                }
            }
        }
    }

    pub(super) fn ansi_quoted(&mut self, raw: &mut Raw) {
        self.take(2);
        let rest = self.rest();
        let mut length = None;
        let mut escaped = false;
        for (at, byte) in rest.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'\'' => {
                    length = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let body = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
        self.take(body.len() + 1);
        push_quoted(raw, &decode::c_escapes(body));
        if length.is_none() {
            self.fault();
        }
    }

    pub(super) fn backticks(&mut self, raw: &mut Raw, quoted: bool) {
        self.take(1);
        let mut inner = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else {
                self.fault();
                break;
            };
            self.take(c.len_utf8());
            match (c, self.byte(0)) {
                ('`', _) => break,
                ('\\', Some(next @ (b'`' | b'\\' | b'$'))) => {
                    inner.push(char::from(next));
                    self.take(1);
                }
                ('\\', Some(b'"')) if quoted => {
                    inner.push('"');
                    self.take(1);
                }
                _ => inner.push(c),
            }
        }
        if !self.budget.enter() {
            self.at = self.source.len();
            return;
        }
        let list = parse(&inner, self.budget);
        self.budget.leave();
        raw.push(Piece::Run { list, quoted });
    }

    /// `${…}`
    pub(super) fn braced(&mut self, raw: &mut Raw, quoted: bool) {
        self.take(2);
        if let Some(b' ' | b'\t' | b'\n' | b'|') = self.byte(0) {
            self.take(1);
            let list = self.list();
            self.expect("}");
            raw.push(Piece::Run { list, quoted });
            return;
        }
        let mut prefix = 0;
        if let Some(c @ (b'#' | b'!')) = self.byte(0)
            && !matches!(self.byte(1), Some(b'}'))
        {
            prefix = c;
            self.take(1);
        }
        let start = self.at;
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        match name_length(self.rest()).max(digits) {
            0 => {
                if self.byte(0).is_some_and(|b| b"@*#?-$!".contains(&b)) {
                    self.take(1);
                }
            }
            length => self.take(length),
        }
        let name = self.text(start).to_owned();
        if self.byte(0) == Some(b'[') {
            let length = self.rest().bytes().take(256).position(|b| b == b']').map_or(1, |at| at + 1);
            self.take(length);
        }
        const OPS: [&str; 24] = [
            ":-", ":=", ":+", ":?", "##", "%%", "//", "/#", "/%", "^^", ",,", ":", "-", "=", "+", "?", "#",
            "%", "/", "^", ",", "@", "*", "!",
        ];
        let op = OPS.into_iter().find(|op| self.looking_at(op)).unwrap_or_default();
        self.take(op.len());
        let arg = self.braced_arg(quoted);
        raw.push(Piece::Var(Box::new(Var { name, prefix, op, arg, quoted })));
    }

    pub(super) fn braced_arg(&mut self, quoted: bool) -> Raw {
        let mut raw = Raw::new();
        loop {
            match self.byte(0) {
                None => {
                    self.fault();
                    return raw;
                }
                Some(b'}') => {
                    self.take(1);
                    return raw;
                }
                Some(b'\'') if quoted => {
                    self.take(1);
                    push_quoted(&mut raw, "'");
                }
                Some(byte) if is_special(byte) && !matches!(byte, b'\\' | b'\'' | b'"' | b'$' | b'`') => {
                    self.take(1);
                    push_quoted(&mut raw, char::from(byte).encode_utf8(&mut [0; 4]));
                }
                Some(b'\\' | b'\'' | b'"' | b'$' | b'`') => {
                    let byte = self.byte(0).unwrap_or_default();
                    self.word_piece(byte, &mut raw);
                }
                Some(_) => {
                    let bytes = self.source.as_bytes().get(self.at..).unwrap_or_default();
                    let run = bytes.iter().take_while(|b| !is_special(**b) && **b != b'}').count().max(1);
                    let start = self.at;
                    self.take(run);
                    let text = self.source.get(start..start + run).unwrap_or_default();
                    raw.push(Piece::Bare(text.to_owned()));
                }
            }
        }
    }
}

fn is_special(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t'
            | b'\n'
            | b'\r'
            | b';'
            | b'&'
            | b'|'
            | b'('
            | b')'
            | b'<'
            | b'>'
            | b'\\'
            | b'\''
            | b'"'
            | b'$'
            | b'`'
    )
}

/// How many bytes at the start of `text` are a variable's name.
pub(super) fn name_length(text: &str) -> usize {
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if starts { text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count() } else { 0 }
}

fn simple_var(name: String, quoted: bool) -> Piece {
    Piece::Var(Box::new(Var { name, prefix: 0, op: "", arg: Raw::new(), quoted }))
}

fn push_quoted(raw: &mut Raw, text: &str) {
    if let Some(Piece::Quoted(last)) = raw.last_mut() {
        last.push_str(text);
    } else {
        raw.push(Piece::Quoted(text.to_owned()));
    }
}

/// What an extended glob (`@(a|b)`, `?(a)`, `!(a)`) stands for, in braces and stars.
fn alternatives(kind: char, inner: &str) -> String {
    let plain = !inner.contains(['(', '{', '}', ',', '"', '\'', '$', '`']);
    match kind {
        '@' | '+' if plain && inner.contains('|') => format!("{{{}}}", inner.replace('|', ",")),
        '@' | '+' if plain => inner.to_owned(),
        '?' | '*' if plain => format!("{{,{}}}", inner.replace('|', ",")),
        _ => "*".to_owned(),
    }
}
