//! What is proposed, as YAML that a person reads and the strict reader of rules takes.

use std::fmt::Write as _;

use doorward_core::syntax::{Kind, Node};

/// A value that is going to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A text, quoted.
    Text(String),
    /// A number, `true`, `false` or `null`.
    Plain(String),
    /// In order.
    List(Vec<Value>),
    /// With distinct keys, in order.
    Map(Vec<(String, Value)>),
}

impl Value {
    pub(super) fn of(node: &Node) -> Self {
        match &node.kind {
            Kind::Null => Self::Plain("null".to_owned()),
            Kind::Bool(truth) => Self::Plain(truth.to_string()),
            Kind::Number(digits) => Self::Plain(digits.to_string()),
            Kind::String(text) => Self::Text(text.as_str().to_owned()),
            Kind::Array(nodes) => Self::List(nodes.iter().map(Self::of).collect()),
            Kind::Object(members) => Self::Map(
                members
                    .iter()
                    .map(|member| (member.key.as_str().to_owned(), Self::of(&member.value)))
                    .collect(),
            ),
        }
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    pub(super) fn map<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Map(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// Whether it stands on one line.
    fn is_short(&self) -> bool {
        match self {
            Self::Text(_) | Self::Plain(_) => true,
            Self::List(values) => values.iter().all(|value| matches!(value, Self::Text(_) | Self::Plain(_))),
            Self::Map(members) => {
                matches!(members.as_slice(), [(_, Self::Text(_) | Self::Plain(_))]) || members.is_empty()
            }
        }
    }

    fn on_one_line(&self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(&quoted(text)),
            Self::Plain(text) => out.push_str(text),
            Self::List(values) => {
                out.push('[');
                for (at, value) in values.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { ", " });
                    value.on_one_line(out);
                }
                out.push(']');
            }
            Self::Map(members) => {
                out.push_str("{ ");
                for (at, (key, value)) in members.iter().enumerate() {
                    let _ = write!(out, "{}{key}: ", if at == 0 { "" } else { ", " });
                    value.on_one_line(out);
                }
                out.push_str(" }");
            }
        }
    }

    /// Writes it behind `key:` or `-`, the lines below `indent` spaces to the right.
    fn behind(&self, indent: usize, out: &mut String) {
        if self.is_short() {
            out.push(' ');
            self.on_one_line(out);
            out.push('\n');
        } else {
            out.push('\n');
            self.below(indent, out);
        }
    }

    /// Writes it on lines of its own.
    pub(super) fn below(&self, indent: usize, out: &mut String) {
        match self {
            Self::Text(_) | Self::Plain(_) => {
                let _ = write!(out, "{:indent$}", "");
                self.on_one_line(out);
                out.push('\n');
            }
            Self::List(values) => {
                for value in values {
                    let _ = write!(out, "{:indent$}-", "");
                    if value.is_short() {
                        value.behind(indent + 2, out);
                    } else {
                        let mut inner = String::new();
                        value.below(indent + 2, &mut inner);
                        out.push(' ');
                        out.push_str(inner.trim_start_matches(' '));
                    }
                }
            }
            Self::Map(members) => {
                for (key, value) in members {
                    let _ = write!(out, "{:indent$}{key}:", "");
                    value.behind(indent + 2, out);
                }
            }
        }
    }
}

/// `text` as a scalar of YAML: as it is where that is plain to see, else with every other character escaped.
pub(super) fn quoted(text: &str) -> String {
    let is_word = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_'));
    // What some reader of YAML takes for something else.
    if is_word && !matches!(text, "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n") {
        return text.to_owned();
    }
    if text.chars().all(|c| matches!(c, ' '..='~')) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            _ if u32::from(c) > 0xffff => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            _ => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use doorward_core::syntax::yaml;

    use super::*;

    #[test]
    fn what_is_written_reads_as_what_it_was() {
        let hard = [
            "it's",
            "a: b # c",
            "\u{200b}x\u{7f}\n\t\\\"",
            "\u{e0041}",
            "",
            "- x",
            "ends in space ",
            "plain-word.2",
            "true",
            "no",
        ];
        let value = Value::map([
            ("one", Value::texts(hard)),
            (
                "two",
                Value::map([(
                    "x",
                    Value::List(vec![Value::map([
                        ("y", Value::text("{z}")),
                        ("n", Value::Plain("5".into())),
                    ])]),
                )]),
            ),
            ("three", Value::Plain("true".into())),
        ]);
        let mut text = String::new();
        value.below(0, &mut text);
        assert_eq!(Value::of(&yaml::parse(text.as_bytes()).unwrap()), value, "{text}");
        assert!(text.is_ascii(), "{text}");
    }
}
