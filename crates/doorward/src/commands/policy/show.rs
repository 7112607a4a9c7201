//! `doorward policy show`: the policy as it is in force, with the origin of each line.

use std::process::ExitCode;

use doorward_core::policy::Provision;

use super::Files;
use crate::terminal::{clean, print, text};

/// Runs the command.
///
/// # Errors
/// If the policy is faulty.
pub fn run(files: &Files, json: bool) -> anyhow::Result<ExitCode> {
    let policy = files.compiled()?;
    if json {
        let lines: Vec<String> = policy.effective().map(|line| line_json(&line)).collect();
        print(&format!("{{\"revision\":{},\"effective\":[{}]}}", text(policy.revision()), lines.join(",")));
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!("revision {}", policy.revision()));
    for Provision { level, place, key, value, counts } in policy.effective() {
        let beside = if counts { "" } else { "  (a stricter one counts)" };
        let (line, origin) = (place.line, clean(&place.origin));
        print(&format!("{key:<10} {:<40} {:<12} {origin}:{line}{beside}", clean(value), level.as_str()));
    }
    Ok(ExitCode::SUCCESS)
}

fn line_json(line: &Provision<'_>) -> String {
    let Provision { level, place, key, value, counts } = line;
    format!(
        "{{\"level\":\"{}\",\"key\":\"{key}\",\"value\":{},\"counts\":{counts},\"file\":{},\"line\":{}}}",
        level.as_str(),
        text(value),
        text(&place.origin),
        place.line
    )
}
