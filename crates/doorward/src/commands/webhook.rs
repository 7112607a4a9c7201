//! `doorward webhook`: through the running process, or on its files if there is none.

use std::process::ExitCode;

use doorward_control::{Fault, Object};
use doorward_core::syntax::{Node, json, json::quoted};
use doorward_store::StoreError;

use crate::cli::{Cli, WebhookArgs, WebhookCommand};
use crate::serve::now;
use crate::terminal::{clean, counted, print, say};
use crate::webhooks::{self, Around};
use crate::{accounts, alone, client, config, when};

/// Runs the command: 0 if it is done, 1 if not; `test` is 1 if the message did not arrive.
///
/// # Errors
/// If it could not be done.
pub fn run(cli: &Cli, args: &WebhookArgs) -> anyhow::Result<ExitCode> {
    let on = |act: &str, webhook: &str| Object::new().text("act", act).text("webhook", webhook);
    let (object, json) = match &args.command {
        WebhookCommand::List { json } => return list(cli, *json),
        WebhookCommand::Show { webhook, json } => return show(cli, webhook, *json),
        WebhookCommand::Add { url, events, local, json } => {
            let object = Object::new().text("act", "add").text("url", url).truth("local", *local);
            let events = events.iter().map(|event| quoted(event));
            (if args.names_events() { object.array("events", events) } else { object }, *json)
        }
        WebhookCommand::Test { webhook, json } => return test(cli, on("test", webhook), *json),
        WebhookCommand::Rotate { webhook, overlap, json } => {
            let object = on("rotate", webhook);
            (overlap.iter().fold(object, |object, overlap| object.text("overlap", overlap)), *json)
        }
        WebhookCommand::Pause { webhook, json } => (on("pause", webhook), *json),
        WebhookCommand::Resume { webhook, json } => (on("resume", webhook), *json),
        WebhookCommand::Remove { webhook, json } => (on("remove", webhook), *json),
        WebhookCommand::Deliveries { webhook, failed, json } => {
            let object = Object::new().text("act", "deliveries").truth("failed", *failed);
            let object = webhook.iter().fold(object, |object, webhook| object.text("webhook", webhook));
            return deliveries(cli, object, *json);
        }
        WebhookCommand::Redeliver { delivery, webhook, json, .. } => {
            let object = Object::new().text("act", "redeliver");
            let object = delivery.iter().fold(object, |object, one| object.text("delivery", one));
            let object = webhook.iter().fold(object, |object, webhook| object.text("webhook", webhook));
            return redeliver(cli, object, *json);
        }
    };
    let answer = ask(cli, object.end())?;
    if json {
        print(answer.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let node = json::parse(answer.as_bytes())?;
    tell(&node);
    if let (Some(secret), Some(whsec)) = (node.text("secret"), node.text("whsec")) {
        say(
            "this is its secret, for libraries of Standard Webhooks and for X-Sphyr-Signature; it is not shown again:",
        );
        print(whsec);
        print(secret);
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the process that has the home, or does it on the files.
fn ask(cli: &Cli, body: Vec<u8>) -> anyhow::Result<String> {
    let home = config::home_that_is_there(cli.home.as_deref())?;
    match home.lock() {
        Err(StoreError::Locked { .. }) => client::ask(&home, "POST", "/v1/webhooks", &body),
        Err(error) => Err(error.into()),
        Ok(lock) => accounts::on_the_files(&lock, &home, async |recorder, store| {
            let around = Around { recorder, store, post: None, by: alone::BY, now: now() };
            told(webhooks::act(around, &body).await)
        }),
    }
}

/// All webhooks as JSON, from the running process or its files.
fn all(cli: &Cli) -> anyhow::Result<String> {
    let home = config::home_that_is_there(cli.home.as_deref())?;
    match home.lock() {
        Err(StoreError::Locked { .. }) => client::ask(&home, "GET", "/v1/webhooks", b""),
        Err(error) => Err(error.into()),
        Ok(lock) => {
            accounts::on_the_files(&lock, &home, async |_, store| told(webhooks::all(store, now()).await))
        }
    }
}

fn told(answer: Result<bytes::Bytes, Fault>) -> anyhow::Result<String> {
    match answer {
        Ok(answer) => Ok(String::from_utf8_lossy(&answer).into_owned()),
        Err(fault) if fault.advice.is_empty() => Err(anyhow::anyhow!("{}", fault.message)),
        Err(fault) => Err(anyhow::anyhow!("{}; {}", fault.message, fault.advice)),
    }
}

fn list(cli: &Cli, json: bool) -> anyhow::Result<ExitCode> {
    let answer = all(cli)?;
    let all = json::parse(answer.as_bytes())?;
    for hook in all.get("webhooks").map(Node::elements).unwrap_or_default() {
        if json {
            print(&String::from_utf8_lossy(hook.span.of(answer.as_bytes())));
        } else {
            tell(hook);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(cli: &Cli, id: &str, json: bool) -> anyhow::Result<ExitCode> {
    let answer = all(cli)?;
    let all = json::parse(answer.as_bytes())?;
    let mut hooks = all.get("webhooks").map(Node::elements).unwrap_or_default().iter();
    let Some(hook) = hooks.find(|hook| hook.text("webhook") == Some(id)) else {
        anyhow::bail!("there is no webhook {}; `doorward webhook list` shows those there are", clean(id));
    };
    if json {
        print(&String::from_utf8_lossy(hook.span.of(answer.as_bytes())));
    } else {
        tell(hook);
        print(&format!("  {}", word(hook, "url")));
    }
    Ok(ExitCode::SUCCESS)
}

fn test(cli: &Cli, object: Object, json: bool) -> anyhow::Result<ExitCode> {
    let answer = ask(cli, object.end())?;
    let node = json::parse(answer.as_bytes())?;
    let arrived = node.get("arrived").and_then(Node::as_bool) == Some(true);
    if json {
        print(answer.trim_end());
    } else {
        let what = if arrived { "arrived" } else { "DID NOT ARRIVE" };
        print(&format!("{}  {what}: {}", word(&node, "id"), word(&node, "told")));
    }
    Ok(if arrived { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn deliveries(cli: &Cli, object: Object, json: bool) -> anyhow::Result<ExitCode> {
    let answer = ask(cli, object.end())?;
    let all = json::parse(answer.as_bytes())?;
    for one in all.get("deliveries").map(Node::elements).unwrap_or_default() {
        if json {
            print(&String::from_utf8_lossy(one.span.of(answer.as_bytes())));
            continue;
        }
        let next = one.some("next").and_then(Node::as_str);
        let next = next.map_or_else(String::new, |at| format!(", next {}", clean(at)));
        let told = word(one, "told");
        let told = if told.is_empty() { told } else { format!(": {told}") };
        print(&format!(
            "{}  {}  {}  {}  tries {}{next}{told}",
            word(one, "id"),
            word(one, "created"),
            word(one, "type"),
            word(one, "stage").to_uppercase(),
            word(one, "tries"),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn redeliver(cli: &Cli, object: Object, json: bool) -> anyhow::Result<ExitCode> {
    let answer = ask(cli, object.end())?;
    if json {
        print(answer.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let count = json::parse(answer.as_bytes())?.get("redelivered").and_then(Node::as_u64).unwrap_or(0);
    print(&format!("{} to be sent again", messages(count)));
    Ok(ExitCode::SUCCESS)
}

fn messages(count: u64) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "message")
}

fn word(node: &Node, key: &str) -> String {
    clean(&node.get(key).and_then(Node::scalar).unwrap_or_default())
}

fn tell(hook: &Node) {
    let since = hook.get("since").and_then(Node::as_u64).map(when::rfc3339).unwrap_or_default();
    let events = hook.get("events").map(Node::elements).unwrap_or_default().iter();
    let events: Vec<String> = events.filter_map(Node::as_str).map(clean).collect();
    print(&format!(
        "{}  {}  {} since {since}  {}",
        word(hook, "webhook"),
        word(hook, "place"),
        word(hook, "state").to_uppercase(),
        events.join(","),
    ));
    if let Some(until) = hook.some("old_secret_until") {
        print(&format!(
            "  the secret before signs as well until {}",
            clean(until.as_str().unwrap_or_default())
        ));
    }
    for (name, what) in [("waiting", "waiting"), ("failed", "failed"), ("lost", "LOST for lack of room")] {
        let count = hook.get(name).and_then(Node::as_u64).unwrap_or(0);
        if count > 0 {
            print(&format!("  {} {what}", messages(count)));
        }
    }
}
