//! Where data may go: what is shipped and learnt, what operators add, and what an effect's place is by all of it.

use std::collections::BTreeSet;

use doorward_core::action::{ActionKind, Effect, Target};
use doorward_core::detect::destination::{Class, Lists};
use doorward_core::policy::Level;
use doorward_core::syntax::Node;
use doorward_core::url::{Authority, Path, Url, authority};
use doorward_core::{AssetClass, Capability};

use super::matcher::Situation;
use super::rule::texts;
use super::truth::Truth;
use super::{host, location};

/// What a file says beside its rules.
#[derive(Clone, Debug)]
pub struct Said {
    pub level: Level,
    allow: Vec<String>,
    block: Vec<String>,
    pub minds_unknown_posts: bool,
}

impl Said {
    pub fn of(node: &Node, level: Level) -> Option<Self> {
        let said = node.get("destinations")?;
        let list = |key: &str| {
            let patterns = said.get(key).map(texts).unwrap_or_default();
            patterns.into_iter().map(str::to_owned).collect()
        };
        Some(Self {
            level,
            allow: list("allow"),
            block: list("block"),
            minds_unknown_posts: said.get("block_unknown_post").and_then(Node::as_bool) == Some(true),
        })
    }
}

/// Whether one of the patterns (hosts or URLs) is about a place.
pub fn listed(patterns: &[String], target: &Target, at: &Authority<'_>) -> Truth {
    Truth::any(patterns.iter().map(|pattern| {
        let in_brackets = pattern.starts_with('[') && pattern.ends_with(']');
        let is_range = pattern.split_once('/').is_some_and(|(_, bits)| {
            !bits.is_empty() && bits.chars().all(|c| c.is_ascii_digit()) && !pattern.contains('{')
        });
        if in_brackets || is_range && !pattern.contains("://") || !pattern.contains(['/', '?', '{']) {
            return Truth::sure(host::fits(pattern, &at.host));
        }
        match target {
            Target::Url(text) => location::fits(pattern, text),
            _ => Truth::known(false, location::is_at(pattern, &at.host)),
        }
    }))
}

/// What an effect does where it leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Fetch,
    Post,
    Carry,
}

fn deed(effect: &Effect) -> Option<Deed> {
    match effect.capability {
        Capability::NetworkFetch | Capability::BrowserNavigate | Capability::BrowserDownload => {
            Some(Deed::Fetch)
        }
        Capability::NetworkPost if !effect.from.is_empty() => Some(Deed::Carry),
        Capability::NetworkPost | Capability::Unknown => Some(Deed::Post),
        _ => None,
    }
}

/// Where an effect leads, if anywhere.
enum Way<'a> {
    Place(Authority<'a>),
    Named(&'static [&'static str]),
    Anywhere,
}

fn way(kind: ActionKind, effect: &Effect) -> Option<Way<'_>> {
    deed(effect)?;
    match &effect.target {
        Target::Url(text) => Some(authority(text).map_or(Way::Anywhere, Way::Place)),
        Target::Host(text) => {
            let host = text.split('@').next_back().unwrap_or_default();
            Some(authority(host).map_or(Way::Anywhere, Way::Place))
        }
        Target::Path { .. } => None,
        _ if kind == ActionKind::ModelRequest => None,
        Target::Other(words) if words == "package registry" => Some(Way::Named(&["registry"])),
        Target::Other(words) if words == "code forge" || words.starts_with("git remote") => {
            Some(Way::Named(&["allowed", "unknown"]))
        }
        _ => Some(Way::Anywhere),
    }
}

/// Where an effect leads, if it is known.
pub fn place(kind: ActionKind, effect: &Effect) -> Option<Authority<'_>> {
    match way(kind, effect) {
        Some(Way::Place(at)) => Some(at),
        _ => None,
    }
}

/// Whether the entry `place` (a host or what is below it, perhaps with the beginning of a path) has the place.
fn has(place: &str, minds_case: bool, target: &Target, at: &Authority<'_>) -> Truth {
    let (name, path) = place.split_once('/').map_or((place, None), |(name, path)| (name, Some(path)));
    if !host::fits(name, &at.host) {
        return Truth::False;
    }
    let Some(path) = path else { return Truth::True };
    let url = match target {
        Target::Url(text) => Url::parse(text).ok(),
        _ => None,
    };
    let Some(url) = url else { return Truth::Unknown };
    let fold = |text: &str| if minds_case { text.to_owned() } else { text.to_lowercase() };
    let begins = |path_of: &Path<'_>| {
        Truth::agree(path_of.readings().map(|reading| {
            let wanted: Vec<&str> = path.split('/').collect();
            Truth::sure(
                reading.iter().count() >= wanted.len()
                    && wanted
                        .iter()
                        .zip(reading.iter())
                        .all(|(wanted, found)| star(&fold(wanted), &fold(found))),
            )
        }))
    };
    begins(&url.path)
}

fn star(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((front, rest)) => text.strip_prefix(front).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.filter_map(|at| text.get(at..)).any(|tail| star(rest, tail))
        }),
    }
}

/// Whether the lists of this class have the place, for what is done there.
fn shipped(lists: &Lists, class: Class, deed: Deed, target: &Target, at: &Authority<'_>) -> Truth {
    Truth::any(lists.places().filter(|(_, group)| group.class == class).map(|(place, group)| {
        let [fetch, post, carry] = group.severity;
        let [fetched, posted] = group.covers;
        let speaks = match (class, deed) {
            (Class::Blocked, Deed::Fetch) => fetch > 0,
            (Class::Blocked, Deed::Post) => post > 0,
            (Class::Blocked, Deed::Carry) => carry > 0,
            (_, Deed::Fetch) => fetched,
            _ => posted,
        };
        if speaks { has(&place.text, class == Class::Allowed, target, at) } else { Truth::False }
    }))
}

fn learnt(lists: &Lists, at: &Authority<'_>) -> Truth {
    Truth::any(lists.registries().iter().map(|registry| {
        if registry.host != at.host {
            return Truth::False;
        }
        match (registry.port, at.port) {
            (Some(own), Some(port)) => Truth::sure(own == port),
            (Some(_), None) => Truth::Unknown,
            (None, _) => Truth::True,
        }
    }))
}

/// A truth as what may be the case.
fn cases(truth: Truth) -> &'static [bool] {
    match truth {
        Truth::True => &[true],
        Truth::False => &[false],
        Truth::Unknown => &[true, false],
    }
}

/// The classes that the place of `effect` may be of, to the rules of `level`: one for each case that may be.
pub fn classes(here: &Situation<'_>, said: &[Said], level: Level, effect: &Effect) -> BTreeSet<&'static str> {
    let at = match way(here.action.kind, effect) {
        None => return BTreeSet::new(),
        Some(Way::Named(words)) => return words.iter().copied().collect(),
        Some(Way::Anywhere) => return Class::ALL.map(Class::as_str).into_iter().collect(),
        Some(Way::Place(at)) => at,
    };
    let (deed, target) = (deed(effect).unwrap_or(Deed::Fetch), &effect.target);
    let blocked_here = Truth::any(said.iter().map(|said| listed(&said.block, target, &at)));
    let own = said.iter().filter(|said| said.level == level);
    let allowed_here = Truth::any(own.map(|said| listed(&said.allow, target, &at)));
    let truths = [
        (blocked_here, "blocked"),
        (allowed_here, "allowed"),
        (shipped(here.lists, Class::Blocked, deed, target, &at), "blocked"),
        (shipped(here.lists, Class::Allowed, deed, target, &at), "allowed"),
        (learnt(here.lists, &at), "registry"),
    ];
    let rest = if effect.asset == AssetClass::Internal { "internal" } else { "unknown" };
    let mut found = BTreeSet::new();
    // The first that is the case decides.
    let mut open = true;
    for (truth, class) in truths {
        if open && cases(truth).contains(&true) {
            found.insert(class);
        }
        open = open && cases(truth).contains(&false);
    }
    if open {
        found.insert(rest);
    }
    found
}

/// The reasons that lists give by themselves.
pub fn reasons(here: &Situation<'_>, said: &[Said]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for effect in here.effects {
        let way = way(here.action.kind, effect);
        if let Some(Way::Place(at)) = &way
            && said.iter().any(|said| listed(&said.block, &effect.target, at) != Truth::False)
        {
            found.insert("destinations.block".to_owned());
        }
        let known = ["allowed", "registry", "internal"];
        let unknown = |level: Level| classes(here, said, level, effect).iter().any(|it| !known.contains(it));
        if effect.capability == Capability::NetworkPost
            && matches!(way, Some(Way::Place(_) | Way::Anywhere))
            && said.iter().any(|own| own.minds_unknown_posts && unknown(own.level))
        {
            found.insert("destinations.unknown-post".to_owned());
        }
    }
    found
}
