//! Every reading of a stretch of tags.
//!
//! An ordinary call has one. More come from what parsers treat differently: a parameter given twice, or
//! closed twice; parameters within a parameter some version does not know; calls within a call, which a
//! parser that stops at the first closing tag runs; HTML entities, which some clients decode.

use std::borrow::Cow;
use std::cell::Cell;

use super::tags::{self, Form, Known, LONGEST, Opening, Opens};
use super::{MOST_READINGS, Reading};
use crate::syntax::json;

/// Parameters of which a call may have many.
const LISTS: &[&str] = &["file_path", "line_range", "line_ranges", "path", "suggest"];

/// How many bytes may be looked at for one stretch: eight times the longest. Parsers that start over at every
/// tag would make it quadratic.
const FUEL: usize = 8 * super::MOST_TEXT;

/// The readings of the text behind `opening`, its closing tag included if there is one.
pub(super) fn of(opening: &Opening, text: &str) -> Vec<Reading> {
    let mut readings = Vec::new();
    let fuel = Cell::new(FUEL);
    one(opening, text, &fuel, &mut readings);
    let mut tags = Tags { text, at: 0, fuel: &fuel };
    while let Some((tag, _, end)) = tags.next() {
        if readings.len() > MOST_READINGS {
            break;
        }
        if let Opens::Yes(inner) = tags::opens(tag.as_bytes()) {
            one(&inner, text.get(end..).unwrap_or_default(), &fuel, &mut readings);
        }
    }
    if fuel.get() == 0 {
        return vec![Reading::fault(&opening.tool, "it is too large for what stands in it")];
    }
    if readings.len() > MOST_READINGS {
        return vec![Reading::fault(&opening.tool, "it can be read as more than 32 different calls")];
    }
    let mut seen: Vec<Reading> = Vec::with_capacity(readings.len());
    for reading in readings {
        if !seen.contains(&reading) {
            seen.push(reading);
        }
    }
    seen
}

/// What one call says.
fn one(opening: &Opening, text: &str, fuel: &Cell<usize>, readings: &mut Vec<Reading>) {
    if opening.form == Form::Object {
        return object(opening, text, fuel, readings);
    }
    let mut given = Given { parameters: Vec::new(), over: false, fuel };
    match opening.form {
        Form::Body(argument) => {
            let body = until_closed(text, &opening.tag, fuel);
            given.parameters.push(Parameter { name: argument.to_owned(), first: body, last: None });
        }
        Form::Parameters | Form::Object => given.read(text, &opening.tag),
    }
    if given.over {
        return readings.push(Reading::fault(&opening.tool, "it has more parameters than can be read"));
    }
    given.readings(&opening.tool, readings);
}

/// A call that stands in the text as one JSON object.
fn object(opening: &Opening, text: &str, fuel: &Cell<usize>, readings: &mut Vec<Reading>) {
    let body = until_closed(text, &opening.tag, fuel).trim();
    if body.is_empty() || body.starts_with('<') {
        // Tags within are found as calls of their own.
        return;
    }
    let unread = |readings: &mut Vec<Reading>| {
        readings.push(Reading::fault(&opening.tool, "it is no strict JSON object with name and arguments"));
    };
    let Ok(node) = json::parse(body.as_bytes()) else { return unread(readings) };
    let name = node.text("name").filter(|name| !name.is_empty());
    let arguments = ["arguments", "parameters"].iter().find_map(|key| node.some(key));
    let (Some(name), true) = (name, node.is_object()) else { return unread(readings) };
    let arguments = match arguments {
        None => "{}".to_owned(),
        Some(arguments) => match arguments.as_str() {
            Some(text) => text.to_owned(),
            None => String::from_utf8_lossy(arguments.span.of(body.as_bytes())).into_owned(),
        },
    };
    readings.push(Reading { name: name.to_owned(), arguments: Ok(arguments) });
}

/// One parameter.
struct Parameter<'a> {
    name: String,
    /// Its text up to its first closing tag.
    first: &'a str,
    /// Its text up to its last one, if there are several.
    last: Option<&'a str>,
}

struct Given<'a> {
    parameters: Vec<Parameter<'a>>,
    over: bool,
    fuel: &'a Cell<usize>,
}

impl<'a> Given<'a> {
    /// Reads parameters up to what closes the call.
    fn read(&mut self, text: &'a str, call: &str) {
        let mut tags = Tags { text, at: 0, fuel: self.fuel };
        // Up to where a parameter reaches that some version may not know.
        let mut within = 0;
        while let Some((tag, start, end)) = tags.next() {
            if start >= within && tags::closes(tag.as_bytes(), call.as_bytes()) {
                return;
            }
            let Some((name, rest)) = tags::any_opening(tag.as_bytes()) else { continue };
            let key = if name.eq_ignore_ascii_case(b"parameter") || name.ends_with(b":parameter") {
                tags::attribute_name(rest).unwrap_or_default()
            } else {
                String::from_utf8_lossy(name).into_owned()
            };
            let leaf = tags::parameter(key.as_bytes()) == Some(Known::Everywhere);
            // Within what some client may not know, only what is known to one counts.
            if start < within && tags::parameter(name).is_none() {
                continue;
            }
            if self.parameters.len() > 4 * MOST_READINGS {
                self.over = true;
                return;
            }
            let closed = closing(text, end, name, self.fuel);
            let value_ends = closed.map_or(text.len(), |(start, _)| start);
            let first = text.get(end..value_ends).unwrap_or_default();
            let last = closed.filter(|_| leaf).and_then(|(_, after)| {
                let last = last_closing(text, after, name, self.fuel)?;
                text.get(end..last)
            });
            self.parameters.push(Parameter { name: key, first, last });
            if leaf {
                let Some((_, after)) = closed else { return };
                tags.at = after;
            } else {
                within = within.max(value_ends);
            }
        }
    }

    fn readings(&self, tool: &str, readings: &mut Vec<Reading>) {
        let times = |name: &str| self.parameters.iter().filter(|given| given.name == name).count();
        let variants = self
            .parameters
            .iter()
            .map(|given| if LISTS.contains(&given.name.as_str()) { 1 } else { times(&given.name) })
            .max()
            .unwrap_or(1);
        let several_ends = self.parameters.iter().any(|given| given.last.is_some());
        let entities = self.parameters.iter().any(|given| unescaped(given.first).is_some());
        for variant in 0..variants {
            for last in [false, true].into_iter().take(if several_ends { 2 } else { 1 }) {
                for decode in [false, true].into_iter().take(if entities { 2 } else { 1 }) {
                    if readings.len() > MOST_READINGS {
                        return;
                    }
                    readings.push(Reading {
                        name: tool.to_owned(),
                        arguments: self.arguments(variant, last, decode),
                    });
                }
            }
        }
    }

    /// The arguments as a JSON object. Of a parameter given several times, the one of this number counts.
    fn arguments(&self, variant: usize, last: bool, decode: bool) -> Result<String, String> {
        let mut names: Vec<&str> = Vec::new();
        for given in &self.parameters {
            if !names.contains(&given.name.as_str()) {
                names.push(&given.name);
            }
        }
        let mut out = b"{".to_vec();
        for (place, name) in names.into_iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&json::quoted(name));
            out.push(b':');
            let values: Vec<Cow<'_, str>> = self
                .parameters
                .iter()
                .filter(|given| given.name == name)
                .map(|given| {
                    let value = given.last.filter(|_| last).unwrap_or(given.first).trim();
                    unescaped(value).filter(|_| decode).map_or(Cow::Borrowed(value), Cow::Owned)
                })
                .collect();
            if LISTS.contains(&name) && values.len() > 1 {
                out.push(b'[');
                for (place, value) in values.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(&json::quoted(value));
                }
                out.push(b']');
                continue;
            }
            let Some(value) = values.get(variant.min(values.len().saturating_sub(1))) else { continue };
            // The arguments of a tool server's tool are JSON themselves.
            if name == "arguments" && value.starts_with('{') {
                json::parse(value.as_bytes())
                    .map_err(|fault| format!("its arguments are not strict JSON: {fault}"))?;
                out.extend_from_slice(value.as_bytes());
            } else {
                out.extend_from_slice(&json::quoted(value));
            }
        }
        out.push(b'}');
        String::from_utf8(out).map_err(|_| "it is not UTF-8".to_owned())
    }
}

/// The text up to what closes the call, or all of it.
fn until_closed<'a>(text: &'a str, tag: &str, fuel: &Cell<usize>) -> &'a str {
    let end = closing(text, 0, tag.as_bytes(), fuel).map_or(text.len(), |(start, _)| start);
    text.get(..end).unwrap_or(text)
}

/// Where the first tag that closes `name` stands, from `from` on.
fn closing(text: &str, from: usize, name: &[u8], fuel: &Cell<usize>) -> Option<(usize, usize)> {
    let mut tags = Tags { text, at: from, fuel };
    while let Some((tag, start, end)) = tags.next() {
        if tags::closes(tag.as_bytes(), name) {
            return Some((start, end));
        }
    }
    None
}

/// Where the last tag that closes `name` begins, from `from` on.
fn last_closing(text: &str, from: usize, name: &[u8], fuel: &Cell<usize>) -> Option<usize> {
    let mut found = None;
    let mut tags = Tags { text, at: from, fuel };
    while let Some((tag, start, _)) = tags.next() {
        if tags::closes(tag.as_bytes(), name) {
            found = Some(start);
        }
    }
    found
}

/// The tags of a text, one by one: from a `<` to the next `>` without another `<` between.
struct Tags<'a> {
    text: &'a str,
    at: usize,
    fuel: &'a Cell<usize>,
}

impl<'a> Tags<'a> {
    /// The next tag, and where it begins and ends.
    fn next(&mut self) -> Option<(&'a str, usize, usize)> {
        loop {
            let found = self.text.get(self.at..)?.find('<');
            let Some(start) = found.map(|found| self.at + found) else {
                self.fuel.set(self.fuel.get().saturating_sub(self.text.len().saturating_sub(self.at)));
                return None;
            };
            let behind = start + 1;
            let found = self.text.get(behind..)?.find(['<', '>']);
            let Some(end) = found.map(|found| behind + found) else {
                self.at = self.text.len();
                return None;
            };
            let left = self.fuel.get().saturating_sub(end.saturating_sub(self.at));
            self.fuel.set(left);
            if left == 0 {
                return None;
            }
            let closed = self.text.as_bytes().get(end) == Some(&b'>');
            self.at = if closed { end + 1 } else { end };
            if closed && end - start <= LONGEST {
                return Some((self.text.get(start..=end)?, start, end + 1));
            }
        }
    }
}

/// `text` with the entities decoded that clients decode, if it has any.
fn unescaped(text: &str) -> Option<String> {
    const ENTITIES: [(&str, &str); 8] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&#34;", "\""),
        // Last: what it gives is not decoded again.
        ("&amp;", "&"),
    ];
    if !ENTITIES.iter().any(|(entity, _)| text.contains(entity)) {
        return None;
    }
    let mut out = text.to_owned();
    for (entity, plain) in ENTITIES {
        out = out.replace(entity, plain);
    }
    Some(out)
}
