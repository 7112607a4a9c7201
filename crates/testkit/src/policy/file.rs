//! Patterns for paths of files.

use super::glob;
use super::truth::Truth;

/// Whether `pattern` fits `path`, of which `exact` says whether it holds no variable. `~` is `home`.
pub fn fits(pattern: &str, path: &str, exact: bool, home: &str) -> Truth {
    let (pattern, path) = (absolute(pattern, home), absolute(path, home));
    if !exact || path.starts_with("..") {
        // As far as both are known they must agree; behind that anything is possible.
        let pattern = pattern.split(['*', '?']).next().unwrap_or_default().to_lowercase();
        let path = if exact { "" } else { &path };
        let path = path.split(['*', '?', '[', '$', '{', '`']).next().unwrap_or_default().to_lowercase();
        return Truth::known(false, pattern.starts_with(&path) || path.starts_with(&pattern));
    }
    // What is absolute has an empty segment in front.
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    // Who deletes a directory deletes what is in it: `x/**` may be about `x`.
    let inside =
        !(pattern.last() == Some(&"**") && glob::segments(without_last(&pattern), &path, &glob::fits));
    Truth::known(
        inside && glob::segments(&pattern, &path, &glob::fits),
        glob::segments(&pattern, &path, &glob::loosely_fits),
    )
}

fn without_last<'a, 'b>(pattern: &'a [&'b str]) -> &'a [&'b str] {
    pattern.split_last().map_or(pattern, |(_, front)| front)
}

fn absolute(path: &str, home: &str) -> String {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
        _ => path.to_owned(),
    }
}
