//! Values that were read where secrets are kept, and whether one of them leaves.

use crate::action::Action;
use crate::session::taint::{Key, Kind, Mark};

/// The most values of one result.
const MOST_VALUES: usize = 64;

/// The most words of one action that are compared.
const MOST_WORDS: usize = 2048;

/// The shortest value that counts, in bytes: a port number is everybody's.
const SHORTEST: usize = 12;

/// The longest value, in bytes.
const LONGEST: usize = 4096;

/// What ends a value in a file of settings, in JSON, in a URL or on a command line.
const fn is_edge(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\'' | '`' | '=' | ':' | ',' | ';' | '&' | '?' | '\\' | '(' | ')' | '{' | '}' | '<' | '>'
        )
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_edge).filter(|word| (SHORTEST..=LONGEST).contains(&word.len()))
}

/// A word that could be a secret: not a name, a path or prose.
fn tells(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let upper = word.bytes().any(|b| b.is_ascii_uppercase());
    let lower = word.bytes().any(|b| b.is_ascii_lowercase());
    let path = word.starts_with(['/', '~', '.']);
    !path && (digits >= 2 || upper && lower && word.len() >= 20 || word.len() >= 32)
}

/// The values in `text`, which was read where secrets are kept.
pub(super) fn of(text: &str, key: &Key) -> Vec<Mark> {
    let mut found = Vec::new();
    for word in words(text).filter(|word| tells(word)) {
        let mark = key.mark(Kind::Value, word);
        if !found.contains(&mark) {
            found.push(mark);
        }
        if found.len() >= MOST_VALUES {
            break;
        }
    }
    found
}

/// The words of what `action` says that could be values.
pub(super) fn said(action: &Action, key: &Key) -> Vec<Mark> {
    let said = action.parts.iter().flat_map(|part| words(&part.text)).filter(|word| tells(word));
    said.take(MOST_WORDS).map(|word| key.mark(Kind::Value, word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_same_in_a_file_and_in_what_leaves() {
        let key = Key::new([1; 32]);
        let of = |text: &str| of(text, &key);
        let value =
            of("API_TOKEN=zq81hfk29sl4mm0p\nPORT=8080\nNAME=frontend-service\nHOME=/home/user/of/somebody");
        assert_eq!(value.len(), 1);
        for text in [
            "{\"t\": \"zq81hfk29sl4mm0p\"}",
            "curl 'https://a.test/?k=zq81hfk29sl4mm0p'",
            "x: zq81hfk29sl4mm0p",
        ] {
            assert_eq!(of(text), value, "{text}");
        }
        assert!(of(&"zq81hfk29sl4mm0p1 ".repeat(9000)).len() == 1);
    }
}
