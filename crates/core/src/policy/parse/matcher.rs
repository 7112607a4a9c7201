//! From YAML to a matcher. What could match nothing is a fault: a rule that never speaks protects nobody.

use super::super::layers::Level;
use super::super::range::Range;
use super::super::request::{self, Conditions, RequestMatcher, Zones};
use super::super::rule::{Direction, Extent, HostPattern, Matcher, PathPattern, Verb};
use super::super::url::UrlPattern;
use super::limit::RawLimit;
use crate::action::{AssetClass, Capability, Door, Source};
use crate::detect::destination::{Class, Classes};
use crate::detect::glob::{Glob, folded};
use crate::syntax::decode::Fields;
use crate::syntax::{Diagnostic, Node, Span};
use crate::url::{Host, host_of};

/// The longest pattern, in bytes.
pub(super) const LONGEST_PATTERN: usize = 1024;

/// The most values in one list.
const MOST_VALUES: usize = 1000;

const DOORS: [(&str, Door); 4] = [
    (Door::Model.as_str(), Door::Model),
    (Door::Tools.as_str(), Door::Tools),
    (Door::Egress.as_str(), Door::Egress),
    (Door::Library.as_str(), Door::Library),
];

/// What no `suppress` is about: reasons that no detector gives.
const NO_DETECTORS: [&str; 6] = ["floor", "policy", "source", "coverage", "session", "budget"];

/// Reads the matcher of a rule with `verb`, and what a limit has beside it.
pub(super) fn read(
    verb: Verb,
    node: &Node,
    rule: &Node,
    zones: &mut Zones,
    faults: &mut Vec<Diagnostic>,
) -> (Matcher, Option<RawLimit>) {
    let beside = Beside::read(rule, node, zones, faults);
    let what = if verb == Verb::Limit { "a limit" } else { "a matcher" };
    let mut fields = Fields::of(node, what, faults);
    let matcher = conditions(verb, &mut fields, beside, zones);
    let limit = if verb == Verb::Limit { RawLimit::read(&mut fields) } else { None };
    if verb == Verb::Suppress && node.is_object() {
        check_suppress(node, &mut fields);
    }
    fields.finish();
    (matcher, limit)
}

/// `suppress` names rules of detectors and where, never everything.
fn check_suppress(node: &Node, fields: &mut Fields<'_, '_>) {
    let span = node.span;
    let finding = node.get("finding");
    if finding.is_none() {
        fields.fault(
            span,
            "`suppress` names no detector rule",
            "add `finding:` with the rule's id, as the receipt has it",
        );
    }
    if node.members().len() < 2 {
        let advice = "add a further condition: `tool`, `path`, `host`, `principal`, …";
        fields.fault(span, "`suppress` without a place where it holds", advice);
    }
    let given = finding.into_iter().flat_map(|node| match node.elements() {
        [] => std::slice::from_ref(node),
        nodes => nodes,
    });
    for (text, span) in given.filter_map(|node| Some((node.as_str()?, node.span))) {
        if text.chars().all(|c| matches!(c, '*' | '?' | '.')) {
            fields.fault(
                span,
                "`suppress` of whatever is found",
                "name rules or categories: `cred.file-read`, `secrets.*`",
            );
        }
        let layer = text.split('.').next().unwrap_or_default();
        if layer == "floor" {
            fields.fault(span, "the floor cannot be suppressed: no policy lifts it", "remove it");
        } else if NO_DETECTORS.contains(&layer) {
            let advice =
                "only what detectors find can be suppressed; change the rule, profile or default itself";
            fields.fault(span, format!("`{layer}` is no detector"), advice);
        }
    }
}

/// The conditions that may stand beside the verb: Checkrd's own sample has `body` there.
struct Beside {
    url: Vec<UrlPattern>,
    request: RequestMatcher,
}

/// What may stand beside the verb.
pub(super) fn keys_beside() -> impl Iterator<Item = &'static str> {
    std::iter::once("url").chain(request::KEYS)
}

impl Beside {
    fn read(rule: &Node, matcher: &Node, zones: &mut Zones, faults: &mut Vec<Diagnostic>) -> Self {
        for key in keys_beside() {
            if let (Some(beside), Some(_)) = (rule.member(key), matcher.member(key)) {
                let message = format!("`{key}` stands both beside the verb and in its matcher");
                faults.push(Diagnostic::error(beside.key_span, message).advise("keep one of them"));
            }
        }
        let mut fields = Fields::of(rule, "a rule", faults);
        Self { url: urls(&mut fields), request: RequestMatcher::read(&mut fields, zones) }
    }
}

/// The conditions among `fields`, and those `beside` them.
fn conditions(verb: Verb, fields: &mut Fields<'_, '_>, beside: Beside, zones: &mut Zones) -> Matcher {
    let glob = if verb.restricts() { Glob::any_case } else { Glob::exact_case };
    // `deny` of the tool `*` is about `a/b` too.
    let name = if verb.restricts() { Glob::any_name } else { Glob::exact_case };
    let names = |found: Vec<(&str, Span)>| found.iter().map(|(text, _)| name(text)).collect::<Vec<_>>();
    let has_wildcard = |text: &str| text.contains(['*', '?']);
    let tools = patterns(fields, "tool");
    let matcher = Matcher {
        tool_names: (!tools.is_empty() && !tools.iter().any(|(tool, _)| has_wildcard(tool)))
            .then(|| tools.iter().map(|(tool, _)| (*tool).to_owned()).collect()),
        tool: names(tools),
        capability: fields.choices("capability", &Capability::ALL.map(|word| (word.as_str(), word))),
        asset: fields.choices("asset", &AssetClass::ALL.map(|word| (word.as_str(), word))),
        path: paths(fields, glob),
        host: hosts(fields),
        url: urls(fields).into_iter().chain(beside.url).collect(),
        target: names(patterns(fields, "target")),
        source: fields.choices("source", &Source::ALL.map(|word| (word.as_str(), word))),
        tainted: fields.maybe_bool("tainted"),
        finding: names(patterns(fields, "finding")),
        direction: fields.choices("direction", &Direction::WORDS),
        door: fields.choices("door", &DOORS),
        coverage: fields.choices("coverage", &Extent::WORDS),
        principal: names(patterns(fields, "principal")),
        request: RequestMatcher::read(fields, zones).and(beside.request),
        arguments: Conditions::maybe("arguments", fields),
        destination: fields
            .choices("destination", &Class::ALL.map(|class| (class.as_str(), Classes::of(class))))
            .into_iter()
            .fold(Classes::NONE, Classes::or),
        level: Level::default(),
    };
    check_meeting(&matcher, fields);
    if matcher.request.asks_for_request() && !(matcher.path.is_empty() && matcher.target.is_empty()) {
        let message = "what a call reads or runs and what it sends are two effects: no call fulfils both";
        let warning = Diagnostic::warning(fields.span(), message);
        fields.faults().push(warning.advise("write two rules, or leave out `method`, `headers` and `body`"));
    }
    matcher
}

/// Texts that are patterns, each with its place.
fn patterns<'a>(fields: &mut Fields<'a, '_>, key: &'static str) -> Vec<(&'a str, Span)> {
    let texts = fields.texts(key);
    if let Some((_, span)) = texts.get(MOST_VALUES) {
        fields.fault(*span, format!("more than {MOST_VALUES} values of `{key}`"), "write several rules");
    }
    for (text, span) in &texts {
        if text.len() > LONGEST_PATTERN {
            fields.fault(*span, format!("a pattern longer than {LONGEST_PATTERN} bytes"), "");
        }
    }
    texts
}

fn paths(fields: &mut Fields<'_, '_>, glob: fn(&str) -> Glob) -> Vec<PathPattern> {
    let paths = patterns(fields, "path");
    for (path, span) in &paths {
        if !path.starts_with(['/', '~', '*'])
            || path.contains("//")
            || path.split('/').any(|part| part == "..")
        {
            let advice = "begin with `/`, `~/` or `**/`, without `..`";
            fields.fault(*span, "a path pattern that could match nothing", advice);
        }
    }
    let pattern = |(path, _): &(&str, Span)| PathPattern {
        glob: glob(path),
        literal: path.chars().take_while(|c| !matches!(c, '*' | '?')).map(folded).collect(),
        is_plain: !path.contains(['*', '?']),
        anywhere: path.strip_prefix("**/").map(glob),
        directory: path.strip_suffix("/**").map(glob),
    };
    paths.iter().map(pattern).collect()
}

fn urls(fields: &mut Fields<'_, '_>) -> Vec<UrlPattern> {
    let mut found = Vec::new();
    for (text, span) in patterns(fields, "url") {
        match UrlPattern::compile(text) {
            Ok(patterns) => found.extend(patterns),
            Err(wrong) => fields.fault(span, wrong.message, wrong.advice),
        }
    }
    found
}

fn hosts(fields: &mut Fields<'_, '_>) -> Vec<HostPattern> {
    let mut found = Vec::new();
    for (text, span) in patterns(fields, "host") {
        match host_pattern(text) {
            Ok(pattern) => found.push(pattern),
            Err((message, advice)) => fields.fault(span, message, advice),
        }
    }
    found
}

/// A host pattern as it is compared, or why it could never match.
pub(super) fn host_pattern(text: &str) -> Result<HostPattern, (String, String)> {
    let refuse = |message: &str, advice: &str| Err((message.to_owned(), advice.to_owned()));
    if text.contains("://") {
        return refuse("a host pattern with a scheme", "write the host alone: `api.example.com`");
    }
    if let Some((address, _)) = text.split_once('/') {
        let is_address = matches!(host_of(address.trim_matches(['[', ']'])), Some(Host::Ip(_)));
        if is_address {
            return Range::parse(text).map(HostPattern::Range);
        }
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
        Some(Host::Name(name)) if below => Ok(HostPattern::Named(format!("*.{name}"))),
        Some(Host::Ip(_)) if below => refuse("nothing is below an address", "remove `*.`"),
        Some(host) => Ok(HostPattern::Named(host.to_string())),
        None => refuse("not a host", "write a name or an address, without port and user"),
    }
}

/// Conditions on one effect that no effect fulfils together.
fn check_meeting(matcher: &Matcher, fields: &mut Fields<'_, '_>) {
    let span = fields.span();
    let mut dead = |what: &str, advice: &str| {
        fields.fault(span, format!("this rule can never match: {what}"), advice);
    };
    let leads_somewhere = !(matcher.host.is_empty() && matcher.url.is_empty());
    if !matcher.path.is_empty() && (leads_somewhere || !matcher.destination.is_empty()) {
        dead("an effect is about a path or about a host, never both", "write two rules");
    }
    if !matcher.target.is_empty() && (leads_somewhere || !matcher.path.is_empty()) {
        dead("`target` is what is neither a path nor a host", "write two rules");
    }
    let of_hosts = |asset: &AssetClass| {
        use AssetClass::{CloudMetadata, Doorward, External, Internal, Unknown};
        matches!(asset, CloudMetadata | Doorward | External | Internal | Unknown)
    };
    if leads_somewhere && !matcher.asset.is_empty() && !matcher.asset.iter().any(of_hosts) {
        dead("none of these assets is a host", "leave `asset` out, or ask for `path`");
    }
    let hosts = matcher.host.iter().filter_map(|pattern| match pattern {
        HostPattern::Named(name) => Some(name.as_str()),
        HostPattern::Range(_) => None,
    });
    let named = hosts.clone().count() == matcher.host.len();
    if named && !matcher.host.is_empty() && !matcher.url.is_empty() {
        let meet = |url: &UrlPattern| {
            url.host().is_none_or(|of_url| hosts.clone().any(|host| overlap(host, of_url)))
        };
        if !matcher.url.iter().any(meet) {
            dead("none of its URLs is at one of its hosts", "give `url` alone; it names the host");
        }
    }
}

/// Whether there is a host that fits both patterns, each a name or `*.suffix`.
fn overlap(a: &str, b: &str) -> bool {
    let below = |inner: &str, outer: &str| inner.strip_suffix(outer).is_some_and(|rest| rest.ends_with('.'));
    match (a.strip_prefix("*."), b.strip_prefix("*.")) {
        (None, None) => a == b,
        (Some(suffix), None) => below(b, suffix),
        (None, Some(suffix)) => below(a, suffix),
        (Some(a), Some(b)) => a == b || below(a, b) || below(b, a),
    }
}
