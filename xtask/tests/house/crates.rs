//! The dependency law between the crates of this workspace.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

use crate::source::root;

/// What each crate may depend on, tests aside. A crate that is not here may not exist.
const LAW: [(&str, &[&str]); 11] = [
    ("doorward-core", &[]),
    ("doorward-ledger", &[]),
    ("doorward-store", &["doorward-core", "doorward-ledger"]),
    ("doorward-gateway", &["doorward-core", "doorward-ledger", "doorward-store"]),
    ("doorward-control", &["doorward-core", "doorward-ledger", "doorward-store"]),
    ("doorward-assess", &["doorward-core", "doorward-ledger"]),
    (
        "doorward",
        &[
            "doorward-core",
            "doorward-ledger",
            "doorward-store",
            "doorward-gateway",
            "doorward-control",
            "doorward-assess",
        ],
    ),
    ("doorward-testkit", &["doorward-core", "doorward-ledger"]),
    ("doorward-bench", &["doorward-assess", "doorward-core", "doorward-ledger"]),
    ("doorward-fuzz", &["doorward-core", "doorward-ledger", TESTKIT]),
    ("xtask", &[]),
];

/// For tests only: whoever depends on it ships it.
const TESTKIT: &str = "doorward-testkit";

/// A dependency on a crate of ours.
struct Edge<'a> {
    from: &'a str,
    to: &'a str,
    for_tests: bool,
}

fn broken(edge: &Edge<'_>) -> Option<String> {
    let Some((_, allowed)) = LAW.iter().find(|(name, _)| *name == edge.from) else {
        return Some(format!("{} has no place in the dependency law", edge.from));
    };
    let lawful = allowed.contains(&edge.to) || (edge.for_tests && edge.to == TESTKIT);
    (!lawful).then(|| format!("{} must not depend on {}", edge.from, edge.to))
}

pub fn metadata() -> Metadata {
    // Not `--offline`: crates of other platforms are in the lock file and not on a machine that only built.
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).other_options(["--locked".to_owned()]).exec().unwrap()
}

/// Everything a crate links in a shipped build, by name, with one way to it.
pub fn linked(metadata: &Metadata, name: &str) -> BTreeMap<String, String> {
    let resolve = metadata.resolve.as_ref().unwrap();
    let start = metadata.packages.iter().find(|package| package.name.as_str() == name).unwrap();
    let mut ways: BTreeMap<PackageId, String> = BTreeMap::from([(start.id.clone(), name.to_owned())]);
    let mut queue = vec![start.id.clone()];
    while let Some(id) = queue.pop() {
        let node = resolve.nodes.iter().find(|node| node.id == id).unwrap();
        for dependency in &node.deps {
            let shipped = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if shipped && !ways.contains_key(&dependency.pkg) {
                let way = format!("{} -> {}", ways[&id], metadata[&dependency.pkg].name);
                ways.insert(dependency.pkg.clone(), way);
                queue.push(dependency.pkg.clone());
            }
        }
    }
    ways.into_iter().map(|(id, way)| (metadata[&id].name.to_string(), way)).collect()
}

#[test]
fn the_crates_keep_the_dependency_law() {
    let metadata = metadata();
    let members = metadata.workspace_packages();
    let ours: Vec<&str> = members.iter().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in &members {
        let from = package.name.as_str();
        findings.extend(
            (!LAW.iter().any(|(name, _)| *name == from)).then(|| format!("{from} is not in the law")),
        );
        for dependency in &package.dependencies {
            let to = dependency.name.as_str();
            if ours.contains(&to) {
                let for_tests = dependency.kind == DependencyKind::Development;
                findings.extend(broken(&Edge { from, to, for_tests }));
            }
        }
    }
    assert!(members.len() >= 8, "the workspace was not found");
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn nothing_shipped_links_the_testkit() {
    let metadata = metadata();
    assert_eq!(linked(&metadata, "doorward").get(TESTKIT), None);
}

#[test]
fn violations_are_found() {
    let edge = |from, to, for_tests| broken(&Edge { from, to, for_tests });
    assert!(edge("doorward-core", "doorward-ledger", false).is_some());
    assert!(edge("doorward-gateway", "doorward-control", false).is_some());
    assert!(edge("doorward-control", "doorward-gateway", true).is_some());
    assert!(edge("doorward", TESTKIT, false).is_some());
    assert!(edge("doorward-new", "doorward-core", false).is_some());
    assert!(edge("doorward-gateway", "doorward-core", false).is_none());
    assert!(edge("doorward-gateway", TESTKIT, true).is_none());
}
