//! The checks, one after the other. All of them run and are reported, unless told otherwise.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::arguments::Options;
use crate::process::{self, Places};
use crate::report::{self, Counts, Outcome};
use crate::{deny, node, python, targets};

/// One check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Formatting.
    Fmt,
    /// Lints.
    Clippy,
    /// Compiling everything the later steps run.
    Build,
    /// `cargo test`.
    Unit,
    /// What only a build with the feature `classifier` has.
    Classifier,
    /// The real binary with the published SDKs.
    E2e,
    /// Licences, bans and sources.
    Deny,
    /// Other operating systems.
    Targets,
}

impl Step {
    /// Every step in running order: the quick ones that fail most often come first.
    pub const ALL: [Self; 8] = [
        Self::Fmt,
        Self::Clippy,
        Self::Deny,
        Self::Build,
        Self::Unit,
        Self::Classifier,
        Self::E2e,
        Self::Targets,
    ];

    /// Its name on the command line and in the summary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Build => "build",
            Self::Unit => "unit",
            Self::Classifier => "classifier",
            Self::E2e => "e2e",
            Self::Deny => "deny",
            Self::Targets => "targets",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Fmt => "the formatting of every file",
            Self::Clippy => "lints, warnings are errors",
            Self::Build => "all binaries and tests, dev profile",
            Self::Unit => "unit, property, integration, architecture and command-line tests",
            Self::Classifier => "tests with a model, in a build that can run one",
            Self::E2e => "the real binary with the published SDKs",
            Self::Deny => "licences, banned crates and sources",
            Self::Targets => "type-check for other operating systems",
        }
    }

    fn run(self, places: &Places, options: &Options) -> Result<(Outcome, Counts), String> {
        match self {
            Self::Fmt => cargo(places, &["fmt", "--all", "--check"]),
            Self::Clippy => cargo(
                places,
                &["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"],
            ),
            // One build with one set of features for the tests and for the binaries that e2e runs:
            // building them apart would compile half of the dependencies twice.
            Self::Build => cargo(places, &["build", "--quiet", "--workspace", "--all-targets"]),
            // Tests of one crate may need binaries of another; `--no-fail-fast` reports every crate.
            Self::Unit => {
                let mut command = places.cargo(&["test", "--quiet", "--workspace", "--no-fail-fast"]);
                if let Some(rounds) = options.rounds {
                    command.env("DOORWARD_TEST_ROUNDS", rounds.to_string());
                }
                finish(&mut command)
            }
            // Beside the others, because what is shipped and tested end to end is built without the feature. The whole
            // workspace, so that all but `doorward` and the feature's own crates stay as the build step has left them.
            Self::Classifier => finish(&mut places.cargo(&CLASSIFIER)),
            Self::E2e => end_to_end(places, options),
            Self::Deny => deny::check(places).map(uncounted),
            Self::Targets => targets::check(places).map(uncounted),
        }
    }
}

/// The tests of `doorward` that are about the classifier.
const CLASSIFIER: [&str; 10] = [
    "test",
    "--quiet",
    "--workspace",
    "--features",
    "doorward/classifier",
    "--bin",
    "doorward",
    "--test",
    "it",
    "classifier",
];

/// Runs the steps and prints the summary. `Ok(true)` means that nothing failed.
pub fn run(options: &Options) -> Result<bool, String> {
    let places = Places::find()?;
    let begin = Instant::now();
    let mut results: Vec<(Step, Outcome, Duration)> = Vec::new();
    let mut total = Counts::default();
    for step in &options.steps {
        report::heading(step.name(), step.what());
        let started = Instant::now();
        let (outcome, mut counts) = match step.run(&places, options) {
            Ok(result) => result,
            Err(error) => {
                report::complain(&error);
                (Outcome::Failed("could not run".to_owned()), Counts::default())
            }
        };
        let failed = matches!(outcome, Outcome::Failed(_));
        match outcome {
            // A step that is one check, or that failed before any test could, counts as one.
            Outcome::Passed(_) if counts == Counts::default() => counts.passed = 1,
            Outcome::Failed(_) if counts.failed == 0 => counts.failed = 1,
            _ => {}
        }
        total.add(counts);
        report::say(&report::summary_line(step.name(), &outcome, started.elapsed()));
        results.push((*step, outcome, started.elapsed()));
        if failed && options.fail_fast {
            break;
        }
    }
    report::say("\n=== summary");
    for (step, outcome, took) in &results {
        report::say(&report::summary_line(step.name(), outcome, *took));
    }
    for step in options.steps.iter().skip(results.len()) {
        let reason = Outcome::NotChecked("stopped at the first failure".to_owned());
        report::say(&report::summary_line(step.name(), &reason, Duration::ZERO));
    }
    let passed = results.iter().all(|(_, outcome, _)| !matches!(outcome, Outcome::Failed(_)));
    report::say(&format!("  in all {:.0} s", begin.elapsed().as_secs_f64()));
    report::say(&format!("{} passed, {} failed", total.passed, total.failed));
    Ok(passed)
}

fn uncounted(outcome: Outcome) -> (Outcome, Counts) {
    (outcome, Counts::default())
}

fn cargo(places: &Places, arguments: &[&str]) -> Result<(Outcome, Counts), String> {
    finish(&mut places.cargo(arguments))
}

/// Runs the Python suite on the binaries of this workspace, building them first (at once done if the
/// build step has just run).
fn end_to_end(places: &Places, options: &Options) -> Result<(Outcome, Counts), String> {
    let (built, _) = process::run(&mut places.cargo(&["build", "--quiet", "--workspace", "--all-targets"]))?;
    if !built.success() {
        return Ok(uncounted(Outcome::Failed("the binaries do not compile".to_owned())));
    }
    let python = python::environment(places)?;
    let packages = places.target.join("node");
    match node::missing() {
        None => node::packages(&places.root.join("e2e").join("node"), &packages, node::Lock::Exactly, &[])?,
        Some(reason) => report::complain(&format!("the Node SDKs are not tested: {reason}")),
    }
    let mut command = Command::new(python);
    command
        .args(["-m", "pytest", "e2e", "-p", "no:cacheprovider"])
        .current_dir(&places.root)
        .env("DOORWARD_BIN", places.built("doorward"))
        .env("SCRIPTED_PROVIDER_BIN", places.built("scripted-provider"))
        .env("E2E_NODE", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    if let Some(rounds) = options.rounds {
        command.arg(format!("--rounds={rounds}"));
    }
    finish(&mut command)
}

fn finish(command: &mut Command) -> Result<(Outcome, Counts), String> {
    let (status, counts) = process::run(command)?;
    let note = match counts {
        Counts { passed: 0, failed: 0 } => String::new(),
        Counts { passed, failed: 0 } => format!("{passed} tests"),
        Counts { passed, failed } => format!("{failed} of {} tests failed", passed + failed),
    };
    let outcome = if status.success() { Outcome::Passed(note) } else { Outcome::Failed(note) };
    Ok((outcome, counts))
}
