//! `doorward demo`.
use std::process::ExitCode;

use crate::cli::{Cli, DemoArgs};

/// (being built)
pub fn run(_cli: &Cli, _args: &DemoArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("the demo is being built")
}
