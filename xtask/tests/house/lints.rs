//! The lints hold everywhere: no crate leaves them out, no line switches one off without saying why.

use std::fs;

use crate::crates::metadata;
use crate::source::{Source, line, root, rust, without_words, words};

/// The manifest takes the workspace's lints.
fn takes_the_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    lines.find(|line| !line.is_empty() && !line.starts_with('#')) == Some("workspace = true")
}

/// Uses of `unsafe` and of `#[allow]`. `#[expect(…, reason = "…")]` is the lawful form: it fails once it is
/// no longer needed.
fn evasions(file: &Source) -> Vec<String> {
    let code = without_words(&file.text);
    let unsafes = words(&code, "unsafe").map(|at| (at, "unsafe"));
    let allows = ["#[allow", "#![allow", "cfg_attr(not(test), allow"]
        .into_iter()
        .flat_map(|form| code.match_indices(form));
    unsafes.chain(allows).map(|(at, what)| format!("{}:{}: {what}", file.path, line(&code, at))).collect()
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    for package in metadata().workspace_packages() {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        assert!(takes_the_lints(&manifest), "{} needs `[lints] workspace = true`", package.manifest_path);
    }
}

#[test]
fn the_workspace_denies_what_must_not_ship() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    for lint in
        ["unwrap_used", "expect_used", "panic", "indexing_slicing", "string_slice", "allow_attributes"]
    {
        assert!(manifest.contains(&format!("\n{lint} = \"deny\"")), "{lint} is no longer denied");
    }
}

#[test]
fn no_line_evades_the_lints() {
    let files = ["bench", "crates", "fuzz/src", "fuzz/tests", "xtask"].into_iter().flat_map(rust);
    let findings: Vec<String> = files.flat_map(|file| evasions(&file)).collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

/// Where an expression is compiled that may take as much as it likes: up to 10 MiB, and a tenth of a second.
fn unbounded(file: &Source) -> Vec<String> {
    let code = file.shipped();
    let found = ["Regex::new(", "RegexSet::new("].into_iter().flat_map(|form| code.match_indices(form));
    found.map(|(at, what)| format!("{}:{}: {what}", file.path, line(&code, at))).collect()
}

#[test]
fn core_compiles_no_expression_without_a_bound() {
    let shipped = rust("crates/core/src").into_iter().filter(|file| !file.is_test());
    let findings: Vec<String> = shipped.flat_map(|file| unbounded(&file)).collect();
    assert!(findings.is_empty(), "use `detect::compiled::shipped`, or a `size_limit`: {findings:#?}");
}

#[test]
fn violations_are_found() {
    assert!(takes_the_lints("[package]\n[lints]\nworkspace = true\n"));
    assert!(!takes_the_lints("[package]\n[lints]\n[dependencies]\nworkspace = true\n"));
    assert!(!takes_the_lints("[package]\n"));
    let check = |text: &str| evasions(&Source::sample("a.rs", text)).len();
    assert_eq!(check(concat!("un", "safe { x() }")), 1);
    assert_eq!(check(concat!("#[al", "low(dead_code)]")), 1);
    assert_eq!(check(concat!("#![al", "low(dead_code)]")), 1);
    let bounded = |text: &str| unbounded(&Source::sample("a.rs", text)).len();
    assert_eq!(bounded("fn a() { Regex::new(\"x\") }"), 1);
    assert_eq!(
        bounded(
            "fn a() { RegexBuilder::new(\"x\") }\n#[cfg(test)]\nmod tests { fn b() { Regex::new(\"x\") } }\n"
        ),
        0
    );
    assert_eq!(check("#[expect(dead_code, reason = \"used by the next step\")] // unsafe"), 0);
}
