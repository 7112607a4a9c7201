//! An expression taken apart: alternatives that are tried one by one, each only where a word stands without which it
//! cannot match. One automaton of all alternatives has so many states that it never has the next one ready
//! (measured: milliseconds for one command); those of single alternatives are small.
//!
//! What an expression fits stays the same but beyond ASCII. Text is normalised before it is looked into, so that
//! spaces and digits of other scripts do not occur; letters of other scripts are all one.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look, Repetition};

use super::words::{all, needed, worth};
use super::{DFA_SIZE, REGEX_SIZE};

/// The most alternatives that are told apart; an expression with more is tried whole.
const MOST: usize = 256;

/// From how many alternatives on in the middle of an expression each is tried by itself.
const WIDE: usize = 4;

/// A class with so many characters beyond ASCII has all of them.
const MANY: u32 = 100_000;

/// How an expression is tried.
#[derive(Debug)]
pub(super) struct Plan {
    branches: Vec<Branch>,
    /// The words, if there are any.
    words: Option<AhoCorasick>,
    /// For each word the alternatives that need it.
    branches_of: Vec<Vec<usize>>,
    /// Alternatives that need no word.
    always: Vec<usize>,
}

/// One alternative.
#[derive(Debug)]
struct Branch {
    pattern: String,
    /// Whether its words are all there is to it.
    whole: bool,
    regex: OnceLock<Option<Regex>>,
}

impl Branch {
    /// `None` never comes: what it is part of was compiled.
    fn regex(&self) -> Option<&Regex> {
        let build =
            || RegexBuilder::new(&self.pattern).size_limit(REGEX_SIZE).dfa_size_limit(DFA_SIZE).build().ok();
        self.regex.get_or_init(build).as_ref()
    }
}

/// What has been tried of [`MOST`] alternatives.
#[derive(Default)]
struct Tried([u64; MOST / 64]);

impl Tried {
    /// Whether this is the first time.
    fn first(&mut self, branch: usize) -> bool {
        let Some(word) = self.0.get_mut(branch / 64) else { return true };
        let bit = 1 << (branch % 64);
        let first = *word & bit == 0;
        *word |= bit;
        first
    }
}

impl Plan {
    /// `None` if `pattern` is no expression.
    pub(super) fn of(pattern: &str) -> Option<Self> {
        let hir = read(pattern)?;
        let mut found = branches(&hir);
        if found.len() > MOST {
            found = vec![hir];
        }
        let (mut words, mut branches_of, mut always) =
            (Vec::<Vec<u8>>::new(), Vec::<Vec<usize>>::new(), Vec::new());
        let mut known = std::collections::HashMap::new();
        let mut branches = Vec::with_capacity(found.len());
        for hir in &found {
            let at = branches.len();
            match needed(hir) {
                None => always.push(at),
                Some(texts) => {
                    for text in texts {
                        let index = *known.entry(text).or_insert_with_key(|text: &Vec<u8>| {
                            words.push(text.clone());
                            branches_of.push(Vec::new());
                            words.len() - 1
                        });
                        branches_of.get_mut(index).into_iter().for_each(|of| of.push(at));
                    }
                }
            }
            let whole = all(hir).is_some_and(|all| all.plain && worth(&all.texts) > 0);
            branches.push(Branch { pattern: hir.to_string(), whole, regex: OnceLock::new() });
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&words);
        let words = if words.is_empty() { None } else { Some(automaton.ok()?) };
        Some(Self { branches, words, branches_of, always })
    }

    /// What its alternatives are compiled from.
    #[cfg(test)]
    pub(super) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.branches.iter().map(|branch| branch.pattern.as_str())
    }

    /// The first match that is found and that `keep` keeps; of each alternative `tries` are tried.
    pub(super) fn find(
        &self,
        text: &str,
        tries: usize,
        keep: &dyn Fn(&str) -> bool,
    ) -> Option<(usize, usize)> {
        let of_words = || self.words.as_ref().and_then(|words| self.find_by_words(words, text, tries, keep));
        self.always.iter().find_map(|branch| self.attempt(*branch, text, tries, keep)).or_else(of_words)
    }

    fn find_by_words(
        &self,
        words: &AhoCorasick,
        text: &str,
        tries: usize,
        keep: &dyn Fn(&str) -> bool,
    ) -> Option<(usize, usize)> {
        let (mut tried, mut left) = (Tried::default(), tries);
        let mut untried = self.branches.len() - self.always.len();
        for hit in words.find_overlapping_iter(text) {
            for at in self.branches_of.get(hit.pattern().as_usize()).into_iter().flatten() {
                let whole = self.branches.get(*at).is_some_and(|branch| branch.whole);
                let first = tried.first(*at);
                untried -= usize::from(first);
                if whole && left > 0 {
                    left -= 1;
                    if keep(text.get(hit.range()).unwrap_or_default()) {
                        return Some((hit.start(), hit.end()));
                    }
                } else if !whole
                    && first
                    && let Some(found) = self.attempt(*at, text, tries, keep)
                {
                    return Some(found);
                }
            }
            if untried == 0 && left == 0 {
                break;
            }
        }
        None
    }

    fn attempt(
        &self,
        branch: usize,
        text: &str,
        tries: usize,
        keep: &dyn Fn(&str) -> bool,
    ) -> Option<(usize, usize)> {
        let Some(regex) = self.branches.get(branch).and_then(Branch::regex) else {
            return Some((0, text.len()));
        };
        let mut found = regex.find_iter(text).take(tries);
        found.find(|found| keep(found.as_str())).map(|found| (found.start(), found.end()))
    }
}

/// Reads an expression: without groups, and simple beyond ASCII.
pub(super) fn read(pattern: &str) -> Option<Hir> {
    regex_syntax::parse(pattern).ok().map(simplified)
}

fn simplified(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(Class::Unicode(class)) => Hir::class(Class::Unicode(simple_class(class))),
        HirKind::Class(class) => Hir::class(class),
        // A boundary between letters of other scripts cannot be found by an automaton that runs over bytes.
        HirKind::Look(Look::WordUnicode) => Hir::look(Look::WordAscii),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Repetition(Repetition { min, max, greedy, sub }) => {
            Hir::repetition(Repetition { min, max, greedy, sub: Box::new(simplified(*sub)) })
        }
        HirKind::Capture(capture) => simplified(*capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(simplified).collect()),
        HirKind::Alternation(arms) => Hir::alternation(arms.into_iter().map(simplified).collect()),
    }
}

fn simple_class(mut class: ClassUnicode) -> ClassUnicode {
    if class.is_ascii() {
        return class;
    }
    let beyond = ClassUnicode::new([ClassUnicodeRange::new('\u{80}', char::MAX)]);
    let mut there = class.clone();
    there.intersect(&beyond);
    let count: u32 = there.iter().map(|range| u32::from(range.end()) - u32::from(range.start()) + 1).sum();
    if count >= MANY {
        class.union(&beyond);
        return class;
    }
    // The long s and the sign for Kelvin are letters of no word; normalisation makes them plain.
    let fold = [('s', '\u{17f}'), ('k', '\u{212a}')].map(|(_, c)| ClassUnicodeRange::new(c, c));
    class.difference(&ClassUnicode::new(fold));
    for kind in [r"\s", r"\d"] {
        let Some(Class::Unicode(mut other)) = class_of(kind) else { continue };
        other.intersect(&beyond);
        let mut both = class.clone();
        both.intersect(&other);
        if both == other {
            class.difference(&other);
        }
    }
    class
}

fn class_of(pattern: &str) -> Option<Class> {
    match regex_syntax::parse(pattern).ok()?.into_kind() {
        HirKind::Class(class) => Some(class),
        _ => None,
    }
}

/// The alternatives of an expression.
fn branches(hir: &Hir) -> Vec<Hir> {
    match hir.kind() {
        HirKind::Alternation(arms) => arms.iter().flat_map(branches).collect(),
        HirKind::Concat(parts) => match telling(parts) {
            Some((before, arms, after)) => {
                let with = |arm: &Hir| Hir::concat([before, std::slice::from_ref(arm), after].concat());
                arms.iter().map(with).collect()
            }
            None => vec![hir.clone()],
        },
        _ => vec![hir.clone()],
    }
}

/// Alternatives in the middle of an expression whose words say more than those around them, and what is around them.
fn telling(parts: &[Hir]) -> Option<(&[Hir], &[Hir], &[Hir])> {
    let cut = |at: usize| {
        let part = parts.get(at)?;
        let HirKind::Alternation(arms) = part.kind() else { return None };
        let (before, rest) = parts.split_at_checked(at)?;
        let (_, after) = rest.split_first()?;
        let own = needed(part).map_or(0, |texts| worth(&texts));
        let around = [before, after].map(|parts| needed(&Hir::concat(parts.to_vec())));
        let others = around.iter().flatten().map(|texts| worth(texts)).max().unwrap_or_default();
        (arms.len() >= WIDE && own > others).then(|| (arms.len(), (before, &**arms, after)))
    };
    (0..parts.len()).filter_map(cut).max_by_key(|(width, _)| *width).map(|(_, cut)| cut)
}
