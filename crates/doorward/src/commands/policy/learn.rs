//! `doorward policy learn`: the smallest policy with `default: deny` under which the past passes, for a person to read.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use doorward_core::action::{ActionKind, AssetClass, Capability, Effect, PartKind, Target};
use doorward_core::policy::{Policy, answers_to_default};
use doorward_core::syntax::Source;
use doorward_core::syntax::json::{self, quoted};
use doorward_core::{Action, Engine};

use super::general;
use crate::cli::{Cli, LearnArgs};
use crate::commands::allow::exact_arguments;
use crate::past::{self, Past, number};
use crate::terminal::{self, clean, print, say};
use crate::{config, serve, when};

/// Most values of one list: the language takes so many, and no reader more.
const MOST_VALUES: usize = 200;

/// The longest text that a condition takes.
const LONGEST: usize = 1024;

/// Most actions that are named where no rule covers them.
const SHOWN: usize = 20;

/// What was seen of one tool (none for a URL) with one capability.
#[derive(Default)]
struct Seen {
    count: u64,
    /// Known paths from the root or the home directory; `true` where all that lies beside them is another matter.
    paths: BTreeMap<String, bool>,
    hosts: BTreeSet<String>,
    /// What has neither.
    assets: BTreeSet<AssetClass>,
}

/// Calls that have no effect worth naming.
#[derive(Default)]
struct Plain {
    count: u64,
    /// Whether it reads command lines: then a rule about the tool alone would allow every command.
    shell: bool,
    /// The argument that holds the command, and the commands.
    commands: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Default)]
struct Learnt {
    seen: BTreeMap<(String, Capability), Seen>,
    plain: BTreeMap<String, Plain>,
    /// Exact calls, of what nothing wider covers.
    exact: BTreeMap<(String, String), u64>,
    actions: u64,
    times: Option<(u64, u64)>,
}

/// Runs the command: 0 if all that passed in the past passes under the policy, 1 if a part of it cannot be covered.
///
/// # Errors
/// If the store cannot be read.
pub fn run(cli: &Cli, args: &LearnArgs) -> anyhow::Result<ExitCode> {
    let home = config::home(cli.home.as_deref())?;
    let since = match &args.since {
        Some(since) => when::past(since, serve::now()).map_err(terminal::config_error)?,
        None => 0,
    };
    let reader = past::reader(&home)?;
    let mut learnt = Learnt::default();
    past::each(&reader, since, |past| {
        if is_act(&past) && past.before().passes() {
            learnt.see(&past);
        }
        Ok(())
    })?;
    anyhow::ensure!(learnt.actions > 0, "nothing that passed is recorded, so there is nothing to learn from");
    // What the first try does not cover is allowed word by word; what even that does not, is said.
    let engine = compiled(&home, &learnt.policy(&[]))?;
    let mut missed = Vec::new();
    past::each(&reader, since, |past| {
        if is_act(&past) && past.before().passes() && denied(&engine, &past) {
            missed.push(past);
        }
        Ok(())
    })?;
    for past in &missed {
        learnt.see_exactly(&past.judged.action);
    }
    let engine = compiled(&home, &learnt.policy(&[]))?;
    missed.retain(|past| denied(&engine, past));
    print(learnt.policy(&missed).trim_end());
    say(&format!(
        "{} of {} past actions pass under it; read it before you use it: doorward policy diff, doorward policy replay",
        number(learnt.actions - missed.len() as u64),
        number(learnt.actions)
    ));
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether the default speaks about it.
fn is_act(past: &Past) -> bool {
    let action = &past.judged.action;
    answers_to_default(action.kind, &action.effects)
}

fn compiled(home: &std::path::Path, text: &str) -> anyhow::Result<Engine> {
    let policy = Policy::compile(&[Source { name: "learnt policy", text }]);
    let policy = policy.map_err(|found| {
        let first = found.first().map(|fault| fault.message.clone()).unwrap_or_default();
        anyhow::anyhow!("what was learnt makes no policy ({first}); please report this")
    })?;
    config::engine_of(home, policy)
}

fn denied(engine: &Engine, past: &Past) -> bool {
    past.now(engine).rules.iter().any(|rule| rule == "policy.default")
}

impl Learnt {
    fn see(&mut self, past: &Past) {
        self.actions += 1;
        let (first, _) = self.times.unwrap_or((past.time, past.time));
        self.times = Some((first, past.time));
        let action = &past.judged.action;
        let tool = action.tool.as_ref().map_or("", |tool| &*tool.name);
        for effect in &action.effects {
            // Of a request each effect has a tool of its own.
            let tool = if action.kind == ActionKind::ModelRequest { effect.by.as_str() } else { tool };
            self.seen.entry((tool.to_owned(), effect.capability)).or_default().see(effect);
        }
        if action.effects.is_empty() && !tool.is_empty() {
            self.plain.entry(tool.to_owned()).or_default().see(action);
        }
    }

    fn see_exactly(&mut self, action: &Action) {
        if let (Some(tool), Some(arguments)) = (&action.tool, exact_arguments(action)) {
            *self.exact.entry((tool.name.to_string(), arguments)).or_default() += 1;
        }
    }

    /// The policy, with what it does not cover as comments.
    fn policy(&self, missed: &[Past]) -> String {
        let (from, to) = self.times.unwrap_or_default();
        let mut out = Rules(String::new(), 0);
        out.comment(&format!(
            "Learnt from {} actions that passed, {} to {}. Read it: what was done is not always what should be.",
            number(self.actions),
            when::date(from),
            when::date(to)
        ));
        out.comment("The shipped rules and the floor judge every call as well.");
        out.0.push_str("version: 1\ndefault: deny\nrules:");
        for ((tool, capability), seen) in &self.seen {
            out.seen(tool, *capability, seen);
        }
        for (tool, plain) in &self.plain {
            out.plain(tool, plain);
        }
        for ((tool, arguments), count) in &self.exact {
            let count = format!("{} calls, word by word: not all that it does is known", number(*count));
            out.rule(tool, "as it was", &count, std::slice::from_ref(arguments));
        }
        if out.1 == 0 {
            out.0.push_str(" []\n");
        }
        if !missed.is_empty() {
            out.comment(&format!(
                "\n{} actions are covered by no rule, among them:",
                number(missed.len() as u64)
            ));
            for past in missed.iter().take(SHOWN) {
                out.comment(&format!("  {}  {}  {}", past.receipt, clean(past.what()), past.first_words()));
            }
        }
        out.0
    }
}

impl Seen {
    fn see(&mut self, effect: &Effect) {
        self.count += 1;
        let host = || match &effect.target {
            Target::Url(text) | Target::Host(text) => doorward_core::url::authority(text),
            _ => None,
        };
        match &effect.target {
            Target::Path { path, exact: true } if general::is_literal(path) => {
                self.paths.insert(path.clone(), is_delicate(effect));
            }
            // A rule about what nobody knows would allow whatever nobody knows: such a call is learnt word by word.
            Target::Path { exact: false, .. } => {}
            _ => match host() {
                Some(authority) => drop(self.hosts.insert(authority.host.to_string())),
                None if effect.asset == AssetClass::Unknown => {}
                None => drop(self.assets.insert(effect.asset)),
            },
        }
    }
}

/// Where one file was meant and its neighbours were not.
fn is_delicate(effect: &Effect) -> bool {
    use AssetClass::{Log, Project, System, Temp, Unknown};
    let read = effect.capability == Capability::ReadFile;
    !(matches!(effect.asset, Project | Temp | Log | Unknown) || read && effect.asset == System)
}

impl Plain {
    fn see(&mut self, action: &Action) {
        self.count += 1;
        let mut commands = action.parts.iter().filter(|part| part.kind == PartKind::Command);
        let Some(command) = commands.next() else { return };
        self.shell = true;
        let arguments = action.parts.iter().find(|part| part.kind == PartKind::Arguments);
        let node = arguments.and_then(|part| json::parse(part.text.as_bytes()).ok());
        let members = node.as_ref().map(|node| node.members()).unwrap_or_default();
        let member = members.iter().find(|member| member.value.as_str() == Some(&command.text));
        if let Some(member) = member.filter(|_| command.text.len() <= LONGEST && !command.text.is_empty()) {
            self.commands.entry(member.key.to_string()).or_default().insert(command.text.to_string());
        }
    }
}

/// The text being written, and how many rules it has.
struct Rules(String, usize);

impl Rules {
    fn comment(&mut self, text: &str) {
        for line in text.split('\n') {
            self.0.push_str(if line.is_empty() { "\n" } else { "# " });
            self.0.push_str(line);
            self.0.push_str(if line.is_empty() { "" } else { "\n" });
        }
    }

    fn seen(&mut self, tool: &str, capability: Capability, seen: &Seen) {
        let capability = capability.as_str();
        let count = format!("{} times", number(seen.count));
        let word = format!("capability: {capability}");
        for (key, values) in [("path", general::paths(&seen.paths)), ("host", general::hosts(&seen.hosts))] {
            for some in values.iter().collect::<Vec<_>>().chunks(MOST_VALUES) {
                let list: Vec<String> = some.iter().map(|value| quote(value)).collect();
                let list = format!("{key}: [{}]", list.join(", "));
                self.rule(tool, capability, &count, &[word.clone(), list]);
            }
        }
        if !seen.assets.is_empty() {
            let assets: Vec<&str> = seen.assets.iter().map(|asset| asset.as_str()).collect();
            self.rule(tool, capability, &count, &[word, format!("asset: [{}]", assets.join(", "))]);
        }
    }

    fn plain(&mut self, tool: &str, plain: &Plain) {
        let count = format!("{} calls without an effect worth naming", number(plain.count));
        if !plain.shell {
            return self.rule(tool, "", &count, &[]);
        }
        for (argument, commands) in &plain.commands {
            for some in commands.iter().collect::<Vec<_>>().chunks(MOST_VALUES) {
                let list: Vec<String> = some.iter().map(|command| quote(command)).collect();
                let path = quote(&format!("$.{argument}"));
                let condition = format!("arguments: {{ jsonpath: {path}, in: [{}] }}", list.join(", "));
                let plain = argument.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                if plain {
                    self.rule(tool, "commands", &count, &[condition]);
                }
            }
        }
    }

    fn rule(&mut self, tool: &str, what: &str, count: &str, conditions: &[String]) {
        // A name with a wildcard would be a pattern.
        if !general::is_plain_name(tool) {
            return;
        }
        if self.1 == 0 {
            self.0.push('\n');
        }
        self.1 += 1;
        let short: String = clean(tool).chars().take(64).collect();
        let name = format!("{} {short} {what}", self.1);
        self.0.push_str(&format!("  # {count}\n  - name: {}\n    allow:\n", quote(name.trim_end())));
        let tool = (!tool.is_empty()).then(|| format!("tool: {}", quote(tool)));
        let all: Vec<&String> = tool.iter().chain(conditions).collect();
        for condition in all {
            self.0.push_str(&format!("      {condition}\n"));
        }
    }
}

fn quote(text: &str) -> String {
    String::from_utf8_lossy(&quoted(text)).into_owned()
}
