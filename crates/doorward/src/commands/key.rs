//! `doorward key`, `doorward agents`, `doorward credits`: through the running process, or on its files if there is none.

use std::process::ExitCode;

use doorward_control::Object;
use doorward_core::syntax::{Node, json};
use doorward_gateway::accounts::audit;
use doorward_ledger::View;
use doorward_store::{Home, StoreError};

use crate::cli::{AgentsArgs, AgentsCommand, Cli, CreditsArgs, CreditsCommand, KeyArgs, KeyCommand, RunArgs};
use crate::config::Config;
use crate::ledger_key::signing_key;
use crate::serve::now;
use crate::terminal::{clean, config_error, print, say};
use crate::{accounts, alone, client, config, sphyr, when};

/// Runs `doorward key`.
///
/// # Errors
/// If it could not be done.
pub fn run(cli: &Cli, args: &KeyArgs) -> anyhow::Result<ExitCode> {
    let mut client_file = None;
    let (object, json) = match &args.command {
        KeyCommand::List { compromised, json } => return list(cli, *compromised, *json),
        KeyCommand::Show { key, json } => {
            let key = key.clone().map_or_else(sphyr::key, Ok)?;
            return show(cli, &key, *json);
        }
        KeyCommand::Create { agent, credits, settings, write_sphyr_config, replace, json } => {
            // Before there is a key that nobody would know the secret of.
            client_file = write_sphyr_config.then(|| sphyr::free(*replace)).transpose()?;
            let of_setting = || Config::load(config::home(cli.home.as_deref())?, &RunArgs::default());
            let credits = credits.map_or_else(|| of_setting().map(|config| config.new_key_credits), Ok)?;
            let object = Object::new().text("act", "create").text("agent", agent).number("credits", credits);
            (object.raw("settings", &pairs(settings)?), *json)
        }
        KeyCommand::Pause { key, json } => (on(key, "pause"), *json),
        KeyCommand::Resume { key, json } => (on(key, "resume"), *json),
        KeyCommand::Revoke { key, json } => (on(key, "revoke"), *json),
        KeyCommand::Rotate { key, overlap, json } => {
            let until = overlap.as_deref().map(|text| when::future(text, now())).transpose();
            let until = until.map_err(config_error)?;
            let object = on(key, "rotate");
            (until.into_iter().fold(object, |object, until| object.number("until", until)), *json)
        }
        KeyCommand::Set { key, settings, json } => (on(key, "set").raw("settings", &pairs(settings)?), *json),
    };
    let answer = ask(cli, object.end())?;
    let node = json::parse(answer.as_bytes())?;
    if let (Some(file), Some(credential)) = (&client_file, node.text("credential")) {
        let home = config::home(cli.home.as_deref())?;
        let set = Config::load(home.clone(), &RunArgs::default())?.listen;
        if let Err(error) = sphyr::write(file, credential, &sphyr::url(&Home::open(home)?, set)) {
            let id = word(&node, "key_id");
            anyhow::bail!(
                "{error:#}; the key {id} is made, and its credential in no place: `doorward key rotate {id}` shows another"
            );
        }
        say(&format!("its credential is in {}, which nobody else can read", file.display()));
    }
    if json {
        let shown = client_file.as_ref().and_then(|_| node.text("credential"));
        let hidden = shown.map(|credential| answer.replace(&format!(",\"credential\":\"{credential}\""), ""));
        print(hidden.as_deref().unwrap_or(&answer).trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    tell(&node);
    if client_file.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(credential) = node.text("credential") {
        say("this is its credential; it is not shown again:");
        print(credential);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `doorward agents`.
///
/// # Errors
/// If it could not be done.
pub fn agents(cli: &Cli, args: &AgentsArgs) -> anyhow::Result<ExitCode> {
    let (object, json) = match &args.command {
        AgentsCommand::List { key, json } => return issued(cli, key, *json),
        AgentsCommand::Issue { key, agent, json } => (on(key, "issue").text("agent_id", agent), *json),
        AgentsCommand::Revoke { key, agent, json } => (on(key, "unissue").text("agent_id", agent), *json),
    };
    let answer = ask(cli, object.end())?;
    if json {
        print(answer.trim_end());
    } else {
        tell_agents(&json::parse(answer.as_bytes())?);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `doorward credits`: `verify` is 1 if ledger and store differ.
///
/// # Errors
/// If it could not be done.
pub fn credits(cli: &Cli, args: &CreditsArgs) -> anyhow::Result<ExitCode> {
    let (answer, json, whole) = match &args.command {
        CreditsCommand::Verify { all, json } => return verify(cli, *all, *json),
        CreditsCommand::Grant { key, amount, months, json } => {
            let object = on(key, "grant").number("credits", *amount).number("months", u64::from(*months));
            (ask(cli, object.end())?, *json, false)
        }
        CreditsCommand::Show { key, json } => (ask(cli, on(key, "lots").end())?, *json, false),
        CreditsCommand::History { key, json } => (ask(cli, on(key, "lots").end())?, *json, true),
    };
    let node = json::parse(answer.as_bytes())?;
    if json {
        let of_balance = || {
            let oldest = node.get("oldest_expiry").map(|it| it.span.of(answer.as_bytes()));
            let object = Object::new().text("key_id", node.text("key_id").unwrap_or_default());
            let left = node.get("credits_remaining").and_then(Node::as_u64).unwrap_or(0);
            let object = object.number("credits_remaining", left);
            String::from_utf8_lossy(&object.raw("oldest_expiry", oldest.unwrap_or(b"null")).end())
                .into_owned()
        };
        let shows = matches!(args.command, CreditsCommand::Show { .. });
        print(if shows { of_balance() } else { answer.trim_end().to_owned() }.as_str());
        return Ok(ExitCode::SUCCESS);
    }
    let oldest = node.some("oldest_expiry").and_then(Node::as_str);
    let oldest = oldest.map_or_else(String::new, |at| format!(", the first expire {}", clean(at)));
    print(&format!("{}  {} credits{oldest}", word(&node, "key_id"), word(&node, "credits_remaining")));
    let lots = node.get("lots").map(Node::elements).unwrap_or_default();
    for lot in lots.iter().filter(|_| whole) {
        let gone = if word(lot, "expired") == "true" { "  EXPIRED" } else { "" };
        print(&format!(
            "  lot {}: {} of {} used, granted {} by {}, expires {}{gone}  {}",
            word(lot, "lot"),
            word(lot, "used"),
            word(lot, "amount"),
            word(lot, "granted"),
            word(lot, "by"),
            word(lot, "expires"),
            word(lot, "receipt"),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn on(key: &str, act: &str) -> Object {
    Object::new().text("act", act).text("key", key)
}

/// `NAME=VALUE …` as an object.
fn pairs(settings: &[String]) -> anyhow::Result<Vec<u8>> {
    let mut object = Object::new();
    for setting in settings {
        let pair = setting.split_once('=');
        let (name, value) =
            pair.ok_or_else(|| config_error(format!("`{}` is not NAME=VALUE", clean(setting))))?;
        object = object.text(name, value);
    }
    Ok(object.end())
}

/// Does what the body says.
fn ask(cli: &Cli, body: Vec<u8>) -> anyhow::Result<String> {
    let home = Home::open(config::home(cli.home.as_deref())?)?;
    match home.lock() {
        Err(StoreError::Locked { .. }) => client::ask(&home, "POST", "/v1/keys", &body),
        Err(error) => Err(error.into()),
        Ok(lock) => accounts::on_the_files(&lock, &home, async |recorder, store| {
            let done = accounts::act(recorder, store, &body, alone::BY, now()).await;
            Ok(String::from_utf8_lossy(&done?).into_owned())
        }),
    }
}

/// All keys as JSON, from the running process or its files.
fn all(cli: &Cli) -> anyhow::Result<String> {
    let home = config::home_that_is_there(cli.home.as_deref())?;
    match home.lock() {
        Err(StoreError::Locked { .. }) => client::ask(&home, "GET", "/v1/keys", b""),
        Err(error) => Err(error.into()),
        Ok(lock) => accounts::on_the_files(&lock, &home, async |_, store| {
            Ok(String::from_utf8_lossy(&accounts::all(store, now())).into_owned())
        }),
    }
}

fn list(cli: &Cli, compromised: bool, json: bool) -> anyhow::Result<ExitCode> {
    let answer = all(cli)?;
    let all = json::parse(answer.as_bytes())?;
    let is_compromised = |key: &&Node| key.get("compromised").is_some_and(|list| !list.elements().is_empty());
    let keys = all.get("keys").map(Node::elements).unwrap_or_default().iter();
    for key in keys.filter(|key| !compromised || is_compromised(key)) {
        if json {
            print(&String::from_utf8_lossy(key.span.of(answer.as_bytes())));
        } else {
            tell_line(key);
            if compromised {
                tell_compromises(key);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(cli: &Cli, id: &str, json: bool) -> anyhow::Result<ExitCode> {
    with_key(cli, id, |key, text| if json { print(text) } else { tell(key) })
}

fn issued(cli: &Cli, id: &str, json: bool) -> anyhow::Result<ExitCode> {
    with_key(cli, id, |key, text| if json { print(text) } else { tell_agents(key) })
}

fn with_key(cli: &Cli, id: &str, tell: impl FnOnce(&Node, &str)) -> anyhow::Result<ExitCode> {
    let answer = all(cli)?;
    let all = json::parse(answer.as_bytes())?;
    let mut keys = all.get("keys").map(Node::elements).unwrap_or_default().iter();
    let Some(key) = keys.find(|key| key.text("key_id") == Some(id)) else {
        anyhow::bail!("there is no key {}; `doorward key list` shows those there are", clean(id));
    };
    tell(key, &String::from_utf8_lossy(key.span.of(answer.as_bytes())));
    Ok(ExitCode::SUCCESS)
}

fn verify(cli: &Cli, whole: bool, json: bool) -> anyhow::Result<ExitCode> {
    let home = config::home_that_is_there(cli.home.as_deref())?;
    let lock = match home.lock() {
        Err(StoreError::Locked { .. }) => {
            anyhow::bail!("a process has this home and uses credits all the time; stop it first")
        }
        lock => lock?,
    };
    let audit = accounts::on_the_files(&lock, &home, async |_, store| {
        let view = View::open(&home.log_dir(), signing_key(&home)?.public())?;
        Ok(audit(&view, store.accounts(), whole, now())?)
    })?;
    let code = if audit.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if json {
        let told = |of: Option<(u64, u64)>| {
            let object = |(all, used)| Object::new().number("amount", all).number("used", used).end();
            of.map_or_else(|| b"null".to_vec(), object)
        };
        let differs = audit.differs.iter().map(|it| {
            let object = Object::new().text("key_id", &it.key).number("lot", it.lot.into());
            object.raw("ledger", &told(it.ledger)).raw("store", &told(it.store)).end()
        });
        let object = Object::new().truth("ok", audit.is_ok()).number("from", audit.from);
        let object = object.number("snapshots_checked", audit.checked).array("differs", differs);
        let object = object.array("wrong", audit.wrong.iter().map(|what| json::quoted(what)));
        print(&String::from_utf8_lossy(&object.end()));
        return Ok(code);
    }
    let told = |of: Option<(u64, u64)>| {
        of.map_or_else(|| "nothing".into(), |(all, used)| format!("{used} of {all}"))
    };
    audit.wrong.iter().for_each(|what| print(what));
    for it in &audit.differs {
        let (ledger, store) = (told(it.ledger), told(it.store));
        print(&format!("{} lot {}: by the ledger {ledger} used, by the store {store}", it.key, it.lot));
    }
    if audit.is_ok() {
        let since = match (whole, audit.from) {
            (true, _) => format!(
                " (from the first receipt; {} held)",
                crate::terminal::counted(usize::try_from(audit.checked).unwrap_or(usize::MAX), "snapshot")
            ),
            (false, 0) => String::new(),
            (false, from) => format!(" (from the snapshot over the first {from} receipts)"),
        };
        print(&format!("ledger and store agree on every credit{since}"));
    }
    Ok(code)
}

fn word(node: &Node, key: &str) -> String {
    clean(&node.get(key).and_then(Node::scalar).unwrap_or_default())
}

fn tell_line(key: &Node) {
    let time = |name: &str| key.get(name).and_then(Node::as_u64).map(when::rfc3339).unwrap_or_default();
    print(&format!(
        "{}  {}  {} since {}  {} credits",
        word(key, "key_id"),
        word(key, "agent"),
        word(key, "state").to_uppercase(),
        time("since"),
        word(key, "credits_remaining"),
    ));
}

fn tell(key: &Node) {
    tell_line(key);
    if let Some(until) = key.some("old_secret_until") {
        print(&format!("  the secret before holds until {}", clean(until.as_str().unwrap_or_default())));
    }
    for setting in key.get("settings").map(Node::members).unwrap_or_default() {
        let value = setting.value.as_str().unwrap_or_default();
        if !matches!(value, "default" | "none") {
            print(&format!("  {} = {}", clean(&setting.key), clean(value)));
        }
    }
    tell_agents(key);
    tell_compromises(key);
}

fn tell_agents(key: &Node) {
    for agent in key.get("agents").map(Node::elements).unwrap_or_default() {
        let since = agent.get("issued").and_then(Node::as_u64).map(when::rfc3339).unwrap_or_default();
        print(&format!("  agent {}  issued {since}", word(agent, "id")));
    }
    let unissued = key.get("unissued").map(Node::elements).unwrap_or_default().iter();
    for agent in unissued.filter_map(Node::as_str) {
        print(&format!("  agent {}  not issued", clean(agent)));
    }
}

fn tell_compromises(key: &Node) {
    for it in key.get("compromised").map(Node::elements).unwrap_or_default() {
        let at = it.get("at").and_then(Node::as_u64).map(when::rfc3339).unwrap_or_default();
        print(&format!(
            "  compromised {at}: {} in session {} from {}  receipt {}",
            word(it, "what"),
            word(it, "session"),
            word(it, "from"),
            word(it, "receipt")
        ));
    }
}
