//! From what was seen to what is meant: some files of a directory to the directory, some hosts to their domain.

use std::collections::{BTreeMap, BTreeSet};

/// So many of a kind are no accident.
const SEVERAL: usize = 3;

/// How many names a directory's path has at least to be meant as a whole: `~/work`, and from the root, which is an
/// empty name, `/srv/data`.
const SHALLOWEST: usize = 2;

/// Whether `path` can be written as a pattern that fits it alone.
pub fn is_literal(path: &str) -> bool {
    let rooted = path.starts_with('/') || path.starts_with("~/");
    let plain = !path.contains(['*', '?', '{', '}', '[', ']']) && !path.contains(char::is_control);
    rooted && plain && path.len() <= 1000 && !path.contains("//") && path.split('/').all(|name| name != "..")
}

/// Whether a tool's name can be written as a pattern that fits it alone.
pub fn is_plain_name(name: &str) -> bool {
    !name.contains(['*', '?', '{', '}']) && name.len() <= 1000
}

/// Patterns for `paths`; of those with `true` the path itself.
pub fn paths(paths: &BTreeMap<String, bool>) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = paths.keys().cloned().collect();
    let delicate: Vec<&String> =
        paths.iter().filter(|(_, delicate)| **delicate).map(|(path, _)| path).collect();
    // From the deepest up: directories that became patterns count as one of their parent's children.
    let deepest = all.iter().map(|path| path.split('/').count()).max().unwrap_or(0);
    for depth in (SHALLOWEST..deepest).rev() {
        let mut children: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for path in &all {
            let names: Vec<&str> = path.split('/').collect();
            let whole =
                |parent: &&[&str]| names.len() > depth && (parent.first() != Some(&"") || depth > SHALLOWEST);
            if let Some(parent) = names.get(..depth).filter(whole) {
                children.entry(parent.join("/")).or_default().insert(path.clone());
            }
        }
        for (parent, below) in children {
            let inside = |path: &String| path.strip_prefix(&parent).is_some_and(|rest| rest.starts_with('/'));
            if below.len() >= SEVERAL && !delicate.iter().any(|path| inside(path)) {
                all.retain(|path| !below.contains(path));
                all.insert(format!("{parent}/**"));
            }
        }
    }
    all
}

/// Patterns for `hosts`: several below one domain become the domain.
pub fn hosts(hosts: &BTreeSet<String>) -> BTreeSet<String> {
    let mut below: BTreeMap<String, BTreeSet<&String>> = BTreeMap::new();
    for host in hosts {
        if let Some(domain) = domain(host).filter(|domain| domain != host) {
            below.entry(domain).or_default().insert(host);
        }
    }
    let mut all = hosts.clone();
    for (domain, below) in below.into_iter().filter(|(_, below)| below.len() >= SEVERAL) {
        all.retain(|host| !below.contains(&host));
        all.insert(format!("*.{domain}"));
    }
    all
}

/// The part of a name that one owner has: the last two labels, or three where the last but one is an office
/// (`co.uk`). Too little is taken for too much, never the other way round.
fn domain(host: &str) -> Option<String> {
    let address = host.contains(':') || host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let labels: Vec<&str> = host.split('.').collect();
    let office =
        labels.len().checked_sub(2).and_then(|at| labels.get(at)).is_some_and(|label| label.len() <= 3);
    let wanted = if office { 3 } else { 2 };
    let start = labels.len().checked_sub(wanted).filter(|_| !address)?;
    labels.get(start..).map(|labels| labels.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn general_paths(all: &[(&str, bool)]) -> Vec<String> {
        let all = all.iter().map(|(path, delicate)| ((*path).to_owned(), *delicate)).collect();
        paths(&all).into_iter().collect()
    }

    #[test]
    fn several_files_of_a_directory_are_the_directory() {
        let work = ["~/work/a.rs", "~/work/b.rs", "~/work/c.rs", "~/other/x"].map(|path| (path, false));
        assert_eq!(general_paths(&work), ["~/other/x", "~/work/**"]);
        let deep =
            ["/srv/d/a/1", "/srv/d/a/2", "/srv/d/a/3", "/srv/d/b", "/srv/d/c"].map(|path| (path, false));
        assert_eq!(general_paths(&deep), ["/srv/d/**"]);
        // Neither the home directory nor a directory of the root is ever meant as a whole.
        let top = ["~/a", "~/b", "~/c", "/etc/a", "/etc/b", "/etc/c"].map(|path| (path, false));
        assert_eq!(general_paths(&top).len(), 6);
        let keys = [
            ("~/.ssh/config/a", false),
            ("~/.ssh/config/b", false),
            ("~/.ssh/config/key", true),
            ("~/.ssh/config/c", false),
        ];
        assert_eq!(general_paths(&keys).len(), 4, "not beside a key");
    }

    #[test]
    fn several_hosts_of_a_domain_are_the_domain() {
        let of = |all: &[&str]| -> Vec<String> {
            hosts(&all.iter().map(|host| (*host).to_owned()).collect()).into_iter().collect()
        };
        assert_eq!(of(&["a.example.com", "b.example.com", "c.d.example.com"]), ["*.example.com"]);
        assert_eq!(of(&["a.example.com", "b.example.com"]).len(), 2);
        assert_eq!(of(&["a.co.uk", "b.co.uk", "c.co.uk"]).len(), 3, "three owners");
        assert_eq!(of(&["10.0.0.1", "11.0.0.1", "12.0.0.1"]).len(), 3);
        assert_eq!(
            of(&["example.com", "a.example.com", "b.example.com", "c.example.com"]),
            ["*.example.com", "example.com"]
        );
    }
}
