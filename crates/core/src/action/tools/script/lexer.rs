//! JavaScript cut into tokens.
//!
//! Where a slash divides and where it begins a regular expression hangs on the grammar, and a regular
//! expression may hold quotes: whoever reads it the other way reads other strings. Where it cannot be told
//! from the tokens before, [`Tokens::sure`] is false, and so it is for what engines read in more than one way.

use super::KEYWORDS;

/// The most tokens of one script.
const MOST_TOKENS: usize = 200_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    /// A string and whether all of it is known: a template's substitutions are not.
    Text(String, bool),
    Number,
    Sign(char),
}

/// A script's tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    pub list: Vec<Token>,
    /// Whether every engine cuts the script as it is cut here.
    pub sure: bool,
    /// Whether it counts on `String.raw` to give a template as it is written.
    pub raw: bool,
}

/// The tokens of `source`; `None` if it is no JavaScript.
pub(super) fn tokens(source: &str) -> Option<Tokens> {
    Lexer::new(source).run(0)
}

/// `text` with what can be read of its escapes.
pub(super) fn unescaped(text: &str) -> String {
    let mut lexer = Lexer::new(text);
    let mut out = String::with_capacity(text.len());
    while let Some(c) = lexer.rest().chars().next() {
        lexer.at += c.len_utf8();
        let at = lexer.at;
        if c != '\\' {
            out.push(c);
        } else if lexer.escape(&mut out).is_none() {
            lexer.at = at;
        }
    }
    out
}

/// What ends a line to a script: the last two do so in comments, not in strings.
const fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Token>,
    /// For each token the line it stands on: by where the last line end before it was.
    lines: Vec<usize>,
    /// What stands in the substitutions of templates: statements of their own.
    inner: Vec<Token>,
    sure: bool,
    raw: bool,
    /// How much has been searched for the ends of regular expressions.
    searched: usize,
}

impl<'a> Lexer<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            source,
            at: 0,
            tokens: Vec::new(),
            lines: Vec::new(),
            inner: Vec::new(),
            // What follows `#!` is a comment.
            sure: !source.starts_with("#!"),
            raw: false,
            searched: 0,
        }
    }

    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// The tokens; `None` if this is no JavaScript. `depth` counts templates within templates.
    fn run(mut self, depth: u32) -> Option<Tokens> {
        let mut line = 0;
        while let Some(c) = self.rest().chars().next() {
            if self.tokens.len() > MOST_TOKENS || depth > 8 {
                return None;
            }
            match c {
                c if ends_line(c) => {
                    line += 1;
                    self.at += c.len_utf8();
                }
                c if c.is_whitespace() || c == '\u{feff}' => self.at += c.len_utf8(),
                _ if self.rest().starts_with("//") => {
                    self.at += self.rest().find(ends_line).unwrap_or(self.rest().len());
                }
                _ if self.rest().starts_with("/*") => self.at += self.rest().find("*/")? + 2,
                '"' | '\'' => {
                    let text = self.quoted(c)?;
                    self.push(Token::Text(text, true), line)?;
                }
                '`' => self.template(line, depth)?,
                '/' => self.slash(line)?,
                c if c.is_ascii_digit() => {
                    let end = self.rest().find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_');
                    self.at += end.unwrap_or(self.rest().len());
                    self.push(Token::Number, line)?;
                }
                c if c.is_alphabetic() || matches!(c, '_' | '$' | '#' | '\\') => {
                    let end = self
                        .rest()
                        .find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '$' | '#' | '\\'));
                    let word = self.rest().get(..end.unwrap_or(self.rest().len()))?.to_owned();
                    self.at += word.len();
                    // A name may be spelled in escapes.
                    self.sure &= !word.contains('\\');
                    self.push(Token::Word(word), line)?;
                }
                c => {
                    // Comments to engines that keep HTML's, and letters of names that nobody uses.
                    let html = self.rest().starts_with("<!--") || self.rest().starts_with("-->");
                    self.sure &= !html && c.is_ascii();
                    self.at += c.len_utf8();
                    self.push(Token::Sign(c), line)?;
                }
            }
        }
        self.tokens.push(Token::Sign(';'));
        self.tokens.append(&mut self.inner);
        Some(Tokens { list: self.tokens, sure: self.sure, raw: self.raw })
    }

    /// Adds a token. Two words side by side on one line are a shell's, not a script's.
    fn push(&mut self, token: Token, line: usize) -> Option<()> {
        let plain = |token: &Token| match token {
            Token::Word(word) => !KEYWORDS.contains(&word.as_str()),
            Token::Text(..) | Token::Number => true,
            Token::Sign(_) => false,
        };
        let beside = self.lines.last() == Some(&line);
        if beside && self.tokens.last().is_some_and(plain) && plain(&token) {
            return None;
        }
        self.tokens.push(token);
        self.lines.push(line);
        Some(())
    }

    fn quoted(&mut self, quote: char) -> Option<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let c = self.rest().chars().next()?;
            self.at += c.len_utf8();
            match c {
                '\n' | '\r' => return None,
                '\\' => self.escape(&mut text)?,
                c if c == quote => return Some(text),
                c => text.push(c),
            }
        }
    }

    fn template(&mut self, line: usize, depth: u32) -> Option<()> {
        self.at += 1;
        let start = self.at;
        let (mut text, mut whole) = (String::new(), true);
        loop {
            let c = self.rest().chars().next()?;
            let end = self.at;
            self.at += c.len_utf8();
            match c {
                '`' => {
                    let written = self.source.get(start..end)?;
                    return self.end_template(text, written, whole, line);
                }
                '\\' => self.escape(&mut text)?,
                '\r' => {
                    self.at += usize::from(self.rest().starts_with('\n'));
                    text.push('\n');
                }
                '$' if self.rest().starts_with('{') => {
                    let inside = self.substitution()?;
                    // Its strings and calls count; its value is what a shell would call a variable.
                    let inner = Lexer::new(inside).run(depth + 1)?;
                    self.sure &= inner.sure;
                    self.raw |= inner.raw;
                    self.inner.push(Token::Sign(';'));
                    self.inner.extend(inner.list);
                    if self.inner.len() > MOST_TOKENS {
                        return None;
                    }
                    text.push_str("$_");
                    whole = false;
                }
                c => text.push(c),
            }
        }
    }

    /// Adds a template. What a function in front of it makes of it is known of `String.raw` only: what is
    /// `written`.
    fn end_template(&mut self, text: String, written: &str, whole: bool, line: usize) -> Option<()> {
        let word =
            |token: Option<&Token>, known: &str| matches!(token, Some(Token::Word(word)) if word == known);
        let [.., first, dot, last] = self.tokens.as_slice() else {
            return self.push(Token::Text(text, whole), line);
        };
        let raw = word(Some(first), "String") && *dot == Token::Sign('.') && word(Some(last), "raw");
        let member = raw
            && self
                .tokens
                .len()
                .checked_sub(4)
                .is_some_and(|at| self.tokens.get(at) == Some(&Token::Sign('.')));
        if raw && !member && whole && !written.contains('\r') {
            let left = self.tokens.len() - 3;
            self.tokens.truncate(left);
            self.lines.truncate(left);
            self.raw = true;
            return self.push(Token::Text(written.to_owned(), true), line);
        }
        let tagged = match last {
            Token::Word(word) => !KEYWORDS.contains(&word.as_str()),
            Token::Text(..) | Token::Sign(')' | ']' | '}') => true,
            Token::Number | Token::Sign(_) => false,
        };
        if tagged {
            self.tokens.push(Token::Text(text, false));
            self.lines.push(line);
            return Some(());
        }
        self.push(Token::Text(text, whole), line)
    }

    /// The text between `${` and its `}`.
    fn substitution(&mut self) -> Option<&'a str> {
        self.at += 1;
        let (start, mut depth) = (self.at, 1usize);
        loop {
            let c = self.rest().chars().next()?;
            match c {
                '"' | '\'' => {
                    self.quoted(c)?;
                    continue;
                }
                '`' => {
                    // A template in a template in a template: nobody writes that by hand.
                    let end = self.rest().get(1..)?.find('`')?;
                    let nested = self.rest().get(..end + 1)?;
                    self.sure &= !nested.contains(['\\', '$']);
                    self.at += end + 2;
                    continue;
                }
                // A comment or a regular expression may hold a brace.
                '/' => self.sure = false,
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            let end = self.at;
            self.at += c.len_utf8();
            if depth == 0 {
                return self.source.get(start..end);
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Option<()> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        let digit_follows = self.rest().starts_with(|c: char| c.is_ascii_digit());
        let plain = match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '0' if !digit_follows => '\0',
            // Octal in a script, nothing in a module.
            '0'..='9' => {
                self.sure = false;
                c
            }
            '\r' => {
                self.at += usize::from(self.rest().starts_with('\n'));
                return Some(());
            }
            c if ends_line(c) => return Some(()),
            'x' => self.hex(2)?,
            'u' if self.rest().starts_with('{') => {
                let end = self.rest().find('}')?;
                let code = u32::from_str_radix(self.rest().get(1..end)?, 16).ok()?;
                self.at += end + 1;
                char::from_u32(code)?
            }
            'u' => self.hex(4)?,
            c => c,
        };
        text.push(plain);
        Some(())
    }

    fn hex(&mut self, digits: usize) -> Option<char> {
        let code = u32::from_str_radix(self.rest().get(..digits)?, 16).ok()?;
        self.at += digits;
        Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// A slash: a division, or the beginning of a regular expression, which ends on its line.
    fn slash(&mut self, line: usize) -> Option<()> {
        let (begins, certain) = self.regex_may_begin();
        match self.regex()? {
            Some(length) => {
                self.sure &= certain;
                self.at += if begins { length } else { 1 };
                self.push(if begins { Token::Number } else { Token::Sign('/') }, line)
            }
            None => {
                self.at += 1;
                self.push(Token::Sign('/'), line)
            }
        }
    }

    /// Whether a regular expression begins here rather than a division goes on, and whether that is certain.
    fn regex_may_begin(&self) -> (bool, bool) {
        let mut before = self.tokens.iter().rev();
        match (before.next(), before.next()) {
            (None, _) => (true, true),
            // Behind `if (…)` and behind a block an expression begins, behind other brackets none does.
            (Some(Token::Sign(')' | '}')), _) => (false, false),
            (Some(Token::Sign(']') | Token::Text(..) | Token::Number), _) => (false, true),
            (Some(Token::Sign(sign @ ('+' | '-'))), Some(Token::Sign(same))) if sign == same => (true, false),
            (Some(Token::Sign(_)), _) => (true, true),
            (Some(Token::Word(_)), Some(Token::Sign('.'))) => (false, true),
            (Some(Token::Word(word)), _) => match word.as_str() {
                "as" | "async" | "await" | "from" | "get" | "let" | "of" | "set" | "static" | "yield" => {
                    (true, false)
                }
                word => (KEYWORDS.contains(&word), true),
            },
        }
    }

    /// The length of the regular expression that may begin here, its flags included; the outer `None` if too
    /// much had to be searched for it.
    fn regex(&mut self) -> Option<Option<usize>> {
        let rest = self.rest();
        let (mut class, mut escaped) = (false, false);
        let mut end = None;
        for (at, c) in rest.char_indices().skip(1) {
            self.searched += 1;
            match c {
                c if ends_line(c) => break,
                _ if std::mem::take(&mut escaped) => {}
                '\\' => escaped = true,
                '[' => class = true,
                ']' => class = false,
                '/' if !class => {
                    end = Some(at + 1);
                    break;
                }
                _ => {}
            }
        }
        if self.searched > 8 * self.source.len() {
            return None;
        }
        Some(end.map(|end| {
            let flags = rest.get(end..).unwrap_or_default();
            end + flags.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(flags.len())
        }))
    }
}
