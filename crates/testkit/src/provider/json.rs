//! Writing JSON by hand: member order and spelling are part of what the scenarios test.

/// A JSON string literal. Non-ASCII stays raw, as both providers send it.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A JSON string literal in which every character outside ASCII is a `\u` escape (pairs where needed).
pub(super) fn quote_ascii(text: &str) -> String {
    let mut out = String::new();
    for character in quote(text).chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// Splits text into pieces of `size` characters.
pub(super) fn pieces(text: &str, size: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(size.max(1)).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_read_back() {
        for text in ["", "a\"b\\c\n", "π 𝄞 \u{0}"] {
            assert_eq!(serde_json::from_str::<String>(&quote(text)).unwrap(), text);
            assert_eq!(serde_json::from_str::<String>(&quote_ascii(text)).unwrap(), text);
        }
        assert_eq!(quote_ascii("𝄞"), "\"\\ud834\\udd1e\"");
    }

    #[test]
    fn pieces_are_the_whole() {
        assert_eq!(pieces("aπb", 2), ["aπ", "b"]);
    }
}
