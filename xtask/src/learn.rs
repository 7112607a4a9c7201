//! `cargo xtask learn`: learns what injections have in common; `bench/src/bin/learn` does the work.

use crate::process::Places;

/// Runs it with `arguments`; `--help` among them says which there are.
pub fn run(arguments: &[String]) -> Result<bool, String> {
    let run = ["run", "--quiet", "--release", "--package", "doorward-bench", "--bin", "learn", "--"];
    let status = Places::find()?.cargo(&run).args(arguments).status();
    Ok(status.map_err(|error| format!("cannot run cargo: {error}"))?.success())
}
