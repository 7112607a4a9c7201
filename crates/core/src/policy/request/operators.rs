//! What a condition asks of a value.

use regex::Regex;

use super::super::number::{self, Decimal, Numeral};
use super::super::pattern;
use super::super::truth::Truth;
use super::LONGEST;
use crate::syntax::decode::Fields;
use crate::syntax::{Kind, Node, Span};

/// The most values of `in`.
const MOST_VALUES: usize = 1000;

/// The most values within one value of `exact` or `in`.
const MOST_NODES: usize = 256;

/// What is asked of a text; all of it.
#[derive(Debug, Default)]
pub(super) struct Texts(Vec<Text>);

#[derive(Debug)]
enum Text {
    Prefix(Box<str>),
    Suffix(Box<str>),
    Contains(Box<str>),
    Matches(Regex),
}

/// What is asked of a value of a body; all of it.
#[derive(Debug, Default)]
pub(super) struct Operators {
    max: Option<Box<str>>,
    min: Option<Box<str>>,
    exact: Option<Node>,
    any: Vec<Node>,
    texts: Texts,
}

impl Texts {
    /// Takes `prefix`, `suffix`, `contains` and `regex`.
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let mut all = Vec::new();
        type Make = fn(Box<str>) -> Text;
        let plain: [(&'static str, Make); 3] =
            [("prefix", Text::Prefix), ("suffix", Text::Suffix), ("contains", Text::Contains)];
        for (key, make) in plain {
            all.extend(text(fields, key).map(|(text, _)| make(text.into())));
        }
        if let Some((source, span)) = text(fields, "regex") {
            match pattern::compile(source) {
                Ok(regex) => all.push(Text::Matches(regex)),
                Err(why) => fields.fault(
                    span,
                    format!("no regular expression: {why}"),
                    "the syntax is that of Rust's `regex`: no look-around, no back-references",
                ),
            }
        }
        Self(all)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn hold(&self, value: &str) -> bool {
        self.0.iter().all(|text| match text {
            Text::Prefix(prefix) => value.starts_with(&**prefix),
            Text::Suffix(suffix) => value.ends_with(&**suffix),
            Text::Contains(part) => value.contains(&**part),
            Text::Matches(regex) => regex.is_match(value),
        })
    }
}

/// A text that may be there, not longer than [`LONGEST`]. White space is text here.
pub(super) fn text<'a>(fields: &mut Fields<'a, '_>, key: &'static str) -> Option<(&'a str, Span)> {
    let node = fields.maybe(key)?;
    match node.as_str() {
        Some("") => fields.fault(node.span, format!("`{key}` is empty: every text would do"), ""),
        Some(text) if text.len() > LONGEST => {
            fields.fault(node.span, format!("`{key}` is longer than {LONGEST} bytes"), "");
        }
        Some(text) => return Some((text, node.span)),
        None => {
            let message = format!("`{key}` must be text, not {}", node.kind_name());
            let scalar = matches!(node.kind, Kind::Number(_) | Kind::Bool(_));
            fields.fault(node.span, message, if scalar { "put it in quotes" } else { "" });
        }
    }
    None
}

impl Operators {
    /// Takes `max`, `min`, `exact`, `in` and those of texts. `node` is the mapping they stand in.
    pub(super) fn read(node: &Node, fields: &mut Fields<'_, '_>) -> Self {
        let max = bound(fields, "max");
        let min = bound(fields, "min");
        if let (Some((min, span)), Some((max, _))) = (min, max)
            && let (Some(low), Some(high)) = (Decimal::parse(min), Decimal::parse(max))
            && low.compare(&high).is_gt()
        {
            fields.fault(span, "no number is at least `min` and at most `max`", "exchange them");
        }
        // `null` is a value here.
        fields.maybe("exact");
        let exact = node.get("exact").cloned();
        let any = fields.list("in").to_vec();
        if let Some(list) = node.some("in").filter(|list| list.is_array()) {
            if any.is_empty() {
                fields.fault(list.span, "`in` is an empty list: no value is in it", "fill it");
            } else if any.len() > MOST_VALUES {
                fields.fault(list.span, format!("`in` has more than {MOST_VALUES} values"), "");
            }
        }
        for value in exact.iter().chain(&any) {
            if size(value) > MOST_NODES {
                fields.fault(value.span, format!("more than {MOST_NODES} values in one"), "");
            }
            check_numbers(value, fields);
        }
        Self {
            max: max.map(|(digits, _)| digits.into()),
            min: min.map(|(digits, _)| digits.into()),
            exact,
            any,
            texts: Texts::read(fields),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.max.is_none()
            && self.min.is_none()
            && self.exact.is_none()
            && self.any.is_empty()
            && self.texts.is_empty()
    }

    /// What is asked of `node`. In a `form` all values are text, and `null` is a value that was not read.
    pub(super) fn hold(&self, node: &Node, form: bool) -> Truth {
        if form && node.is_null() {
            return if self.is_empty() { Truth::Yes } else { Truth::Unknown };
        }
        let bound = |bound: &Option<Box<str>>, fits: fn(std::cmp::Ordering) -> bool| match bound {
            Some(digits) => of_scalars(node, &|node| compared(node, digits, fits)),
            None => Truth::Yes,
        };
        bound(&self.max, std::cmp::Ordering::is_le)
            .min_with(|| bound(&self.min, std::cmp::Ordering::is_ge))
            .min_with(|| self.exact.as_ref().map_or(Truth::Yes, |value| equal(value, node, form)))
            .min_with(|| {
                if self.any.is_empty() {
                    return Truth::Yes;
                }
                self.any.iter().map(|value| equal(value, node, form)).max().unwrap_or(Truth::No)
            })
            .min_with(|| {
                if self.texts.is_empty() { Truth::Yes } else { of_scalars(node, &|node| self.text(node)) }
            })
    }

    fn text(&self, node: &Node) -> Truth {
        match &node.kind {
            Kind::String(text) if text.is_well_formed() => self.texts.hold(text).into(),
            // Readers drop, replace or refuse half a surrogate pair.
            Kind::String(_) => Truth::Unknown,
            Kind::Number(digits) if plain(digits) => Truth::from(self.texts.hold(digits)).min(Truth::Unknown),
            Kind::Number(_) => Truth::Unknown,
            Kind::Bool(value) => {
                Truth::from(self.texts.hold(if *value { "true" } else { "false" })).min(Truth::Unknown)
            }
            _ => Truth::No,
        }
    }
}

/// Whether all readers write a number in the way it stands here.
fn plain(digits: &str) -> bool {
    digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && digits != "-0"
}

fn bound<'a>(fields: &mut Fields<'a, '_>, key: &'static str) -> Option<(&'a str, Span)> {
    let node = fields.maybe(key)?;
    match &node.kind {
        Kind::Number(digits) if Decimal::parse(digits).is_some() => Some((digits, node.span)),
        Kind::Number(_) => {
            fields.fault(node.span, format!("a number longer than {} characters", number::LONGEST), "");
            None
        }
        Kind::String(text) if Decimal::parse(text).is_some() => {
            fields.fault(node.span, format!("`{key}` must be a number, not text"), "remove the quotes");
            None
        }
        _ => {
            fields.fault(node.span, format!("`{key}` must be a number, not {}", node.kind_name()), "");
            None
        }
    }
}

fn size(node: &Node) -> usize {
    let below: usize = node.elements().iter().map(size).sum();
    let members: usize = node.members().iter().map(|member| size(&member.value)).sum();
    1 + below + members
}

fn check_numbers(node: &Node, fields: &mut Fields<'_, '_>) {
    if let Kind::Number(digits) = &node.kind
        && Decimal::parse(digits).is_none()
    {
        fields.fault(node.span, format!("a number longer than {} characters", number::LONGEST), "");
    }
    node.elements().iter().for_each(|node| check_numbers(node, fields));
    node.members().iter().for_each(|member| check_numbers(&member.value, fields));
}

/// Of a list some readers take an element for the value: what holds for one of them, at any depth, may hold.
fn of_scalars(node: &Node, holds: &dyn Fn(&Node) -> Truth) -> Truth {
    match &node.kind {
        Kind::Array(elements) => {
            let mut any = elements.iter().map(|element| of_scalars(element, holds));
            Truth::from(any.any(|truth| truth != Truth::No)).min(Truth::Unknown)
        }
        _ => holds(node),
    }
}

fn compared(node: &Node, bound: &str, fits: fn(std::cmp::Ordering) -> bool) -> Truth {
    let Some(bound) = Decimal::parse(bound) else { return Truth::Unknown };
    let by = |value: Decimal<'_>| Truth::from(fits(value.compare(&bound)));
    match &node.kind {
        Kind::Number(digits) => Decimal::parse(digits).map_or(Truth::Unknown, by),
        Kind::String(text) => match Numeral::of(text) {
            Numeral::Exact(value) => by(value),
            Numeral::Unclear => Truth::Unknown,
            Numeral::None => Truth::No,
        },
        _ => Truth::No,
    }
}

/// Whether `node` is the value that the policy gives. Where the types differ and a reader that converts would take
/// one for the other, it may be.
fn equal(value: &Node, node: &Node, form: bool) -> Truth {
    let perhaps = |may: bool| Truth::from(may).min(Truth::Unknown);
    match (&value.kind, &node.kind) {
        (Kind::Null, Kind::Null) if !form => Truth::Yes,
        (_, Kind::Null) if form => Truth::Unknown,
        (Kind::Bool(a), Kind::Bool(b)) => (a == b).into(),
        (Kind::Number(a), Kind::Number(b)) => same_number(a, b),
        (Kind::String(a), Kind::String(b)) if b.is_well_formed() => (a == b).into(),
        (Kind::String(_), Kind::String(_)) => Truth::Unknown,
        (Kind::Array(a), Kind::Array(b)) => {
            if a.len() != b.len() {
                return Truth::No;
            }
            a.iter().zip(b).map(|(a, b)| equal(a, b, form)).min().unwrap_or(Truth::Yes)
        }
        (Kind::Object(a), Kind::Object(b)) => {
            if a.len() != b.len() {
                return Truth::No;
            }
            let each = a.iter().map(|member| {
                node.get(&member.key).map_or(Truth::No, |other| equal(&member.value, other, form))
            });
            each.min().unwrap_or(Truth::Yes)
        }
        (Kind::Array(_), _) => Truth::No,
        (_, Kind::Array(elements)) => {
            perhaps(elements.iter().any(|node| equal(value, node, form) != Truth::No))
        }
        (Kind::Object(_), _) | (_, Kind::Object(_)) => Truth::No,
        (Kind::Number(number), Kind::String(text)) => match numeral(text, number) {
            Truth::Yes if form => Truth::Yes,
            truth => truth.min(Truth::Unknown),
        },
        (Kind::Bool(value), Kind::String(text)) => {
            if form && **text == *word(*value) {
                return Truth::Yes;
            }
            perhaps(words(*value).iter().any(|word| text.eq_ignore_ascii_case(word)))
        }
        (Kind::String(text), Kind::Number(number)) => {
            if **text == **number {
                Truth::Unknown
            } else {
                numeral(text, number).min(Truth::Unknown)
            }
        }
        (Kind::String(text), Kind::Bool(value)) => {
            perhaps(words(*value).iter().any(|word| text.eq_ignore_ascii_case(word)))
        }
        (Kind::Bool(value), Kind::Number(number)) => {
            same_number(if *value { "1" } else { "0" }, number).min(Truth::Unknown)
        }
        (Kind::Number(number), Kind::Bool(value)) => {
            same_number(number, if *value { "1" } else { "0" }).min(Truth::Unknown)
        }
        (Kind::Null, Kind::String(text)) | (Kind::String(text), Kind::Null) => perhaps(text.is_empty()),
        (Kind::Null, _) | (_, Kind::Null) => Truth::No,
    }
}

fn same_number(a: &str, b: &str) -> Truth {
    match (Decimal::parse(a), Decimal::parse(b)) {
        (Some(a), Some(b)) => a.compare(&b).is_eq().into(),
        _ => Truth::Unknown,
    }
}

fn numeral(text: &str, number: &str) -> Truth {
    match (Numeral::of(text), Decimal::parse(number)) {
        (Numeral::Exact(value), Some(number)) => value.compare(&number).is_eq().into(),
        (Numeral::None, _) => Truth::No,
        _ => Truth::Unknown,
    }
}

const fn word(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// What readers take for a truth value.
const fn words(value: bool) -> [&'static str; 6] {
    if value { ["true", "1", "t", "yes", "y", "on"] } else { ["false", "0", "f", "no", "n", "off"] }
}
