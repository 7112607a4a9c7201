//! From YAML to rules.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use std::sync::Arc;

use super::assets::Assets;
use super::case::{self, Case};
use super::destinations::{Destinations, NAMES};
use super::layers::{Layer, Level, Setting, mode_word};
use super::named::Named;
use super::prices::{MOST_PRICES, Prices};
use super::request::Zones;
use super::rule::{Place, Rule, Verb};
use super::{Default, Profile, date};
use crate::session::{Millis, Mode};
use crate::syntax::decode::{Fields, suggestion};
use crate::syntax::{Diagnostic, Node, Span, yaml};

mod assets;
pub(super) use assets::{MOST_ENTRIES, classes as asset_classes, replaceable as replaceable_classes};

mod destinations;
pub(super) use destinations::MOST_PLACES;

mod limit;
use limit::Limits;

mod matcher;

mod shadow;
use shadow::About;

/// The most rules in one policy.
pub(super) const MOST_RULES: usize = 10_000;

/// The most tests in one file.
pub(super) const MOST_TESTS: usize = 10_000;

/// The longest name, in characters.
pub(super) const LONGEST_NAME: usize = 128;

/// The longest reason, in characters.
const LONGEST_REASON: usize = 512;

/// The keys of a limit that say how much of what, and whether that is money, for the schema.
pub(super) fn rates() -> impl Iterator<Item = (&'static str, bool)> {
    limit::rates()
}

/// What all sources said so far.
pub(super) struct Parsed {
    /// Of each level, if it says one.
    pub(super) defaults: [Option<Default>; 3],
    pub(super) settings: Vec<Setting>,
    pub(super) mode: Option<Mode>,
    pub(super) profile: Option<Profile>,
    pub(super) assets: Assets,
    /// Where a level says what takes the place of a class.
    lowering: Vec<(Level, Place)>,
    pub(super) destinations: Destinations,
    pub(super) rules: Vec<Rule>,
    /// What each of them is about, as written.
    about: Vec<About>,
    pub(super) cases: Vec<Case>,
    pub(super) faults: Vec<Diagnostic>,
    pub(super) prices: Prices,
    names: HashMap<String, Place>,
    limits: Limits,
    zones: Zones,
}

/// The source being read.
struct Reading {
    level: Level,
    included: bool,
    gathered: bool,
    origin: Arc<str>,
    /// Where each line begins.
    lines: Vec<u32>,
}

impl Reading {
    fn of(layer: &Layer<'_>) -> Self {
        let source = layer.source;
        let ends = source.text.bytes().zip(1u32..).filter(|(byte, _)| *byte == b'\n').map(|(_, at)| at);
        Self {
            level: layer.level,
            included: layer.included,
            gathered: layer.gathered,
            origin: source.name.into(),
            lines: std::iter::once(0).chain(ends).collect(),
        }
    }

    fn place(&self, span: Span) -> Place {
        let line = self.lines.partition_point(|start| *start <= span.start);
        Place { origin: Arc::clone(&self.origin), line: u32::try_from(line).unwrap_or(u32::MAX), span }
    }
}

impl Parsed {
    pub(super) fn new() -> Self {
        Self {
            defaults: [None; 3],
            settings: Vec::new(),
            mode: None,
            profile: None,
            assets: Assets::default(),
            lowering: Vec::new(),
            destinations: Destinations::default(),
            rules: Vec::new(),
            about: Vec::new(),
            cases: Vec::new(),
            faults: Vec::new(),
            prices: Prices::default(),
            names: HashMap::new(),
            limits: Limits::default(),
            zones: Zones::default(),
        }
    }

    pub(super) fn add(&mut self, layer: &Layer<'_>) {
        let source = layer.source;
        let (node, mut faults) = yaml::read(source.text.as_bytes());
        if let Some(node) = node {
            let unread: Vec<Span> = faults.iter().map(|fault| fault.span).collect();
            let mut found = Vec::new();
            self.document(&node, &Reading::of(layer), &mut found);
            // What stands for a value that was a fault already is not to be told again.
            faults.extend(found.into_iter().filter(|fault| !unread.contains(&fault.span)));
        }
        faults.sort_by_key(|fault| fault.span);
        self.faults.extend(faults.into_iter().map(|fault| fault.in_origin(source.name)));
    }

    /// What can be said only when every source is read: a test may name a rule of another file.
    pub(super) fn finish(&mut self) {
        for rule in self.rules.iter().filter(|rule| rule.verb == Verb::Allow) {
            if self.defaults.get(rule.level as usize) != Some(&Some(Default::Deny)) {
                let message = "`allow` has nothing to answer: the default is `allow`";
                let warning = Diagnostic::warning(rule.place.span, message).in_origin(&*rule.place.origin);
                self.faults.push(warning.advise("it lifts no finding; remove it, or write `default: deny`"));
            }
        }
        if let (Some(rule), true) =
            (self.rules.iter().find(|rule| rule.counts_money()), self.prices.is_empty())
        {
            let message = "a limit in money, and no `prices`: every request to a model is blocked";
            let warning = Diagnostic::warning(rule.place.span, message).in_origin(&*rule.place.origin);
            self.faults.push(warning.advise("add `prices:` with a `model`, `input` and `output` each"));
        }
        self.faults.extend(self.weakening());
        self.faults.extend(shadow::warnings(&self.rules, &self.about));
        for case in &self.cases {
            for name in case.rules.iter().flatten() {
                if name != "default" && !NAMES.contains(&name.as_str()) && !self.names.contains_key(name) {
                    let known = self.names.keys().map(String::as_str);
                    let advice =
                        suggestion(name, known).unwrap_or_else(|| "name a rule, or `default`".into());
                    let fault = Diagnostic::error(
                        case.span,
                        format!("the test \"{}\" expects a rule `{name}`, and there is none", case.name),
                    );
                    self.faults.push(fault.advise(advice).in_origin(&*case.origin));
                }
            }
        }
    }

    /// No level weakens another: what takes the place of a class would, for the rules of a level above.
    fn weakening(&self) -> Vec<Diagnostic> {
        let above = |level: Level| self.defaults.iter().take(level as usize).any(Option::is_some);
        let lower = self.lowering.iter().filter(|(level, _)| above(*level));
        let fault = |(level, place): &(Level, Place)| {
            let message = format!("`instead_of` of the {} would weaken the rules above it", level.as_str());
            let fault = Diagnostic::error(place.span, message).in_origin(&*place.origin);
            fault.advise("let the highest level that has a policy say it")
        };
        lower.map(fault).collect()
    }

    fn document(&mut self, node: &Node, text: &Reading, faults: &mut Vec<Diagnostic>) {
        let mut fields = Fields::of(node, "a policy", faults);
        fields.maybe_whole("version", 1..=1);
        if let (Some(_), Some(member)) = (fields.maybe_text("agent"), node.member("agent")) {
            let warning = Diagnostic::warning(
                member.key_span,
                "`agent` restricts nothing: the rules are for every agent",
            );
            fields.faults().push(warning.advise("remove it; whom a rule is about is said with `principal`"));
        }
        let included = fields.texts("include");
        if let (Some((_, span)), false) = (included.first(), text.gathered) {
            fields.fault(*span, "what it includes was not read", "check the policy with the files beside it");
        }
        self.general(node, text, &mut fields);
        if let Some(given) = fields.maybe("destinations") {
            destinations::read(given, text, &mut self.destinations, &mut self.settings, fields.faults());
        }
        let assets = fields.list("assets");
        if assets.len() > MOST_ENTRIES {
            let span = node.get("assets").map_or(node.span, |node| node.span);
            fields.fault(
                span,
                format!("more than {MOST_ENTRIES} entries"),
                "put patterns of one class together",
            );
        }
        for entry in assets.iter().take(MOST_ENTRIES) {
            let lowers = assets::read(entry, text, &mut self.assets, &mut self.settings, fields.faults());
            self.lowering.extend(lowers.map(|span| (text.level, text.place(span))));
        }
        if !text.included {
            fields.need("rules");
        }
        let rules = fields.list("rules");
        let tests = fields.list("tests");
        let prices = fields.list("prices");
        if self.rules.len() + rules.len() > MOST_RULES {
            let span = node.get("rules").map_or(node.span, |node| node.span);
            fields.fault(span, format!("more than {MOST_RULES} rules"), "");
        } else {
            for rule in rules {
                let rule = self.rule(rule, text, fields.faults());
                if let Some((rule, about)) = rule {
                    self.rules.push(rule);
                    self.about.push(about);
                }
            }
        }
        if prices.len() > MOST_PRICES {
            let span = node.get("prices").map_or(node.span, |node| node.span);
            fields.fault(span, format!("more than {MOST_PRICES} prices"), "use patterns: `claude-*`");
        } else {
            let place = |span| text.place(span);
            self.prices.read(prices, (text.level, &place), fields.faults());
        }
        if tests.len() > MOST_TESTS {
            let span = node.get("tests").map_or(node.span, |node| node.span);
            fields.fault(span, format!("more than {MOST_TESTS} tests"), "");
        } else {
            self.cases
                .extend(tests.iter().filter_map(|test| case::read(test, &text.origin, fields.faults())));
        }
        fields.finish();
    }

    /// What a file says besides rules. An included one need not say anything; of any other, what it does not say
    /// is the strict choice or a fault.
    fn general(&mut self, node: &Node, text: &Reading, fields: &mut Fields<'_, '_>) {
        let words = [Default::Allow, Default::Deny].map(|default| (default.as_str(), default));
        let default = if text.included {
            fields.maybe_choice("default", &words)
        } else {
            fields.choice("default", &words)
        };
        let words = [Mode::Block, Mode::Monitor].map(|mode| (mode_word(mode), mode));
        let mode = fields.maybe_choice("mode", &words);
        let words = [Profile::Balanced, Profile::Strict].map(|profile| (profile.as_str(), profile));
        let profile = fields.maybe_choice("profile", &words);
        let of_level = self.defaults.get_mut(text.level as usize);
        of_level.into_iter().for_each(|of_level| *of_level = (*of_level).max(default));
        let omitted = (!text.included).then_some(Mode::Block);
        self.mode = self.mode.max(mode.or(omitted));
        self.profile = self.profile.max(profile);
        let said = [
            ("default", default.map(Default::as_str)),
            ("mode", mode.map(mode_word)),
            ("profile", profile.map(Profile::as_str)),
        ];
        for (key, value) in said {
            if let (Some(value), Some(member)) = (value, node.member(key)) {
                self.settings.push(Setting {
                    level: text.level,
                    place: text.place(member.span()),
                    key,
                    value: value.into(),
                });
            }
        }
    }

    fn rule(&mut self, node: &Node, text: &Reading, faults: &mut Vec<Diagnostic>) -> Option<(Rule, About)> {
        let mut fields = Fields::of(node, "a rule", faults);
        let name = fields.text("name");
        let reason = fields.maybe_text("reason");
        let expires = fields.maybe_text("expires").map(|text| expiry(text, node, &mut fields));
        let words = Verb::ALL.map(Verb::as_str);
        let given = fields.present(&words);
        let matchers: Vec<_> =
            Verb::ALL.iter().filter_map(|verb| Some((*verb, fields.maybe(verb.as_str())?))).collect();
        if node.is_object() && given.len() != 1 {
            let what = if given.is_empty() { "no verb" } else { "more than one verb" };
            let span = given.get(1).map_or(node.span, |(_, span)| *span);
            fields.fault(
                span,
                format!("a rule with {what}"),
                format!("give it exactly one of: {}", words.join(", ")),
            );
        } else if let (Some((word, span)), true) = (given.first(), matchers.is_empty()) {
            fields.fault(*span, format!("`{word}` says nothing"), "write `{}` if it is about everything");
        }
        // They are read with the matcher.
        matcher::keys_beside().for_each(|key| {
            fields.maybe(key);
        });
        fields.finish();
        if let (Some(name), Some(at)) = (name, node.get("name")) {
            self.check_name(name, text.place(at.span), faults);
        }
        if let (Some(reason), Some(at)) = (reason, node.get("reason")) {
            check_reason(reason, at.span, faults);
        }
        let (verb, matcher_node) = matchers.first().copied()?;
        check_verb(verb, node, faults);
        // Every matcher is read, so that the faults of a second one are told as well.
        let read = matchers
            .iter()
            .map(|(verb, matcher)| matcher::read(*verb, matcher, node, &mut self.zones, faults));
        let read: Vec<_> = read.collect();
        let (mut matcher, limit) = read.into_iter().next()?;
        let name = name?;
        matcher.level = text.level;
        let suppressed =
            if verb == Verb::Suppress { std::mem::take(&mut matcher.finding) } else { Vec::new() };
        let rule = Rule {
            name: name.to_owned(),
            verb,
            matcher,
            reason: reason.map(str::to_owned),
            expires: expires.flatten(),
            limit: limit.and_then(|raw| self.limits.check(name, raw, (matcher_node, node), faults)),
            suppressed,
            named: named(matcher_node),
            level: text.level,
            place: text.place(node.span),
        };
        Some((rule, About::of(matcher_node, node)))
    }

    fn check_name(&mut self, name: &str, place: Place, faults: &mut Vec<Diagnostic>) {
        let span = place.span;
        if name.chars().count() > LONGEST_NAME || name.contains(char::is_control) {
            faults.push(Diagnostic::error(
                span,
                format!("a name has at most {LONGEST_NAME} printable characters"),
            ));
        }
        if NAMES.contains(&name) {
            let message = format!("`{name}` is what reasons of lists are called");
            faults.push(Diagnostic::error(span, message).advise("give the rule another name"));
        }
        match self.names.entry(name.to_owned()) {
            Entry::Vacant(free) => {
                free.insert(place);
            }
            Entry::Occupied(taken) => {
                let Place { origin, line, .. } = taken.get();
                let message = format!("a second rule of this name; the first is in {origin}, line {line}");
                faults.push(Diagnostic::error(span, message).advise("names tell rules apart in receipts"));
            }
        }
    }
}

/// The findings that a matcher names.
fn named(matcher: &Node) -> Vec<Named> {
    let given = matcher.some("finding").map_or(&[][..], |given| match given.elements() {
        [] => std::slice::from_ref(given),
        list => list,
    });
    given.iter().filter_map(|node| Some(Named { pattern: node.as_str()?.into(), span: node.span })).collect()
}

/// When a rule ends. One without a time that can be read never began.
fn expiry(text: &str, node: &Node, fields: &mut Fields<'_, '_>) -> Option<Millis> {
    let end = date::end_of(text);
    if end.is_none() {
        let span = node.get("expires").map_or(node.span, |at| at.span);
        fields.fault(
            span,
            "`expires` is no date",
            "write a day as `2026-12-31` or a time as `2026-12-31T18:00:00Z`",
        );
    }
    end
}

fn check_reason(reason: &str, span: Span, faults: &mut Vec<Diagnostic>) {
    if reason.chars().count() > LONGEST_REASON || reason.contains(char::is_control) {
        let message = format!("a reason has at most {LONGEST_REASON} printable characters");
        faults.push(Diagnostic::error(span, message).advise("write it in one line"));
    }
}

/// What a verb needs beside its matcher, and what it must not have.
fn check_verb(verb: Verb, node: &Node, faults: &mut Vec<Diagnostic>) {
    if let (true, Some(member)) = (verb.restricts(), node.member("expires")) {
        let message = format!("`{}` does not expire: what restricts does not end by itself", verb.as_str());
        let advice = "remove `expires`, and the rule when its time has come";
        faults.push(Diagnostic::error(member.key_span, message).advise(advice));
    }
    if verb == Verb::Suppress {
        for (key, advice) in [
            ("reason", "say why, for whoever reads it later"),
            ("expires", "write a day: `expires: 2026-12-31`"),
        ] {
            if node.get(key).is_none() {
                let message = format!(
                    "`suppress` without {}",
                    if key == "reason" { "a `reason`" } else { "an `expires`" }
                );
                faults.push(Diagnostic::error(node.span, message).advise(advice));
            }
        }
    }
}
