//! What is everybody's: paths that say nothing of where they were read. Beside it the names by which a line of text is
//! taken for a command line.

use std::collections::HashSet;
use std::sync::OnceLock;

const COMMON: &str = include_str!("common.tbl");

struct Tables {
    paths: HashSet<&'static str>,
    programs: HashSet<&'static str>,
    installers: Vec<&'static str>,
    tops: HashSet<&'static str>,
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| {
        let mut tables = Tables {
            paths: HashSet::new(),
            programs: HashSet::new(),
            installers: Vec::new(),
            tops: HashSet::new(),
        };
        for line in COMMON.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("path") => tables.paths.extend(words),
                Some("program") => tables.programs.extend(words),
                Some("top") => tables.tops.extend(words),
                Some("installer") => tables.installers.extend(words),
                _ => {}
            }
        }
        tables
    })
}

/// Whether `path`, normalised, is a generic one.
pub(super) fn is_common_path(path: &str) -> bool {
    tables().paths.contains(path)
}

/// Whether `word` names a program, so that the line it begins is a command line: a name that is known, or a path.
pub(super) fn is_program(word: &str) -> bool {
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    let name = name.strip_suffix(".exe").unwrap_or(name);
    tables().programs.contains(name)
        || word.starts_with("./")
        || word.starts_with("~/")
        || word.starts_with("/")
}

/// Whether `word` is a common top-level domain, so that a bare name that ends in it is a host rather than code.
pub(super) fn is_top(word: &str) -> bool {
    tables().tops.contains(word.to_ascii_lowercase().as_str())
}

/// Whether a URL without its scheme is the published installer of a well-known tool.
pub(in crate::session) fn is_installer(url: &str) -> bool {
    let below = |known: &&str| {
        let Some((head, rest)) = url.split_at_checked(known.len()) else { return false };
        let ends = known.ends_with('_') || rest.is_empty() || rest.starts_with(['/', '?']);
        head.eq_ignore_ascii_case(known) && ends
    };
    tables().installers.iter().any(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installers_are_known_by_whole_names() {
        for known in [
            "sh.rustup.rs",
            "get.docker.com/rootless",
            "deb.nodesource.com/setup_21.x",
            "raw.githubusercontent.com/homebrew/install/HEAD/install.sh",
            "astral.sh/uv/install.sh",
        ] {
            assert!(is_installer(known), "{known}");
        }
        for other in [
            "sh.rustup.rs.example.test",
            "astral.sh/uvx",
            "raw.githubusercontent.com/nvm-shx/nvm",
            "evil.test",
        ] {
            assert!(!is_installer(other), "{other}");
        }
    }
}
