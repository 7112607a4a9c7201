//! `doorward fuzz`: the examples of detection rules said in other ways, and which rules no longer see them.

use std::collections::{BTreeMap, HashSet};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use doorward_assess::fuzz::propose::Evasion;
use doorward_assess::fuzz::{self, Fate, Operator, Trial};
use doorward_core::Engine;
use doorward_core::detect::glob::Glob;
use doorward_core::detect::rules::Rule;

use crate::cli::{Cli, FuzzArgs};
use crate::rules::RuleFiles;
use crate::terminal::{self, clean, counted, print, text};
use crate::{config, policies};

mod proposals;
use proposals::Proposals;

/// Most characters of a mutated example on a terminal.
const SHOWN: usize = 160;

/// Most evasions of one rule that are told: more of the same teach nothing.
const MOST_TOLD: usize = 5;

/// Most evasions of one rule that are kept, for a change to be tried on.
const MOST_KEPT: usize = 64;

/// Of the time that `--watch` works it rests this many times as long.
const REST: u32 = 19;

/// How trials ended, by rule or by operator.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    tried: u64,
    by_another: u64,
    missed: u64,
    /// Commands whose reading lost an effect.
    lost: u64,
}

impl Tally {
    fn count(&mut self, trial: &Trial<'_>) {
        self.tried += 1;
        self.by_another += u64::from(trial.fate == Fate::SeenByAnother);
        self.missed += u64::from(trial.fate == Fate::Missed);
        self.lost += u64::from(trial.effects_kept == Some(false));
    }
}

/// Everything that was found.
#[derive(Default)]
struct Found {
    operators: BTreeMap<Operator, Tally>,
    rules: BTreeMap<String, (Tally, Vec<Evasion>)>,
}

impl Found {
    fn count(&mut self, trial: Trial<'_>) {
        self.operators.entry(trial.operator).or_default().count(&trial);
        let (tally, evasions) = self.rules.entry(trial.rule.id.clone()).or_default();
        tally.count(&trial);
        if trial.fate == Fate::Missed {
            keep(evasion(trial), evasions);
        }
    }

    fn all(&self) -> Tally {
        self.operators.values().fold(Tally::default(), |all, tally| Tally {
            tried: all.tried + tally.tried,
            by_another: all.by_another + tally.by_another,
            missed: all.missed + tally.missed,
            lost: all.lost + tally.lost,
        })
    }
}

/// Runs the command: 0 if nothing walked around a rule, 1 if something did.
///
/// # Errors
/// If the rules are faulty, no rule is meant, or the proposals cannot be written.
pub fn run(cli: &Cli, args: &FuzzArgs) -> anyhow::Result<ExitCode> {
    let home = config::home(cli.home.as_deref())?;
    let engine = config::inspecting_engine(&home)?;
    let gathered = RuleFiles::of(&home).read();
    let pattern = Glob::any_case(args.rule.as_deref().unwrap_or("**"));
    let wanted = |rule: &Rule| pattern.matches(&rule.id);
    if !engine.rules().rules().iter().any(wanted) {
        let message = format!("no rule is called `{}`", args.rule.as_deref().unwrap_or_default());
        return Err(terminal::config_error(format!("{message}; `doorward rules list` has them all")));
    }
    let mut proposals = match &args.apply {
        Some(file) => Some(Proposals::begin(&home, file, &engine, &gathered)?),
        None => None,
    };
    if args.watch {
        match watch(&engine, wanted, args, proposals)? {}
    }
    let mut found = Found::default();
    fuzz::run(&engine, wanted, args.seed, args.times, |trial| {
        found.count(trial);
        true
    });
    if let Some(proposals) = &mut proposals {
        for rule in engine.rules().rules() {
            if let Some((_, evasions)) = found.rules.get(&rule.id) {
                proposals.propose(rule, evasions);
            }
        }
        proposals.write()?;
    }
    if args.json {
        print(&to_json(&found, proposals.as_ref()));
    } else {
        tell(&found);
        proposals.iter().for_each(Proposals::tell);
    }
    Ok(if found.all().missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tries for ever, a twentieth of one core at the most, says each way around a rule once, and keeps the file of proposals up
/// to date.
fn watch(
    engine: &Engine,
    wanted: impl Fn(&Rule) -> bool + Copy,
    args: &FuzzArgs,
    mut proposals: Option<Proposals<'_>>,
) -> anyhow::Result<std::convert::Infallible> {
    policies::step_back();
    let mut told: HashSet<(String, Operator)> = HashSet::new();
    let mut kept: BTreeMap<String, Vec<Evasion>> = BTreeMap::new();
    let mut seed = args.seed;
    loop {
        for rule in engine.rules().rules().iter().filter(|rule| wanted(rule)) {
            let begun = Instant::now();
            let mut another = false;
            fuzz::run(
                engine,
                |other| std::ptr::eq(other, rule),
                seed,
                1,
                |trial| {
                    if trial.fate == Fate::Missed {
                        let evasion = evasion(trial);
                        if told.insert((rule.id.clone(), evasion.operator)) {
                            another = true;
                            print(&if args.json {
                                evasion_json(&rule.id, &evasion)
                            } else {
                                line(&rule.id, &evasion)
                            });
                        }
                        keep(evasion, kept.entry(rule.id.clone()).or_default());
                    }
                    true
                },
            );
            if let Some(proposals) = &mut proposals
                && another
            {
                proposals.propose(rule, kept.get(&rule.id).map(Vec::as_slice).unwrap_or_default());
                proposals.write()?;
                if args.json {
                    print(&format!("{{\"proposals\":{}}}", proposals.to_json()));
                } else {
                    proposals.tell();
                }
            }
            std::thread::sleep((begun.elapsed() * REST).max(Duration::from_millis(1)));
        }
        seed = seed.wrapping_add(1);
    }
}

fn keep(evasion: Evasion, evasions: &mut Vec<Evasion>) {
    if evasions.len() < MOST_KEPT && !evasions.iter().any(|other| other.text == evasion.text) {
        evasions.push(evasion);
    }
}

fn evasion(trial: Trial<'_>) -> Evasion {
    Evasion {
        operator: trial.operator,
        example: trial.example.clone(),
        text: trial.text,
        effect_lost: trial.effects_kept == Some(false),
    }
}

fn tell(found: &Found) {
    print("how it was said         tried  seen by another  missed  effects lost");
    for (operator, tally) in &found.operators {
        print(&format!(
            "{:20} {:8} {:16} {:7} {:13}",
            operator.as_str(),
            tally.tried,
            tally.by_another,
            tally.missed,
            tally.lost
        ));
    }
    for (rule, (tally, evasions)) in found.rules.iter().filter(|(_, (tally, _))| tally.missed > 0) {
        print(&format!("\n{}: {} of {} missed", clean(rule), tally.missed, tally.tried));
        evasions.iter().take(MOST_TOLD).for_each(|evasion| print(&line(rule, evasion)));
    }
    let all = found.all();
    print(&format!(
        "\n{} of {} are missed, of {}",
        all.missed,
        all.tried,
        counted(found.rules.len(), "rule")
    ));
}

fn line(rule: &str, evasion: &Evasion) -> String {
    let shown: String = clean(&evasion.text).chars().take(SHOWN).collect();
    format!("  {} ({}): {shown}", clean(rule), evasion.operator.as_str())
}

fn tally_json(tally: &Tally) -> String {
    format!(
        "\"tried\":{},\"seen_by_another\":{},\"missed\":{},\"effects_lost\":{}",
        tally.tried, tally.by_another, tally.missed, tally.lost
    )
}

fn evasion_json(rule: &str, evasion: &Evasion) -> String {
    format!(
        "{{\"rule\":{},\"operator\":\"{}\",\"kind\":\"{}\",\"text\":{}}}",
        text(rule),
        evasion.operator.as_str(),
        evasion.example.kind,
        text(&evasion.text)
    )
}

fn to_json(found: &Found, proposals: Option<&Proposals<'_>>) -> String {
    let operators = found.operators.iter();
    let operators: Vec<String> = operators
        .map(|(operator, tally)| format!("{{\"operator\":\"{}\",{}}}", operator.as_str(), tally_json(tally)))
        .collect();
    let rules = found.rules.iter().map(|(rule, (tally, evasions))| {
        let evasions: Vec<String> =
            evasions.iter().take(MOST_TOLD).map(|evasion| evasion_json(rule, evasion)).collect();
        format!("{{\"rule\":{},{},\"evasions\":[{}]}}", text(rule), tally_json(tally), evasions.join(","))
    });
    let rules: Vec<String> = rules.collect();
    let proposals = proposals.map(|proposals| format!(",\"proposals\":{}", proposals.to_json()));
    format!(
        "{{{},\"operators\":[{}],\"rules\":[{}]{}}}",
        tally_json(&found.all()),
        operators.join(","),
        rules.join(","),
        proposals.unwrap_or_default()
    )
}
