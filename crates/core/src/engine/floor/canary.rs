//! Planted decoys: who reads, copies, changes or sends one. Who only sees that it is there is noted.

use std::sync::Arc;

use super::Case;
use super::along::{self, COPYING, TAKING};
use super::commands::base_name;
use super::home::LOOKING;
use super::spelling::{Spelling, fits, split};
use crate::action::asset::is_relative;
use crate::action::shell::{SimpleCommand, Word, join_literals};
use crate::action::{Capability, Effect, Target};
use crate::decision::{Layer, Reason, Verdict};
use crate::detect::Finding;
use crate::detect::canary::{PATH, Place, is_content};

/// The decoys, as their places are compared.
#[derive(Debug, Default)]
pub(in crate::engine) struct Planted {
    spelling: Option<Spelling>,
    all: Vec<Decoy>,
}

#[derive(Debug)]
struct Decoy {
    name: Arc<str>,
    /// Its names from the root, in lower case.
    names: Vec<String>,
}

/// What somebody does to a decoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Touch {
    /// Learns that it is there, or changes nothing but who may read it.
    Sees,
    /// Reads, copies, changes, removes or sends it.
    Takes,
}

/// Programs and tools that say that a file is there, and change no more than who may read it.
const SEEING: [&str; 38] = [
    "ls",
    "dir",
    "ll",
    "exa",
    "eza",
    "lsd",
    "gci",
    "get-childitem",
    "tree",
    "du",
    "stat",
    "file",
    "test",
    "[",
    "[[",
    "test-path",
    "get-item",
    "get-acl",
    "icacls",
    "getfacl",
    "chmod",
    "chown",
    "chgrp",
    "touch",
    "realpath",
    "readlink",
    "dirname",
    "basename",
    "cd",
    "pushd",
    "set-location",
    "mkdir",
    "which",
    "glob",
    "list",
    "list_directory",
    "find",
    "fd",
];

/// Programs and tools that say what a text holds, file by file.
const SEARCHING: [&str; 12] =
    ["grep", "egrep", "fgrep", "zgrep", "rg", "ag", "ack", "ugrep", "findstr", "sls", "select-string", "git"];

/// Programs that only say their words.
const SAYING: [&str; 2] = ["echo", "printf"];

/// The longest text of a tool that can be a path, in bytes.
const LONGEST_PATH: usize = 1024;

impl Planted {
    pub(super) fn new(places: &[Place], spelling: &Spelling) -> Self {
        let decoy = |place: &Place| Decoy {
            name: Arc::clone(&place.name),
            names: split(&spelling.of_own(&place.path)).map(str::to_owned).collect(),
        };
        let all = places.iter().map(decoy).filter(|decoy| decoy.names.len() > 1).collect();
        Self { spelling: Some(spelling.clone()), all }
    }

    /// The reason, if a decoy is touched: the worst that is done to any.
    pub(super) fn touched(&self, case: &Case<'_>) -> Option<Reason> {
        if self.all.is_empty() {
            return None;
        }
        let by_effects = case.effects.iter().filter_map(|effect| self.by_effect(effect));
        let by_words = case.readings.iter().flat_map(|reading| {
            let alone = reading.commands.len() == 1;
            reading.commands.iter().filter_map(move |command| self.by_words(command, alone))
        });
        let by_variables = case.readings.iter().flat_map(|reading| {
            reading
                .assignments
                .iter()
                .filter(|set| set.exported)
                .filter_map(|set| self.by_variable(set.value.as_deref()?))
        });
        let by_code = case.loose_text().filter_map(|text| self.by_code(text));
        let by_value = case.strings.iter().filter_map(|value| self.by_value(value));
        let worst = by_effects
            .chain(by_words)
            .chain(by_variables)
            .chain(by_code)
            .chain(by_value)
            .max_by_key(|(touch, _)| *touch);
        worst.map(|(touch, decoy)| decoy.reason(touch))
    }

    fn by_effect(&self, effect: &Effect) -> Option<(Touch, &Decoy)> {
        let Target::Path { path, exact } = &effect.target else { return None };
        let by = effect.by.to_lowercase();
        let seeing = SEEING.contains(&by.as_str());
        if let Some((sure, decoy)) = self.at(path, *exact) {
            let touch = if seeing || !sure { Touch::Sees } else { Touch::Takes };
            return Some((touch, decoy));
        }
        // What of a directory is taken is all that lies below it.
        let decoy = self.below(path, *exact)?;
        let by = by.as_str();
        let taken = match effect.capability {
            Capability::DeleteFile => true,
            Capability::ReadFile => COPYING.contains(&by) || TAKING.contains(&by) || by == "mv",
            _ => false,
        };
        let searched = effect.capability == Capability::ReadFile && SEARCHING.contains(&by);
        match (taken, searched) {
            (true, _) => Some((Touch::Takes, decoy)),
            // To search all of the home directory is odd, and looks for no decoy.
            (false, true) if self.is_wide(path) => Some((Touch::Sees, decoy)),
            (false, true) => Some((Touch::Takes, decoy)),
            (false, false) => None,
        }
    }

    /// A word that is the path of a decoy, whatever the program does with it.
    fn by_words(&self, command: &SimpleCommand, alone: bool) -> Option<(Touch, &Decoy)> {
        let (program, words) = command.argv.split_first()?;
        let name = base_name(&program.text);
        if alone && SAYING.contains(&name.as_str()) {
            return None;
        }
        if let Some(decoy) = self.taken_along(&name, words) {
            return Some((Touch::Takes, decoy));
        }
        let touch = if SEEING.contains(&name.as_str()) { Touch::Sees } else { Touch::Takes };
        let pattern = usize::from(LOOKING.contains(&name.as_str()));
        let words = words.iter().skip(pattern);
        words.chain(std::iter::once(program)).find_map(|word| {
            let pieces = word.text.split(['=', '@', ':', ',', '<', '>']).chain([word.text.as_str()]);
            let mut paths = pieces.filter(|piece| piece.contains(['/', '\\', '~', '$', '%']));
            let (_, decoy) = paths.find_map(|piece| self.at(piece, word.exact).filter(|(sure, _)| *sure))?;
            Some((touch, decoy))
        })
    }

    /// `restic backup ~/.aws`, `docker run -v ~/.ssh:/keys`
    fn taken_along(&self, name: &str, words: &[Word]) -> Option<&Decoy> {
        let within = |place: &str, exact| self.below(place, exact).or_else(|| Some(self.at(place, exact)?.1));
        let is_within = |place: &str, exact| within(place, exact).is_some();
        if !along::takes(name, words, &is_within) && !along::mounts(name, words, &is_within) {
            return None;
        }
        words.iter().find_map(|word| {
            let mut pieces = word.text.split(['=', ',', ':']).chain([word.text.as_str()]);
            pieces.find_map(|piece| within(piece, word.exact))
        })
    }

    /// `KUBECONFIG=…`: where a program is to look for its credentials.
    fn by_variable(&self, value: &str) -> Option<(Touch, &Decoy)> {
        let (_, decoy) =
            value.split([':', ';']).find_map(|path| self.at(path, true).filter(|(sure, _)| *sure))?;
        Some((Touch::Takes, decoy))
    }

    /// Code in which the names of a decoy and of its directory stand.
    fn by_code(&self, text: &str) -> Option<(Touch, &Decoy)> {
        let text = join_literals(text).to_lowercase();
        let decoy = self.all.iter().find(|decoy| decoy.is_spelled_in(&text))?;
        Some((Touch::Takes, decoy))
    }

    /// An argument of a tool nobody knows that is a path.
    fn by_value(&self, value: &str) -> Option<(Touch, &Decoy)> {
        let plain = value.len() <= LONGEST_PATH && !value.contains('\n');
        let (sure, decoy) = self.at(value, true).filter(|_| plain)?;
        sure.then_some((Touch::Takes, decoy))
    }

    /// The decoy at `path`, and whether it is sure: of a path from a directory that is not known, one name is not.
    fn at(&self, path: &str, exact: bool) -> Option<(bool, &Decoy)> {
        let normal = self.spelling.as_ref()?.normal(path);
        let names: Vec<&str> = split(&normal).collect();
        let rootless = is_relative(&normal) || normal.starts_with("${");
        let unknown = |name: &&&str| matches!(**name, ".." | "${}");
        let known = names.iter().rev().take_while(|name| !unknown(name)).count();
        let tail: Vec<&str> = names.iter().skip(names.len() - known).copied().collect();
        let suffix = |decoy: &&Decoy| {
            let own = decoy.names.iter().skip(decoy.names.len().saturating_sub(known));
            known > 0
                && known < decoy.names.len()
                && tail.iter().zip(own).all(|(name, own)| fits(name, own, exact))
        };
        if !rootless {
            let decoy = self.all.iter().find(|decoy| decoy.is_at(&names, exact))?;
            return Some((true, decoy));
        }
        // `*.bak` and `gh/*` of a project could be any file; `.ssh/*` could not.
        let is_open = |name: &&str| name.contains(['*', '?', '[', '$']);
        if tail.iter().any(is_open) && !tail.iter().any(|name| name.starts_with('.') && !is_open(name)) {
            return None;
        }
        let decoy = self.all.iter().find(suffix)?;
        Some((known >= 2, decoy))
    }

    /// A decoy below the directory `path`.
    fn below(&self, path: &str, exact: bool) -> Option<&Decoy> {
        let normal = self.spelling.as_ref()?.normal(path);
        if is_relative(&normal) || normal.starts_with("${") {
            return None;
        }
        let names: Vec<&str> = split(&normal).collect();
        let above_user = || {
            let user =
                self.spelling.as_ref().map(|spelling| spelling.user_home.to_lowercase()).unwrap_or_default();
            let own: Vec<&str> = split(&user).collect();
            names.len() < own.len() && names.iter().zip(&own).all(|(name, own)| fits(name, own, exact))
        };
        self.all.iter().find(|decoy| {
            let of_user = decoy.names.first().is_some_and(|first| first == "~");
            names.len() < decoy.names.len()
                && names.iter().zip(&decoy.names).all(|(name, own)| fits(name, own, exact))
                || of_user && above_user()
        })
    }

    /// Whether `path` is the user's home or above it.
    fn is_wide(&self, path: &str) -> bool {
        let normal = self.spelling.as_ref().map(|spelling| spelling.normal(path)).unwrap_or_default();
        split(&normal).filter(|name| *name != "~").count() == 0
            || !normal.starts_with('~') && split(&normal).count() < 2
    }
}

impl Decoy {
    fn is_at(&self, names: &[&str], exact: bool) -> bool {
        names.len() == self.names.len()
            && names.iter().zip(&self.names).all(|(name, own)| fits(name, own, exact))
    }

    /// Whether both its name and that of its directory stand in `text`, each whole.
    fn is_spelled_in(&self, text: &str) -> bool {
        let mut last = self.names.iter().rev();
        let name = last.next().is_some_and(|name| stands_in(text, name));
        let directory = last.next().filter(|directory| *directory != "~");
        name && directory.is_none_or(|directory| stands_in(text, directory))
    }

    fn reason(&self, touch: Touch) -> Reason {
        let name = &self.name;
        let (verdict, severity, message) = match touch {
            Touch::Sees => (Verdict::Audit, 40, format!("the call looks at the decoy `{name}`")),
            Touch::Takes => (Verdict::Block, 100, format!("the call reaches for the decoy `{name}`")),
        };
        let advice = "leave credentials alone; ask the user for what is needed".to_owned();
        Reason { rule: PATH.to_owned(), layer: Layer::Floor, verdict, severity, message, advice, part: None }
    }
}

/// The reason that `finding` gives, if it is of what a decoy says, or of a honeytoken.
pub(in crate::engine) fn content(finding: &Finding) -> Option<Reason> {
    is_content(&finding.rule).then(|| Reason {
        rule: finding.rule.clone(),
        layer: Layer::Floor,
        verdict: Verdict::Block,
        severity: finding.severity,
        message: finding.message.clone(),
        advice: finding.advice.clone(),
        part: finding.part,
    })
}

/// Whether `name` stands in `text` as a name of its own.
fn stands_in(text: &str, name: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.match_indices(name).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + name.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(|c| goes_on(c) && !name.starts_with('.')) && !after.is_some_and(goes_on)
    })
}
