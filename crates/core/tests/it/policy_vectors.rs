//! The shared vectors in `spec/vectors/policy`: what every implementation of the policy language must say.
//!
//! `README.md` beside them has their form. A test of a vector is a test of a policy, so it is run as one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::Surroundings;
use doorward_core::policy::Policy;
use doorward_core::syntax::{Node, Source, json};
use doorward_core::{Engine, Facts};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/policy");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    files
}

/// What is wrong with one entry; `ran` counts what was looked at.
fn check(entry: &Node, ran: &mut usize) -> Vec<String> {
    let policy = entry.text("policy").unwrap();
    if let Some(lines) = entry.get("faults") {
        *ran += 1;
        let expected: Vec<usize> =
            lines.elements().iter().map(|line| usize::try_from(line.as_u64().unwrap()).unwrap()).collect();
        let faults = Policy::compile(&[Source { name: "policy", text: policy }]).err().unwrap_or_default();
        let mut found: Vec<usize> = faults.iter().map(|fault| fault.position(policy.as_bytes()).0).collect();
        found.dedup();
        return if found == expected { vec![] } else { vec![format!("{policy}\nfaults in lines {found:?}")] };
    }
    // JSON is YAML: the tests stand beside the rules.
    let mut text = policy.as_bytes().to_vec();
    text.extend_from_slice(b"tests: ");
    let tests = entry.get("tests").unwrap();
    json::write(tests, &mut text);
    let text = String::from_utf8(text).unwrap();
    let policy = match Policy::compile(&[Source { name: "policy", text: &text }]) {
        Ok(policy) => policy,
        Err(faults) => return vec![format!("{policy}\n{faults:#?}")],
    };
    let cases = policy.cases().to_vec();
    assert_eq!(cases.len(), tests.elements().len());
    let rules = Arc::new(RuleSet::compile(&[]).unwrap());
    let engine = Engine::new(rules, Arc::new(policy), Surroundings::default());
    *ran += cases.len();
    let failed = cases.iter().filter_map(|case| {
        let decision = engine.decide(&case.action, &Facts { now: case.now, ..Facts::default() });
        let surprise = case.check(&decision).err()?;
        Some(format!("{}{}: {surprise:?}", entry.text("policy").unwrap(), case.name))
    });
    failed.collect()
}

#[test]
fn the_shared_vectors_hold() {
    let (mut ran, mut failed) = (0, Vec::new());
    for file in files() {
        let node = json::parse(&fs::read(&file).unwrap()).unwrap();
        assert!(node.text("about").is_some(), "{}", file.display());
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for entry in node.get("policies").unwrap().elements() {
            failed.extend(check(entry, &mut ran).into_iter().map(|text| format!("{name}: {text}")));
        }
    }
    assert!(failed.is_empty(), "{} of {ran} failed:\n{}", failed.len(), failed.join("\n"));
    assert!(ran > 300, "only {ran} vectors");
}
