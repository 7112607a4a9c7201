//! Conditions of rules that see more: their expressions with tolerances, further programs, what they look for encoded.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use doorward_core::syntax::Node;

use super::super::operators::{Audience, Operator, same_programs};
use super::tolerance::{Tolerance, widened, words};
use super::written::Value;

/// The shortest literal that rules may have, in bytes.
const SHORTEST_LITERAL: usize = 3;

/// From how many bytes on half of a word says enough to look for it.
const HALVED: usize = 6;

/// Most literals that are added to a condition.
const MOST_LITERALS: usize = 32;

/// The longest example that is compared with how else it is said, in bytes.
const LONGEST_COMPARED: usize = 512;

/// The shortest literal that is looked for encoded: shorter ones stand in any long Base64.
const SHORTEST_ENCODED: usize = 8;

/// How conditions are to change.
pub(super) struct Widening<'a> {
    pub(super) tolerances: &'a [Tolerance],
    pub(super) audience: Audience,
    /// The kind of part that is looked into: other conditions stay what they are.
    pub(super) part: &'a str,
    /// What rules of the same file call their expressions.
    pub(super) named: &'a HashMap<String, String>,
    /// The examples that are said in other ways.
    pub(super) examples: &'a [&'a str],
    /// How each of them is said.
    pub(super) evasions: &'a [&'a str],
}

impl Widening<'_> {
    /// `when` with every condition widened that a widening is about; `None` if there is none.
    pub(super) fn of(&self, when: &Node) -> Option<Value> {
        let mut changed = false;
        let value = self.condition(when, &mut changed);
        changed.then_some(value)
    }

    fn condition(&self, node: &Node, changed: &mut bool) -> Value {
        let members = node.members().iter().map(|member| {
            let value = match member.key.as_str() {
                "all" | "any" => Value::List(
                    member.value.elements().iter().map(|one| self.condition(one, changed)).collect(),
                ),
                "text" => self.text(&member.value, changed),
                "effect" => self.effects(&member.value, changed),
                _ => self.as_it_is(&member.value),
            };
            (member.key.as_str().to_owned(), value)
        });
        Value::Map(members.collect())
    }

    /// The same; what it takes from the names of its file stands in its own place.
    pub(super) fn as_it_is(&self, node: &Node) -> Value {
        match (node.is_array(), node.is_object()) {
            (true, _) => Value::List(node.elements().iter().map(|one| self.as_it_is(one)).collect()),
            (_, true) => Value::Map(
                node.members()
                    .iter()
                    .map(|member| {
                        let key = member.key.as_str();
                        let expression = matches!(key, "regex" | "matches" | "unless");
                        let value = match member.value.as_str().filter(|_| expression) {
                            Some(pattern) => Value::text(self.expression(pattern)),
                            None => self.as_it_is(&member.value),
                        };
                        (key.to_owned(), value)
                    })
                    .collect(),
            ),
            _ => Value::of(node),
        }
    }

    fn expression<'b>(&'b self, pattern: &'b str) -> &'b str {
        pattern.strip_prefix('$').and_then(|name| self.named.get(name)).map_or(pattern, String::as_str)
    }

    fn text(&self, node: &Node, changed: &mut bool) -> Value {
        let literals = list(node, "literals");
        let inside = list(node, "in").contains(&self.part);
        let pattern = match node.text("regex") {
            Some(pattern) => self.expression(pattern).to_owned(),
            None => {
                let escaped: Vec<String> = literals.iter().map(|text| regex_syntax::escape(text)).collect();
                format!("(?i){}", escaped.join("|"))
            }
        };
        let wide = (inside && !literals.is_empty())
            .then(|| widened(&pattern, self.tolerances, self.audience, self.examples))
            .flatten();
        let Some(wide) = wide else { return self.as_it_is(node) };
        *changed = true;
        let Value::Map(mut members) = self.as_it_is(node) else { return self.as_it_is(node) };
        members.retain(|(key, _)| !matches!(key.as_str(), "literals" | "regex"));
        let at = members.iter().position(|(key, _)| key == "in").map_or(0, |at| at + 1);
        let found = self.literals(&literals, &pattern);
        members.splice(
            at..at,
            [("literals".to_owned(), Value::texts(found)), ("regex".to_owned(), Value::text(wide))],
        );
        Value::Map(members)
    }

    /// What stands where the widened expression fits: the words of the examples that it names, of long ones each half,
    /// since what breaks up a word leaves one of them.
    fn literals(&self, literals: &[&str], pattern: &str) -> Vec<String> {
        let mut found: Vec<String> = literals.iter().map(|text| (*text).to_owned()).collect();
        let examples: Vec<String> = self.examples.iter().map(|text| text.to_ascii_lowercase()).collect();
        let parts = literals.iter().flat_map(|text| text.split_whitespace()).map(str::to_ascii_lowercase);
        let mut added = BTreeSet::new();
        for word in words(pattern).into_iter().chain(parts) {
            if !examples.iter().any(|example| example.contains(&word)) {
                continue;
            }
            match word.split_at_checked(word.len() / 2).filter(|_| word.len() >= HALVED) {
                Some((left, right)) => added.extend([left.to_owned(), right.to_owned()]),
                None => _ = added.insert(word),
            }
        }
        added.retain(|word| word.len() >= SHORTEST_LITERAL && !found.contains(word));
        found.extend(added.into_iter().take(MOST_LITERALS));
        // Where only short words are, what else was left whole.
        for (example, evasion) in examples.iter().zip(self.evasions) {
            let evasion = evasion.to_ascii_lowercase();
            let stands = found.iter().any(|literal| evasion.contains(&literal.to_ascii_lowercase()));
            if !stands && found.len() < literals.len() + 2 * MOST_LITERALS {
                found.extend(shared(example, &evasion));
            }
        }
        found
    }

    fn effects(&self, node: &Node, changed: &mut bool) -> Value {
        if node.is_array() {
            return Value::List(node.elements().iter().map(|one| self.effects(one, changed)).collect());
        }
        let members = node.members().iter().map(|member| {
            let key = member.key.as_str();
            let value = match (key, member.value.as_str()) {
                ("from", _) => self.effects(&member.value, changed),
                ("by", _) if self.tolerances.contains(&Tolerance::Synonyms) => {
                    programs(&member.value, changed)
                }
                ("matches", Some(pattern)) => {
                    let pattern = self.expression(pattern);
                    // Of a target only the case is ever another: quotes and escapes are read before.
                    let case = self.tolerances.contains(&Tolerance::Case);
                    let wide = widened(pattern, &[Tolerance::Case], self.audience, self.examples);
                    let wide = wide.filter(|_| case);
                    *changed |= wide.is_some();
                    Value::text(wide.unwrap_or_else(|| pattern.to_owned()))
                }
                _ => self.as_it_is(&member.value),
            };
            (key.to_owned(), value)
        });
        Value::Map(members.collect())
    }
}

/// The longest text that stands in both, if it is long enough for a literal.
fn shared(example: &str, evasion: &str) -> Option<String> {
    if example.len() > LONGEST_COMPARED {
        return None;
    }
    let starts: Vec<usize> = example.char_indices().map(|(at, _)| at).chain([example.len()]).collect();
    let mut best = "";
    for (nth, start) in starts.iter().enumerate() {
        for end in starts.iter().skip(nth + 1) {
            let part = example.get(*start..*end).unwrap_or_default();
            if !evasion.contains(part) {
                break;
            }
            if part.trim().len() > best.len() {
                best = part.trim();
            }
        }
    }
    (best.len() >= SHORTEST_LITERAL).then(|| best.to_owned())
}

/// The names in `node`, and those of programs that do the same as one of them.
fn programs(node: &Node, changed: &mut bool) -> Value {
    let one = std::slice::from_ref(node);
    let nodes = if node.is_array() { node.elements() } else { one };
    let mut names: Vec<&str> = nodes.iter().filter_map(Node::as_str).collect();
    let before = names.len();
    for name in names.clone() {
        let same = same_programs(name).unwrap_or_default().iter().filter(|other| !other.contains(['/', ' ']));
        for other in same {
            if !names.contains(other) {
                names.push(other);
            }
        }
    }
    *changed |= names.len() > before;
    Value::texts(names)
}

/// The texts under `key`, one or a list.
fn list<'a>(node: &'a Node, key: &str) -> Vec<&'a str> {
    let Some(node) = node.get(key) else { return Vec::new() };
    let one = std::slice::from_ref(node);
    let nodes = if node.is_array() { node.elements() } else { one };
    nodes.iter().filter_map(Node::as_str).collect()
}

/// A condition for what the text conditions of `when` look for in `part`, written as `operator` writes it. Only for
/// those that look for words and nothing else: an expression cannot be tried on what is not decoded.
pub(super) fn encoded(when: &Node, operator: Operator, part: &str, examples: &[&str]) -> Option<Value> {
    let mut looked_for = Vec::new();
    plain_literals(when, part, &mut looked_for);
    let mut forms = BTreeSet::new();
    for literal in looked_for {
        for example in examples {
            let at = example.to_ascii_lowercase().find(&literal.to_ascii_lowercase());
            let Some(text) = at.and_then(|at| example.get(at..at + literal.len())) else { continue };
            forms.extend(written_as(operator, text));
        }
    }
    forms.retain(|form| form.len() >= SHORTEST_ENCODED);
    if forms.is_empty() {
        return None;
    }
    let mut members = vec![
        ("in".to_owned(), Value::List(vec![Value::text(part)])),
        ("literals".to_owned(), Value::texts(forms.iter().cloned())),
    ];
    if operator == Operator::Base64Text {
        // Literals are found in any case, and in Base64 case is what says which letter it is.
        let exact: Vec<String> = forms.iter().map(|form| regex_syntax::escape(form)).collect();
        members.push(("regex".to_owned(), Value::text(exact.join("|"))));
    }
    Some(Value::map([("text", Value::Map(members))]))
}

fn plain_literals<'a>(node: &'a Node, part: &str, found: &mut Vec<&'a str>) {
    for member in node.members() {
        match member.key.as_str() {
            "any" => member.value.elements().iter().for_each(|one| plain_literals(one, part, found)),
            "text" if member.value.get("regex").is_none() && list(&member.value, "in").contains(&part) => {
                found.extend(list(&member.value, "literals"));
            }
            _ => {}
        }
    }
}

fn written_as(operator: Operator, text: &str) -> Vec<String> {
    if text.len() < SHORTEST_ENCODED {
        return Vec::new();
    }
    let each = |write: fn(u8) -> String| vec![text.bytes().map(write).collect()];
    match operator {
        Operator::Base64Text => (0..3).map(|before| base64_within(text, before)).collect(),
        Operator::Hex => each(|byte| format!("{byte:02x}")),
        Operator::Percent => each(|byte| format!("%{byte:02x}")),
        Operator::Reversed => vec![text.chars().rev().collect()],
        _ => Vec::new(),
    }
}

/// What of `text` in Base64 is the same whatever surrounds it, if `before` bytes (0 to 2) stand before it in its group of
/// three.
fn base64_within(text: &str, before: usize) -> String {
    let mut bytes = vec![0; before];
    bytes.extend(text.bytes());
    let whole = bytes.len() * 8 / 6;
    let begin = (before * 8).div_ceil(6);
    STANDARD_NO_PAD.encode(&bytes).get(begin..whole).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn what_is_encoded_is_found_wherever_it_stands() {
        for before in 0..7 {
            let text = format!("{}frobnicate everything, please", "x".repeat(before));
            let encoded = STANDARD.encode(text);
            let forms = written_as(Operator::Base64Text, "frobnicate everything");
            assert_eq!(forms.iter().filter(|form| encoded.contains(*form)).count(), 1, "{encoded} {forms:?}");
        }
        assert_eq!(written_as(Operator::Hex, "frobnicate"), ["66726f626e6963617465"]);
        assert_eq!(written_as(Operator::Reversed, "frobnicate"), ["etacinborf"]);
        assert!(written_as(Operator::Percent, "short").is_empty());
    }
}
