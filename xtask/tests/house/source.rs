//! Files of the checkout, and Rust sources with everything taken out that is not shipped code.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// One text file.
pub struct Source {
    /// Relative to the root, with `/`.
    pub path: String,
    pub text: String,
}

/// Every text file under `folder` (relative to the root), sorted; build output and hidden folders left out
/// but for `.ci` and `.cargo`.
pub fn files(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root(), &root().join(folder), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The Rust sources under `folder`.
pub fn rust(folder: &str) -> Vec<Source> {
    let mut found = files(folder);
    found.retain(|file| file.path.ends_with(".rs"));
    assert!(!found.is_empty(), "no Rust source under {folder}: the check would be empty");
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    const SKIPPED: [&str; 4] = ["target", "node_modules", "__pycache__", "venv"];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let hidden = name.starts_with('.') && name != ".ci" && name != ".cargo";
        if hidden || SKIPPED.contains(&name.as_str()) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let relative = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            found.push(Source { path: relative, text });
        }
    }
}

impl Source {
    pub fn sample(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether the whole file is only for tests.
    pub fn is_test(&self) -> bool {
        self.path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "examples"))
    }

    /// The code without comments, string contents and `#[cfg(test)]` items; lines stay where they were.
    pub fn shipped(&self) -> String {
        without_tests(&without_words(&self.text))
    }
}

/// The line (from 1) of a byte offset.
pub fn line(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Where `word` stands on its own: no letter, digit or underscore on either side.
pub fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        !text[..*at].chars().next_back().is_some_and(part)
            && !text[at + word.len()..].chars().next().is_some_and(part)
    })
}

/// Blanks comments and the contents of string and character literals.
pub fn without_words(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = if rest.starts_with(b"//") {
            at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            at + block_comment(rest)
        } else if let Some(length) = raw_string(rest).filter(|_| !continues_a_name(bytes, at)) {
            at + length
        } else if rest[0] == b'"' {
            at + quoted(rest, b'"')
        } else if rest[0] == b'\'' && is_character(rest) {
            at + quoted(rest, b'\'')
        } else {
            out.push(rest[0]);
            at += 1;
            continue;
        };
        out.extend(bytes[at..end].iter().map(|b| if *b == b'\n' { b'\n' } else { b' ' }));
        at = end;
    }
    String::from_utf8(out).unwrap()
}

fn continues_a_name(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The length of a raw string (`r"…"`, `br#"…"#`) at the start of `rest`.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let prefix = [&b"br"[..], b"cr", b"r"].into_iter().find(|prefix| rest.starts_with(prefix))?.len();
    let hashes = rest[prefix..].iter().take_while(|b| **b == b'#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = &rest[open + 1..];
    let end = body.windows(close.len()).position(|window| window == close).unwrap_or(body.len());
    Some((open + 1 + end + close.len()).min(rest.len()))
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// A character literal, and not a lifetime: `'x'`, `'\n'`.
fn is_character(rest: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&rest[1..rest.len().min(8)]).into_owned();
    let mut characters = text.chars();
    match characters.next() {
        Some('\\') => true,
        Some(_) => characters.next() == Some('\''),
        None => false,
    }
}

/// Blanks every item under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = code.to_owned();
    while let Some(start) = out.find(MARK) {
        let rest = &out[start + MARK.len()..];
        let mut depth = 0usize;
        let mut length = rest.len();
        for (at, character) in rest.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && matches!(character, '}' | ';') {
                length = at + 1;
                break;
            }
        }
        let end = start + MARK.len() + length;
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
    }
    out
}

#[test]
fn words_comments_and_tests_are_taken_out() {
    let text = "a(\"std::fs\"); // std::fs\nb('\"', r#\"std\"fs\"#); /* std /* fs */ */ let x: &'a str;\n\
                #[cfg(test)]\nmod tests { fn f() { std::fs::x() } }\nuse after::all;";
    let code = Source::sample("x.rs", text).shipped();
    assert!(!code.contains("std"), "{code}");
    for kept in ["a(", "b(", "let x: &'a str;", "use after::all;"] {
        assert!(code.contains(kept), "{kept} is gone: {code}");
    }
    assert_eq!(code.matches('\n').count(), text.matches('\n').count());
}

#[test]
fn words_stand_alone() {
    assert_eq!(words("rand operand rand_x ::rand::", "rand").count(), 2);
}
