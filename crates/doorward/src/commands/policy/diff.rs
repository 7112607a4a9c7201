//! `doorward policy diff`: what two policies decide differently, with actions that show it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use doorward_core::policy::{Default, Profile};
use doorward_core::session::Mode;
use doorward_core::{Action, Decision, Engine, Verdict};
use doorward_store::{Judged, Reader};

use super::replay::{left_out, saying_json};
use super::{Files, made_up};
use crate::cli::{Cli, DiffArgs};
use crate::past::{self, Counts, Past, Saying, number};
use crate::terminal::{self, clean, print, text};
use crate::{config, serve, when};

/// Most witnesses that are kept of one difference from each place they come from.
const MOST_WITNESSES: usize = 3;

/// Most differences that are told apart; what comes after only counts.
const MOST_DIFFERENCES: usize = 1000;

/// Both policies at work.
struct Both {
    old: Engine,
    new: Engine,
    found: BTreeMap<Key, Difference>,
    /// Actions that were tried, by where they come from.
    tried: [u64; 3],
    beyond: u64,
}

/// What one says and the other: what is said alike of many actions is one difference.
type Key = (Verdict, Vec<String>, Verdict, Vec<String>);

struct Difference {
    old: Saying,
    new: Saying,
    count: u64,
    witnesses: Vec<Witness>,
}

struct Witness {
    from: From,
    name: String,
    what: String,
    words: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Past,
    Test,
    MadeUp,
}

impl From {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Past => "past",
            Self::Test => "test",
            Self::MadeUp => "made up",
        }
    }
}

/// Runs the command: 0 if no action is decided differently, 1 if one is.
///
/// # Errors
/// If a policy is faulty or the store cannot be read.
pub fn run(cli: &Cli, args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let home = config::home(cli.home.as_deref())?;
    let since = match &args.since {
        Some(since) => when::past(since, serve::now()).map_err(terminal::config_error)?,
        None => 0,
    };
    let (old, new) = (files(cli, &args.old)?, files(cli, &args.new)?);
    let (old_policy, new_policy) = (old.compiled()?, new.compiled()?);
    let tests: Vec<_> =
        [&old_policy, &new_policy].iter().flat_map(|policy| policy.cases().to_vec()).collect();
    let settings = [&old_policy, &new_policy].map(|policy| {
        let mode = if policy.mode() == Mode::Block { "enforce" } else { "dry_run" };
        let default = if policy.default_verb() == Default::Deny { "deny" } else { "allow" };
        let profile = if policy.profile() == Profile::Strict { "strict" } else { "balanced" };
        [("mode", mode), ("default", default), ("profile", profile)]
    });
    let mut both = Both {
        old: config::engine_of(&home, old_policy)?,
        new: config::engine_of(&home, new_policy)?,
        found: BTreeMap::new(),
        tried: [0; 3],
        beyond: 0,
    };
    for case in tests {
        both.try_one(From::Test, &case.name, now(case.action));
    }
    for action in made_up::actions(old.texts().chain(new.texts())) {
        both.try_one(From::MadeUp, "", now(action));
    }
    let counts = match past(&home)? {
        Some(reader) if !args.no_past => past::each(&reader, since, |past| {
            let receipt = past.receipt.clone();
            both.try_one(From::Past, &receipt, past);
            Ok(())
        })?,
        _ => Counts::default(),
    };
    let [before, after] = settings;
    let settings: Vec<_> = before.into_iter().zip(after).filter(|((_, old), (_, new))| old != new).collect();
    let same = both.found.is_empty() && settings.is_empty();
    if args.json {
        print(&to_json(&both, &settings));
    } else {
        tell(&both, &settings, counts);
    }
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Files that are in force together, with commas between.
fn files(cli: &Cli, list: &str) -> anyhow::Result<Files> {
    Files::read_all(cli, &list.split(',').map(PathBuf::from).collect::<Vec<_>>())
}

/// An action without a past.
fn now(action: Action) -> Past {
    let judged = Judged::of(&action, &Decision::default());
    Past { receipt: String::new(), time: serve::now(), judged }
}

/// The store, if anything was ever recorded.
fn past(home: &std::path::Path) -> anyhow::Result<Option<Reader>> {
    if !home.is_dir() {
        return Ok(None);
    }
    Ok(Reader::open(&doorward_store::Home::open(home)?)?)
}

impl Both {
    fn try_one(&mut self, from: From, name: &str, past: Past) {
        let of = match from {
            From::Past => 0,
            From::Test => 1,
            From::MadeUp => 2,
        };
        self.tried.iter_mut().skip(of).take(1).for_each(|count| *count += 1);
        let (old, new) = (past.now(&self.old), past.now(&self.new));
        if old.verdict == new.verdict {
            return;
        }
        let key = (old.verdict, old.rules.clone(), new.verdict, new.rules.clone());
        if self.found.len() >= MOST_DIFFERENCES && !self.found.contains_key(&key) {
            self.beyond += 1;
            return;
        }
        let difference =
            self.found.entry(key).or_insert_with(|| Difference { old, new, count: 0, witnesses: Vec::new() });
        difference.count += 1;
        if difference.witnesses.iter().filter(|witness| witness.from == from).count() < MOST_WITNESSES {
            let words = match from {
                From::MadeUp => what_it_does(&past.judged.action),
                From::Past | From::Test => past.first_words(),
            };
            difference.witnesses.push(Witness {
                from,
                name: name.to_owned(),
                what: past.what().to_owned(),
                words,
            });
        }
    }
}

/// Of an action that nobody wrote: its words, or its effect.
fn what_it_does(action: &Action) -> String {
    match action.effects.first() {
        Some(effect) if effect.by == "made up" => {
            let (capability, target) = (effect.capability.as_str(), effect.target.as_str());
            format!("{capability} {target} ({})", effect.asset.as_str())
        }
        _ => past::first_words(action),
    }
}

type Setting = ((&'static str, &'static str), (&'static str, &'static str));

fn tell(both: &Both, settings: &[Setting], counts: Counts) {
    for ((key, old), (_, new)) in settings {
        print(&format!("{key}: {old} → {new}"));
    }
    let [past, tests, made_up] = both.tried.map(number);
    let tried = format!("{past} past actions, {tests} of the tests, {made_up} made up from the rules");
    if both.found.is_empty() {
        print(&format!("nothing is decided differently of {tried}"));
    } else {
        print(&format!("{} differences; tried: {tried}", number(both.found.len() as u64)));
    }
    for difference in both.found.values() {
        let side = |saying: &Saying| match saying.rules.as_slice() {
            [] => saying.verdict.as_str().to_owned(),
            _ => format!("{} ({})", saying.verdict.as_str(), saying.by()),
        };
        print(&format!(
            "\n{} → {}: {} of them",
            side(&difference.old),
            side(&difference.new),
            number(difference.count)
        ));
        for Witness { from, name, what, words } in &difference.witnesses {
            let name = if name.is_empty() { String::new() } else { format!("  {}", clean(name)) };
            print(&format!("  {:<8}{name}  {}  {}", from.as_str(), clean(what), clean(words)));
        }
    }
    if both.beyond > 0 {
        print(&format!("\nand {} actions of further differences", number(both.beyond)));
    }
    left_out(counts);
}

fn to_json(both: &Both, settings: &[Setting]) -> String {
    let witness = |witness: &Witness| {
        format!(
            "{{\"from\":\"{}\",\"name\":{},\"what\":{},\"says\":{}}}",
            witness.from.as_str(),
            text(&witness.name),
            text(&witness.what),
            text(&witness.words)
        )
    };
    let difference = |difference: &Difference| {
        format!(
            "{{\"old\":{},\"new\":{},\"count\":{},\"witnesses\":[{}]}}",
            saying_json(&difference.old),
            saying_json(&difference.new),
            difference.count,
            difference.witnesses.iter().map(witness).collect::<Vec<_>>().join(",")
        )
    };
    let setting = |((key, old), (_, new)): &Setting| format!("\"{key}\":[\"{old}\",\"{new}\"]");
    let [past, tests, made_up] = both.tried;
    format!(
        "{{\"settings\":{{{}}},\"tried\":{{\"past\":{past},\"tests\":{tests},\"made_up\":{made_up}}},\"beyond\":{},\
         \"differences\":[{}]}}",
        settings.iter().map(setting).collect::<Vec<_>>().join(","),
        both.beyond,
        both.found.values().map(difference).collect::<Vec<_>>().join(",")
    )
}
