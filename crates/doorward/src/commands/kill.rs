//! `doorward kill` and `doorward resume`: through the running process, or on its store if there is none.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use doorward_control::{Approver, acted_json};
use doorward_core::syntax::json::quoted;
use doorward_store::kill::read_kill_file;
use doorward_store::{AgentName, Home, HomeLock, KillSet, Scope, SessionName, Stop, StoreError};

use crate::alone::{self, Event};
use crate::cli::{Cli, ScopeArgs};
use crate::terminal::print;
use crate::{client, config, serve};

/// Stops everything, one agent, or one session.
///
/// # Errors
/// If it could not be done. The file `DOORWARD_HOME/kill` works even then.
pub fn kill(cli: &Cli, args: &ScopeArgs) -> anyhow::Result<ExitCode> {
    act(cli, args, "kill")
}

/// Lets everything, one agent, or one session run again.
///
/// # Errors
/// If it could not be done.
pub fn resume(cli: &Cli, args: &ScopeArgs) -> anyhow::Result<ExitCode> {
    act(cli, args, "resume")
}

fn act(cli: &Cli, args: &ScopeArgs, verb: &'static str) -> anyhow::Result<ExitCode> {
    let scope = match (&args.agent, &args.session) {
        (Some(agent), _) => Scope::Agent(AgentName::new(agent)?),
        (None, Some(session)) => Scope::Session(SessionName::new(session)?),
        (None, None) => Scope::All,
    };
    on_scope(cli, &scope, verb, &args.reason, args.json)
}

/// Stops (`kill`) or resumes what `scope` names, through the running process or on its store.
///
/// # Errors
/// If it could not be done.
pub fn on_scope(
    cli: &Cli,
    scope: &Scope,
    verb: &'static str,
    reason: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let home = Home::open(config::home(cli.home.as_deref())?)?;
    let answer = match home.lock() {
        Ok(lock) => on_the_store(&lock, &home, verb, scope, reason)?,
        Err(StoreError::Locked { .. }) => {
            through_the_process(&home, verb, scope, reason).with_context(|| {
                format!("to stop everything without it: touch {}", home.kill_file().display())
            })?
        }
        Err(error) => return Err(error.into()),
    };
    if json {
        print(answer.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let of = match scope {
        Scope::All => "everything".to_owned(),
        Scope::Agent(agent) => format!("agent `{agent}`"),
        Scope::Session(session) => format!("session `{session}`"),
    };
    print(&format!("{of} {}", if verb == "kill" { "is stopped" } else { "may run again" }));
    if verb == "resume" && home.kill_file().exists() {
        print(&format!("but the file {} still stops what it names; remove it", home.kill_file().display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the process that has the home directory.
fn through_the_process(home: &Home, verb: &str, scope: &Scope, reason: &str) -> anyhow::Result<String> {
    let (key, name) = match scope {
        Scope::All => ("agent", b"null".to_vec()),
        Scope::Agent(agent) => ("agent", quoted(agent.as_str())),
        Scope::Session(session) => ("session", quoted(session.as_str())),
    };
    let mut body = b"{".to_vec();
    body.extend_from_slice(&quoted(key));
    body.push(b':');
    body.extend_from_slice(&name);
    body.extend_from_slice(b",\"reason\":");
    body.extend_from_slice(&quoted(reason));
    body.push(b'}');
    client::ask(home, "POST", &format!("/v1/{verb}"), &body)
}

/// Nobody is running: the act is written where the next process finds it, and recorded.
fn on_the_store(
    lock: &HomeLock,
    home: &Home,
    verb: &'static str,
    scope: &Scope,
    reason: &str,
) -> anyhow::Result<String> {
    let target = match scope {
        Scope::All => "all",
        Scope::Agent(agent) => agent.as_str(),
        Scope::Session(session) => session.as_str(),
    };
    let event = Event { event: verb, target, message: reason };
    let stop = Stop { by: alone::BY.into(), reason: reason.to_owned(), since: serve::now() };
    let set: Arc<KillSet> = alone::act(lock, home, &event, async |store| match verb {
        "kill" => store.kill(scope.clone(), stop).await,
        _ => store.resume(scope.clone()).await,
    })?;
    // The file counts too: the next process will find it.
    let set = KillSet { file: read_kill_file(&home.kill_file()), ..KillSet::clone(&set) };
    let approver = Approver { principal: "operator-token".into(), authenticated: false };
    Ok(String::from_utf8_lossy(&acted_json(&set, &approver)).into_owned())
}
