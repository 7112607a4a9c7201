//! From a [`Node`] to what a program needs, reporting *all* faults at once: a person who mistyped two
//! keys should not have to start twice to learn of both.
//!
//! ```
//! # use doorward_core::syntax::{decode::Fields, yaml};
//! let node = yaml::parse(b"name: gate\nport: 7878\nmdoe: block\n").unwrap();
//! let mut faults = Vec::new();
//! let mut fields = Fields::of(&node, "the settings", &mut faults);
//! let name = fields.text("name");
//! let port = fields.whole("port", 1..=65_535);
//! let mode = fields.maybe_choice("mode", &[("block", true), ("monitor", false)]);
//! fields.finish();
//! assert_eq!((name, port, mode), (Some("gate"), Some(7878), None));
//! assert_eq!(faults[0].message, "unknown key `mdoe` in the settings");
//! assert_eq!(faults[0].advice, "did you mean `mode`?");
//! ```

use std::ops::RangeInclusive;

use super::{Diagnostic, Kind, Node, Span};

/// The members of one mapping, taken by name. Whatever was not asked for by the time of
/// [`Fields::finish`] is an unknown key.
#[derive(Debug)]
#[must_use = "call `finish` so that unknown keys are reported"]
pub struct Fields<'a, 'd> {
    node: &'a Node,
    what: &'d str,
    asked: Vec<&'static str>,
    faults: &'d mut Vec<Diagnostic>,
}

impl<'a, 'd> Fields<'a, 'd> {
    /// The members of `node`. If it is not a mapping that is a fault, and every field is absent.
    /// `what` names the thing in messages: `a rule`, `the settings`.
    pub fn of(node: &'a Node, what: &'d str, faults: &'d mut Vec<Diagnostic>) -> Self {
        if !node.is_object() {
            faults.push(wrong_kind(node, what, "a mapping"));
        }
        Self { node, what, asked: Vec::new(), faults }
    }

    /// Where the whole mapping stands.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.node.span
    }

    /// Where `key` stands, if it is there.
    #[must_use]
    pub fn place(&self, key: &str) -> Option<Span> {
        self.node.member(key).map(|member| member.key_span)
    }

    /// The list of faults, for decoding what lies deeper or for faults of one's own.
    pub const fn faults(&mut self) -> &mut Vec<Diagnostic> {
        self.faults
    }

    /// Adds a fault at `span`.
    pub fn fault(&mut self, span: Span, message: impl Into<String>, advice: impl Into<String>) {
        self.faults.push(Diagnostic::error(span, message).advise(advice));
    }

    /// The value of `key`, if it is there; `null` counts as absent.
    pub fn maybe(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        self.node.some(key)
    }

    /// The value of `key`; absence is a fault.
    pub fn need(&mut self, key: &'static str) -> Option<&'a Node> {
        let found = self.maybe(key);
        if found.is_none() && self.node.is_object() {
            let at = Span::new(self.node.span.start, self.node.span.start + 1);
            self.fault(at, format!("`{key}` is missing in {}", self.what), format!("add `{key}:`"));
        }
        found
    }

    /// Text that has to be there.
    pub fn text(&mut self, key: &'static str) -> Option<&'a str> {
        let node = self.need(key)?;
        self.as_text(key, node)
    }

    /// Text that may be there.
    pub fn maybe_text(&mut self, key: &'static str) -> Option<&'a str> {
        let node = self.maybe(key)?;
        self.as_text(key, node)
    }

    /// A whole number within `range` that has to be there.
    pub fn whole(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let node = self.need(key)?;
        self.as_whole(key, node, range)
    }

    /// A whole number within `range` that may be there.
    pub fn maybe_whole(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let node = self.maybe(key)?;
        self.as_whole(key, node, range)
    }

    /// `true` or `false` that may be there.
    pub fn maybe_bool(&mut self, key: &'static str) -> Option<bool> {
        let node = self.maybe(key)?;
        if node.as_bool().is_none() {
            let advice = match node.as_str() {
                Some("yes" | "Yes" | "on" | "On") => "write `true`",
                Some("no" | "No" | "off" | "Off") => "write `false`",
                _ => "",
            };
            let fault = wrong_kind(node, &format!("`{key}`"), "true or false");
            self.faults.push(fault.advise(advice));
        }
        node.as_bool()
    }

    /// One of a few words that has to be there.
    pub fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let node = self.need(key)?;
        one_of(node, key, words, self.faults)
    }

    /// One of a few words that may be there.
    pub fn maybe_choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let node = self.maybe(key)?;
        one_of(node, key, words, self.faults)
    }

    /// The elements of a list that may be there.
    pub fn list(&mut self, key: &'static str) -> &'a [Node] {
        let Some(node) = self.maybe(key) else { return &[] };
        if !node.is_array() {
            self.faults.push(wrong_kind(node, &format!("`{key}`"), "a list"));
        }
        node.elements()
    }

    /// One text or a list of them that may be there, each with its place. An empty list is a fault: it
    /// could be read as "none" and as "any".
    pub fn texts(&mut self, key: &'static str) -> Vec<(&'a str, Span)> {
        let Some(node) = self.maybe(key) else { return Vec::new() };
        if node.is_array() && node.elements().is_empty() {
            self.fault(
                node.span,
                format!("`{key}` is an empty list"),
                format!("leave `{key}` out or fill it"),
            );
        }
        let one = std::slice::from_ref(node);
        let nodes = if node.is_array() { node.elements() } else { one };
        nodes.iter().filter_map(|node| Some((self.as_text(key, node)?, node.span))).collect()
    }

    /// One word or a list of words out of a few, as values; see [`Fields::texts`].
    pub fn choices<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Vec<T> {
        self.texts(key)
            .into_iter()
            .filter_map(|(text, span)| pick(text, span, key, words, self.faults))
            .collect()
    }

    /// Which of `keys` are present, in source order, with their places.
    #[must_use]
    pub fn present(&self, keys: &[&'static str]) -> Vec<(&'static str, Span)> {
        let members = self.node.members().iter();
        members
            .filter_map(|member| {
                let key = keys.iter().find(|key| **key == &*member.key)?;
                Some((*key, member.key_span))
            })
            .collect()
    }

    /// Reports every key that nobody asked for.
    pub fn finish(self) {
        for member in self.node.members() {
            if self.asked.iter().any(|asked| *asked == &*member.key) {
                continue;
            }
            let message = format!("unknown key `{}` in {}", short(&member.key), self.what);
            let advice = suggestion(&member.key, self.asked.iter().copied())
                .unwrap_or_else(|| format!("known keys: {}", self.asked.join(", ")));
            self.faults.push(Diagnostic::error(member.key_span, message).advise(advice));
        }
    }

    fn as_text(&mut self, key: &str, node: &'a Node) -> Option<&'a str> {
        let text = node.as_str();
        match text {
            None => {
                let fault = wrong_kind(node, &format!("`{key}`"), "text");
                let scalar = matches!(node.kind, Kind::Number(_) | Kind::Bool(_));
                self.faults.push(if scalar { fault.advise("put it in quotes") } else { fault });
            }
            Some(text) if text.trim().is_empty() => {
                self.fault(node.span, format!("`{key}` is empty"), "");
                return None;
            }
            Some(_) => {}
        }
        text
    }

    fn as_whole(&mut self, key: &str, node: &Node, range: RangeInclusive<u64>) -> Option<u64> {
        if !matches!(node.kind, Kind::Number(_)) {
            self.faults.push(wrong_kind(node, &format!("`{key}`"), "a whole number"));
            return None;
        }
        let value = node.as_u64().filter(|value| range.contains(value));
        if value.is_none() {
            let (low, high) = (range.start(), range.end());
            self.fault(node.span, format!("`{key}` must be a whole number from {low} to {high}"), "");
        }
        value
    }
}

/// The value `node` names, out of `words`; anything else is a fault.
pub fn one_of<T: Copy>(
    node: &Node,
    key: &str,
    words: &[(&str, T)],
    faults: &mut Vec<Diagnostic>,
) -> Option<T> {
    match node.as_str() {
        Some(text) => pick(text, node.span, key, words, faults),
        None => {
            faults.push(wrong_kind(node, &format!("`{key}`"), "a word"));
            None
        }
    }
}

fn pick<T: Copy>(
    text: &str,
    span: Span,
    key: &str,
    words: &[(&str, T)],
    faults: &mut Vec<Diagnostic>,
) -> Option<T> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let known = || words.iter().map(|(word, _)| *word);
    let advice = suggestion(text, known())
        .unwrap_or_else(|| format!("one of: {}", known().collect::<Vec<_>>().join(", ")));
    faults.push(Diagnostic::error(span, format!("`{}` is no value of `{key}`", short(text))).advise(advice));
    None
}

/// "did you mean", if one of `known` is near enough to `word` to be what was meant.
pub fn suggestion<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    let word: Vec<char> = word.chars().take(64).flat_map(char::to_lowercase).collect();
    let within = (word.len() / 3).clamp(1, 3);
    known
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= within)
        .min()
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from one to the other
/// (optimal string alignment).
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let at = |row: &[usize], i: usize| row.get(i).copied().unwrap_or(usize::MAX / 2);
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = at(&above, j) + usize::from(x != y);
            best = best.min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    at(&above, b.len())
}

fn wrong_kind(node: &Node, what: &str, wanted: &str) -> Diagnostic {
    Diagnostic::error(node.span, format!("{what} must be {wanted}, not {}", node.kind_name()))
}

fn short(text: &str) -> String {
    let mut out: String = text.chars().take(40).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}
