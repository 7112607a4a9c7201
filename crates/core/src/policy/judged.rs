//! One action as rules look at it: each condition, and what is known of it.

use std::cell::OnceCell;

use super::destinations::Destinations;
use super::evaluate::Given;
use super::few::Few;
use super::place::Place;
use super::request::Field;
use super::rule::{Direction, Extent, Matcher, PathPattern};
use super::truth::Truth;
use crate::action::request::Tree;
use crate::action::{Action, ActionKind, AssetClass, Capability, Effect, PartKind, Source, Target};
use crate::decision::Coverage;
use crate::detect::destination::{Classes, Lead, lead};
use crate::detect::glob::{Glob, folded};
use crate::syntax::{Node, json};
use crate::url::{self, Url};

/// An action with what is known of it and what was derived from it.
pub(super) struct Judged<'a> {
    pub(super) action: &'a Action,
    pub(super) given: &'a Given<'a>,
    /// Where each effect leads, if a rule asks.
    pub(super) places: Few<Place<'a>>,
    /// The arguments of a call, read when a rule asks for them; `None` if they cannot be read.
    arguments: OnceCell<Option<Tree>>,
    /// Where each effect leads and what that is by the lists, found out when a rule asks for it.
    ways: OnceCell<Few<(Lead<'a>, Classes)>>,
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
        let effects = given.effects.iter().take(if hosts { usize::MAX } else { 0 });
        Self {
            action,
            given,
            places: effects.map(|effect| Place::of(action.kind, effect, urls)).collect(),
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
        let source = self.given.facts.source_of(self.action);
        if matcher.source.is_empty() || matcher.source.contains(&source) {
            return Truth::Yes;
        }
        Truth::from(source == Source::Unknown).min(Truth::Unknown)
    }

    pub(super) fn tainted(&self, matcher: &Matcher) -> Truth {
        let Some(wanted) = matcher.tainted else { return Truth::Yes };
        let known = self.given.facts.tainted.or(match self.given.facts.source_of(self.action) {
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
        match self.places.get(at) {
            None | Some(Place::Nothing) => Truth::No,
            Some(Place::Unknown) => Truth::Unknown,
            Some(Place::Host(host) | Place::Url(Url { host, .. })) => {
                matcher.host.iter().any(|pattern| pattern.covers(host)).into()
            }
        }
    }

    pub(super) fn url(&self, matcher: &Matcher, at: usize) -> Truth {
        if matcher.url.is_empty() {
            return Truth::Yes;
        }
        match self.places.get(at) {
            None | Some(Place::Nothing) => Truth::No,
            Some(Place::Unknown) => Truth::Unknown,
            Some(Place::Url(url)) => {
                matcher.url.iter().map(|pattern| pattern.matches(url)).max().unwrap_or(Truth::No)
            }
            // A host is reached and nobody knows what for.
            Some(Place::Host(host)) => {
                Truth::from(matcher.url.iter().any(|pattern| pattern.is_at(host))).min(Truth::Unknown)
            }
        }
    }

    pub(super) fn destination(&self, matcher: &Matcher, at: usize) -> Truth {
        if matcher.destination.is_empty() {
            return Truth::Yes;
        }
        let ways = self.ways.get_or_init(|| {
            let way = |effect: &'a Effect| {
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
        let written = Spelled("", path);
        let other = written.with_other_home(self.given.home);
        let each = patterns.iter().flat_map(|pattern| {
            std::iter::once(written).chain(other).map(move |path| pattern.covers(path, exact))
        });
        each.max().unwrap_or(Truth::No)
    }
}

/// A path, in two pieces that stand one behind the other.
#[derive(Clone, Copy)]
struct Spelled<'a>(&'a str, &'a str);

impl<'a> Spelled<'a> {
    fn chars(self) -> impl Iterator<Item = char> + Clone + 'a {
        self.0.chars().chain(self.1.chars())
    }

    /// The other spelling of a path in the home directory.
    fn with_other_home(self, home: &'a str) -> Option<Self> {
        let below = |rest: &&str| rest.is_empty() || rest.starts_with('/');
        match self.1.strip_prefix('~') {
            Some(rest) => Some(Self(home, rest)).filter(|_| below(&rest)),
            None if home.is_empty() => None,
            None => self.1.strip_prefix(home).filter(below).map(|rest| Self("~", rest)),
        }
    }

    /// What stands before the first piece that nobody knows, case aside.
    fn known(self) -> impl Iterator<Item = char> + 'a {
        self.chars().take_while(|c| !matches!(c, '*' | '?' | '[' | '$' | '{' | '`')).map(folded)
    }
}

/// Whether a rule that names tools names the one that `effect` comes from.
fn by(matcher: &Matcher, effect: &Effect) -> bool {
    matcher.tool.iter().any(|glob| glob.matches(&effect.by))
}

impl PathPattern {
    fn covers(&self, path: Spelled<'_>, exact: bool) -> Truth {
        let goes_up = path.chars().take(2).eq("..".chars());
        if exact && !goes_up {
            let relative = !path.chars().next().is_some_and(|c| matches!(c, '/' | '~'));
            let fits =
                |glob: &Option<Glob>| glob.as_ref().is_some_and(|glob| glob.matches_chars(path.chars()));
            if self.glob.matches_chars(path.chars()) || relative && fits(&self.anywhere) {
                return Truth::Yes;
            }
            // Who deletes a directory deletes what is in it; who may touch what is in it may not delete it.
            return Truth::from(fits(&self.directory)).min(Truth::Unknown);
        }
        // Up to the first unknown piece the two must agree; behind it anything is possible. Of what leads out of
        // the working directory nothing is known.
        let agree = exact || path.known().zip(self.literal.chars()).all(|(a, b)| a == b);
        Truth::from(agree).min(Truth::Unknown)
    }
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
