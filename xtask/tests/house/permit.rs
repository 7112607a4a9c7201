//! No permit, no bytes: a permit is made in one place, after the append, and can be made nowhere else.
//!
//! The compiler keeps most of it (private fields, a `trybuild` test in the gateway). What it cannot see is
//! kept here: that nobody opens the fields, derives a second way to get one, or moves the constructor.

use crate::source::{Source, line, rust, words};

const RECORD: &str = "crates/gateway/src/record.rs";
const PERMITS: [&str; 2] = ["Permit", "StreamPermit"];

/// `Permit { … }` as an expression: neither a declaration, an `impl`, a return type nor a bound.
fn literals(file: &Source) -> Vec<String> {
    let code = file.shipped();
    let mut found = Vec::new();
    for name in PERMITS {
        for at in words(&code, name) {
            let mut rest = code[at + name.len()..].trim_start();
            if let Some(generic) = rest.strip_prefix("::<").or_else(|| rest.strip_prefix('<')) {
                rest = after_generics(generic).trim_start();
            }
            // The word before: `permit::Permit {` is still a literal, `impl Permit {` is not.
            let before = code[..at].trim_end_matches(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            // `-> &'a mut Permit {` is a return type; `&Permit {` alone is a literal behind a reference.
            let before = before.trim_end().trim_end_matches("mut").trim_end();
            let lifetime = before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_');
            let before = lifetime.strip_suffix('\'').unwrap_or(before).trim_end();
            let before = before.trim_end_matches('&').trim_end();
            let declares = ["struct", "impl", "for", "->", "enum", "union", "trait", ">"];
            if rest.starts_with('{') && !declares.iter().any(|word| before.ends_with(word)) {
                found.push(format!("{}:{}: {name} {{ … }}", file.path, line(&code, at)));
            }
        }
    }
    found
}

fn after_generics(text: &str) -> &str {
    let mut depth = 1usize;
    for (at, character) in text.char_indices() {
        match character {
            '<' => depth += 1,
            '>' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[at + 1..];
        }
    }
    ""
}

/// What only some modules of the gateway may say, and which.
const SEALED: [(&str, &[&str]); 2] = [
    // The key that opens a permit.
    ("Key(())", &["crates/gateway/src/forward.rs"]),
    // Takes the bytes out of a permit to judge them again.
    (".withdraw(", &["crates/gateway/src/judge.rs"]),
];

fn unsealed(file: &Source) -> Vec<String> {
    let code = file.shipped();
    let mut found = Vec::new();
    for (words, modules) in SEALED {
        if !modules.contains(&file.path.as_str()) && !file.path.ends_with("/record.rs") {
            found.extend(
                code.match_indices(words)
                    .map(|(at, _)| format!("{}:{}: {words}", file.path, line(&code, at))),
            );
        }
    }
    found
}

/// What is wrong with the declarations in the recorder: open fields, or a derive that makes more of them.
fn loose(record: &Source) -> Vec<String> {
    let code = record.shipped();
    let mut found = Vec::new();
    for name in PERMITS {
        let Some(at) = words(&code, name).find(|at| code[..*at].trim_end().ends_with("struct")) else {
            continue;
        };
        let body = code[at..].split_once('{').map(|(_, rest)| rest).unwrap_or_default();
        let body = body.split('}').next().unwrap_or_default();
        if words(body, "pub").next().is_some() {
            found.push(format!("{name} has a field that is not private"));
        }
        let attributes = code[..at].rsplit(['}', ';']).next().unwrap_or_default();
        for derive in ["Clone", "Copy", "Default", "Deserialize"] {
            if words(attributes, derive).next().is_some() {
                found.push(format!("{name} must not be {derive}"));
            }
            let by_hand = format!("{derive} for {name}");
            if code.contains(&by_hand) {
                found.push(format!("{name} must not be {derive}"));
            }
        }
    }
    found
}

#[test]
fn only_the_recorder_makes_permits() {
    let files = rust("crates");
    let findings: Vec<String> =
        files.iter().filter(|file| file.path != RECORD && !file.is_test()).flat_map(literals).collect();
    assert!(findings.is_empty(), "{findings:#?}");
    if let Some(record) = files.iter().find(|file| file.path == RECORD) {
        assert!(!literals(record).is_empty(), "the constructor is not where this test looks for it");
        assert!(loose(record).is_empty(), "{:#?}", loose(record));
    }
}

#[test]
fn only_the_forwarder_opens_permits() {
    let files = rust("crates/gateway/src");
    let findings: Vec<String> = files.iter().filter(|file| !file.is_test()).flat_map(unsealed).collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn violations_are_found() {
    let made = |text: &str| literals(&Source::sample("crates/gateway/src/forward.rs", text)).len();
    assert_eq!(made("let p = Permit { body, duties };"), 1);
    assert_eq!(made("send(record::Permit::<Bytes> { body })"), 1);
    assert_eq!(made("Some(StreamPermit { receipt })"), 1);
    assert_eq!(made("impl StreamPermit { } impl<B> Permit<B> { } impl Drop for StreamPermit { }"), 0);
    assert_eq!(made("pub struct Permit<B> { body: B } fn f() -> Permit<Bytes> { g() }"), 0);
    assert_eq!(
        made("fn f(&self) -> &StreamPermit { &self.permit } fn g(&self) -> &'a mut Permit<B> { x }"),
        0
    );
    assert_eq!(made("send(&Permit { body }); send(&mut StreamPermit { body })"), 2);
    let door = |text: &str| unsealed(&Source::sample("crates/gateway/src/doors/model.rs", text)).len();
    assert_eq!(door("let bytes = permit.open(Key(()));"), 1);
    assert_eq!(door("let (_, bytes) = permit.withdraw();"), 1);
    let loose = |text: &str| loose(&Source::sample(RECORD, text)).len();
    assert_eq!(loose("pub struct Permit<B> { body: B }"), 0);
    assert_eq!(loose("pub struct Permit<B> { pub body: B }"), 1);
    assert_eq!(loose("#[derive(Debug, Clone)] pub struct StreamPermit { body: u8 }"), 1);
    assert_eq!(loose("pub struct StreamPermit { body: u8 } impl Default for StreamPermit {}"), 1);
}
