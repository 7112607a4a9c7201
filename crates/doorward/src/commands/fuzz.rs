//! `doorward fuzz`: the examples of detection rules said in other ways, and which rules no longer see them.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use doorward_assess::fuzz::{self, Fate, Operator, Trial};
use doorward_core::Engine;
use doorward_core::detect::glob::Glob;
use doorward_core::detect::rules::Rule;

use crate::cli::{Cli, FuzzArgs};
use crate::terminal::{self, clean, counted, print, say, text};
use crate::{config, policies};

/// Most characters of a mutated example on a terminal.
const SHOWN: usize = 160;

/// Most evasions of one rule that are proposed as examples: more of the same teach nothing.
const MOST_PROPOSED: usize = 5;

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

/// An example that its rule does not see any more.
struct Evasion {
    operator: Operator,
    kind: &'static str,
    text: String,
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
        if trial.fate == Fate::Missed && evasions.len() < MOST_PROPOSED {
            evasions.push(Evasion { operator: trial.operator, kind: trial.example.kind, text: trial.text });
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
    let engine = config::inspecting_engine(&config::home(cli.home.as_deref())?)?;
    let pattern = Glob::any_case(args.rule.as_deref().unwrap_or("**"));
    let wanted = |rule: &Rule| pattern.matches(&rule.id);
    if !engine.rules().rules().iter().any(wanted) {
        let message = format!("no rule is called `{}`", args.rule.as_deref().unwrap_or_default());
        return Err(terminal::config_error(format!("{message}; `doorward rules list` has them all")));
    }
    if args.watch {
        watch(&engine, wanted, args);
    }
    let mut found = Found::default();
    fuzz::run(&engine, wanted, args.seed, args.times, |trial| {
        found.count(trial);
        true
    });
    if args.json {
        print(&to_json(&found));
    } else {
        tell(&found);
    }
    if let Some(file) = &args.apply {
        let proposals = proposals(&found);
        let written = std::fs::OpenOptions::new().write(true).create_new(true).open(file);
        let written = written.and_then(|mut file| std::io::Write::write_all(&mut file, proposals.as_bytes()));
        written.with_context(|| format!("cannot write {}", file.display()))?;
        say(&format!(
            "proposals are in {}; nothing is changed by them until a person does it",
            file.display()
        ));
    }
    Ok(if found.all().missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tries for ever, a twentieth of one core at the most, and says each way around a rule once.
fn watch(engine: &Engine, wanted: impl Fn(&Rule) -> bool + Copy, args: &FuzzArgs) -> ! {
    policies::step_back();
    let mut told: HashSet<(String, Operator)> = HashSet::new();
    let mut seed = args.seed;
    loop {
        for rule in engine.rules().rules().iter().filter(|rule| wanted(rule)) {
            let begun = Instant::now();
            fuzz::run(
                engine,
                |other| std::ptr::eq(other, rule),
                seed,
                1,
                |trial| {
                    if trial.fate == Fate::Missed && told.insert((rule.id.clone(), trial.operator)) {
                        print(&if args.json {
                            evasion_json(&rule.id, &evasion(trial))
                        } else {
                            line(&rule.id, &evasion(trial))
                        });
                    }
                    true
                },
            );
            std::thread::sleep((begun.elapsed() * REST).max(Duration::from_millis(1)));
        }
        seed = seed.wrapping_add(1);
    }
}

fn evasion(trial: Trial<'_>) -> Evasion {
    Evasion { operator: trial.operator, kind: trial.example.kind, text: trial.text }
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
        evasions.iter().for_each(|evasion| print(&line(rule, evasion)));
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
        evasion.kind,
        text(&evasion.text)
    )
}

fn to_json(found: &Found) -> String {
    let operators = found.operators.iter();
    let operators: Vec<String> = operators
        .map(|(operator, tally)| format!("{{\"operator\":\"{}\",{}}}", operator.as_str(), tally_json(tally)))
        .collect();
    let rules = found.rules.iter().map(|(rule, (tally, evasions))| {
        let evasions: Vec<String> = evasions.iter().map(|evasion| evasion_json(rule, evasion)).collect();
        format!("{{\"rule\":{},{},\"evasions\":[{}]}}", text(rule), tally_json(tally), evasions.join(","))
    });
    let rules: Vec<String> = rules.collect();
    format!(
        "{{{},\"operators\":[{}],\"rules\":[{}]}}",
        tally_json(&found.all()),
        operators.join(","),
        rules.join(",")
    )
}

/// What a person may do about it: more examples for each rule, in the form of a rule file.
fn proposals(found: &Found) -> String {
    let mut out = String::from(
        "# Proposals of `doorward fuzz`: examples that their rules do not see. Nothing reads this file. For each, widen the\n\
         # rule until the example matches, and keep its near misses; or leave it, and know of it.\n\nproposals:\n",
    );
    let missed = found.rules.iter().filter(|(_, (_, evasions))| !evasions.is_empty());
    for (rule, (tally, evasions)) in missed {
        let _ = writeln!(
            out,
            "  - rule: {}\n    missed: {} of {}\n    examples:",
            text(rule),
            tally.missed,
            tally.tried
        );
        for evasion in evasions {
            let _ = writeln!(
                out,
                "      # {}\n      - {}: {}",
                evasion.operator.as_str(),
                evasion.kind,
                text(&evasion.text)
            );
        }
    }
    out
}
