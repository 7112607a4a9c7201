//! `doorward kill` and `doorward resume`: through the running process, or on its store if there is none.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use doorward_control::{Approver, acted_json};
use doorward_core::syntax::json::quoted;
use doorward_ledger::receipt::{ControlRecord, Kind};
use doorward_ledger::{Draft, Durability, Log};
use doorward_store::kill::read_kill_file;
use doorward_store::{AgentName, Home, HomeLock, KillSet, Options, Scope, Stop, Store, StoreError};

use crate::cli::{Cli, ScopeArgs};
use crate::terminal::print;
use crate::{client, config, serve};

/// Stops everything, or one agent.
///
/// # Errors
/// If it could not be done. The file `DOORWARD_HOME/kill` works even then.
pub fn kill(cli: &Cli, args: &ScopeArgs) -> anyhow::Result<ExitCode> {
    act(cli, args, "kill")
}

/// Lets everything, or one agent, run again.
///
/// # Errors
/// If it could not be done.
pub fn resume(cli: &Cli, args: &ScopeArgs) -> anyhow::Result<ExitCode> {
    act(cli, args, "resume")
}

fn act(cli: &Cli, args: &ScopeArgs, verb: &str) -> anyhow::Result<ExitCode> {
    let home = Home::open(config::home(cli.home.as_deref())?)?;
    let agent = args.agent.as_deref().map(AgentName::new).transpose()?;
    let answer = match home.lock() {
        Ok(lock) => on_the_store(&lock, &home, verb, agent.as_ref(), &args.reason)?,
        Err(StoreError::Locked { .. }) => through_the_process(&home, verb, agent.as_ref(), &args.reason)
            .with_context(|| {
                format!("to stop everything without it: touch {}", home.kill_file().display())
            })?,
        Err(error) => return Err(error.into()),
    };
    if args.json {
        print(answer.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let of =
        agent.as_ref().map_or_else(|| "everything".to_owned(), |agent| format!("agent `{}`", agent.as_str()));
    print(&format!("{of} {}", if verb == "kill" { "is stopped" } else { "may run again" }));
    if verb == "resume" && home.kill_file().exists() {
        print(&format!("but the file {} still stops what it names; remove it", home.kill_file().display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the process that has the home directory.
fn through_the_process(
    home: &Home,
    verb: &str,
    agent: Option<&AgentName>,
    reason: &str,
) -> anyhow::Result<String> {
    let name = agent.map_or_else(|| b"null".to_vec(), |agent| quoted(agent.as_str()));
    let mut body = b"{\"agent\":".to_vec();
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
    verb: &str,
    agent: Option<&AgentName>,
    reason: &str,
) -> anyhow::Result<String> {
    let key = serve::signing_key(home)?;
    let node = key.public().name().to_owned();
    let scope = agent.map_or(Scope::All, |agent| Scope::Agent(agent.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let time = serve::now();
    let set: Arc<KillSet> = runtime.block_on(async {
        let store = Store::open(lock, Options::default())?;
        let stop = Stop { by: "unauthenticated".into(), reason: reason.to_owned(), since: time };
        let set = if verb == "kill" { store.kill(scope, stop).await? } else { store.resume(scope).await? };
        store.close().await?;
        Ok::<_, StoreError>(set)
    })?;
    let target = agent.map_or("all", AgentName::as_str);
    let record = ControlRecord {
        event: verb,
        by: Some("unauthenticated"),
        target: Some(target),
        message: (!reason.is_empty()).then_some(reason),
        epoch: &[],
    };
    let id = doorward_gateway::fresh_id(time)?;
    let leaf = Draft::new(Kind::Control, &id, time, &node).control(record).seal()?;
    let mut log = Log::open(&home.log_dir(), key, Durability::Disk)?;
    let checkpoint = log.append_reserved(&[leaf])?;
    home.remember_checkpoint(checkpoint.text())?;
    // The file counts too: the next process will find it.
    let set = KillSet { file: read_kill_file(&home.kill_file()), ..KillSet::clone(&set) };
    let approver = Approver { principal: "operator-token".into(), authenticated: false };
    Ok(String::from_utf8_lossy(&acted_json(&set, &approver)).into_owned())
}
