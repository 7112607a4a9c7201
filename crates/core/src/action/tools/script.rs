//! A script that calls tools: what an agent in "code mode" is given instead of calls.
//!
//! Codex's current models call one tool, `exec`, with JavaScript in which `tools.exec_command({cmd: "…"})` and
//! the like stand. This reads such a script for its calls: literals, constants, concatenations and template
//! strings are followed; what a program would have to be run for is not. Wherever that happens, every string
//! of the script counts as a command, because any of them may end up as one.

use std::collections::HashMap;

use crate::syntax::json;

/// The most tokens of one script.
const MOST_TOKENS: usize = 200_000;

/// How deep expressions may nest.
const DEEPEST: u32 = 64;

/// Words that may stand beside another word or a string in a line of JavaScript.
const KEYWORDS: [&str; 36] = [
    "async",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "default",
    "delete",
    "do",
    "else",
    "export",
    "extends",
    "finally",
    "for",
    "from",
    "function",
    "get",
    "if",
    "import",
    "in",
    "instanceof",
    "let",
    "new",
    "of",
    "return",
    "set",
    "static",
    "switch",
    "throw",
    "try",
    "typeof",
    "var",
    "while",
    "yield",
];

/// What a script does with its tools.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// Each call: the tool's name and its arguments as JSON text, a single value or an object.
    pub calls: Vec<(String, String)>,
    /// Every string in it.
    pub strings: Vec<String>,
    /// Whether every use of `tools` was understood.
    pub whole: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// A string and whether all of it is known: a template's substitutions are not.
    Text(String, bool),
    Number,
    Sign(char),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String, bool),
    Object(Vec<(String, Value)>),
    List(Vec<Value>),
    Unknown,
}

/// Reads `source` as such a script; `None` if it is none: no call of a tool, or no JavaScript.
pub(super) fn read(source: &str) -> Option<Script> {
    let tokens = Lexer::new(source).run(0)?;
    let names_tools = tokens.iter().any(|token| *token == Token::Word("tools".to_owned()));
    if !names_tools {
        return None;
    }
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        known: HashMap::new(),
        script: Script { whole: true, ..Script::default() },
    };
    reader.strings();
    reader.statements();
    Some(reader.script)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Token>,
    /// For each token the line it stands on: by where the last line end before it was.
    lines: Vec<usize>,
    /// What stands in the substitutions of templates: statements of their own.
    inner: Vec<Token>,
}

impl<'a> Lexer<'a> {
    const fn new(source: &'a str) -> Self {
        Self { source, at: 0, tokens: Vec::new(), lines: Vec::new(), inner: Vec::new() }
    }

    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// The tokens; `None` if this is no JavaScript. `depth` counts templates within templates.
    fn run(mut self, depth: u32) -> Option<Vec<Token>> {
        let mut line = 0;
        while let Some(c) = self.rest().chars().next() {
            if self.tokens.len() > MOST_TOKENS || depth > 8 {
                return None;
            }
            match c {
                '\n' => {
                    line += 1;
                    self.at += 1;
                }
                c if c.is_whitespace() => self.at += c.len_utf8(),
                _ if self.rest().starts_with("//") => {
                    self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                }
                _ if self.rest().starts_with("/*") => self.at += self.rest().find("*/")? + 2,
                '"' | '\'' => {
                    let text = self.quoted(c)?;
                    self.push(Token::Text(text, true), line)?;
                }
                '`' => self.template(line, depth)?,
                '/' if self.regex_may_begin() => {
                    self.regex()?;
                    self.push(Token::Number, line)?;
                }
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
                    self.push(Token::Word(word), line)?;
                }
                c => {
                    self.at += c.len_utf8();
                    self.push(Token::Sign(c), line)?;
                }
            }
        }
        self.tokens.push(Token::Sign(';'));
        self.tokens.append(&mut self.inner);
        Some(self.tokens)
    }

    /// Adds a token. Two words side by side on one line are a shell's, not a script's.
    fn push(&mut self, token: Token, line: usize) -> Option<()> {
        let plain = |token: &Token| match token {
            Token::Word(word) => !KEYWORDS.contains(&word.as_str()),
            Token::Text(..) | Token::Number => true,
            Token::Sign(_) => false,
        };
        let beside = self.lines.last() == Some(&line);
        // A string behind a word is a tagged template at best.
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
                '\n' => return None,
                '\\' => self.escape(&mut text)?,
                c if c == quote => return Some(text),
                c => text.push(c),
            }
        }
    }

    fn template(&mut self, line: usize, depth: u32) -> Option<()> {
        self.at += 1;
        let (mut text, mut whole) = (String::new(), true);
        loop {
            let c = self.rest().chars().next()?;
            self.at += c.len_utf8();
            match c {
                '`' => return self.push(Token::Text(text, whole), line),
                '\\' => self.escape(&mut text)?,
                '$' if self.rest().starts_with('{') => {
                    let inside = self.substitution()?;
                    // Its strings and calls count; its value is what a shell would call a variable.
                    let inner = Lexer::new(&inside).run(depth + 1)?;
                    self.inner.push(Token::Sign(';'));
                    self.inner.extend(inner);
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

    /// The text between `${` and its `}`.
    fn substitution(&mut self) -> Option<String> {
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
                    self.at += end + 2;
                    continue;
                }
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            let end = self.at;
            self.at += c.len_utf8();
            if depth == 0 {
                return self.source.get(start..end).map(str::to_owned);
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Option<()> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        let plain = match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '0' => '\0',
            '\n' => return Some(()),
            'x' => self.hex(2)?,
            'u' if self.rest().starts_with('{') => {
                let end = self.rest().find('}')?;
                let digits = self.rest().get(1..end)?.to_owned();
                self.at += end + 1;
                char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
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

    fn regex_may_begin(&self) -> bool {
        match self.tokens.last() {
            None => true,
            Some(Token::Sign(sign)) => !matches!(sign, ')' | ']' | '}'),
            Some(Token::Word(word)) => KEYWORDS.contains(&word.as_str()),
            Some(Token::Text(..) | Token::Number) => false,
        }
    }

    fn regex(&mut self) -> Option<()> {
        self.at += 1;
        let mut class = false;
        loop {
            let c = self.rest().chars().next()?;
            self.at += c.len_utf8();
            match c {
                '\n' => return None,
                '\\' => self.at += self.rest().chars().next()?.len_utf8(),
                '[' => class = true,
                ']' => class = false,
                '/' if !class => return Some(()),
                _ => {}
            }
        }
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    /// Constants: names given a value once.
    known: HashMap<String, Value>,
    script: Script,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn sign(&self, ahead: usize, sign: char) -> bool {
        self.peek(ahead) == Some(&Token::Sign(sign))
    }

    fn strings(&mut self) {
        for token in self.tokens {
            if let Token::Text(text, _) = token
                && !text.is_empty()
            {
                self.script.strings.push(text.clone());
            }
        }
    }

    fn statements(&mut self) {
        while let Some(token) = self.peek(0) {
            match token {
                Token::Word(word) if matches!(word.as_str(), "const" | "let" | "var") => self.declaration(),
                Token::Word(word) if word == "tools" => self.tool(0),
                Token::Word(word) if self.known.contains_key(word) && self.assigned() => {
                    let word = word.clone();
                    self.known.insert(word, Value::Unknown);
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
    }

    /// Whether the word here is given another value: `=`, `+=` and the like, not `==` or `=>`.
    fn assigned(&self) -> bool {
        let equals = |at: usize| self.sign(at, '=') && !self.sign(at + 1, '=') && !self.sign(at + 1, '>');
        equals(1)
            || matches!(self.peek(1), Some(Token::Sign('+' | '-' | '?' | '|' | '&')))
                && (equals(2) || equals(3))
    }

    /// `const name = value`: what it is, if it is a literal.
    fn declaration(&mut self) {
        self.at += 1;
        let (Some(Token::Word(name)), true) = (self.peek(0), self.sign(1, '=')) else { return };
        let name = name.clone();
        self.at += 2;
        let value = self.value(0);
        // Given twice: nobody knows which counts where it is used.
        let value = if self.known.contains_key(&name) { Value::Unknown } else { value };
        self.known.insert(name, value);
    }

    /// A use of `tools`: `tools.name(…)` or `tools["name"](…)`; anything else is not understood.
    fn tool(&mut self, depth: u32) {
        self.at += 1;
        let name = match (self.peek(0), self.peek(1), self.peek(2)) {
            (Some(Token::Sign('.')), Some(Token::Word(name)), _) => {
                let name = name.clone();
                self.at += 2;
                name
            }
            (Some(Token::Sign('[')), Some(Token::Text(name, true)), Some(Token::Sign(']'))) => {
                let name = name.clone();
                self.at += 3;
                name
            }
            _ => {
                self.script.whole = false;
                return;
            }
        };
        if !self.sign(0, '(') {
            self.script.whole = false;
            return;
        }
        self.at += 1;
        let value = if self.sign(0, ')') { Value::Object(Vec::new()) } else { self.value(depth + 1) };
        let mut json = Vec::new();
        self.script.whole &= write(&value, &mut json);
        let arguments = String::from_utf8_lossy(&json).into_owned();
        self.script.calls.push((name, arguments));
    }

    /// An expression, up to what ends it.
    fn value(&mut self, depth: u32) -> Value {
        if depth > DEEPEST {
            self.script.whole = false;
            return Value::Unknown;
        }
        let mut sum = self.term(depth);
        while self.sign(0, '+') && !self.sign(1, '+') && !self.sign(1, '=') {
            self.at += 1;
            sum = match (sum, self.term(depth)) {
                (Value::Text(a, x), Value::Text(b, y)) => Value::Text(a + &b, x && y),
                (Value::Text(a, _), _) => Value::Text(a + "$_", false),
                (_, Value::Text(b, _)) => Value::Text("$_".to_owned() + &b, false),
                _ => Value::Unknown,
            };
        }
        if self.ends() {
            return sum;
        }
        // Something else is done with it: the rest is walked for its calls.
        self.skip(depth);
        match sum {
            Value::Text(text, _) => Value::Text(text, false),
            _ => Value::Unknown,
        }
    }

    /// Whether an expression ends here. Without semicolons a statement ends where a keyword begins.
    fn ends(&self) -> bool {
        match self.peek(0) {
            None | Some(Token::Sign(')' | ']' | '}' | ',' | ';' | ':')) => true,
            Some(Token::Word(_) | Token::Text(..) | Token::Number) => true,
            Some(Token::Sign(_)) => false,
        }
    }

    /// Steps over the rest of an expression; what is called in it is called.
    fn skip(&mut self, depth: u32) {
        let mut open = 0usize;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Sign('(' | '[' | '{') => open += 1,
                Token::Sign(')' | ']' | '}') if open == 0 => return,
                Token::Sign(')' | ']' | '}') => open -= 1,
                Token::Sign(',' | ';') if open == 0 => return,
                Token::Word(word) if word == "tools" => {
                    self.tool(depth + 1);
                    continue;
                }
                Token::Word(word) if open == 0 && matches!(word.as_str(), "const" | "let" | "var") => return,
                _ => {}
            }
            self.at += 1;
        }
    }

    fn term(&mut self, depth: u32) -> Value {
        let Some(token) = self.peek(0).cloned() else { return Value::Unknown };
        match token {
            Token::Text(text, whole) => {
                self.at += 1;
                Value::Text(text, whole)
            }
            Token::Sign('{') => self.object(depth),
            Token::Sign('[') => self.list(depth),
            Token::Sign('(') => {
                self.at += 1;
                let value = self.value(depth + 1);
                self.at += usize::from(self.sign(0, ')'));
                value
            }
            Token::Word(word) if word == "await" || word == "new" => {
                self.at += 1;
                self.term(depth + 1);
                Value::Unknown
            }
            Token::Word(word) if word == "tools" => {
                self.tool(depth + 1);
                Value::Unknown
            }
            Token::Word(word) => {
                self.at += 1;
                // A member or a call of it is another value.
                if matches!(self.peek(0), Some(Token::Sign('.' | '(' | '[' | '?'))) {
                    return Value::Unknown;
                }
                match word.as_str() {
                    "true" | "false" | "null" | "undefined" => Value::Object(Vec::new()),
                    _ => self.known.get(&word).cloned().unwrap_or(Value::Unknown),
                }
            }
            Token::Number => {
                self.at += 1;
                Value::Object(Vec::new())
            }
            Token::Sign(_) => Value::Unknown,
        }
    }

    fn object(&mut self, depth: u32) -> Value {
        self.at += 1;
        let mut members = Vec::new();
        loop {
            match (self.peek(0).cloned(), self.peek(1)) {
                (None, _) => return Value::Unknown,
                (Some(Token::Sign('}')), _) => {
                    self.at += 1;
                    return Value::Object(members);
                }
                (Some(Token::Sign(',')), _) => self.at += 1,
                (Some(Token::Word(key) | Token::Text(key, true)), Some(Token::Sign(':'))) => {
                    self.at += 2;
                    members.push((key, self.value(depth + 1)));
                }
                // `{cmd}` stands for `{cmd: cmd}`.
                (Some(Token::Word(key)), Some(Token::Sign(',' | '}'))) => {
                    self.at += 1;
                    members.push((key.clone(), self.known.get(&key).cloned().unwrap_or(Value::Unknown)));
                }
                // A spread, a method, a computed key.
                _ => {
                    self.script.whole = false;
                    members.push((String::new(), Value::Unknown));
                    let before = self.at;
                    self.skip(depth + 1);
                    self.at += usize::from(self.at == before);
                }
            }
        }
    }

    fn list(&mut self, depth: u32) -> Value {
        self.at += 1;
        let mut elements = Vec::new();
        loop {
            match self.peek(0) {
                None => return Value::Unknown,
                Some(Token::Sign(']')) => {
                    self.at += 1;
                    return Value::List(elements);
                }
                Some(Token::Sign(',')) => self.at += 1,
                Some(_) => {
                    let before = self.at;
                    elements.push(self.value(depth + 1));
                    self.at += usize::from(self.at == before);
                }
            }
        }
    }
}

/// Writes `value` as JSON; `false` if something in it is not known.
fn write(value: &Value, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Text(text, whole) => {
            out.extend_from_slice(&json::quoted(text));
            *whole
        }
        Value::Object(members) => {
            let mut whole = true;
            out.push(b'{');
            let mut written: Vec<&str> = Vec::new();
            for (key, value) in members.iter().rev() {
                // The last of several counts.
                if written.contains(&key.as_str()) {
                    continue;
                }
                if !written.is_empty() {
                    out.push(b',');
                }
                written.push(key);
                out.extend_from_slice(&json::quoted(key));
                out.push(b':');
                whole &= write(value, out);
            }
            out.push(b'}');
            whole
        }
        Value::List(elements) => {
            let mut whole = true;
            out.push(b'[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                whole &= write(element, out);
            }
            out.push(b']');
            whole
        }
        Value::Unknown => {
            out.extend_from_slice(b"null");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(source: &str) -> (Vec<(String, String)>, bool) {
        let script = read(source).expect("a script");
        (script.calls, script.whole)
    }

    fn one(name: &str, arguments: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), arguments.to_owned())]
    }

    #[test]
    fn literals_constants_and_sums_are_followed() {
        let want = (one("exec_command", r#"{"cmd":"curl x | sh"}"#), true);
        for source in [
            "const r = await tools.exec_command({cmd: \"curl x | sh\"});\ntext(r.output);\n",
            "// @exec: {\"yield_time_ms\": 10000}\nawait tools.exec_command({ 'cmd': 'curl x | sh', })",
            "const c = `curl x | sh`\nconst r = await tools[\"exec_command\"]({cmd: c})\ntext(r)",
            "const cmd = 'curl ' + \"x\" + ' | sh';\ntools.exec_command({cmd});",
        ] {
            assert_eq!(calls(source), want, "{source}");
        }
        assert_eq!(
            calls(
                "text(await tools.apply_patch(\"*** Begin Patch\\n*** Add File: a\\n+x\\n*** End Patch\"))"
            ),
            (one("apply_patch", r#""*** Begin Patch\n*** Add File: a\n+x\n*** End Patch""#), true)
        );
        let many = "const [a, b] = await Promise.all([tools.exec_command({cmd: 'ls'}), tools.exec_command({cmd: 'pwd'})]);";
        assert_eq!(calls(many).0.len(), 2);
        assert!(calls(many).1);
    }

    #[test]
    fn what_must_be_run_to_be_known_is_not_known() {
        for source in [
            "for (const f of files) { await tools.exec_command({cmd: `rm ${f}`}); }",
            "const c = atob('Y3VybA=='); await tools.exec_command({cmd: c});",
            "const t = tools; await t.exec_command({cmd: 'curl x | sh'});",
            "const {exec_command} = tools; await exec_command({cmd: 'curl x | sh'});",
            "await tools.exec_command({...opts, cmd: 'ls'});",
            "let c = 'ls'; c = 'curl x | sh'; await tools.exec_command({cmd: c});",
            "let c = 'ls'; c += ' | sh'; await tools.exec_command({cmd: c});",
            "await tools.exec_command({cmd: ['curl', 'x'].join(' ')});",
            "await tools.exec_command({cmd: 'x'.replace('x', 'curl')});",
            "await tools[name]({cmd: 'ls'});",
        ] {
            assert!(!calls(source).1, "{source}");
        }
        let template = calls("await tools.exec_command({cmd: `rm -rf ${tools.pick({a: 'b'})}`});");
        assert!(template.0.iter().any(|(name, _)| name == "pick"), "{template:?}");
        assert!(
            template.0.iter().any(|(_, arguments)| arguments == r#"{"cmd":"rm -rf $_"}"#),
            "{template:?}"
        );
    }

    #[test]
    fn a_shell_line_is_no_script() {
        for line in [
            "curl x | sh # tools.exec_command()",
            "echo \"tools.x\" > a; rm -rf tools",
            "ls -la tools",
            "cat tools/x.js",
            "python -c 'print(1)'",
            "",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn any_text_without_a_panic() {
        for text in [
            "tools",
            "tools.",
            "tools.a(",
            "tools.a({b:",
            "`${",
            "tools.a(`${`${",
            "/[",
            "'\\u{",
            "{[(tools[",
            "tools.a({...",
            "tools.a([,,",
        ] {
            let _ = read(text);
        }
        let deep = format!("tools.a({})", "[".repeat(100_000));
        let _ = read(&deep);
        let deep = format!("tools.a({}", "{a:".repeat(100_000));
        let _ = read(&deep);
    }
}
