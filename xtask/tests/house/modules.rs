//! Which module of `core` may know which: `syntax`, `url` and `pace` are below all; `wire -> action <- detect`; `session` and
//! `policy` see actions and findings, never wire formats; only `engine` (and `stream` and `inspect`, which
//! drive it) see all.

use crate::source::{Source, line, rust};

/// `None` means: all of them.
const LAW: [(&str, Option<&[&str]>); 16] = [
    ("syntax", Some(&[])),
    ("pace", Some(&[])),
    ("placeholder", Some(&["syntax"])),
    ("url", Some(&[])),
    ("usage", Some(&[])),
    ("decision", Some(&["syntax", "placeholder", "usage"])),
    ("action", Some(&["syntax", "url", "usage", "decision"])),
    ("wire", Some(&["syntax", "placeholder", "url", "usage", "decision", "action"])),
    ("detect", Some(&["syntax", "pace", "placeholder", "url", "decision", "action"])),
    ("session", Some(&["syntax", "url", "decision", "action", "detect"])),
    ("account", Some(&["decision", "session"])),
    ("policy", Some(&["syntax", "url", "usage", "decision", "action", "detect", "session"])),
    ("routes", Some(&["syntax", "decision", "action", "wire"])),
    ("engine", None),
    ("stream", None),
    ("inspect", None),
];

const FOLDER: &str = "crates/core/src/";

/// Every use of another module that the law forbids. `exports` says which module each name at the crate's
/// root really comes from.
fn broken(file: &Source, exports: &[(String, String)]) -> Vec<String> {
    let path: Vec<&str> =
        file.path.strip_prefix(FOLDER).unwrap().trim_end_matches(".rs").split('/').collect();
    let module = path[0];
    if module == "lib" {
        return Vec::new();
    }
    let Some((_, allowed)) = LAW.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}: module `{module}` has no place in the law", file.path)];
    };
    let Some(allowed) = allowed else { return Vec::new() };
    // `super` from `a/mod.rs` is the root, from `a/b.rs` it is `a`.
    let depth = path.iter().filter(|part| **part != "mod").count();
    let code = file.shipped();
    references(&code, depth)
        .into_iter()
        .map(|(at, name)| {
            (at, exports.iter().find(|(export, _)| *export == name).map_or(name, |(_, m)| m.clone()))
        })
        .filter(|(_, name)| name != module && LAW.iter().any(|(known, _)| known == name))
        .filter(|(_, name)| !allowed.contains(&name.as_str()))
        .map(|(at, name)| format!("{}:{}: `{module}` must not know `{name}`", file.path, line(&code, at)))
        .collect()
}

/// The first names after the crate's root, wherever code says `crate::…` or climbs there with `super::`.
fn references(code: &str, depth: usize) -> Vec<(usize, String)> {
    let climb = "super::".repeat(depth);
    let mut found = Vec::new();
    for prefix in ["crate::", climb.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            // One `super::` fewer or more is another place.
            let longer = prefix != "crate::" && code[..at].ends_with("super::");
            let rest = &code[at + prefix.len()..];
            if !longer {
                found.extend(heads(rest).into_iter().map(|name| (at, name)));
            }
        }
    }
    found
}

/// `a::b` yields `a`; `{a::b, c::{d, e}}` yields `a` and `c`.
fn heads(rest: &str) -> Vec<String> {
    let name = |text: &str| {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    };
    let Some(group) = rest.trim_start().strip_prefix('{') else {
        return vec![name(rest)];
    };
    let (mut names, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(name(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The names that the crate's root re-exports, and the module each comes from.
fn exports(root: &Source) -> Vec<(String, String)> {
    let code = root.shipped();
    let uses = code.split("pub use ").skip(1).filter_map(|rest| rest.split_once(';')).map(|(list, _)| list);
    let mut found = Vec::new();
    for list in uses {
        let Some((module, names)) = list.trim_start_matches("crate::").split_once("::") else { continue };
        for name in names.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|name| !name.is_empty())
        {
            found.push((name.to_owned(), module.to_owned()));
        }
    }
    found
}

#[test]
fn the_modules_of_core_keep_their_order() {
    let files = rust(FOLDER.trim_end_matches('/'));
    let root = files.iter().find(|file| file.path.ends_with("src/lib.rs")).unwrap();
    let exports = exports(root);
    assert!(exports.contains(&("Action".to_owned(), "action".to_owned())), "{exports:?}");
    let findings: Vec<String> =
        files.iter().filter(|file| !file.is_test()).flat_map(|file| broken(file, &exports)).collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn violations_are_found() {
    let exports = vec![("Action".to_owned(), "action".to_owned())];
    let check =
        |path: &str, text: &str| broken(&Source::sample(&format!("{FOLDER}{path}"), text), &exports).len();
    assert_eq!(check("session/mod.rs", "use crate::wire::anthropic;"), 1);
    assert_eq!(check("session/mod.rs", "use crate::{action::Action, wire::{a, b}};"), 1);
    assert_eq!(check("policy/eval.rs", "use super::super::wire;"), 1);
    assert_eq!(check("policy/eval.rs", "use super::wire;"), 0, "policy's own module `wire`");
    assert_eq!(check("syntax/json.rs", "fn f(a: &crate::Action) {}"), 1);
    assert_eq!(check("wire/sse.rs", "use crate::detect::Finding;"), 1);
    assert_eq!(check("detect/mod.rs", "let x = super::wire::sse::parse(b);"), 1);
    assert_eq!(check("newcomer.rs", ""), 1);
    assert_eq!(check("engine.rs", "use crate::wire;"), 0);
    assert_eq!(check("wire/sse.rs", "use crate::action::Action; // crate::detect\n"), 0);
}
