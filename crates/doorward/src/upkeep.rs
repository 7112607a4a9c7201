//! What is kept beside the ledger and for how long, and what a person does about it: the same whether a process runs or
//! not. Long work is done in parts of some seconds, each of them in slices.

use doorward_core::syntax::hex;
use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use doorward_control::{Fault, FaultKind, Object};
use doorward_core::session::Millis;
use doorward_core::syntax::{Node, json};
use doorward_gateway::Recorder;
use doorward_gateway::accounts::{draw, record_snapshot};
use doorward_ledger::View;
use doorward_store::forensics::{Archive, Limits};
use doorward_store::kill::DOORWARD;
use doorward_store::retention::{Hold, Progress, Scrubbed, Subject, Swept, Whose};
use doorward_store::{AgentName, Home, SessionName, Store};
use sha2::{Digest as _, Sha256};

use crate::config::Config;
use crate::ledger_key::{self, signing_key};
use crate::serve::now;
use crate::terminal::counted;

/// How long a part of long work takes: the client waits for ten seconds.
const PART: Duration = Duration::from_secs(4);

/// The longest reason.
const MAX_REASON: usize = 1000;

/// What is to be kept for how long.
#[derive(Clone, Debug)]
pub struct Upkeep {
    home: Home,
    retention: Option<Duration>,
    forensics: Limits,
}

/// What all sweeps did.
#[derive(Clone, Debug, Default)]
struct Done {
    swept: Swept,
    forensics: u64,
    quarantine: u64,
    more: bool,
}

impl Upkeep {
    /// As the settings say.
    pub fn of(home: &Home, config: &Config) -> Self {
        Self { home: home.clone(), retention: config.retention, forensics: config.forensics }
    }

    /// What is older goes.
    fn before(&self, now: Millis) -> Option<Millis> {
        let retention = u64::try_from(self.retention?.as_millis()).unwrap_or(u64::MAX);
        Some(now.saturating_sub(retention))
    }

    /// Sweeps until nothing is left to do, and says in the log what went.
    pub async fn sweep_all(&self, recorder: &Recorder, store: &Store) {
        loop {
            match self.sweep(recorder, store, false).await {
                Ok(done) => {
                    let (count, held) = (done.swept.total() + done.forensics, done.swept.held);
                    if count > 0 {
                        tracing::info!(count, held, "what was kept of old actions is destroyed");
                    }
                    if !done.more {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!("what is too old could not all be destroyed: {error:#}");
                    return;
                }
            }
        }
    }

    /// One part of a sweep. First the ledger gets what balances may need of what goes.
    async fn sweep(&self, recorder: &Recorder, store: &Store, dry: bool) -> anyhow::Result<Done> {
        let mut done = Done::default();
        let at = now();
        if !dry {
            self.sweep_folders(recorder, store, at, &mut done).await?;
        }
        if let Some(before) = self.before(at) {
            if !dry {
                self.snapshot(recorder, store, at).await?;
            }
            let (swept, progress) = store.sweep(before, dry, PART).await?;
            done.swept = swept;
            done.more = progress == Progress::More;
        }
        Ok(done)
    }

    /// What lies in files of its own.
    async fn sweep_folders(
        &self,
        recorder: &Recorder,
        store: &Store,
        at: Millis,
        done: &mut Done,
    ) -> anyhow::Result<()> {
        done.forensics = self.sweep_forensics(store, at).await?;
        let (quarantine, holds) = (store.quarantine().clone(), store.holds());
        let swept = tokio::task::spawn_blocking(move || quarantine.sweep(at, &holds)).await??;
        done.quarantine = swept as u64;
        if swept > 0 {
            let message = format!("{} too old", counted(swept, "record"));
            let recorded = recorder.control("quarantine_swept", DOORWARD, "quarantine", &message).await;
            if let Err(error) = recorded {
                tracing::warn!(%error, swept, "it could not be recorded what the quarantine forgot");
            }
        }
        Ok(())
    }

    /// Whose a record is only its action knows.
    async fn sweep_forensics(&self, store: &Store, at: Millis) -> anyhow::Result<u64> {
        let (archive, limits, holds) = (Archive::of(&self.home), self.forensics, store.holds());
        let mut held = HashSet::new();
        if !holds.is_empty() {
            let listed = archive.clone();
            for one in tokio::task::spawn_blocking(move || listed.list()).await?? {
                let action =
                    store.action(one.receipt.clone()).await?.filter(|action| !action.agent.is_empty());
                let known = action.as_ref();
                let whose = Whose {
                    time: one.time,
                    agent: known.map(|action| action.agent.as_str()),
                    session: known.map(|action| action.session.as_str()),
                    key: known.map(|action| action.key.as_deref().unwrap_or_default()),
                };
                if holds.iter().any(|hold| hold.covers(&whose)) {
                    held.insert(one.receipt);
                }
            }
        }
        let sweep = move || archive.sweep(limits, at, |one| held.contains(&one.receipt));
        Ok(tokio::task::spawn_blocking(sweep).await?? as u64)
    }

    /// Says in the ledger what credits there are, if anything has happened to them since it last did.
    async fn snapshot(&self, recorder: &Recorder, store: &Store, at: Millis) -> anyhow::Result<()> {
        if store.accounts().keys().is_empty() {
            return Ok(());
        }
        let home = self.home.clone();
        let drawn = tokio::task::spawn_blocking(move || {
            let view = View::open(&home.log_dir(), signing_key(&home)?.public())?;
            draw(&view, at).map_err(anyhow::Error::msg)
        });
        match drawn.await?? {
            Some(drawn) => record_snapshot(recorder, drawn).await.map_err(anyhow::Error::msg),
            None => Ok(()),
        }
    }

    /// Does what `body` asks for and returns what came of it as JSON.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub async fn act(
        &self,
        recorder: &Recorder,
        store: &Store,
        body: &[u8],
        by: &str,
        now: Millis,
    ) -> Result<Bytes, Fault> {
        let node = json::parse(body).map_err(|fault| bad(format!("the body is not strict JSON: {fault}")))?;
        let act = node.text("act").ok_or_else(|| bad("the body says no act".into()))?;
        let known: &[&str] = match act {
            "show" | "sweep" | "rotate_key" => &[],
            "hold" => &["agent", "session", "key", "from", "until", "reason"],
            "release" => &["hold"],
            "scrub" => &["agent", "key"],
            _ => return Err(bad("act must be show, sweep, hold, release, scrub or rotate_key".into())),
        };
        if let Some(unknown) =
            node.members().iter().find(|it| &*it.key != "act" && !known.contains(&&*it.key))
        {
            let key: String = unknown.key.chars().take(40).collect();
            return Err(bad(format!("the body has a member {key:?} that this act does not take")));
        }
        let done = match act {
            "show" => self.show(recorder, store, now).await.map_err(failed),
            "sweep" => {
                let done = self.sweep(recorder, store, false).await.map_err(failed)?;
                if done.swept.total() > 0 && !done.more {
                    record(recorder, "retention_run", by, "all", "").await?;
                }
                Ok(done.json().truth("more", done.more).end())
            }
            "hold" => hold(recorder, store, &node, by, now).await,
            "release" => release(recorder, store, &node, by).await,
            "scrub" => scrub(recorder, store, &node, by).await,
            _ => {
                let key = ledger_key::rotate(&self.home, recorder).await.map_err(failed)?;
                Ok(Object::new().text("key", &key.vkey()).end())
            }
        };
        done.map(Bytes::from)
    }

    async fn show(&self, recorder: &Recorder, store: &Store, now: Millis) -> anyhow::Result<Vec<u8>> {
        let would = self.sweep(recorder, store, true).await?;
        let holds = store.holds();
        let days = self.retention.map(|retention| retention.as_secs() / 86_400);
        let days = days.map_or_else(|| b"null".to_vec(), |days| days.to_string().into_bytes());
        let before = self.before(now).map_or_else(|| b"null".to_vec(), |at| at.to_string().into_bytes());
        let object =
            Object::new().raw("days", &days).raw("before", &before).truth("urls", store.keeps_urls());
        Ok(object.raw("would", &would.json().end()).array("holds", holds.iter().map(hold_json)).end())
    }
}

impl Done {
    fn json(&self) -> Object {
        let Swept { actions, memos, alerts, sessions, lots, compromises, deliveries, held } = self.swept;
        Object::new()
            .number("actions", actions)
            .number("memos", memos)
            .number("alerts", alerts)
            .number("sessions", sessions)
            .number("lots", lots)
            .number("compromises", compromises)
            .number("deliveries", deliveries)
            .number("forensics", self.forensics)
            .number("quarantine", self.quarantine)
            .number("held", held)
    }
}

fn hold_json(hold: &Hold) -> Vec<u8> {
    let text = |text: &Option<String>| text.as_deref().map_or_else(|| b"null".to_vec(), json::quoted);
    let time = |at: Option<Millis>| at.map_or_else(|| b"null".to_vec(), |at| at.to_string().into_bytes());
    Object::new()
        .text("id", &hold.id)
        .raw("agent", &text(&hold.agent))
        .raw("session", &text(&hold.session))
        .raw("key", &text(&hold.key))
        .raw("from", &time(hold.from))
        .raw("until", &time(hold.until))
        .text("reason", &hold.reason)
        .text("by", &hold.by)
        .number("since", hold.since)
        .end()
}

async fn hold(
    recorder: &Recorder,
    store: &Store,
    body: &Node,
    by: &str,
    now: Millis,
) -> Result<Vec<u8>, Fault> {
    let text = |name: &str| match body.some(name) {
        None => Ok(None),
        Some(member) => {
            let text = member.as_str().filter(|text| {
                !text.is_empty() && text.len() <= MAX_REASON && !text.chars().any(char::is_control)
            });
            text.map(|text| Some(text.to_owned()))
                .ok_or_else(|| bad(format!("{name} must be text of at most {MAX_REASON} bytes")))
        }
    };
    let time = |name: &str| match body.some(name) {
        None => Ok(None),
        Some(member) => member.as_u64().map(Some).ok_or_else(|| bad(format!("{name} must be a time"))),
    };
    let (agent, session, key) = (text("agent")?, text("session")?, text("key")?);
    let (from, until) = (time("from")?, time("until")?);
    if let Some(agent) = &agent {
        AgentName::new(agent).map_err(|error| bad(error.to_string()))?;
    }
    if let Some(session) = &session {
        SessionName::new(session).map_err(|error| bad(error.to_string()))?;
    }
    if key.as_ref().is_some_and(|key| !doorward_store::accounts::is_key_id(key)) {
        return Err(bad("key must be the id of a key: `doorward key list` shows them".into()));
    }
    if agent.is_none() && session.is_none() && key.is_none() && from.is_none() && until.is_none() {
        return Err(bad("say what is held: an agent, a session, a key, or a time".into()));
    }
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        return Err(bad("from must be before until".into()));
    }
    let reason =
        text("reason")?.ok_or_else(|| bad("say why: whoever finds the hold in a year asks".into()))?;
    let id = Hold::fresh_id().map_err(|error| failed(error.into()))?;
    let hold = Hold { id, agent, session, key, from, until, reason, by: by.to_owned(), since: now };
    store.hold(hold.clone()).await.map_err(|error| failed(error.into()))?;
    record(recorder, "hold_add", by, &hold.id, &format!("{}: {}", hold.words(), hold.reason)).await?;
    Ok(hold_json(&hold))
}

async fn release(recorder: &Recorder, store: &Store, body: &Node, by: &str) -> Result<Vec<u8>, Fault> {
    let id = body.text("hold").ok_or_else(|| bad("the body names no hold".into()))?;
    let released = store.release_hold(id).await.map_err(|error| failed(error.into()))?;
    let hold = released.ok_or_else(|| Fault {
        kind: FaultKind::NotFound,
        code: "no_such_hold",
        message: "there is no such hold".into(),
        advice: "`doorward retention hold list` shows those there are".into(),
    })?;
    record(recorder, "hold_release", by, &hold.id, &hold.words()).await?;
    Ok(hold_json(&hold))
}

async fn scrub(recorder: &Recorder, store: &Store, body: &Node, by: &str) -> Result<Vec<u8>, Fault> {
    let subject = match (body.text("agent"), body.text("key")) {
        (Some(agent), None) => {
            AgentName::new(agent).map_err(|error| bad(error.to_string()))?;
            Subject::Agent(agent.to_owned())
        }
        (None, Some(key)) if doorward_store::accounts::is_key_id(key) => Subject::Key(key.to_owned()),
        _ => return Err(bad("name one agent, or one key by its id".into())),
    };
    let (done, progress) = store.scrub(&subject, PART).await.map_err(|error| failed(error.into()))?;
    let more = progress == Progress::More;
    if done.total() > 0 {
        // Whose it was only who has the store's key can find out, by trying names.
        let (what, name) = match &subject {
            Subject::Agent(name) => ("agent", name),
            Subject::Key(id) => ("key", id),
        };
        let mut digest = Sha256::new();
        digest.update(store.key_for("scrubs").expose());
        digest.update(format!("{what} {name}"));
        let digest = hex(digest.finalize().get(..16).unwrap_or_default());
        let message = format!("{} destroyed, {} held", done.total(), done.held);
        record(recorder, "scrub", by, &format!("{what} {digest}"), &message).await?;
    }
    let Scrubbed {
        actions,
        forensics,
        memos,
        alerts,
        sessions,
        quarantine,
        compromises,
        deliveries,
        answers,
        grants,
        held,
    } = done;
    let object = Object::new()
        .number("actions", actions)
        .number("forensics", forensics)
        .number("memos", memos)
        .number("alerts", alerts)
        .number("sessions", sessions)
        .number("quarantine", quarantine)
        .number("compromises", compromises)
        .number("deliveries", deliveries)
        .number("answers", answers)
        .number("grants", grants)
        .number("held", held);
    Ok(object.truth("more", more).end())
}

async fn record(
    recorder: &Recorder,
    event: &str,
    by: &str,
    target: &str,
    message: &str,
) -> Result<(), Fault> {
    let recorded = recorder.control(event, by, target, message).await;
    recorded.map(drop).map_err(|error| Fault {
        kind: FaultKind::Failed,
        code: "ledger_failed",
        message: format!("it is done, but could not be recorded: {error}"),
        advice: "run `doorward receipts verify`, and look at the log".into(),
    })
}

fn failed(error: anyhow::Error) -> Fault {
    let message = format!("{error:#}");
    Fault { kind: FaultKind::Failed, code: "upkeep_failed", message, advice: String::new() }
}

fn bad(message: String) -> Fault {
    let advice = "docs/how-to/keep-and-forget.md says what can be asked for";
    Fault { kind: FaultKind::Request, code: "bad_body", message, advice: advice.into() }
}
