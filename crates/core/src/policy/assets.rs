//! What kind of thing a path or a place is, as operators say beside the rules: `assets`.
//!
//! What is said without `instead_of` only makes things more sensitive, and holds for whatever may be meant. With
//! `instead_of` it makes certain kinds less sensitive, and holds only for what is surely meant: so that a test's key is
//! none. What Doorward itself protects stays what it is.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::destinations::{Pattern, Places};
use super::truth::Truth;
use crate::action::asset::{self, stronger};
use crate::action::{Action, ActionKind, AssetClass, Effect, Target};
use crate::detect::destination::{Lead, lead};
use crate::detect::glob::{Glob, folded};

/// How far into a name a path has to be known that goes on with anything at all, in characters: `~/va*` may be
/// `~/vault`, `~/*` is everything and nothing.
const HINT: usize = 2;

/// A set of classes, one bit each.
pub(super) type Set = u32;

/// What all files say.
#[derive(Debug, Default)]
pub(super) struct Assets {
    groups: Vec<Group>,
    paths: Vec<Path>,
    index: Index,
}

/// All that is said with the same `class` and `instead_of`.
#[derive(Debug)]
struct Group {
    class: AssetClass,
    /// What it takes the place of; empty if it only makes things more sensitive.
    instead_of: Set,
    places: Places,
}

/// A pattern for paths.
#[derive(Debug)]
pub(super) struct Path {
    group: u32,
    glob: Glob,
    /// Of what begins with `**/`, what follows: a path from a working directory that nobody knows may be all of it.
    anywhere: Option<Glob>,
    /// Of what ends in `/**`, the directory itself.
    directory: Option<Glob>,
    /// What stands before the first wildcard, case aside.
    literal: String,
}

/// Patterns by what a path can be looked up with, so that those which cannot match are never compared.
#[derive(Debug, Default)]
struct Index {
    /// By their first two names.
    rooted: HashMap<Box<str>, Vec<u32>>,
    /// The same by all that stands before the first wildcard, for paths of which only the beginning is known.
    begun: BTreeMap<Box<str>, Vec<u32>>,
    /// `**/name`, `**/dir/name`: by the last name.
    names: HashMap<Box<str>, Vec<u32>>,
    /// `**/*.ending`: by what follows the star.
    endings: HashMap<Box<str>, Vec<u32>>,
    /// `**/dir/**`: by the first name.
    inside: HashMap<Box<str>, Vec<u32>>,
    /// Everything else.
    loose: Vec<u32>,
}

/// Bit of a class.
pub(super) fn bit(class: AssetClass) -> Set {
    AssetClass::ALL.iter().position(|one| *one == class).map_or(0, |at| 1 << at)
}

/// What is Doorward's to protect, whatever an operator says of it.
pub(super) const FIXED: [AssetClass; 2] = [AssetClass::Doorward, AssetClass::CloudMetadata];

/// A pattern for paths as it is compared: in the one spelling of paths, so that `%USERPROFILE%\vault\**` is `~/vault/**`.
///
/// # Errors
/// What is wrong with it, and what to do.
pub(super) fn spelled(text: &str) -> Result<String, (&'static str, &'static str)> {
    let plain = text.replace('\\', "/");
    if plain.ends_with('/') {
        return Err(("a path pattern that ends in a slash", "write `dir/**` for what is below a directory"));
    }
    if plain.split('/').any(|part| part == "..") || plain.contains('[') {
        return Err((
            "a path pattern with `..` or `[`",
            "write where it leads; `*`, `**` and `?` are wildcards",
        ));
    }
    let path = asset::normalise_path(text);
    let rooted = path.starts_with(['/', '~']) || path.starts_with("**/") || !asset::is_relative(&path);
    if !rooted || path.contains(['$', '%', '`']) || path == "**/**" {
        return Err((
            "a path pattern that could match nothing, or anything",
            "begin with `/`, `~/`, `**/`, or a drive: `C:/`; of variables only those of the home directory are known",
        ));
    }
    Ok(path)
}

impl Assets {
    /// The group of what is said so.
    fn group(&mut self, class: AssetClass, instead_of: Set) -> usize {
        let same = |group: &Group| group.class == class && group.instead_of == instead_of;
        self.groups.iter().position(same).unwrap_or_else(|| {
            self.groups.push(Group { class, instead_of, places: Places::default() });
            self.groups.len().saturating_sub(1)
        })
    }

    pub fn add_place(&mut self, class: AssetClass, instead_of: Set, pattern: Pattern) {
        let at = self.group(class, instead_of);
        if let Some(group) = self.groups.get_mut(at) {
            group.places.add(pattern);
        }
    }

    /// Adds a pattern that is [`spelled`].
    pub fn add_path(&mut self, class: AssetClass, instead_of: Set, pattern: &str) {
        // What takes something's place minds case: on some systems two spellings are two files.
        let glob = if instead_of == 0 { Glob::any_case } else { Glob::exact_case };
        let group = u32::try_from(self.group(class, instead_of)).unwrap_or(u32::MAX);
        let literal: String = pattern.chars().take_while(|c| !matches!(c, '*' | '?')).map(folded).collect();
        self.index.add(pattern, &literal, u32::try_from(self.paths.len()).unwrap_or(u32::MAX));
        self.paths.push(Path {
            group,
            glob: glob(pattern),
            anywhere: pattern.strip_prefix("**/").map(glob),
            directory: pattern.strip_suffix("/**").map(glob),
            literal,
        });
    }

    /// The effects of `action` with the classes that the operator gives them; `None` if none differs.
    pub fn own(&self, kind: ActionKind, effects: &[Effect]) -> Option<Vec<Effect>> {
        if self.groups.is_empty() {
            return None;
        }
        let mut own: Option<Vec<Effect>> = None;
        for (at, effect) in effects.iter().enumerate() {
            let class = self.class(kind, effect);
            if class != effect.asset {
                let effects = own.get_or_insert_with(|| effects.to_vec());
                effects.get_mut(at).into_iter().for_each(|effect| effect.asset = class);
            }
        }
        own
    }

    fn class(&self, kind: ActionKind, effect: &Effect) -> AssetClass {
        let read = effect.asset;
        if FIXED.contains(&read) {
            return read;
        }
        let (mut lowered, mut raised) = (None, None);
        let mut see = |group: &Group, truth: Truth| {
            let lowers = group.instead_of != 0;
            if truth == Truth::No || lowers && (truth != Truth::Yes || group.instead_of & bit(read) == 0) {
                return;
            }
            let so_far = if lowers { &mut lowered } else { &mut raised };
            *so_far = Some(so_far.map_or(group.class, |so_far| stronger(so_far, group.class)));
        };
        match &effect.target {
            Target::Path { path, exact } => {
                let path = asset::normalise_path(path);
                self.paths(&path, *exact, &mut |pattern, truth| {
                    if let Some(group) =
                        usize::try_from(pattern.group).ok().and_then(|at| self.groups.get(at))
                    {
                        see(group, truth);
                    }
                });
            }
            Target::Url(_) | Target::Host(_) => {
                let lead = lead(kind, effect);
                // What leads anywhere leads nowhere in particular.
                if matches!(lead, Lead::Url(_) | Lead::Host(..)) {
                    self.groups.iter().for_each(|group| see(group, group.places.may_have(&lead)));
                }
            }
            _ => {}
        }
        let base = lowered.unwrap_or(read);
        raised.map_or(base, |raised| stronger(base, raised))
    }

    /// Shows every pattern that is, or may be, about a path, with which of both.
    fn paths(&self, path: &str, exact: bool, see: &mut dyn FnMut(&Path, Truth)) {
        let lower: String = path.chars().map(folded).collect();
        self.index.each(&lower, exact, &mut |at| {
            let pattern = usize::try_from(at).ok().and_then(|at| self.paths.get(at));
            if let Some(pattern) = pattern {
                see(pattern, pattern.is_about(path, &lower, exact));
            }
        });
    }
}

impl Path {
    fn is_about(&self, path: &str, lower: &str, exact: bool) -> Truth {
        let inner = within(path);
        let relative = asset::is_relative(path);
        let fits = |glob: &Option<Glob>, text| glob.as_ref().is_some_and(|glob| glob.matches(text));
        if self.glob.matches(path) || relative && fits(&self.anywhere, inner) {
            return if exact { Truth::Yes } else { Truth::Unknown };
        }
        // Who packs a directory packs what is in it.
        if fits(&self.directory, path) {
            return Truth::Unknown;
        }
        Truth::from(!exact && self.may_be(known(lower))).min(Truth::Unknown)
    }

    /// Whether what begins with `known` may go on so that it fits, and says enough for that.
    fn may_be(&self, known: &str) -> bool {
        let literal = self.literal.as_str();
        // What begins with a wildcard, or with nothing but a root, may be anywhere.
        let Some(last) = names(literal).last() else { return false };
        let before = literal.trim_end_matches('/').len().saturating_sub(last.len());
        let hint: usize = last.chars().take(HINT).map(char::len_utf8).sum();
        known.starts_with(literal) || literal.starts_with(known) && known.len() >= before + hint
    }
}

/// A path without the steps by which it leads out of the working directory.
fn within(path: &str) -> &str {
    let mut rest = path;
    while let Some(below) = rest.strip_prefix("../") {
        rest = below;
    }
    rest
}

/// The names in a path, without what stands for its root.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !matches!(name.as_bytes(), [] | b"~" | [_, b':']))
}

/// What stands before the first piece that nobody knows.
fn known(path: &str) -> &str {
    path.split(['*', '?', '[', '$', '{', '`']).next().unwrap_or_default()
}

impl Index {
    fn add(&mut self, pattern: &str, literal: &str, at: u32) {
        let lower: String = pattern.chars().map(folded).collect();
        let plain = |text: &str| !text.is_empty() && !text.contains(['*', '?']);
        if let Some(below) = lower.strip_prefix("**/") {
            let last = below.rsplit('/').next().unwrap_or(below);
            let first = below.split('/').next().unwrap_or(below);
            let ending = last.strip_prefix('*').filter(|ending| ending.starts_with('.') && plain(ending));
            match ending {
                _ if plain(last) => put(&mut self.names, last, at),
                Some(ending) => put(&mut self.endings, ending, at),
                None if last == "**" && plain(first) => put(&mut self.inside, first, at),
                None => self.loose.push(at),
            }
            return;
        }
        self.begun.entry(literal.into()).or_default().push(at);
        // Whose second name is cut off by a wildcard has no key.
        match key_of(&lower).filter(|key| plain(key)) {
            Some(key) => put(&mut self.rooted, key, at),
            None => self.loose.push(at),
        }
    }

    /// Shows the patterns that may be about a path, each once or more often.
    fn each(&self, lower: &str, exact: bool, see: &mut dyn FnMut(u32)) {
        let mut all = |list: Option<&Vec<u32>>| list.into_iter().flatten().for_each(|at| see(*at));
        all(Some(&self.loose));
        all(key_of(lower).and_then(|key| self.rooted.get(key)));
        let name = lower.rsplit('/').next().unwrap_or(lower);
        all(self.names.get(name));
        for (dot, _) in name.match_indices('.') {
            all(name.get(dot..).and_then(|ending| self.endings.get(ending)));
        }
        if !self.inside.is_empty() {
            lower.split('/').for_each(|part| all(self.inside.get(part)));
        }
        let known = known(lower);
        if !exact && names(known).next().is_some() {
            all(key_of(known).and_then(|key| self.rooted.get(key)));
            let from = self.begun.range::<str, _>((Bound::Included(known), Bound::Unbounded));
            from.take_while(|(literal, _)| literal.starts_with(known)).for_each(|(_, list)| all(Some(list)));
        }
    }
}

fn put(map: &mut HashMap<Box<str>, Vec<u32>>, key: &str, at: u32) {
    map.entry(key.into()).or_default().push(at);
}

/// The first two names of a rooted path: `~/vault`, `/srv`, `d:/keys`. What has only one has none.
fn key_of(path: &str) -> Option<&str> {
    let (first, rest) = path.split_once('/')?;
    let second = rest.split('/').next().unwrap_or(rest);
    path.get(..first.len() + 1 + second.len()).filter(|_| !second.is_empty())
}

impl super::Policy {
    /// The effects of `action` with the classes that the operator gives what they are about (`assets`); `None` if none
    /// differs.
    #[must_use]
    pub fn own_effects(&self, action: &Action) -> Option<Vec<Effect>> {
        self.assets.own(action.kind, &action.effects)
    }
}
