//! Rules that another shadows: they apply only where one at least as strong does.
//!
//! A warning, and told of what can be seen from the patterns as written. What is not told may still be shadowed.

use std::collections::HashMap;

use super::super::rule::{Rule, Verb};
use super::limit::canonical;
use super::matcher::keys_beside;
use crate::decision::Verdict;
use crate::detect::glob::Glob;
use crate::syntax::{Diagnostic, Member, Node};

/// How many rules of one key are compared with each other rule.
const MOST: usize = 32;

/// The conditions of a rule as written: each key with its values.
#[derive(Debug, Default)]
pub(super) struct About(Vec<(Box<str>, Vec<String>)>);

impl About {
    /// Of the matcher `node` of `rule`, beside whose verb conditions may stand.
    pub fn of(node: &Node, rule: &Node) -> Self {
        let beside = rule.members().iter().filter(|member| keys_beside().any(|key| key == &*member.key));
        let of = |member: &Member| {
            let values = match member.value.elements() {
                [] => vec![value(&member.value)],
                values => values.iter().map(value).collect(),
            };
            (Box::from(&*member.key), values)
        };
        Self(node.members().iter().chain(beside).map(of).collect())
    }

    fn values(&self, key: &str) -> Option<&[String]> {
        self.0.iter().find(|(own, _)| **own == *key).map(|(_, values)| values.as_slice())
    }

    /// Whether whatever fulfils `narrow` fulfils this.
    fn covers(&self, narrow: &Self) -> bool {
        self.0.iter().all(|(key, wide)| {
            let covered =
                |value: &String| wide.iter().any(|wide| *wide == *value || widens(key, wide, value));
            narrow.values(key).is_some_and(|values| values.iter().all(covered))
        })
    }

    /// Under which names it is found: a rule that covers another has one of the other's tools, hosts or places of
    /// URLs, or none.
    fn keys(&self) -> Option<Vec<(&'static str, String)>> {
        let plain = |values: &[String]| !values.iter().any(|value| value.contains(['*', '?']));
        if let Some(tools) = self.values("tool").filter(|tools| plain(tools)) {
            return Some(tools.iter().map(|tool| ("tool", tool.to_lowercase())).collect());
        }
        if let Some(hosts) = self.values("host").filter(|hosts| !hosts.iter().any(|host| host.contains('/')))
        {
            let name = |host: &String| ("host", host.trim_start_matches("*.").to_lowercase());
            return Some(hosts.iter().map(name).collect());
        }
        let urls =
            self.values("url").filter(|urls| !urls.iter().any(|url| matches!(url.as_str(), "*" | "**")))?;
        Some(urls.iter().map(|url| ("url", before_path(url).to_owned())).collect())
    }
}

fn value(node: &Node) -> String {
    node.as_str().map_or_else(|| canonical(node), str::to_owned)
}

/// What stands before the path of a pattern for URLs.
fn before_path(url: &str) -> &str {
    let from = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(from..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| from + at);
    url.get(..end).unwrap_or(url)
}

/// Whether a pattern fits whatever another one fits.
fn widens(key: &str, wide: &str, narrow: &str) -> bool {
    let plain = |text: &str| !text.contains(['*', '?', '{']);
    match key {
        "tool" | "principal" | "target" | "finding" => {
            plain(narrow) && Glob::exact_case(wide).matches(narrow)
        }
        "host" => wide.strip_prefix("*.").is_some_and(|suffix| {
            let rest = narrow.strip_suffix(suffix);
            rest.is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        }),
        "url" => {
            let whole_host = wide.strip_suffix("**").filter(|host| host.ends_with('/') && plain(host));
            matches!(wide, "*" | "**")
                || whole_host.is_some_and(|host| host.matches('/').count() == 1 && narrow.starts_with(host))
        }
        "path" => {
            let below = wide.strip_suffix("**").filter(|place| place.ends_with('/') && plain(place));
            below.is_some_and(|place| narrow.starts_with(place))
        }
        _ => false,
    }
}

/// A warning for each of `rules` that another shadows. `about` are their conditions, in the same order.
pub(super) fn warnings(rules: &[Rule], about: &[About]) -> Vec<Diagnostic> {
    let mut keyed: HashMap<(&str, String), Vec<usize>> = HashMap::new();
    let mut others = Vec::new();
    for (at, own) in about.iter().enumerate() {
        match own.keys() {
            Some(keys) => keys.into_iter().for_each(|key| keyed.entry(key).or_default().push(at)),
            None => others.push(at),
        }
    }
    let mut found = Vec::new();
    for (at, (rule, own)) in rules.iter().zip(about).enumerate() {
        let near = near(own).into_iter().filter_map(|key| keyed.get(&key));
        let near = near.flat_map(|rules| rules.iter().take(MOST)).chain(others.iter().take(MOST));
        let shadow = near.copied().filter(|other| *other != at).find_map(|other| {
            let (wide, by) = (about.get(other)?, rules.get(other)?);
            let shadows = outweighs(by, rule) && wide.covers(own);
            // Of two that say the same the later one is told.
            let mutual = || outweighs(rule, by) && own.covers(wide);
            (shadows && (other < at || !mutual())).then_some(by)
        });
        found.extend(shadow.map(|by| warning(rule, by)));
    }
    found
}

/// The keys under which rules may be found that cover this one.
fn near(about: &About) -> Vec<(&'static str, String)> {
    let first = |key: &str| about.values(key).and_then(<[String]>::first).map(|value| value.to_lowercase());
    let mut keys: Vec<(&'static str, String)> =
        first("tool").map(|tool| ("tool", tool)).into_iter().collect();
    let url = about.values("url").and_then(<[String]>::first);
    keys.extend(url.map(|url| ("url", before_path(url).to_owned())));
    let host = first("host");
    let mut rest = host.as_deref().map(|host| host.trim_start_matches("*."));
    while let Some(suffix) = rest {
        keys.push(("host", suffix.to_owned()));
        rest = suffix.split_once('.').map(|(_, parent)| parent);
    }
    keys
}

/// Whether `rule` changes nothing where `by` applies as well.
fn outweighs(by: &Rule, rule: &Rule) -> bool {
    if !by.verb.judges() || !rule.verb.judges() || by.expires.is_some() {
        return false;
    }
    // What a place is to a rule depends on whose rule it is.
    if !by.matcher.destination.is_empty() && by.level != rule.level {
        return false;
    }
    match (by.verb, rule.verb) {
        (Verb::Allow, Verb::Allow) => by.level == rule.level,
        (Verb::Allow, _) => false,
        (by, Verb::Allow) => by.verdict() >= Verdict::Ask,
        (by, rule) => by.verdict() >= rule.verdict(),
    }
}

fn warning(rule: &Rule, by: &Rule) -> Diagnostic {
    let message = format!(
        "the rule \"{}\" is shadowed: \"{}\" ({}:{}) applies wherever it does, and is at least as strict",
        rule.name, by.name, by.place.origin, by.place.line
    );
    let warning = Diagnostic::warning(rule.place.span, message).in_origin(&*rule.place.origin);
    warning.advise("remove one of the two, or make the wider one narrower")
}
