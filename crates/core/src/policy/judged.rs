//! One action as rules look at it: each condition, and what is known of it.

use std::cell::OnceCell;

use super::destinations::Destinations;
use super::evaluate::Given;
pub(super) use super::index::Known;
use super::request::Field;
use super::rule::{Direction, Extent, Matcher, PathPattern};
use super::truth::Truth;
use crate::action::request::Tree;
use crate::action::{Action, ActionKind, AssetClass, Capability, Effect, PartKind, Source, Target};
use crate::decision::Coverage;
use crate::detect::destination::{Classes, Lead, lead};
use crate::detect::glob::Glob;
use crate::syntax::{Node, json};
use crate::url::{self, Url};

/// An action with what is known of it and what was derived from it.
pub(super) struct Judged<'a> {
    pub(super) action: &'a Action,
    pub(super) given: &'a Given<'a>,
    /// Of each effect, if a rule asks where effects lead.
    pub(super) hosts: Vec<Known>,
    /// Of each effect, if a rule has a pattern for URLs.
    pub(super) urls: Vec<Option<Url>>,
    /// The arguments of a call, read when a rule asks for them; `None` if they cannot be read.
    arguments: OnceCell<Option<Tree>>,
    /// Where each effect leads and what that is by the lists, found out when a rule asks for it.
    ways: OnceCell<Vec<(Lead, Classes)>>,
    destinations: &'a Destinations,
}

impl<'a> Judged<'a> {
    pub(super) fn new(
        action: &'a Action,
        given: &'a Given<'a>,
        destinations: &'a Destinations,
        hosts: bool,
        urls: bool,
    ) -> Self {
        let each = |asked: bool| given.effects.iter().take(if asked { usize::MAX } else { 0 });
        Self {
            action,
            given,
            hosts: each(hosts).map(|effect| reached(action.kind, effect)).collect(),
            urls: each(urls).map(fetched).collect(),
            arguments: OnceCell::new(),
            ways: OnceCell::new(),
            destinations,
        }
    }

    /// Whether a restricting rule with this matcher speaks about the action: some effect fits.
    pub(super) fn some(&self, matcher: &Matcher) -> Truth {
        self.whole(matcher).min_with(|| self.any_effect(matcher))
    }

    /// Whether the matcher covers the whole action: every effect fits. Of a request each effect has a tool of its
    /// own, and is to be covered by itself.
    pub(super) fn all(&self, matcher: &Matcher) -> Truth {
        self.whole(matcher).min_with(|| {
            if self.asks_about_effects(matcher) || self.by_effect(matcher) {
                self.each_effect(matcher).min().unwrap_or(Truth::No)
            } else {
                Truth::Yes
            }
        })
    }

    /// What is not about single effects.
    pub(super) fn whole(&self, matcher: &Matcher) -> Truth {
        self.door(matcher)
            .min_with(|| self.tool(matcher))
            .min_with(|| self.principal(matcher))
            .min_with(|| self.direction(matcher))
            .min_with(|| self.source(matcher))
            .min_with(|| self.tainted(matcher))
            .min_with(|| self.coverage(matcher))
            .min_with(|| self.finding(matcher))
            .min_with(|| self.request(matcher))
            .min_with(|| self.arguments(matcher))
    }

    pub(super) fn tool(&self, matcher: &Matcher) -> Truth {
        if matcher.tool.is_empty() {
            return Truth::Yes;
        }
        match &self.action.tool {
            Some(tool) => matcher.tool.iter().any(|glob| glob.matches(&tool.name)).into(),
            None if self.action.kind == ActionKind::ModelRequest => {
                self.given.effects.iter().any(|effect| by(matcher, effect)).into()
            }
            None => Truth::No,
        }
    }

    /// Whether the effects of this action come from tools of their own, of which the matcher names some.
    fn by_effect(&self, matcher: &Matcher) -> bool {
        self.action.kind == ActionKind::ModelRequest && !matcher.tool.is_empty()
    }

    pub(super) fn door(&self, matcher: &Matcher) -> Truth {
        (matcher.door.is_empty() || matcher.door.contains(&self.action.door)).into()
    }

    pub(super) fn direction(&self, matcher: &Matcher) -> Truth {
        (matcher.direction.is_empty() || matcher.direction.contains(&Direction::of(self.action))).into()
    }

    pub(super) fn coverage(&self, matcher: &Matcher) -> Truth {
        let extent = Extent::of(&self.action.coverage);
        (matcher.coverage.is_empty() || matcher.coverage.contains(&extent)).into()
    }

    pub(super) fn principal(&self, matcher: &Matcher) -> Truth {
        if matcher.principal.is_empty() {
            return Truth::Yes;
        }
        if self.action.agent.is_empty() {
            return Truth::Unknown;
        }
        matcher.principal.iter().any(|glob| glob.matches(&self.action.agent)).into()
    }

    pub(super) fn source(&self, matcher: &Matcher) -> Truth {
        let source = self.action.source;
        if matcher.source.is_empty() || matcher.source.contains(&source) {
            return Truth::Yes;
        }
        Truth::from(source == Source::Unknown).min(Truth::Unknown)
    }

    pub(super) fn tainted(&self, matcher: &Matcher) -> Truth {
        let Some(wanted) = matcher.tainted else { return Truth::Yes };
        let known = self.given.facts.tainted.or(match self.action.source {
            Source::Web | Source::Mcp | Source::Provider => Some(true),
            Source::User | Source::Internal => Some(false),
            Source::Model | Source::LocalFile | Source::Unknown => None,
        });
        known.map_or(Truth::Unknown, |known| (known == wanted).into())
    }

    pub(super) fn finding(&self, matcher: &Matcher) -> Truth {
        if matcher.finding.is_empty() {
            return Truth::Yes;
        }
        let named = |word: &str| matcher.finding.iter().any(|glob| glob.matches(word));
        if self.given.findings.iter().any(|finding| named(&finding.rule) || named(&finding.category)) {
            return Truth::Yes;
        }
        // Blocks that were judged in an earlier turn are not looked at again; that something was found in them
        // is remembered, and not what.
        let earlier = self.given.facts.remembered.iter().flatten().any(|block| block.risk > 0);
        let unseen = matches!(self.action.coverage, Coverage::None(_));
        Truth::from(earlier || unseen).min(Truth::Unknown)
    }

    /// What is known of the conditions on requests and on the time, as far as they are about the whole action.
    fn request(&self, matcher: &Matcher) -> Truth {
        let (request, now) = (self.action.request.as_deref(), self.given.facts.now);
        if self.requests_by_effect(matcher) {
            return matcher.request.time(now);
        }
        match request {
            None if matcher.request.asks_for_request() => matcher.request.of_nobody_knows_what(now),
            request => matcher.request.holds(request, now),
        }
    }

    /// Whether the matcher's conditions on requests are about each effect by itself: a call makes its requests
    /// later and elsewhere, one for each place it reaches, and nobody sees more of them than the effects say.
    pub(super) fn requests_by_effect(&self, matcher: &Matcher) -> bool {
        self.action.request.is_none()
            && matcher.request.asks_for_request()
            && !matches!(self.action.kind, ActionKind::ModelRequest | ActionKind::Opaque)
    }

    /// What is known of the request that one effect makes.
    pub(super) fn request_of(&self, matcher: &Matcher, effect: &Effect) -> Truth {
        if self.requests_by_effect(matcher) {
            matcher.request.of_effect(effect.capability)
        } else {
            Truth::Yes
        }
    }

    /// The value of a field in the body of a request or the arguments of a call, if all readers agree on it.
    pub(super) fn field(&self, field: &Field) -> Option<String> {
        match &self.action.request {
            Some(request) => field.value_in(request),
            None => field.value(self.arguments.get_or_init(|| arguments(self.action)).as_ref()?.view()),
        }
    }

    pub(super) fn arguments(&self, matcher: &Matcher) -> Truth {
        if matcher.arguments.is_empty() {
            return Truth::Yes;
        }
        if !matches!(self.action.kind, ActionKind::ToolCall | ActionKind::ProviderCall) {
            return Truth::No;
        }
        let tree = self.arguments.get_or_init(|| arguments(self.action));
        tree.as_ref().map_or(Truth::Unknown, |tree| matcher.arguments.hold(tree.view()))
    }

    /// Whether it has a condition on single effects.
    fn asks_about_effects(&self, matcher: &Matcher) -> bool {
        matcher.asks_about_effects() || self.requests_by_effect(matcher)
    }

    pub(super) fn any_effect(&self, matcher: &Matcher) -> Truth {
        if !self.asks_about_effects(matcher) {
            return Truth::Yes;
        }
        self.each_effect(matcher).max().unwrap_or(Truth::No)
    }

    fn each_effect<'s>(&'s self, matcher: &'s Matcher) -> impl Iterator<Item = Truth> + 's {
        (0..self.given.effects.len()).map(|at| self.effect(matcher, at))
    }

    /// What is known of effect number `at`.
    pub(super) fn effect(&self, matcher: &Matcher, at: usize) -> Truth {
        let Some(effect) = self.given.effects.get(at) else { return Truth::No };
        // Of a request's effects each has a tool of its own.
        let tool = !self.by_effect(matcher) || by(matcher, effect);
        Truth::from(tool)
            .min(capability(matcher, effect))
            .min(asset(matcher, effect))
            .min_with(|| self.request_of(matcher, effect))
            .min_with(|| self.host(matcher, at))
            .min_with(|| self.url(matcher, at))
            .min_with(|| self.destination(matcher, at))
            .min_with(|| self.path(&matcher.path, effect))
            .min_with(|| target(&matcher.target, effect))
    }

    pub(super) fn host(&self, matcher: &Matcher, at: usize) -> Truth {
        if matcher.host.is_empty() {
            return Truth::Yes;
        }
        match self.hosts.get(at) {
            None | Some(Known::Nothing) => Truth::No,
            Some(Known::Unknown) => Truth::Unknown,
            Some(Known::Host(host)) => matcher.host.iter().any(|pattern| pattern.covers(host)).into(),
        }
    }

    pub(super) fn url(&self, matcher: &Matcher, at: usize) -> Truth {
        if matcher.url.is_empty() {
            return Truth::Yes;
        }
        match (self.hosts.get(at), self.urls.get(at)) {
            (None | Some(Known::Nothing), _) => Truth::No,
            (Some(Known::Unknown), _) => Truth::Unknown,
            (_, Some(Some(url))) => {
                matcher.url.iter().map(|pattern| pattern.matches(url)).max().unwrap_or(Truth::No)
            }
            // A host is reached and nobody knows what for.
            (Some(Known::Host(host)), _) => {
                Truth::from(matcher.url.iter().any(|pattern| pattern.is_at(host))).min(Truth::Unknown)
            }
        }
    }

    pub(super) fn destination(&self, matcher: &Matcher, at: usize) -> Truth {
        if matcher.destination.is_empty() {
            return Truth::Yes;
        }
        let ways = self.ways.get_or_init(|| {
            let way = |effect: &Effect| {
                let lead = lead(self.action.kind, effect);
                let listed = self.given.lists.classify_lead(&lead, effect);
                (lead, listed)
            };
            self.given.effects.iter().map(way).collect()
        });
        let Some((lead, listed)) = ways.get(at) else { return Truth::No };
        let classes = self.destinations.classes(matcher.level, lead, *listed);
        Truth::of(classes.meets(matcher.destination), classes.within(matcher.destination))
    }

    pub(super) fn path(&self, patterns: &[PathPattern], effect: &Effect) -> Truth {
        if patterns.is_empty() {
            return Truth::Yes;
        }
        let (path, exact) = match &effect.target {
            Target::Path { path, exact } => (path.as_str(), *exact),
            _ => return Truth::from(effect.capability == Capability::Unknown).min(Truth::Unknown),
        };
        let home = self.given.home;
        // Both spellings of a path below the home directory.
        let other = match path.strip_prefix('~') {
            Some(rest) => format!("{home}{rest}"),
            None => match path.strip_prefix(home).filter(|_| !home.is_empty()) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("~{rest}"),
                _ => path.to_owned(),
            },
        };
        let each = patterns.iter().flat_map(|pattern| [(pattern, path), (pattern, other.as_str())]);
        each.map(|(pattern, path)| pattern.covers(path, exact)).max().unwrap_or(Truth::No)
    }
}

/// What is known of the host an effect reaches.
fn reached(kind: ActionKind, effect: &Effect) -> Known {
    match &effect.target {
        Target::Url(text) | Target::Host(text) => match url::authority(text) {
            Some(authority) => Known::Host(authority.host),
            None => Known::Unknown,
        },
        // Where a provider's own search goes is the provider's affair: no host of ours is reached. It can be
        // denied by tool and by capability.
        _ if matches!(kind, ActionKind::ModelRequest) => Known::Nothing,
        _ if reaches_hosts(effect.capability) => Known::Unknown,
        _ => Known::Nothing,
    }
}

/// The URL an effect is about, if it is one that can be read.
fn fetched(effect: &Effect) -> Option<Url> {
    match &effect.target {
        Target::Url(text) => Url::parse(text).ok(),
        _ => None,
    }
}

const fn reaches_hosts(capability: Capability) -> bool {
    use Capability::{BrowserDownload, BrowserNavigate, NetworkFetch, NetworkPost, Unknown};
    matches!(capability, NetworkFetch | NetworkPost | BrowserNavigate | BrowserDownload | Unknown)
}

/// Whether a rule that names tools names the one that `effect` comes from.
fn by(matcher: &Matcher, effect: &Effect) -> bool {
    matcher.tool.iter().any(|glob| glob.matches(&effect.by))
}

impl PathPattern {
    fn covers(&self, path: &str, exact: bool) -> Truth {
        if exact && !path.starts_with("..") {
            let relative = !path.starts_with(['/', '~']);
            let fits = |glob: &Option<Glob>| glob.as_ref().is_some_and(|glob| glob.matches(path));
            if self.glob.matches(path) || relative && fits(&self.anywhere) {
                return Truth::Yes;
            }
            // Who deletes a directory deletes what is in it; who may touch what is in it may not delete it.
            return Truth::from(fits(&self.directory)).min(Truth::Unknown);
        }
        // Up to the first unknown piece the two must agree; behind it anything is possible.
        let known: String = if exact { String::new() } else { known_prefix(path).to_lowercase() };
        let agree = known.starts_with(&self.literal) || self.literal.starts_with(&known);
        Truth::from(agree).min(Truth::Unknown)
    }
}

fn known_prefix(path: &str) -> &str {
    path.split(['*', '?', '[', '$', '{', '`']).next().unwrap_or_default()
}

pub(super) fn capability(matcher: &Matcher, effect: &Effect) -> Truth {
    if matcher.capability.is_empty() || matcher.capability.contains(&effect.capability) {
        return Truth::Yes;
    }
    Truth::from(effect.capability == Capability::Unknown).min(Truth::Unknown)
}

/// The arguments of a call, if they are one strict JSON object.
fn arguments(action: &Action) -> Option<Tree> {
    let mut parts = action.parts.iter().filter(|part| part.kind == PartKind::Arguments);
    let (Some(part), None) = (parts.next(), parts.next()) else { return None };
    json::parse(part.text.as_bytes()).ok().filter(Node::is_object).map(Tree::json)
}

pub(super) fn asset(matcher: &Matcher, effect: &Effect) -> Truth {
    if matcher.asset.is_empty() || matcher.asset.contains(&effect.asset) {
        return Truth::Yes;
    }
    // A path that is known and of no class is not a credential; one that is not known may be.
    let unknown = effect.asset == AssetClass::Unknown
        && match &effect.target {
            Target::Path { exact, .. } => !exact,
            Target::None | Target::Input | Target::Other(_) => effect.capability != Capability::Execute,
            Target::Url(text) | Target::Host(text) => url::authority(text).is_none(),
            Target::Program(_) | Target::Process(_) | Target::Code(_) => false,
        };
    Truth::from(unknown).min(Truth::Unknown)
}

pub(super) fn target(patterns: &[Glob], effect: &Effect) -> Truth {
    if patterns.is_empty() {
        return Truth::Yes;
    }
    let named = |text: &str| patterns.iter().any(|glob| glob.matches(text));
    match &effect.target {
        Target::Program(text) => {
            let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
            (named(text) || named(last)).into()
        }
        Target::Process(text) | Target::Other(text) => named(text).into(),
        // What code and input do is for nobody to know; a variable may be any program.
        Target::Input | Target::Code(_) => Truth::Unknown,
        Target::None => Truth::from(effect.capability == Capability::Unknown).min(Truth::Unknown),
        Target::Path { .. } | Target::Url(_) | Target::Host(_) => Truth::No,
    }
}
