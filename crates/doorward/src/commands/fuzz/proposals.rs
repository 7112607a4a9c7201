//! The file of `doorward fuzz --apply`: changed rules, each tried before it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use doorward_assess::fuzz::propose::{Bench, Change, Evasion, Proposal, file};
use doorward_core::Engine;
use doorward_core::detect::rules::Rule;
use doorward_store::write_atomic;

use crate::detection::Detection;
use crate::rules::GatheredRules;
use crate::terminal::{config_error, counted, say, text};

/// Proposals, by the rule that they change, and where they are written.
pub struct Proposals<'a> {
    file: PathBuf,
    gathered: &'a GatheredRules,
    bench: Bench<'a>,
    made: BTreeMap<String, Proposal>,
}

/// How many there are of what.
struct Count {
    changed: usize,
    caught: usize,
    of: usize,
}

impl<'a> Proposals<'a> {
    /// Makes the file, which must be new, and outside of the folder whose files are in force.
    ///
    /// # Errors
    /// If it is not, or cannot be written.
    pub fn begin(
        home: &Path,
        path: &Path,
        engine: &'a Engine,
        gathered: &'a GatheredRules,
    ) -> anyhow::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let (Ok(folder), Ok(rules)) = (folder.canonicalize(), home.join("rules").canonicalize())
            && folder.starts_with(&rules)
        {
            let message = format!("{}: files of this folder are in force at once", path.display());
            return Err(config_error(format!(
                "{message}; name a file elsewhere, read it, and then move it here"
            )));
        }
        let written = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
        let written = written.and_then(|mut new| new.write_all(file(&[]).as_bytes()));
        written.with_context(|| format!("cannot write {}", path.display()))?;
        let bench = Bench::new(engine, gathered.sources());
        let bench = bench.map_err(|_| anyhow::anyhow!("the shipped policy does not compile"))?;
        Ok(Self { file: std::path::absolute(path)?, gathered, bench, made: BTreeMap::new() })
    }

    /// Proposes a change of `rule`, in place of one that was proposed before.
    pub fn propose(&mut self, rule: &Rule, evasions: &[Evasion]) {
        self.made.remove(&rule.id);
        if evasions.is_empty() {
            return;
        }
        let taken: BTreeSet<String> = self.changes().map(|(_, change)| change.id.clone()).collect();
        let proposal = self.bench.propose(rule, evasions, &taken);
        self.made.insert(rule.id.clone(), proposal);
    }

    /// Writes the file anew, whole or not at all. Before, all changes are tried once more as the operator would load them:
    /// beside the shipped rules and those of this home. One that does not hold there is none.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self) -> anyhow::Result<()> {
        let all: Vec<Proposal> = self.made.values().cloned().collect();
        if !self.holds(&all) {
            for proposal in self.made.values_mut() {
                if !holds(self.gathered, &self.file, std::slice::from_ref(proposal)) {
                    *proposal = proposal.clone().refused();
                }
            }
        }
        let all: Vec<Proposal> = self.made.values().cloned().collect();
        write_atomic(&self.file, file(&all).as_bytes())
            .with_context(|| format!("cannot write {}", self.file.display()))
    }

    fn holds(&self, proposals: &[Proposal]) -> bool {
        holds(self.gathered, &self.file, proposals)
    }

    fn changes(&self) -> impl Iterator<Item = (&Proposal, &Change)> {
        self.made.values().filter_map(|proposal| Some((proposal, proposal.change.as_ref()?)))
    }

    fn count(&self) -> Count {
        Count {
            changed: self.changes().count(),
            caught: self.changes().map(|(_, change)| change.caught.len()).sum(),
            of: self.made.values().map(|proposal| proposal.of).sum(),
        }
    }

    /// Says what was written.
    pub fn tell(&self) {
        let Count { changed, caught, of } = self.count();
        say(&format!(
            "{} that see {caught} of {of} evasions are in {}; the other {} stand there as comments. Nothing is changed by it until a person does it",
            counted(changed, "changed rule"),
            self.file.display(),
            of - caught
        ));
    }

    /// The same as JSON.
    pub fn to_json(&self) -> String {
        let changes = self.changes().map(|(proposal, change)| {
            let what: Vec<String> = change.what.iter().map(|what| text(what)).collect();
            format!(
                "{{\"rule\":{},\"id\":{},\"changed\":[{}],\"caught\":{},\"of\":{},\"fresh_caught\":{},\"fresh\":{},\"ordinary\":{}}}",
                text(&proposal.rule),
                text(&change.id),
                what.join(","),
                change.caught.len(),
                proposal.of,
                change.fresh.0,
                change.fresh.1,
                change.ordinary
            )
        });
        let changes: Vec<String> = changes.collect();
        let Count { caught, of, .. } = self.count();
        format!(
            "{{\"file\":{},\"caught\":{caught},\"of\":{of},\"left\":{},\"changes\":[{}]}}",
            text(&self.file.display().to_string()),
            of - caught,
            changes.join(",")
        )
    }
}

/// Whether the file of these proposals loads beside all other rules, examples and near misses included.
fn holds(gathered: &GatheredRules, name: &Path, proposals: &[Proposal]) -> bool {
    let with = gathered.clone().and(&name.display().to_string(), file(proposals));
    with.compile(&Detection::default()).is_ok()
}
