//! Where a change of a file can happen: in the directory it lies in, and at every link on the way to it.
//!
//! Kubernetes mounts `policy.yaml -> ..data/policy.yaml` with `..data -> ..2026_11_21`, and a new version is a new
//! `..data`: nothing happens to `policy.yaml` itself, nor in the directory where the text lies.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Most links that are followed, as Linux does it.
const MOST_LINKS: usize = 40;

/// A directory, and the name in it that matters.
pub(super) type Place = (PathBuf, OsString);

/// The places of one file, whether it is there or not. `path` is absolute.
pub(super) fn places(path: &Path) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    // What is still to be walked, the next component last.
    let mut rest: Vec<OsString> = reversed(path);
    let mut here = PathBuf::new();
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            // `here` has no links in it: this is what the system does.
            here.pop();
            continue;
        }
        let next = here.join(&name);
        if let Ok(target) = std::fs::read_link(&next)
            && links < MOST_LINKS
        {
            links += 1;
            places.insert((here.clone(), name));
            if target.is_absolute() {
                here = PathBuf::new();
            }
            rest.extend(reversed(&target));
        } else if rest.is_empty() {
            places.insert((here.clone(), name));
        } else {
            here = next;
        }
    }
    places
}

/// Components, last first, without `.`.
fn reversed(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.rev().map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_mount_is_watched_at_every_link() {
        let root = std::env::temp_dir().join(format!("doorward-places-{}", std::process::id()));
        let mount = root.join("mount");
        std::fs::create_dir_all(mount.join("..v1")).unwrap();
        let root = root.canonicalize().unwrap();
        let mount = root.join("mount");
        std::fs::write(mount.join("..v1/policy.yaml"), "").unwrap();
        symlink("..v1", mount.join("..data")).unwrap();
        symlink("..data/policy.yaml", mount.join("policy.yaml")).unwrap();
        symlink(mount.join("policy.yaml"), root.join("mine.yaml")).unwrap();
        let place = |dir: &Path, name: &str| (dir.to_owned(), OsString::from(name));
        let expected = BTreeSet::from([
            place(&root, "mine.yaml"),
            place(&mount, "policy.yaml"),
            place(&mount, "..data"),
            place(&mount.join("..v1"), "policy.yaml"),
        ]);
        assert_eq!(places(&root.join("mine.yaml")), expected);
        // What is not there, and what leads back to itself, has an end.
        assert_eq!(places(&root.join("x/y")), BTreeSet::from([place(&root.join("x"), "y")]));
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert!(places(&root.join("a")).len() <= 3);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
