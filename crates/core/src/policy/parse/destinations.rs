//! From YAML to lists of places.

use std::collections::HashSet;

use super::super::destinations::{Destinations, Pattern, Places};
use super::super::layers::Setting;
use super::super::url::UrlPattern;
use super::Reading;
use super::matcher::{LONGEST_PATTERN, host_pattern};
use crate::syntax::decode::Fields;
use crate::syntax::{Node, Span};

/// The most places in one list of one file.
pub(in super::super) const MOST_PLACES: usize = 10_000;

/// Reads what a file says of destinations; `settings` keep it for whoever asks.
pub(super) fn read(
    node: &Node,
    text: &Reading,
    all: &mut Destinations,
    settings: &mut Vec<Setting>,
    faults: &mut Vec<crate::syntax::Diagnostic>,
) {
    let mut fields = Fields::of(node, "`destinations`", faults);
    let given = fields.present(&["allow", "block", "block_unknown_post"]);
    let (allow, block) = (fields.texts("allow"), fields.texts("block"));
    let unknown = fields.maybe_bool("block_unknown_post");
    if node.is_object() && given.is_empty() {
        let span = fields.span();
        fields.fault(
            span,
            "`destinations` says nothing",
            "give it `allow`, `block` or `block_unknown_post`, or remove it",
        );
    }
    let allowed: HashSet<&str> = allow.iter().map(|(text, _)| *text).collect();
    for (text, span) in &block {
        if allowed.contains(text) {
            fields.fault(
                *span,
                format!("`{text}` is both allowed and blocked"),
                "keep one of them: what is blocked stays so",
            );
        }
    }
    let own = all.of_level(text.level);
    add("destinations.allow", &allow, &mut own.allow, text, settings, &mut fields);
    add("destinations.block", &block, &mut own.block, text, settings, &mut fields);
    own.block_unknown_post |= unknown == Some(true);
    if let (Some(unknown), Some(span)) = (unknown, fields.place("block_unknown_post")) {
        let value = if unknown { "true" } else { "false" };
        settings.push(setting("destinations.block_unknown_post", value, span, text));
    }
    fields.finish();
}

fn setting(key: &'static str, value: &str, span: Span, text: &Reading) -> Setting {
    Setting { level: text.level, place: text.place(span), key, value: value.to_owned().into() }
}

fn add(
    key: &'static str,
    texts: &[(&str, Span)],
    places: &mut Places,
    text: &Reading,
    settings: &mut Vec<Setting>,
    fields: &mut Fields<'_, '_>,
) {
    if let Some((_, span)) = texts.get(MOST_PLACES) {
        fields.fault(
            *span,
            format!("more than {MOST_PLACES} places"),
            "put lists into files of their own, and `include` them",
        );
        return;
    }
    for (pattern, span) in texts {
        match compile(pattern, key == "destinations.allow") {
            Ok(patterns) => {
                patterns.into_iter().for_each(|pattern| places.add(pattern));
                settings.push(setting(key, pattern, *span, text));
            }
            Err((message, advice)) => fields.fault(*span, message, advice),
        }
    }
}

/// A pattern for hosts, or one for URLs if it has a scheme or a path.
pub(super) fn compile(text: &str, allows: bool) -> Result<Vec<Pattern>, (String, String)> {
    if text.len() > LONGEST_PATTERN {
        return Err((format!("a pattern longer than {LONGEST_PATTERN} bytes"), String::new()));
    }
    let is_url = text.contains("://") || text.contains('?') || text.contains(['/', '{']) && !is_range(text);
    if !is_url {
        return Ok(vec![Pattern::Host(host_pattern(text)?)]);
    }
    let patterns = UrlPattern::compile(text).map_err(|wrong| (wrong.message, wrong.advice))?;
    if allows && patterns.iter().any(|pattern| pattern.host().is_none()) {
        let advice = "name the hosts; rules with `allow` answer for everything else";
        return Err(("a list that allows every host".to_owned(), advice.to_owned()));
    }
    Ok(patterns.into_iter().map(Pattern::Url).collect())
}

/// Whether it is meant as a range of addresses: `10.0.0.0/8`.
fn is_range(text: &str) -> bool {
    let bits = text.split_once('/').map(|(_, bits)| bits);
    bits.is_some_and(|bits| !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit()))
        && !text.contains('{')
}
