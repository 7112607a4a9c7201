//! `cargo xtask fuzz`: runs the fuzz targets under libFuzzer; `fuzz/src/bin/campaign.rs` does the work.

use crate::process::Places;

/// Runs the campaign with `arguments`; `--help` among them says which there are.
pub fn run(arguments: &[String]) -> Result<bool, String> {
    let run = ["run", "--quiet", "--package", "doorward-fuzz", "--bin", "campaign", "--"];
    let status = Places::find()?.cargo(&run).args(arguments).status();
    Ok(status.map_err(|error| format!("cannot run cargo: {error}"))?.success())
}
