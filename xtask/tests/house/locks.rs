//! The lock files of the workspaces beside ours. Nothing in the test command builds these, so nobody would see that a
//! crate of ours has a dependency they do not know: `cargo xtask bench policy` would refuse to start.

use std::collections::BTreeSet;

use cargo_metadata::DependencyKind;

use crate::crates::metadata;
use crate::source::root;

const LOCKS: [&str; 2] = ["bench/policy/Cargo.lock", "fuzz/libfuzzer/Cargo.lock"];

/// What the lock file `lock` says that the crate `name` depends on; nothing if it is not in it. A dependency that is
/// there in several versions has its version behind its name.
fn locked<'a>(lock: &'a str, name: &str) -> Option<BTreeSet<&'a str>> {
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("\nname = \"{name}\"\n")))?;
    let listed = entry.split_once("dependencies = [").map_or("", |(_, rest)| rest);
    Some(listed.split('"').skip(1).step_by(2).filter_map(|text| text.split(' ').next()).collect())
}

fn unknown<'a>(lock: &str, name: &str, needs: impl Iterator<Item = &'a str>) -> Vec<String> {
    let Some(locked) = locked(lock, name) else { return Vec::new() };
    needs.filter(|need| !locked.contains(need)).map(|need| format!("{name} needs {need}")).collect()
}

#[test]
fn the_lock_files_beside_ours_know_what_our_crates_depend_on() {
    let metadata = metadata();
    for path in LOCKS {
        let lock = std::fs::read_to_string(root().join(path)).unwrap();
        let members = metadata.workspace_packages();
        assert!(members.iter().any(|package| locked(&lock, &package.name).is_some()), "{path}: none of ours");
        for package in members {
            let normal = package.dependencies.iter().filter(|dependency| {
                dependency.kind == DependencyKind::Normal
                    && !dependency.optional
                    && dependency.target.is_none()
            });
            let missing = unknown(&lock, &package.name, normal.map(|dependency| &*dependency.name));
            let folder = path.trim_end_matches("/Cargo.lock");
            assert!(
                missing.is_empty(),
                "{path}: {missing:?}\ncargo update -w --manifest-path {folder}/Cargo.toml"
            );
        }
    }
}

#[test]
fn a_dependency_that_a_lock_file_does_not_know_is_found() {
    let lock = "[[package]]\nname = \"a\"\nversion = \"1\"\ndependencies = [\n \"b\",\n \"c 2.0.0\",\n]\n\n[[package]]\nname = \"b\"\n";
    assert_eq!(unknown(lock, "a", ["b", "c"].into_iter()), Vec::<String>::new());
    assert_eq!(unknown(lock, "a", ["b", "d"].into_iter()), ["a needs d"]);
    assert_eq!(unknown(lock, "b", ["c"].into_iter()), ["b needs c"]);
    assert_eq!(unknown(lock, "z", ["c"].into_iter()), Vec::<String>::new());
}
