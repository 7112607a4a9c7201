//! The command line.

use crate::agents;
use crate::steps::Step;

/// What `cargo xtask --help` says.
pub const USAGE: &str = "\
cargo xtask agents [--only AGENT,…] [--json]
cargo xtask bench model|policy …
cargo xtask fuzz all|TARGET,… …
cargo xtask learn [--folds N | --check] …
cargo xtask scoreboard [--corpora DIR] [--json] …
cargo xtask soak [--minutes N] [--rate N] …
cargo xtask soak sessions
cargo xtask test [--only STEP,…] [--fail-fast] [--rounds N]

Runs every check of the project and reports all of them; the exit status is 0 only if all passed.

  --only STEP,…   only these steps, in the usual order:
                  fmt      cargo fmt --check
                  clippy   cargo clippy on everything, warnings are errors
                  build    all binaries and tests
                  unit     cargo test: unit, property, integration, architecture and command-line tests
                  e2e      the real binary against the published SDKs (sets up its own environments)
                  deny     licences, banned crates and sources of every dependency
                  targets  type-check for the other operating systems, where their target is installed
  --fail-fast     stop at the first step that fails
  --rounds N      rounds of the kill -9 tests: of receipts within e2e (default 200), of credits within unit
                  (default: as many of 100 as fit into 30 s, at least 20)

`agents` installs published coding agents (about 2.2 GB, once) and runs each through the real binary, in front
of a scripted provider. The exit status is 0 only if all of them finish their tasks and no blocked command ran.

  --only AGENT,…  only these, by name or family: codex, opencode, aider, claude-code, gemini-cli, cline
  --json          the results as JSON on standard output, and nothing else there";

/// What the caller asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// Print the usage.
    Help,
    /// Run real coding agents.
    Agents(agents::Options),
    /// Measure, with these arguments.
    Bench(Vec<String>),
    /// Fuzz, with these arguments.
    Fuzz(Vec<String>),
    /// Learn what injections have in common, with these arguments.
    Learn(Vec<String>),
    /// Score detection on labelled text, with these arguments.
    Scoreboard(Vec<String>),
    /// Keep up a steady load, with these arguments.
    Soak(Vec<String>),
    /// Run checks.
    Test(Options),
}

/// How to run the checks.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// The steps to run, in running order.
    pub steps: Vec<Step>,
    /// Stop at the first failure.
    pub fail_fast: bool,
    /// Rounds of the `kill -9` test; `None` leaves the suite's own default.
    pub rounds: Option<u32>,
}

/// Reads the arguments after the program's name. The error is a sentence for the user.
pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Request, String> {
    let mut arguments = arguments;
    match arguments.next().as_deref() {
        None | Some("help" | "--help" | "-h") => return Ok(Request::Help),
        Some("agents") => {
            let arguments: Vec<String> = arguments.collect();
            return Ok(agents::parse(&arguments)?.map_or(Request::Help, Request::Agents));
        }
        Some("bench") => return Ok(Request::Bench(arguments.collect())),
        Some("fuzz") => return Ok(Request::Fuzz(arguments.collect())),
        Some("learn") => return Ok(Request::Learn(arguments.collect())),
        Some("scoreboard") => return Ok(Request::Scoreboard(arguments.collect())),
        Some("soak") => return Ok(Request::Soak(arguments.collect())),
        Some("test") => {}
        Some(other) => return Err(format!("unknown command `{other}`")),
    }
    let mut options = Options { steps: Step::ALL.to_vec(), fail_fast: false, rounds: None };
    while let Some(argument) = arguments.next() {
        let (name, inline) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let mut value = || {
            inline
                .clone()
                .or_else(|| arguments.next())
                .ok_or_else(|| format!("{name} needs a value after it"))
        };
        match name {
            "--fail-fast" => options.fail_fast = true,
            "--only" => options.steps = steps(&value()?)?,
            "--rounds" => {
                let text = value()?;
                let rounds = text.parse().ok().filter(|rounds| *rounds > 0);
                options.rounds =
                    Some(rounds.ok_or(format!("--rounds takes a number above 0, not `{text}`"))?);
            }
            "--help" | "-h" => return Ok(Request::Help),
            other => return Err(format!("unknown option `{other}`")),
        }
    }
    Ok(Request::Test(options))
}

fn steps(list: &str) -> Result<Vec<Step>, String> {
    let mut wanted = Vec::new();
    for name in list.split(',') {
        let step = Step::ALL.iter().find(|step| step.name() == name);
        wanted.push(*step.ok_or_else(|| format!("unknown step `{name}`"))?);
    }
    Ok(Step::ALL.iter().copied().filter(|step| wanted.contains(step)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Request, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn no_options_means_every_step() {
        let expected = Options { steps: Step::ALL.to_vec(), fail_fast: false, rounds: None };
        assert_eq!(read("test"), Ok(Request::Test(expected)));
    }

    #[test]
    fn only_keeps_the_running_order() {
        let expected = Options { steps: vec![Step::Fmt, Step::E2e], fail_fast: true, rounds: Some(7) };
        assert_eq!(read("test --only e2e,fmt --rounds=7 --fail-fast"), Ok(Request::Test(expected)));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(read("test --only e2e,lint"), Err("unknown step `lint`".to_owned()));
        assert_eq!(read("test --rounds 0"), Err("--rounds takes a number above 0, not `0`".to_owned()));
        assert_eq!(read("test --rounds"), Err("--rounds needs a value after it".to_owned()));
        assert_eq!(read("test --quick"), Err("unknown option `--quick`".to_owned()));
        assert_eq!(read("bake"), Err("unknown command `bake`".to_owned()));
    }
}
