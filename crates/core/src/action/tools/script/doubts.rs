//! What in a script keeps its constants from being constant, and its tools from being called by name only.
//!
//! A script is read without being run, so whatever could change a value, or reach a tool in another way, has
//! to be absent. This looks for all of it at once, before anything is followed.

use std::collections::{HashMap, HashSet};

use super::lexer::Token;

/// Names by which a script reaches what it does not name, or changes what calls are made of: `eval` and its
/// relatives, the global object, what all objects inherit from.
const REACHES: [&str; 24] = [
    "Function",
    "Proxy",
    "Reflect",
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__proto__",
    "constructor",
    "defineProperties",
    "defineProperty",
    "eval",
    "frames",
    "getPrototypeOf",
    "global",
    "globalThis",
    "import",
    "prototype",
    "require",
    "self",
    "setPrototypeOf",
    "this",
    "toJSON",
    "valueOf",
    "window",
];

/// What is said of a script before it is read.
#[derive(Debug, Default)]
pub(super) struct Doubts<'a> {
    /// Names that may mean something else than what they were declared as.
    unsure: HashSet<&'a str>,
    /// Names that are declared.
    declared: HashSet<&'a str>,
    /// How often each name stands in the script, as a string or as a name.
    counts: HashMap<&'a str, usize>,
    /// How many calls of tools by their names there are.
    pub calls: usize,
    /// Whether tools are called by their names only, and nothing is reached that is not named.
    pub plain: bool,
    /// Whether a member is taken by a name that is worked out, which may be any.
    pub computed: bool,
}

impl<'a> Doubts<'a> {
    pub fn of(tokens: &'a [Token]) -> Self {
        let mut doubts = Self { plain: true, ..Self::default() };
        let patterns = doubts.patterns(tokens);
        let mut within = 0i64;
        for (at, token) in tokens.iter().enumerate() {
            within += patterns.get(at).copied().unwrap_or_default();
            let before = at.checked_sub(1).and_then(|at| tokens.get(at));
            match token {
                Token::Word(word) => {
                    *doubts.counts.entry(word).or_default() += 1;
                    let binds = before.is_some_and(|token| is_one_of(token, &["const", "let", "var"]));
                    let names =
                        before.is_some_and(|token| is_one_of(token, &["class", "function", "catch", "as"]));
                    let given = binds && sign(tokens, at + 1, '=');
                    let anew = if given { !doubts.declared.insert(word.as_str()) } else { binds };
                    if within > 0 || names || anew || !given && assigned(tokens, at) {
                        doubts.unsure.insert(word);
                    }
                    doubts.plain &= !REACHES.contains(&word.as_str());
                    if word == "tools" {
                        doubts.tool(tokens, at);
                    }
                }
                Token::Text(text, _) => {
                    *doubts.counts.entry(text).or_default() += 1;
                    doubts.plain &= !REACHES.contains(&text.as_str());
                }
                Token::Sign('[') => doubts.computed |= computed(tokens, at),
                Token::Sign(_) | Token::Number => {}
            }
        }
        doubts
    }

    /// Whether `name`, declared once, means what it was declared as wherever it stands. Who has an object can
    /// change it, so one may stand in a single other place.
    pub fn keeps(&self, name: &str, is_text: bool) -> bool {
        !self.unsure.contains(name) && (is_text || self.counts.get(name).is_some_and(|count| *count == 2))
    }

    /// Whether `String.raw` is what it always is.
    pub fn keeps_raw(&self) -> bool {
        let given = self.unsure.contains("String") || self.declared.contains("String");
        !given && !self.counts.contains_key("raw")
    }

    /// `tools` at `at`: called by a name, or something else is done with it.
    fn tool(&mut self, tokens: &[Token], at: usize) {
        let named = match (tokens.get(at + 1), tokens.get(at + 2)) {
            (Some(Token::Sign('.')), Some(Token::Word(_))) => sign(tokens, at + 3, '('),
            (Some(Token::Sign('[')), Some(Token::Text(_, true))) => {
                sign(tokens, at + 3, ']') && sign(tokens, at + 4, '(')
            }
            _ => false,
        };
        self.calls += usize::from(named);
        self.plain &= named;
    }

    /// For each token how many patterns begin there, less those that ended just before: names in a pattern are
    /// given values. Patterns are what functions take, what is caught, and what stands on the left of `=`, `of`
    /// and `in`.
    fn patterns(&mut self, tokens: &[Token]) -> Vec<i64> {
        let mut marks = vec![0i64; tokens.len() + 1];
        let mut open = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            let Token::Sign(sign_here) = token else { continue };
            let opens = match sign_here {
                '(' | '[' | '{' => {
                    open.push((at, *sign_here));
                    continue;
                }
                ')' => '(',
                ']' => '[',
                '}' => '{',
                _ => continue,
            };
            let Some((from, _)) = open.pop().filter(|(_, opened)| *opened == opens) else {
                // Not cut as an engine cuts it.
                self.plain = false;
                return marks;
            };
            let equals = sign(tokens, at + 1, '=') && !sign(tokens, at + 2, '=');
            let pattern = match opens {
                '(' => equals || sign(tokens, at + 1, '{'),
                _ => equals || tokens.get(at + 1).is_some_and(|token| is_one_of(token, &["of", "in"])),
            };
            if pattern {
                if let Some(mark) = marks.get_mut(from) {
                    *mark += 1;
                }
                if let Some(mark) = marks.get_mut(at) {
                    *mark -= 1;
                }
            }
        }
        self.plain &= open.is_empty();
        marks
    }
}

/// Whether `token` is one of `words`.
pub(super) fn is_one_of(token: &Token, words: &[&str]) -> bool {
    matches!(token, Token::Word(word) if words.contains(&word.as_str()))
}

fn sign(tokens: &[Token], at: usize, sign: char) -> bool {
    tokens.get(at) == Some(&Token::Sign(sign))
}

/// Whether the name at `at` is given a value: by `=`, `+=` and the like, `++`, as what an arrow function takes, by
/// a loop. Comparisons may count too.
fn assigned(tokens: &[Token], at: usize) -> bool {
    let operator = |at: usize| match tokens.get(at) {
        Some(Token::Sign(sign)) if "+-*/%&|^?<>".contains(*sign) => Some(*sign),
        _ => None,
    };
    let mut end = at + 1;
    while end < at + 4 && operator(end).is_some() {
        end += 1;
    }
    let steps = |first: usize| {
        operator(first).is_some_and(|sign| matches!(sign, '+' | '-') && operator(first + 1) == Some(sign))
    };
    let equals = sign(tokens, end, '=') && !(end == at + 1 && sign(tokens, end + 1, '='));
    let before = at.checked_sub(2).is_some_and(steps);
    equals
        || steps(at + 1)
        || before
        || tokens.get(at + 1).is_some_and(|token| is_one_of(token, &["of", "in"]))
}

/// Whether the bracket at `at` takes a member whose name is worked out.
fn computed(tokens: &[Token], at: usize) -> bool {
    let of_value = match at.checked_sub(1).and_then(|at| tokens.get(at)) {
        Some(Token::Word(word)) => {
            let member = at.checked_sub(2).is_some_and(|at| sign(tokens, at, '.'));
            member || !super::KEYWORDS.contains(&word.as_str())
        }
        Some(Token::Text(..) | Token::Sign(')' | ']' | '.')) => true,
        _ => false,
    };
    let literal =
        matches!(tokens.get(at + 1), Some(Token::Number | Token::Text(_, true))) && sign(tokens, at + 2, ']');
    of_value && !literal
}
