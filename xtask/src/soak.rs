//! `cargo xtask soak`: an hour of steady load through the release binary; memory must stay flat. `cargo xtask soak sessions`:
//! 100,000 calls in 1,000 sessions through one gateway, which says how much memory they take and whether it becomes slower. `cargo xtask
//! soak costs`: what redaction and quarantine cost a request.

use std::process::{Command, ExitCode};

use crate::process::{self, Places};
use crate::{python, report};

/// Runs the soak with `arguments`; `--help` among them says which there are.
pub fn run(arguments: &[String]) -> ExitCode {
    match soaked(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report::complain(&format!("xtask: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn soaked(arguments: &[String]) -> Result<bool, String> {
    let places = Places::find()?;
    match arguments.first().map(String::as_str) {
        Some("sessions") => return reported(&places, "soak::many_calls_in_many_sessions"),
        Some("costs") => return reported(&places, "costs::"),
        _ => {}
    }
    let build = ["build", "--quiet", "--release", "--bins", "-p", "doorward", "-p", "doorward-testkit"];
    let (built, output) = process::capture(&mut places.cargo(&build))?;
    if !built.success() {
        return Err(format!("the binaries do not compile\n{output}"));
    }
    let program =
        |name: &str| places.target.join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let mut command = Command::new(python::environment(&places)?);
    command
        .arg("e2e/soak.py")
        .args(arguments)
        .current_dir(&places.root)
        .env("DOORWARD_BIN", program("doorward"))
        .env("SCRIPTED_PROVIDER_BIN", program("scripted-provider"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    // Not captured: an hour's run says every minute how it stands.
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    Ok(status.success())
}

/// Tests of the gateway that nothing else runs, as they take minutes and only report.
fn reported(places: &Places, tests: &str) -> Result<bool, String> {
    let test = ["test", "--quiet", "--release", "-p", "doorward-gateway", "--test", "it"];
    let mut command = places.cargo(&test);
    command.args(["--", "--ignored", "--nocapture", "--test-threads=1", tests]);
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    Ok(status.success())
}
