//! `doorward session`: what sessions there are, on which terms they work, and what a person changes of it.

use std::process::ExitCode;

use doorward_control::{SessionStatus, session_json, sessions_json};
use doorward_core::session::{Grant, Granted, SessionMode};
use doorward_core::syntax::{Node, json, json::quoted};
use doorward_gateway::sessions::{self, Act};
use doorward_store::{AgentName, Home, MAX_TASK, Options, Scope, SessionName, Store, StoreError};

use super::kill;
use crate::alone::{self, Event};
use crate::cli::{Cli, SessionArgs, SessionCommand};
use crate::desk;
use crate::serve::now;
use crate::terminal::{clean, config_error, print};
use crate::{client, config, when};

/// Runs the command: 1 if there is no such session, or it is not as the act wants it.
///
/// # Errors
/// If it could not be done.
pub fn run(cli: &Cli, args: &SessionArgs) -> anyhow::Result<ExitCode> {
    let (name, act, json) = match &args.command {
        SessionCommand::List { agent, json } => return list(cli, agent.as_deref(), *json),
        SessionCommand::Show { session, json } => return show(cli, session, *json),
        SessionCommand::Kill { session, reason, json } => {
            let scope = Scope::Session(SessionName::new(session)?);
            return kill::on_scope(cli, &scope, "kill", reason, *json);
        }
        SessionCommand::Init { agent, id, task, mode, grants, expires, json } => {
            let agent = AgentName::new(agent)?;
            let id = id.clone().map_or_else(|| doorward_gateway::fresh_id(now()), Ok)?;
            let granted = grants.iter().map(|word| granted(word, expires.as_deref()));
            let act = Act::Begin {
                task: words(task)?,
                mode: mode_of(mode)?,
                grants: granted.collect::<Result<_, _>>()?,
            };
            (SessionName::new(&format!("{agent}/{id}"))?, act, *json)
        }
        SessionCommand::Grant { session, grant, expires, json } => {
            (SessionName::new(session)?, Act::Grant(granted(grant, expires.as_deref())?), *json)
        }
        SessionCommand::Revoke { session, grant, json } => {
            (SessionName::new(session)?, Act::Revoke(grant_of(grant)?), *json)
        }
        SessionCommand::Mode { session, mode, json } => {
            (SessionName::new(session)?, Act::Mode(mode_of(mode)?), *json)
        }
        SessionCommand::Clear { session, json } => (SessionName::new(session)?, Act::Clear, *json),
    };
    let begins = matches!(act, Act::Begin { .. });
    let answer = done(cli, &name, act)?;
    if json {
        print(answer.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    tell(&json::parse(answer.as_bytes())?);
    if begins {
        let id = name.as_str().split_once('/').map_or("", |(_, id)| id);
        print(&format!(
            "a client names it by the header `Doorward-Session: {id}`; Claude Code by the environment:"
        ));
        print(&format!("  ANTHROPIC_CUSTOM_HEADERS='Doorward-Session: {id}'"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Does `act` through the running process, or on its store if there is none; returns the session as JSON.
fn done(cli: &Cli, name: &SessionName, act: Act) -> anyhow::Result<String> {
    let home = Home::open(config::home(cli.home.as_deref())?)?;
    match home.lock() {
        Err(StoreError::Locked { .. }) => client::ask(&home, "POST", "/v1/sessions", &wish(name, &act)),
        Err(error) => Err(error.into()),
        Ok(lock) => {
            let (words, event) = (act.words(), act.event());
            let event = Event { event, target: name.as_str(), message: &words };
            let status = alone::act(&lock, &home, &event, async |store| {
                let sessions = sessions::Sessions::open(store.clone());
                let record = sessions.act(name, act, now()).await?;
                let stopped = store.signals().kill_set().stop(name.as_str()).cloned();
                Ok::<_, anyhow::Error>(SessionStatus { record, actions: (0, 0, 0), stopped })
            })?;
            Ok(String::from_utf8_lossy(&session_json(&status)).into_owned())
        }
    }
}

/// The body of `POST /v1/sessions`.
fn wish(name: &SessionName, act: &Act) -> Vec<u8> {
    let grant = |granted: &Granted| {
        let until = granted.until.map_or_else(|| "null".to_owned(), |until| until.to_string());
        format!("\"grant\":\"{}\",\"until\":{until}", granted.grant.as_str())
    };
    let rest = match act {
        Act::Begin { task, mode, grants } => {
            let task = String::from_utf8_lossy(&quoted(task)).into_owned();
            let grants: Vec<String> =
                grants.iter().map(|granted| format!("{{{}}}", grant(granted))).collect();
            let mode = mode.as_str();
            format!("\"act\":\"init\",\"task\":{task},\"mode\":\"{mode}\",\"grants\":[{}]", grants.join(","))
        }
        Act::Grant(granted) => format!("\"act\":\"grant\",{}", grant(granted)),
        Act::Revoke(grant) => format!("\"act\":\"revoke\",\"grant\":\"{}\"", grant.as_str()),
        Act::Mode(mode) => format!("\"act\":\"mode\",\"mode\":\"{}\"", mode.as_str()),
        Act::Clear => "\"act\":\"clear\"".to_owned(),
    };
    format!("{{\"session\":\"{name}\",{rest}}}").into_bytes()
}

fn list(cli: &Cli, agent: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let agent = agent.map(AgentName::new).transpose()?;
    let answer = all(cli)?;
    let all = json::parse(answer.as_bytes())?;
    let of_agent =
        |node: &&Node| agent.as_ref().is_none_or(|agent| node.text("agent") == Some(agent.as_str()));
    let sessions = all.get("sessions").map(Node::elements).unwrap_or_default();
    for session in sessions.iter().filter(of_agent) {
        if json { print(&line(session, &answer)) } else { tell(session) }
    }
    let dropped = all.get("dropped").and_then(Node::as_u64).unwrap_or(0);
    if dropped > 0 && !json {
        print(&format!("{dropped} more were dropped to keep within bounds"));
    }
    Ok(ExitCode::SUCCESS)
}

fn show(cli: &Cli, name: &str, json: bool) -> anyhow::Result<ExitCode> {
    let name = SessionName::new(name)?;
    let answer = all(cli)?;
    let all = json::parse(answer.as_bytes())?;
    let sessions = all.get("sessions").map(Node::elements).unwrap_or_default();
    let found = sessions.iter().find(|session| session.text("session") == Some(name.as_str()));
    let Some(session) = found else {
        anyhow::bail!("there is no session {name}; `doorward session list` shows those there are");
    };
    if json {
        print(&line(session, &answer))
    } else {
        tell(session)
    }
    Ok(ExitCode::SUCCESS)
}

/// All sessions, from the running process or its store.
fn all(cli: &Cli) -> anyhow::Result<String> {
    let home = config::home_that_is_there(cli.home.as_deref())?;
    let answer = match home.lock() {
        Err(StoreError::Locked { .. }) => client::ask(&home, "GET", "/v1/sessions", b"")?,
        Err(error) => return Err(error.into()),
        Ok(lock) => {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            let store = Store::open(&lock, Options::default())?;
            let known = sessions::Sessions::open(store.clone());
            let all = desk::statuses(&known, &store.signals().kill_set());
            runtime.block_on(store.close())?;
            String::from_utf8_lossy(&sessions_json(&all)).into_owned()
        }
    };
    Ok(answer)
}

/// The text of a session as it came, in one line.
fn line(session: &Node, answer: &str) -> String {
    String::from_utf8_lossy(session.span.of(answer.as_bytes())).into_owned()
}

fn tell(session: &Node) {
    let text = |key: &str| clean(&session.get(key).and_then(Node::scalar).unwrap_or_default());
    let mut line = format!("{}  {}", text("session"), text("mode"));
    if session.some("stopped").is_some() {
        line.push_str("  STOPPED");
    }
    let used = session.get("used").and_then(Node::as_u64).map(when::rfc3339).unwrap_or_default();
    line.push_str(&format!("  used {used}  {} actions, {} blocked", text("actions"), text("blocked")));
    print(&line);
    if !text("task").is_empty() {
        print(&format!("  task: {}", text("task")));
    }
    for granted in session.get("grants").map(Node::elements).unwrap_or_default() {
        let until = granted.some("until").and_then(Node::as_u64);
        let until = until.map_or_else(String::new, |until| format!(" until {}", when::rfc3339(until)));
        print(&format!("  granted {}{until}", clean(granted.text("grant").unwrap_or_default())));
    }
    if let Some(stop) = session.some("stopped") {
        let text = |key: &str| clean(stop.text(key).unwrap_or_default());
        print(&format!("  stopped by {}: {}", text("by"), text("reason")));
    }
}

fn mode_of(word: &str) -> anyhow::Result<SessionMode> {
    SessionMode::parse(word).ok_or_else(|| {
        let words = SessionMode::ALL.map(SessionMode::as_str).join(", ");
        config_error(format!("`{}` is no mode of a session: {words}", clean(word)))
    })
}

fn grant_of(word: &str) -> anyhow::Result<Grant> {
    Grant::parse(word).ok_or_else(|| {
        let words = Grant::ALL.map(Grant::as_str).join(", ");
        config_error(format!("`{}` is no grant: {words}", clean(word)))
    })
}

fn granted(word: &str, expires: Option<&str>) -> anyhow::Result<Granted> {
    let until = expires.map(|text| when::future(text, now())).transpose().map_err(config_error)?;
    Ok(Granted { grant: grant_of(word)?, until, by: alone::BY.into() })
}

fn words(task: &str) -> anyhow::Result<String> {
    if task.len() > MAX_TASK || task.chars().any(char::is_control) {
        return Err(config_error(format!("a task has at most {MAX_TASK} bytes and no control characters")));
    }
    Ok(task.to_owned())
}
