//! Where effects and requests lead: to places known as drop points, to places known to be what they seem, to the
//! user's own package registries, into this machine, or somewhere nobody has said anything about.
//!
//! What is known is data (`rules/destinations.yaml`, registries learnt by the caller, and what a policy adds). A place
//! may not be clear: a path that servers read in several ways, a host in a variable. So an effect has a *set* of
//! [`Classes`] it may be of, and only a set of one is certain.

use std::collections::HashMap;
use std::sync::Arc;

use super::glob::Glob;
use super::rules::Example;
use crate::action::{Action, ActionKind, AssetClass, Capability, Effect, Target};
use crate::url::{self, Host, Path, Reading, Url};

mod decode;
pub(in crate::detect) use decode::decode;

mod entropy;
pub use entropy::{is_random, threshold};

mod findings;
pub use findings::Crossing;

mod packed;

/// What is known of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Known to take data to strangers, or to hand out what nobody vouches for.
    Blocked,
    /// Known to be what it seems.
    Allowed,
    /// A package registry that the user's own clients are configured with.
    Registry,
    /// This machine or its private network, by its spelling.
    Internal,
    /// On no list.
    Unknown,
}

impl Class {
    /// Every class, for tables and messages.
    pub const ALL: [Self; 5] = [Self::Blocked, Self::Allowed, Self::Registry, Self::Internal, Self::Unknown];

    /// The word in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Allowed => "allowed",
            Self::Registry => "registry",
            Self::Internal => "internal",
            Self::Unknown => "unknown",
        }
    }
}

/// A set of classes: those that a place may be of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Classes(u8);

impl Classes {
    /// Of what leads nowhere.
    pub const NONE: Self = Self(0);
    /// Of what may lead anywhere.
    pub const ANY: Self = Self(0b1_1111);

    /// This one alone.
    #[must_use]
    pub const fn of(class: Class) -> Self {
        Self(1 << class as u8)
    }

    /// These and those.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether one of these is among those.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all of these are among those; so it is if there are none.
    #[must_use]
    pub const fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The classes, in order.
    pub fn each(self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(move |class| self.meets(Self::of(*class)))
    }
}

/// What is done at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Something is fetched.
    Fetch,
    /// Something is sent.
    Post,
    /// Something is sent that came from elsewhere: a file, the environment, a program.
    Carry,
}

impl Deed {
    /// What `effect` does, `None` if it reaches no host. Nobody knows of what is not known; so it may send.
    #[must_use]
    pub const fn of(effect: &Effect) -> Option<Self> {
        use Capability::{BrowserDownload, BrowserNavigate, NetworkFetch, NetworkPost, Unknown};
        match effect.capability {
            NetworkFetch | BrowserNavigate | BrowserDownload => Some(Self::Fetch),
            NetworkPost if effect.from.is_empty() => Some(Self::Post),
            NetworkPost => Some(Self::Carry),
            Unknown => Some(Self::Post),
            _ => None,
        }
    }
}

/// Places of one kind.
#[derive(Debug)]
pub struct Group {
    /// Its name, such as `paste`: the category of its findings.
    pub id: String,
    /// [`Class::Blocked`] or [`Class::Allowed`].
    pub class: Class,
    /// Why, for a person.
    pub reason: String,
    /// What to do instead; empty for what is allowed.
    pub advice: String,
    /// MITRE ATT&CK techniques.
    pub attack: Vec<String>,
    /// Of what is blocked: how bad each deed is, 0 to 100; 0 if the deed is none of its business.
    pub severity: [u8; 3],
    /// Of what is allowed: whether fetching and sending are.
    pub covers: [bool; 2],
    /// What belongs to it.
    pub examples: Vec<Example>,
    /// What does not.
    pub near_misses: Vec<Example>,
    /// The file it stands in, as the set's source is named.
    pub origin: Arc<str>,
}

impl Group {
    /// Whether it says something about `deed`.
    #[must_use]
    pub const fn speaks_of(&self, deed: Deed) -> bool {
        match (self.class, deed) {
            (Class::Blocked, _) => self.severity(deed) > 0,
            (_, Deed::Fetch) => self.covers[0],
            (_, Deed::Post | Deed::Carry) => self.covers[1],
        }
    }

    /// How bad `deed` is there.
    #[must_use]
    pub const fn severity(&self, deed: Deed) -> u8 {
        match deed {
            Deed::Fetch => self.severity[0],
            Deed::Post => self.severity[1],
            Deed::Carry => self.severity[2],
        }
    }
}

/// One place of a group: a host or what is below one, and perhaps the beginning of a path.
#[derive(Debug)]
pub struct Place {
    /// As it is written: `*.example.com/a`.
    pub text: String,
    group: usize,
    /// Whether only what is below the name is meant.
    below: bool,
    /// What the path begins with; empty for all of it.
    path: Vec<Glob>,
}

/// Paths that give something away.
#[derive(Debug)]
pub struct Sensitive {
    /// The name of their kind: the category of findings.
    pub id: String,
    /// Why, for a person.
    pub reason: String,
    /// What to do instead.
    pub advice: String,
    /// MITRE ATT&CK techniques.
    pub attack: Vec<String>,
    /// How bad, 0 to 100.
    pub severity: u8,
    paths: Vec<PathPattern>,
    /// What belongs to it.
    pub examples: Vec<Example>,
    /// What does not.
    pub near_misses: Vec<Example>,
    /// The file it stands in, as the set's source is named.
    pub origin: Arc<str>,
}

/// Segments with which a path begins or ends.
#[derive(Debug)]
struct PathPattern {
    at_end: bool,
    segments: Vec<Glob>,
}

impl PathPattern {
    fn fits(&self, path: &Reading<'_>) -> bool {
        if !self.at_end {
            return begins(path.iter(), &self.segments);
        }
        let front = path.iter().count().checked_sub(self.segments.len());
        front.is_some_and(|front| begins(path.iter().skip(front), &self.segments))
    }
}

fn begins<'s>(mut path: impl Iterator<Item = &'s str>, pattern: &[Glob]) -> bool {
    pattern.iter().all(|glob| path.next().is_some_and(|segment| glob.matches(segment)))
}

/// A package registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// Where it is.
    pub host: Host<'static>,
    /// Its port, if the configuration tells.
    pub port: Option<u16>,
    /// Whose configuration names it, and where: `npm (~/.npmrc)`. For people.
    pub from: String,
}

/// The most registries that are kept.
pub const MOST_REGISTRIES: usize = 64;

/// What is known of places.
#[derive(Debug, Default)]
pub struct Lists {
    groups: Vec<Group>,
    places: Vec<Place>,
    /// Places by host, or by what stands behind `*.`.
    by_host: HashMap<Box<str>, Vec<u32>>,
    sensitive: Vec<Sensitive>,
    registries: Vec<Registry>,
}

/// What the lists say of one place.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'l> {
    /// What it may be.
    pub classes: Classes,
    /// The group that says so, if one does: a blocking one before an allowing one.
    pub group: Option<&'l Group>,
}

/// A place that is reached.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The host.
    pub host: &'a Host<'a>,
    /// The port, if anything tells.
    pub port: Option<u16>,
    /// What is asked for there; `None` if nobody knows.
    pub path: Option<&'a Path<'a>>,
}

impl<'a> At<'a> {
    /// Where a URL leads.
    #[must_use]
    pub const fn url(url: &'a Url<'a>) -> Self {
        Self { host: &url.host, port: url.port, path: Some(&url.path) }
    }
}

/// How well something fits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    No,
    Perhaps,
    Yes,
}

impl Lists {
    /// Every group, in the order of its source.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Every place with its group.
    pub fn places(&self) -> impl Iterator<Item = (&Place, &Group)> {
        self.places.iter().filter_map(|place| Some((place, self.groups.get(place.group)?)))
    }

    /// Every kind of sensitive path.
    #[must_use]
    pub fn sensitive(&self) -> &[Sensitive] {
        &self.sensitive
    }

    /// The registries that were learnt.
    #[must_use]
    pub fn registries(&self) -> &[Registry] {
        &self.registries
    }

    /// Learns registries. Where a shipped list speaks about a host it stays as that says: an index of packages kept at a
    /// forge does not make the forge a registry. Beyond [`MOST_REGISTRIES`] none are kept.
    pub fn learn(&mut self, registries: impl IntoIterator<Item = Registry>) {
        for registry in registries {
            let listed = matches!(&registry.host, Host::Name(name) if self.candidates(name).next().is_some());
            let known =
                self.registries.iter().any(|own| own.host == registry.host && own.port == registry.port);
            if !listed && !known && self.registries.len() < MOST_REGISTRIES {
                self.registries.push(registry);
            }
        }
    }

    /// What is known of `at`, where `deed` is done. Whether it is of this machine is not for the lists to say.
    #[must_use]
    pub fn look_up(&self, at: At<'_>, deed: Deed) -> Listed<'_> {
        let mut blocked: (Fit, Option<&Group>) = (Fit::No, None);
        let mut allowed = blocked;
        if let Host::Name(name) = at.host {
            for place in self.candidates(name) {
                let Some(group) = self.groups.get(place.group).filter(|group| group.speaks_of(deed)) else {
                    continue;
                };
                let fit = place.fits(at.path);
                let best = if group.class == Class::Blocked { &mut blocked } else { &mut allowed };
                if fit > best.0 {
                    *best = (fit, Some(group));
                }
            }
        }
        let registry = self.registry(at);
        let mut classes = match allowed.0.max(registry) {
            Fit::Yes => Classes::NONE,
            _ => Classes::of(Class::Unknown),
        };
        for (fit, class) in
            [(registry, Class::Registry), (allowed.0, Class::Allowed), (blocked.0, Class::Blocked)]
        {
            classes = match fit {
                Fit::Yes => Classes::of(class),
                Fit::Perhaps => classes.or(Classes::of(class)),
                Fit::No => classes,
            };
        }
        Listed { classes, group: blocked.1.or(allowed.1) }
    }

    /// What the way of an effect may be, as far as the lists know. `lead` is [`lead`] of that effect.
    #[must_use]
    pub fn classify_lead(&self, lead: &Lead<'_>, effect: &Effect) -> Classes {
        match lead {
            Lead::Nothing => Classes::NONE,
            Lead::Named(classes) => *classes,
            Lead::Anywhere => Classes::ANY,
            Lead::Url(url) => self.classify_at(At::url(url), effect),
            Lead::Host(host, port) => self.classify_at(At { host, port: *port, path: None }, effect),
        }
    }

    /// The same for an effect of which it is known where it leads.
    #[must_use]
    pub fn classify_at(&self, at: At<'_>, effect: &Effect) -> Classes {
        let Some(deed) = Deed::of(effect) else { return Classes::NONE };
        let classes = self.look_up(at, deed).classes;
        let unknown = Classes::of(Class::Unknown);
        if effect.asset == AssetClass::Internal && classes.meets(unknown) {
            return Classes(classes.0 & !unknown.0).or(Classes::of(Class::Internal));
        }
        classes
    }

    fn candidates<'l>(&'l self, name: &'l str) -> impl Iterator<Item = &'l Place> {
        let mut rest = Some(name);
        std::iter::from_fn(move || {
            let suffix = rest?;
            rest = suffix.split_once('.').map(|(_, parent)| parent);
            Some((suffix.len() == name.len(), self.by_host.get(suffix)))
        })
        .filter_map(|(whole, found)| Some((whole, found?)))
        .flat_map(move |(whole, found)| {
            let places = found.iter().filter_map(|at| self.places.get(usize::try_from(*at).ok()?));
            places.filter(move |place| place.below != whole)
        })
    }

    fn registry(&self, at: At<'_>) -> Fit {
        let same = |own: &Registry| match (own.port, at.port) {
            _ if own.host != *at.host => Fit::No,
            (Some(own), Some(port)) if own != port => Fit::No,
            (Some(_), None) => Fit::Perhaps,
            _ => Fit::Yes,
        };
        self.registries.iter().map(same).max().unwrap_or(Fit::No)
    }
}

impl Place {
    fn fits(&self, path: Option<&Path<'_>>) -> Fit {
        if self.path.is_empty() {
            return Fit::Yes;
        }
        let Some(path) = path else { return Fit::Perhaps };
        let (mut any, mut all) = (false, true);
        for reading in path.readings() {
            let fits = begins(reading.iter(), &self.path);
            (any, all) = (any || fits, all && fits);
        }
        match (any, all) {
            (true, true) => Fit::Yes,
            (true, false) => Fit::Perhaps,
            (false, _) => Fit::No,
        }
    }
}

/// Where an effect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lead<'a> {
    /// It reaches no host.
    Nothing,
    /// It names no host, but what it means is known: these may be its classes.
    Named(Classes),
    /// Nobody knows where.
    Anywhere,
    /// To this URL.
    Url(Url<'a>),
    /// To this host, perhaps with a port; what is asked for there is not known.
    Host(Host<'a>, Option<u16>),
}

/// Where `effect` of an action of this kind leads. What a provider does by itself reaches no host of ours.
#[must_use]
pub fn lead(kind: ActionKind, effect: &Effect) -> Lead<'_> {
    if Deed::of(effect).is_none() {
        return Lead::Nothing;
    }
    match &effect.target {
        Target::Url(text) => match Url::parse(text) {
            Ok(url) => Lead::Url(url),
            Err(_) => by_authority(text),
        },
        // `ssh user@host`: these programs all take what stands behind the last `@`.
        Target::Host(text) => by_authority(text.rsplit_once('@').map_or(text, |(_, host)| host)),
        Target::Path { .. } => Lead::Nothing,
        _ if kind == ActionKind::ModelRequest => Lead::Nothing,
        target => named(target).map_or(Lead::Anywhere, Lead::Named),
    }
}

fn by_authority(text: &str) -> Lead<'_> {
    url::authority(text).map_or(Lead::Anywhere, |at| Lead::Host(at.host, at.port))
}

/// What programs reach without naming its host: package managers the registries they are configured with, git and the
/// forges' own clients the repository's remotes and the user's forge. Where a remote leads is not known here.
fn named(target: &Target) -> Option<Classes> {
    let Target::Other(words) = target else { return None };
    match words.as_str() {
        "package registry" => Some(Classes::of(Class::Registry)),
        "code forge" => Some(Classes::of(Class::Allowed).or(Classes::of(Class::Unknown))),
        words if words.starts_with("git remote") => {
            Some(Classes::of(Class::Allowed).or(Classes::of(Class::Unknown)))
        }
        _ => None,
    }
}

/// Whether `action` is one whose effects are judged by where they lead.
const fn is_judged(action: &Action) -> bool {
    !matches!(action.kind, ActionKind::ModelResponse | ActionKind::ToolResult)
}
