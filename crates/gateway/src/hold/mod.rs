//! Actions that wait for a person.
//!
//! An action whose verdict is `ask` stops here. It is shown to whoever looks (`doorward approvals watch`, the control
//! listener), and goes on, or not, as they say. Nobody there, too many waiting, no answer in time: each is a block
//! that says so. What a person allows is bound to this one action ([`ask::digest`]) and to the questions they were
//! shown; [`Gateway::pass`](crate::Gateway::pass) judges it again afterwards and lifts nothing else.
//!
//! What waits lives in memory only: it ends with the process, and its agent asks anew.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use doorward_core::decision::Reason;
use doorward_core::session::Millis;
use doorward_core::{Action, Decision, Layer, Verdict};
use doorward_store::{Grant, GrantScope, Signal, Store};
use tokio::sync::{oneshot, watch};

use crate::fresh_id;
use crate::judge::{Why, now};
use crate::record::{Recorder, Told};
use crate::webhooks::news;

mod ask;
pub use ask::{Ask, ShownDecoded, ShownEffect, ShownRequest};
use ask::{Unaskable, digest};

mod table;
pub use table::Stage;
use table::{DENIALS, Said, Table, WAITING, WAITING_OF_AGENT};

mod people;
pub use people::{Answer, Answered, Overview, Unanswered, Watching};

#[cfg(test)]
mod tests;

/// How long a late yes waits for the next try of what it allows.
const LATE: Millis = 10 * 60 * 1000;

/// How long a grant for a session holds at most.
const SESSION: Millis = 12 * 60 * 60 * 1000;

/// How questions are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approvals {
    /// Whether somebody always looks, so that an action waits even while nobody is connected.
    pub always: bool,
    /// How long an action waits for an answer.
    pub timeout: Duration,
}

impl Default for Approvals {
    /// Only while somebody is connected; five minutes.
    fn default() -> Self {
        Self { always: false, timeout: Duration::from_secs(300) }
    }
}

/// Tells whoever has the client's connection whether a person is being asked.
#[derive(Debug, Default)]
pub struct Waits {
    asked: AtomicBool,
}

impl Waits {
    /// Whether a person has been asked.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// What came of asking.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A person said yes to these questions; the words say who.
    Yes { shown: Vec<Reason>, words: String, id: Arc<str>, waited: bool },
    /// It does not go on, and this is why. With the question, if it came to one.
    No { reason: Box<Reason>, id: Option<Arc<str>>, waited: bool },
}

impl Outcome {
    /// Whether time has passed over it.
    pub const fn waited(&self) -> bool {
        let (Self::Yes { waited, .. } | Self::No { waited, .. }) = self;
        *waited
    }
}

/// Settles what a person has to decide.
#[derive(Debug)]
pub struct Hold {
    settings: Approvals,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    recorder: Recorder,
    store: Store,
    /// Set when the process ends.
    stop: watch::Sender<bool>,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says to who watches that something is different now.
    fn moved(&self) {
        self.store.signals().bump(Signal::Approval);
    }
}

impl Hold {
    /// Nobody waits; what earlier processes were allowed holds still.
    pub fn new(recorder: Recorder, store: Store) -> Self {
        let table = Mutex::new(Table::with(store.take_grants()));
        let shared = Shared { table, recorder, store, stop: watch::Sender::new(false) };
        Self { settings: Approvals::default(), shared: Arc::new(shared) }
    }

    /// The same with other settings.
    pub fn with(self, settings: Approvals) -> Self {
        Self { settings, ..self }
    }

    /// Whether a question would be put to anybody.
    pub fn is_attended(&self) -> bool {
        self.settings.always || self.shared.table().is_watched(Instant::now())
    }

    /// Ends all waiting: the process is about to end.
    pub fn stop(&self) {
        self.shared.stop.send_replace(true);
    }

    /// Asks a person about `action`, whose decision is `ask`, and waits for the answer. Of one that is only checked it says
    /// what asking would come to.
    ///
    /// # Errors
    /// If the question could not be recorded; then it was not put.
    pub(crate) async fn ask(
        &self,
        action: &Action,
        content: &[u8],
        decision: &Decision,
        waits: &Waits,
    ) -> Result<Outcome, Why> {
        if action.only_checked {
            return Ok(self.would_come_to(action, content, decision));
        }
        let mut asked = match self.open(action, content, decision)? {
            Opened::Put(asked) => asked,
            Opened::Known(outcome) => return Ok(outcome),
            Opened::Missed(ask) => return self.shared.missed(&ask, decision).await,
        };
        let rules: Vec<&str> = decision.asking().map(|reason| reason.rule.as_str()).collect();
        let message = format!("{}: {}", asked.ask.what(), rules.join(", "));
        let told =
            Told { event: "approval_requested", id: Some(&asked.ask.id), ..told(&asked.ask, &message) };
        self.shared.recorder.tell(told).await?;
        let shown = {
            let mut table = self.shared.table();
            table.step(&asked.ask.id, Stage::Opening, Stage::Waiting, Instant::now())
        };
        if shown {
            self.shared.moved();
            waits.asked.store(true, Ordering::Relaxed);
            news::waits(&self.shared.store, &asked.ask, true);
        }
        Ok(asked.wait(self.settings.timeout, decision).await)
    }

    /// What asking would come to, as far as it is known. A yes that is there stays there, no question is put, and nothing is
    /// shown to anybody.
    fn would_come_to(&self, action: &Action, content: &[u8], decision: &Decision) -> Outcome {
        let digest = digest(self.shared.store.approvals_key(), action, content);
        let (at, millis) = (Instant::now(), now());
        let mut table = self.shared.table();
        table.sweep(at, millis);
        if let Some(grant) = table.grant_for(&digest, decision) {
            let (words, id) = (words(grant), grant.id.as_str().into());
            return Outcome::Yes { words, id, shown: grant.shown.clone(), waited: false };
        }
        let (rule, why, advice, id) = if let Some(id) = table.tripped(&digest) {
            ("hold.denied-repeatedly", denied_often(), STOP_ASKING, Some(id))
        } else if self.settings.always || table.is_watched(at) {
            (WOULD_ASK, WOULD.to_owned(), SEND_IT, None)
        } else {
            ("hold.nobody-to-ask", NOBODY.to_owned(), CHECKED_IN_VAIN, table.missed(&digest))
        };
        Outcome::No { reason: Box::new(refusal(rule, decision, &why, advice)), id, waited: false }
    }

    /// A place for the question, or what is known without asking.
    fn open(&self, action: &Action, content: &[u8], decision: &Decision) -> Result<Opened, Why> {
        let no = |rule, why: &str, advice: &str, id| {
            let reason = Box::new(refusal(rule, decision, why, advice));
            Ok(Opened::Known(Outcome::No { reason, id, waited: false }))
        };
        let digest = digest(self.shared.store.approvals_key(), action, content);
        let (at, millis) = (Instant::now(), now());
        let mut table = self.shared.table();
        table.sweep(at, millis);
        if let Some(grant) = table.use_grant(&digest, decision) {
            return Ok(Opened::Known(Outcome::Yes {
                words: words(&grant),
                id: grant.id.as_str().into(),
                shown: grant.shown,
                waited: false,
            }));
        }
        if let Some(id) = table.tripped(&digest) {
            return no("hold.denied-repeatedly", &denied_often(), STOP_ASKING, Some(id));
        }
        if *self.shared.stop.borrow() {
            return no("hold.stopping", STOPPING, "Try again in a moment", None);
        }
        let attended = self.settings.always || table.is_watched(at);
        if !attended && let Some(id) = table.missed(&digest) {
            return no("hold.nobody-to-ask", NOBODY, LATE_YES, Some(id));
        }
        let (own, all) = table.waiting(&action.agent);
        if own >= WAITING_OF_AGENT || all >= WAITING {
            let why = format!(
                "this needs a person's consent, and {own} actions of this agent wait for an answer already (at most \
                 {WAITING_OF_AGENT}, of all agents {WAITING})"
            );
            let advice = "Wait until your user has answered what was asked before";
            return no("hold.too-many", &why, advice, None);
        }
        let id: Arc<str> =
            fresh_id(millis).map_err(|error| Why::LedgerUnavailable(error.to_string()))?.into();
        let until =
            millis.saturating_add(u64::try_from(self.settings.timeout.as_millis()).unwrap_or(u64::MAX));
        match Ask::of((Arc::clone(&id), millis, until), action, content, decision, digest) {
            Ok(ask) => {
                let ask = Arc::new(ask);
                let said = table.open(Arc::clone(&ask));
                Ok(match attended {
                    true => Opened::Put(Asked { ask, shared: Arc::clone(&self.shared), said }),
                    false => Opened::Missed(ask),
                })
            }
            Err(Unaskable::TooLarge(bytes)) => {
                let why = format!(
                    "this needs a person's consent, and {bytes} bytes are more than a person can review"
                );
                no("hold.too-large", &why, "Do it in smaller steps", None)
            }
            Err(Unaskable::TooManyReasons) => {
                let why = "this needs a person's consent for more reasons than can be shown";
                no("hold.too-large", why, "Do it in smaller steps", None)
            }
        }
    }
}

/// What came of putting a question.
enum Opened {
    /// It was put.
    Put(Asked),
    /// What comes of it is known without asking.
    Known(Outcome),
    /// Nobody is there. It is kept for when somebody is.
    Missed(Arc<Ask>),
}

/// The rule by which an action is refused that is only checked and would be asked about.
pub const WOULD_ASK: &str = "hold.would-ask";

/// What such an action is told.
const WOULD: &str = "a person would be asked; what is only checked asks nobody and uses up no consent";
const SEND_IT: &str = "Send it when it is needed: it waits for the answer then";
const CHECKED_IN_VAIN: &str =
    "Tell your user: while `doorward approvals watch` runs, somebody is there to be asked";

/// What an action is told that was denied as often as a person is asked.
fn denied_often() -> String {
    format!("a person has said no to exactly this {DENIALS} times and is not asked again")
}
const STOP_ASKING: &str = "Stop asking for it. Do the work without it, or tell your user what you cannot do";

/// What an action is told for which nobody is there.
const NOBODY: &str = "this needs a person's consent and nobody is there to be asked";

/// What an action is told that waits when the process ends.
const STOPPING: &str = "Doorward is stopping, and what waited for a person's consent does not outlive it";

/// A question that was put. Dropping it takes it back: who wanted to know has gone.
struct Asked {
    ask: Arc<Ask>,
    shared: Arc<Shared>,
    said: oneshot::Receiver<Said>,
}

/// A record about a question, by Doorward itself.
fn told<'a>(ask: &'a Ask, message: &'a str) -> Told<'a> {
    Told {
        event: "approval_ended",
        id: None,
        of: None,
        by: "doorward",
        agent: &ask.agent,
        session: &ask.session,
        door: ask.door,
        message,
        patient: false,
    }
}

impl Asked {
    /// Waits for the answer, or for what ends the waiting without one.
    async fn wait(&mut self, timeout: Duration, decision: &Decision) -> Outcome {
        let mut stop = self.shared.stop.subscribe();
        let (stage, message, (rule, why, advice)) = tokio::select! {
            biased;
            said = &mut self.said => return self.heard(said.ok(), decision),
            () = killed(&self.shared.store, &self.ask.session) => {
                let why = "its agent was stopped while a person was asked".to_owned();
                (Stage::Stopped, "the agent was stopped".to_owned(), ("hold.stopped", why, ""))
            }
            _ = stop.wait_for(|stop| *stop) => {
                let end = ("hold.stopping", STOPPING.to_owned(), "Try again in a moment");
                (Stage::Stopped, "doorward is stopping".to_owned(), end)
            }
            () = tokio::time::sleep(timeout) => {
                let message = format!("nobody answered within {} s", timeout.as_secs());
                (Stage::TimedOut, message.clone(), ("hold.timed-out", format!("this needs a person's consent, and {message}"), LATE_YES))
            }
        };
        while !self.shared.table().step(&self.ask.id, Stage::Waiting, stage, Instant::now()) {
            // Somebody answered at this very moment. It counts once it is on record; if it cannot be, it does not.
            if let Ok(said) = tokio::time::timeout(Duration::from_millis(20), &mut self.said).await {
                return self.heard(said.ok(), decision);
            }
        }
        self.shared.moved();
        self.shared.ended(&self.ask, &message).await;
        let reason = Box::new(refusal(rule, decision, &why, advice));
        Outcome::No { reason, id: Some(Arc::clone(&self.ask.id)), waited: true }
    }

    /// What a person said.
    fn heard(&self, said: Option<Said>, decision: &Decision) -> Outcome {
        let id = Arc::clone(&self.ask.id);
        let (rule, why, advice) = match said {
            Some(Said::Yes(grant)) => {
                return Outcome::Yes { words: words(&grant), shown: grant.shown, id, waited: true };
            }
            Some(Said::No { by, reason }) => {
                let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                let advice = "Do the work another way, or ask your user what they want instead";
                ("hold.denied", format!("a person ({by}) said no{reason}"), advice)
            }
            None => ("hold.stopping", STOPPING.to_owned(), "Try again in a moment"),
        };
        let reason = Box::new(refusal(rule, decision, &why, advice));
        Outcome::No { reason, id: Some(id), waited: true }
    }
}

/// What to do about a question that nobody answered.
const LATE_YES: &str = "Do something else meanwhile. Tell your user that `doorward approvals list` shows the question: \
                        if they say yes there, the same call passes";

impl Shared {
    /// Records a question that nobody is there for, and shows it to those who come.
    async fn missed(&self, ask: &Arc<Ask>, decision: &Decision) -> Result<Outcome, Why> {
        let message = format!("{}: nobody was there", ask.what());
        let told = Told { event: "approval_missed", id: Some(&ask.id), ..told(ask, &message) };
        if let Err(why) = self.recorder.tell(told).await {
            self.table().give_up(&ask.id);
            return Err(why);
        }
        {
            let mut table = self.table();
            table.make_room_for_missed(&ask.agent);
            table.step(&ask.id, Stage::Opening, Stage::Missed, Instant::now());
        }
        self.moved();
        news::waits(&self.store, ask, false);
        let reason = Box::new(refusal("hold.nobody-to-ask", decision, NOBODY, LATE_YES));
        Ok(Outcome::No { reason, id: Some(Arc::clone(&ask.id)), waited: false })
    }

    /// Records that a question has ended without an answer.
    async fn ended(&self, ask: &Ask, message: &str) {
        let told = Told { of: Some(&ask.id), patient: true, ..told(ask, message) };
        if let Err(error) = self.recorder.tell(told).await {
            tracing::error!(?error, "the end of a question could not be recorded");
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let id = &self.ask.id;
        let mut table = self.shared.table();
        if table.step(id, Stage::Waiting, Stage::Gone, Instant::now()) {
            drop(table);
            self.shared.moved();
            let (ask, shared) = (Arc::clone(&self.ask), Arc::clone(&self.shared));
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { shared.ended(&ask, "who asked has gone").await });
            }
        } else if let Ok(Said::Yes(grant)) = self.said.try_recv() {
            // Said to nobody: it is for the next try.
            if grant.scope == GrantScope::Once {
                table.grant(*grant);
            }
        } else if table.get(id).is_none() {
            // It was never written down, so it never was one.
            table.give_up(id);
        }
    }
}

/// Returns once the session is stopped, or its agent.
async fn killed(store: &Store, session: &str) {
    let signals = store.signals();
    let mut moved = signals.subscribe(Signal::Kill);
    while !signals.is_killed(session) {
        if moved.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// How a lifted question is spoken of.
fn words(grant: &Grant) -> String {
    let how = match grant.scope {
        GrantScope::Once => "once",
        GrantScope::Session => "for this session",
    };
    format!("approved {how} by {} ({})", grant.by, grant.id)
}

/// Why an action that a person would have to allow does not go on.
fn refusal(rule: &str, decision: &Decision, why: &str, advice: &str) -> Reason {
    let asked = decision.asking().next();
    Reason {
        rule: rule.into(),
        layer: Layer::Policy,
        verdict: Verdict::Block,
        severity: asked.map_or(60, |reason| reason.severity),
        message: asked.map_or_else(|| why.to_owned(), |reason| format!("{}; {why}", reason.message)),
        advice: advice.into(),
        part: None,
    }
}
