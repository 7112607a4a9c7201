//! Our own commands.

use super::{Case, Floor, block, note};
use crate::action::asset::glob_matches;
use crate::action::shell::{Reading, SimpleCommand, Word};
use crate::decision::Reason;

/// Verbs that change nothing and open nothing.
const HARMLESS: [&str; 7] = ["help", "version", "--help", "-h", "--version", "-V", "inspect"];

/// Verbs an agent has no business with, wherever they stand. After our program's name at the front of a
/// command every verb that is not harmless is treated the same.
const ADMIN: [&str; 29] = [
    "quarantine",
    "taint",
    "secrets",
    "kill",
    "resume",
    "init",
    "run",
    "policy",
    "allow",
    "approvals",
    "approve",
    "deny",
    "release",
    "purge",
    "key",
    "keys",
    "agents",
    "credits",
    "webhook",
    "retention",
    "scrub",
    "ledger",
    "canary",
    "honeytoken",
    "config",
    "console",
    "forensics",
    "session",
    "uninstall",
];

/// The verbs of `receipts` that only check what anyone may check.
const HARMLESS_RECEIPTS: [&str; 1] = ["verify"];

/// Programs that take away, replace, copy or rename a program.
const CHANGING: [&str; 18] = [
    "rm",
    "mv",
    "cp",
    "ln",
    "install",
    "chmod",
    "chown",
    "chattr",
    "shred",
    "truncate",
    "dd",
    "tee",
    "unlink",
    "del",
    "erase",
    "remove-item",
    "move-item",
    "copy-item",
];

/// Programs that say where a program lies.
const LOCATING: [&str; 6] = ["which", "command", "type", "whereis", "where", "get-command"];

/// Programs that take installed programs away.
const INSTALLERS: [&str; 17] = [
    "apt", "apt-get", "dnf", "yum", "zypper", "pacman", "apk", "brew", "port", "snap", "cargo", "dpkg",
    "rpm", "winget", "choco", "scoop", "npm",
];

/// How they are told to.
const REMOVING: [&str; 10] =
    ["remove", "purge", "uninstall", "autoremove", "del", "erase", "-r", "-R", "-P", "-e"];

/// Programs that type into another terminal.
const TYPING: [&str; 6] = ["tmux", "screen", "zellij", "xdotool", "wtype", "ydotool"];

/// Programs that run what one of their words says.
const TOLD: [&str; 11] = ["vim", "vi", "nvim", "ex", "ed", "emacs", "man", "make", "npm", "pnpm", "yarn"];

/// What the names of variables end in whose value is run.
const RUN_VARIABLES: [&str; 6] = ["PAGER", "EDITOR", "COMMAND", "SHELL", "BROWSER", "VISUAL"];

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

/// Whether `verb` is one an agent has no business with.
pub(super) fn is_admin(verb: &str) -> bool {
    ADMIN.contains(&verb)
}

impl Floor {
    /// A command of ours: a block, or a note if it is harmless.
    pub(super) fn own_commands(&self, case: &Case<'_>) -> Option<Reason> {
        let commands = case.readings.iter().flat_map(|reading| &reading.commands);
        let mut uses: Vec<Use> = commands.filter_map(|command| self.own_command(&command.argv)).collect();
        let typed = case.readings.iter().any(|reading| self.is_typed(reading));
        if typed || case.loose_text().any(|text| self.is_called_in(text)) {
            uses.push(Use::Admin);
        }
        if uses.iter().any(|used| matches!(used, Use::Admin)) {
            let message = "the call runs a command of Doorward that is for people";
            return Some(block("floor.command", message, "tell the user what is needed; a person runs it"));
        }
        if case.readings.iter().any(|reading| self.is_replaced(&reading.commands)) {
            let message = "the call takes away, copies or replaces Doorward's program";
            return Some(block("floor.command", message, "tell the user what is needed; a person does it"));
        }
        let message = "the call runs a harmless command of Doorward";
        (!uses.is_empty()).then(|| note("floor.own-command", message, ""))
    }

    /// Our program anywhere among the words: wrappers (`nohup`, `ssh host`, `xargs`) stand before it.
    fn own_command(&self, argv: &[Word]) -> Option<Use> {
        let named = |(at, word): (usize, &Word)| {
            self.is_own_name(&word.text) || at == 0 && !word.exact && self.could_be_ours(&word.text)
        };
        let own = argv.iter().enumerate().position(named)?;
        let quiet = |word: &&str| word.starts_with("-v") || matches!(*word, "-q" | "--quiet" | "--verbose");
        let rest = argv.iter().skip(own + 1).map(|word| word.text.as_str());
        let verbs: Vec<&str> = rest.filter(|word| !quiet(word)).collect();
        // `cargo run -p doorward -- resume`
        let built = argv.iter().take(own).any(|word| word.text == "run" || word.text == "r");
        let passed = verbs.iter().position(|verb| *verb == "--").filter(|_| built);
        let verbs = verbs.get(passed.map_or(0, |at| at + 1)..).unwrap_or_default();
        if own > 0 {
            // `which doorward`, `ls -l /usr/bin/doorward`, `echo doorward kill`
            let first = argv.first().map(|word| base_name(&word.text)).unwrap_or_default();
            let printing = first == "echo" || first == "printf";
            let admin = verbs.first().is_some_and(|verb| ADMIN.contains(verb));
            return (admin && !printing).then_some(Use::Admin);
        }
        Some(match verbs {
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

    /// `/usr/local/bin/door*`: a pattern that says enough of our name.
    pub(super) fn could_be_ours(&self, word: &str) -> bool {
        let name = base_name(word);
        let name = name.trim_end_matches(".service");
        name.contains(['*', '?', '[']) && glob_matches(name, &self.program)
    }

    /// `tmux send-keys 'doorward resume'`, `GIT_PAGER='doorward resume' git log`
    fn is_typed(&self, reading: &Reading) -> bool {
        let typed = reading.commands.iter().any(|command| {
            let name = command.argv.first().map(|word| base_name(&word.text)).unwrap_or_default();
            let told = TOLD.contains(&name.as_str());
            let runs = |word: &Word| told && word.text.contains(' ') && self.is_called_in(&word.text);
            command.argv.iter().any(runs)
                || TYPING.contains(&name.as_str())
                    && command.argv.iter().any(|word| self.is_called_in(&word.text))
        });
        typed
            || reading.assignments.iter().any(|set| {
                let runs = RUN_VARIABLES.iter().any(|end| set.name.ends_with(end));
                runs && set.value.as_ref().is_some_and(|value| self.is_called_in(value))
            })
    }

    /// `rm /usr/local/bin/doorward`, `cp $(which doorward) x`, `brew uninstall doorward`
    fn is_replaced(&self, commands: &[SimpleCommand]) -> bool {
        let name = |command: &SimpleCommand| {
            let argv = command.argv.iter().map(|word| base_name(&word.text));
            argv.into_iter().find(|word| word != "sudo" && word != "doas").unwrap_or_default()
        };
        let located = || {
            commands.iter().any(|command| {
                let names_it = command.argv.iter().skip(1).any(|word| self.is_own_name(&word.text));
                LOCATING.contains(&name(command).as_str()) && names_it
            })
        };
        commands.iter().any(|command| {
            let name = name(command);
            let words = || command.argv.iter().skip(1).map(|word| word.text.as_str());
            let removes = INSTALLERS.contains(&name.as_str())
                && words().any(|word| REMOVING.contains(&word))
                && words().any(|word| self.is_own_name(word));
            // Elsewhere than among programs a directory may be called as we are: a checkout, say.
            let installed = |word: &str| {
                let place = word.replace('\\', "/").to_lowercase();
                let directory = place.rsplit_once('/').map_or("", |(directory, _)| directory);
                directory.ends_with("bin") && self.is_own_name(word)
            };
            let ours = || {
                words().any(|word| installed(word.split_once('=').map_or(word, |(_, value)| value)))
                    || words().any(|word| self.is_own_name(word) || word.contains('$')) && located()
            };
            removes || CHANGING.contains(&name.as_str()) && ours()
        })
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
