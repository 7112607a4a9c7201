//! `doorward allow RECEIPT`: a false alarm becomes a reviewed, narrow rule that ends.

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use doorward_core::action::{ActionKind, Door, PartKind, Target, ToolUse, tools};
use doorward_core::policy::SHIPPED;
use doorward_core::session::{Millis, story};
use doorward_core::syntax::json::{self, quoted};
use doorward_core::{Action, Engine, Layer, Reason, Source};
use doorward_store::{Judged, write_atomic};

use crate::cli::{AllowArgs, Cli, RunArgs};
use crate::config::{self, Config};
use crate::past::{self, Past, number};
use crate::policies::{self, PolicyFiles};
use crate::terminal::{self, clean, print, say};
use crate::{serve, when};

mod edit;

/// The longest text that an operator of the language takes.
const LONGEST_EXACT: usize = 1024;

/// Most values of one matcher.
const MOST_VALUES: usize = 64;

/// How many past actions that would change as well are shown.
const SHOWN: usize = 5;

/// Runs the command: 0 if the action passes now, 1 if nothing was written.
///
/// # Errors
/// If receipt, store or policy cannot be read, or the policy not be written.
pub fn run(cli: &Cli, args: &AllowArgs) -> anyhow::Result<ExitCode> {
    let home = config::home(cli.home.as_deref())?;
    let now = serve::now();
    let expires = when::future(&args.expires, now).map_err(terminal::config_error)?;
    let reader = past::reader(&home)?;
    let record = reader.action(&args.receipt)?.with_context(|| {
        format!("nothing is recorded for {}; `doorward receipts list` shows the newest", clean(&args.receipt))
    })?;
    let past = Past::of(record).context(
        "what was judged is not kept for this receipt (setting `replay`, or it was purged), so no rule can be made of it",
    )?;
    let files = Files::read(&home)?;
    let engine = files.engine(&home, None)?;
    print(&format!("{}  {}  {}", past.receipt, clean(past.what()), past.first_words()));
    let reasons = blocking(&engine, &past, now);
    if reasons.is_empty() {
        print("it passes already, by the policy as it is");
        return Ok(ExitCode::SUCCESS);
    }
    for reason in &reasons {
        print(&format!("  {} {}: {}", reason.verdict.as_str(), reason.rule, clean(&reason.message)));
    }
    if let Some(obstacle) = obstacle(&past, &reasons) {
        say(&format!("no rule can let this pass: {obstacle}"));
        return Ok(ExitCode::FAILURE);
    }
    let Some(found) = narrowest(&home, &files, &past, &reasons, args, (now, expires))? else {
        say(
            "no narrow rule lets this pass: not everything it does is known. Write one by hand, and try it with `doorward policy replay`",
        );
        return Ok(ExitCode::FAILURE);
    };
    let others = others(&reader, &engine, &found.engine, &past)?;
    print(&format!("\nto be added to {}:\n", files.last().display()));
    found.lines.iter().for_each(|line| print(&format!("  {line}")));
    tell_others(&others);
    if !agreed(args, others.list.is_empty())? {
        say("nothing was written");
        return Ok(ExitCode::FAILURE);
    }
    files.write(&found.text)?;
    print(&format!(
        "written; it ends at {}. A running Doorward follows its policy files.",
        when::rfc3339(expires)
    ));
    Ok(ExitCode::SUCCESS)
}

/// The narrowest rule with which a call that a person was asked about would pass by itself, for them to add; or why there is
/// none. `id` names the question.
///
/// # Errors
/// If the policy cannot be read.
pub fn propose(
    home: &Path,
    (tool, content, id): (&str, &str, &str),
) -> anyhow::Result<Result<Vec<String>, String>> {
    let now = serve::now();
    let mut action = Action::new(Door::Model, ActionKind::ToolCall, "".into(), "".into());
    action.source = Source::Model;
    action.tool = Some(ToolUse { name: tool.into(), declared: true, call_id: "".into() });
    let Ok(node) = json::parse(content.as_bytes()) else {
        return Ok(Err("its arguments are no JSON, so no rule can name them".to_owned()));
    };
    tools::fill_call(&mut action, content, Some(&node));
    let judged = Judged { action, whole: true, reasons: Vec::new() };
    let past = Past { receipt: id.to_owned(), time: now, judged };
    let files = Files::read(home)?;
    let reasons = blocking(&files.engine(home, None)?, &past, now);
    if reasons.is_empty() {
        return Ok(Err("by itself it passes: what was asked depends on what came before it".to_owned()));
    }
    if let Some(obstacle) = obstacle(&past, &reasons) {
        return Ok(Err(obstacle));
    }
    let expires = when::future(PROPOSED_FOR, now).map_err(terminal::config_error)?;
    let reason = Some(format!("approved: question {id}"));
    let args = AllowArgs { receipt: id.to_owned(), expires: PROPOSED_FOR.to_owned(), reason, yes: false };
    let found = narrowest(home, &files, &past, &reasons, &args, (now, expires))?;
    Ok(found
        .map(|found| found.lines)
        .ok_or_else(|| "not everything it does is known, so no narrow rule fits".to_owned()))
}

/// How long a proposed rule holds.
const PROPOSED_FOR: &str = "7d";

/// The policy's files; a rule is added to the one of this Doorward's own.
struct Files {
    files: PolicyFiles,
    own: PathBuf,
    text: String,
    /// Whether it is not there yet.
    fresh: bool,
}

impl Files {
    fn read(home: &Path) -> anyhow::Result<Self> {
        let config = Config::load(home.to_owned(), &RunArgs::default())?;
        let files = PolicyFiles::new(home, &config.policy).with_tools(&config.tools);
        let own = files.own().unwrap_or(home).to_owned();
        let fresh = files.missing().is_some();
        let text = if fresh {
            SHIPPED.to_owned()
        } else {
            policies::read(&own).with_context(|| format!("cannot read {}", own.display()))?
        };
        Ok(Self { files, own, text, fresh })
    }

    fn last(&self) -> &Path {
        &self.own
    }

    fn last_text(&self) -> &str {
        &self.text
    }

    /// The engine over them, with another text for that file if there is one.
    fn engine(&self, home: &Path, text: Option<&str>) -> anyhow::Result<Engine> {
        let texts = self.files.read_with(false, text.map(|text| (self.own.as_path(), text)));
        let policy = texts.compile(&*config::rules_of(home)?).map_err(|found| {
            let first = found.first().map(|fault| fault.message.clone()).unwrap_or_default();
            terminal::config_error(format!(
                "the policy has faults ({first}); `doorward policy check` tells them all"
            ))
        })?;
        config::engine_of(home, policy)
    }

    /// Writes the last file, unless somebody else did meanwhile.
    fn write(&self, text: &str) -> anyhow::Result<()> {
        let path = self.last();
        if self.fresh {
            anyhow::ensure!(!path.exists(), "{} has come into being meanwhile; try again", path.display());
            return Ok(write_atomic(path, text.as_bytes())?);
        }
        // A link stays one.
        let path = std::fs::canonicalize(path)?;
        anyhow::ensure!(
            policies::read(&path)? == self.last_text(),
            "{} was changed meanwhile; try again",
            path.display()
        );
        let permissions = std::fs::metadata(&path)?.permissions();
        write_atomic(&path, text.as_bytes())?;
        std::fs::set_permissions(&path, permissions)
            .with_context(|| format!("cannot set the mode of {}", path.display()))
    }
}

/// The reasons that keep it from passing today: as it is judged now, and what can only be taken over from then.
fn blocking(engine: &Engine, past: &Past, now: Millis) -> Vec<Reason> {
    let decision = engine.decide(&past.judged.action, &past.facts(now));
    let mut reasons: Vec<Reason> =
        decision.reasons.into_iter().filter(|reason| !reason.verdict.passes()).collect();
    for carried in past.carried().filter(|reason| !reason.verdict.passes()) {
        if !reasons.iter().any(|reason| reason.rule == carried.rule) {
            reasons.push(Reason {
                rule: carried.rule.clone(),
                layer: if carried.rule.starts_with("floor.") { Layer::Floor } else { Layer::Detect },
                verdict: carried.verdict,
                severity: carried.severity,
                message: "found when it was judged; not all of it is kept".to_owned(),
                advice: String::new(),
                part: None,
            });
        }
    }
    reasons
}

/// What no rule of a policy lifts, and what to do about it.
fn obstacle(past: &Past, reasons: &[Reason]) -> Option<String> {
    let of = |reason: &Reason| {
        let rule = &reason.rule;
        if rule.starts_with("floor.") {
            return Some(format!(
                "{rule} is of the floor, which no policy lifts: who could lift it could turn Doorward off. If the work \
                 is right, do it yourself, outside of the agent"
            ));
        }
        if let Some(name) = rule.strip_prefix("policy.").filter(|name| *name != "default") {
            return Some(format!(
                "your own rule \"{name}\" says so, and `allow` lifts no other rule; narrow that rule, or remove it"
            ));
        }
        if rule.starts_with("source.") {
            return Some(format!(
                "{rule} is about who proposed it, not about what it does: {}",
                reason.advice
            ));
        }
        if rule.starts_with("coverage.") {
            return Some(format!("{rule}: what was not read cannot be allowed; {}", reason.advice));
        }
        (!past.judged.whole && reason.layer == Layer::Detect)
            .then(|| format!("{rule} was found in what is not kept, so a rule about it could not be tried"))
    };
    reasons.iter().find_map(of)
}

/// A rule that works.
struct Found {
    lines: Vec<String>,
    text: String,
    engine: Engine,
}

/// The narrowest rule with which the action passes.
fn narrowest(
    home: &Path,
    files: &Files,
    past: &Past,
    reasons: &[Reason],
    args: &AllowArgs,
    (now, expires): (Millis, Millis),
) -> anyhow::Result<Option<Found>> {
    let findings: BTreeSet<&str> = reasons
        .iter()
        .filter(|reason| reason.layer == Layer::Detect || story::is_finding(&reason.rule))
        .map(|reason| reason.rule.as_str())
        .collect();
    let by_default = reasons.iter().any(|reason| reason.rule == "policy.default");
    for matcher in matchers(&past.judged.action) {
        let lines = rule(past, &matcher, &findings, by_default, args, (now, expires));
        let Some(text) = edit::append(files.last_text(), &edit::Lines(&lines)) else {
            let snippet = lines.join("\n");
            anyhow::bail!(
                "the rules of {} stand in one line, so add this yourself:\n{snippet}",
                files.last().display()
            );
        };
        // A matcher that the language does not take is not narrow but wrong: the next one.
        let Ok(engine) = files.engine(home, Some(&text)) else { continue };
        if blocking(&engine, past, now).is_empty() {
            return Ok(Some(Found { lines, text, engine }));
        }
    }
    Ok(None)
}

/// What a rule about this action could ask for, narrowest first. Each is a list of conditions.
fn matchers(action: &Action) -> Vec<Vec<String>> {
    let tool: Vec<String> =
        action.tool.iter().map(|tool| format!("tool: {}", literal_pattern(&tool.name))).collect();
    let mut all = Vec::new();
    if let Some(arguments) = exact_arguments(action) {
        all.push([tool.as_slice(), &[arguments]].concat());
    }
    let effects = effects(action);
    if let Some(targets) = targets(action) {
        all.push([tool.as_slice(), &effects, &[targets]].concat());
    }
    if !effects.is_empty() {
        all.push([tool.as_slice(), &effects].concat());
    }
    all
}

fn quote(text: &str) -> String {
    String::from_utf8_lossy(&quoted(text)).into_owned()
}

/// A name as a pattern: a `*` in it cannot be said, and would be wider.
fn literal_pattern(name: &str) -> String {
    quote(name)
}

/// Every argument of the call, with its value.
pub fn exact_arguments(action: &Action) -> Option<String> {
    let part = action.parts.iter().find(|part| part.kind == PartKind::Arguments)?;
    let node = json::parse(part.text.as_bytes()).ok()?;
    let conditions: Option<Vec<String>> = node
        .members()
        .iter()
        .map(|member| {
            let name = &*member.key;
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let mut value = Vec::new();
            json::write(&member.value, &mut value);
            let value = String::from_utf8(value).ok().filter(|value| value.len() <= LONGEST_EXACT)?;
            (plain && !name.is_empty()).then(|| format!("{{ jsonpath: \"$.{name}\", exact: {value} }}"))
        })
        .collect();
    let conditions = conditions.filter(|all| (1..=MOST_VALUES).contains(&all.len()))?;
    Some(format!("arguments: [{}]", conditions.join(", ")))
}

fn list(key: &str, values: &BTreeSet<String>) -> Option<String> {
    (1..=MOST_VALUES)
        .contains(&values.len())
        .then(|| format!("{key}: [{}]", values.iter().cloned().collect::<Vec<_>>().join(", ")))
}

/// What it does and to what kind of thing.
fn effects(action: &Action) -> Vec<String> {
    let capabilities = action.effects.iter().map(|effect| effect.capability.as_str().to_owned()).collect();
    let assets = action.effects.iter().map(|effect| effect.asset.as_str().to_owned()).collect();
    [list("capability", &capabilities), list("asset", &assets)].into_iter().flatten().collect()
}

/// To which things, if all of them are of one form and known.
fn targets(action: &Action) -> Option<String> {
    let paths: Option<BTreeSet<String>> = action
        .effects
        .iter()
        .map(|effect| match &effect.target {
            Target::Path { path, exact: true } if !path.contains(['*', '?']) => Some(quote(path)),
            _ => None,
        })
        .collect();
    let hosts = || -> Option<BTreeSet<String>> {
        let host = |target: &Target| match target {
            Target::Url(text) | Target::Host(text) => {
                doorward_core::url::authority(text).map(|authority| quote(&authority.host.to_string()))
            }
            _ => None,
        };
        action.effects.iter().map(|effect| host(&effect.target)).collect()
    };
    paths.and_then(|paths| list("path", &paths)).or_else(|| list("host", &hosts()?))
}

/// The rules as lines: a `suppress` for what detectors found, an `allow` for what the default denies.
fn rule(
    past: &Past,
    matcher: &[String],
    findings: &BTreeSet<&str>,
    by_default: bool,
    args: &AllowArgs,
    (now, expires): (Millis, Millis),
) -> Vec<String> {
    let what = format!("{}  {}", clean(past.what()), past.first_words());
    let reason = args.reason.clone().unwrap_or_else(|| format!("a false alarm: receipt {}", past.receipt));
    let ends = format!("  expires: \"{}\"", when::rfc3339(expires));
    let tag = past.receipt.to_ascii_lowercase();
    let mut lines = vec![format!("# {}, doorward allow {}: {what}", when::date(now), past.receipt)];
    let mut add = |verb: &str, conditions: Vec<String>| {
        lines.push(format!("- name: {}", quote(&format!("{verb} {tag}"))));
        lines.push(format!("  {verb}:"));
        lines.extend(conditions.into_iter().map(|condition| format!("    {condition}")));
        lines.push(format!("  reason: {}", quote(&reason)));
        lines.push(ends.clone());
    };
    if !findings.is_empty() {
        let finding = format!("finding: [{}]", findings.iter().copied().collect::<Vec<_>>().join(", "));
        add("suppress", [&[finding], matcher].concat());
    }
    if by_default {
        add("allow", matcher.to_vec());
    }
    lines
}

/// Past actions that the new rule changes too.
struct Others {
    /// The same call, made again.
    same: u64,
    list: Vec<(String, String)>,
    looked: u64,
}

fn others(
    reader: &doorward_store::Reader,
    old: &Engine,
    new: &Engine,
    this: &Past,
) -> anyhow::Result<Others> {
    let mut others = Others { same: 0, list: Vec::new(), looked: 0 };
    past::each(reader, 0, |past| {
        others.looked += 1;
        let same = past.judged.action.tool.as_ref().map(|tool| &tool.name)
            == this.judged.action.tool.as_ref().map(|tool| &tool.name)
            && past.judged.action.parts == this.judged.action.parts;
        if past.now(old).verdict != past.now(new).verdict {
            if same {
                others.same += 1;
            } else {
                others.list.push((past.receipt.clone(), past.first_words()));
            }
        }
        Ok(())
    })?;
    Ok(others)
}

fn tell_others(others: &Others) {
    let looked = number(others.looked);
    if others.list.is_empty() {
        print(&format!(
            "\nwith it this passes ({} times in the past), and nothing else of {looked} past actions changes",
            number(others.same)
        ));
        return;
    }
    print(&format!(
        "\nwith it {} OTHER past actions of {looked} change as well:",
        number(others.list.len() as u64)
    ));
    for (receipt, words) in others.list.iter().take(SHOWN) {
        print(&format!("  {receipt}  {words}"));
    }
}

/// Whether a person wants it. Without being asked only what changes nothing else.
fn agreed(args: &AllowArgs, alone: bool) -> anyhow::Result<bool> {
    if args.yes {
        if !alone {
            say(
                "--yes is not enough for a rule that changes other past actions as well: answer at a terminal",
            );
        }
        return Ok(alone);
    }
    if !std::io::stdin().is_terminal() {
        say("nobody is here to be asked; look at the rule and add --yes");
        return Ok(false);
    }
    terminal::overwrite("\nadd it? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
