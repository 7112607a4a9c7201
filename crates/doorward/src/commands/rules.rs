//! `doorward rules`: detection rules, the shipped ones and one's own.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use doorward_core::detect::rules::{Rule, RuleSet};

use crate::cli::{Cli, RulesArgs, RulesCommand};
use crate::detection::Detection;
use crate::rules::{GatheredRules, RuleFiles};
use crate::terminal::{self, clean, counted, fault_json, print, say, text};
use crate::{config, policies};

/// Runs the command: 0 if all is well, 1 if a rule or one of its examples is wrong.
///
/// # Errors
/// If a named file cannot be read.
pub fn run(cli: &Cli, args: &RulesArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        RulesCommand::Check { files, json } => check(&read(cli, files)?, *json),
        RulesCommand::List { json } => {
            let gathered = read(cli, &[])?;
            let rules = gathered
                .compile(&Detection::default())
                .map_err(|found| gathered.faults(found).into_error())?;
            list(&rules, *json);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn read(cli: &Cli, files: &[PathBuf]) -> anyhow::Result<GatheredRules> {
    if files.is_empty() {
        return Ok(RuleFiles::of(&config::home(cli.home.as_deref())?).read());
    }
    for file in files {
        if let Err(error) = policies::read(file) {
            return Err(terminal::config_error(format!("cannot read {}: {error}", file.display())));
        }
    }
    Ok(GatheredRules::given(files))
}

fn check(gathered: &GatheredRules, json: bool) -> anyhow::Result<ExitCode> {
    let compiled = gathered.compile(&Detection::default());
    let own = |rules: &Arc<RuleSet>| rules.rules().iter().filter(|rule| gathered.has(&rule.origin)).count();
    let (fine, own) = (compiled.is_ok(), compiled.as_ref().map(own).unwrap_or_default());
    let found = compiled.err().unwrap_or_default();
    if json {
        let faults = found.iter().map(|fault| fault_json(gathered.text(&fault.origin), fault));
        let faults: Vec<String> = faults.collect();
        print(&format!(
            "{{\"ok\":{fine},\"files\":{},\"rules\":{own},\"found\":[{}]}}",
            gathered.len(),
            faults.join(",")
        ));
    } else if fine {
        print(&format!(
            "ok: {} in {}, beside the shipped ones; every example matches and no near miss",
            counted(own, "rule"),
            counted(gathered.len(), "file")
        ));
    } else {
        gathered.faults(found).rendered().iter().for_each(|fault| say(fault));
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(rules: &RuleSet, json: bool) {
    for rule in rules.rules() {
        print(&if json { rule_json(rule) } else { line(rule) });
    }
}

fn line(rule: &Rule) -> String {
    format!(
        "{:3}  {:38}  {}  ({})",
        rule.severity,
        clean(&rule.id),
        clean(&rule.description),
        clean(&rule.origin)
    )
}

fn rule_json(rule: &Rule) -> String {
    let attack: Vec<String> = rule.attack.iter().map(|technique| text(technique)).collect();
    format!(
        "{{\"id\":{},\"category\":{},\"severity\":{},\"description\":{},\"advice\":{},\"attack\":[{}],\"file\":{}}}",
        text(&rule.id),
        text(&rule.category),
        rule.severity,
        text(&rule.description),
        text(&rule.advice),
        attack.join(","),
        text(&rule.origin)
    )
}
