//! Finds the class of a path in the table of places.

use std::collections::HashMap;
use std::sync::LazyLock;

use AssetClass::{
    Config, Credential, Executable, Keychain, Log, Project, ProjectSecret, System, Temp, Unknown, Wallet,
};

use super::super::AssetClass;
use super::table::{HARMLESS, TABLE};
use super::{glob_matches, is_relative, stronger};

/// The table by what a path can be looked up with, so that most patterns are never compared.
#[derive(Default)]
struct Index {
    /// Rooted patterns by their first two names.
    rooted: HashMap<&'static str, Vec<(usize, &'static str)>>,
    /// Rooted patterns with a wildcard or only one name there.
    loose: Vec<(usize, &'static str)>,
    /// Names of a file or directory at the end of a path.
    names: HashMap<&'static str, usize>,
    /// Names of a directory (or a long, telling name) anywhere in a path.
    inside: HashMap<&'static str, usize>,
    /// Names with a wildcard.
    globs: Vec<(usize, &'static str)>,
    /// Runs of several names anywhere in a path.
    runs: Vec<(usize, &'static str)>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index::default();
    for (row, (_, patterns)) in TABLE.iter().enumerate() {
        for pattern in *patterns {
            let inner = pattern.strip_suffix('/').unwrap_or(pattern);
            if is_rooted(pattern) {
                match key_of(inner).filter(|key| !key.contains('*')) {
                    Some(key) => index.rooted.entry(key).or_default().push((row, pattern)),
                    None => index.loose.push((row, pattern)),
                }
            } else if inner.contains('/') {
                index.runs.push((row, pattern));
            } else if inner.contains('*') {
                index.globs.push((row, inner));
            } else if pattern.ends_with('/') {
                index.inside.entry(inner).or_insert(row);
            } else {
                index.names.entry(inner).or_insert(row);
                if inner.len() > 16 {
                    index.inside.entry(inner).or_insert(row);
                }
            }
        }
    }
    index
});

fn is_rooted(pattern: &str) -> bool {
    pattern.starts_with(['~', '/']) || pattern.starts_with("c:")
}

/// The first two names of a rooted path: `~/.ssh`, `/etc`, `c:/windows`.
fn key_of(path: &str) -> Option<&str> {
    let (first, rest) = path.split_once('/')?;
    let second = rest.split('/').next().unwrap_or(rest);
    path.get(..first.len() + 1 + second.len()).filter(|_| !second.is_empty())
}

/// The class of a normalised, lower-case path.
pub(super) fn class_of(path: &str) -> AssetClass {
    // Windows drops dots and spaces at the end of a name.
    let trimmed = path.trim_end_matches(['.', ' ']);
    let path = if trimmed.is_empty() || trimmed.ends_with('/') { path } else { trimmed };
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut row = first_row(path, name);
    if HARMLESS.iter().any(|pattern| name_matches(pattern, name)) {
        let sensitive = |class| matches!(class, Credential | ProjectSecret | Wallet | Keychain);
        while let Some(at) = row
            && TABLE.get(at).is_some_and(|(class, _)| sensitive(*class))
        {
            row = next_row(path, name, at + 1);
        }
    }
    if let Some((class, _)) = row.and_then(|row| TABLE.get(row)) {
        return *class;
    }
    if path.is_empty() || path.contains("://") {
        return Unknown;
    }
    if is_relative(path) { Project } else { Unknown }
}

/// The first row of the table that has a pattern for `path`.
fn first_row(path: &str, name: &str) -> Option<usize> {
    let index = &*INDEX;
    let mut best = usize::MAX;
    let mut see = |row: usize| best = best.min(row);
    if is_rooted(path) {
        let keyed = key_of(path).and_then(|key| index.rooted.get(key));
        for (row, pattern) in keyed.into_iter().flatten().chain(&index.loose) {
            if below(pattern, path) {
                see(*row);
            }
        }
    }
    index.names.get(name).copied().into_iter().for_each(&mut see);
    for part in path.split('/') {
        index.inside.get(part).copied().into_iter().for_each(&mut see);
    }
    for (row, pattern) in &index.globs {
        if name_matches(pattern, name) {
            see(*row);
        }
    }
    for (row, pattern) in &index.runs {
        if contains_names(path, pattern.strip_suffix('/').unwrap_or(pattern), pattern.ends_with('/')) {
            see(*row);
        }
    }
    (best < usize::MAX).then_some(best)
}

/// The same from a row on, looking at every pattern: for the few names that are taken out of some rows.
fn next_row(path: &str, name: &str, from: usize) -> Option<usize> {
    let rows = TABLE.iter().enumerate().skip(from);
    let fits = |patterns: &[&str]| patterns.iter().any(|pattern| matches(pattern, path, name));
    rows.filter(|(_, (_, patterns))| fits(patterns)).map(|(row, _)| row).next()
}

fn matches(pattern: &str, path: &str, name: &str) -> bool {
    if is_rooted(pattern) {
        return below(pattern, path);
    }
    let inner = pattern.strip_suffix('/').unwrap_or(pattern);
    if inner.contains('/') {
        return contains_names(path, inner, pattern.ends_with('/'));
    }
    if pattern.ends_with('/') {
        return path.split('/').any(|part| part == inner);
    }
    name_matches(pattern, name)
        || (!pattern.contains('*') && pattern.len() > 16 && path.split('/').any(|part| part == pattern))
}

fn name_matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some(("", end)) if !end.contains('*') => name.len() > end.len() && name.ends_with(end),
        Some((start, "")) => name.starts_with(start),
        Some(_) => glob_matches(pattern, name),
    }
}

/// Whether `path` is the place `pattern` or, if that ends in `/`, below it.
fn below(pattern: &str, path: &str) -> bool {
    let Some(directory) = pattern.strip_suffix('/') else {
        return if pattern.contains('*') { by_names(pattern, path, false) } else { pattern == path };
    };
    if directory.is_empty() {
        return path == "/";
    }
    if directory.contains('*') {
        return by_names(directory, path, true);
    }
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn by_names(pattern: &str, path: &str, deeper: bool) -> bool {
    let mut names = path.split('/');
    for part in pattern.split('/') {
        let Some(name) = names.next() else { return false };
        if !name_matches(part, name) {
            return false;
        }
    }
    deeper || names.next().is_none()
}

fn contains_names(path: &str, run: &str, deeper: bool) -> bool {
    let mut from = 0;
    while let Some(at) = path.get(from..).and_then(|rest| rest.find(run)) {
        let (start, end) = (from + at, from + at + run.len());
        let whole = path.get(..start).is_none_or(|before| before.is_empty() || before.ends_with('/'));
        let after = path.get(end..).unwrap_or_default();
        if whole
            && (after.is_empty()
                || (deeper && after.starts_with('/'))
                || (!deeper && run.contains("leveldb") && after.starts_with('/')))
        {
            return true;
        }
        from = end;
    }
    false
}

/// A pattern of a sensitive place, taken apart once.
struct Place {
    class: AssetClass,
    /// Its names from the root, or the one name it has anywhere.
    names: Vec<&'static str>,
    rooted: bool,
    /// Whether it holds for what is below.
    deeper: bool,
}

static PLACES: LazyLock<Vec<Place>> = LazyLock::new(|| {
    let sensitive = |class: AssetClass| !matches!(class, Temp | Executable | System | Config | Project | Log);
    let rows = TABLE.iter().filter(|(class, _)| sensitive(*class));
    rows.flat_map(|(class, patterns)| patterns.iter().map(|pattern| (*class, *pattern)))
        .filter(|(_, pattern)| !pattern.contains('*'))
        .map(|(class, pattern)| Place {
            class,
            names: pattern.strip_suffix('/').unwrap_or(pattern).split('/').collect(),
            rooted: is_rooted(pattern),
            deeper: pattern.ends_with('/'),
        })
        .filter(|place| place.rooted || place.names.len() == 1)
        .collect()
});

/// The strongest class of what the glob `path` could name.
pub(super) fn class_of_glob(path: &str) -> AssetClass {
    let parts: Vec<&str> = path.split('/').take(32).collect();
    if !parts.iter().any(|part| shows(part)) {
        return Project;
    }
    let could = PLACES.iter().filter(|place| place.could_be(&parts));
    could.fold(Project, |strongest, place| stronger(strongest, place.class))
}

impl Place {
    fn could_be(&self, parts: &[&str]) -> bool {
        let count = self.names.len();
        let last = if self.rooted { parts.get(count - 1) } else { parts.last() };
        let Some(last) = last else { return false };
        if self.rooted {
            let fits = parts.len() == count || (self.deeper && parts.len() > count);
            let same = |(part, name): (&&str, &&str)| part_could_be(part, name);
            // The name that the pattern ends with must be hinted at: `/etc/*` names everything and nothing.
            fits && parts.iter().zip(&self.names).all(same) && shows(last)
        } else {
            self.names.first().is_some_and(|name| part_could_be(last, name)) && shows(last)
        }
    }
}

/// Whether a name with globs still says something: `*` could be anything and says nothing.
fn shows(part: &str) -> bool {
    // `*.json` names a kind of file; which kinds are sensitive stands in the table itself.
    if part.starts_with("*.") {
        return false;
    }
    part.chars().filter(|c| c.is_alphanumeric()).count() >= 2 || part.matches('?').count() >= 3
}

fn part_could_be(part: &str, name: &str) -> bool {
    if !part.contains(['*', '?', '[']) {
        return part == name;
    }
    let hidden = name.starts_with('.') && !part.starts_with('.');
    !hidden && glob_matches(part, name)
}
