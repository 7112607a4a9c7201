//! `core` and `ledger` are pure: bytes, time, keys and random numbers come in as arguments. That is what
//! lets the same judgement be replayed by a test, and run in a browser.

use crate::crates::{linked, metadata};
use crate::source::{Source, line, rust, words};

/// Parts of `std` that reach outside, or in which the outcome depends on more than the arguments.
/// (`std::net` and `std::io` also have addresses and traits, which are plain values; their sockets and
/// standard streams are named below.)
const STD: [&str; 5] = ["fs", "thread", "env", "process", "os"];
/// Words that name a clock, a socket, randomness or a runtime.
const WORDS: [&str; 12] = [
    "SystemTime",
    "Instant",
    "UNIX_EPOCH",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "getrandom",
    "rand",
    "OsRng",
    "tokio",
    "thread_local",
];
/// Paths, where the last word alone would be too common.
const PATHS: [&str; 6] =
    ["io::stdin", "io::stdout", "io::stderr", "process::Command", "process::exit", "process::abort"];
/// Crates that would bring any of these along.
const CRATES: [&str; 12] = [
    "getrandom",
    "hyper",
    "mio",
    "notify",
    "rand",
    "rand_core",
    "rusqlite",
    "rustls",
    "socket2",
    "tempfile",
    "tokio",
    "tracing-subscriber",
];

/// The one module that may use files, and what it may use of `std`.
const STORAGE: &str = "crates/ledger/src/storage";
/// (`process` for the number in the lock file.)
const FOR_STORAGE: [&str; 3] = ["fs", "os", "process"];

fn impure(file: &Source) -> Vec<String> {
    let code = file.shipped();
    let storage = file.path.starts_with(STORAGE);
    let mut found: Vec<(usize, String)> = Vec::new();
    for at in words(&code, "std").filter(|at| code[at + 3..].starts_with("::")) {
        let rest = &code[at + 5..];
        let list = match rest.strip_prefix('{') {
            Some(group) => group.split(['}', ';']).next().unwrap_or_default(),
            None => rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default(),
        };
        let named =
            |part: &str| list.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|name| name == part);
        let allowed = |part: &str| storage && FOR_STORAGE.contains(&part);
        found.extend(
            STD.iter().filter(|part| named(part) && !allowed(part)).map(|part| (at, format!("std::{part}"))),
        );
    }
    for word in WORDS.into_iter().chain(PATHS) {
        found.extend(words(&code, word).map(|at| (at, word.to_owned())));
    }
    found.sort();
    found.into_iter().map(|(at, what)| format!("{}:{}: {what}", file.path, line(&code, at))).collect()
}

#[test]
fn core_and_ledger_are_pure() {
    let findings: Vec<String> = ["crates/core/src", "crates/ledger/src"]
        .into_iter()
        .flat_map(rust)
        .filter(|file| !file.is_test())
        .flat_map(|file| impure(&file))
        .collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn core_and_ledger_link_nothing_impure() {
    let metadata = metadata();
    for name in ["doorward-core", "doorward-ledger"] {
        let linked = linked(&metadata, name);
        assert!(linked.len() > 3, "{name} was not resolved");
        let findings: Vec<&String> = CRATES.iter().filter_map(|impure| linked.get(*impure)).collect();
        assert!(findings.is_empty(), "{findings:#?}");
    }
    assert!(linked(&metadata, "doorward-testkit").contains_key("tokio"), "the walk finds what is there");
}

#[test]
fn violations_are_found() {
    let check = |path: &str, text: &str| impure(&Source::sample(path, text)).len();
    assert_eq!(check("crates/core/src/a.rs", "use std::fs::File;"), 1);
    assert_eq!(check("crates/core/src/a.rs", "use std::{collections::HashMap, thread, env};"), 2);
    assert_eq!(check("crates/core/src/a.rs", "let now = std::time::Instant::now();"), 1);
    assert_eq!(check("crates/ledger/src/sign.rs", "getrandom::fill(&mut seed)"), 1);
    assert_eq!(check("crates/ledger/src/storage/mod.rs", "use std::{fs, io};"), 0);
    assert_eq!(check("crates/ledger/src/storage/mod.rs", "use std::net::TcpStream;"), 1);
    assert_eq!(check("crates/ledger/src/storage/mod.rs", "std::process::Command::new(x)"), 1);
    assert_eq!(check("crates/core/src/a.rs", "std::io::stdout().lock()"), 1);
    assert_eq!(check("crates/core/src/a.rs", "use std::io::Write; use std::net::Ipv4Addr;"), 0);
    assert_eq!(
        check("crates/core/src/a.rs", "// std::fs\nuse std::collections::BTreeMap; let s = \"rand\";"),
        0
    );
}
