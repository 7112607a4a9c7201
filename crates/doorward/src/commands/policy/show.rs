//! `doorward policy show`: the policy as it is in force, with the origin of each line.

use std::process::ExitCode;

use doorward_core::detect::destination::Registry;
use doorward_core::policy::Provision;

use super::Files;
use crate::registries::learnt;
use crate::terminal::{clean, print, text};

/// Runs the command.
///
/// # Errors
/// If the policy is faulty.
pub fn run(files: &Files, json: bool) -> anyhow::Result<ExitCode> {
    let policy = files.compiled()?;
    let learnt = &learnt().registries;
    if json {
        let lines: Vec<String> = policy.effective().map(|line| line_json(&line)).collect();
        let registries: Vec<String> = learnt.iter().map(registry_json).collect();
        let (revision, lines) = (text(policy.revision()), lines.join(","));
        let registries = registries.join(",");
        print(&format!("{{\"revision\":{revision},\"effective\":[{lines}],\"registries\":[{registries}]}}"));
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!("revision {}", policy.revision()));
    for Provision { level, place, key, value, says, counts } in policy.effective() {
        let says = says.map(|says| format!("  ({says})"));
        let beside =
            says.unwrap_or_else(|| if counts { String::new() } else { "  (a stricter one counts)".into() });
        let (line, origin) = (place.line, clean(&place.origin));
        print(&format!("{key:<10} {:<40} {:<12} {origin}:{line}{beside}", clean(value), level.as_str()));
    }
    for registry in learnt {
        let port = registry.port.map_or(String::new(), |port| format!(":{port}"));
        let place = format!("{}{port}", registry.host);
        print(&format!("{:<10} {:<40} learnt from {}", "registry", clean(&place), clean(&registry.from)));
    }
    Ok(ExitCode::SUCCESS)
}

fn registry_json(registry: &Registry) -> String {
    let port = registry.port.map_or("null".to_owned(), |port| port.to_string());
    let (host, from) = (text(&registry.host.to_string()), text(&registry.from));
    format!("{{\"host\":{host},\"port\":{port},\"from\":{from}}}")
}

fn line_json(line: &Provision<'_>) -> String {
    let Provision { level, place, key, value, says, counts } = line;
    let says = says.as_ref().map(|says| format!(",\"says\":{}", text(says))).unwrap_or_default();
    format!(
        "{{\"level\":\"{}\",\"key\":\"{key}\",\"value\":{}{says},\"counts\":{counts},\"file\":{},\"line\":{}}}",
        level.as_str(),
        text(value),
        text(&place.origin),
        place.line
    )
}
