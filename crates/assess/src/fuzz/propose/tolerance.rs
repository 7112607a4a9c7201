//! Expressions that put up with more: the same pattern, in which words may be broken up, spaces be other spaces, and
//! programs be others that do the same.
//!
//! A pattern is taken apart into its syntax and written again; what a tolerance is not about stays as a person wrote it.

use std::fmt::Write as _;

use regex::Regex;
use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{AssertionKind, Ast, ClassPerlKind, Concat, Repetition};

use super::super::operators::{Audience, Operator, same_programs};

/// The longest word that is made to put up with something, in characters.
const LONGEST_WORD: usize = 40;

/// What an expression puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tolerance {
    /// Letters of either case.
    Case,
    /// Whatever else separates words.
    Space,
    /// Quotes and escape characters between letters.
    Splice,
    /// Letters written as escapes.
    Escapes,
    /// A word whose beginning comes from a variable.
    Variables,
    /// A comment, or other commands, before and behind.
    Around,
    /// Other programs that do the same.
    Synonyms,
}

impl Tolerance {
    /// What helps against `operator`.
    pub(super) const fn against(operator: Operator) -> Option<Self> {
        Some(match operator {
            Operator::Case | Operator::FullWidth | Operator::Host => Self::Case,
            Operator::Whitespace | Operator::Ifs | Operator::Controls | Operator::Spaces => Self::Space,
            Operator::Quotes | Operator::Carets | Operator::Backticks => Self::Splice,
            Operator::AnsiQuotes | Operator::Entities | Operator::PathEscapes => Self::Escapes,
            Operator::Variables => Self::Variables,
            Operator::Comment | Operator::Wrapped | Operator::Beside => Self::Around,
            Operator::Synonyms => Self::Synonyms,
            Operator::Base64Command
            | Operator::Homoglyphs
            | Operator::ZeroWidth
            | Operator::Bidi
            | Operator::HtmlComment
            | Operator::Buried
            | Operator::Base64Text
            | Operator::Hex
            | Operator::Percent
            | Operator::Reversed
            | Operator::JsonValue => return None,
        })
    }

    /// What it is, for a person.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Case => "either case",
            Self::Space => "other white space",
            Self::Splice => "words broken up by quotes",
            Self::Escapes => "letters as escapes",
            Self::Variables => "words that begin in a variable",
            Self::Around => "other commands or a comment beside it",
            Self::Synonyms => "other programs that do the same",
        }
    }
}

/// `pattern` with these tolerances; `None` if it is no expression, or they change nothing in it. Of alternatives at the
/// top only those change that fit one of `examples`, if one does.
pub(super) fn widened(
    pattern: &str,
    tolerances: &[Tolerance],
    audience: Audience,
    examples: &[&str],
) -> Option<String> {
    let ast = Parser::new().parse(pattern).ok()?;
    let writer = Writer { pattern, tolerances, audience };
    let mut out = String::new();
    if writer.has(Tolerance::Case) && !pattern.starts_with("(?i") {
        out.push_str("(?i)");
    }
    match &ast {
        Ast::Alternation(alternation) => {
            let flags = writer.leading_flags(alternation.asts.first());
            let fits: Vec<bool> =
                alternation.asts.iter().map(|arm| writer.fits(flags, arm, examples)).collect();
            let all = !fits.contains(&true);
            for (at, (arm, fits)) in alternation.asts.iter().zip(fits).enumerate() {
                out.push_str(if at == 0 { "" } else { "|" });
                if fits || all {
                    writer.write(arm, &mut out);
                } else {
                    out.push_str(writer.source(arm));
                }
            }
        }
        other => writer.write(other, &mut out),
    }
    (out != pattern).then_some(out)
}

/// The words of three letters and more that stand in `pattern`, in lower case.
pub(super) fn words(pattern: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(ast) = Parser::new().parse(pattern) {
        collect(&ast, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn collect(ast: &Ast, found: &mut Vec<String>) {
    match ast {
        Ast::Concat(concat) => {
            let mut word = String::new();
            for part in &concat.asts {
                match letter(part) {
                    Some(c) if c.is_ascii_alphanumeric() || c == '_' => word.push(c.to_ascii_lowercase()),
                    _ => {
                        found.extend(Some(std::mem::take(&mut word)).filter(|word| word.len() >= 3));
                        collect(part, found);
                    }
                }
            }
            found.extend(Some(word).filter(|word| word.len() >= 3));
        }
        Ast::Alternation(alternation) => alternation.asts.iter().for_each(|arm| collect(arm, found)),
        Ast::Group(group) => collect(&group.ast, found),
        Ast::Repetition(repetition) => collect(&repetition.ast, found),
        _ => {}
    }
}

/// The character of a word that `ast` is, if it is one.
fn letter(ast: &Ast) -> Option<char> {
    match ast {
        Ast::Literal(literal) if literal.c.is_ascii_alphanumeric() || "-_./".contains(literal.c) => {
            Some(literal.c)
        }
        _ => None,
    }
}

fn is_boundary(ast: &Ast) -> bool {
    matches!(ast, Ast::Assertion(assertion) if assertion.kind == AssertionKind::WordBoundary)
}

struct Writer<'a> {
    pattern: &'a str,
    tolerances: &'a [Tolerance],
    audience: Audience,
}

impl<'a> Writer<'a> {
    fn has(&self, tolerance: Tolerance) -> bool {
        self.tolerances.contains(&tolerance)
    }

    /// How a person wrote it.
    fn source(&self, ast: &Ast) -> &'a str {
        self.pattern.get(ast.span().start.offset..ast.span().end.offset).unwrap_or_default()
    }

    fn between(&self, start: usize, end: usize) -> &'a str {
        self.pattern.get(start..end).unwrap_or_default()
    }

    /// Flags at the beginning hold for every alternative.
    fn leading_flags(&self, first: Option<&Ast>) -> &'a str {
        let first = match first {
            Some(Ast::Concat(concat)) => concat.asts.first(),
            other => other,
        };
        first.filter(|ast| matches!(ast, Ast::Flags(_))).map_or("", |flags| self.source(flags))
    }

    fn fits(&self, flags: &str, arm: &Ast, examples: &[&str]) -> bool {
        let arm = Regex::new(&format!("{flags}{}", self.source(arm)));
        arm.is_ok_and(|arm| examples.iter().any(|example| arm.is_match(example)))
    }

    /// What may stand between two letters of a word without changing it.
    const fn junk(&self) -> &'static str {
        match self.audience {
            Audience::Sh => r"[$\x22\x27\\]{0,2}",
            Audience::Cmd => r"\^?",
            Audience::PowerShell => r"\x60?",
            Audience::Reader | Audience::Recipient | Audience::Url => "",
        }
    }

    /// What separates words.
    const fn gap(&self) -> &'static str {
        match self.audience {
            Audience::Sh => r"(?:\s|\\\n|\$\{?IFS\}?(?:\x22\x22)?)",
            Audience::Reader => r"[\s\x00-\x1f\x7f]",
            _ => r"\s",
        }
    }

    fn write(&self, ast: &Ast, out: &mut String) {
        match ast {
            Ast::Concat(concat) => self.concat(concat, out),
            Ast::Alternation(alternation) => {
                for (at, arm) in alternation.asts.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "|" });
                    self.write(arm, out);
                }
            }
            Ast::Group(group) => {
                let inner = group.ast.span();
                out.push_str(self.between(group.span.start.offset, inner.start.offset));
                self.write(&group.ast, out);
                out.push_str(self.between(inner.end.offset, group.span.end.offset));
            }
            Ast::Repetition(repetition) => self.repetition(repetition, out),
            other => self.one(other, out),
        }
    }

    fn one(&self, ast: &Ast, out: &mut String) {
        let source = self.source(ast);
        match ast {
            Ast::Literal(_) if letter(ast).is_some() => self.word("", &[ast], out),
            _ if self.has(Tolerance::Space) && is_space(ast) => {
                out.push_str(self.gap());
                out.push('+');
            }
            _ if self.has(Tolerance::Space)
                && self.audience == Audience::Sh
                && stops_at_lines(ast, source) =>
            {
                let _ = write!(out, r"(?:{source}|\\\n)");
            }
            Ast::Assertion(assertion) if self.has(Tolerance::Around) => match assertion.kind {
                AssertionKind::StartLine | AssertionKind::StartText => {
                    let _ = write!(out, r"(?:{source}|[;&|({{\x22\x27\x60\n]\s*)");
                }
                AssertionKind::EndLine | AssertionKind::EndText => {
                    let _ = write!(out, r"(?:{source}|\s*[;&|)}}<>\x22\x27\x60\n]|\s+\x23[^\n]*)");
                }
                _ => out.push_str(source),
            },
            _ if is_boundary(ast) => out.push_str(&self.boundary(source)),
            _ => out.push_str(source),
        }
    }

    fn repetition(&self, repetition: &Repetition, out: &mut String) {
        let operator = self.between(repetition.op.span.start.offset, repetition.span.end.offset);
        let inner = &*repetition.ast;
        if self.has(Tolerance::Space) && is_space(inner) {
            out.push_str(self.gap());
            out.push_str(if operator == "?" { "*" } else { operator });
            return;
        }
        match inner {
            Ast::Group(_) => self.write(inner, out),
            Ast::Literal(_) => out.push_str(self.source(inner)),
            other => self.one(other, out),
        }
        out.push_str(operator);
    }

    fn breaks_words(&self) -> bool {
        self.has(Tolerance::Splice) || self.has(Tolerance::Escapes)
    }

    fn concat(&self, concat: &Concat, out: &mut String) {
        let mut rest = concat.asts.as_slice();
        while let Some((first, behind)) = rest.split_first() {
            let (boundary, letters) =
                if is_boundary(first) { (self.source(first), behind) } else { ("", rest) };
            let length = letters.iter().take_while(|ast| letter(ast).is_some()).take(LONGEST_WORD).count();
            let (word, after) = letters.split_at_checked(length).unwrap_or((&[], letters));
            if word.is_empty() {
                self.one_or_more(first, out);
                rest = behind;
            } else {
                self.word(boundary, &word.iter().collect::<Vec<_>>(), out);
                rest = after;
            }
        }
    }

    fn one_or_more(&self, ast: &Ast, out: &mut String) {
        match ast {
            Ast::Group(_) | Ast::Repetition(_) => self.write(ast, out),
            other => self.one(other, out),
        }
    }

    /// Where a word begins or ends; what opens a word of escapes is no letter, nor is what follows it.
    fn boundary(&self, source: &str) -> String {
        let junk = self.junk();
        if self.has(Tolerance::Escapes) && self.audience == Audience::Sh {
            format!(r"{junk}(?:{source}|\$\x27){junk}")
        } else if self.breaks_words() {
            format!("{junk}{source}{junk}")
        } else {
            source.to_owned()
        }
    }

    /// Letters that stand beside one another, perhaps behind a `boundary`.
    fn word(&self, boundary: &str, letters: &[&Ast], out: &mut String) {
        let junk = if self.breaks_words() { self.junk() } else { "" };
        let mut plain = if boundary.is_empty() { junk.to_owned() } else { self.boundary(boundary) };
        for ast in letters {
            plain.push_str(&self.letter(ast));
            plain.push_str(junk);
        }
        let mut others = Vec::new();
        let text: String = letters.iter().filter_map(|ast| letter(ast)).collect();
        if self.has(Tolerance::Synonyms) {
            let same = same_programs(&text.to_ascii_lowercase()).unwrap_or_default();
            let same = same.iter().filter(|other| **other != text);
            others.extend(same.map(|other| regex_syntax::escape(other).replace(' ', r"\s+")));
        }
        if self.has(Tolerance::Variables) && self.audience == Audience::Sh && letters.len() > 1 {
            let mut suffix = String::new();
            for ast in letters.iter().skip(1) {
                let before = if suffix.is_empty() { String::new() } else { format!("(?:{suffix})?") };
                suffix = before + self.source(ast);
            }
            others.push(format!(r"\$\{{?[0-9A-Za-z_]+\}}?{suffix}"));
        }
        if others.is_empty() {
            out.push_str(&plain);
        } else {
            let _ = write!(out, "(?:{plain}|{})", others.join("|"));
        }
    }

    /// One letter, and how else it may be written.
    fn letter(&self, ast: &Ast) -> String {
        let source = self.source(ast);
        let Some(c) = letter(ast).filter(|_| self.has(Tolerance::Escapes)) else { return source.to_owned() };
        let code = u32::from(c);
        let hex: String = format!("{code:02x}").chars().map(either_case).collect();
        match self.audience {
            Audience::Sh => format!(r"(?:{source}|\\x{hex}|\\0?{code:03o})"),
            Audience::Reader => format!(r"(?:{source}|&#0*{code};?|&#[xX]0*{hex};?)"),
            Audience::Url | Audience::Recipient => format!(r"(?:{source}|%{hex})"),
            Audience::PowerShell | Audience::Cmd => source.to_owned(),
        }
    }
}

fn either_case(digit: char) -> String {
    if digit.is_ascii_lowercase() {
        format!("[{digit}{}]", digit.to_ascii_uppercase())
    } else {
        digit.to_string()
    }
}

fn is_space(ast: &Ast) -> bool {
    match ast {
        Ast::Literal(literal) => literal.c == ' ',
        Ast::ClassPerl(class) => class.kind == ClassPerlKind::Space && !class.negated,
        _ => false,
    }
}

/// Whether it fits anything but the end of a line: a line that is continued goes on behind it.
fn stops_at_lines(ast: &Ast, source: &str) -> bool {
    match ast {
        Ast::Dot(_) => true,
        Ast::ClassBracketed(class) => class.negated && source.contains(r"\n"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fits(pattern: &str, tolerances: &[Tolerance], audience: Audience, texts: &[&str]) {
        let wide = widened(pattern, tolerances, audience, &[]).unwrap();
        let wide = Regex::new(&wide).unwrap_or_else(|error| panic!("{wide}: {error}"));
        for text in texts {
            assert!(wide.is_match(text), "{wide} does not fit {text}");
        }
        assert!(!wide.is_match("something else altogether") && !wide.is_match(""), "{wide}");
    }

    #[test]
    fn words_may_be_broken_up() {
        let texts = ["c''url -d x", "c\"u\"rl -d x", "'c'url \"-d\" x", r"c\url -''d x", "curl -d x"];
        fits(r"\bcurl\s+-d\b", &[Tolerance::Splice], Audience::Sh, &texts);
        let texts = [r"$'\x63url' -d", r"cu$'\162'l -d", r"$'curl' -\d", "curl -d"];
        fits(r"\bcurl\s+-d", &[Tolerance::Escapes], Audience::Sh, &texts);
        fits(r"(?i)\bcurl", &[Tolerance::Splice], Audience::Cmd, &["c^url", "CURL"]);
        fits("curl", &[Tolerance::Splice], Audience::PowerShell, &["c`url"]);
        fits("frob", &[Tolerance::Escapes], Audience::Reader, &["&#102;ro&#x62;", "frob"]);
        fits("/etc/frob", &[Tolerance::Escapes], Audience::Url, &["/etc/%66rob", "/%65tc/fr%6Fb"]);
        let texts = ["zq=cu; ${zq}rl -d", "$zq -d; ${a}l -d", "curl -d"];
        fits(r"\bcurl\s+-d", &[Tolerance::Variables], Audience::Sh, &texts);
    }

    #[test]
    fn spaces_programs_case_and_surroundings_may_be_others() {
        let texts = ["at\t\tnow", "at \\\n now", "at${IFS}now", "at$IFS\"\"now"];
        fits("at now", &[Tolerance::Space], Audience::Sh, &texts);
        fits(r"dd [^\n|]*\| grep", &[Tolerance::Space], Audience::Sh, &["dd a \\\n b | grep"]);
        fits(
            r"\brev\s*\|\s*sh\b",
            &[Tolerance::Synonyms],
            Audience::Sh,
            &["rev | /usr/bin/env bash", "rev |zsh"],
        );
        fits("frob", &[Tolerance::Case], Audience::Reader, &["FrOb"]);
        fits(
            r"^rev \| sh\s*$",
            &[Tolerance::Around],
            Audience::Sh,
            &["ls; rev | sh # so", "sh -c 'rev | sh' &"],
        );
        let all = [
            Tolerance::Space,
            Tolerance::Splice,
            Tolerance::Escapes,
            Tolerance::Variables,
            Tolerance::Synonyms,
        ];
        fits(
            r"(?i)\b(curl|wget)\s+(-\w+\s+)*http",
            &all,
            Audience::Sh,
            &["wg''et\t-q ${h}tp", "/usr/bin/curl http"],
        );
    }

    #[test]
    fn only_the_alternative_that_an_example_fits_changes() {
        let wide = widened(
            r"(?i)alpha beta|gamma\s+delta",
            &[Tolerance::Space],
            Audience::Reader,
            &["GAMMA  delta"],
        );
        assert_eq!(wide.unwrap(), r"(?i)alpha beta|gamma[\s\x00-\x1f\x7f]+delta");
        assert_eq!(widened("alpha", &[Tolerance::Space], Audience::Sh, &[]), None);
        assert_eq!(words(r"(?i)\balpha\s+(be|gamma-ray)\d"), ["alpha", "gamma", "ray"]);
    }
}
