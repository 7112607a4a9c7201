//! `doorward retention`, `doorward scrub`, `doorward ledger`: through the running process, or on its files if there is none.

use std::process::ExitCode;

use doorward_control::Object;
use doorward_core::syntax::{Node, json};
use doorward_store::StoreError;

use crate::cli::{
    Cli, HoldCommand, LedgerArgs, LedgerCommand, RetentionArgs, RetentionCommand, RunArgs, ScrubArgs,
};
use crate::config::Config;
use crate::serve::now;
use crate::terminal::{clean, config_error, print, say};
use crate::upkeep::Upkeep;
use crate::{accounts, alone, client, config, when};

/// What is counted, by the names of its members.
const COUNTED: [(&str, &str); 12] = [
    ("actions", "action"),
    ("memos", "memo"),
    ("alerts", "alert"),
    ("sessions", "session"),
    ("lots", "lot of credits"),
    ("compromises", "record of a compromised key"),
    ("deliveries", "message to a webhook"),
    ("answers", "kept answer"),
    ("grants", "grant"),
    ("forensics", "blocked content"),
    ("quarantine", "place of the quarantine"),
    ("held", "held back"),
];

/// Runs `doorward retention`.
///
/// # Errors
/// If it could not be done.
pub fn retention(cli: &Cli, args: &RetentionArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        RetentionCommand::Show { json } => show(cli, *json, false),
        RetentionCommand::Run { dry_run: true, json } => show(cli, *json, true),
        RetentionCommand::Run { dry_run: false, json } => {
            until_done(cli, Object::new().text("act", "sweep").end(), *json, "destroyed")
        }
        RetentionCommand::Hold(args) => hold(cli, &args.command),
    }
}

/// Runs `doorward scrub`.
///
/// # Errors
/// If it could not be done, or nobody said that it is meant.
pub fn scrub(cli: &Cli, args: &ScrubArgs) -> anyhow::Result<ExitCode> {
    let (what, name) = match (&args.agent, &args.key) {
        (Some(agent), _) => ("agent", agent),
        (_, Some(key)) => ("key", key),
        _ => return Err(config_error("name an agent (--agent) or a key (--key)")),
    };
    if !args.yes {
        return Err(config_error(format!(
            "this destroys everything that is kept of {what} {} beside the ledger, for ever; say --yes if you mean it",
            clean(name)
        )));
    }
    until_done(cli, Object::new().text("act", "scrub").text(what, name).end(), args.json, "scrubbed")
}

/// Runs `doorward ledger`.
///
/// # Errors
/// If it could not be done.
pub fn ledger(cli: &Cli, args: &LedgerArgs) -> anyhow::Result<ExitCode> {
    let LedgerCommand::RotateKey { json } = &args.command;
    let answer = ask(cli, Object::new().text("act", "rotate_key").end())?;
    if *json {
        print(answer.trim_end());
    } else {
        let node = json::parse(answer.as_bytes())?;
        print(&format!("the ledger goes on under {}", clean(node.text("key").unwrap_or_default())));
        print("who checks the log keeps the first key: doorward receipts key --first");
    }
    Ok(ExitCode::SUCCESS)
}

fn hold(cli: &Cli, command: &HoldCommand) -> anyhow::Result<ExitCode> {
    match command {
        HoldCommand::Add { agent, session, key, from, until, reason, json } => {
            let mut object = Object::new().text("act", "hold").text("reason", reason);
            for (name, value) in [("agent", agent), ("session", session), ("key", key)] {
                if let Some(value) = value {
                    object = object.text(name, value);
                }
            }
            for (name, typed) in [("from", from), ("until", until)] {
                if let Some(typed) = typed {
                    // An end may be a day to come.
                    let at = when::past(typed, now());
                    let at = if name == "until" { at.or_else(|_| when::future(typed, now())) } else { at };
                    let at = at.map_err(config_error)?;
                    object = object.number(name, at);
                }
            }
            let answer = ask(cli, object.end())?;
            tell(&answer, *json)
        }
        HoldCommand::Release { hold, json } => {
            let answer = ask(cli, Object::new().text("act", "release").text("hold", hold).end())?;
            tell(&answer, *json)
        }
        HoldCommand::List { json } => {
            let answer = ask(cli, Object::new().text("act", "show").end())?;
            let node = json::parse(answer.as_bytes())?;
            for hold in node.get("holds").map(Node::elements).unwrap_or_default() {
                match json {
                    true => print(&String::from_utf8_lossy(hold.span.of(answer.as_bytes()))),
                    false => print(&line(hold)),
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn tell(answer: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    match as_json {
        true => print(answer.trim_end()),
        false => print(&line(&json::parse(answer.as_bytes())?)),
    }
    Ok(ExitCode::SUCCESS)
}

fn line(hold: &Node) -> String {
    let word = |key: &str| clean(hold.text(key).unwrap_or_default());
    let named = ["agent", "session", "key"].into_iter().filter(|key| hold.some(key).is_some());
    let named = named.map(|key| format!("{key} {}", word(key)));
    let time = |key: &str| Some(format!("{key} {}", when::rfc3339(hold.some(key)?.as_u64()?)));
    let all: Vec<String> = named.chain(time("from")).chain(time("until")).collect();
    let since = hold.get("since").and_then(Node::as_u64).map(when::rfc3339).unwrap_or_default();
    format!("{}  {}  since {since} by {}: {}", word("id"), all.join(", "), word("by"), word("reason"))
}

fn show(cli: &Cli, as_json: bool, only_would: bool) -> anyhow::Result<ExitCode> {
    let answer = ask(cli, Object::new().text("act", "show").end())?;
    let node = json::parse(answer.as_bytes())?;
    let would = node.get("would");
    if as_json {
        let part = would.filter(|_| only_would).map(|would| would.span.of(answer.as_bytes()));
        print(&part.map_or_else(|| answer.trim_end().into(), String::from_utf8_lossy));
        return Ok(ExitCode::SUCCESS);
    }
    if !only_would {
        match node.get("days").and_then(Node::as_u64) {
            Some(days) => {
                let before = node.get("before").and_then(Node::as_u64).map(when::rfc3339).unwrap_or_default();
                print(&format!("kept for {days} days; what is from before {before} goes"));
            }
            None => print("kept for ever (retention: forever)"),
        }
        let urls = node.get("urls").and_then(Node::as_bool) == Some(true);
        print(if urls { "URLs of the egress door: masked" } else { "URLs of the egress door: hashed only" });
        for hold in node.get("holds").map(Node::elements).unwrap_or_default() {
            print(&format!("held: {}", line(hold)));
        }
    }
    print(&format!("a sweep would destroy: {}", would.map(counts).unwrap_or_default()));
    Ok(ExitCode::SUCCESS)
}

/// What was counted, in words.
fn counts(node: &Node) -> String {
    let number = |key: &str| node.get(key).and_then(Node::as_u64).unwrap_or(0);
    let some = COUNTED.iter().filter(|(key, _)| number(key) > 0);
    let words: Vec<String> = some
        .map(|(key, what)| match *key {
            "held" => format!("{} {what}", number(key)),
            _ => crate::terminal::counted(usize::try_from(number(key)).unwrap_or(usize::MAX), what),
        })
        .collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

/// Asks until there is no more to do, and tells how far it is.
fn until_done(cli: &Cli, body: Vec<u8>, as_json: bool, what: &str) -> anyhow::Result<ExitCode> {
    let mut totals = [0_u64; COUNTED.len()];
    loop {
        let answer = ask(cli, body.clone())?;
        let node = json::parse(answer.as_bytes())?;
        let more = node.get("more").and_then(Node::as_bool) == Some(true);
        for (total, (key, _)) in totals.iter_mut().zip(COUNTED) {
            let count = node.get(key).and_then(Node::as_u64).unwrap_or(0);
            // What is held is found again by each part.
            *total = if key == "held" { count } else { *total + count };
        }
        if more {
            say(&format!("{what} so far: {}", counts(&json::parse(&object(&totals).end())?)));
            continue;
        }
        let all = object(&totals).end();
        match as_json {
            true => print(&String::from_utf8_lossy(&all)),
            false => print(&format!("{what}: {}", counts(&json::parse(&all)?))),
        }
        return Ok(ExitCode::SUCCESS);
    }
}

fn object(totals: &[u64]) -> Object {
    COUNTED.iter().zip(totals).fold(Object::new(), |object, ((key, _), total)| object.number(key, *total))
}

/// Does what the body says.
fn ask(cli: &Cli, body: Vec<u8>) -> anyhow::Result<String> {
    let home = config::home_that_is_there(cli.home.as_deref())?;
    match home.lock() {
        Err(StoreError::Locked { .. }) => client::ask(&home, "POST", "/v1/upkeep", &body),
        Err(error) => Err(error.into()),
        Ok(lock) => {
            let config = Config::load(home.root().to_owned(), &RunArgs::default())?;
            let upkeep = Upkeep::of(&home, &config);
            accounts::on_the_files(&lock, &home, async |recorder, store| {
                let done = upkeep.act(recorder, store, &body, alone::BY, now()).await;
                Ok(String::from_utf8_lossy(&done?).into_owned())
            })
        }
    }
}
