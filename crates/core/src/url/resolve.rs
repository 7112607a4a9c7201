//! Where a reference leads from where it stands (RFC 3986, section 5), as text that is then read like any other URL.

use super::LONGEST;

/// The absolute URL that `reference` means at `base`, an absolute URL that was read; without a fragment. `None` if it is
/// longer than any URL that is read, or `base` is none.
#[must_use]
pub fn resolve(base: &str, reference: &str) -> Option<String> {
    let without = |text: &str| text.split('#').next().unwrap_or_default().to_owned();
    let (base, reference) = (without(base), without(reference));
    if base.len() > LONGEST || reference.len() > LONGEST {
        return None;
    }
    if has_scheme(&reference) {
        return Some(reference);
    }
    let (scheme, rest) = base.split_once("://")?;
    if let Some(other) = reference.strip_prefix("//") {
        return Some(format!("{scheme}://{other}"));
    }
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at_checked(at)?;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let (path, query) = match reference.split_once('?') {
        _ if reference.is_empty() => (path.to_owned(), query),
        Some(("", query)) => (path.to_owned(), Some(query)),
        Some((relative, query)) => (merged(path, relative), Some(query)),
        None => (merged(path, &reference), None),
    };
    let path = if path.is_empty() { "/" } else { &path };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("{scheme}://{authority}{path}{query}"))
}

/// Whether it begins with a scheme, and so is whole (RFC 3986, 3.1).
fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    let mut bytes = scheme.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// The path that `relative` means at `path`, without dots (RFC 3986, 5.2.3 and 5.2.4).
fn merged(path: &str, relative: &str) -> String {
    let whole = match path.rfind('/') {
        _ if relative.starts_with('/') => relative.to_owned(),
        Some(last) => format!("{}/{relative}", path.get(..last).unwrap_or_default()),
        None => format!("/{relative}"),
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = whole.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of RFC 3986, section 5.4, without their fragments.
    #[test]
    fn references_lead_where_the_rfc_says() {
        for (reference, leads) in [
            ("g:h", "g:h"),
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("..g", "http://a/b/c/..g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/../h", "http://a/b/c/h"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("http://other.example:8/x?y#z", "http://other.example:8/x?y"),
        ] {
            assert_eq!(resolve("http://a/b/c/d;p?q", reference).as_deref(), Some(leads), "{reference}");
        }
        assert_eq!(resolve("https://a.example", "x?y").as_deref(), Some("https://a.example/x?y"));
        assert_eq!(resolve("https://a.example?q", "").as_deref(), Some("https://a.example/?q"));
        assert_eq!(resolve("https://a.example", &"x".repeat(9000)), None);
    }
}
