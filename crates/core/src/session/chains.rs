//! Chains: what several actions of one session do together, as data (`chains/shipped.yaml`; `docs/reference/taint-and-chains.md`
//! says what each key means).
//!
//! A chain is a list of steps in their order, or, if it says so, in any order before the last. It is looked for from its
//! last step backwards, and only where the present action is that step: a chain that was completed once says nothing of
//! what comes after it. The cost is one walk over the journal for each step of a chain whose last step fits.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::Millis;
use super::journal::{Among, Event, Flags, MOST_OF_EVENT};
use super::taint::Mark;
use crate::decision::Verdict;
use crate::detect::destination::Classes;
use crate::syntax::{Diagnostic, Source};

mod decode;

#[cfg(test)]
mod tests;

/// The shipped chains.
pub const SHIPPED: &str = include_str!("chains/shipped.yaml");

/// The most steps of a chain.
const MOST_STEPS: usize = 6;

/// How many effects of one action are tried as the end of a chain whose steps have no order.
const MOST_ENDS: usize = 4;

/// The most chains of a set.
const MOST_CHAINS: usize = 128;

/// A compiled set of chains.
#[derive(Debug, Default)]
pub struct Chains {
    chains: Vec<Arc<Chain>>,
}

/// One chain.
#[derive(Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its id, such as `fetch-write-execute`.
    pub id: String,
    /// How bad, 0 to 100.
    pub severity: u8,
    /// What it asks for in the profile `balanced`.
    pub balanced: Verdict,
    /// What it asks for in the profile `strict`.
    pub strict: Verdict,
    /// What was seen, for a person.
    pub description: String,
    /// What to do instead.
    pub advice: String,
    /// MITRE ATT&CK techniques.
    pub attack: Vec<String>,
    /// How long before its last step the first may lie, in milliseconds.
    pub window: Millis,
    /// After how long a hit counts half.
    pub half_life: Millis,
    /// Whether the steps before the last may come in any order.
    any_order: bool,
    steps: Vec<Step>,
    /// Playbooks that complete it with their last action.
    pub examples: Vec<Vec<Play>>,
    /// Playbooks that do not complete it.
    pub near_misses: Vec<Vec<Play>>,
}

/// One line of a playbook beside a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Play {
    /// A person types this.
    Typed(String),
    /// The agent is asked by its model to run this line in its shell.
    Command(String),
    /// It is asked to make this call: an object with `name` and `arguments`.
    Call(String),
    /// What the call before gave back.
    Result(String),
    /// So many milliseconds go by.
    Wait(Millis),
    /// It runs this line every day, until it is known for it.
    Learned(String),
}

/// What one step of a chain is. Empty sets fit everything.
#[derive(Debug, Default, PartialEq, Eq)]
struct Step {
    name: String,
    capabilities: u32,
    assets: u32,
    sources: u32,
    flags: Flags,
    /// One of these is enough.
    novel: Vec<Flags>,
    without: Vec<Flags>,
    places: Option<Classes>,
    by: Vec<String>,
    /// The step with which it has an artefact in common: the one before, or any if the order is free.
    shares: Option<String>,
    /// How long after the step before it comes at most.
    within: Option<Millis>,
    /// How long after the step before it comes at least; of a last step.
    after: Millis,
    /// How old the session is at least; of a last step.
    dwell: Millis,
}

impl Step {
    /// Whether one of several events may fit.
    const fn may_fit(&self, among: Among) -> bool {
        (self.capabilities == 0 || self.capabilities & among.capabilities != 0)
            && (self.assets == 0 || self.assets & among.assets != 0)
            && among.flags.has(self.flags)
    }

    fn fits(&self, event: &Event) -> bool {
        let among = |set: u32, at: u32| set == 0 || set & (1 << at) != 0;
        among(self.capabilities, event.capability as u32)
            && among(self.assets, event.asset as u32)
            && among(self.sources, event.source as u32)
            && event.flags.has(self.flags)
            && !self.without.iter().any(|flags| event.flags.has(*flags))
            && (self.novel.is_empty() || self.novel.iter().any(|flags| event.flags.has(*flags)))
            && self.places.is_none_or(|places| event.places.meets(places))
            && (self.by.is_empty() || self.by.iter().any(|by| by.eq_ignore_ascii_case(&event.by)))
    }
}

/// A chain that the present action would complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Which.
    pub chain: Arc<Chain>,
    /// Its artefacts, the first few.
    pub marks: Vec<Mark>,
    /// What its steps were done by, in their order, and how long ago, in milliseconds.
    pub steps: Vec<(String, Millis)>,
}

impl Chains {
    /// Compiles chains from `sources`.
    ///
    /// # Errors
    /// All faults in all sources; nothing is loaded if there is one.
    pub fn compile(sources: &[Source<'_>]) -> Result<Self, Vec<Diagnostic>> {
        decode::chains(sources)
    }

    /// The shipped chains. A test keeps what is shipped free of faults.
    #[must_use]
    pub fn shipped() -> Arc<Self> {
        static SET: OnceLock<Arc<Chains>> = OnceLock::new();
        let source = Source { name: "chains", text: SHIPPED };
        Arc::clone(SET.get_or_init(|| Arc::new(Self::compile(&[source]).unwrap_or_default())))
    }

    /// The chains, in the order of their sources.
    #[must_use]
    pub fn all(&self) -> &[Arc<Chain>] {
        &self.chains
    }

    /// The chains that the action of `own` would complete after `before`, which are in their order.
    /// `among` are those before.
    pub(super) fn completed(
        &self,
        before: &[&Event],
        among: Among,
        own: &[Event],
        began: Millis,
    ) -> Vec<Completed> {
        let Some(now) = own.iter().map(|event| event.at).max() else { return Vec::new() };
        let among = own.iter().fold(among, Among::with);
        let mut all: Vec<&Event> = Vec::new();
        let mut found = Vec::new();
        for chain in &self.chains {
            let Some((last, earlier)) = chain.steps.split_last() else { continue };
            let old = last.dwell == 0 || began > 0 && now.saturating_sub(began) >= last.dwell;
            let may = earlier.iter().all(|step| step.may_fit(among));
            if !old || !may || !own.iter().any(|event| last.fits(event)) {
                continue;
            }
            if all.is_empty() {
                all = before.iter().copied().chain(own).collect();
            }
            let steps = if chain.any_order {
                chain.in_any_order(&all, before.len(), now)
            } else {
                chain.in_order(&all, before.len(), now)
            };
            if let Some(steps) = steps {
                found.push(chain.complete(&steps, now));
            }
        }
        found
    }
}

impl Chain {
    fn complete(self: &Arc<Self>, steps: &[&Event], now: Millis) -> Completed {
        let mut marks: Vec<Mark> = Vec::new();
        for mark in steps.iter().rev().flat_map(|event| &event.marks) {
            if marks.len() < MOST_OF_EVENT && !marks.contains(mark) {
                marks.push(*mark);
            }
        }
        let told = |event: &&Event| (event.by.to_string(), now.saturating_sub(event.at));
        Completed { chain: Arc::clone(self), marks, steps: steps.iter().map(told).collect() }
    }

    /// The steps before the last, each the latest that fits, and the last.
    fn in_any_order<'e>(&self, all: &[&'e Event], own: usize, now: Millis) -> Option<Vec<&'e Event>> {
        let (last, before) = self.steps.split_last()?;
        let recent = |event: &&&Event| now.saturating_sub(event.at) <= self.window;
        all.iter().skip(own).filter(|event| last.fits(event)).take(MOST_ENDS).find_map(|end| {
            let shared = |step: &Step, event: &Event| {
                last.shares.as_deref() != Some(step.name.as_str())
                    || event.marks.iter().any(|mark| end.marks.contains(mark))
            };
            let latest = |step: &Step| {
                let mut fitting = all.iter().rev().filter(recent).filter(|event| step.fits(event));
                fitting.find(|event| shared(step, event)).copied()
            };
            let mut steps: Vec<&Event> = before.iter().map(latest).collect::<Option<_>>()?;
            steps.push(end);
            Some(steps)
        })
    }

    /// Events that are the steps, one after the other. Of each event that could be a step only the nearest that can
    /// follow it counts: it leaves the most time, so what it cannot complete no other can.
    fn in_order<'e>(&self, all: &[&'e Event], own: usize, now: Millis) -> Option<Vec<&'e Event>> {
        let last = self.steps.last()?;
        // What can follow, the latest first.
        let mut following: Vec<usize> =
            (own..all.len()).rev().filter(|at| all.get(*at).is_some_and(|event| last.fits(event))).collect();
        let mut ways: Vec<HashMap<usize, usize>> = Vec::new();
        for pair in self.steps.windows(2).rev() {
            let [step, next] = pair else { continue };
            let (mut fitting, mut way) = (Vec::new(), HashMap::new());
            let (mut nearest, mut by_mark) = (None, HashMap::<Mark, usize>::new());
            let mut waiting = following.iter().copied().peekable();
            for (at, event) in all.iter().enumerate().rev() {
                while let Some(after) = waiting.next_if(|after| *after > at) {
                    nearest = Some(after);
                    if next.shares.is_some() {
                        let marks = all.get(after).map(|event| event.marks.as_slice()).unwrap_or_default();
                        by_mark.extend(marks.iter().map(|mark| (*mark, after)));
                    }
                }
                if now.saturating_sub(event.at) > self.window || !step.fits(event) {
                    continue;
                }
                let after = if next.shares.is_some() {
                    event.marks.iter().filter_map(|mark| by_mark.get(mark)).min().copied()
                } else {
                    nearest
                };
                let gap = |after: &usize| {
                    all.get(*after).map_or(Millis::MAX, |later| later.at.saturating_sub(event.at))
                };
                let fits = |after: &usize| {
                    gap(after) >= next.after && next.within.is_none_or(|within| gap(after) <= within)
                };
                if let Some(after) = after.filter(fits) {
                    fitting.push(at);
                    way.insert(at, after);
                }
            }
            if fitting.is_empty() {
                return None;
            }
            following = fitting;
            ways.push(way);
        }
        let mut at = *following.first()?;
        let mut steps = vec![*all.get(at)?];
        for way in ways.iter().rev() {
            at = *way.get(&at)?;
            steps.push(*all.get(at)?);
        }
        Some(steps)
    }
}
