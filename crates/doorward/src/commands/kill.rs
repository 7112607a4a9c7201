//! `doorward kill` and `doorward resume`: through the running process, or on its store if there is none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use doorward_control::{Approver, acted_json};
use doorward_core::syntax::json::{self, quoted};
use doorward_ledger::receipt::{ControlRecord, Kind};
use doorward_ledger::{Draft, Durability, Log};
use doorward_store::kill::read_kill_file;
use doorward_store::{AgentName, Home, HomeLock, KillSet, Options, Scope, Stop, Store, StoreError};

use crate::cli::{Cli, ScopeArgs};
use crate::terminal::print;
use crate::{config, serve};

/// How long the running process may take.
const PATIENCE: Duration = Duration::from_secs(10);

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
    let file = serve::control_address_file(home);
    let address = std::fs::read_to_string(&file).with_context(|| {
        format!("a process has this home, but {} does not say where it listens", file.display())
    })?;
    let address: SocketAddr = address.trim().parse().context("the control address on file is not one")?;
    let token = home.operator_token()?;
    let name = agent.map_or_else(|| b"null".to_vec(), |agent| quoted(agent.as_str()));
    let mut body = b"{\"agent\":".to_vec();
    body.extend_from_slice(&name);
    body.extend_from_slice(b",\"reason\":");
    body.extend_from_slice(&quoted(reason));
    body.push(b'}');
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("cannot reach the control listener at {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "POST /v1/{verb} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        token.expose(),
        body.len()
    )?;
    stream.write_all(&body)?;
    let mut answer = Vec::new();
    stream.take(1 << 20).read_to_end(&mut answer).context("the control listener did not answer")?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 200") {
        return Ok(body.to_owned());
    }
    let told = json::parse(body.as_bytes()).ok();
    let message = told.as_ref().and_then(|node| node.get("error")?.text("message"));
    anyhow::bail!(
        "the running process refused: {}",
        message.unwrap_or(head.lines().next().unwrap_or_default())
    )
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
