//! Our own commands.

use super::{Case, Floor, block, note};
use crate::action::shell::Word;
use crate::decision::Reason;

/// Verbs that change nothing and open nothing.
const HARMLESS: [&str; 7] = ["help", "version", "--help", "-h", "--version", "-V", "inspect"];

/// Verbs an agent has no business with, wherever they stand. After our program's name at the front of a
/// command every verb that is not harmless is treated the same.
const ADMIN: [&str; 16] = [
    "kill",
    "resume",
    "init",
    "run",
    "policy",
    "allow",
    "approve",
    "deny",
    "release",
    "purge",
    "key",
    "keys",
    "agents",
    "config",
    "console",
    "uninstall",
];

/// The verbs of `receipts` that only check what anyone may check.
const HARMLESS_RECEIPTS: [&str; 1] = ["verify"];

/// What a command of ours is.
enum Use {
    Admin,
    Harmless,
}

/// The program without directory and `.exe`, in lower case.
pub(super) fn base_name(program: &str) -> String {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program).to_lowercase();
    name.strip_suffix(".exe").map(str::to_owned).unwrap_or(name)
}

impl Floor {
    /// A command of ours: a block, or a note if it is harmless.
    pub(super) fn own_commands(&self, case: &Case<'_>) -> Option<Reason> {
        let commands = case.readings.iter().flat_map(|reading| &reading.commands);
        let mut uses: Vec<Use> = commands.filter_map(|command| self.own_command(&command.argv)).collect();
        if case.loose_text().any(|text| self.is_called_in(text)) {
            uses.push(Use::Admin);
        }
        if uses.iter().any(|used| matches!(used, Use::Admin)) {
            let message = "the call runs a command of Doorward that is for people";
            return Some(block("floor.command", message, "tell the user what is needed; a person runs it"));
        }
        let message = "the call runs a harmless command of Doorward";
        (!uses.is_empty()).then(|| note("floor.own-command", message, ""))
    }

    /// Our program anywhere among the words: wrappers (`nohup`, `ssh host`, `xargs`) stand before it.
    fn own_command(&self, argv: &[Word]) -> Option<Use> {
        let own = argv.iter().position(|word| self.is_own_name(&word.text))?;
        let quiet = |word: &&str| word.starts_with("-v") || matches!(*word, "-q" | "--quiet" | "--verbose");
        let rest = argv.iter().skip(own + 1).map(|word| word.text.as_str());
        let verbs: Vec<&str> = rest.filter(|word| !quiet(word)).collect();
        if own > 0 {
            // `which doorward`, `ls -l /usr/bin/doorward`, `echo doorward kill`
            let first = argv.first().map(|word| base_name(&word.text)).unwrap_or_default();
            let printing = first == "echo" || first == "printf";
            let admin = verbs.first().is_some_and(|verb| ADMIN.contains(verb));
            return (admin && !printing).then_some(Use::Admin);
        }
        Some(match verbs.as_slice() {
            [] => Use::Harmless,
            [verb, ..] if HARMLESS.contains(verb) => Use::Harmless,
            ["receipts", verb, ..] if HARMLESS_RECEIPTS.contains(verb) => Use::Harmless,
            [_, .., "--help" | "-h"] => Use::Harmless,
            _ => Use::Admin,
        })
    }

    pub(super) fn is_own_name(&self, word: &str) -> bool {
        base_name(word) == self.program
    }

    /// `subprocess.run(["doorward", "kill"])`
    fn is_called_in(&self, text: &str) -> bool {
        let words =
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        let mut before = "";
        for word in words {
            if before.eq_ignore_ascii_case(&self.program) && ADMIN.contains(&word) {
                return true;
            }
            before = word;
        }
        false
    }
}
