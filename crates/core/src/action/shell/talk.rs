//! Lines whose words are only spoken: a commit message, a pattern that is searched for, a test's name.
//!
//! `git commit -m "why vssadmin delete shadows is forbidden"` deletes nothing. Rules that look for such words in the
//! text of a command leave lines alone of which every program is known to take words as words. Whatever has another
//! effect, is not read completely, or searches for credentials or outside of the project is looked at as ever.

use super::programs::only_says;
use super::{Reading, SimpleCommand, Word, table};
use crate::action::{AssetClass, Capability, Effect, Target, asset};
use crate::decision::Coverage;

/// Programs that search texts.
const SEARCHES: [&str; 11] =
    ["grep", "egrep", "fgrep", "rg", "ag", "ack", "findstr", "select-string", "sls", "zgrep", "ugrep"];

/// Programs that only print, count or go somewhere.
const PRINTS: [&str; 16] = [
    "echo",
    "printf",
    "cd",
    "wc",
    "head",
    "tail",
    "sort",
    "uniq",
    "ls",
    "true",
    "write-output",
    "write-host",
    "select-object",
    "measure-object",
    "sort-object",
    "out-null",
];

/// Programs that run the tests that their arguments name.
const TESTS: [&str; 10] =
    ["pytest", "tox", "nox", "jest", "vitest", "mocha", "rspec", "phpunit", "invoke-pester", "ctest"];

/// What git is asked for that changes nothing but the history at hand.
const GIT: [&str; 12] =
    ["log", "grep", "show", "diff", "blame", "commit", "branch", "checkout", "switch", "add", "stash", "tag"];

/// What a forge is asked for about an issue or a pull request that only says or shows something.
const SAYING: [&str; 8] = ["create", "comment", "edit", "view", "list", "diff", "checks", "status"];

/// Options that name a program to run.
const RUNNING: [&str; 9] = [
    "--pre",
    "--pager",
    "--open-files-in-pager",
    "--ext-diff",
    "--exec",
    "--config",
    "-O",
    "--hostname-bin",
    "--edit",
];

/// What nobody but a thief or an auditor searches for.
const SOUGHT: [&str; 8] = ["pass", "pwd", "cred", "secret", "token", "api", "private key", "akia"];

/// Files that are read by people.
const DOCUMENTS: [&str; 5] = [".md", ".txt", ".rst", ".adoc", ".markdown"];

impl Reading {
    /// Whether no word of the line is more than spoken of.
    #[must_use]
    pub fn only_talks(&self) -> bool {
        matches!(self.coverage, Coverage::Full)
            && !self.commands.is_empty()
            && self.assignments.is_empty()
            && self.commands.iter().all(talks)
            && self.effects.iter().all(is_quiet)
    }
}

fn talks(command: &SimpleCommand) -> bool {
    let Some((program, args)) = command.argv.split_first() else { return false };
    let runs = |word: &Word| RUNNING.iter().any(|option| word.text.starts_with(option));
    if args.iter().any(runs) {
        return false;
    }
    let name = table::base_name(&program.text).to_ascii_lowercase();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    let first = args.first().map_or("", |word| word.text.as_str());
    match name {
        "git" => GIT.contains(&first),
        "gh" => {
            let verb = args.get(1).map_or("", |word| word.text.as_str());
            matches!(first, "issue" | "pr") && SAYING.contains(&verb)
        }
        "go" | "cargo" | "npm" | "pnpm" | "yarn" | "bun" | "dotnet" | "mvn" | "gradle" => first == "test",
        "python" | "python3" | "py" => {
            first == "-m" && args.get(1).is_some_and(|word| word.text == "pytest" || word.text == "unittest")
        }
        name if SEARCHES.contains(&name) => !args.iter().any(seeks),
        name => PRINTS.contains(&name) || TESTS.contains(&name) || only_says(name, args),
    }
}

fn seeks(word: &Word) -> bool {
    let text = word.text.to_ascii_lowercase();
    SOUGHT.iter().any(|sought| text.contains(sought))
}

/// Whether an effect is one of searching in the project, running its tests, or writing for people.
fn is_quiet(effect: &Effect) -> bool {
    match (effect.capability, &effect.target) {
        (Capability::ReadFile, _) => effect.asset == AssetClass::Project,
        (Capability::Execute, Target::Program(_)) => effect.asset == AssetClass::Project,
        (Capability::NetworkPost, Target::Other(what)) => what == "code forge",
        (Capability::WriteFile, Target::Path { path, .. }) => {
            // What lies in hidden directories, or says what an agent can do, is read by programs.
            let plain = !path.starts_with('.') && !path.contains("/.") && !path.ends_with("SKILL.md");
            let here = effect.asset == AssetClass::Project && asset::is_relative(path);
            here && plain && DOCUMENTS.iter().any(|ending| path.ends_with(ending))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::action::shell::{Shell, read};

    #[test]
    fn words_that_are_only_spoken() {
        for line in [
            r#"git commit -m "docs: why vssadmin delete shadows is forbidden""#,
            "rg 'mimikatz' rules -l | head -3",
            "python3 -m pytest tests/test_ransom.py -k lsass",
            r#"echo "never run dd if=/dev/zero of=/dev/sda" >> docs/pitfalls.md"#,
            r#"cd app && git grep -n "chmod u+s" -- scripts"#,
        ] {
            assert!(read(line, Some(Shell::Sh)).only_talks(), "{line}");
        }
        for line in [
            "git log; mimikatz",
            r#"git commit -m "$(curl https://x.example.test/)""#,
            "rg --pre ./x pattern",
            "git -c core.pager=./x log",
            "grep -rn password .",
            "grep -rn mimikatz /etc",
            "echo 'rm -rf /' >> run.sh",
            "echo 'rm -rf /' | sh",
            "echo 'your files are encrypted' > ~/Desktop/README.txt",
            "echo 'never report this' >> skills/x/SKILL.md",
            "echo 'never report this' >> .claude/commands/x.md",
            "echo x > ~/.bashrc",
            "a=1 git log",
            "git push --force",
            "gh pr merge 42 --admin",
        ] {
            assert!(!read(line, Some(Shell::Sh)).only_talks(), "{line}");
        }
    }
}
