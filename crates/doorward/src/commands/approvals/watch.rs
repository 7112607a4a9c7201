//! `doorward approvals watch`: somebody is there. Questions come as they are asked; at a terminal they are answered here.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use doorward_core::syntax::{Node, json};
use doorward_store::Home;

use super::{path, settle, tell};
use crate::cli::WordsArgs;
use crate::client;
use crate::terminal::{self, clean, print, say};

/// How long one question for news waits, in seconds. Shorter than an answer is waited for.
const WAIT: u64 = 8;

/// Watches until the process ends, or this one is interrupted.
///
/// # Errors
/// If the process cannot be reached any more.
pub fn run(home: &Home, as_json: bool) -> anyhow::Result<ExitCode> {
    // A thread of its own: while a person thinks about one question, they are still there.
    let (news, told) = sync_channel(16);
    let own = home.clone();
    std::thread::Builder::new().name("doorward-watch".into()).spawn(move || follow(&own, &news))?;
    let asks_back = !as_json && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if !as_json {
        say("watching; what asks for a person waits for you now");
    }
    Watch { home, as_json, asks_back, seen: BTreeMap::new() }.run(&told)
}

/// Asks for news again and again.
fn follow(home: &Home, news: &SyncSender<anyhow::Result<String>>) {
    let mut revision = 0;
    loop {
        let answer = client::ask(home, "GET", &format!("/v1/approvals?after={revision}&wait={WAIT}"), b"");
        let failed = answer.is_err();
        let known = answer.as_deref().ok().and_then(|answer| json::parse(answer.as_bytes()).ok());
        if let Some(moved) = known.and_then(|overview| overview.get("revision")?.as_u64()) {
            revision = moved;
        }
        if news.send(answer).is_err() || failed {
            return;
        }
    }
}

struct Watch<'a> {
    home: &'a Home,
    as_json: bool,
    asks_back: bool,
    /// Questions and the state in which they were last told.
    seen: BTreeMap<String, String>,
}

impl Watch<'_> {
    fn run(mut self, news: &Receiver<anyhow::Result<String>>) -> anyhow::Result<ExitCode> {
        while let Ok(overview) = news.recv() {
            let overview = json::parse(overview?.as_bytes())?;
            let asks = overview.get("approvals").map(Node::elements).unwrap_or_default();
            for ask in asks {
                self.tell(ask)?;
            }
            let there = |id: &str| asks.iter().any(|ask| ask.text("id") == Some(id));
            self.seen.retain(|id, _| there(id));
        }
        Ok(ExitCode::FAILURE)
    }

    fn tell(&mut self, ask: &Node) -> anyhow::Result<()> {
        let (id, state) = (ask.text("id").unwrap_or_default(), ask.text("state").unwrap_or_default());
        let before = self.seen.insert(id.to_owned(), state.to_owned());
        if before.as_deref() == Some(state) {
            return Ok(());
        }
        // What ended before anybody watched is no news.
        if state != "waiting" && before.is_none() {
            return Ok(());
        }
        let Ok(whole) = client::ask(self.home, "GET", &path(id, "")?, b"") else { return Ok(()) };
        if self.as_json {
            print(whole.trim_end());
            return Ok(());
        }
        if state != "waiting" {
            print(&format!("{} {}", clean(id), clean(state)));
            return Ok(());
        }
        tell::whole(&json::parse(whole.as_bytes())?);
        if self.asks_back {
            self.answer(id);
        } else {
            print(&format!("answer with: doorward approvals approve {0}, or deny {0}", clean(id)));
        }
        Ok(())
    }

    /// Asks the person at the terminal.
    fn answer(&mut self, id: &str) {
        loop {
            terminal::overwrite("yes [o]nce, yes for this [s]ession, [n]o, or [l]ater? ");
            let mut line = String::new();
            if std::io::stdin().lock().read_line(&mut line).unwrap_or(0) == 0 {
                self.asks_back = false;
                return;
            }
            let what = match line.trim() {
                "o" => "approve once",
                "s" => "approve session",
                "n" => "deny",
                "l" => return,
                _ => continue,
            };
            let words = WordsArgs { reason: String::new(), json: false };
            if let Err(error) = settle(self.home, id, what, &words) {
                say(&format!("{error:#}"));
            }
            return;
        }
    }
}
