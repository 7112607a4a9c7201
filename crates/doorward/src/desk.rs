//! What the control listener's routes do.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use doorward_control::{
    Act, Approver, Artefacts, Fault, FaultKind, HeldWish, SessionAct, SessionStatus, SessionWish, Sessions,
    Settlement, Status, TaintFound, TaintWish, done_json, items_json,
};
use doorward_core::session::{Millis, Terms};
use doorward_core::syntax::json;
use doorward_gateway::Gateway;
use doorward_gateway::doors::egress::Remembered;
use doorward_gateway::sessions::{self, NotDone, SessionView};
use doorward_gateway::webhooks::Post;
use doorward_ledger::{LogError, View};
use doorward_store::retention::Subject;
use doorward_store::{ALERT_STANDS, AgentName, Home, KillSet, Scope, Stop};

use crate::accounts;
use crate::ledger_key::signing_key;
use crate::policies::Follower;
use crate::serve::now;
use crate::upkeep::Upkeep;
use crate::webhooks::{self, Around};

mod approvals;

pub mod quarantine;

pub mod taint;

/// The desk of a running Doorward.
pub struct Desk {
    gateway: Arc<Gateway>,
    ledger: Arc<Ledger>,
    files: Arc<Follower>,
    post: Post,
    upkeep: Arc<Upkeep>,
    remembered: Remembered,
    started: Millis,
}

/// The ledger as last read; refreshed by each question.
struct Ledger {
    home: Home,
    view: Mutex<Option<View>>,
}

impl Ledger {
    /// Reads, on a thread that may block.
    fn read<T>(&self, read: impl FnOnce(&View) -> Result<T, LogError>) -> anyhow::Result<T> {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = view.as_mut().is_some_and(|view| view.refresh().is_ok());
        if !fresh {
            let key = signing_key(&self.home)?;
            *view = Some(View::open(&self.home.log_dir(), key.public())?);
        }
        let Some(view) = view.as_ref() else { anyhow::bail!("the ledger was not opened") };
        Ok(read(view)?)
    }
}

impl Desk {
    /// A desk over `gateway`.
    pub fn new(
        gateway: Arc<Gateway>,
        home: Home,
        files: Arc<Follower>,
        post: Post,
        upkeep: Arc<Upkeep>,
        remembered: Remembered,
    ) -> Self {
        let ledger = Arc::new(Ledger { home, view: Mutex::new(None) });
        Self { gateway, ledger, files, post, upkeep, remembered, started: now() }
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, Fault> {
        let ledger = Arc::clone(&self.ledger);
        let failed = |message: String| Fault {
            kind: FaultKind::Failed,
            code: "ledger_unreadable",
            message,
            advice: "run `doorward receipts verify`".into(),
        };
        match tokio::task::spawn_blocking(move || ledger.read(read)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(failed(format!("the ledger cannot be read: {error:#}"))),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Does the act, then records it: stopping must not wait for the ledger.
    async fn act(&self, event: &str, act: Act) -> Result<Arc<KillSet>, Fault> {
        let store = self.gateway.store();
        let target = match &act.scope {
            Scope::All => "all".to_owned(),
            Scope::Agent(agent) => agent.as_str().to_owned(),
            Scope::Session(session) => session.as_str().to_owned(),
        };
        let by = act.approver.as_str().to_owned();
        let done = if event == "kill" {
            let stop = Stop { by: by.clone(), reason: act.reason.clone(), since: now() };
            store.kill(act.scope, stop).await
        } else {
            store.resume(act.scope).await
        };
        let recorded = self.gateway.recorder().control(event, &by, &target, &act.reason).await;
        if let Err(error) = recorded {
            tracing::error!(%error, event, "an act could not be recorded");
        }
        done.map_err(|error| Fault {
            kind: FaultKind::Failed,
            code: "store_failed",
            message: error.to_string(),
            advice: String::new(),
        })
    }
}

/// What there is to tell of all sessions.
pub fn statuses(known: &sessions::Sessions, kill: &KillSet) -> Sessions {
    let (views, dropped) = known.views();
    let sessions = views.into_iter().map(|view| session_status(view, kill)).collect();
    Sessions { sessions, dropped }
}

/// Whose traces an act of upkeep scrubs.
fn scrubbed(wish: &[u8]) -> Option<Subject> {
    let node = json::parse(wish).ok().filter(|node| node.text("act") == Some("scrub"))?;
    let agent = node.text("agent").map(|name| Subject::Agent(name.to_owned()));
    agent.or_else(|| Some(Subject::Key(node.text("key")?.to_owned())))
}

fn unread(error: doorward_store::StoreError) -> Fault {
    let (message, advice) = (error.to_string(), String::new());
    Fault { kind: FaultKind::Failed, code: "store_failed", message, advice }
}

/// What there is to tell of a session.
fn session_status(view: SessionView, kill: &KillSet) -> SessionStatus {
    let SessionView { record, actions, blocked, pending } = view;
    let stopped = kill.stop(record.name.as_str()).cloned();
    SessionStatus { record, actions: (actions, blocked, pending), stopped }
}

/// A thread ended before it was done.
fn ended(error: tokio::task::JoinError) -> Fault {
    let message = format!("the thread that was to do it ended: {error}");
    Fault { kind: FaultKind::Failed, code: "internal", message, advice: String::new() }
}

fn not_held(why: doorward_store::quarantine::NotDone) -> Fault {
    use doorward_store::quarantine::NotDone as Why;
    let (kind, code, advice) = match &why {
        Why::Unknown(_) => (FaultKind::NotFound, "no_such_item", "GET /v1/quarantine lists what there is"),
        Why::Ambiguous(_) => (FaultKind::Request, "ambiguous", "GET /v1/quarantine lists what there is"),
        Why::Gone(..) => (FaultKind::Conflict, "no_content", "only its record is left"),
        Why::Store(_) => (FaultKind::Failed, "store_failed", ""),
    };
    Fault { kind, code, message: why.to_string(), advice: advice.into() }
}

fn not_done(why: NotDone) -> Fault {
    let (kind, code, advice) = match &why {
        NotDone::Unknown(_) => {
            (FaultKind::NotFound, "no_such_session", "`doorward session list` shows those there are")
        }
        NotDone::Exists(_) => {
            (FaultKind::Conflict, "session_exists", "change its terms, or leave the id out for a fresh one")
        }
        NotDone::NotGranted(..) => (FaultKind::Conflict, "not_granted", ""),
        NotDone::Unkept(_) | NotDone::Failed(_) => (FaultKind::Failed, "store_failed", ""),
    };
    Fault { kind, code, message: why.to_string(), advice: advice.into() }
}

impl doorward_control::Desk for Desk {
    fn ready(&self) -> Result<(), Fault> {
        match self.gateway.recorder().trouble() {
            None => Ok(()),
            // The reason may name directories: it is in the log, not here.
            Some(_) => Err(Fault {
                kind: FaultKind::Unavailable,
                code: "ledger_unavailable",
                message: "decisions cannot be recorded, so nothing passes".into(),
                advice: "see the log of the process".into(),
            }),
        }
    }

    async fn kill(&self, act: Act) -> Result<Arc<KillSet>, Fault> {
        self.act("kill", act).await
    }

    async fn resume(&self, act: Act) -> Result<Arc<KillSet>, Fault> {
        self.act("resume", act).await
    }

    async fn status(&self) -> Result<Status, Fault> {
        let newest =
            self.gateway.recorder().checkpoints().borrow().as_ref().map_or(0, |checkpoint| checkpoint.size());
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            mode: self.gateway.mode().as_str().into(),
            policy: self.files.policy(),
            rules: self.files.rules(),
            classifier: self.files.classifier(),
            started: self.started,
            receipts: newest,
            agents: self
                .gateway
                .store()
                .agents()
                .names()
                .iter()
                .map(|name| name.as_str().to_owned())
                .collect(),
            kill: self.gateway.store().signals().kill_set(),
            alerts: self.gateway.store().alerts(now().saturating_sub(ALERT_STANDS)),
            webhooks: webhooks::status(self.gateway.store()).await.map_err(|error| Fault {
                kind: FaultKind::Failed,
                code: "store_failed",
                message: error.to_string(),
                advice: String::new(),
            })?,
        })
    }

    async fn sessions(&self) -> Result<Sessions, Fault> {
        Ok(statuses(self.gateway.sessions(), &self.gateway.store().signals().kill_set()))
    }

    async fn session(&self, act: SessionAct) -> Result<SessionStatus, Fault> {
        let SessionAct { name, wish, approver } = act;
        let act = match wish {
            SessionWish::Init(task, Terms { mode, grants }) => sessions::Act::Begin { task, mode, grants },
            SessionWish::Grant(granted) => sessions::Act::Grant(granted),
            SessionWish::Revoke(grant) => sessions::Act::Revoke(grant),
            SessionWish::Mode(mode) => sessions::Act::Mode(mode),
            SessionWish::Clear => sessions::Act::Clear,
        };
        let (event, words) = (act.event(), act.words());
        let clears = matches!(act, sessions::Act::Clear);
        let record = self.gateway.sessions().act(&name, act, now()).await.map_err(not_done)?;
        if clears {
            self.gateway.hold().forget_session(name.as_str()).await.map_err(|error| Fault {
                kind: FaultKind::Failed,
                code: "store_failed",
                message: error.to_string(),
                advice: String::new(),
            })?;
        }
        let recorded = self.gateway.recorder().control(event, approver.as_str(), name.as_str(), &words).await;
        if let Err(error) = recorded {
            tracing::error!(%error, event, "an act could not be recorded");
        }
        let stopped = self.gateway.store().signals().kill_set().stop(name.as_str()).cloned();
        Ok(SessionStatus { record, actions: (0, 0, 0), stopped })
    }

    async fn artefacts(&self, agent: Option<AgentName>, limit: usize) -> Result<Artefacts, Fault> {
        Ok(taint::latest(self.gateway.sessions(), agent.as_ref().map(AgentName::as_str), limit))
    }

    async fn taint(&self, wish: TaintWish, approver: Approver) -> Result<TaintFound, Fault> {
        let sessions = self.gateway.sessions();
        let found = sessions.find_artefact(&wish.artefact);
        if !wish.clear || found.itself.is_empty() {
            return Ok(taint::told(&found, false));
        }
        let done = sessions.forget_artefacts(&found).await;
        let (by, target) = (approver.as_str(), found.words());
        if let Err(error) = self.gateway.recorder().control(taint::CLEAR, by, &target, "").await {
            tracing::error!(%error, event = taint::CLEAR, "an act could not be recorded");
        }
        done.map_err(|error| Fault {
            kind: FaultKind::Failed,
            code: "store_failed",
            message: format!("it is cleared, but a restart would know it again: {error}"),
            advice: String::new(),
        })?;
        Ok(taint::told(&found, true))
    }

    async fn quarantine(&self) -> Result<Bytes, Fault> {
        let quarantine = self.gateway.store().quarantine();
        Ok(items_json(&quarantine.list(), quarantine.room()).into())
    }

    async fn held(&self, id: String) -> Result<Bytes, Fault> {
        let quarantine = Arc::clone(self.gateway.store().quarantine());
        // An archive takes a while to be read.
        let shown = tokio::task::spawn_blocking(move || quarantine::show(&quarantine, &id)).await;
        shown.map_err(ended)?.map(Bytes::from).map_err(not_held)
    }

    async fn settle_held(&self, wish: HeldWish, approver: Approver) -> Result<Bytes, Fault> {
        let (quarantine, by) = (Arc::clone(self.gateway.store().quarantine()), approver.as_str().to_owned());
        let done = tokio::task::spawn_blocking(move || quarantine::act(&quarantine, &wish, &by)).await;
        let told = done.map_err(ended)?.map_err(not_held)?;
        let (event, by) = (told.event, approver.as_str());
        let recorded = self.gateway.recorder().control(event, by, &told.target, &told.message).await;
        if let Err(error) = recorded {
            tracing::error!(%error, event, "an act could not be recorded");
        }
        Ok(done_json(&told.items).into())
    }

    async fn keys(&self) -> Result<Bytes, Fault> {
        Ok(accounts::all(self.gateway.store(), now()))
    }

    async fn key(&self, wish: Bytes, approver: Approver) -> Result<Bytes, Fault> {
        let (recorder, store) = (self.gateway.recorder(), self.gateway.store());
        accounts::act(recorder, store, &wish, approver.as_str(), now()).await
    }

    async fn webhooks(&self) -> Result<Bytes, Fault> {
        webhooks::all(self.gateway.store(), now()).await
    }

    async fn webhook(&self, wish: Bytes, approver: Approver) -> Result<Bytes, Fault> {
        let (recorder, store) = (self.gateway.recorder(), self.gateway.store());
        let around = Around { recorder, store, post: Some(&self.post), by: approver.as_str(), now: now() };
        webhooks::act(around, &wish).await
    }

    async fn upkeep(&self, wish: Bytes, approver: Approver) -> Result<Bytes, Fault> {
        let (recorder, store) = (self.gateway.recorder(), self.gateway.store());
        let subject = scrubbed(&wish);
        // Before: afterwards nobody knows which they were.
        let sessions = match &subject {
            Some(subject) => store.sessions_of(subject).await.map_err(unread)?,
            None => HashSet::new(),
        };
        let done = self.upkeep.act(recorder, store, &wish, approver.as_str(), now()).await?;
        // What lies in the store is gone; this process knows it still.
        let Some(subject) = subject else { return Ok(done) };
        store.keys_to_scrub(&subject).iter().for_each(|key| self.remembered.forget(&key.id));
        match &subject {
            Subject::Agent(agent) => self.gateway.forget(agent),
            Subject::Key(id) => {
                let key = store.accounts().key(id);
                key.map_or(0, |key| self.gateway.forget_key(key.agent.as_str(), id, &sessions))
            }
        };
        Ok(done)
    }

    async fn receipts(&self, limit: usize, before: Option<String>) -> Result<Vec<Bytes>, Fault> {
        let entries = self.read(move |view| {
            let end = match before {
                Some(id) => view.find(&id)?.map_or(0, |(index, _)| index),
                None => view.size(),
            };
            let start = end.saturating_sub(limit as u64);
            view.entries(start..end).collect::<Result<Vec<_>, _>>()
        });
        Ok(entries.await?.into_iter().rev().map(|(_, entry)| Bytes::from(entry)).collect())
    }

    async fn receipt(&self, id: String) -> Result<Option<Bytes>, Fault> {
        let found = self.read(move |view| view.find(&id)).await?;
        Ok(found.map(|(_, entry)| Bytes::from(entry)))
    }

    async fn approvals(&self, watch: Option<(u64, Duration)>) -> Result<Bytes, Fault> {
        Ok(approvals::list(self.gateway.hold(), watch).await)
    }

    async fn approval(&self, id: String) -> Result<Option<Bytes>, Fault> {
        Ok(self.gateway.hold().question(&id).map(|(ask, stage)| approvals::whole(&ask, stage)))
    }

    async fn settle(
        &self,
        id: String,
        settlement: Settlement,
        reason: String,
        approver: Approver,
    ) -> Result<Bytes, Fault> {
        approvals::settle(self.gateway.hold(), &id, settlement, &reason, &approver).await
    }
}
