//! `doorward init`: a commented configuration to start from.

use std::process::ExitCode;

use doorward_core::policy::SHIPPED;
use doorward_core::syntax::json::quoted;
use doorward_store::{Home, write_atomic};

use crate::cli::{Cli, InitArgs};
use crate::config;
use crate::terminal::{print, say};

/// The configuration as it is shipped: every setting at its default, explained.
pub const DOORWARD_YAML: &str = include_str!("../doorward.yaml");

/// Runs the command. What is there already stays as it is.
///
/// # Errors
/// If the directory or a file cannot be written.
pub fn run(cli: &Cli, args: &InitArgs) -> anyhow::Result<ExitCode> {
    let home = Home::open(config::home(cli.home.as_deref())?)?;
    home.operator_token()?;
    let mut written = Vec::new();
    for (name, text) in [("doorward.yaml", DOORWARD_YAML), ("policy.yaml", SHIPPED)] {
        let path = home.root().join(name);
        let fresh = !path.exists();
        if fresh {
            write_atomic(&path, text.as_bytes())?;
        }
        written.push((path, fresh));
    }
    for warning in home.warnings() {
        say(&format!("warning: {warning}"));
    }
    if args.json {
        let files: Vec<String> = written
            .iter()
            .map(|(path, fresh)| {
                let path = quoted(&path.display().to_string());
                format!("{{\"path\":{},\"written\":{fresh}}}", String::from_utf8_lossy(&path))
            })
            .collect();
        print(&format!("{{\"files\":[{}]}}", files.join(",")));
        return Ok(ExitCode::SUCCESS);
    }
    for (path, fresh) in written {
        let what = if fresh { "wrote" } else { "left as it is:" };
        print(&format!("{what} {}", path.display()));
    }
    print("next: doorward run");
    Ok(ExitCode::SUCCESS)
}
