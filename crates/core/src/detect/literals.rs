//! The literals of everything that looks into text, each once: one pass finds those of rules, of credentials and of
//! text that speaks to the model.

use std::collections::{BTreeMap, HashSet};

use super::spot::{Literal, Spot, Spotter};
use super::{injection, secrets};
use crate::pace::Pace;

/// To whom a literal belongs.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners {
    /// Text conditions of rules.
    pub(super) rules: Vec<usize>,
    /// What it stands for among credentials.
    pub(super) secrets: Vec<secrets::Owner>,
    /// What it stands for in text that speaks to the model.
    pub(super) injection: Vec<injection::Owner>,
}

/// Literals as they are collected.
#[derive(Debug, Default)]
pub(super) struct Draft {
    kept: BTreeMap<(String, bool), (injection::Wanted, Owners)>,
}

impl Draft {
    /// The owners of a literal that may stand anywhere.
    pub(super) fn anywhere(&mut self, text: &str) -> &mut Owners {
        self.owners(injection::Wanted::anywhere(text))
    }

    /// The owners of a literal, kept now if it was not before. What stands as words is kept apart from what stands
    /// anywhere.
    pub(super) fn owners(&mut self, wanted: injection::Wanted) -> &mut Owners {
        let text = wanted.text.to_ascii_lowercase();
        let (kept, owners) = self
            .kept
            .entry((text.clone(), wanted.words))
            .or_insert_with(|| (injection::Wanted { text, ..wanted.clone() }, Owners::default()));
        (kept.within, kept.open) = (kept.within || wanted.within, kept.open || wanted.open);
        owners
    }

    /// # Errors
    /// What is wrong with the literals, in words.
    pub(super) fn compile(self) -> Result<Literals, String> {
        let shared = |(_, owners): &(_, Owners)| !owners.rules.is_empty() || !owners.secrets.is_empty();
        let (mut kept, own): (Vec<_>, Vec<_>) = self.kept.into_values().partition(shared);
        let count = kept.len();
        kept.extend(own);
        let find = |kept: &[(injection::Wanted, Owners)]| {
            Spotter::new(kept.iter().map(|(wanted, _)| Literal {
                text: &wanted.text,
                within: wanted.within,
                open: wanted.open,
                words: wanted.words,
            }))
        };
        let (all, shared) = (find(&kept)?, find(kept.get(..count).unwrap_or_default())?);
        let (wanted, owners): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
        Ok(Literals { all, shared, texts: wanted.into_iter().map(|wanted| wanted.text).collect(), owners })
    }
}

/// All literals, with their owners.
#[derive(Debug)]
pub(super) struct Literals {
    all: Spotter,
    /// Finds those of rules and credentials alone, under the same numbers.
    shared: Spotter,
    texts: Vec<String>,
    owners: Vec<Owners>,
}

impl Literals {
    /// Gives `found` each literal in `text` with its owners.
    pub(super) fn each(&self, text: &str, pace: &Pace<'_>, mut found: impl FnMut(&Owners, Spot)) {
        self.all.each_in_steps(text, pace, |spot| {
            if let Some(owners) = self.owners.get(spot.literal) {
                found(owners, spot);
            }
        });
    }

    /// Gives `found` those of rules and credentials.
    pub(super) fn each_shared(&self, text: &str, pace: &Pace<'_>, mut found: impl FnMut(&Owners, Spot)) {
        self.shared.each_in_steps(text, pace, |spot| {
            if let Some(owners) = self.owners.get(spot.literal) {
                found(owners, spot);
            }
        });
    }

    /// The literals, in lower case, each once.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let mut seen = HashSet::new();
        self.texts.iter().map(String::as_str).filter(move |text| seen.insert(*text))
    }
}
