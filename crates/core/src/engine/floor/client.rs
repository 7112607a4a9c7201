//! Settings that lead a client through Doorward, or past it.

use super::commands::base_name;
use super::{Case, Floor, block, note};
use crate::action::asset::normalise_path;
use crate::action::shell::{Assignment, Reading, SimpleCommand};
use crate::action::{Capability, PartKind, Target};
use crate::decision::Reason;
use crate::detect::glob::Glob;

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

/// Variables that say through which proxy everything goes.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/// Members of clients' own settings that say the same, in lower case.
const SETTINGS: [&str; 10] = [
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
const SETTERS: [&str; 7] = ["setx", "unset", "launchctl", "remove-item", "set-item", "new-item", "ri"];

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
        let in_shell = case.readings.iter().filter_map(|reading| self.sets(reading));
        let written = self.writes(case);
        let found: Vec<Found> = in_shell.chain(written).collect();
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
        let found = reading.assignments.iter().filter_map(|set| self.assigned(set, &reading.commands));
        found.max_by_key(|found| *found == Found::Block)
    }

    fn assigned(&self, set: &Assignment, commands: &[SimpleCommand]) -> Option<Found> {
        let endpoint = is_variable(&set.name, &ENDPOINTS);
        if !endpoint && !is_variable(&set.name, &PROXIES) {
            return None;
        }
        if set.value.as_ref().is_some_and(|value| self.points_here(value)) {
            return Some(Found::Note);
        }
        // `HTTPS_PROXY=… npm install` is over with that program; `export` stays.
        let stays = commands.is_empty()
            || commands.iter().any(|command| {
                let name = command.argv.first().map(|word| base_name(&word.text)).unwrap_or_default();
                let names_it = || command.argv.iter().any(|word| word.text.contains(&set.name));
                EXPORTERS.contains(&name.as_str()) && names_it()
            });
        Some(if endpoint || stays { Found::Block } else { Found::Note })
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
        let variable = ENDPOINTS.iter().chain(&PROXIES).any(|name| text.contains(&name.to_lowercase()));
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
    fn points_here(&self, text: &str) -> bool {
        let addresses = text.split("://").skip(1).map(|rest| {
            let end = rest.find(|c: char| c == '/' || c == '"' || c == '\'' || c.is_whitespace());
            end.and_then(|end| rest.split_at_checked(end)).map_or(rest, |(address, _)| address)
        });
        let ours = |address: &str| {
            crate::detect::address::authority(address).is_some_and(|at| {
                let port = at.port.map(|port| port.to_string());
                at.host.is_this_machine() && port.is_some_and(|port| self.ports.contains(&port))
            })
        };
        let mut addresses = addresses.peekable();
        addresses.peek().is_some() && addresses.all(ours)
    }
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
    let for_good = SETTERS.contains(&name.as_str());
    for_good && (named(&ENDPOINTS) || named(&PROXIES)) || name == "env" && named(&ENDPOINTS)
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
