//! `doorward policy`: check policies, explain what they say, and run the tests that stand beside their rules.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use doorward_core::action::{Effect, alone};
use doorward_core::decision::{Reason, Verdict};
use doorward_core::detect::destination::Class;
use doorward_core::detect::rules::RuleSet;
use doorward_core::policy::matrix::Cell;
use doorward_core::policy::{Case, Condition, Explained, Policy, Surprise};
use doorward_core::session::Facts;
use doorward_core::syntax::Diagnostic;
use doorward_core::{Action, Decision, Engine};

use crate::cli::{ActionArgs, Cli, PolicyArgs, PolicyCommand, RunArgs};
use crate::config::{self, Config};
use crate::policies::{self, Gathered, PolicyFiles};
use crate::terminal::{self, counted, fault_json, print, say, text};

mod diff;

mod general;

mod learn;

mod made_up;

mod replay;

mod show;

/// Runs the command: 0 if all is well, 1 if a policy is faulty or a test fails.
///
/// # Errors
/// If a file cannot be read.
pub fn run(cli: &Cli, args: &PolicyArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        PolicyCommand::Check { files, strict, json } => check(&Files::read(cli, files)?, *strict, *json),
        PolicyCommand::Explain { files, action, json } => {
            explain(cli, &Files::read(cli, files)?, action, *json)
        }
        PolicyCommand::Test { files, json } => test(cli, &Files::read(cli, files)?, *json),
        PolicyCommand::Schema => {
            print(doorward_core::policy::schema().trim_end());
            Ok(ExitCode::SUCCESS)
        }
        PolicyCommand::Show { files, json } => show::run(&Files::read(cli, files)?, *json),
        PolicyCommand::Replay(args) => replay::run(cli, args),
        PolicyCommand::Learn(args) => learn::run(cli, args),
        PolicyCommand::Diff(args) => diff::run(cli, args),
    }
}

/// Policy files that are in force together, as read, and the detection rules that they judge beside.
struct Files(Gathered, Arc<RuleSet>);

impl Files {
    /// These files; without any, those of this home.
    fn read(cli: &Cli, files: &[PathBuf]) -> anyhow::Result<Self> {
        if files.is_empty() { Self::own(cli) } else { Self::read_all(cli, files) }
    }

    fn read_all(cli: &Cli, files: &[PathBuf]) -> anyhow::Result<Self> {
        for file in files {
            if let Err(error) = policies::read(file) {
                return Err(terminal::config_error(format!("cannot read {}: {error}", file.display())));
            }
        }
        let rules = config::rules_of(&config::home(cli.home.as_deref())?)?;
        Ok(Self(PolicyFiles::given(files).read(true), rules))
    }

    /// The files that a running Doorward would follow.
    fn own(cli: &Cli) -> anyhow::Result<Self> {
        let home = config::home(cli.home.as_deref())?;
        let config = Config::load(home.clone(), &RunArgs::default())?;
        let files = PolicyFiles::new(&home, &config.policy).with_tools(&config.tools);
        if let Some(missing) = files.missing() {
            return Err(terminal::config_error(format!(
                "there is no policy at {}, so the shipped one is in force; `doorward init` writes it there to start from",
                missing.display()
            )));
        }
        Ok(Self(files.read(true), config::rules_of(&home)?))
    }

    /// The policy.
    ///
    /// # Errors
    /// All its faults.
    fn compiled(&self) -> anyhow::Result<Policy> {
        self.compile().map_err(|found| self.0.faults(found).into_error().into())
    }

    fn compile(&self) -> Result<Policy, Vec<Diagnostic>> {
        self.0.compile(&self.1)
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.all().iter().map(|text| text.text.as_str())
    }

    fn text(&self, origin: &str) -> &str {
        self.0.text(origin)
    }

    fn show(&self, found: &[Diagnostic]) {
        for diagnostic in found {
            say(&terminal::render(&diagnostic.origin, self.text(&diagnostic.origin), diagnostic));
        }
    }

    /// `file:line`.
    fn place(&self, case: &Case) -> String {
        let at = Diagnostic::error(case.span, "");
        format!("{}:{}", case.origin, at.position(self.text(&case.origin).as_bytes()).0)
    }
}

fn check(files: &Files, strict: bool, json: bool) -> anyhow::Result<ExitCode> {
    let (policy, found) = match files.compile() {
        Ok(policy) => {
            let warnings = Gathered::warnings(&policy);
            (Some(policy), warnings)
        }
        Err(faults) => (None, faults),
    };
    let fine = policy.is_some() && (!strict || found.is_empty());
    if json {
        let faults: Vec<String> =
            found.iter().map(|diagnostic| fault_json(files.text(&diagnostic.origin), diagnostic)).collect();
        let revision = policy.as_ref().map_or("null".to_owned(), |policy| text(policy.revision()));
        let rules = policy.as_ref().map_or(0, Policy::rules);
        let found = faults.join(",");
        print(&format!("{{\"ok\":{fine},\"revision\":{revision},\"rules\":{rules},\"found\":[{found}]}}"));
    } else {
        files.show(&found);
        match &policy {
            Some(policy) if fine => print(&format!(
                "ok: {}, {}; revision {}",
                counted(policy.rules(), "rule"),
                counted(policy.cases().len(), "test"),
                policy.revision().get(..12).unwrap_or_default()
            )),
            Some(_) => say("not ok: --strict takes warnings for errors"),
            None => say(&format!("not ok: {}", counted(found.len(), "fault"))),
        }
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn test(cli: &Cli, files: &Files, json: bool) -> anyhow::Result<ExitCode> {
    let policy = match files.compile() {
        Ok(policy) => policy,
        Err(faults) => {
            files.show(&faults);
            return Ok(ExitCode::FAILURE);
        }
    };
    let cases = policy.cases().to_vec();
    let engine = config::engine_of(&config::home(cli.home.as_deref())?, policy)?;
    let failed: Vec<(&Case, Surprise)> =
        cases.iter().filter_map(|case| Some((case, surprise(&engine, case)?))).collect();
    if json {
        let failed: Vec<String> =
            failed.iter().map(|(case, surprise)| failure_json(case, surprise)).collect();
        print(&format!(
            "{{\"ok\":{},\"tests\":{},\"failed\":[{}]}}",
            failed.is_empty(),
            cases.len(),
            failed.join(",")
        ));
    } else {
        for (case, surprise) in &failed {
            print(&format!("FAILED {} \"{}\"\n  {}", files.place(case), case.name, told(case, surprise)));
        }
        match (cases.len(), failed.len()) {
            (0, _) => print("no tests: add `tests:` beside `rules:`"),
            (all, 0) => print(&format!("ok: {}", counted(all, "test"))),
            (all, failed) => print(&format!("{failed} of {} failed", counted(all, "test"))),
        }
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn explain(cli: &Cli, files: &Files, args: &ActionArgs, json: bool) -> anyhow::Result<ExitCode> {
    let action = match (&args.command, &args.url, &args.call) {
        (Some(command), _, _) => alone::read("command", command, args.shell.as_deref()),
        (_, Some(url), _) => alone::read("url", url, None),
        (_, _, call) => alone::read("tool_call", call.as_deref().unwrap_or_default(), None),
    };
    let action = action.map_err(terminal::config_error)?;
    let policy = match files.compile() {
        Ok(policy) => policy,
        Err(faults) => {
            files.show(&faults);
            return Ok(ExitCode::FAILURE);
        }
    };
    let engine = config::engine_of(&config::home(cli.home.as_deref())?, policy)?;
    let explained = engine.explain(&action, &Facts::default());
    let decision = engine.decide(&action, &Facts::default());
    if json {
        print(&explained_json(&engine, &action, &explained, &decision));
        return Ok(ExitCode::SUCCESS);
    }
    let facts = Facts::default();
    let effects = engine.effects(&action, &facts);
    let cells = engine.matrix(&action, &effects, &facts);
    for ((at, effect), (cell, verdict)) in effects.iter().enumerate().zip(&cells) {
        let classes = classes(&engine, &action, effect).join(" or ");
        let leads = if classes.is_empty() { String::new() } else { format!(", destination: {classes}") };
        print(&format!(
            "effect {}: {} {} ({}{leads})",
            at + 1,
            effect.capability.as_str(),
            effect.target.as_str(),
            effect.asset.as_str()
        ));
        let lifted =
            cell.grant.map(|grant| format!(", lifted by the grant {}", grant.as_str())).unwrap_or_default();
        print(&format!("          matrix, line {}: {}{lifted}", cell.line, verdict.as_str()));
    }
    if effects.is_empty() {
        print("no effect worth naming");
    }
    for rule in &explained {
        let says = rule.says.as_ref().map(|says| format!(": {says}")).unwrap_or_default();
        print(&format!("{:>8}  {} \"{}\"{says}{}", rule.holds.as_str(), rule.verb, rule.rule, why(rule)));
    }
    print(&format!("decision: {}, risk {}", decision.verdict.as_str(), decision.risk));
    for reason in &decision.reasons {
        print(&format!("  {} {}: {}", reason.verdict.as_str(), reason.rule, reason.message));
    }
    Ok(ExitCode::SUCCESS)
}

/// The conditions of a rule and what is known of them, by effect.
fn why(rule: &Explained) -> String {
    let one = |condition: &Condition| {
        let truths: Vec<&str> = condition.truths.iter().map(|truth| truth.as_str()).collect();
        match truths.as_slice() {
            [] => format!("{}: no effects", condition.name),
            truths => format!("{}: {}", condition.name, truths.join(", ")),
        }
    };
    match rule.conditions.as_slice() {
        [] => "  (about everything)".to_owned(),
        conditions => format!("  ({})", conditions.iter().map(one).collect::<Vec<_>>().join("; ")),
    }
}

/// What the place may be that `effect` leads to; none if it leads nowhere.
fn classes(engine: &Engine, action: &Action, effect: &Effect) -> Vec<&'static str> {
    let classes = engine.policy().classes(engine.rules().lists(), action, effect);
    classes.each().map(Class::as_str).collect()
}

fn explained_json(engine: &Engine, action: &Action, explained: &[Explained], decision: &Decision) -> String {
    let facts = Facts::default();
    let effects = engine.effects(action, &facts);
    let cells = engine.matrix(action, &effects, &facts);
    let effect = |(effect, (cell, verdict)): (&Effect, &(Cell, Verdict))| {
        let classes = classes(engine, action, effect);
        let grant = cell.grant.map_or_else(|| "null".to_owned(), |grant| format!("\"{}\"", grant.as_str()));
        let classes: Vec<String> = classes.iter().map(|class| format!("\"{class}\"")).collect();
        format!(
            "{{\"capability\":\"{}\",\"target\":{},\"asset\":\"{}\",\"destination\":[{}],\
             \"matrix\":{{\"line\":{},\"verdict\":\"{}\",\"grant\":{grant}}}}}",
            effect.capability.as_str(),
            text(effect.target.as_str()),
            effect.asset.as_str(),
            classes.join(","),
            cell.line,
            verdict.as_str()
        )
    };
    let condition = |condition: &Condition| {
        let truths: Vec<String> =
            condition.truths.iter().map(|truth| format!("\"{}\"", truth.as_str())).collect();
        format!("\"{}\":[{}]", condition.name, truths.join(","))
    };
    let rule = |rule: &Explained| {
        format!(
            "{{\"rule\":{},\"verb\":\"{}\"{},\"holds\":\"{}\",\"considered\":{},\"conditions\":{{{}}}}}",
            text(&rule.rule),
            rule.verb,
            rule.says.as_ref().map(|says| format!(",\"says\":{}", text(says))).unwrap_or_default(),
            rule.holds.as_str(),
            rule.considered,
            rule.conditions.iter().map(condition).collect::<Vec<_>>().join(",")
        )
    };
    let reason = |reason: &Reason| {
        format!(
            "{{\"verdict\":\"{}\",\"rule\":{},\"message\":{}}}",
            reason.verdict.as_str(),
            text(&reason.rule),
            text(&reason.message)
        )
    };
    format!(
        "{{\"effects\":[{}],\"rules\":[{}],\"decision\":{{\"verdict\":\"{}\",\"risk\":{},\"reasons\":[{}]}}}}",
        effects.iter().zip(&cells).map(effect).collect::<Vec<_>>().join(","),
        explained.iter().map(rule).collect::<Vec<_>>().join(","),
        decision.verdict.as_str(),
        decision.risk,
        decision.reasons.iter().map(reason).collect::<Vec<_>>().join(",")
    )
}

fn surprise(engine: &Engine, case: &Case) -> Option<Surprise> {
    case.check(&engine.decide(&case.action, &Facts { now: case.now, ..Facts::default() })).err()
}

/// What was expected and what came.
fn told(case: &Case, surprise: &Surprise) -> String {
    let by = |rules: &[String]| match rules {
        [] => "by no rule".to_owned(),
        rules => format!("by {}", rules.join(", ")),
    };
    let expected = case.rules.as_deref().map_or(String::new(), |rules| format!(" {}", by(rules)));
    format!(
        "expected {}{expected}, and it is {} {}",
        case.expect.as_str(),
        surprise.verdict.as_str(),
        by(&surprise.rules)
    )
}

fn failure_json(case: &Case, surprise: &Surprise) -> String {
    let list = |rules: &[String]| rules.iter().map(|rule| text(rule)).collect::<Vec<_>>().join(",");
    let expected = case.rules.as_deref().map_or("null".to_owned(), |rules| format!("[{}]", list(rules)));
    format!(
        "{{\"name\":{},\"file\":{},\"expect\":{{\"verdict\":\"{}\",\"rules\":{expected}}},\"is\":{{\"verdict\":\"{}\",\"rules\":[{}]}}}}",
        text(&case.name),
        text(&case.origin),
        case.expect.as_str(),
        surprise.verdict.as_str(),
        list(&surprise.rules)
    )
}
