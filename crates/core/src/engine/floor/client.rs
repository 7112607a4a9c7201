//! Settings that lead a client through Doorward, or past it.

use super::commands::base_name;
use super::{Case, Floor, block, note};
use crate::action::asset::normalise_path;
use crate::action::shell::{Assignment, Reading, SimpleCommand};
use crate::action::{Capability, PartKind, Target};
use crate::decision::Reason;
use crate::detect::glob::Glob;
use crate::url::Reach;

/// Variables that say where a client finds its model.
const ENDPOINTS: [&str; 14] = [
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_API_URL",
    "ANTHROPIC_BEDROCK_BASE_URL",
    "ANTHROPIC_VERTEX_BASE_URL",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "OPENAI_BASE_URL",
    "OPENAI_API_BASE",
    "OPENAI_API_HOST",
    "OPENAI_HOST",
    "AZURE_OPENAI_ENDPOINT",
    "CODEX_OSS_BASE_URL",
    "GOOGLE_GEMINI_BASE_URL",
    "OPENROUTER_BASE_URL",
];

/// Variables that say where a client keeps the settings that lead here, or in which session it comes: another's terms
/// are for that one.
const PLACES: [&str; 7] = [
    "ANTHROPIC_CUSTOM_HEADERS",
    "CLAUDE_CONFIG_DIR",
    "CODEX_HOME",
    "GEMINI_CONFIG_DIR",
    "OPENCODE_CONFIG",
    "OPENCODE_CONFIG_DIR",
    "CRUSH_GLOBAL_CONFIG",
];

/// The same, for every program: only beside a client.
const ANY_PLACES: [&str; 3] = ["HOME", "XDG_CONFIG_HOME", "USERPROFILE"];

/// Programs that are clients of a model.
const PROGRAMS: [&str; 16] = [
    "claude",
    "claude-code",
    "codex",
    "gemini",
    "aider",
    "opencode",
    "goose",
    "crush",
    "cursor-agent",
    "openhands",
    "qwen",
    "amp",
    "cline",
    "llm",
    "continue",
    "kilo",
];

/// Programs that run a project's own code: what they are told about models is the project's business.
const RUNNERS: [&str; 22] = [
    "python", "python3", "pytest", "uv", "poetry", "pipenv", "node", "npm", "pnpm", "yarn", "bun", "deno",
    "tsx", "cargo", "go", "java", "mvn", "ruby", "php", "dotnet", "make", "docker",
];

/// Programs that decide where packets go.
const FIREWALLS: [&str; 7] = ["iptables", "ip6tables", "nft", "ufw", "firewall-cmd", "pfctl", "ipfw"];

/// Variables that say through which proxy everything goes.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/// Members of clients' own settings that say the same, in lower case.
const SETTINGS: [&str; 12] = [
    "base-url",
    "api-base",
    "apibaseurl",
    "api_base",
    "apibase",
    "base_url",
    "baseurl",
    "model_provider",
    "apikeyhelper",
    "http.proxy",
    "httpproxy",
    "anthropic_base",
];

/// Where shells and desktops keep what every later program sees.
const PROFILES: [&str; 27] = [
    "~/.bashrc",
    "~/.bash_profile",
    "~/.bash_login",
    "~/.bash_aliases",
    "~/.profile",
    "~/.zshrc",
    "~/.zshenv",
    "~/.zprofile",
    "~/.zlogin",
    "~/.kshrc",
    "~/.config/fish/**",
    "~/.config/environment.d/**",
    "~/.config/nushell/**",
    "~/.config/systemd/user/**",
    "~/.config/powershell/**",
    "~/.pam_environment",
    "~/.ssh/environment",
    "~/.xprofile",
    "~/.xsessionrc",
    "~/Library/LaunchAgents/**",
    "~/Documents/*PowerShell/**",
    "/etc/environment",
    "/etc/profile",
    "/etc/profile.d/**",
    "/etc/bash.bashrc",
    "/etc/bashrc",
    "/etc/zsh/**",
];

/// Where clients keep their own settings, for a user and for a project.
const CLIENTS: [&str; 17] = [
    "**.claude/settings*.json",
    "**.claude.json",
    "**.codex/**",
    "**.gemini/settings.json",
    "**.gemini/.env",
    "**.cursor/*.json",
    "**/Cursor/User/settings.json",
    "**/Code/User/settings.json",
    "**.continue/config.*",
    "**.aider.conf.yml",
    "**.config/opencode/**",
    "**opencode.json*",
    "**.config/goose/**",
    "**.openhands/**",
    "**.config/zed/settings.json",
    "**.crush.json",
    "**managed-settings.json",
];

/// Programs that set or unset a variable for what follows.
const SETTERS: [&str; 19] = [
    "setx",
    "unset",
    "launchctl",
    "remove-item",
    "set-item",
    "clear-item",
    "new-item",
    "ri",
    "reg",
    "set-itemproperty",
    "new-itemproperty",
    "remove-itemproperty",
    "clear-itemproperty",
    "systemctl",
    "dbus-update-activation-environment",
    "tmux",
    "unsetenv",
    "si",
    "sp",
];

/// What those are told when they only show.
const SHOWING: [&str; 5] = ["query", "getenv", "show-environment", "showenv", "cat"];

/// Shell words that hand a variable on to later programs.
const EXPORTERS: [&str; 5] = ["export", "declare", "typeset", "set", "setenv"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Note,
    Block,
}

impl Floor {
    /// The reason for leading a client past Doorward. A value that points at one of our listeners does
    /// not.
    pub(super) fn redirects(&self, case: &Case<'_>) -> Option<Reason> {
        let by_hand = case.readings.iter().any(|reading| {
            let clients = reading.commands.iter().any(|command| self.is_told(command));
            clients || reading.commands.iter().any(|command| self.is_walled(command))
        });
        let removed = case.effects.iter().any(takes_settings);
        let in_code = case.effects.iter().any(|effect| match &effect.target {
            Target::Code(code) => starts_elsewhere(code) && !self.points_here(code),
            _ => false,
        });
        let in_hand = (by_hand || removed || in_code).then_some(Found::Block);
        let in_shell = case.readings.iter().filter_map(|reading| self.sets(reading));
        let written = self.writes(case);
        let found: Vec<Found> = in_shell.chain(written).chain(in_hand).collect();
        if found.contains(&Found::Block) {
            let message = "the call points the agent's own client away from Doorward";
            return Some(block(
                "floor.redirect",
                message,
                "leave base URLs and proxies as the user set them",
            ));
        }
        let message = "the call says where some program finds its model or proxy";
        let advice = "leave the client's own base URL and proxy as the user set them";
        (!found.is_empty()).then(|| note("floor.redirect-elsewhere", message, advice))
    }

    /// Variables set, unset or handed to a program by a command line.
    fn sets(&self, reading: &Reading) -> Option<Found> {
        if reading.commands.iter().any(unsets) {
            return Some(Found::Block);
        }
        let around = Around::of(&reading.commands);
        let found = reading.assignments.iter().filter_map(|set| self.assigned(set, &around));
        found.max_by_key(|found| *found == Found::Block)
    }

    fn assigned(&self, set: &Assignment, around: &Around) -> Option<Found> {
        let started = around.starts_client;
        let place = is_variable(&set.name, &PLACES);
        if started && (place || is_variable(&set.name, &ANY_PLACES)) {
            return Some(Found::Block);
        }
        let endpoint = is_variable(&set.name, &ENDPOINTS);
        let ours = set.name.to_ascii_uppercase().starts_with("DOORWARD_");
        if !endpoint && !place && !ours && !is_variable(&set.name, &PROXIES) {
            return None;
        }
        let proxy = !endpoint && !place && !ours && !set.name.eq_ignore_ascii_case("NO_PROXY");
        if set.value.as_ref().is_some_and(|value| self.points_here(value) || proxy && is_inside(value)) {
            return Some(Found::Note);
        }
        // `HTTPS_PROXY=… npm install` is over with that program; `export` stays.
        let stays = around.alone || around.exported.contains(&set.name);
        Some(if endpoint && !around.project || stays { Found::Block } else { Found::Note })
    }

    /// `claude --settings '{…}'`, `codex -c model_provider=…`: a client told by its own options.
    fn is_told(&self, command: &SimpleCommand) -> bool {
        if !is_client(command) {
            return false;
        }
        let words: Vec<&str> = command.argv.iter().map(|word| word.text.as_str()).collect();
        let configures = words.contains(&"config")
            && words.iter().any(|word| matches!(*word, "set" | "add" | "remove" | "rm" | "unset"));
        let mut option = false;
        words.iter().any(|word| {
            let given = option || configures;
            option = OPTIONS.contains(word);
            let (key, inline) = word.split_once('=').unwrap_or((word, ""));
            // A prompt may speak of anything.
            let told = if given || OPTIONS.contains(&key) { word.to_lowercase() } else { key.to_lowercase() };
            let of_key = given || word.starts_with('-') && !told.contains(' ');
            let named = ENDPOINTS.iter().chain(&PROXIES).any(|name| told.contains(&name.to_lowercase()))
                || SETTINGS.iter().any(|name| told.contains(name));
            of_key && named && !self.points_here(if inline.is_empty() { word } else { inline })
        })
    }

    /// `iptables … --dport 7878 -j …`
    fn is_walled(&self, command: &SimpleCommand) -> bool {
        let mut words = command.argv.iter().map(|word| word.text.as_str());
        words.any(|word| FIREWALLS.contains(&base_name(word).as_str()))
            && words
                .flat_map(|word| word.split(|c: char| !c.is_ascii_digit()))
                .any(|digits| self.ports.iter().any(|port| port == digits))
    }

    /// A file written with such a setting in it.
    fn writes(&self, case: &Case<'_>) -> Option<Found> {
        let written = |effect: &&crate::action::Effect| effect.capability == Capability::WriteFile;
        let paths = case.effects.iter().filter(written).filter_map(|effect| match &effect.target {
            Target::Path { path, .. } => Some(normalise_path(path)),
            _ => None,
        });
        let paths: Vec<String> = paths.collect();
        if paths.is_empty() {
            return None;
        }
        let text = case.said().to_lowercase();
        let names = ENDPOINTS.iter().chain(&PROXIES).chain(&PLACES);
        // An address of ours may be what is taken out.
        let ours =
            text.contains("doorward_") || self.ports.iter().any(|port| text.contains(&format!(":{port}")));
        let variable = ours || names.into_iter().any(|name| text.contains(&name.to_lowercase()));
        let setting = variable || SETTINGS.iter().any(|name| text.contains(name));
        if !setting || self.points_here(&text) {
            return None;
        }
        let is_in = |path: &str, globs: &[&str]| globs.iter().any(|glob| Glob::any_case(glob).matches(path));
        let of_client = |path: &String| variable && is_in(path, &PROFILES) || is_in(path, &CLIENTS);
        if paths.iter().any(of_client) {
            return Some(Found::Block);
        }
        variable.then_some(Found::Note)
    }

    /// Whether every address in `text` is one of our listeners, and there is one.
    pub(super) fn points_here(&self, text: &str) -> bool {
        let addresses = text.split("://").skip(1).map(|rest| {
            let end = rest.find(|c: char| c == '/' || c == '"' || c == '\'' || c.is_whitespace());
            end.and_then(|end| rest.split_at_checked(end)).map_or(rest, |(address, _)| address)
        });
        let ours = |address: &str| {
            crate::url::authority(address).is_some_and(|at| {
                let port = at.port.map(|port| port.to_string());
                at.host.is_this_machine() && port.is_some_and(|port| self.ports.contains(&port))
            })
        };
        let mut addresses = addresses.peekable();
        addresses.peek().is_some() && addresses.all(ours)
    }
}

/// What the commands of a line are, worked out once for all that the line sets: a line may set thousands of variables
/// and run as many commands.
struct Around {
    /// Nothing is run.
    alone: bool,
    /// A client is started.
    starts_client: bool,
    /// Only a project's own code runs.
    project: bool,
    /// The words of commands that hand variables on.
    exported: String,
}

impl Around {
    fn of(commands: &[SimpleCommand]) -> Self {
        let starts_client = commands.iter().any(is_client);
        let exports = |command: &&SimpleCommand| {
            let name = command.argv.first().map(|word| base_name(&word.text)).unwrap_or_default();
            EXPORTERS.contains(&name.as_str())
        };
        let mut exported = String::new();
        for word in commands.iter().filter(exports).flat_map(|command| &command.argv) {
            exported.push_str(&word.text);
            exported.push('\n');
        }
        let project = !starts_client && !commands.is_empty() && commands.iter().all(runs_project);
        Self { alone: commands.is_empty(), starts_client, project, exported }
    }
}

/// Whether a proxy stands on this machine or in its own network, as companies' proxies do: by every reading of
/// its address.
fn is_inside(proxy: &str) -> bool {
    let inside = |reach: Reach| matches!(reach, Reach::Loopback | Reach::Private | Reach::Shared);
    let plain = !proxy.contains(['\\', '@']);
    plain && crate::url::authority(proxy).is_some_and(|at| inside(at.host.reach()))
}

/// Options of clients after which a setting stands.
const OPTIONS: [&str; 8] =
    ["-c", "--config", "--settings", "--set-env", "--env", "-e", "--setting", "--option"];

/// Whether a command starts a client: by itself, or with `npx`, `env`, `sudo` and the like before it.
fn is_client(command: &SimpleCommand) -> bool {
    let mut words = command.argv.iter().take(8).map(|word| word.text.as_str());
    let known = |word: &str| PROGRAMS.contains(&base_name(word).split('@').next().unwrap_or(word));
    let first = words.next().unwrap_or_default();
    let starts = |word: &str| STARTERS.contains(&base_name(word).as_str());
    known(first) || starts(first) && words.any(known)
}

/// Whether a command runs a project's own code, `env NAME=value` before it or not.
fn runs_project(command: &SimpleCommand) -> bool {
    let mut words = command.argv.iter().map(|word| word.text.as_str());
    let first = words.find(|word| base_name(word) != "env" && !word.contains('='));
    first.is_some_and(|word| RUNNERS.contains(&base_name(word).as_str()))
        && !command.argv.iter().any(|word| is_of_client(&word.text))
}

/// `-m aider`, `exec @anthropic-ai/claude-code`, `~/.claude/local/cli.js`: a client under another program.
fn is_of_client(word: &str) -> bool {
    let mut names = word.split(['/', '\\', '@']).map(|name| name.trim_start_matches('.').to_lowercase());
    names.any(|name| PROGRAMS.iter().take(6).any(|program| name == *program))
}

/// Programs that start the one they name.
const STARTERS: [&str; 11] =
    ["npx", "bunx", "pnpx", "uvx", "env", "sudo", "nohup", "exec", "timeout", "setsid", "command"];

/// A client's own settings taken away from where it looks for them.
fn takes_settings(effect: &crate::action::Effect) -> bool {
    let Target::Path { path, .. } = &effect.target else { return false };
    let path = normalise_path(path).to_lowercase();
    effect.capability == Capability::DeleteFile && TAKEN.contains(&path.trim_end_matches("/*"))
}

/// Where the settings that lead a user's client here lie, and what holds them.
const TAKEN: [&str; 9] = [
    "~/.claude",
    "~/.claude.json",
    "~/.claude/settings.json",
    "~/.codex",
    "~/.codex/config.toml",
    "~/.gemini",
    "~/.gemini/settings.json",
    "~/.config/opencode",
    "~/.aider.conf.yml",
];

/// Code that changes where clients find their model, and starts one.
fn starts_elsewhere(code: &str) -> bool {
    let mut words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    let named = ENDPOINTS.iter().chain(&PLACES).any(|name| code.contains(name));
    named && words.any(|word| PROGRAMS.iter().take(3).any(|program| word == *program))
}

/// Whether `name` is, or ends in, a variable that says where a client finds its model.
pub(super) fn is_endpoint(name: &str) -> bool {
    is_variable(name.rsplit(['.', '/', ':']).next().unwrap_or(name), &ENDPOINTS)
}

fn is_variable(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// `unset HTTPS_PROXY`, `setx OPENAI_BASE_URL …`, `launchctl setenv …`, `env -u ANTHROPIC_BASE_URL …`
fn unsets(command: &SimpleCommand) -> bool {
    let Some((program, words)) = command.argv.split_first() else { return false };
    let name = base_name(&program.text);
    let named = |names: &[&str]| {
        words.iter().any(|word| {
            let word = word.text.trim_start_matches("--unset=").trim_start_matches("-u");
            let word = word.split('=').next().unwrap_or(word);
            is_variable(word.rsplit([':', '/', '\\']).next().unwrap_or(word), names)
        })
    };
    let has = |options: &[&str]| words.iter().any(|word| options.contains(&word.text.as_str()));
    let shows = words.iter().any(|word| SHOWING.contains(&word.text.to_lowercase().as_str()));
    // `export -n`, `declare +x`, `set -e` and `set -gx` of fish, `set NAME=` of the command prompt.
    let taken = match name.as_str() {
        "export" => has(&["-n"]),
        "declare" | "typeset" => has(&["+x", "+gx", "+r"]),
        "set" => {
            words.iter().any(|word| {
                let letters = word.text.strip_prefix('-').unwrap_or_default();
                letters.contains(['e', 'g', 'U', 'x']) && !letters.contains("o")
            }) || words.first().is_some_and(|word| word.text.contains('='))
        }
        _ => SETTERS.contains(&name.as_str()) && !shows,
    };
    // `env -i claude`: without any.
    let bare = name == "env" && has(&["-i", "-", "--ignore-environment"])
        || name == "exec" && words.iter().any(|word| word.text.starts_with('-') && word.text.contains('c'));
    taken && (named(&ENDPOINTS) || named(&PROXIES))
        || name == "env" && named(&ENDPOINTS) && (is_client(command) || !runs_project(command))
        || bare && is_client(command)
}

impl Case<'_> {
    /// What a call would write, as far as it stands in the call.
    fn said(&self) -> String {
        let parts = self.action.parts.iter();
        let said = parts.filter(|part| matches!(part.kind, PartKind::Command | PartKind::Arguments));
        let read = self.readings.iter().flat_map(|reading| &reading.writes).map(|(_, text)| text.as_str());
        said.map(|part| &*part.text).chain(read).collect::<Vec<_>>().join("\n")
    }
}
