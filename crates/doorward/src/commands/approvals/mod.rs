//! `doorward approvals`: what waits for a person, and what the person says. All of it goes through the running process
//! and its control listener, whose token an agent does not have.

use std::process::ExitCode;

use doorward_core::syntax::json::{self, quoted};
use doorward_store::{Home, StoreError};

use crate::cli::{ApprovalScope, ApprovalsArgs, ApprovalsCommand, Cli, WordsArgs};
use crate::terminal::{clean, print, say};
use crate::{client, config};

mod tell;
mod watch;

/// Runs the command.
///
/// # Errors
/// If no process runs, or it refuses; then in its words.
pub fn run(cli: &Cli, args: &ApprovalsArgs) -> anyhow::Result<ExitCode> {
    let home = running(cli)?;
    match &args.command {
        ApprovalsCommand::List { all, json } => list(&home, *all, *json),
        ApprovalsCommand::Show { id, json } => show(&home, id, *json),
        ApprovalsCommand::Approve { id, scope, words } => approve(&home, id, *scope, words),
        ApprovalsCommand::Deny { id, words } => {
            settle(&home, id, "deny", words)?;
            Ok(ExitCode::SUCCESS)
        }
        ApprovalsCommand::Revoke { id, words } => {
            settle(&home, id, "revoke", words)?;
            Ok(ExitCode::SUCCESS)
        }
        ApprovalsCommand::Reset { id, words } => {
            settle(&home, id, "reset", words)?;
            Ok(ExitCode::SUCCESS)
        }
        ApprovalsCommand::Watch { json } => watch::run(&home, *json),
    }
}

/// The home directory of a process that runs.
fn running(cli: &Cli) -> anyhow::Result<Home> {
    let home = config::home_that_is_there(cli.home.as_deref())?;
    match home.lock() {
        Ok(_) => anyhow::bail!("no Doorward runs, so nothing waits; start it with: doorward run"),
        Err(StoreError::Locked { .. }) => Ok(home),
        Err(error) => Err(error.into()),
    }
}

fn list(home: &Home, all: bool, as_json: bool) -> anyhow::Result<ExitCode> {
    let answer = client::ask(home, "GET", "/v1/approvals", b"")?;
    if as_json {
        print(answer.trim_end());
    } else {
        tell::list(&json::parse(answer.as_bytes())?, all);
    }
    Ok(ExitCode::SUCCESS)
}

fn show(home: &Home, id: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let answer = client::ask(home, "GET", &path(id, "")?, b"")?;
    if as_json {
        print(answer.trim_end());
    } else {
        tell::whole(&json::parse(answer.as_bytes())?);
    }
    Ok(ExitCode::SUCCESS)
}

fn approve(home: &Home, id: &str, scope: ApprovalScope, words: &WordsArgs) -> anyhow::Result<ExitCode> {
    // Before the answer: afterwards the question may be forgotten.
    let proposed = match scope {
        ApprovalScope::Rule => Some(propose(home, id)?),
        ApprovalScope::Once | ApprovalScope::Session => None,
    };
    settle(
        home,
        id,
        if scope == ApprovalScope::Session { "approve session" } else { "approve once" },
        words,
    )?;
    match proposed {
        None => {}
        Some(Ok(lines)) => {
            let tell = if words.json { say } else { print };
            tell("\na rule that would let it pass from now on; add it to policy.yaml if you want that:\n");
            lines.iter().for_each(|line| tell(&format!("  {line}")));
        }
        Some(Err(why)) => {
            say(&format!("no rule can be proposed: {why}"));
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn propose(home: &Home, id: &str) -> anyhow::Result<Result<Vec<String>, String>> {
    let answer = client::ask(home, "GET", &path(id, "")?, b"")?;
    let question = json::parse(answer.as_bytes())?;
    match (question.text("tool"), question.text("content")) {
        (Some(tool), Some(content)) => super::allow::propose(home.root(), (tool, content, id)),
        _ => Ok(Err("only calls of tools can be named so narrowly".to_owned())),
    }
}

/// Sends an answer and says what came of it.
fn settle(home: &Home, id: &str, what: &str, words: &WordsArgs) -> anyhow::Result<()> {
    let (verb, scope) = what.split_once(' ').unwrap_or((what, ""));
    let mut body = b"{\"reason\":".to_vec();
    body.extend_from_slice(&quoted(&words.reason));
    if !scope.is_empty() {
        body.extend_from_slice(b",\"scope\":");
        body.extend_from_slice(&quoted(scope));
    }
    body.push(b'}');
    let answer = client::ask(home, "POST", &path(id, verb)?, &body)?;
    if words.json {
        print(answer.trim_end());
        return Ok(());
    }
    let told = json::parse(answer.as_bytes())?;
    let late = told.get("waited").is_some_and(|waited| waited.as_bool() == Some(false));
    let state = clean(told.text("state").unwrap_or_default());
    let now = if late { "; it does not wait any more, its next try finds this" } else { "" };
    print(&format!("{} {state}{now}", clean(id)));
    Ok(())
}

/// The path of a question. What is no id cannot be one of another route.
fn path(id: &str, verb: &str) -> anyhow::Result<String> {
    let plain = (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    anyhow::ensure!(plain, "`{}` cannot be the id of a question", clean(id));
    Ok(if verb.is_empty() { format!("/v1/approvals/{id}") } else { format!("/v1/approvals/{id}/{verb}") })
}
