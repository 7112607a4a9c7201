//! Words: braces, variables, substitutions, splitting, quote removal.

use super::arith;
use super::ast::{Piece, Raw, Var};
use super::eval::{Eval, concat};
use super::stream::{Stream, add_flows, unknown};
use super::{Shell, Word};
use crate::action::asset::glob_matches;

/// The most words one brace expression may yield.
const MAX_BRACES: usize = 64;

/// The longest word that is followed.
const MAX_WORD: usize = 64 * 1024;

impl Eval {
    /// Expands words: one may become none or many.
    pub(super) fn words(&mut self, raws: &[Raw], stdin: &Stream) -> Vec<Word> {
        let mut out = Vec::with_capacity(raws.len());
        for raw in raws {
            if self.shell == Shell::Sh && has_braces(raw) {
                for raw in self.braces(raw) {
                    self.fields(&raw, stdin, &mut out);
                }
            } else {
                self.fields(raw, stdin, &mut out);
            }
        }
        out
    }

    /// Expands one word without splitting it, as in assignments and redirections.
    pub(super) fn joined(&mut self, raw: &Raw, stdin: &Stream) -> Word {
        let mut fields = Fields { out: Vec::new(), current: None, splits: false };
        self.pieces(raw, stdin, &mut fields);
        fields.finish().into_iter().next().unwrap_or_else(|| Word::known(""))
    }

    fn fields(&mut self, raw: &Raw, stdin: &Stream, out: &mut Vec<Word>) {
        // The common case: one plain word.
        if let [Piece::Bare(text)] = raw.as_slice() {
            let exact = !text.contains(['*', '?', '[']);
            out.push(Word { text: text.clone(), exact, from: Vec::new(), stream: None });
            self.budget.spend(text.len());
            return;
        }
        let mut fields = Fields { out: std::mem::take(out), current: None, splits: true };
        self.pieces(raw, stdin, &mut fields);
        *out = fields.finish();
    }

    fn pieces(&mut self, raw: &Raw, stdin: &Stream, fields: &mut Fields) {
        for piece in raw {
            match piece {
                Piece::Bare(text) => {
                    self.budget.spend(text.len());
                    let glob = text.contains(['*', '?', '[']);
                    fields.push(text, !glob);
                }
                Piece::Quoted(text) => {
                    self.budget.spend(text.len());
                    fields.push(text, true);
                }
                Piece::Var(var) => self.variable(var, stdin, fields),
                Piece::Run { list, quoted } => {
                    let word = self.apart(|eval| eval.list(list, stdin)).into_word();
                    self.budget.spend(word.text.len());
                    if *quoted || !fields.splits { fields.join(word) } else { self.split(&word, fields) }
                }
                Piece::Process { list, reads } => {
                    // What stands in `<(…)` reads what the command itself would: `… | sh <(cat)`.
                    let printed = self.apart(|eval| eval.list(list, stdin));
                    let stream = if *reads { printed } else { Stream::silent() };
                    let text = "/dev/fd/63".to_owned();
                    let from = stream.from.clone();
                    fields.join(Word { text, exact: true, from, stream: Some(Box::new(stream)) });
                }
                Piece::Arith(inner) => {
                    let expression = self.joined(inner, stdin);
                    match self.number(&expression.text) {
                        Some(number) => fields.push(&number.to_string(), true),
                        None => fields.push(&unknown("number"), false),
                    }
                }
            }
        }
    }

    /// What an arithmetic expression comes to, with the line's own variables.
    pub(super) fn number(&mut self, expression: &str) -> Option<i64> {
        let mut named = |name: &str| match self.lookup(name)?.as_slice() {
            [only] if only.exact => arith::number(&only.text),
            _ => None,
        };
        arith::evaluate(expression, &mut named)
    }

    /// `name=expression`, as `let` and `((…))` have it.
    pub(super) fn assign_number(&mut self, text: &str) {
        let Some((name, expression)) = text.split_once('=') else { return };
        let name = name.trim();
        let named = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if named
            && !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && let Some(number) = self.number(expression)
        {
            self.set(name, vec![Word::known(number.to_string())], false);
        }
    }

    fn variable(&mut self, var: &Var, stdin: &Stream, fields: &mut Fields) {
        let words = self.value_of(var, stdin);
        self.budget.spend(words.iter().map(|word| word.text.len() + 1).sum());
        let each = matches!(var.name.as_str(), "@") || words.len() > 1;
        if var.quoted || !fields.splits {
            if each && fields.splits {
                for (at, word) in words.into_iter().enumerate() {
                    if at > 0 {
                        fields.end();
                    }
                    fields.join(word);
                }
            } else {
                for (at, word) in words.into_iter().enumerate() {
                    if at > 0 {
                        fields.push(" ", true);
                    }
                    fields.join(word);
                }
            }
            return;
        }
        for (at, word) in words.iter().enumerate() {
            if at > 0 {
                fields.end();
            }
            self.split(word, fields);
        }
    }

    /// Splits an unquoted value at what `IFS` holds.
    fn split(&mut self, word: &Word, fields: &mut Fields) {
        let separators = match self.lookup("IFS").as_deref() {
            Some([ifs]) if ifs.exact => ifs.text.clone(),
            _ => " \t\n".to_owned(),
        };
        if !word.text.contains(|c| separators.contains(c)) || (!word.exact && word.text.starts_with("${")) {
            if !word.text.is_empty() || !word.from.is_empty() {
                let glob = word.text.contains(['*', '?', '[']);
                fields.join(Word { exact: word.exact && !glob, ..word.clone() });
            }
            return;
        }
        let mut parts = word.text.split(|c| separators.contains(c)).peekable();
        while let Some(part) = parts.next() {
            if !part.is_empty() {
                let exact = word.exact && !part.contains(['*', '?', '[']);
                fields.join(Word { text: part.to_owned(), exact, from: word.from.clone(), stream: None });
            }
            if parts.peek().is_some() {
                fields.end();
            }
        }
    }

    /// The value of `$name` or `${name…}`; several words for arrays and `$@`.
    fn value_of(&mut self, var: &Var, stdin: &Stream) -> Vec<Word> {
        let plain = self.named(&var.name);
        if var.prefix == b'#' {
            return vec![Word { text: unknown("length"), ..Word::default() }];
        }
        let plain = match (var.prefix, plain) {
            (b'!', Some(words)) => words.first().and_then(|word| self.named(&word.text)),
            (_, plain) => plain,
        };
        if var.op.is_empty() {
            return plain.unwrap_or_else(|| vec![Word { text: unknown(&var.name), ..Word::default() }]);
        }
        let empty = plain.as_ref().is_none_or(|words| words.iter().all(|word| word.text.is_empty()));
        match var.op {
            ":-" | "-" | ":=" | "=" => {
                if !empty {
                    return plain.unwrap_or_default();
                }
                let word = self.joined(&var.arg, stdin);
                if var.op.ends_with('=') {
                    self.set(&var.name, vec![word.clone()], false);
                }
                vec![word]
            }
            ":+" | "+" => vec![self.joined(&var.arg, stdin)],
            ":?" | "?" => {
                self.joined(&var.arg, stdin);
                plain.unwrap_or_else(|| vec![Word { text: unknown(&var.name), ..Word::default() }])
            }
            op => {
                let arg = self.joined(&var.arg, stdin);
                let words =
                    plain.unwrap_or_else(|| vec![Word { text: unknown(&var.name), ..Word::default() }]);
                words.into_iter().map(|word| transform(word, op, &arg)).collect()
            }
        }
    }

    /// A variable's value: set by the line, or the same everywhere.
    fn named(&mut self, name: &str) -> Option<Vec<Word>> {
        let meant = self.env.refers.then(|| self.referred(name));
        let name = meant.as_deref().unwrap_or(name);
        if let Some(words) = self.lookup(name) {
            return Some(words);
        }
        if let Ok(number) = name.parse::<usize>() {
            if number == 0 {
                return Some(vec![Word::known("bash")]);
            }
            return Some(self.env.args.get(number - 1).cloned().into_iter().collect());
        }
        let guess = |text: &str| Some(vec![Word { text: text.to_owned(), ..Word::default() }]);
        match name {
            "@" | "*" => Some(self.env.args.clone()),
            "HOME" | "USERPROFILE" | "home" => Some(vec![Word::known("~")]),
            "IFS" => Some(vec![Word::known(" \t\n")]),
            "PWD" => {
                let here = self
                    .env
                    .directory
                    .clone()
                    .unwrap_or_else(|| Word { text: ".".to_owned(), ..Word::default() });
                Some(vec![here])
            }
            "SHELL" => guess("/bin/sh"),
            "BASH" => guess("/bin/bash"),
            "PATH" => guess("/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"),
            "TMPDIR" => guess("/tmp"),
            "XDG_CONFIG_HOME" => guess("~/.config"),
            "XDG_DATA_HOME" => guess("~/.local/share"),
            _ => None,
        }
    }

    fn braces(&mut self, raw: &Raw) -> Vec<Raw> {
        let mut tokens = Vec::new();
        for piece in raw {
            let Piece::Bare(text) = piece else {
                tokens.push(Token::Piece(piece.clone()));
                continue;
            };
            let mut plain = String::new();
            for c in text.chars() {
                if matches!(c, '{' | '}' | ',') {
                    if !plain.is_empty() {
                        tokens.push(Token::Piece(Piece::Bare(std::mem::take(&mut plain))));
                    }
                    tokens.push(Token::Mark(c));
                } else {
                    plain.push(c);
                }
            }
            if !plain.is_empty() {
                tokens.push(Token::Piece(Piece::Bare(plain)));
            }
        }
        self.budget.spend(tokens.len() * 4);
        if tokens.len() > 1024 {
            self.budget.gap("shell: too many brace words");
            return vec![raw.clone()];
        }
        let mut room = MAX_BRACES;
        let mut out = vec![Raw::new()];
        brace_sequence(&tokens, &mut out, &mut room, 0);
        if room == 0 {
            self.budget.gap("shell: too many brace words");
        }
        out
    }
}

enum Token {
    Piece(Piece),
    Mark(char),
}

fn has_braces(raw: &Raw) -> bool {
    raw.iter().any(|piece| matches!(piece, Piece::Bare(text) if text.contains('{')))
        && raw.iter().any(|piece| matches!(piece, Piece::Bare(text) if text.contains('}')))
}

/// Appends every expansion of `tokens` to each word in `words`.
fn brace_sequence(tokens: &[Token], words: &mut Vec<Raw>, room: &mut usize, depth: u8) {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Mark('{') if depth < 8 => {
                if let Some((close, commas)) = matching(tokens, at) {
                    let inner = tokens.get(at + 1..close).unwrap_or_default();
                    let choices = if commas.is_empty() { range(inner) } else { None };
                    let mut out = Vec::new();
                    if let Some(choices) = choices {
                        for choice in choices {
                            multiply(words, &[vec![Piece::Quoted(choice)]], &mut out, room);
                        }
                    } else if commas.is_empty() {
                        // `{}` and `{x}` stand for themselves.
                        let mut own = vec![vec![Piece::Quoted("{".to_owned())]];
                        brace_sequence(inner, &mut own, room, depth + 1);
                        own.iter_mut().for_each(|raw| raw.push(Piece::Quoted("}".to_owned())));
                        multiply(words, &own, &mut out, room);
                    } else {
                        let mut start = at + 1;
                        for end in commas.into_iter().chain([close]) {
                            let mut part = vec![Raw::new()];
                            brace_sequence(
                                tokens.get(start..end).unwrap_or_default(),
                                &mut part,
                                room,
                                depth + 1,
                            );
                            multiply(words, &part, &mut out, room);
                            start = end + 1;
                        }
                    }
                    *words = out;
                    at = close + 1;
                    continue;
                }
                words.iter_mut().for_each(|raw| raw.push(Piece::Bare("{".to_owned())));
            }
            Token::Mark(c) => words.iter_mut().for_each(|raw| raw.push(Piece::Bare(c.to_string()))),
            Token::Piece(piece) => words.iter_mut().for_each(|raw| raw.push(piece.clone())),
        }
        at += 1;
    }
}

fn multiply(left: &[Raw], right: &[Raw], out: &mut Vec<Raw>, room: &mut usize) {
    for a in left {
        for b in right {
            let Some(less) = room.checked_sub(1) else { return };
            *room = less;
            out.push([a.as_slice(), b.as_slice()].concat());
        }
    }
}

/// The `}` that closes the `{` at `open`, and the commas between them at this level.
fn matching(tokens: &[Token], open: usize) -> Option<(usize, Vec<usize>)> {
    let mut depth = 0u32;
    let mut commas = Vec::new();
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => {
                depth -= 1;
                if depth == 0 {
                    return Some((at, commas));
                }
            }
            Token::Mark(',') if depth == 1 => commas.push(at),
            _ => {}
        }
    }
    None
}

/// `{1..9}`, `{a..e}`
fn range(inner: &[Token]) -> Option<Vec<String>> {
    let [Token::Piece(Piece::Bare(text))] = inner else { return None };
    let (from, rest) = text.split_once("..")?;
    let to = rest.split("..").next().unwrap_or(rest);
    if let (Ok(a), Ok(b)) = (from.parse::<i32>(), to.parse::<i32>()) {
        let (low, high) = (a.min(b), a.max(b));
        return Some((low..=high).take(MAX_BRACES / 2).map(|n| n.to_string()).collect());
    }
    let (mut a, mut b) = (from.chars(), to.chars());
    match (a.next(), a.next(), b.next(), b.next()) {
        (Some(a), None, Some(b), None) => {
            Some((a.min(b)..=a.max(b)).take(MAX_BRACES / 2).map(String::from).collect())
        }
        _ => None,
    }
}

/// `${x#…}`, `${x/…/…}`, `${x:1:2}`, `${x^^}` …
fn transform(word: Word, op: &str, arg: &Word) -> Word {
    let pattern = arg.text.as_str();
    let text = word.text.as_str();
    let changed = match op {
        ":" => substring(text, pattern),
        "^^" => Some(text.to_uppercase()),
        ",," => Some(text.to_lowercase()),
        "^" | "," => {
            let mut chars = text.chars();
            chars.next().map(|first| {
                let first: String =
                    if op == "^" { first.to_uppercase().collect() } else { first.to_lowercase().collect() };
                first + chars.as_str()
            })
        }
        "#" | "##" => Some(strip(text, pattern, op.len() == 2, false)),
        "%" | "%%" => Some(strip(text, pattern, op.len() == 2, true)),
        "/" | "//" | "/#" | "/%" => {
            let (find, with) = pattern.split_once('/').unwrap_or((pattern, ""));
            let times = if op == "//" { usize::MAX } else { 1 };
            (!find.is_empty() && !find.contains(['*', '?', '['])).then(|| text.replacen(find, with, times))
        }
        "@" => Some(text.to_owned()),
        _ => None,
    };
    let mut from = word.from;
    add_flows(&mut from, &arg.from);
    let first_only = op == ":" && text.starts_with('/');
    match changed {
        // The first character of a path is known even if the path is a guess.
        Some(text) => {
            Word { exact: (word.exact && arg.exact) || (first_only && text == "/"), text, from, stream: None }
        }
        None => Word { text: word.text, exact: false, from, stream: None },
    }
}

fn substring(text: &str, spec: &str) -> Option<String> {
    let text = if text == "~" { "/" } else { text };
    let (offset, length) = spec.split_once(':').unwrap_or((spec, ""));
    let offset: i64 = offset.trim().trim_matches(['(', ')']).parse().ok()?;
    let count = i64::try_from(text.chars().count()).ok()?;
    let start = usize::try_from(if offset < 0 { (count + offset).max(0) } else { offset }).ok()?;
    let length = if length.is_empty() { usize::MAX } else { length.trim().parse().ok()? };
    Some(text.chars().skip(start).take(length).collect())
}

/// Takes the shortest or longest match of `pattern` off one end.
fn strip(text: &str, pattern: &str, longest: bool, at_end: bool) -> String {
    if text.len() > 4096 {
        return text.to_owned();
    }
    let mut cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).take(512).collect();
    if at_end != longest {
        cuts.reverse();
    }
    for cut in cuts {
        let Some((head, tail)) = text.split_at_checked(cut) else { continue };
        let (gone, kept) = if at_end { (tail, head) } else { (head, tail) };
        if glob_matches(pattern, gone) {
            return kept.to_owned();
        }
    }
    text.to_owned()
}

/// Words being put together.
struct Fields {
    out: Vec<Word>,
    current: Option<Word>,
    splits: bool,
}

impl Fields {
    fn push(&mut self, text: &str, exact: bool) {
        let current = self.current.get_or_insert_with(|| Word::known(""));
        if current.text.len() + text.len() > MAX_WORD {
            current.exact = false;
            return;
        }
        current.text.push_str(text);
        current.exact &= exact;
    }

    fn join(&mut self, word: Word) {
        match self.current.take() {
            None => self.current = Some(word),
            Some(current) if current.text.len() + word.text.len() <= MAX_WORD => {
                let stream = current.stream.clone().or_else(|| word.stream.clone());
                self.current = Some(Word { stream, ..concat([current, word]) });
            }
            Some(current) => self.current = Some(Word { exact: false, ..current }),
        }
    }

    fn end(&mut self) {
        self.out.extend(self.current.take());
    }

    fn finish(mut self) -> Vec<Word> {
        self.end();
        self.out
    }
}
