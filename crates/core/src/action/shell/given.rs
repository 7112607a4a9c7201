//! What arguments give away whatever the program is: the place of a secret, a shell to be started, a
//! library to be loaded.
//!
//! A table can never name all programs that read a file, run a pager or load a plugin; what they are given
//! does. An editor handed `/bin/sh`, a database client handed `/tmp/x.so` or a document converter handed a
//! private key does with it the one thing that can be done with it.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::eval::Eval;
use super::programs::Call;
use super::stream::add_flows;
use super::{Shell, Word};
use crate::action::{AssetClass, Capability, Flow, Target, asset};

/// How many arguments of one program are looked at.
const MAX_ARGUMENTS: usize = 4096;

/// The longest argument that is looked into.
const MAX_LENGTH: usize = 16 * 1024;

/// Kinds by program, from `given.tbl`.
static KINDS: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    let mut kinds: HashMap<&str, Vec<&str>> = HashMap::new();
    let lines = include_str!("given.tbl").lines().filter(|line| !line.starts_with('#'));
    for (kind, programs) in lines.filter_map(|line| line.split_once('|')) {
        for program in programs.split_whitespace() {
            kinds.entry(program).or_default().push(kind.trim());
        }
    }
    kinds
});

/// Whether the table has `program` under this kind.
fn is(kind: &str, program: &str) -> bool {
    KINDS.get(program).is_some_and(|kinds| kinds.contains(&kind))
}

impl Eval {
    /// What the arguments of a known program give away; `before` is where its own effects start.
    pub(super) fn given_away(&mut self, call: &Call<'_>, before: usize) -> Vec<Flow> {
        let mut found = Vec::new();
        let name = call.name;
        let own = call.args.len() - call.rest.len().min(call.args.len());
        let own = call.args.get(..own).unwrap_or_default();
        self.shell_given(call, own);
        if is("paths", name) {
            return found;
        }
        self.written_given(call, before);
        let keys = is("keys", name);
        let loose: Vec<Word> = if is("text", name) || (keys && !call.rest.is_empty()) {
            Vec::new()
        } else if keys {
            // A key is what these are given for their work; the system's own password hashes never are.
            let given =
                call.uses.iter().filter(|(role, _)| matches!(role, b'.' | b'e')).map(|(_, word)| word);
            let hashes = own.iter().filter(|word| word.text.contains("/etc/shadow"));
            given.chain(hashes).cloned().collect()
        } else {
            // A place that is only named, changed in its attributes or deleted is not read.
            let aside = of_roles(call, b"lkdpn");
            let places =
                own.iter().filter(|word| word.text.contains(['/', '\\', '~']) || word.text.starts_with('-'));
            places.filter(|word| !aside.contains(word.text.as_str())).cloned().collect()
        };
        add_flows(&mut found, &self.sensitive_arguments(&loose, before, name));
        if self.shell == Shell::Sh && !keys {
            self.library_given(own, before, name);
        }
        found
    }

    /// The same for a program that nobody knows.
    pub(super) fn given_to_unknown(&mut self, args: &[Word], before: usize, name: &str) -> Vec<Flow> {
        let found = self.sensitive_arguments(args, before, name);
        if self.shell == Shell::Sh && !is("text", name) {
            if !is("shells", name)
                && let Some(shell) = spawned(args).or_else(|| self.shell_in_file(args))
            {
                self.spawn(&shell, name);
            }
            self.library_given(args, before, name);
        }
        found
    }

    /// Files an option writes that the program's own reader passed over.
    fn written_given(&mut self, call: &Call<'_>, before: usize) {
        for (_, word) in call.uses.iter().filter(|(role, _)| *role == b'w') {
            let (path, exact) = self.path(word);
            let class = asset::classify_path(&path, exact);
            let own = self.reading.effects.iter().skip(before).any(|e| e.target.as_str() == path);
            if !own && matches!(class, AssetClass::Startup | AssetClass::Credential) {
                self.effect(Capability::WriteFile, Target::Path { path, exact }, class, &[], call.name);
            }
        }
    }

    /// A program that is no shell is told to start one.
    fn shell_given(&mut self, call: &Call<'_>, own: &[Word]) {
        let name = call.name;
        if self.shell != Shell::Sh
            || call.is("shell")
            || call.is("ps")
            || call.is("slash")
            || is("moves", name)
            || is("text", name)
            || is("shells", name)
        {
            return;
        }
        if let Some(shell) = alone(&call.rest, name == "busybox") {
            self.spawn(&shell, name);
            return;
        }
        let named = own.iter().any(|word| word.text.contains("/bin/"));
        if !named {
            if let Some(shell) = self.shell_in_file(own) {
                self.spawn(&shell, name);
            }
            return;
        }
        // What is a file to the program is not started by it.
        let files = of_roles(call, b"rwmdyklptoh");
        let file = |word: &&Word| {
            is_shell(word.text.rsplit('/').next().unwrap_or_default()) && files.contains(word.text.as_str())
        };
        let words: Vec<Word> = own.iter().filter(|word| !file(word)).cloned().collect();
        if let Some(shell) = spawned(&words).or_else(|| self.shell_in_file(own)) {
            self.spawn(&shell, name);
        }
    }

    /// The shell that a file starts which was written before and is given to a program now: its
    /// configuration, its plugin, its pager.
    fn shell_in_file(&self, args: &[Word]) -> Option<String> {
        if self.env.files.is_empty() {
            return None;
        }
        args.iter().take(64).find_map(|word| {
            let text = word.text.as_str();
            let value = text.split_once('=').map_or(text, |(_, value)| value);
            let (path, _) = self.path(&Word { text: value.to_owned(), ..word.clone() });
            let written = self.env.file_at(&path)?.text?;
            spawned_in(&written).map(str::to_owned)
        })
    }

    /// The program an editor asks about spelling.
    pub(super) fn speller(&mut self, word: &Word, by: &str) {
        if is_shell(word.text.rsplit('/').next().unwrap_or_default()) {
            self.spawn(&word.text, by);
        }
    }

    fn spawn(&mut self, shell: &str, by: &str) {
        let target = Target::Program(shell.to_owned());
        self.effect(Capability::Execute, target, AssetClass::Executable, &[], by);
    }

    /// A shared library out of a place anybody may write to.
    fn library_given(&mut self, args: &[Word], before: usize, by: &str) {
        if is("moves", by) || is("makes", by) {
            return;
        }
        for word in args.iter().take(64) {
            for (_, token) in tokens(&word.text).take(64) {
                if ![".so", ".dylib"].iter().any(|end| token.ends_with(end)) {
                    continue;
                }
                let (path, exact) = self.path(&Word { text: token.to_owned(), ..word.clone() });
                let known = self
                    .reading
                    .effects
                    .iter()
                    .skip(before)
                    .any(|e| e.target.as_str() == path && e.capability != Capability::ReadFile);
                if asset::classify_path(&path, exact) == AssetClass::Temp && !known {
                    let target = Target::Path { path, exact };
                    self.effect(Capability::Execute, target, AssetClass::Temp, &word.from, by);
                }
            }
        }
    }

    /// Arguments that name a sensitive place although nothing is known of what the program does with
    /// them: taken to be read. `before` is where the program's own effects start.
    fn sensitive_arguments(&mut self, args: &[Word], before: usize, by: &str) -> Vec<Flow> {
        let mut found = Vec::new();
        if args.len() > MAX_ARGUMENTS {
            self.budget.gap("shell: too many arguments");
        }
        let mut left_out = false;
        let mut option = "";
        for word in args.iter().take(MAX_ARGUMENTS) {
            let text = word.text.as_str();
            // What an option leaves out is not touched.
            let leaves_out = std::mem::replace(&mut left_out, leaves_out(text));
            let of_option = std::mem::replace(&mut option, text);
            if leaves_out || (left_out && text.contains('=')) || !text.contains(['/', '\\', '~']) {
                continue;
            }
            if !self.budget.spend(32) {
                break;
            }
            if text.contains([' ', '\n']) {
                if text.len() <= MAX_LENGTH && !is("text", by) {
                    self.sensitive_words(word, takes_code(of_option), before, by, &mut found);
                }
                continue;
            }
            if text.len() > 1024 {
                continue;
            }
            // A URL is not a file; what a file scheme names is.
            if text.contains("://") && !text.contains("file:") {
                continue;
            }
            // `--file=~/x`, `man:/root/x`, `@/etc/x` name a path, too.
            let start =
                if text.contains("://") { 0 } else { text.find(['=', ':', '@']).map_or(0, |at| at + 1) };
            let drive = matches!(text.as_bytes(), [_, b':', b'\\' | b'/', ..]);
            let inner = text.get(if drive { 0 } else { start }..).unwrap_or(text).trim_start_matches('@');
            // `-F/etc/x`: a value that follows its letter.
            let inner = match inner.as_bytes() {
                [b'-', letter, b'/' | b'~', ..] if letter.is_ascii_alphabetic() => {
                    inner.get(2..).unwrap_or(inner)
                }
                _ => inner,
            };
            self.sensitive(inner, word, before, by, &mut found);
            if text.contains([',', '"', '\'', '(']) || text.matches('=').count() > 1 {
                self.sensitive_words(word, true, before, by, &mut found);
            }
        }
        found
    }

    /// Places named within code or a longer text. Where it may be prose, only what stands as a value does in
    /// code counts: a note about a file does not read it.
    fn sensitive_words(&mut self, word: &Word, code: bool, before: usize, by: &str, found: &mut Vec<Flow>) {
        let text = word.text.as_str();
        if !self.budget.spend(text.len() / 4) {
            return;
        }
        for (lead, token) in tokens(text).take(256) {
            let rooted =
                token.starts_with(['/', '~']) || token.starts_with("$HOME") || token.starts_with("${HOME}");
            if !rooted || token.len() < 5 {
                continue;
            }
            if code || lead.is_some_and(|c| "\"'`(=<@,".contains(c)) {
                self.sensitive(token, word, before, by, found);
            }
        }
    }

    fn sensitive(&mut self, text: &str, word: &Word, before: usize, by: &str, found: &mut Vec<Flow>) {
        // `config/credentials.json`: a project's own file of that name.
        let name = text.rsplit('/').next().unwrap_or_default();
        let elsewhere =
            text.starts_with(['/', '~', '$', '.']) || text.contains("/.") || text.contains(['\\', ':']);
        if !elsewhere && !name.starts_with("id_") && self.env.directory.is_none() {
            return;
        }
        let (path, exact) = self.path(&Word { text: text.to_owned(), ..word.clone() });
        let class = asset::classify_path(&path, exact);
        let capability = match class {
            AssetClass::Credential
            | AssetClass::Wallet
            | AssetClass::Keychain
            | AssetClass::BrowserData
            | AssetClass::Doorward => Capability::ReadFile,
            AssetClass::Startup | AssetClass::AiClientConfig => Capability::Unknown,
            // What decides who may do what.
            AssetClass::System if path.starts_with("/etc/sudoers") || path == "/etc/passwd" => {
                Capability::Unknown
            }
            _ => return,
        };
        let mut own = self.reading.effects.iter().skip(before).filter(|e| !e.target.as_str().is_empty());
        let below = |target: &str| {
            target.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if own.any(|e| matches!(e.target, Target::Path { .. }) && below(e.target.as_str())) {
            return;
        }
        found.push(self.effect(capability, Target::Path { path, exact }, class, &word.from, by));
    }
}

/// The arguments that have one of these roles.
fn of_roles<'c>(call: &'c Call<'_>, roles: &[u8]) -> HashSet<&'c str> {
    let used = call.uses.iter().filter(|(role, _)| roles.contains(role));
    used.map(|(_, word)| word.text.as_str()).collect()
}

/// Whether an option's value may be code or a command: not what one says about something.
fn takes_code(option: &str) -> bool {
    let says =
        ["message", "body", "title", "description", "comment", "text", "note", "subject", "label", "prompt"];
    option.starts_with('-') && option != "-m" && !says.iter().any(|word| option.contains(word))
}

fn leaves_out(text: &str) -> bool {
    text.starts_with('-') && ["exclude", "ignore", "skip", "prune"].iter().any(|word| text.contains(word))
}

/// The words of code, what stands between quotes, brackets and operators, each with the character before it.
fn tokens(text: &str) -> impl Iterator<Item = (Option<char>, &str)> {
    let parts = text.split_inclusive(|c: char| c.is_ascii_whitespace() || "\"'`()[],;|&<>=@".contains(c));
    parts.scan(None, |lead, part| {
        let last =
            part.chars().next_back().filter(|c| c.is_ascii_whitespace() || "\"'`()[],;|&<>=@".contains(*c));
        let token = last.map_or(part, |c| part.strip_suffix(c).unwrap_or(part));
        Some((std::mem::replace(lead, last), token))
    })
}

/// A command that is nothing but a shell: no script, no command line, nothing it would do and end.
fn alone(command: &[Word], any_name: bool) -> Option<String> {
    let (first, rest) = command.split_first()?;
    let rooted = first.text.starts_with('/');
    let name = first.text.rsplit('/').next().unwrap_or_default();
    let interactive =
        rest.iter().all(|word| matches!(word.text.as_str(), "-i" | "-p" | "-l" | "-li" | "-pi" | "-ip"));
    let privileged = rest.iter().any(|word| word.text.starts_with("-p"));
    ((rooted || any_name || privileged) && interactive && is_shell(name)).then(|| first.text.clone())
}

fn is_shell(name: &str) -> bool {
    matches!(
        name,
        "sh" | "bash" | "zsh" | "dash" | "ksh" | "ash" | "csh" | "tcsh" | "fish" | "mksh" | "rbash" | "lksh"
    )
}

/// The shell that one of the arguments starts without giving it anything to do.
fn spawned(args: &[Word]) -> Option<String> {
    for (at, word) in args.iter().enumerate().take(MAX_ARGUMENTS) {
        let text = word.text.as_str();
        if text.len() > MAX_LENGTH || !text.contains("/bin/") {
            continue;
        }
        if text.starts_with('/') && is_shell(text.rsplit('/').next().unwrap_or_default()) {
            let before = at.checked_sub(1).and_then(|at| args.get(at)).map_or("", |word| word.text.as_str());
            let after = args.get(at + 1).map_or("", |word| word.text.as_str());
            let each = matches!(before, "-exec" | "-execdir" | "-ok" | "-okdir");
            if each && !matches!(after, ";" | "\\;") {
                continue;
            }
            let names = before.contains("shell") || before == "-s" || before == "SHELL";
            let given =
                after == "-c" || (!after.is_empty() && !after.starts_with('-') && !before.starts_with('-'));
            if !names && !given {
                return Some(text.to_owned());
            }
            continue;
        }
        if let Some(shell) = spawned_in(text) {
            return Some(shell.to_owned());
        }
    }
    None
}

/// A shell within code or an option's value, if nothing for it to do follows.
fn spawned_in(text: &str) -> Option<&str> {
    for (at, _) in text.match_indices("/bin/") {
        let start =
            text.get(..at)?.strip_suffix("/usr").or_else(|| text.get(..at)?.strip_suffix("/usr/local"));
        let lead = start.unwrap_or(text.get(..at)?);
        let tail = text.get(at + 5..)?;
        let length = tail.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (name, after) = tail.split_at_checked(length)?;
        let named = lead.trim_end().to_ascii_lowercase();
        if !is_shell(name)
            || named.ends_with("#!")
            || named.ends_with("-shell")
            || named.ends_with("shell=")
            || part_of_a_path(lead)
        {
            continue;
        }
        if after.starts_with(['/', '.', '_', '-']) {
            continue;
        }
        let next = after.trim_start();
        let idle = next.is_empty()
            || next.starts_with("-i")
            || next.starts_with("-p")
            || next.starts_with("-s")
            || !next.starts_with(|c: char| {
                c.is_alphanumeric() || matches!(c, '-' | '/' | '.' | '$' | '~' | '_' | '+')
            })
            || next.starts_with("0<")
            || next.starts_with("1>")
            || next.starts_with("2>");
        // `["/bin/sh", "-c", "…"]` has something to do.
        let listed = next.trim_start_matches(['"', '\'', ',', ' ']);
        let told = listed.strip_prefix("-c").map(|line| line.trim_start_matches(['"', '\'', ',', ' ']));
        let again = told.is_some_and(|line| {
            let line = line.strip_prefix("exec ").unwrap_or(line);
            ["sh", "bash", "/bin/sh", "/bin/bash"].iter().any(|shell| {
                line.strip_prefix(shell).is_some_and(|end| {
                    !end.starts_with(|c: char| c.is_alphanumeric() || c == '/' || c == ' ')
                })
            })
        });
        if (idle && told.is_none()) || again {
            return text.get(at..at + 5 + length);
        }
    }
    None
}

/// Whether what stands before `/bin/sh` makes it the end of another path or word.
fn part_of_a_path(lead: &str) -> bool {
    // A line of a makefile begins with `-` or `@`.
    let lead =
        lead.strip_suffix(['-', '@']).filter(|lead| lead.ends_with(char::is_whitespace)).unwrap_or(lead);
    lead.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '}'))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_has_known_kinds_only() {
        let lines =
            include_str!("given.tbl").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            let kind = line.split_once('|').expect("a kind and programs").0.trim();
            assert!(["paths", "keys", "text", "shells", "moves", "makes"].contains(&kind), "{line}");
        }
        assert!(super::is("shells", "docker") && super::is("keys", "ssh") && !super::is("text", "docker"));
    }
}
