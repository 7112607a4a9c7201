//! Which rules could speak about an action: by tool, by host, by capability. The cost of judging does
//! not grow with rules whose key is not there, and nothing is allocated to find those whose key is.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, Hasher};

use super::evaluate::Given;
use super::few::Few;
use super::place::Place;
use super::rule::{HostPattern, Matcher, PathPattern, Rule, Verb};
use crate::action::{Action, Capability, Effect, Target};
use crate::detect::glob::folded as lower;
use crate::url::Host;

/// Rules by key, as their numbers in order.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// How many.
    rules: usize,
    /// By the tool's name, case aside.
    tools: Keyed,
    /// By host, or by what stands behind `*.`.
    hosts: Keyed,
    /// Those with a range of addresses.
    with_range: Vec<u32>,
    /// Every rule in `hosts` and `with_range`: for effects whose host is not known.
    with_host: Vec<u32>,
    /// By the first one or two segments of the path.
    paths: Keyed,
    /// Every rule in `paths`: for effects whose path is not known.
    with_path: Vec<u32>,
    capabilities: HashMap<Capability, Vec<u32>>,
    /// Every rule in `capabilities`: for effects whose capability is not known.
    with_capability: Vec<u32>,
    /// Rules without a key.
    residual: Vec<u32>,
    asks_for_hosts: bool,
    asks_for_urls: bool,
}

/// Rules by the digest of a name. Two names of one digest only make for more candidates: each rule looks at the
/// name itself.
type Keyed = HashMap<u64, Vec<u32>, BuildHasherDefault<AsItIs>>;

/// A hasher for what is a digest already.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = step(self.0, u32::from(*byte)));
    }

    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }
}

impl Index {
    /// Over those of `rules` whose verb is meant.
    pub(super) fn of(rules: &[Rule], meant: impl Fn(Verb) -> bool) -> Self {
        let mut index = Self::default();
        for (at, rule) in (0u32..).zip(rules).filter(|(_, rule)| meant(rule.verb)) {
            index.add(at, &rule.matcher);
            index.rules += 1;
        }
        index
    }

    /// Whether there is no rule in it.
    pub(super) const fn is_empty(&self) -> bool {
        self.rules == 0
    }

    fn add(&mut self, at: u32, matcher: &Matcher) {
        self.asks_for_hosts |= matcher.asks_about_hosts();
        self.asks_for_urls |= !matcher.url.is_empty();
        if let Some(names) = &matcher.tool_names {
            names.iter().for_each(|name| put(self.tools.entry(folded(name)).or_default(), at));
        } else if let Some(hosts) = hosts_of(matcher) {
            put(&mut self.with_host, at);
            for host in hosts {
                match host {
                    Some(name) => {
                        let key = folded(name.strip_prefix("*.").unwrap_or(name));
                        put(self.hosts.entry(key).or_default(), at);
                    }
                    None => put(&mut self.with_range, at),
                }
            }
        } else if let Some(places) = places_of(matcher) {
            put(&mut self.with_path, at);
            places.into_iter().for_each(|place| put(self.paths.entry(place).or_default(), at));
        } else if !matcher.capability.is_empty() {
            put(&mut self.with_capability, at);
            for capability in &matcher.capability {
                put(self.capabilities.entry(*capability).or_default(), at);
            }
        } else {
            put(&mut self.residual, at);
        }
    }

    /// Whether some rule asks where effects lead.
    pub(super) const fn asks_for_hosts(&self) -> bool {
        self.asks_for_hosts
    }

    /// Whether some rule has a pattern for URLs.
    pub(super) const fn asks_for_urls(&self) -> bool {
        self.asks_for_urls
    }

    /// The rules that could speak about `action`, in order; `places` is where its effects lead.
    pub(super) fn candidates(
        &self,
        action: &Action,
        given: &Given<'_>,
        places: &Few<Place<'_>>,
    ) -> Candidates<'_> {
        let effects = given.effects;
        let mut found = Candidates::default();
        found.add(&self.residual);
        if !self.tools.is_empty() {
            match &action.tool {
                Some(tool) => found.add_keyed(&self.tools, folded(&tool.name)),
                None => effects.iter().for_each(|effect| found.add_keyed(&self.tools, folded(&effect.by))),
            }
        }
        if !self.with_capability.is_empty() {
            for effect in effects {
                if effect.capability == Capability::Unknown {
                    found.add(&self.with_capability);
                } else if let Some(rules) = self.capabilities.get(&effect.capability) {
                    found.add(rules);
                }
            }
        }
        if !self.with_path.is_empty() {
            effects.iter().for_each(|effect| self.by_path(effect, given.home, &mut found));
        }
        if !self.with_host.is_empty() {
            places.iter().for_each(|place| self.by_host(place, &mut found));
        }
        found
    }

    fn by_path<'i>(&'i self, effect: &Effect, home: &str, found: &mut Candidates<'i>) {
        let path = match &effect.target {
            Target::Path { path, exact } if *exact && !path.starts_with("..") => path,
            Target::Path { .. } => return found.add(&self.with_path),
            _ if effect.capability == Capability::Unknown => return found.add(&self.with_path),
            _ => return,
        };
        let mut add = |places: Places| {
            places.into_iter().flatten().for_each(|place| found.add_keyed(&self.paths, place));
        };
        add(places(path.chars(), true));
        // Both spellings of a path below the home directory.
        if let Some(rest) = path.strip_prefix('~') {
            add(places(home.chars().chain(rest.chars()), true));
        } else if let Some(rest) = path.strip_prefix(home).filter(|_| !home.is_empty()) {
            add(places(std::iter::once('~').chain(rest.chars()), true));
        }
    }

    fn by_host<'i>(&'i self, place: &Place<'_>, found: &mut Candidates<'i>) {
        match place.host() {
            None if *place == Place::Nothing => {}
            None => found.add(&self.with_host),
            Some(Host::Ip(ip)) => {
                found.add(&self.with_range);
                let mut digest = Digest(START);
                // It never fails to be written.
                let _ = write!(digest, "{ip}");
                found.add_keyed(&self.hosts, last(digest.0));
            }
            Some(Host::Name(name)) => {
                let mut rest = Some(&**name);
                while let Some(suffix) = rest {
                    found.add_keyed(&self.hosts, folded(suffix));
                    rest = suffix.split_once('.').map(|(_, parent)| parent);
                }
            }
        }
    }
}

/// Rules come in order, so a rule that is there already is the last.
fn put(rules: &mut Vec<u32>, at: u32) {
    if rules.last() != Some(&at) {
        rules.push(at);
    }
}

/// The hosts that a rule is about, `None` for ranges of them; `None` altogether if it may be about any.
fn hosts_of(matcher: &Matcher) -> Option<Vec<Option<&str>>> {
    if matcher.host.is_empty() {
        let of_urls: Option<Vec<_>> = matcher.url.iter().map(|url| url.host().map(Some)).collect();
        return of_urls.filter(|hosts| !hosts.is_empty());
    }
    let each = matcher.host.iter().map(|pattern| match pattern {
        HostPattern::Named(name) => Some(name.as_str()),
        HostPattern::Range(_) => None,
    });
    Some(each.collect())
}

/// Where each of the rule's path patterns can only match; `None` if one of them could anywhere.
fn places_of(matcher: &Matcher) -> Option<Vec<u64>> {
    let place = |pattern: &PathPattern| {
        let [first, second] = places(pattern.literal.chars(), pattern.is_plain);
        second.or(first)
    };
    let places: Option<Vec<u64>> = matcher.path.iter().map(place).collect();
    places.filter(|places| !places.is_empty())
}

/// Digests of a path's first segment and of its first two.
type Places = [Option<u64>; 2];

/// Those of `path`. What follows the last slash is a segment only of a whole path.
fn places(path: impl Iterator<Item = char>, whole: bool) -> Places {
    let mut found = [None, None];
    let mut free = found.iter_mut();
    let mut digest = START;
    let mut length = 0;
    for c in path {
        if c == '/' && length > 0 {
            let Some(slot) = free.next() else { return found };
            *slot = Some(last(digest));
        }
        digest = step(digest, u32::from(lower(c)));
        length += 1;
    }
    if let Some(slot) = free.next().filter(|_| whole && length > 0) {
        *slot = Some(last(digest));
    }
    found
}

/// A digest of `text`, case aside (FNV-1a over its letters, and a last round so that all bits count).
fn folded(text: &str) -> u64 {
    last(text.chars().fold(START, |digest, c| step(digest, u32::from(lower(c)))))
}

/// A digest of what is written to it, as [`folded`] makes one of a text.
struct Digest(u64);

impl std::fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 = text.chars().fold(self.0, |digest, c| step(digest, u32::from(lower(c))));
        Ok(())
    }
}

const START: u64 = 0xcbf2_9ce4_8422_2325;

const fn last(digest: u64) -> u64 {
    digest ^ (digest >> 32)
}

const fn step(digest: u64, value: u32) -> u64 {
    (digest ^ value as u64).wrapping_mul(0x0000_0100_0000_01b3)
}

/// How many lists of rules are merged as they are; an action with more kinds of effects than that has its
/// candidates gathered as a set.
const LISTS: usize = 12;

/// The numbers of rules, each once, in order.
#[derive(Debug, Default)]
pub(super) struct Candidates<'i> {
    lists: [&'i [u32]; LISTS],
    used: usize,
    /// The rest, a bit for each rule.
    more: Vec<u64>,
    /// From which word on they are still to come.
    word: usize,
}

impl<'i> Candidates<'i> {
    fn add_keyed(&mut self, keyed: &'i Keyed, key: u64) {
        if let Some(rules) = keyed.get(&key) {
            self.add(rules);
        }
    }

    fn add(&mut self, rules: &'i [u32]) {
        let known = self.lists.iter().take(self.used).any(|list| std::ptr::eq(*list, rules));
        if rules.is_empty() || known {
            return;
        }
        if let Some(free) = self.lists.get_mut(self.used) {
            *free = rules;
            self.used += 1;
            return;
        }
        for rule in rules {
            let word = *rule as usize / 64;
            if self.more.len() <= word {
                self.more.resize(word + 1, 0);
            }
            if let Some(bits) = self.more.get_mut(word) {
                *bits |= 1 << (rule % 64);
            }
        }
    }

    /// The first of `more`.
    fn first_of_more(&mut self) -> Option<u32> {
        while let Some(bits) = self.more.get(self.word) {
            if *bits != 0 {
                return u32::try_from(self.word * 64).ok()?.checked_add(bits.trailing_zeros());
            }
            self.word += 1;
        }
        None
    }
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let more = self.first_of_more();
        let heads = self.lists.iter().take(self.used).filter_map(|list| list.first().copied());
        let least = heads.chain(more).min()?;
        for list in self.lists.iter_mut().take(self.used) {
            if let Some((first, rest)) = list.split_first()
                && *first == least
            {
                *list = rest;
            }
        }
        if more == Some(least)
            && let Some(bits) = self.more.get_mut(self.word)
        {
            *bits &= *bits - 1;
        }
        usize::try_from(least).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_come_in_order_and_once_however_many_lists_there_are() {
        for count in [1usize, 3, LISTS, 40] {
            let lists: Vec<Vec<u32>> =
                (0..count).map(|list| (0..300u32).filter(|n| n % (list as u32 + 2) == 1).collect()).collect();
            let mut found = Candidates::default();
            lists.iter().chain(&lists).for_each(|list| found.add(list));
            let mut expected: Vec<usize> = lists.iter().flatten().map(|n| *n as usize).collect();
            expected.sort_unstable();
            expected.dedup();
            assert_eq!(found.collect::<Vec<_>>(), expected, "{count} lists");
        }
    }
}
