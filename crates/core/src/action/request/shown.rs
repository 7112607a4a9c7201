//! Header lines as people may look at them: what a credential stands in is left out.
//!
//! What is left out stands there as its length, `(12)`, as in [`crate::url::masked`]. Nothing here decides anything.

use super::{CREDENTIALS, Header};

/// What names of headers have in them whose values are nobody's to look at.
const TELLING: [&str; 9] =
    ["auth", "cookie", "credential", "key", "passw", "secret", "session", "signature", "token"];

/// The longest scheme of an `Authorization` that is shown; a longer word may be the credential.
const LONGEST_SCHEME: usize = 12;

impl Header {
    /// Its value, as people may look at it.
    #[must_use]
    pub fn shown(&self) -> String {
        let value = String::from_utf8_lossy(&self.value);
        let name = self.name.to_ascii_lowercase();
        let telling = CREDENTIALS.contains(&name.as_str()) || TELLING.iter().any(|part| name.contains(part));
        if !telling {
            return value.into_owned();
        }
        // What it is a credential of: `Bearer`, `Basic`.
        let scheme = |scheme: &str| {
            scheme.len() <= LONGEST_SCHEME && scheme.bytes().all(|byte| byte.is_ascii_alphabetic())
        };
        match value.split_once(' ') {
            Some((word, rest)) if name.contains("authorization") && scheme(word) => {
                format!("{word} ({})", rest.chars().count())
            }
            _ => format!("({})", value.chars().count()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        for (name, value, shown) in [
            ("Accept", "text/html", "text/html"),
            ("X-B", "2", "2"),
            ("Authorization", "Bearer ghp_pK7mQ2vX9sL4tR8wZ1nB5cY3hJ6dF0gA2eU7", "Bearer (40)"),
            ("authorization", "Basic", "(5)"),
            ("authorization", "pK7mQ2vX9sL4tR8wZ1nB x", "(22)"),
            ("Proxy-Authorization", "Basic eDp5", "Basic (4)"),
            ("X-Api-Key", "sk 123", "(6)"),
            ("PRIVATE-TOKEN", "abc", "(3)"),
            ("Cookie", "a=b", "(3)"),
        ] {
            let header = Header { name: name.into(), value: value.as_bytes().into() };
            assert_eq!(header.shown(), shown, "{name}");
        }
    }
}
