//! Appends a rule to the text of a policy; everything else stays as it was written.

use doorward_core::syntax::{Node, yaml};

/// A rule as lines of block YAML without indentation, the first of them beginning with `- `; comments may stand before
/// it.
pub struct Lines<'a>(pub &'a [String]);

/// `text` with the rule at the end of its `rules`; `None` where that cannot be done by appending (rules in one line).
pub fn append(text: &str, rule: &Lines<'_>) -> Option<String> {
    let node = yaml::parse(text.as_bytes()).ok()?;
    let rules = node.get("rules")?;
    match rules.elements().last() {
        None => fill(text, rules, rule),
        Some(last) => after(text, rules, last, rule),
    }
}

/// `rules: []` becomes a list of one.
fn fill(text: &str, rules: &Node, rule: &Lines<'_>) -> Option<String> {
    // Its span may take in a comment behind it.
    let (before, list) = text.split_at_checked(rules.span.range().start)?;
    let rest = list.strip_prefix('[')?.trim_start().strip_prefix(']')?;
    // What stands behind it on its line, a comment perhaps, stays there.
    let (line, below) = rest.split_once('\n').unwrap_or((rest, ""));
    line.trim().is_empty().then_some(()).or_else(|| line.trim_start().starts_with('#').then_some(()))?;
    let before = if line.trim().is_empty() { before.trim_end_matches(' ') } else { before };
    Some(format!("{before}{line}\n{}{below}", indented(rule, "  "), line = line.trim_end()))
}

/// Behind the last rule, indented as it is.
fn after(text: &str, rules: &Node, last: &Node, rule: &Lines<'_>) -> Option<String> {
    // A list in brackets has no line of its own for each rule.
    (!text.get(rules.span.range())?.starts_with('[')).then_some(())?;
    let start = last.span.range().start;
    let line = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
    let (indent, rest) = text.get(line..start)?.split_once('-')?;
    (indent.chars().all(|c| c == ' ') && rest.chars().all(|c| c == ' ')).then_some(())?;
    let body = text.get(..last.span.range().end)?.trim_end();
    let end = text.get(body.len()..)?.find('\n').map_or(text.len(), |at| body.len() + at + 1);
    let (above, below) = text.split_at_checked(end)?;
    let newline = if above.ends_with('\n') { "" } else { "\n" };
    Some(format!("{above}{newline}{}{below}", indented(rule, indent)))
}

fn indented(rule: &Lines<'_>, indent: &str) -> String {
    rule.0.iter().map(|line| format!("{indent}{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(text: &str) -> Option<String> {
        let rule = ["# why".to_owned(), "- name: new".to_owned(), "  deny: {}".to_owned()];
        append(text, &Lines(&rule))
    }

    #[test]
    fn comments_and_form_stay() {
        let text = "# top\nversion: 1\nrules:   # ours\n\n    - name: a   # first\n      deny: { tool: x }   # behind\n    # below\n\ntests: []\n";
        let expected = "# top\nversion: 1\nrules:   # ours\n\n    - name: a   # first\n      deny: { tool: x }   # behind\n    # why\n    - name: new\n      deny: {}\n    # below\n\ntests: []\n";
        assert_eq!(added(text).as_deref(), Some(expected));
        assert_eq!(
            added("rules:\n- { name: a, deny: {} }").unwrap(),
            "rules:\n- { name: a, deny: {} }\n# why\n- name: new\n  deny: {}\n"
        );
        assert_eq!(
            added("rules: []  # none\ndefault: deny\n").unwrap(),
            "rules:   # none\n  # why\n  - name: new\n    deny: {}\ndefault: deny\n"
        );
        assert_eq!(
            added("default: deny\nrules: []").unwrap(),
            "default: deny\nrules:\n  # why\n  - name: new\n    deny: {}\n"
        );
    }

    #[test]
    fn what_cannot_be_appended_to_is_left() {
        for text in [
            "rules: [{ name: a, deny: {} }]\n",
            "{ rules: [], default: deny }",
            "default: deny\n",
            "rules: [",
            "rules:\n  -\n    name: a\n    deny: {}\n",
        ] {
            assert_eq!(added(text), None, "{text}");
        }
    }
}
