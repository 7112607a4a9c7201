//! `cargo xtask scoreboard`: builds the release binary and counts what it finds in labelled text;
//! `bench/src/bin/scoreboard` does the work.

use std::process::Command;

use crate::process::{self, Places};

/// Runs the scoreboard with `arguments`; `--help` among them says which there are.
pub fn run(arguments: &[String]) -> Result<bool, String> {
    let places = Places::find()?;
    let build = ["build", "--quiet", "--release", "--package", "doorward", "--bin", "doorward"];
    let board = ["build", "--quiet", "--release", "--package", "doorward-bench", "--bin", "scoreboard"];
    for build in [build, board] {
        if !process::run(&mut places.cargo(&build))?.0.success() {
            return Err("the binaries do not compile".to_owned());
        }
    }
    // The scoreboard finds the release binary beside itself.
    let program = places.target.join("release").join(format!("scoreboard{}", std::env::consts::EXE_SUFFIX));
    let status = Command::new(program).args(arguments).status();
    Ok(status.map_err(|error| format!("cannot run the scoreboard: {error}"))?.success())
}
