//! What a person asks about artefacts: which there are, what brought one, since when and through which steps.

use std::collections::BTreeSet;

use super::{Kind, Known, Mark, Workspace, literals};
use crate::action::{Source, Target, asset};
use crate::session::Millis;

/// The most steps told of how an artefact came to be.
const MOST_STEPS: usize = 8;

/// The most artefacts that one text stands for: a command line of many pieces.
const MOST_LOOKED: usize = 64;

/// What a person may name. With a URL comes its host.
const KINDS: [Kind; 8] =
    [Kind::Url, Kind::Path, Kind::Command, Kind::File, Kind::Tree, Kind::Copy, Kind::Text, Kind::Tool];

/// One step of how an artefact came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it is.
    pub kind: Kind,
    /// What kind of content brought it.
    pub source: Source,
    /// The tool that did.
    pub by: String,
    /// From where, masked.
    pub place: String,
    /// When it was seen first, in milliseconds since the Unix epoch.
    pub first: Millis,
    /// When it was seen last.
    pub last: Millis,
    /// How many agents have seen it, up to four.
    pub agents: usize,
}

/// What is known of what a person names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// What it is itself, in the order of [`Kind::ALL`] as far as it is known as several kinds.
    pub itself: Vec<Mark>,
    /// The host of a URL, if that is known too: it taints every URL there.
    pub host: Option<Mark>,
}

/// The name of an artefact that gives nothing away: 16 hexadecimal digits.
#[must_use]
pub fn id(mark: Mark) -> String {
    format!("{mark:016x}")
}

/// The artefact of this name.
#[must_use]
pub fn parse_id(text: &str) -> Option<Mark> {
    let plain = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| Mark::from_str_radix(text, 16).ok()).flatten()
}

impl Workspace {
    /// By what, since when and through which steps `artefact` came here: the first step is the artefact itself, each
    /// further one what the one before was made of. Empty if nothing untrusted has brought it.
    #[must_use]
    pub fn explain(&self, kind: Kind, artefact: &str) -> Vec<Step> {
        self.steps(self.mark_of(kind, artefact))
    }

    /// The artefact as [`Workspace::explain`] takes it.
    #[must_use]
    pub fn mark_of(&self, kind: Kind, artefact: &str) -> Mark {
        let mut mark = None;
        self.spelled(kind, artefact, &mut |of, text| {
            if of == kind && mark.is_none() {
                mark = Some(self.key.mark(kind, text));
            }
        });
        mark.unwrap_or_else(|| self.key.mark(kind, artefact))
    }

    /// What is known of `artefact`, which a person wrote: its [`id`], or a URL, a host, a path, a command line, a tool's name
    /// or a text. Everything that it may stand for.
    #[must_use]
    pub fn look_up(&self, artefact: &str) -> Looked {
        if let Some(mark) = parse_id(artefact).filter(|mark| self.marks.contains_key(mark)) {
            return Looked { itself: vec![mark], host: None };
        }
        let (mut found, mut seen, mut is_url) = (Looked::default(), BTreeSet::new(), false);
        let artefact = artefact.trim();
        // A command line that ends in a URL is no URL.
        let one_word = !artefact.contains(char::is_whitespace);
        for kind in KINDS.into_iter().filter(|kind| one_word || *kind != Kind::Url) {
            self.spelled(kind, artefact, &mut |of, text| {
                is_url |= of == Kind::Url;
                let mark = self.key.mark(of, text);
                if seen.len() >= MOST_LOOKED || !self.marks.contains_key(&mark) || !seen.insert(mark) {
                    return;
                }
                if of == Kind::Host && is_url { found.host = Some(mark) } else { found.itself.push(mark) }
            });
        }
        found
    }

    /// Those seen last, at most `most`, the latest first; of `agent` alone if one is named.
    #[must_use]
    pub fn latest(&self, agent: Option<&str>, most: usize) -> Vec<(Mark, Step)> {
        let agent = agent.map(|agent| self.key.mark(Kind::Agent, agent));
        let of_agent = |known: &Known| agent.is_none_or(|agent| known.agents.contains(&agent));
        let all = self.order.iter().rev().filter_map(|(_, mark)| Some((*mark, self.marks.get(mark)?)));
        all.filter(|(_, known)| of_agent(known)).take(most).map(|(mark, known)| (mark, step(known))).collect()
    }

    /// The steps that led to an artefact.
    #[must_use]
    pub fn steps(&self, mark: Mark) -> Vec<Step> {
        let (mut steps, mut next, mut seen) = (Vec::new(), vec![mark], BTreeSet::new());
        while let Some(mark) = next.pop() {
            if steps.len() >= MOST_STEPS || !seen.insert(mark) {
                continue;
            }
            let Some(known) = self.marks.get(&mark) else { continue };
            steps.push(step(known));
            next.extend(known.origin.parents.iter().rev());
        }
        steps
    }

    /// Shows `artefact` to `visit` in the spelling in which artefacts of this kind are compared. With a URL comes its host.
    fn spelled(&self, kind: Kind, artefact: &str, visit: &mut dyn FnMut(Kind, &str)) {
        match kind {
            Kind::Url | Kind::Host => literals::of_target(&Target::Url(artefact.to_owned()), visit),
            Kind::Path | Kind::File | Kind::Tree | Kind::Copy => {
                visit(kind, &asset::normalise_path(artefact))
            }
            Kind::Command => literals::commands(artefact, visit),
            Kind::Text | Kind::Tool | Kind::Value | Kind::Agent | Kind::Call => visit(kind, artefact),
        }
    }
}

fn step(known: &Known) -> Step {
    Step {
        kind: known.kind,
        source: known.origin.source,
        by: known.origin.by.to_string(),
        place: known.origin.place.to_string(),
        first: known.first,
        last: known.last,
        agents: known.agents.len(),
    }
}
