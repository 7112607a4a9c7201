//! From YAML to rules.

use std::collections::HashMap;

use super::case::{self, Case};
use super::url::UrlPattern;
use super::{Default, PathPattern, Profile, Rule, Verb};
use crate::action::{AssetClass, Capability};
use crate::detect::glob::Glob;
use crate::session::Mode;
use crate::syntax::decode::{Fields, suggestion};
use crate::syntax::{Diagnostic, Node, Source, Span, yaml};
use crate::url::{Host, host_of};

/// The most rules in one policy.
const MOST_RULES: usize = 10_000;

/// The most tests in one file.
const MOST_TESTS: usize = 10_000;

/// The longest name, in characters.
pub(super) const LONGEST_NAME: usize = 128;

/// The longest pattern, in bytes.
const LONGEST_PATTERN: usize = 1024;

const VERBS: [(&str, Verb); 4] =
    [("allow", Verb::Allow), ("deny", Verb::Deny), ("ask", Verb::Ask), ("audit", Verb::Audit)];

/// What all sources said so far.
pub(super) struct Parsed {
    pub(super) default: Option<Default>,
    pub(super) mode: Option<Mode>,
    pub(super) profile: Option<Profile>,
    pub(super) rules: Vec<Rule>,
    pub(super) cases: Vec<Case>,
    pub(super) faults: Vec<Diagnostic>,
    names: HashMap<String, String>,
}

impl Parsed {
    pub(super) fn new() -> Self {
        Self {
            default: None,
            mode: None,
            profile: None,
            rules: Vec::new(),
            cases: Vec::new(),
            faults: Vec::new(),
            names: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, source: &Source<'_>) {
        let mut faults = Vec::new();
        match yaml::parse(source.text.as_bytes()) {
            Ok(node) => self.document(&node, source.name, &mut faults),
            Err(found) => faults = found,
        }
        faults.sort_by_key(|fault| fault.span);
        self.faults.extend(faults.into_iter().map(|fault| fault.in_origin(source.name)));
    }

    /// What can be said only when every source is read: a test may name a rule of another file.
    pub(super) fn finish(&mut self) {
        for case in &self.cases {
            for name in case.rules.iter().flatten() {
                if name != "default" && !self.names.contains_key(name) {
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

    fn document(&mut self, node: &Node, origin: &str, faults: &mut Vec<Diagnostic>) {
        let mut fields = Fields::of(node, "a policy", faults);
        fields.whole("version", 1..=1);
        let default = fields.choice("default", &[("allow", Default::Allow), ("deny", Default::Deny)]);
        let mode = fields.maybe_choice("mode", &[("enforce", Mode::Block), ("dry_run", Mode::Monitor)]);
        let profiles = [("balanced", Profile::Balanced), ("strict", Profile::Strict)];
        let profile = fields.maybe_choice("profile", &profiles);
        fields.need("rules");
        let rules = fields.list("rules");
        let tests = fields.list("tests");
        self.default = self.default.max(default);
        // A file that does not say is a file that enforces.
        self.mode = self.mode.max(Some(mode.unwrap_or(Mode::Block)));
        self.profile = self.profile.max(profile);
        if self.rules.len() + rules.len() > MOST_RULES {
            let span = node.get("rules").map_or(node.span, |node| node.span);
            fields.fault(span, format!("more than {MOST_RULES} rules"), "");
        } else {
            for rule in rules {
                let rule = self.rule(rule, origin, default, fields.faults());
                self.rules.extend(rule);
            }
        }
        if tests.len() > MOST_TESTS {
            let span = node.get("tests").map_or(node.span, |node| node.span);
            fields.fault(span, format!("more than {MOST_TESTS} tests"), "");
        } else {
            self.cases.extend(tests.iter().filter_map(|test| case::read(test, origin, fields.faults())));
        }
        fields.finish();
    }

    fn rule(
        &mut self,
        node: &Node,
        origin: &str,
        default: Option<Default>,
        faults: &mut Vec<Diagnostic>,
    ) -> Option<Rule> {
        let mut fields = Fields::of(node, "a rule", faults);
        let name = fields.text("name");
        let given = fields.present(&VERBS.map(|(word, _)| word));
        let matchers: Vec<_> =
            VERBS.iter().filter_map(|(word, verb)| Some((*verb, fields.maybe(word)?))).collect();
        if node.is_object() && given.len() != 1 {
            let words = VERBS.map(|(word, _)| word).join(", ");
            let what = if given.is_empty() { "no verb" } else { "more than one verb" };
            let span = given.get(1).map_or(node.span, |(_, span)| *span);
            fields.fault(span, format!("a rule with {what}"), format!("give it exactly one of: {words}"));
        } else if let (Some((word, span)), true) = (given.first(), matchers.is_empty()) {
            fields.fault(*span, format!("`{word}` says nothing"), "write `{}` if it is about everything");
        }
        fields.finish();
        if let (Some(name), Some(at)) = (name, node.get("name")) {
            self.check_name(name, at.span, origin, faults);
        }
        let (verb, _) = matchers.first().copied()?;
        if verb == Verb::Allow && default == Some(Default::Allow) {
            faults.push(
                Diagnostic::warning(node.span, "`allow` has nothing to answer: the default is `allow`")
                    .advise("it lifts no finding; remove it, or write `default: deny`"),
            );
        }
        // Every matcher is read, so that the faults of a second one are told as well.
        let rules =
            matchers.iter().map(|(verb, node)| matcher_of(name.unwrap_or_default(), *verb, node, faults));
        let rule = rules.collect::<Vec<_>>().into_iter().next()?;
        name.map(|_| rule)
    }

    fn check_name(&mut self, name: &str, span: Span, origin: &str, faults: &mut Vec<Diagnostic>) {
        if name.chars().count() > LONGEST_NAME || name.contains(char::is_control) {
            faults.push(Diagnostic::error(
                span,
                format!("a name has at most {LONGEST_NAME} printable characters"),
            ));
        }
        if let Some(first) = self.names.insert(name.to_owned(), origin.to_owned()) {
            let message = format!("a second rule of this name; the first is in {first}");
            faults.push(Diagnostic::error(span, message).advise("names tell rules apart in receipts"));
        }
    }
}

fn matcher_of(name: &str, verb: Verb, node: &Node, faults: &mut Vec<Diagnostic>) -> Rule {
    let capabilities = Capability::ALL.map(|capability| (capability.as_str(), capability));
    let assets = AssetClass::ALL.map(|asset| (asset.as_str(), asset));
    let glob = if verb == Verb::Allow { Glob::exact_case } else { Glob::any_case };
    let mut fields = Fields::of(node, "a matcher", faults);
    let tools = patterns(&mut fields, "tool");
    let capability = fields.choices("capability", &capabilities);
    let asset = fields.choices("asset", &assets);
    let paths = patterns(&mut fields, "path");
    let hosts = patterns(&mut fields, "host");
    let urls = patterns(&mut fields, "url");
    fields.finish();
    let has_wildcard = |text: &str| text.contains(['*', '?']);
    for (path, span) in &paths {
        if !path.starts_with(['/', '~', '*'])
            || path.contains("//")
            || path.split('/').any(|part| part == "..")
        {
            let advice = "begin with `/`, `~/` or `**/`, without `..`";
            faults.push(Diagnostic::error(*span, "a path pattern that could match nothing").advise(advice));
        }
    }
    Rule {
        name: name.to_owned(),
        verb,
        tool: tools.iter().map(|(tool, _)| glob(tool)).collect(),
        tool_names: (!tools.is_empty() && !tools.iter().any(|(tool, _)| has_wildcard(tool)))
            .then(|| tools.iter().map(|(tool, _)| tool.to_lowercase()).collect()),
        capability,
        host: hosts.iter().filter_map(|(text, span)| host_pattern(text, *span, faults)).collect(),
        url: urls.iter().flat_map(|(text, span)| url_patterns(text, *span, faults)).collect(),
        asset,
        path: paths
            .iter()
            .map(|(path, _)| PathPattern {
                glob: glob(path),
                literal: path.split(['*', '?']).next().unwrap_or_default().to_lowercase(),
            })
            .collect(),
    }
}

fn patterns<'a>(fields: &mut Fields<'a, '_>, key: &'static str) -> Vec<(&'a str, Span)> {
    let texts = fields.texts(key);
    for (text, span) in &texts {
        if text.len() > LONGEST_PATTERN {
            fields.fault(*span, format!("a pattern longer than {LONGEST_PATTERN} bytes"), "");
        }
    }
    texts
}

fn url_patterns(text: &str, span: Span, faults: &mut Vec<Diagnostic>) -> Vec<UrlPattern> {
    UrlPattern::compile(text).unwrap_or_else(|wrong| {
        faults.push(Diagnostic::error(span, wrong.message).advise(wrong.advice));
        Vec::new()
    })
}

/// A host pattern as it is compared, or why it could never match.
fn host_pattern(text: &str, span: Span, faults: &mut Vec<Diagnostic>) -> Option<String> {
    let mut refuse = |message: &str, advice: &str| {
        faults.push(Diagnostic::error(span, message).advise(advice));
        None
    };
    if text.contains("://") {
        return refuse("a host pattern with a scheme", "write the host alone: `api.example.com`");
    }
    if text.contains('/') {
        return refuse("a host pattern with a path", "write the host alone: `api.example.com`");
    }
    let (below, name) = match text.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, text),
    };
    if name.contains('*') {
        return refuse("`*` in a host pattern stands only in front, as `*.`", "write `*.example.com`");
    }
    match host_of(name.trim_matches(['[', ']'])) {
        Some(Host::Name(name)) if below => Some(format!("*.{name}")),
        Some(Host::Ip(_)) if below => refuse("nothing is below an address", "remove `*.`"),
        Some(host) => Some(host.to_string()),
        None => refuse("not a host", "write a name or an address, without port and user"),
    }
}
