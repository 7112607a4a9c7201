//! `cargo deny`: licences, banned crates and sources of every dependency (`deny.toml`).

use std::path::PathBuf;
use std::process::Command;

use crate::process::{self, Places};
use crate::report::{self, Outcome};

/// The version installed in CI, where every run must judge alike.
const VERSION: &str = "0.20.2";

/// Runs the check. Advisories are left out: they need a database from the network, and a new advisory
/// should open an issue, not turn an unrelated change red.
pub fn check(places: &Places) -> Result<Outcome, String> {
    let Some(program) = find(places)? else {
        return Ok(Outcome::NotChecked(
            "cargo-deny is not installed; to run it: cargo install cargo-deny --locked".to_owned(),
        ));
    };
    let mut command = Command::new(program);
    // Given without `cargo` before it, the program wants its own name as the first word.
    command.args(["deny", "--log-level", "error", "check", "licenses", "bans", "sources"]);
    let (status, _) = process::run(command.current_dir(&places.root))?;
    Ok(match status.success() {
        true => Outcome::Passed(String::new()),
        false => Outcome::Failed("deny.toml says why each entry is there".to_owned()),
    })
}

fn find(places: &Places) -> Result<Option<PathBuf>, String> {
    let tools = places.target.join("tools");
    let ours = tools.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    for candidate in [PathBuf::from("cargo-deny"), ours.clone()] {
        let version = process::capture(Command::new(&candidate).arg("--version"));
        if version.is_ok_and(|(status, _)| status.success()) {
            return Ok(Some(candidate));
        }
    }
    if std::env::var("CI").as_deref() != Ok("true") {
        return Ok(None);
    }
    report::say("installing cargo-deny (once)");
    // A debug build: it runs for a second and builds in a third of the time of a release build.
    let install = ["install", "cargo-deny", "--locked", "--debug", "--quiet", "--version", VERSION, "--root"];
    let (status, output) = process::capture(places.cargo(&install).arg(&tools))?;
    if !status.success() {
        return Err(format!("cannot install cargo-deny:\n{output}"));
    }
    Ok(Some(ours))
}
