//! `cargo xtask bench`: builds what is measured and the benchmark, and runs it.

use std::process::{Command, ExitCode};

use crate::process::{self, Places};
use crate::report;

/// Runs the benchmark with `arguments`; `--help` among them says which there are.
pub fn run(arguments: &[String]) -> ExitCode {
    match measured(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report::complain(&format!("xtask: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn measured(arguments: &[String]) -> Result<bool, String> {
    let places = Places::find()?;
    if let Some(("policy", arguments)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return policy(&places, arguments);
    }
    let build = ["build", "--quiet", "--release", "--package", "doorward", "--package", "doorward-bench"];
    let (built, _) = process::run(&mut places.cargo(&build))?;
    if !built.success() {
        return Err("the binaries do not compile".to_owned());
    }
    // The benchmark finds the release binary beside itself.
    let program =
        places.target.join("release").join(format!("doorward-bench{}", std::env::consts::EXE_SUFFIX));
    let mut command = Command::new(program);
    command.args(arguments);
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    Ok(status.success())
}

/// The policy engine beside others. A workspace of its own: what it compares with is large and in no lock file of
/// the house.
fn policy(places: &Places, arguments: &[String]) -> Result<bool, String> {
    let manifest = places.root.join("bench").join("policy").join("Cargo.toml").display().to_string();
    let target = places.target.join("bench-policy").display().to_string();
    let run = [
        "run",
        "--quiet",
        "--release",
        "--locked",
        "--manifest-path",
        &manifest,
        "--target-dir",
        &target,
        "--",
    ];
    let status = places.cargo(&run).args(arguments).status();
    Ok(status.map_err(|error| format!("cannot run cargo: {error}"))?.success())
}
