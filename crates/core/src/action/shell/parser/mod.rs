//! POSIX sh and bash into an [`ast`](super::ast): lexer and recursive descent in one pass.
//!
//! Linear by construction: every byte taken costs fuel, nesting is bounded, and the one place where the
//! grammar needs a second look (`((` may be arithmetic or two subshells) may look twice only a few times.
//! A fault does not end the reading: what stands after it is still read, and the gap is reported.

mod redirects;
mod words;

use std::sync::{Arc, OnceLock};

use super::ast::{Assign, Body, Command, Item, List, Raw, Then};
use super::budget::Budget;
use words::name_length;

/// How often `((` may be read again as two subshells.
const SECOND_LOOKS: u8 = 16;

/// Reads `source` as a whole script. Gaps are noted in `budget`.
pub(super) fn parse(source: &str, budget: &mut Budget) -> List {
    let mut parser = Parser::new(source, budget);
    let mut list = parser.list();
    while !parser.done() {
        parser.fault();
        parser.skip_stray();
        list.append(&mut parser.list());
    }
    parser.here_bodies();
    list
}

struct PendingHere {
    delimiter: String,
    quoted: bool,
    strip_tabs: bool,
    body: Arc<OnceLock<Raw>>,
}

struct Parser<'s, 'b> {
    source: &'s str,
    at: usize,
    pending: Vec<PendingHere>,
    budget: &'b mut Budget,
}

const CLOSERS: [&str; 9] = ["then", "do", "done", "fi", "else", "elif", "esac", "}", "in"];

impl<'s, 'b> Parser<'s, 'b> {
    fn new(source: &'s str, budget: &'b mut Budget) -> Self {
        Self { source, at: 0, pending: Vec::new(), budget }
    }

    // ---- bytes ----

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.source.as_bytes().get(self.at + ahead).copied()
    }

    fn done(&self) -> bool {
        self.at >= self.source.len()
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn text(&self, from: usize) -> &'s str {
        self.source.get(from..self.at).unwrap_or_default()
    }

    fn looking_at(&self, text: &str) -> bool {
        self.source.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(text.as_bytes()))
    }

    /// Takes `n` bytes; out of fuel means the rest stays unread.
    fn take(&mut self, n: usize) {
        self.at = (self.at + n).min(self.source.len());
        if !self.budget.spend(n) {
            self.at = self.source.len();
        }
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.looking_at(text);
        if found {
            self.take(text.len());
        }
        found
    }

    fn fault(&mut self) {
        if !self.budget.exhausted() {
            self.budget.gap("shell: syntax");
        }
    }

    /// Runs `inner` one level deeper, or gives the rest up.
    fn nested<T: Default>(&mut self, inner: impl FnOnce(&mut Self) -> T) -> T {
        if !self.budget.enter() {
            self.at = self.source.len();
            return T::default();
        }
        let value = inner(self);
        self.budget.leave();
        value
    }

    fn skip_stray(&mut self) {
        let before = self.at;
        if self.reserved().is_some() {
            self.word();
        }
        if self.at == before {
            let width = self.rest().chars().next().map_or(1, char::len_utf8);
            self.take(width);
        }
    }

    /// Spaces, line continuations and a comment.
    fn blanks(&mut self) {
        loop {
            match self.byte(0) {
                Some(b' ' | b'\t') => self.take(1),
                Some(b'\r') if matches!(self.byte(1), Some(b'\n') | None) => self.take(1),
                Some(b'\\') if self.byte(1) == Some(b'\n') => self.take(2),
                Some(b'\\') if self.byte(1) == Some(b'\r') && self.byte(2) == Some(b'\n') => self.take(3),
                // The next line is not there: a line cut out of a Makefile or a script. It is no path.
                Some(b'\\') if self.byte(1).is_none() => self.take(1),
                Some(b'#') => {
                    let length = self.rest().find('\n').unwrap_or(self.rest().len());
                    self.take(length);
                }
                _ => return,
            }
        }
    }

    fn newlines(&mut self) {
        loop {
            self.blanks();
            if self.byte(0) != Some(b'\n') {
                return;
            }
            self.take(1);
            self.here_bodies();
        }
    }

    // ---- lists and pipelines ----

    fn list(&mut self) -> List {
        let mut list = List::new();
        loop {
            self.newlines();
            if self.done() || self.at_closer() {
                return list;
            }
            let before = self.at;
            let pipeline = self.pipeline();
            if self.at == before {
                return list;
            }
            self.blanks();
            let (then, ends) = match (self.byte(0), self.byte(1)) {
                (Some(b'&'), Some(b'&')) => (Then::And, 2),
                (Some(b'|'), Some(b'|')) => (Then::Or, 2),
                (Some(b';'), Some(b';' | b'&')) => (Then::Next, 0),
                (Some(b';'), _) => (Then::Next, 1),
                (Some(b'&'), _) => (Then::Background, 1),
                (Some(b'\n'), _) => (Then::Next, 0),
                _ => {
                    list.push(Item { pipeline, then: Then::Next });
                    return list;
                }
            };
            let case_end = ends == 0 && self.byte(0) == Some(b';');
            list.push(Item { pipeline, then });
            if case_end {
                return list;
            }
            self.take(ends);
        }
    }

    fn at_closer(&self) -> bool {
        match self.byte(0) {
            None | Some(b')') => true,
            Some(b';') => true,
            Some(b'&' | b'|') => true,
            _ => self.reserved().is_some_and(|word| word != "in" && CLOSERS.contains(&word)),
        }
    }

    /// The unquoted word here, if it could be a reserved one.
    fn reserved(&self) -> Option<&'s str> {
        let bytes = self.source.as_bytes().get(self.at..)?;
        let length = bytes
            .iter()
            .take(9)
            .take_while(|b| b.is_ascii_lowercase() || matches!(b, b'{' | b'}' | b'!' | b'[' | b']'))
            .count();
        let ends = match bytes.get(length) {
            None => true,
            Some(b) => {
                matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>')
            }
        };
        if ends && length > 0 { self.rest().get(..length) } else { None }
    }

    fn eat_reserved(&mut self, word: &str) -> bool {
        self.newlines();
        let found = self.reserved() == Some(word);
        if found {
            self.take(word.len());
        }
        found
    }

    fn expect(&mut self, word: &str) {
        if !self.eat_reserved(word) {
            self.fault();
        }
    }

    fn pipeline(&mut self) -> Vec<Command> {
        let mut commands = Vec::with_capacity(1);
        loop {
            self.newlines();
            match self.reserved() {
                Some("!") => {
                    self.take(1);
                    continue;
                }
                Some("time") if !matches!(self.byte(4), Some(b'(')) => {
                    self.take(4);
                    self.blanks();
                    while self.reserved_flag("-p") || self.reserved_flag("--") {}
                    if matches!(self.byte(0), None | Some(b'\n' | b';')) {
                        return commands;
                    }
                    continue;
                }
                _ => {}
            }
            let before = self.at;
            if let Some(command) = self.command() {
                commands.push(command);
            }
            if self.at == before {
                if !commands.is_empty() {
                    self.fault();
                }
                return commands;
            }
            self.blanks();
            match (self.byte(0), self.byte(1)) {
                (Some(b'|'), Some(b'&')) => self.take(2),
                (Some(b'|'), next) if next != Some(b'|') => self.take(1),
                _ => return commands,
            }
        }
    }

    fn reserved_flag(&mut self, flag: &str) -> bool {
        let next = self.byte(flag.len());
        let found = self.looking_at(flag) && matches!(next, None | Some(b' ' | b'\t' | b'\n'));
        if found {
            self.take(flag.len());
            self.blanks();
        }
        found
    }

    // ---- commands ----

    fn command(&mut self) -> Option<Command> {
        self.blanks();
        let body = match (self.byte(0), self.byte(1)) {
            (Some(b'('), Some(b'(')) => self.nested(Self::double_paren),
            (Some(b'('), _) => self.nested(|p| Some(p.subshell())),
            _ => match self.reserved() {
                Some("{") => self.nested(|p| {
                    p.take(1);
                    let list = p.list();
                    p.expect("}");
                    Some(Body::Group(list))
                }),
                Some("if") => self.nested(Self::if_clause),
                Some("while" | "until") => self.nested(|p| {
                    p.take(5);
                    let condition = p.list();
                    Some(Body::While(condition, p.do_group()))
                }),
                Some("for" | "select") => self.nested(Self::for_clause),
                Some("case") => self.nested(Self::case_clause),
                Some("function") => self.nested(Self::function_clause),
                Some("coproc") => {
                    self.take(6);
                    return self.nested(Self::command);
                }
                Some("[[") => self.nested(Self::test_clause),
                _ => return self.simple(),
            },
        };
        let mut redirects = Vec::new();
        if body.is_some() {
            self.redirects(&mut redirects);
        }
        body.map(|body| Command { body, redirects })
    }

    fn subshell(&mut self) -> Body {
        self.take(1);
        let list = self.list();
        self.close_paren();
        Body::Subshell(list)
    }

    fn close_paren(&mut self) {
        self.newlines();
        if !self.eat(")") {
            self.fault();
        }
    }

    fn double_paren(&mut self) -> Option<Body> {
        let start = self.at;
        if self.budget.second_looks < SECOND_LOOKS {
            self.take(2);
            let noted = self.budget.gaps();
            if let Some(raw) = self.arith("))") {
                return Some(Body::Test(vec![raw]));
            }
            self.budget.second_looks += 1;
            if !self.budget.exhausted() {
                self.budget.forget_gaps(noted);
                self.at = start;
            }
        }
        Some(self.subshell())
    }

    fn if_clause(&mut self) -> Option<Body> {
        self.take(2);
        let mut arms = Vec::new();
        loop {
            let condition = self.list();
            self.expect("then");
            arms.push((condition, self.list()));
            if self.eat_reserved("elif") {
                continue;
            }
            if self.eat_reserved("else") {
                arms.push((List::new(), self.list()));
            }
            self.expect("fi");
            return Some(Body::If(arms));
        }
    }

    fn do_group(&mut self) -> List {
        if self.eat_reserved("{") {
            let list = self.list();
            self.expect("}");
            return list;
        }
        self.expect("do");
        let list = self.list();
        self.expect("done");
        list
    }

    fn for_clause(&mut self) -> Option<Body> {
        let length = self.reserved().map_or(0, str::len);
        self.take(length);
        self.blanks();
        if self.looking_at("((") {
            self.take(2);
            let head = self.arith("))").unwrap_or_else(|| {
                self.fault();
                Raw::new()
            });
            self.blanks();
            self.eat(";");
            let mut body = vec![Item {
                pipeline: vec![Command { body: Body::Test(vec![head]), redirects: Vec::new() }],
                then: Then::Next,
            }];
            body.append(&mut self.do_group());
            return Some(Body::While(List::new(), body));
        }
        let start = self.at;
        self.word();
        let name = self.text(start).to_owned();
        let mut items = None;
        self.newlines();
        if self.eat_reserved("in") {
            items = Some(self.words());
        }
        self.blanks();
        self.eat(";");
        Some(Body::For { name, items, body: self.do_group() })
    }

    /// Words up to an operator or the line's end.
    fn words(&mut self) -> Vec<Raw> {
        let mut words = Vec::new();
        loop {
            self.blanks();
            let before = self.at;
            let word = self.word();
            if self.at == before {
                return words;
            }
            words.push(word);
        }
    }

    fn case_clause(&mut self) -> Option<Body> {
        self.take(4);
        self.blanks();
        let word = self.word();
        self.expect("in");
        let mut arms = Vec::new();
        loop {
            self.newlines();
            if self.done() || self.eat_reserved("esac") {
                return Some(Body::Case { word, arms });
            }
            let before = self.at;
            self.eat("(");
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                patterns.push(self.word());
                self.blanks();
                if !self.eat("|") {
                    break;
                }
            }
            if !self.eat(")") {
                self.fault();
            }
            arms.push((patterns, self.list()));
            self.newlines();
            let _ = self.eat(";;&") || self.eat(";;") || self.eat(";&");
            if self.at == before {
                self.fault();
                return Some(Body::Case { word, arms });
            }
        }
    }

    fn function_clause(&mut self) -> Option<Body> {
        self.take("function".len());
        self.blanks();
        let start = self.at;
        self.word();
        let name = self.text(start).to_owned();
        self.blanks();
        if self.eat("(") {
            self.blanks();
            self.eat(")");
        }
        self.function_body(name)
    }

    fn function_body(&mut self, name: String) -> Option<Body> {
        self.newlines();
        let Some(command) = self.nested(Self::command) else {
            self.fault();
            return Some(Body::Group(List::new()));
        };
        Some(Body::Function { name, body: Arc::new(command) })
    }

    fn test_clause(&mut self) -> Option<Body> {
        self.take(2);
        let mut words = Vec::new();
        loop {
            self.newlines();
            if self.reserved() == Some("]]") {
                self.take(2);
                return Some(Body::Test(words));
            }
            match self.byte(0) {
                None => {
                    self.fault();
                    return Some(Body::Test(words));
                }
                Some(b'<' | b'>') if self.byte(1) == Some(b'(') => words.push(self.word()),
                Some(b'(' | b')' | b'<' | b'>' | b'|' | b'&' | b';') => self.take(1),
                Some(_) => words.push(self.word()),
            }
        }
    }

    fn simple(&mut self) -> Option<Command> {
        let (mut assigns, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        let start = self.at;
        loop {
            self.blanks();
            if self.redirect(&mut redirects) {
                continue;
            }
            if words.is_empty()
                && let Some(assign) = self.assignment()
            {
                assigns.push(assign);
                continue;
            }
            let before = self.at;
            let word = self.word();
            if self.at == before {
                break;
            }
            words.push(word);
            if words.len() == 1 && assigns.is_empty() && redirects.is_empty() && self.function_parens() {
                let name = self.text(start).split('(').next().unwrap_or_default().trim().to_owned();
                let body = self.nested(|p| p.function_body(name))?;
                return Some(Command { body, redirects });
            }
        }
        if assigns.is_empty() && words.is_empty() && redirects.is_empty() {
            return None;
        }
        Some(Command { body: Body::Simple { assigns, words }, redirects })
    }

    /// `()` after a name.
    fn function_parens(&mut self) -> bool {
        let start = self.at;
        self.blanks();
        if self.eat("(") {
            self.blanks();
            if self.eat(")") {
                return true;
            }
        }
        self.at = start;
        false
    }

    fn assignment(&mut self) -> Option<Assign> {
        let length = name_length(self.rest());
        if length == 0 {
            return None;
        }
        let start = self.at;
        let name = self.rest().get(..length)?.to_owned();
        let mut after = length;
        let index = self.byte(after) == Some(b'[');
        if index {
            let close = self.rest().as_bytes().iter().take(256).position(|b| matches!(b, b']' | b'\n'))?;
            after = close + 1;
        }
        let append = self.byte(after) == Some(b'+');
        let equals = after + usize::from(append);
        if self.byte(equals) != Some(b'=') {
            return None;
        }
        self.take(equals + 1);
        if self.byte(0) == Some(b'(') && !index {
            let value = self.nested(|p| p.array());
            return Some(Assign { name, append, value, array: true });
        }
        debug_assert!(self.at > start);
        Some(Assign { name, append, value: vec![self.word()], array: false })
    }

    fn array(&mut self) -> Vec<Raw> {
        self.take(1);
        let mut elements = Vec::new();
        loop {
            self.newlines();
            let before = self.at;
            let word = self.word();
            if self.at == before {
                if !self.eat(")") {
                    self.fault();
                }
                return elements;
            }
            elements.push(word);
        }
    }
}
