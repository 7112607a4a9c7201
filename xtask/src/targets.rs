//! Type-checking for the other operating systems, as far as this machine can.

use std::process::Command;

use crate::process::{self, Places};
use crate::report::{self, Outcome};

/// One target for each operating system; any of a group will do.
const SYSTEMS: [(&str, &[&str]); 2] = [
    ("Windows", &["x86_64-pc-windows-msvc", "x86_64-pc-windows-gnu", "aarch64-pc-windows-msvc"]),
    ("macOS", &["aarch64-apple-darwin", "x86_64-apple-darwin"]),
];

/// Checks every installed target; one that is not installed, or whose C parts cannot be compiled here,
/// is named and is no failure.
pub fn check(places: &Places) -> Result<Outcome, String> {
    let installed = installed();
    let (mut checked, mut unchecked, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (system, candidates) in SYSTEMS {
        let Some(target) = candidates.iter().find(|target| installed.iter().any(|have| have == *target))
        else {
            unchecked.push(format!("{system} (no such target installed)"));
            continue;
        };
        let check = ["check", "--workspace", "--all-targets", "--quiet", "--target", target];
        let (status, output) = process::capture(&mut places.cargo(&check))?;
        if status.success() {
            checked.push((*target).to_owned());
        } else if output.contains("failed to run custom build command") {
            unchecked.push(format!("{system} (its C parts do not compile here)"));
        } else {
            report::say(&output);
            failed.push((*target).to_owned());
        }
    }
    let mut note = String::new();
    for (what, list) in [("checked: ", &checked), ("not checked: ", &unchecked)] {
        if !list.is_empty() {
            note.push_str(if note.is_empty() { "" } else { "; " });
            note.push_str(what);
            note.push_str(&list.join(", "));
        }
    }
    Ok(match (failed.is_empty(), checked.is_empty()) {
        (false, _) => Outcome::Failed(format!("{} does not type-check", failed.join(", "))),
        (true, true) => Outcome::NotChecked(unchecked.join(", ")),
        (true, false) => Outcome::Passed(note),
    })
}

/// The installed targets as `rustup` knows them; none if there is no `rustup`.
fn installed() -> Vec<String> {
    let listed = process::capture(Command::new("rustup").args(["target", "list", "--installed"]));
    match listed {
        Ok((status, list)) if status.success() => list.lines().map(|line| line.trim().to_owned()).collect(),
        _ => Vec::new(),
    }
}
