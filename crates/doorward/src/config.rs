//! Settings: defaults, then `doorward.yaml`, then `DOORWARD_*`, then what was typed. All faults at once.
//!
//! Everything lies under `DOORWARD_HOME`; nothing is ever loaded from the working directory, because that
//! is where the agent writes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use doorward_core::Engine;
use doorward_core::account::credits::MOST_IN_LOT;
use doorward_core::detect::rules::RuleSet;
use doorward_core::engine::Surroundings;
use doorward_core::policy::{Level, Policy, SHIPPED};
use doorward_core::session::Mode;
use doorward_core::syntax::decode::{Fields, suggestion};
use doorward_core::syntax::{Diagnostic, Node, Source, yaml};
use doorward_core::wire::Protocol;
use doorward_core::wire::text_tools::TextTools;
use doorward_gateway::{Approvals, KeyHeader, Patience, UpstreamSettings};
use doorward_ledger::Durability;
use doorward_store::Home;
use doorward_store::forensics::Limits;
use doorward_store::quarantine;
use zeroize::Zeroizing;

use crate::aliases;
use crate::cli::RunArgs;
use crate::detection::{Detection, Entropy};
use crate::egress::EgressConfig;
use crate::rules::RuleFiles;
use crate::second_opinion::SecondOpinionConfig;
use crate::terminal::Faults;
use crate::tool_policy::{self, ToolPolicy};
use crate::webhooks;

/// What `doorward run` runs with.
#[derive(Debug)]
pub struct Config {
    /// Doorward's own directory.
    pub home: PathBuf,
    /// Where agents come.
    pub listen: SocketAddr,
    /// Where people come.
    pub control: SocketAddr,
    /// The mode of the process.
    pub mode: Mode,
    /// The files of the policy; none for the agents: `policy.yaml` or what is shipped.
    pub policy: Vec<(Level, PathBuf)>,
    /// Tools allowed and denied by name.
    pub tools: ToolPolicy,
    /// What is to be said of variables of other firewalls: which were read, and which mean nothing here.
    pub of_others: Vec<String>,
    /// Further host names of the data listener.
    pub hosts: Vec<String>,
    /// How long upstreams and clients are waited for.
    pub patience: Patience,
    /// How people are asked.
    pub approvals: Approvals,
    /// What a receipt survives.
    pub durability: Durability,
    /// Whether judged content is kept.
    pub content: bool,
    /// Whether what was judged is kept, so that policies can be tried on it.
    pub replay: bool,
    /// Whether it is kept, masked, where requests of the egress door lead.
    pub urls: bool,
    /// How long salts, content and what was judged are kept; `None`: for ever.
    pub retention: Option<Duration>,
    /// How many credits a new key begins with.
    pub new_key_credits: u64,
    /// People are told of keys with fewer credits; 0: never.
    pub credits_low: u64,
    /// Where the environment wants people told of decoys (`ALERT_WEBHOOK_URL`).
    pub alert_webhook: Option<String>,
    /// How much of what was blocked is kept for a person with the key, if one wants it.
    pub forensics: Limits,
    /// How much is kept of what was held instead of written.
    pub quarantine: quarantine::Limits,
    /// The agent whose token is printed.
    pub agent: String,
    /// How agents read calls from text, by name.
    pub text_tools: BTreeMap<String, TextTools>,
    /// What is set about detection.
    pub detection: Detection,
    /// The egress door.
    pub egress: EgressConfig,
    /// Another judge, if one is named.
    pub second_opinion: Option<SecondOpinionConfig>,
    /// Upstreams by name.
    pub upstreams: BTreeMap<String, UpstreamConfig>,
}

/// An upstream before its key is read.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it is.
    pub url: String,
    /// Whether it is trusted.
    pub trusted: bool,
    /// Whether what is unknown passes.
    pub unknown_passes: bool,
    /// Where its key is.
    pub key: Option<KeySource>,
    /// In which header it goes, if not in the protocol's own.
    pub key_header: Option<KeyHeader>,
}

/// Where a key is read from. Never the command line: it is visible to every process.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// The home directory, which must be there.
///
/// # Errors
/// If it is not, or is not as private as it has to be.
pub fn home_that_is_there(typed: Option<&Path>) -> anyhow::Result<Home> {
    let root = home(typed)?;
    anyhow::ensure!(
        root.is_dir(),
        "there is no Doorward home at {}; `doorward run` makes one",
        root.display()
    );
    Ok(Home::open(root)?)
}

/// `DOORWARD_HOME`: typed, from the environment, or `~/.doorward`.
pub fn home(typed: Option<&Path>) -> anyhow::Result<PathBuf> {
    let home = match (typed, std::env::var_os("DOORWARD_HOME").filter(|home| !home.is_empty())) {
        (Some(typed), _) => typed.to_owned(),
        (None, Some(home)) => PathBuf::from(home),
        (None, None) => user_home()
            .ok_or_else(|| {
                anyhow::anyhow!("there is no home directory; set DOORWARD_HOME to a directory of its own")
            })?
            .join(".doorward"),
    };
    Ok(std::path::absolute(home)?)
}

fn user_home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute())
}

impl Config {
    fn defaults(home: PathBuf) -> Self {
        let official = |protocol, url: &str| UpstreamConfig {
            protocol,
            url: url.to_owned(),
            trusted: true,
            unknown_passes: true,
            key: None,
            key_header: None,
        };
        let upstreams = [
            ("anthropic", official(Protocol::Anthropic, "https://api.anthropic.com")),
            ("openai", official(Protocol::OpenAi, "https://api.openai.com")),
            ("gemini", official(Protocol::Gemini, "https://generativelanguage.googleapis.com")),
        ];
        Self {
            home,
            listen: SocketAddr::from(([127, 0, 0, 1], 7878)),
            control: SocketAddr::from(([127, 0, 0, 1], 7879)),
            mode: Mode::Block,
            policy: Vec::new(),
            tools: ToolPolicy::default(),
            of_others: Vec::new(),
            hosts: Vec::new(),
            patience: Patience::default(),
            approvals: Approvals::default(),
            durability: Durability::Os,
            content: false,
            replay: true,
            urls: true,
            retention: Some(RETENTION),
            new_key_credits: NEW_KEY_CREDITS,
            credits_low: CREDITS_LOW,
            alert_webhook: None,
            forensics: FORENSICS,
            quarantine: quarantine::Limits::default(),
            agent: "default".to_owned(),
            text_tools: BTreeMap::new(),
            detection: Detection::default(),
            egress: EgressConfig::default(),
            second_opinion: None,
            upstreams: upstreams.map(|(name, upstream)| (name.to_owned(), upstream)).into(),
        }
    }

    /// Settles everything.
    ///
    /// # Errors
    /// All faults of all layers at once.
    pub fn load(home: PathBuf, args: &RunArgs) -> anyhow::Result<Self> {
        let mut config = Self::defaults(home);
        let mut faults = Faults::default();
        let file = config.home.join("doorward.yaml");
        if let Some(text) = read_optional(&file)? {
            let mut found = Vec::new();
            config.read_file(&text, &mut found);
            faults.add(&file.display().to_string(), &text, found);
        }
        let (environment, typed) =
            (environment(args.upstream.is_some(), &mut config.of_others, &mut faults), typed(args));
        config.alert_webhook = std::env::var(webhooks::ALERT_VARIABLE).ok().filter(|url| !url.is_empty());
        // It is said of the agent that the strongest layer names.
        let (of_agent, others): (Vec<_>, Vec<_>) =
            environment.into_iter().partition(|(key, ..)| *key == "text_tools");
        config.apply(others, &mut faults);
        let (typed_of_agent, typed): (Vec<_>, Vec<_>) =
            typed.into_iter().partition(|(key, ..)| *key == "text_tools");
        config.apply(typed, &mut faults);
        config.apply(of_agent, &mut faults);
        config.apply(typed_of_agent, &mut faults);
        if !config.listen.ip().is_loopback() || !config.control.ip().is_loopback() {
            let message =
                "only loopback addresses can be listened on: others need TLS, which is not built yet";
            faults.add_plain("listen, control", message, "use 127.0.0.1 or [::1]");
        }
        if let Err((file, text, found)) = config.tools.read_file(&config.home) {
            faults.add(&file.display().to_string(), &text, found);
        }
        faults.into_result()?;
        Ok(config)
    }

    fn read_file(&mut self, text: &str, faults: &mut Vec<Diagnostic>) {
        let node = match yaml::parse(text.as_bytes()) {
            Ok(node) => node,
            Err(found) => return faults.extend(found),
        };
        let mut fields = Fields::of(&node, "doorward.yaml", faults);
        if let Some(version) = fields.whole("version", 1..=1) {
            debug_assert_eq!(version, 1, "the range allows nothing else");
        }
        let own = |setting: &&Setting| !setting.of_upstream && setting.key != "text_tools";
        for setting in SETTINGS.iter().filter(own) {
            let Some(node) = fields.maybe(setting.key) else { continue };
            self.name_anew(setting.key);
            for value in if node.is_array() { node.elements() } else { std::slice::from_ref(node) } {
                let text = value.scalar().unwrap_or_default();
                if let Err((message, advice)) = self.set(setting.key, &text) {
                    fields.fault(value.span, message, advice);
                }
            }
        }
        self.detection.entropy.read_allowed(&mut fields);
        if let Some(upstreams) = fields.maybe("upstreams") {
            for member in upstreams.members() {
                self.read_upstream(&member.key, &member.value, fields.faults());
            }
        }
        if let Some(egress) = fields.maybe("egress") {
            self.egress = EgressConfig::read(egress, fields.faults());
        }
        if let Some(opinion) = fields.maybe("second_opinion") {
            self.second_opinion = SecondOpinionConfig::read(opinion, fields.faults());
        }
        if let Some(agents) = fields.maybe("agents") {
            for member in agents.members() {
                self.read_agent(&member.key, &member.value, fields.faults());
            }
        }
        fields.finish();
    }

    fn read_agent(&mut self, name: &str, node: &Node, faults: &mut Vec<Diagnostic>) {
        let mut fields = Fields::of(node, "an agent", faults);
        if let Err(error) = doorward_store::AgentName::new(name) {
            fields.fault(node.span, error.to_string(), "");
        }
        if let Some(text_tools) = fields.maybe_choice("text_tools", &TextTools::WORDS) {
            self.text_tools.insert(name.to_owned(), text_tools);
        }
        self.detection.of.insert(name.to_owned(), Entropy::read(&mut fields));
        fields.finish();
    }

    fn read_upstream(&mut self, name: &str, node: &Node, faults: &mut Vec<Diagnostic>) {
        let mut fields = Fields::of(node, "an upstream", faults);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            let message = format!("an upstream cannot be called `{}`", name.escape_debug());
            fields.fault(node.span, message, "use lower-case letters, digits, `-` and `_`");
        }
        let protocol = fields.choice("protocol", PROTOCOLS);
        let url = fields.text("url");
        let mut upstream = UpstreamConfig {
            protocol: protocol.unwrap_or(Protocol::Anthropic),
            url: url.unwrap_or_default().to_owned(),
            trusted: false,
            unknown_passes: false,
            key: None,
            key_header: None,
        };
        for key in ["trusted", "unknown", "key_file", "key_env", "key_header"] {
            let Some(value) = fields.maybe(key) else { continue };
            if let Err((message, advice)) = upstream.set(key, &value.scalar().unwrap_or_default()) {
                fields.fault(value.span, message, advice);
            }
        }
        fields.finish();
        self.upstreams.insert(name.to_owned(), upstream);
    }

    /// Applies the settings of one layer, each with the name it goes by there.
    fn apply(&mut self, layer: Vec<(&'static str, String, String)>, faults: &mut Faults) {
        let of_upstream =
            |key: &str| SETTINGS.iter().any(|setting| setting.key == key && setting.of_upstream);
        let (upstream, own): (Vec<_>, Vec<_>) = layer.into_iter().partition(|(key, ..)| of_upstream(key));
        for (key, origin, value) in own {
            self.name_anew(key);
            if let Err((message, advice)) = self.set(key, &value) {
                faults.add_plain(&origin, &message, &advice);
            }
        }
        if upstream.is_empty() {
            return;
        }
        let find = |wanted: &str| {
            upstream.iter().find(|(key, ..)| *key == wanted).map(|(_, _, value)| value.as_str())
        };
        let (Some(url), Some(protocol)) = (find("upstream"), find("protocol")) else {
            let origin = upstream.first().map(|(_, origin, _)| origin.clone()).unwrap_or_default();
            let advice =
                "give both (`--protocol`, DOORWARD_PROTOCOL): the protocol is never guessed from the address";
            return faults.add_plain(&origin, "an upstream needs its address and its protocol", advice);
        };
        let Some(protocol) = Protocol::parse(protocol) else {
            let message = format!("`{}` is no protocol Doorward speaks", protocol.escape_debug());
            return faults.add_plain("protocol", &message, "use anthropic, openai or gemini");
        };
        let mut settled = UpstreamConfig {
            protocol,
            url: url.to_owned(),
            trusted: false,
            unknown_passes: false,
            key: None,
            key_header: None,
        };
        for (key, origin, value) in &upstream {
            if let Err((message, advice)) = settled.set(key, value) {
                faults.add_plain(origin, &message, &advice);
            }
        }
        self.upstreams.insert(protocol.as_str().to_owned(), settled);
    }

    /// The strongest layer that names policy files of a level names them all.
    fn name_anew(&mut self, key: &str) {
        if let Some(named) = policy_level(key) {
            self.policy.retain(|(level, _)| *level != named);
        }
        // What is denied adds up; what is allowed is said by the strongest layer that says it.
        if key == "tool_allow" {
            self.tools.allow.clear();
        }
    }

    /// Sets one setting from its text. The error is what is wrong and what to do.
    fn set(&mut self, key: &str, text: &str) -> Result<(), (String, String)> {
        match key {
            "listen" => self.listen = address(text)?,
            "control" => self.control = address(text)?,
            "mode" => self.mode = choice(text, &[("block", Mode::Block), ("monitor", Mode::Monitor)])?,
            key if policy_level(key).is_some() => {
                let files: Vec<&str> = text.split(',').map(str::trim).collect();
                if files.iter().any(|file| file.is_empty()) {
                    let advice = "name files of the home directory or absolute ones, separated by commas";
                    return Err(("a policy file without a name".to_owned(), advice.to_owned()));
                }
                let level = policy_level(key).unwrap_or_default();
                self.policy.extend(files.into_iter().map(|file| (level, PathBuf::from(file))));
            }
            "tool_allow" => self.tools.allow.extend(tool_policy::names(text)?),
            "tool_deny" => self.tools.deny.extend(tool_policy::names(text)?),
            "tool_policy" => self.tools.strict = Some(tool_policy::strictness(text)?),
            "tool_policy_file" => self.tools.file = Some(PathBuf::from(text)),
            "hosts" => self.hosts.extend(text.split(',').map(|host| host.trim().to_ascii_lowercase())),
            "durability" => {
                self.durability = choice(text, &[("os", Durability::Os), ("disk", Durability::Disk)])?
            }
            "content" => self.content = yes_or_no(text)?,
            "replay" => self.replay = yes_or_no(text)?,
            "urls" => self.urls = choice(text, &[("masked", true), ("hashed", false)])?,
            "retention" => self.retention = retention(text)?,
            "new_key_credits" => {
                let number = text.parse().ok().filter(|number| *number <= MOST_IN_LOT);
                let wrong = || ("not a number of credits".to_owned(), format!("use 0 to {MOST_IN_LOT}"));
                self.new_key_credits = number.ok_or_else(wrong)?;
            }
            "credits_low" => {
                let number = text.parse().ok().filter(|number| *number <= MOST_IN_LOT);
                let wrong =
                    || ("not a number of credits".to_owned(), format!("use 0 (never) to {MOST_IN_LOT}"));
                self.credits_low = number.ok_or_else(wrong)?;
            }
            "forensics_retention" => self.forensics.age = retention(text)?.map_or(u64::MAX, in_millis),
            "forensics_size" => self.forensics.total = mebibytes(text)?,
            "quarantine_retention" => self.quarantine.age = retention(text)?.map_or(u64::MAX, in_millis),
            "quarantine_size" => self.quarantine.total = mebibytes(text)?,
            // After `agent`, whose it is.
            "text_tools" => {
                let text_tools = choice(text, &TextTools::WORDS)?;
                self.text_tools.insert(self.agent.clone(), text_tools);
            }
            "classifier" if text.is_empty() => {
                return Err(("a classifier without a file".to_owned(), "name its `.onnx` file".to_owned()));
            }
            "classifier" => self.detection.classifier = Some(PathBuf::from(text)),
            "honeytoken_domain" => self.detection.add_bait(text)?,
            "entropy_threshold" => self.detection.entropy.set_threshold(text)?,
            "idle_timeout" => self.patience.idle = seconds(text)?,
            "total_timeout" => self.patience.total = seconds(text)?,
            "approvals" => self.approvals.always = choice(text, &[("watched", false), ("always", true)])?,
            "approval_timeout" => self.approvals.timeout = seconds(text)?,
            "agent" => {
                let wrong = |error: doorward_store::StoreError| (error.to_string(), String::new());
                self.agent = doorward_store::AgentName::new(text).map_err(wrong)?.as_str().to_owned();
            }
            _ => {}
        }
        Ok(())
    }
}

impl UpstreamConfig {
    fn set(&mut self, key: &str, text: &str) -> Result<(), (String, String)> {
        match key {
            "trusted" => self.trusted = yes_or_no(text)?,
            "unknown" => self.unknown_passes = choice(text, &[("block", false), ("pass", true)])?,
            "key_file" => self.key = Some(KeySource::File(PathBuf::from(text))),
            "key_env" => self.key = Some(KeySource::Env(text.to_owned())),
            "key_header" => self.key_header = Some(choice(text, KEY_HEADERS)?),
            _ => {}
        }
        Ok(())
    }

    /// The upstream with its key read.
    ///
    /// # Errors
    /// If the key cannot be read. The message names where it should be, never what it is.
    pub fn settle(&self, name: &str, home: &Path) -> anyhow::Result<UpstreamSettings> {
        let key = match &self.key {
            None => None,
            Some(KeySource::File(path)) => {
                let path = home.join(path);
                let text = std::fs::read_to_string(&path).map(Zeroizing::new).map_err(|error| {
                    anyhow::anyhow!("upstream `{name}`: cannot read its key from {}: {error}", path.display())
                })?;
                warn_if_others_can_read(&path);
                Some(Zeroizing::new(text.trim().to_owned()))
            }
            Some(KeySource::Env(variable)) => {
                let text = std::env::var(variable).map(Zeroizing::new).map_err(|_| {
                    anyhow::anyhow!("upstream `{name}`: its key should be in the environment variable {variable}, which is not set")
                })?;
                Some(text)
            }
        };
        if key.as_ref().is_some_and(|key| key.is_empty()) {
            anyhow::bail!("upstream `{name}`: its key is empty");
        }
        Ok(UpstreamSettings {
            name: name.to_owned(),
            protocol: self.protocol,
            base: self.url.clone(),
            trusted: self.trusted,
            unknown_passes: self.unknown_passes,
            key,
            key_header: self.key_header,
        })
    }
}

/// A key that others on this machine can read is no secret.
fn warn_if_others_can_read(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if let Ok(metadata) = std::fs::metadata(path)
            && metadata.permissions().mode() & 0o077 != 0
        {
            tracing::warn!("others can read the key in {}; chmod 600 it", path.display());
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// One setting: its key in `doorward.yaml` and its environment variable.
struct Setting {
    key: &'static str,
    variable: &'static str,
    of_upstream: bool,
}

const fn setting(key: &'static str, variable: &'static str, of_upstream: bool) -> Setting {
    Setting { key, variable, of_upstream }
}

const SETTINGS: &[Setting] = &[
    setting("listen", "DOORWARD_LISTEN", false),
    setting("control", "DOORWARD_CONTROL", false),
    setting("mode", "DOORWARD_MODE", false),
    setting("policy", "DOORWARD_POLICY", false),
    setting("policy_team", "DOORWARD_POLICY_TEAM", false),
    setting("policy_organisation", "DOORWARD_POLICY_ORGANISATION", false),
    setting("tool_allow", "DOORWARD_TOOL_ALLOW", false),
    setting("tool_deny", "DOORWARD_TOOL_DENY", false),
    setting("tool_policy", "DOORWARD_TOOL_POLICY", false),
    setting("tool_policy_file", "DOORWARD_TOOL_POLICY_FILE", false),
    setting("hosts", "DOORWARD_HOSTS", false),
    setting("durability", "DOORWARD_DURABILITY", false),
    setting("content", "DOORWARD_CONTENT", false),
    setting("replay", "DOORWARD_REPLAY", false),
    setting("urls", "DOORWARD_URLS", false),
    setting("retention", "DOORWARD_RETENTION", false),
    setting("new_key_credits", "DOORWARD_NEW_KEY_CREDITS", false),
    setting("credits_low", "DOORWARD_CREDITS_LOW", false),
    setting("forensics_retention", "DOORWARD_FORENSICS_RETENTION", false),
    setting("forensics_size", "DOORWARD_FORENSICS_SIZE", false),
    setting("quarantine_retention", "DOORWARD_QUARANTINE_RETENTION", false),
    setting("quarantine_size", "DOORWARD_QUARANTINE_SIZE", false),
    setting("idle_timeout", "DOORWARD_IDLE_TIMEOUT", false),
    setting("total_timeout", "DOORWARD_TOTAL_TIMEOUT", false),
    setting("approvals", "DOORWARD_APPROVALS", false),
    setting("approval_timeout", "DOORWARD_APPROVAL_TIMEOUT", false),
    setting("agent", "DOORWARD_AGENT", false),
    setting("text_tools", "DOORWARD_TEXT_TOOLS", false),
    setting("entropy_threshold", "DOORWARD_ENTROPY_THRESHOLD", false),
    setting("honeytoken_domain", "DOORWARD_HONEYTOKEN_DOMAIN", false),
    setting("classifier", "DOORWARD_CLASSIFIER", false),
    setting("upstream", "DOORWARD_UPSTREAM", true),
    setting("protocol", "DOORWARD_PROTOCOL", true),
    setting("trusted", "DOORWARD_TRUSTED", true),
    setting("unknown", "DOORWARD_UNKNOWN", true),
    setting("key_file", "DOORWARD_KEY_FILE", true),
    setting("key_env", "DOORWARD_KEY_ENV", true),
    setting("key_header", "DOORWARD_KEY_HEADER", true),
];

pub const KEY_HEADERS: &[(&str, KeyHeader)] = &[
    ("bearer", KeyHeader::Bearer),
    ("x-api-key", KeyHeader::XApiKey),
    ("api-key", KeyHeader::ApiKey),
    ("x-goog-api-key", KeyHeader::XGoogApiKey),
];

const PROTOCOLS: &[(&str, Protocol)] =
    &[("anthropic", Protocol::Anthropic), ("openai", Protocol::OpenAi), ("gemini", Protocol::Gemini)];

/// What the environment sets. An unknown `DOORWARD_*` is a fault: a setting that does nothing because it
/// is misspelt is how a firewall runs unprotected.
///
/// Of other firewalls' variables those that mean the same are read. `typed`: an upstream was typed. `of_others`: what is to be said of them.
fn environment(
    typed: bool,
    of_others: &mut Vec<String>,
    faults: &mut Faults,
) -> Vec<(&'static str, String, String)> {
    let (mut layer, mut foreign) = (Vec::new(), Vec::new());
    let mut names = Vec::new();
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        names.push(name.clone());
        if aliases::is_alias(&name) {
            foreign.push((name, value.to_string_lossy().into_owned()));
            continue;
        }
        if !name.starts_with("DOORWARD_") || name == "DOORWARD_HOME" {
            continue;
        }
        match (SETTINGS.iter().find(|setting| setting.variable == name), value.into_string()) {
            (Some(setting), Ok(value)) => layer.push((setting.key, name, value)),
            (Some(_), Err(_)) => faults.add_plain(&name, "its value is not UTF-8", ""),
            (None, _) => {
                let known = SETTINGS.iter().map(|setting| setting.variable);
                let near = suggestion(&name, known).unwrap_or_default();
                faults.add_plain(&name, "no setting has this name", &near);
            }
        }
    }
    let has = |key: &str| layer.iter().any(|(other, ..): &aliases::Read| *other == key);
    let read = aliases::read(foreign, has, typed);
    of_others.extend(aliases::notice(&read));
    of_others.extend(aliases::unread_key(&names, &read));
    of_others.extend(aliases::warning(names.into_iter()));
    layer.extend(read);
    layer
}

/// What was typed.
fn typed(args: &RunArgs) -> Vec<(&'static str, String, String)> {
    let hosts = (!args.hosts.is_empty()).then(|| args.hosts.join(","));
    let policy = (!args.policy.is_empty()).then(|| args.policy.join(","));
    let given = [
        ("listen", &args.listen),
        ("control", &args.control),
        ("mode", &args.mode),
        ("policy", &policy),
        ("hosts", &hosts),
        ("durability", &args.durability),
        ("content", &args.content),
        ("replay", &args.replay),
        ("urls", &args.urls),
        ("retention", &args.retention),
        ("forensics_retention", &args.forensics_retention),
        ("forensics_size", &args.forensics_size),
        ("quarantine_retention", &args.quarantine_retention),
        ("quarantine_size", &args.quarantine_size),
        ("idle_timeout", &args.idle_timeout),
        ("total_timeout", &args.total_timeout),
        ("approvals", &args.approvals),
        ("approval_timeout", &args.approval_timeout),
        ("agent", &args.agent),
        ("text_tools", &args.text_tools),
        ("entropy_threshold", &args.entropy_threshold),
        ("classifier", &args.classifier),
        ("upstream", &args.upstream),
        ("protocol", &args.protocol),
        ("trusted", &args.trusted),
        ("unknown", &args.unknown),
        ("key_file", &args.key_file),
        ("key_env", &args.key_env),
        ("key_header", &args.key_header),
    ];
    given
        .into_iter()
        .filter_map(|(key, value)| Some((key, format!("--{}", key.replace('_', "-")), value.clone()?)))
        .collect()
}

/// Whose policy files a setting names.
fn policy_level(key: &str) -> Option<Level> {
    match key {
        "policy" => Some(Level::Agent),
        "policy_team" => Some(Level::Team),
        "policy_organisation" => Some(Level::Organisation),
        _ => None,
    }
}

fn address(text: &str) -> Result<SocketAddr, (String, String)> {
    let text =
        text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| {
        (
            format!("`{}` is not an address to listen on", text.escape_debug()),
            "write it as 127.0.0.1:7878".to_owned(),
        )
    })
}

fn choice<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, (String, String)> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        (format!("`{}` is not one of {}", text.escape_debug(), known.join(", ")), String::new())
    })
}

/// A time in whole seconds: one second to a day.
fn seconds(text: &str) -> Result<Duration, (String, String)> {
    let known = text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    known.map(Duration::from_secs).ok_or_else(|| {
        let message = format!("`{}` is not a time in seconds", text.escape_debug());
        (message, "use a whole number from 1 to 86400".to_owned())
    })
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a new key begins with.
const NEW_KEY_CREDITS: u64 = 1000;

/// Below how many credits of a key people are told.
const CREDITS_LOW: u64 = 100;

/// A month, and some days to ask for it.
const RETENTION: Duration = Duration::from_secs(36 * 24 * 60 * 60);

/// A month of what was blocked, and room for some hundred whole conversations.
pub const FORENSICS: Limits = Limits { total: 256 << 20, age: 30 * 24 * 60 * 60 * 1000 };

fn in_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A size in MiB, 1 to 65,536; in bytes.
fn mebibytes(text: &str) -> Result<u64, (String, String)> {
    let known = text.parse().ok().filter(|size: &u64| (1..=65_536).contains(size));
    known.map(|size| size << 20).ok_or_else(|| {
        let message = format!("`{}` is no size in MiB", text.escape_debug());
        (message, "use a whole number from 1 to 65536".to_owned())
    })
}

/// Days: one to ten years, or `forever`.
fn retention(text: &str) -> Result<Option<Duration>, (String, String)> {
    if text == "forever" {
        return Ok(None);
    }
    let known = text.parse().ok().filter(|days| (1..=3650).contains(days));
    known.map(|days: u32| Some(DAY.saturating_mul(days))).ok_or_else(|| {
        let message = format!("`{}` is no number of days", text.escape_debug());
        (message, "use a whole number from 1 to 3650, or forever".to_owned())
    })
}

fn yes_or_no(text: &str) -> Result<bool, (String, String)> {
    choice(text, &[("yes", true), ("no", false), ("true", true), ("false", false)])
}

fn read_optional(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(anyhow::anyhow!("cannot read {}: {error}", path.display())),
    }
}

/// The user's home directory, as rules about paths need it; empty if there is none.
pub fn user_home_text() -> String {
    user_home().map(|home| home.display().to_string()).unwrap_or_default()
}

/// What this home's `doorward.yaml` says about detection.
///
/// # Errors
/// All faults of the file.
pub fn detection_of(home: &Path) -> anyhow::Result<Detection> {
    let mut config = Config::defaults(home.to_owned());
    let mut faults = Faults::default();
    let file = home.join("doorward.yaml");
    if let Some(text) = read_optional(&file)? {
        let mut found = Vec::new();
        config.read_file(&text, &mut found);
        faults.add(&file.display().to_string(), &text, found);
    }
    faults.into_result()?;
    Ok(config.detection)
}

/// This home's rules: the shipped ones, and the operator's own.
///
/// # Errors
/// All their faults.
pub fn rules_of(home: &Path) -> anyhow::Result<Arc<RuleSet>> {
    let detection = detection_of(home)?.load(home)?;
    let texts = RuleFiles::of(home).read();
    texts.compile(&detection).map_err(|found| texts.faults(found).into_error().into())
}

/// The engine over this home's rules and `policy`, as no process runs it.
///
/// # Errors
/// All faults of the home's rules.
pub fn engine_of(home: &Path, policy: Policy) -> anyhow::Result<Engine> {
    let rules = rules_of(home)?;
    let around = Surroundings {
        user_home: user_home_text(),
        doorward_home: home.display().to_string(),
        ..Surroundings::default()
    };
    Ok(Engine::new(rules, policy.into(), around))
}

/// The engine under the shipped policy, whatever this home's policy says, and this home's rules: what `inspect` judges
/// with.
///
/// # Errors
/// All faults of the home's rules.
pub fn inspecting_engine(home: &Path) -> anyhow::Result<Engine> {
    let shipped = Policy::compile(&[Source { name: "shipped policy", text: SHIPPED }]);
    engine_of(home, shipped.map_err(|_| anyhow::anyhow!("the shipped policy does not compile"))?)
}
