//! `doorward quarantine`: what was held instead of written, and what a person does about it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use doorward_control::{HeldWish, done_json, items_json};
use doorward_core::syntax::{Node, json, json::quoted};
use doorward_store::quarantine::{Item, NotDone, Place, Quarantine};
use doorward_store::{Home, Options, Store, StoreError};

use crate::alone::{self, Event};
use crate::canaries::place::Fresh;
use crate::cli::{Cli, QuarantineArgs, QuarantineCommand};
use crate::desk::quarantine as acts;
use crate::terminal::{clean, config_error, counted, print, say};
use crate::{client, config, when};

/// How many members of an archive are shown.
const SHOWN: usize = 40;

/// Runs the command: 1 if nothing is called so, or its content is gone.
///
/// # Errors
/// If it could not be done.
pub fn run(cli: &Cli, args: &QuarantineArgs) -> anyhow::Result<ExitCode> {
    let home = config::home_that_is_there(cli.home.as_deref())?;
    match &args.command {
        QuarantineCommand::List { json } => list(&home, *json),
        QuarantineCommand::Show { item, json } => show(&home, item, *json),
        QuarantineCommand::Release { item, to, executable, json } => {
            release(&home, item, to.as_deref(), *executable, *json)
        }
        QuarantineCommand::Purge { item, json } => {
            done(&home, &HeldWish::Purge { item: item.clone() }, *json)
        }
        QuarantineCommand::Clear { item: None, all: false, .. } => {
            Err(config_error("name what is to be forgotten, or give --all"))
        }
        QuarantineCommand::Clear { item, json, .. } => {
            done(&home, &HeldWish::Clear { item: item.clone() }, *json)
        }
    }
}

fn list(home: &Home, as_json: bool) -> anyhow::Result<ExitCode> {
    let answer = match home.lock() {
        Err(StoreError::Locked { .. }) => client::ask(home, "GET", "/v1/quarantine", b"")?,
        Err(error) => return Err(error.into()),
        Ok(lock) => {
            let (items, room) = closing(&lock, |quarantine| (quarantine.list(), quarantine.room()))?;
            String::from_utf8_lossy(&items_json(&items, room)).into_owned()
        }
    };
    let all = json::parse(answer.as_bytes())?;
    let items = all.get("items").map(Node::elements).unwrap_or_default();
    for item in items {
        if as_json {
            print(&String::from_utf8_lossy(item.span.of(answer.as_bytes())));
        } else {
            print(&line(item));
        }
    }
    if !as_json {
        let number = |key: &str| all.get(key).and_then(Node::as_u64).unwrap_or(0);
        let (known, bytes, room) = (number("known"), number("bytes"), number("room"));
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        print(&format!("{}, {bytes} of {room} bytes", counted(known, "record")));
    }
    Ok(ExitCode::SUCCESS)
}

fn show(home: &Home, item: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let answer = match home.lock() {
        Err(StoreError::Locked { .. }) => {
            let path = format!("/v1/quarantine/{}", named(item)?);
            match client::ask(home, "GET", &path, b"") {
                Ok(answer) => answer,
                Err(error) => return unknown(error),
            }
        }
        Err(error) => return Err(error.into()),
        Ok(lock) => match closing(&lock, |quarantine| acts::show(quarantine, item))? {
            Ok(shown) => String::from_utf8_lossy(&shown).into_owned(),
            Err(error) => return unknown(error.into()),
        },
    };
    if as_json {
        print(answer.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    tell(&json::parse(answer.as_bytes())?);
    Ok(ExitCode::SUCCESS)
}

/// Writes the content where a person wants it. The file is there, empty, before anything is recorded: what cannot be
/// written is not released.
fn release(
    home: &Home,
    name: &str,
    to: Option<&Path>,
    executable: bool,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    // Who has the home directory's key reads what is held; whoever has the process does the act.
    let quarantine = Quarantine::open(home, doorward_store::quarantine::Limits::default())?;
    let opened = quarantine.find(name).and_then(|item| Ok((quarantine.content(&item)?, item)));
    let (content, item) = match opened {
        Ok(opened) => opened,
        Err(error @ NotDone::Store(_)) => return Err(error.into()),
        Err(error) => return unknown(error.into()),
    };
    let to = match to {
        Some(to) => std::path::absolute(to).context("that is no path")?,
        None => original(&item)?,
    };
    let at = || format!("cannot write {}", to.display());
    let fresh = Fresh::make(&to).with_context(|| {
        format!("{}; nothing is overwritten, and no link is followed: name another path with --to", at())
    })?;
    let wish = HeldWish::Release { item: item.name(), to: to.display().to_string() };
    let answer = match acted(home, &wish).and_then(|answer| {
        fresh.fill(&content, executable).with_context(at)?;
        Ok(answer)
    }) {
        Ok(answer) => answer,
        Err(error) => {
            fresh.take_away();
            return Err(error);
        }
    };
    if as_json {
        print(answer.trim_end());
    } else {
        let runs =
            if executable { "; it may be run" } else { "; it may not be run: --executable allows that" };
        print(&format!("released {} to {}{runs}", clean(&item.name()), clean(&to.display().to_string())));
    }
    Ok(ExitCode::SUCCESS)
}

/// The one path to which it was to go.
fn original(item: &Item) -> anyhow::Result<PathBuf> {
    let mut paths: Vec<&str> = item.places.iter().map(|place: &Place| place.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    let [path] = paths.as_slice() else {
        return Err(config_error("it was to be written to several paths; name one with --to"));
    };
    let path = match path.strip_prefix('~') {
        Some(rest) => format!("{}{rest}", config::user_home_text()),
        None => (*path).to_owned(),
    };
    let path = PathBuf::from(path);
    if !path.is_absolute() || item.more > 0 {
        return Err(config_error(
            "from which directory it was to be written is not known; name a path with --to",
        ));
    }
    Ok(path)
}

fn done(home: &Home, wish: &HeldWish, as_json: bool) -> anyhow::Result<ExitCode> {
    let answer = match acted(home, wish) {
        Ok(answer) => answer,
        Err(error) => return unknown(error),
    };
    if as_json {
        print(answer.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let all = json::parse(answer.as_bytes())?;
    let items = all.get("items").map(Node::elements).unwrap_or_default();
    match wish {
        HeldWish::Clear { .. } => print(&format!("forgot {}", counted(items.len(), "record"))),
        _ => items.iter().for_each(|item| print(&line(item))),
    }
    Ok(ExitCode::SUCCESS)
}

/// Does it through the running process, or on the files if there is none; returns what it was done to, as JSON.
fn acted(home: &Home, wish: &HeldWish) -> anyhow::Result<String> {
    match home.lock() {
        Err(StoreError::Locked { .. }) => client::ask(home, "POST", "/v1/quarantine", &body(wish)?),
        Err(error) => Err(error.into()),
        Ok(lock) => {
            // Which receipt it was held under stands in its record, which goes with `clear`.
            let told = closing(&lock, |quarantine| acts::act(quarantine, wish, alone::BY))??;
            let event = Event { event: told.event, target: &told.target, message: &told.message };
            alone::act(&lock, home, &event, async |_| Ok::<_, anyhow::Error>(()))?;
            Ok(String::from_utf8_lossy(&done_json(&told.items)).into_owned())
        }
    }
}

/// What `look` sees in the quarantine of a home that nobody else has.
fn closing<T>(lock: &doorward_store::HomeLock, look: impl FnOnce(&Quarantine) -> T) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let store = Store::open(lock, Options::default())?;
    let seen = look(store.quarantine());
    runtime.block_on(store.close())?;
    Ok(seen)
}

fn body(wish: &HeldWish) -> anyhow::Result<Vec<u8>> {
    let text = |text: &str| String::from_utf8_lossy(&quoted(text)).into_owned();
    let body = match wish {
        HeldWish::Release { item, to } => {
            format!("{{\"act\":\"release\",\"item\":{},\"to\":{}}}", text(named(item)?), text(to))
        }
        HeldWish::Purge { item } => format!("{{\"act\":\"purge\",\"item\":{}}}", text(named(item)?)),
        HeldWish::Clear { item: Some(item) } => {
            format!("{{\"act\":\"clear\",\"item\":{}}}", text(named(item)?))
        }
        HeldWish::Clear { item: None } => "{\"act\":\"clear\",\"item\":null}".to_owned(),
    };
    Ok(body.into_bytes())
}

/// A name as a path or a body takes it.
fn named(item: &str) -> anyhow::Result<&str> {
    let name = item.strip_prefix("sha256:").unwrap_or(item);
    let plain = (8..=80).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
    if plain {
        Ok(name)
    } else {
        Err(config_error("name it by its digest (eight digits or more) or its receipt"))
    }
}

/// Said, and exit status 1; what went wrong otherwise stays an error.
fn unknown(error: anyhow::Error) -> anyhow::Result<ExitCode> {
    if error.downcast_ref::<NotDone>().is_some_and(|why| matches!(why, NotDone::Store(_))) {
        return Err(error);
    }
    say(&format!("{error:#}"));
    Ok(ExitCode::FAILURE)
}

/// Digest, state, kind, size, when and where.
fn line(item: &Node) -> String {
    let text = |key: &str| clean(item.text(key).unwrap_or_default());
    let size = item.get("size").and_then(Node::as_u64).unwrap_or(0);
    let last = item.get("places").map(Node::elements).unwrap_or_default().last();
    let of = |key: &str| clean(last.and_then(|place| place.text(key)).unwrap_or_default());
    let time = last.and_then(|place| place.get("time")).and_then(Node::as_u64).unwrap_or(0);
    let digest: String = text("sha256").chars().take(16).collect();
    let path = match of("path") {
        path if path.is_empty() => "(no file)".to_owned(),
        path => path,
    };
    let (state, kind, agent) = (text("state"), text("kind"), of("agent"));
    format!("{digest}  {state}  {}  {path}  {kind}, {size} bytes, by {agent}", when::rfc3339(time))
}

/// Everything about one, each line a stranger's words made harmless.
fn tell(item: &Node) {
    let text = |node: &Node, key: &str| clean(node.text(key).unwrap_or_default());
    let time = |node: &Node| node.get("time").and_then(Node::as_u64).map(when::rfc3339).unwrap_or_default();
    let size = item.get("size").and_then(Node::as_u64).unwrap_or(0);
    print(&format!("sha256  {}", text(item, "sha256")));
    print(&format!("state   {}", text(item, "state")));
    print(&format!("kind    {}, {size} bytes", text(item, "kind")));
    for place in item.get("places").map(Node::elements).unwrap_or_default() {
        print(&format!("path    {}", text(place, "path")));
        let (agent, session, tool) = (text(place, "agent"), text(place, "session"), text(place, "tool"));
        print(&format!("        {} by {tool} of {agent}, session {session}", time(place)));
        print(&format!("        rule {}, receipt {}", text(place, "rule"), text(place, "receipt")));
    }
    for done in item.get("done").map(Node::elements).unwrap_or_default() {
        let to = match text(done, "to") {
            to if to.is_empty() => String::new(),
            to => format!(" to {to}"),
        };
        print(&format!("{}d{to} {} by {}", text(done, "act"), time(done), text(done, "by")));
    }
    let Some(listing) = item.some("listing") else { return };
    let formats = listing.get("formats").map(Node::elements).unwrap_or_default();
    let formats: Vec<&str> = formats.iter().filter_map(Node::as_str).collect();
    print(&format!("holds   {} (nothing was unpacked)", formats.join(" with ")));
    let members = listing.get("members").map(Node::elements).unwrap_or_default();
    for member in members.iter().take(SHOWN) {
        let size = member.get("size").and_then(Node::as_u64).unwrap_or(0);
        let warning = member.text("warning").map(|warning| format!("  ! {warning}")).unwrap_or_default();
        print(&format!("        {}  {}, {size} bytes{warning}", text(member, "name"), text(member, "kind")));
    }
    if members.len() > SHOWN {
        print(&format!("        and {} more (--json shows them)", members.len() - SHOWN));
    }
    if let Some(stopped) = listing.text("stopped") {
        print(&format!("        not all of it: {}", clean(stopped)));
    }
}
