//! Where the name of a reader stands, and where one that sounds like it does.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Words before `agent` and the like that make a person of it.
const BEFORE: &str = "estate travel customer research teaching shop store sales insurance letting personal medical dental \
    lab laboratory executive administrative fashion role business climate user secret double shipping literary ticket press \
    nursing flight booking cabin immobiliaria viagens immobiliare robot washing home";

/// Words after `AI` and the like that make another thing of it.
const AFTER: &str = "user users provider providers vendor vendors settings file files policy policies features feature \
    company companies research researchers engineers developers experts team teams safety ethics act regulation server \
    servers library api handbook framework platform industry skills course number name id version manager weights arm \
    learning security operator operators owner owners etiquette generated assisted written card cards testing adoption \
    governance usage tooling art images";

/// Words that stand before a name that is no call: `our assistant`.
const ARTICLES: &str =
    "the a an our your my this that of by with to for from and or as in on is der die le la el il";

/// Words after which a row goes on.
const ROWS: &str = "and then also or und et y e en i и та dan";

/// Words of a list, each by itself.
type Words = LazyLock<HashSet<&'static str>>;

static PERSONS: Words = LazyLock::new(|| BEFORE.split_ascii_whitespace().collect());
static THINGS: Words = LazyLock::new(|| AFTER.split_ascii_whitespace().collect());
static SMALL: Words = LazyLock::new(|| ARTICLES.split_ascii_whitespace().collect());
static JOINTS: Words = LazyLock::new(|| ROWS.split_ascii_whitespace().collect());

/// Whether the name of a reader at `start..end` is part of that of somebody or something else: an estate agent, AI users.
pub(super) fn is_another(folded: &str, start: usize, end: usize) -> bool {
    let ends = |c: char| !c.is_alphanumeric();
    let before = folded.get(..start).unwrap_or_default().strip_suffix(' ');
    let after = folded.get(end..).unwrap_or_default().strip_prefix([' ', '-']);
    before.and_then(|before| before.rsplit(ends).next()).is_some_and(|word| PERSONS.contains(word))
        || after.and_then(|after| after.split(ends).next()).is_some_and(|word| THINGS.contains(word))
}

/// Whether nothing but up to three words of a name stands before `at`: `control agent, shut …`. Who is `called` has no
/// article; who is spoken of may have one.
pub(super) fn is_named(folded: &str, at: usize, called: bool) -> bool {
    let mut before = folded.get(..at).unwrap_or_default();
    for _ in 0..4 {
        let text = before.trim_end_matches(' ');
        match text.chars().next_back() {
            None => return true,
            Some(c) if !c.is_alphanumeric() => {
                return !matches!(c, ',' | '%' | '/' | '_' | '.' | '-' | '=' | '@' | '#' | '\'');
            }
            Some(_) if text.len() == before.len() => return false,
            Some(_) => {}
        }
        let word = text.rsplit(|c: char| !c.is_alphanumeric() && c != '-').next().unwrap_or_default();
        if called && SMALL.contains(word) {
            return false;
        }
        before = text.strip_suffix(word).unwrap_or_default();
    }
    false
}

/// Whether what stands at `at` is one more in a row: `send it and`, `send it,`.
pub(super) fn is_joined(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default().trim_end_matches(' ');
    let word = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    before.ends_with(',') || JOINTS.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_things_with_a_readers_name_are_told_from_readers() {
        let at = |text: &str, name: &str| {
            let start = text.find(name).unwrap();
            is_another(text, start, start + name.len())
        };
        for (text, name) in [
            ("the estate agent must", "agent"),
            ("research assistants must", "assistants"),
            ("ai users should", "ai"),
            ("ai-generated patches", "ai"),
        ] {
            assert!(at(text, name), "{text}");
        }
        for (text, name) in
            [("the coding agent must", "agent"), ("ai readers should", "ai"), ("agent", "agent")]
        {
            assert!(!at(text, name), "{text}");
        }
    }

    #[test]
    fn a_call_may_have_a_few_words_before_the_name_but_no_article() {
        for (text, called, is) in [
            ("control agent, shut", true, true),
            ("all is well; dear old control agent, shut", true, true),
            ("the agent, who", true, false),
            ("the agent must", false, true),
            ("it was one of those rare days on which the agent must", false, false),
        ] {
            assert_eq!(is_named(text, text.find("agent").unwrap(), called), is, "{text}");
        }
    }

    #[test]
    fn rows_go_on_after_a_comma_or_and() {
        for (text, is) in
            [("take it and send", true), ("take it, send", true), ("brand send", false), ("it send", false)]
        {
            assert_eq!(is_joined(text, text.find("send").unwrap()), is, "{text}");
        }
    }
}
