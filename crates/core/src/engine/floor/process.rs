//! Commands that stop processes, ours among them.

use regex::RegexBuilder;

use super::commands::base_name;
use super::{Case, Floor};
use crate::action::Target;
use crate::action::shell::{SimpleCommand, join_literals};

/// Programs that tell a service or container what to do.
const SERVICES: [&str; 16] = [
    "systemctl",
    "service",
    "launchctl",
    "sc",
    "net",
    "docker",
    "docker-compose",
    "podman",
    "nerdctl",
    "supervisorctl",
    "rc-service",
    "nssm",
    "brew",
    "pm2",
    "schtasks",
    "runit",
];

/// Commands that stop the service or program they name.
const ENDING: [&str; 12] = [
    "taskkill",
    "stop-process",
    "spps",
    "tskill",
    "wmic",
    "stop-service",
    "restart-service",
    "suspend-service",
    "set-service",
    "remove-service",
    "spsv",
    "fkill",
];

/// Commands that end whatever listens on a port.
const PORT_KILLERS: [&str; 5] = ["kill-port", "killport", "kill-port-process", "fkill", "fkill-cli"];

/// Commands that look into or slow down the process they are given.
const ATTACHING: [&str; 12] = [
    "gdb", "lldb", "strace", "ltrace", "gcore", "renice", "taskset", "cpulimit", "prlimit", "reptyr",
    "nsenter", "dtruss",
];

/// What they tell it.
const STOPPING: [&str; 26] = [
    "stop",
    "kill",
    "disable",
    "mask",
    "restart",
    "try-restart",
    "reload-or-restart",
    "freeze",
    "revert",
    "edit",
    "set-property",
    "clean",
    "unload",
    "bootout",
    "kickstart",
    "remove",
    "rm",
    "delete",
    "pause",
    "down",
    "/end",
    "/delete",
    "/change",
    "update",
    "config",
    "signal",
];

/// Programs that find a process by name, file or port.
const FINDING: [&str; 10] = [
    "pidof",
    "lsof",
    "fuser",
    "ss",
    "netstat",
    "ps",
    "get-process",
    "get-nettcpconnection",
    "docker",
    "podman",
];

/// Programs that pick lines out of what those print.
const FILTERING: [&str; 6] = ["grep", "egrep", "awk", "sed", "rg", "findstr"];

/// Options of `pkill` and `killall` that choose processes by user, group, session or terminal.
const SELECTING: [&str; 12] =
    ["-u", "-U", "-g", "-G", "-s", "-t", "-P", "--user", "--euid", "--uid", "--group", "--terminal"];

/// The largest pattern of `pkill` that is tried, compiled, in bytes.
const PATTERN_SIZE: usize = 64 << 10;

impl Floor {
    /// Whether the call could end our process.
    pub(super) fn signals_us(&self, case: &Case<'_>) -> bool {
        let by_effect = case.effects.iter().any(|effect| match &effect.target {
            Target::Process(process) => self.is_us(process),
            Target::Path { path, .. } => self.is_in_proc(path),
            Target::Code(code) => self.is_ended_in(code),
            _ => false,
        });
        by_effect
            || case.readings.iter().any(|reading| {
                let stops = reading.commands.iter().any(|command| self.stops_us(command));
                stops || self.finds_and_kills(&reading.commands)
            })
    }

    fn is_us(&self, process: &str) -> bool {
        let process = process.trim();
        process == "-1" || self.is_pid(process) || self.is_own_name(process)
    }

    pub(super) fn is_pid(&self, word: &str) -> bool {
        self.around.pid != 0 && word.trim_start_matches('-').parse() == Ok(self.around.pid)
    }

    fn stops_us(&self, command: &SimpleCommand) -> bool {
        let Some((program, words)) = command.argv.split_first() else { return false };
        let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        match base_name(&program.text).as_str() {
            "kill" => self.kill_hits(&words),
            "pkill" => self.pkill_hits(&words),
            "killall" | "skill" => self.killall_hits(&words),
            "killall5" => true,
            "fuser" => words.iter().any(|word| is_option(word, 'k', "--kill")) && self.names_port(&words),
            name if PORT_KILLERS.contains(&name) => self.names_port(&words) || self.names_us(&words),
            "npx" | "bunx" | "pnpx" | "pnpm" | "yarn" | "bun" | "npm" => {
                words.iter().any(|word| PORT_KILLERS.contains(&word.split('@').next().unwrap_or(word)))
                    && (self.names_port(&words) || self.names_us(&words))
            }
            name if ENDING.contains(&name) => {
                self.names_us(&words) || words.iter().any(|word| self.is_pid(word))
            }
            name if ATTACHING.contains(&name) => words.iter().any(|word| self.is_pid(word)),
            // Every process of the user ends with the manager, the session or the target.
            "systemctl" if words.iter().any(|word| matches!(*word, "isolate" | "exit")) => true,
            "loginctl" => {
                words.iter().any(|word| word.starts_with("kill-") || word.starts_with("terminate-"))
            }
            name if SERVICES.contains(&name) => {
                self.names_us(&words)
                    && words.iter().any(|word| STOPPING.contains(&word.to_lowercase().as_str()))
            }
            _ => false,
        }
    }

    /// `kill [-s SIG | -SIG] PID…`: `-1` as a pid is every process there is.
    fn kill_hits(&self, words: &[&str]) -> bool {
        let mut signal = false;
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            match *word {
                "-l" | "-L" | "--list" => return false,
                "-s" | "-n" | "--signal" => {
                    words.next();
                    signal = true;
                }
                "--" => signal = true,
                // The first dashed word is the signal, later ones are groups. A lone `kill -1` is read
                // both ways.
                word if word.starts_with('-') && !signal => {
                    signal = true;
                    if word == "-1" && words.peek().is_none() {
                        return true;
                    }
                }
                word if self.is_us(word) => return true,
                _ => {}
            }
        }
        false
    }

    /// `pkill [options] PATTERN`: an extended regular expression over the name, with `-f` over the whole
    /// command line. Without a pattern, whole users or groups are meant.
    fn pkill_hits(&self, words: &[&str]) -> bool {
        let has = |short, long| words.iter().any(|word| is_option(word, short, long));
        let Some(pattern) = pattern_of(words) else {
            return !of_own_shell(words) && words.iter().any(|word| selects(word)) && !self.of_others(words);
        };
        let exact = has('x', "--exact");
        if has('v', "--inverse") {
            return !matches(pattern, &self.around.program, exact);
        }
        if has('f', "--full") {
            let listeners = self.around.listeners.join(" ");
            let line = format!("/usr/local/bin/{} run --listen {listeners} -v", self.around.program);
            return matches(pattern, &line, exact);
        }
        matches(pattern, &self.around.program, exact)
    }

    fn killall_hits(&self, words: &[&str]) -> bool {
        let option = |short| words.iter().any(|word| is_option(word, short, "--regexp"));
        // `-m` is what `-r` is called on macOS.
        let by_pattern = option('r') || option('m');
        let Some(name) = pattern_of(words) else {
            return words.iter().any(|word| selects(word)) && !self.of_others(words);
        };
        self.is_own_name(name) || by_pattern && matches(name, &self.around.program, false)
    }

    /// Whether a command ends all processes of other users.
    pub(super) fn ends_other_users(&self, case: &Case<'_>) -> bool {
        let commands = case.readings.iter().flat_map(|reading| &reading.commands);
        commands.filter_map(|command| command.argv.split_first()).any(|(program, words)| {
            let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            let ends = matches!(base_name(&program.text).as_str(), "pkill" | "killall" | "skill");
            ends && pattern_of(&words).is_none() && self.of_others(&words)
        })
    }

    /// `pkill -u NAME`, where NAME can be neither the user that we run as nor root. Who we run as is known by the
    /// home directory only, so it has to be one that says.
    fn of_others(&self, words: &[&str]) -> bool {
        let home = self.around.user_home.trim_end_matches('/');
        let Some((above, own)) = home.rsplit_once('/') else { return false };
        if !matches!(above, "/home" | "/Users") {
            return false;
        }
        let ours = |name: &str| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
            let known = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(plain);
            !known || name == "root" || name.eq_ignore_ascii_case(own) || name.contains(&self.program)
        };
        let mut named = false;
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let (option, inline) = word.split_once('=').map_or((*word, None), |(o, value)| (o, Some(value)));
            match option {
                "-u" | "-U" | "--euid" | "--uid" | "--user" => {
                    let users = inline.or_else(|| rest.next().copied()).unwrap_or_default();
                    if users.split(',').any(ours) {
                        return false;
                    }
                    named = true;
                }
                "-s" | "--signal" => {
                    rest.next();
                }
                // A signal: `-9`, `-KILL`.
                _ if word.strip_prefix('-').is_some_and(is_signal) => {}
                _ => return false,
            }
        }
        named
    }

    /// `kill $(pgrep doorward)`, `lsof -ti:7878 | xargs kill`, `kill $(cat …/doorward.pid)`
    fn finds_and_kills(&self, commands: &[SimpleCommand]) -> bool {
        let kills = |command: &SimpleCommand| {
            let mut first = command.argv.iter().take(4).map(|word| base_name(&word.text));
            first.any(|name| {
                matches!(name.as_str(), "kill" | "pkill" | "stop-process" | "spps" | "taskkill")
                    || ATTACHING.contains(&name.as_str())
            }) || self.stops_what_is_found(command)
                || command.argv.iter().any(|word| word.text.starts_with("/proc/") && word.text.contains('$'))
        };
        commands.iter().any(kills) && commands.iter().any(|command| self.finds_us(command))
    }

    /// `ps … | grep door`, `ps … | awk '/door/'`: a pattern that says enough and fits our name.
    fn picks_us(&self, name: &str, words: &[&str]) -> bool {
        let fits = |pattern: &str| {
            pattern.chars().filter(|c| c.is_alphanumeric()).count() >= 3
                && matches(pattern, &self.program, false)
        };
        let inverse = words.iter().any(|word| is_option(word, 'v', "--invert-match"));
        match name {
            "grep" | "egrep" | "rg" | "findstr" => !inverse && pattern_of(words).is_some_and(fits),
            "awk" | "sed" => {
                let mut pieces = words.iter().flat_map(|word| word.split('/').skip(1).step_by(2));
                pieces.any(fits)
            }
            _ => false,
        }
    }

    /// `docker stop $(…)`: which, the command that finds it says.
    fn stops_what_is_found(&self, command: &SimpleCommand) -> bool {
        let mut words = command.argv.iter().map(|word| base_name(&word.text));
        words.any(|name| matches!(name.as_str(), "docker" | "podman" | "nerdctl"))
            && words.any(|word| matches!(word.as_str(), "stop" | "kill" | "rm" | "pause" | "restart"))
    }

    /// `/proc/PID/…` of ours.
    fn is_in_proc(&self, path: &str) -> bool {
        let pid = path.strip_prefix("/proc/").and_then(|rest| rest.split('/').next());
        pid.is_some_and(|pid| self.is_pid(pid))
    }

    /// Code that stops a process and speaks of us.
    fn is_ended_in(&self, code: &str) -> bool {
        let code = join_literals(code).to_lowercase();
        let stops = [".kill(", "killpg(", "terminate(", "sigkill", "sigterm", "sigstop", "pkill", "taskkill"];
        code.contains(&self.program) && stops.iter().any(|needle| code.contains(needle))
    }

    fn finds_us(&self, command: &SimpleCommand) -> bool {
        let Some((program, words)) = command.argv.split_first() else { return false };
        let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let name = base_name(&program.text);
        if name == "pgrep" {
            return self.pkill_hits(&words);
        }
        let looks = FINDING.contains(&name.as_str()) || FILTERING.contains(&name.as_str());
        let pid_file = words.iter().any(|word| word.ends_with(".pid") && self.names_us(&[word]));
        pid_file
            || self.picks_us(&name, &words)
            || looks && (self.names_us(&words) || self.names_port(&words))
    }

    fn names_us(&self, words: &[&str]) -> bool {
        words.iter().any(|word| {
            let word = word.to_lowercase();
            // `[d]oorward`: what keeps `grep` from finding itself.
            word.contains(&self.program)
                || word.contains('[') && word.replace(['[', ']'], "").contains(&self.program)
                || self.could_be_ours(&word)
        })
    }

    fn names_port(&self, words: &[&str]) -> bool {
        let mut numbers = words.iter().flat_map(|word| word.split(|c: char| !c.is_ascii_digit()));
        numbers.any(|digits| self.ports.iter().any(|port| port == digits))
    }
}

/// Whether `word` is the long option or a group of short ones with `short` among them.
fn is_option(word: &str, short: char, long: &str) -> bool {
    let Some(letters) = word.strip_prefix('-') else { return false };
    word == long
        || !letters.starts_with('-')
            // `-9`, `-KILL`: a signal.
            && !letters.starts_with(|c: char| c.is_ascii_digit() || c.is_ascii_uppercase())
            && letters.contains(short)
}

/// `pkill -P $$`: the children of the very shell.
fn of_own_shell(words: &[&str]) -> bool {
    let parent = words.iter().position(|word| *word == "-P" || *word == "--parent");
    parent
        .and_then(|at| words.get(at + 1))
        .is_some_and(|value| matches!(*value, "$$" | "${…}" | "${$}" | "${!}"))
}

/// `9`, `KILL`, `SIGTERM`
fn is_signal(letters: &str) -> bool {
    let number = letters.len() <= 2 && letters.bytes().all(|b| b.is_ascii_digit());
    let named = letters.len() >= 3 && letters.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    !letters.is_empty() && (number || named)
}

fn selects(word: &str) -> bool {
    // `-uann`; `-USR1` is a signal.
    let glued = ["-u", "-g", "-G", "-t"].iter().any(|option| {
        word.strip_prefix(option).is_some_and(|value| !value.is_empty() && !value.starts_with('-'))
    });
    glued
        || SELECTING.contains(&word)
        || word.split_once('=').is_some_and(|(option, _)| SELECTING.contains(&option))
}

/// The first word that is neither an option nor the value of one.
fn pattern_of<'w>(words: &[&'w str]) -> Option<&'w str> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let takes_value =
            SELECTING.contains(word) || matches!(*word, "--signal" | "-F" | "--pidfile" | "--ns");
        if *word == "--" {
            return words.next().copied();
        } else if takes_value {
            words.next();
        } else if !word.starts_with('-') {
            return Some(word);
        }
    }
    None
}

/// Whether `pattern` matches; one that is no pattern is taken as text.
fn matches(pattern: &str, text: &str, exact: bool) -> bool {
    // Most are plain words; compiling an expression costs more than all the rest of the judgement.
    if pattern.bytes().all(|b| b.is_ascii_alphanumeric() || b" -_/".contains(&b)) {
        let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
        return if exact { pattern == text } else { text.contains(&pattern) };
    }
    let whole = if exact { format!("^(?:{pattern})$") } else { pattern.to_owned() };
    match RegexBuilder::new(&whole).case_insensitive(true).size_limit(PATTERN_SIZE).build() {
        Ok(regex) => regex.is_match(text),
        Err(_) => text.contains(pattern) || pattern.contains(text),
    }
}
