//! `doorward taint`: what untrusted content has left in the workspace, what brought it, and how it is cleared.

use std::process::ExitCode;

use doorward_control::{Artefacts, LONGEST_ARTEFACT, MOST_ARTEFACTS, TaintFound, artefacts_json, found_json};
use doorward_core::syntax::{Node, json, json::quoted};
use doorward_gateway::sessions::Sessions;
use doorward_store::{AgentName, Home, Options, Store, StoreError};

use crate::alone::{self, Event};
use crate::cli::{Cli, TaintArgs, TaintCommand};
use crate::desk::taint::{CLEAR, latest, told};
use crate::terminal::{clean, config_error, print};
use crate::{client, config, when};

/// Runs the command: 1 if nothing is known of the artefact.
///
/// # Errors
/// If it could not be done.
pub fn run(cli: &Cli, args: &TaintArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        TaintCommand::List { agent, limit, json } => list(cli, agent.as_deref(), *limit, *json),
        TaintCommand::Show { artefact, json } => about(cli, artefact, false, *json),
        TaintCommand::Clear { artefact, json } => about(cli, artefact, true, *json),
    }
}

fn list(cli: &Cli, agent: Option<&str>, limit: usize, json: bool) -> anyhow::Result<ExitCode> {
    let agent = agent.map(AgentName::new).transpose()?;
    if !(1..=MOST_ARTEFACTS).contains(&limit) {
        return Err(config_error(format!("--limit must be 1 to {MOST_ARTEFACTS}")));
    }
    let home = config::home_that_is_there(cli.home.as_deref())?;
    let answer = match home.lock() {
        Err(StoreError::Locked { .. }) => {
            let of = agent.as_ref().map(|agent| format!("&agent={agent}")).unwrap_or_default();
            client::ask(&home, "GET", &format!("/v1/taint?limit={limit}{of}"), b"")?
        }
        Err(error) => return Err(error.into()),
        Ok(lock) => {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            let store = Store::open(&lock, Options::default())?;
            let all: Artefacts =
                latest(&Sessions::open(store.clone()), agent.as_ref().map(AgentName::as_str), limit);
            runtime.block_on(store.close())?;
            String::from_utf8_lossy(&artefacts_json(&all)).into_owned()
        }
    };
    let all = json::parse(answer.as_bytes())?;
    let artefacts = all.get("artefacts").map(Node::elements).unwrap_or_default();
    for artefact in artefacts {
        if json {
            print(&String::from_utf8_lossy(artefact.span.of(answer.as_bytes())));
        } else if let Some(step) = artefact.get("steps").map(Node::elements).unwrap_or_default().first() {
            print(&format!("{}  {}", clean(artefact.text("id").unwrap_or_default()), line(step)));
        }
    }
    if !json {
        let number = |key: &str| all.get(key).and_then(Node::as_u64).unwrap_or(0);
        print(&format!("{} shown of {} known", artefacts.len(), number("known")));
        if number("dropped") > 0 {
            print(&format!("{} more were dropped to keep within bounds", number("dropped")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn about(cli: &Cli, artefact: &str, clear: bool, json: bool) -> anyhow::Result<ExitCode> {
    if artefact.trim().is_empty() || artefact.len() > LONGEST_ARTEFACT {
        return Err(config_error(format!("an artefact has 1 to {LONGEST_ARTEFACT} bytes")));
    }
    let home = config::home_that_is_there(cli.home.as_deref())?;
    let answer = match home.lock() {
        Err(StoreError::Locked { .. }) => {
            let artefact = String::from_utf8_lossy(&quoted(artefact)).into_owned();
            let act = if clear { "clear" } else { "show" };
            client::ask(
                &home,
                "POST",
                "/v1/taint",
                format!("{{\"act\":\"{act}\",\"artefact\":{artefact}}}").as_bytes(),
            )?
        }
        Err(error) => return Err(error.into()),
        Ok(lock) => String::from_utf8_lossy(&found_json(&alone(&lock, &home, artefact, clear)?)).into_owned(),
    };
    let found = json::parse(answer.as_bytes())?;
    let known = !found.get("artefacts").map(Node::elements).unwrap_or_default().is_empty();
    if json {
        print(answer.trim_end());
    } else {
        tell(&found, known);
    }
    Ok(if known { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same without a running process.
fn alone(
    lock: &doorward_store::HomeLock,
    home: &Home,
    artefact: &str,
    clear: bool,
) -> anyhow::Result<TaintFound> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let store = Store::open(lock, Options::default())?;
    let found = Sessions::open(store.clone()).find_artefact(artefact);
    runtime.block_on(store.close())?;
    if !clear || found.itself.is_empty() {
        return Ok(told(&found, false));
    }
    let target = found.words();
    let event = Event { event: CLEAR, target: &target, message: "" };
    alone::act(lock, home, &event, async |store| {
        Sessions::open(store.clone()).forget_artefacts(&found).await
    })?;
    Ok(told(&found, true))
}

fn tell(found: &Node, known: bool) {
    let cleared = found.get("cleared").and_then(Node::as_bool).unwrap_or(false);
    if !known {
        print("nothing untrusted has brought it, as far as is known");
    }
    for artefact in found.get("artefacts").map(Node::elements).unwrap_or_default() {
        steps(artefact, cleared);
    }
    if let Some(host) = found.some("host") {
        print("its host is tainted, and every address there with it:");
        steps(host, false);
    }
}

/// The artefact, and below it what it was made of.
fn steps(artefact: &Node, cleared: bool) {
    for (at, step) in artefact.get("steps").map(Node::elements).unwrap_or_default().iter().enumerate() {
        if at == 0 {
            let id = clean(artefact.text("id").unwrap_or_default());
            print(&format!("{}{id}  {}", if cleared { "cleared: " } else { "" }, line(step)));
        } else {
            print(&format!("{}made of a {}", "  ".repeat(at), line(step)));
        }
    }
}

/// By what, since when.
fn line(step: &Node) -> String {
    let text = |key: &str| clean(step.text(key).unwrap_or_default());
    let time = |key: &str| step.get(key).and_then(Node::as_u64).map(when::rfc3339).unwrap_or_default();
    let by = match text("by") {
        by if by.is_empty() => "something".to_owned(),
        by => by,
    };
    let from = match text("place") {
        place if place.is_empty() => String::new(),
        place => format!(" from {place}"),
    };
    let agents = match step.get("agents").and_then(Node::as_u64).unwrap_or(0) {
        0 | 1 => String::new(),
        many => format!(", met by {many} agents"),
    };
    let (kind, source, first, last) = (text("kind"), text("source"), time("first"), time("last"));
    format!("{kind}, brought by {by}{from} ({source}) {first}, last seen {last}{agents}")
}
