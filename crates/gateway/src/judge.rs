//! The way of a crossing.

mod ask;

mod carry_out;

mod divert;
use divert::Shelf;

mod forget;

mod judged;
pub(crate) use judged::Judged;

mod parts;

mod second;
use second::Opinion;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use doorward_core::decision::Epoch;
use doorward_core::session::Mode;
use doorward_core::wire::text_tools::TextTools;
use doorward_core::{Action, Decision, Engine, Reason};
use doorward_store::Store;

use crate::alarm::{Alarm, Alarms};
use crate::budgets::{Budgets, Reserved, Used};
use crate::clock::Clock;
use crate::conversations::Conversations;
use crate::hold::{Approvals, Hold, Waits};
use crate::in_force::{Holder, InForce};
use crate::issued::Issued;
use crate::kept::Kept;
use crate::opinion::SecondOpinion;
use crate::record::{Content, Permit, Recorder, StreamPermit};
use crate::replies::Replies;
use crate::sessions::Sessions;
use crate::turns::Turns;

/// What judges every crossing. One per process; doors share it.
#[derive(Debug)]
pub struct Gateway {
    in_force: Holder,
    sessions: Arc<Sessions>,
    replies: Replies,
    conversations: Conversations,
    hold: Hold,
    kept: Kept,
    shelf: Shelf,
    issued: Issued,
    budgets: Budgets,
    recorder: Recorder,
    store: Store,
    alarms: Alarms,
    text_tools: HashMap<String, TextTools>,
    clock: Clock,
    opinion: Option<Opinion>,
    turns: Turns,
}

/// Why an action does not go on.
#[derive(Debug)]
pub struct Refusal {
    /// What was decided, if it came to a decision.
    pub decision: Box<Decision>,
    /// The receipt of that decision, if it was recorded.
    pub receipt: Option<String>,
    /// Whose fault it is.
    pub why: Why,
}

/// Whose fault a refusal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It was decided so.
    Blocked,
    /// More is waiting to be recorded than may wait.
    Overloaded,
    /// The decision could not be recorded, so nothing passes; the words say what is wrong.
    LedgerUnavailable(String),
}

impl Gateway {
    /// A gateway that judges with `engine`, enforces what `mode` says, and records with `recorder`. Limits go on
    /// counting where the process before stopped.
    #[must_use]
    pub fn new(engine: Arc<Engine>, recorder: Recorder, store: Store, mode: Mode) -> Self {
        let budgets = Budgets::new(store.clone(), recorder.clone(), engine.policy());
        Self {
            in_force: Holder::new(engine, mode, store.signals()),
            sessions: Arc::new(Sessions::open(store.clone())),
            replies: Replies::open(store.clone()),
            conversations: Conversations::default(),
            hold: Hold::new(recorder.clone(), store.clone()),
            kept: Kept::default(),
            shelf: Shelf::default(),
            issued: Issued::default(),
            budgets,
            recorder,
            store,
            alarms: Alarms::default(),
            text_tools: HashMap::new(),
            clock: Clock::default(),
            opinion: None,
            turns: Turns::default(),
        }
    }

    /// The gateway, told which agents read calls from text, and how.
    #[must_use]
    pub fn with_text_tools(self, text_tools: HashMap<String, TextTools>) -> Self {
        Self { text_tools, ..self }
    }

    /// The gateway, told what time it is: so that days can pass in a test.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The time by which actions are judged, in milliseconds since the Unix epoch.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// The gateway, told how people are asked.
    #[must_use]
    pub fn with_approvals(self, approvals: Approvals) -> Self {
        Self { hold: self.hold.with(approvals), ..self }
    }

    /// The gateway, told of another judge to ask about what is neither clear nor harmless.
    #[must_use]
    pub fn with_second_opinion(self, opinion: SecondOpinion) -> Self {
        let key = self.store.key_for("second opinion");
        Self { opinion: Some(Opinion { judge: opinion, key }), ..self }
    }

    /// Judges `action` and, if it may go on, returns the permit that owns `body`. This is the whole firewall: every door
    /// calls it, and nothing else decides. `waits` tells the door that a person is being asked.
    ///
    /// # Errors
    /// A [`Refusal`] if it may not go on, for whatever reason.
    pub async fn pass<B: Content>(
        &self,
        action: Action,
        body: B,
        waits: &Waits,
    ) -> Result<Permit<B>, Refusal> {
        let judged = self.judge(action).await?; // facts, and a pending entry siblings can see; then the engine, which is pure
        let judged = self.second_opinion(judged).await; // another judge, if an operator named one; mostly it is not asked
        let judged = self.settle(judged, body.content(), waits).await?; // a person, if asked; judged again after waiting
        let (judged, body) = self.carry_out(judged, body); // what is to be replaced
        let judged = self.divert(judged, &body).await; // what is to be held for a person
        let (judged, reserved) = self.budgets.reserve(judged, &body); // all or nothing; exhausted is a block
        self.commit(judged, body, reserved).await // appended, then and only then a permit
    }

    /// Records what was decided, and tells a person what cannot wait.
    async fn commit<B: Content>(
        &self,
        judged: Judged,
        body: B,
        reserved: Reserved,
    ) -> Result<Permit<B>, Refusal> {
        let alarm = Alarm::of(&judged);
        let held = judged.decision.diverted().copied().collect();
        let done = self.recorder.commit(judged, body, reserved).await;
        if let Err(Refusal { receipt: Some(receipt), .. }) = &done {
            self.note_receipt(held, receipt).await;
        }
        self.tell(alarm, &done).await;
        done
    }

    async fn tell<B>(&self, alarm: Option<Alarm>, done: &Result<Permit<B>, Refusal>) {
        let Some(alarm) = alarm else { return };
        let (receipt, went) = match done {
            Ok(permit) => (Some(permit.receipt()), true),
            Err(refusal) => (refusal.receipt.as_deref(), false),
        };
        if let Some(receipt) = receipt {
            self.alarms.raise(alarm, receipt, went, &self.recorder, &self.store).await;
        }
    }

    /// Records what was seen in text of a reply that had already gone on, and tells a person what cannot wait.
    pub(crate) async fn audit(
        &self,
        permit: &StreamPermit,
        reasons: Vec<Reason>,
        text: &str,
        in_force: &InForce,
    ) {
        let alarm = Alarm::about(permit.action(), &reasons, permit.mode());
        let receipt = self.recorder.audit(permit, reasons, text, in_force).await;
        if let (Some(alarm), Some(receipt)) = (alarm, receipt) {
            self.alarms.raise(alarm, &receipt, true, &self.recorder, &self.store).await;
        }
    }

    /// The same for a reply that will run for a while: its receipt opens it before byte one. It owns what its
    /// request `used`, so that what the reply says of it is counted when it ends.
    ///
    /// # Errors
    /// A [`Refusal`] if it may not begin.
    pub async fn open(&self, action: Action, used: Option<Used>) -> Result<StreamPermit, Refusal> {
        self.open_after(action, used, None).await
    }

    /// The same for a reply that is given once more, after the receipt that opened it first.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn open_after(
        &self,
        action: Action,
        used: Option<Used>,
        first: Option<Arc<str>>,
    ) -> Result<StreamPermit, Refusal> {
        // Before it is judged: a stop in between must not be missed.
        let revoked = self.store.signals().subscribe(doorward_store::Signal::Kill);
        let judged = self.judge(action).await?;
        let mut judged = self.settle(judged, &[], &Waits::default()).await?;
        judged.seen.follows = judged.seen.follows.take().or(first);
        self.recorder.open(judged, revoked, used).await
    }

    /// The permit, judged again if what was in force has moved since. What was reserved for it is given back first:
    /// it is one action, and counts once.
    ///
    /// # Errors
    /// A [`Refusal`] if it may no longer go on.
    pub(crate) async fn renew<B: Content>(&self, permit: Permit<B>) -> Result<Permit<B>, Refusal> {
        if permit.epoch() == self.epoch() {
            return Ok(permit);
        }
        let (action, body) = permit.withdraw();
        Box::pin(self.pass(action, body, &Waits::default())).await
    }

    /// Puts another engine and mode in the place of those in force, whole: what begins from now on is judged by
    /// them, and what has a permit and has not gone yet is judged again. Returns what was in force.
    pub fn put_in_force(&self, engine: Arc<Engine>, mode: Mode) -> Arc<InForce> {
        let before = self.in_force.replace(engine, mode, self.store.signals());
        self.budgets.keep_those_of(self.in_force.load().engine.policy());
        before
    }

    /// What is in force.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch { policy: self.in_force.load().number, ..self.store.signals().epoch() }
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
