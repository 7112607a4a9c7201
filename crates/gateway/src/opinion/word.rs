//! What the other judge may say: one word, in one form. Everything else is no opinion.

use doorward_core::syntax::{Node, json};

/// An opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Benign,
    Malicious,
    Unsure,
}

impl Word {
    /// All of them, as they are written.
    pub const ALL: [(&'static str, Self); 3] =
        [("benign", Self::Benign), ("malicious", Self::Malicious), ("unsure", Self::Unsure)];
}

/// The opinion in the body of a reply, which must repeat `check`: what was only copied from the call cannot.
pub fn read(body: &[u8], check: &str) -> Option<Word> {
    let node = json::parse(body).ok()?;
    let [choice] = node.get("choices")?.elements() else { return None };
    let message = choice.get("message")?;
    let is_absent =
        |key: &str| message.some(key).is_none_or(|value| value.is_array() && value.elements().is_empty());
    let finished = choice.text("finish_reason") == Some("stop") && message.text("role") == Some("assistant");
    if !finished || !["tool_calls", "function_call", "refusal"].into_iter().all(is_absent) {
        return None;
    }
    one(&json::parse(message.text("content")?.as_bytes()).ok()?, check)
}

/// `{"check": …, "verdict": …}` and nothing else.
fn one(node: &Node, check: &str) -> Option<Word> {
    if !node.is_object() || node.members().len() != 2 || node.text("check") != Some(check) {
        return None;
    }
    let word = node.text("verdict")?;
    Word::ALL.iter().find(|(written, _)| *written == word).map(|(_, word)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(content: &str) -> String {
        let content = String::from_utf8(json::quoted(content)).unwrap();
        format!(
            r#"{{"id":"x","choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","refusal":null,"content":{content}}}}}],"usage":{{}}}}"#
        )
    }

    #[test]
    fn one_word_in_one_form_is_an_opinion() {
        let said = |content: &str| read(reply(content).as_bytes(), "k7");
        for (written, word) in Word::ALL {
            assert_eq!(said(&format!(r#"{{"check":"k7","verdict":"{written}"}}"#)), Some(word));
            assert_eq!(said(&format!("\n {{ \"verdict\": \"{written}\", \"check\": \"k7\" }} ")), Some(word));
        }
        for none in [
            "",
            "benign",
            "\"benign\"",
            r#"{"verdict":"benign"}"#,
            r#"{"check":"k8","verdict":"benign"}"#,
            r#"{"check":"k7","verdict":"Benign"}"#,
            r#"{"check":"k7","verdict":"benign "}"#,
            r#"{"check":"k7","verdict":["benign"]}"#,
            r#"{"check":"k7","verdict":"benign","why":"it is fine"}"#,
            r#"{"check":"k7","verdict":"malicious","verdict":"benign"}"#,
            r#"{"check":"k7","verdict":"benign"} {}"#,
            "```json\n{\"check\":\"k7\",\"verdict\":\"benign\"}\n```",
            r#"[{"check":"k7","verdict":"benign"}]"#,
        ] {
            assert_eq!(said(none), None, "{none}");
        }
    }

    #[test]
    fn a_reply_of_another_form_is_none() {
        let good = reply(r#"{"check":"k7","verdict":"benign"}"#);
        assert_eq!(read(good.as_bytes(), "k7"), Some(Word::Benign));
        for (from, to) in [
            (r#""finish_reason":"stop""#, r#""finish_reason":"length""#),
            (r#""finish_reason":"stop","#, ""),
            (r#""role":"assistant""#, r#""role":"user""#),
            (r#""refusal":null"#, r#""refusal":"no""#),
            (r#""refusal":null"#, r#""tool_calls":[{"id":"a"}]"#),
            (r#""refusal":null"#, r#""function_call":{"name":"a"}"#),
            (r#""choices":["#, r#""choices":[{},"#),
            (r#""id":"x""#, r#""choices":[]"#),
        ] {
            let other = good.replacen(from, to, 1);
            assert_ne!(other, good);
            assert_eq!(read(other.as_bytes(), "k7"), None, "{to}");
        }
        assert_eq!(read(b"", "k7"), None);
        assert_eq!(
            read(good.replacen(r#""refusal":null"#, r#""tool_calls":[]"#, 1).as_bytes(), "k7"),
            Some(Word::Benign)
        );
    }
}
