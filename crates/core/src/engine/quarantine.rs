//! What is not written but held: native binaries and what untrusted content gave, where they could be run.
//!
//! In `balanced` an ordinary script in a temporary directory passes, even one that a page gave word for word: people try
//! out what they read. In `strict` nothing that can be run is written to such places.

use sha2::{Digest as _, Sha256};

use super::Engine;
use crate::action::shell::{Reading, SimpleCommand};
use crate::action::{Action, ActionKind, AssetClass, Capability, Effect, Target, Written, asset};
use crate::decision::{Duty, Reason, Verdict};
use crate::detect::Finding;
use crate::detect::native::{self, BINARY, CATEGORY, FINDINGS, TAINTED, native};
use crate::policy::Profile;
use crate::session::Facts;
use crate::session::story::How;
use crate::syntax::Span;

const SEVERITY: u8 = 85;

/// Ends of names by which a shell or a script host runs a file.
const SHELL_SCRIPTS: [&str; 14] =
    ["sh", "bash", "zsh", "ksh", "command", "ps1", "psm1", "bat", "cmd", "vbs", "vbe", "wsf", "hta", "scpt"];

/// Ends of names that make a file runnable on Windows.
const PROGRAMS: [&str; 5] = ["exe", "com", "scr", "msi", "dll"];

impl Engine {
    /// For each file that `action` writes and that is to be held: which, and why.
    pub(super) fn to_hold(
        &self,
        action: &Action,
        readings: &[(usize, Reading)],
        effects: &[Effect],
        facts: &Facts,
    ) -> Vec<(usize, Finding)> {
        if action.kind != ActionKind::ToolCall {
            return Vec::new();
        }
        let strict = self.policy.profile() == Profile::Strict;
        let commands = || readings.iter().flat_map(|(_, reading)| &reading.commands);
        let one = |(index, file): (usize, &Written)| {
            let place = place_of(file);
            if let Some(kind) = native(&file.content).filter(|_| strict || place.is_some()) {
                let message = format!("it writes a native binary ({kind}) {}", place.unwrap_or("in place"));
                let advice = "build programs from source in the project, or ask the user to install them";
                return Some((index, finding(BINARY, message, advice)));
            }
            let place = place?;
            let told = facts.story.copied.iter().find(|(of, ..)| *of == index);
            if let Some((_, how, origin)) = told
                && (strict || place == EXECUTABLE || *how != How::Copied || is_script(file))
            {
                let by =
                    if origin.by.is_empty() { String::new() } else { format!(" (brought by {})", origin.by) };
                let message = format!("it writes what untrusted content gave {place}{by}");
                let advice = "write in words of your own what the user asked for, in the project";
                return Some((index, finding(TAINTED, message, advice)));
            }
            let runs = strict
                && (file.content.starts_with(b"#!")
                    || is_script(file)
                    || has_end(&file.path, &PROGRAMS)
                    || made_runnable(file, effects, commands()));
            runs.then(|| {
                let message = format!("it writes something that can be run {place}");
                (index, finding(native::EXECUTABLE, message, "keep scripts in the project"))
            })
        };
        action.written.iter().enumerate().filter_map(one).collect()
    }
}

/// The duties to keep aside what `reasons` hold: of those files that were found to be held, or of all if something else
/// holds the call.
pub(super) fn duties(action: &Action, found: &[(usize, Verdict)], reasons: &[Reason]) -> Vec<Duty> {
    let holds = |reason: &&Reason| reason.verdict == Verdict::Quarantine;
    let own = |reason: &Reason| FINDINGS.contains(&reason.rule.as_str());
    if !reasons.iter().any(|reason| holds(&reason)) {
        return Vec::new();
    }
    let all = reasons.iter().filter(holds).any(|reason| !own(reason));
    let one = |(index, file): (usize, &Written)| {
        let found = found.iter().any(|(of, verdict)| *of == index && *verdict == Verdict::Quarantine);
        (all || found).then(|| Duty::Divert(Sha256::digest(&file.content).into()))
    };
    action.written.iter().enumerate().filter_map(one).collect()
}

const EXECUTABLE: &str = "where programs live";

/// Where it is written, in words, if it could be run from there.
fn place_of(file: &Written) -> Option<&'static str> {
    match asset::classify_path(&file.path, file.exact) {
        AssetClass::Temp => Some("to a temporary directory"),
        AssetClass::Executable => Some(EXECUTABLE),
        AssetClass::System if in_bin(&file.path) => Some(EXECUTABLE),
        _ => None,
    }
}

fn in_bin(path: &str) -> bool {
    let mut names = path.rsplit('/').skip(1);
    names.next().is_some_and(|directory| matches!(directory, "bin" | "sbin" | "System32" | "system32"))
}

/// Whether a shell or a script host would run it.
fn is_script(file: &Written) -> bool {
    file.content.starts_with(b"#!") || has_end(&file.path, &SHELL_SCRIPTS)
}

fn has_end(path: &str, ends: &[&str]) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').is_some_and(|(_, end)| ends.iter().any(|own| own.eq_ignore_ascii_case(end)))
}

/// Whether the same call makes it runnable.
fn made_runnable<'r>(
    file: &Written,
    effects: &[Effect],
    mut commands: impl Iterator<Item = &'r SimpleCommand>,
) -> bool {
    let changed = effects.iter().any(|effect| {
        let same = matches!(&effect.target, Target::Path { path, .. } if **path == *file.path);
        same && effect.capability == Capability::WriteFile && effect.by == "chmod"
    });
    changed
        && commands.any(|command| {
            let (program, words) = match command.argv.split_first() {
                Some((program, words)) => (program.text.as_str(), words),
                None => return false,
            };
            program.ends_with("chmod") && words.iter().any(|word| lets_run(&word.text))
        })
}

/// Whether a mode lets somebody run the file: `+x`, `a=rx`, `755`.
fn lets_run(mode: &str) -> bool {
    let octal = (3..=5).contains(&mode.len()) && mode.bytes().all(|b| matches!(b, b'0'..=b'7'));
    if octal {
        return mode.bytes().rev().take(3).any(|b| b & 1 == 1);
    }
    mode.split(',').any(|clause| {
        let after = clause.split_once(['+', '=']);
        after
            .is_some_and(|(who, what)| who.bytes().all(|b| b"ugoa".contains(&b)) && what.contains(['x', 'X']))
    })
}

fn finding(rule: &str, message: String, advice: &str) -> Finding {
    Finding {
        rule: rule.to_owned(),
        category: CATEGORY.to_owned(),
        severity: SEVERITY,
        part: None,
        span: Span::default(),
        message,
        advice: advice.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_that_let_somebody_run_a_file() {
        for yes in ["+x", "u+x", "a=rwx", "755", "0755", "u+rw,o+x", "+X", "4755", "001"] {
            assert!(lets_run(yes), "{yes}");
        }
        for no in ["-x", "644", "u-x", "/tmp/x", "+w", "0600", "-R", "file+x.txt", "a=r"] {
            assert!(!lets_run(no), "{no}");
        }
    }
}
