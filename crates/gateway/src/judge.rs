//! The way of a crossing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use doorward_core::decision::{Duty, Epoch, Layer};
use doorward_core::policy::Profile;
use doorward_core::session::{Mode, Now, Said};
use doorward_core::wire::splice::Edit;
use doorward_core::wire::text_tools::TextTools;
use doorward_core::{Action, Decision, Engine, Reason, Verdict};
use doorward_store::Store;

use crate::alarm::{Alarm, Alarms};
use crate::budgets::{Budgets, Used};
use crate::conversations::Conversations;
use crate::hold::{Approvals, Hold, Outcome, Waits};
use crate::in_force::{Holder, InForce};
use crate::kept::{Kept, RequestKey};
use crate::record::{Content, Permit, Recorder, StreamPermit};
use crate::replies::Replies;
use crate::sessions::{Seen, Sessions};

/// What judges every crossing. One per process; doors share it.
#[derive(Debug)]
pub struct Gateway {
    in_force: Holder,
    sessions: Arc<Sessions>,
    replies: Replies,
    conversations: Conversations,
    hold: Hold,
    kept: Kept,
    budgets: Budgets,
    recorder: Recorder,
    store: Store,
    alarms: Alarms,
    text_tools: HashMap<String, TextTools>,
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
        let budgets = Budgets::new(store.clone(), recorder.take_left(), engine.policy());
        Self {
            in_force: Holder::new(engine, mode, store.signals()),
            sessions: Arc::new(Sessions::open(store.clone())),
            replies: Replies::open(store.clone()),
            conversations: Conversations::default(),
            hold: Hold::new(recorder.clone(), store.clone()),
            kept: Kept::default(),
            budgets,
            recorder,
            store,
            alarms: Alarms::default(),
            text_tools: HashMap::new(),
        }
    }

    /// The gateway, told which agents read calls from text, and how.
    #[must_use]
    pub fn with_text_tools(self, text_tools: HashMap<String, TextTools>) -> Self {
        Self { text_tools, ..self }
    }

    /// The gateway, told how people are asked.
    #[must_use]
    pub fn with_approvals(self, approvals: Approvals) -> Self {
        Self { hold: self.hold.with(approvals), ..self }
    }

    /// What waits for a person, and what people do about it.
    #[must_use]
    pub const fn hold(&self) -> &Hold {
        &self.hold
    }

    /// Replies whose clients gave up while a person was asked.
    pub(crate) const fn kept(&self) -> &Kept {
        &self.kept
    }

    /// What the request that becomes `action` is known by, where its reply may have to be kept or is.
    pub(crate) fn request_key(
        &self,
        action: &Action,
        head: (&http::Method, &str),
        body: &[u8],
    ) -> Option<RequestKey> {
        let needed = !self.kept.is_empty() || self.hold.is_attended();
        needed.then(|| RequestKey::new(self.store.approvals_key(), action, head, body))
    }

    /// How `agent` reads calls from text.
    #[must_use]
    pub fn text_tools(&self, agent: &str) -> TextTools {
        self.text_tools.get(agent).copied().unwrap_or_default()
    }

    /// Judges `action` and, if it may go on, returns the permit that owns `body`.
    ///
    /// # Errors
    /// A [`Refusal`] if it may not go on, for whatever reason.
    pub async fn pass<B: Content>(&self, action: Action, body: B) -> Result<Permit<B>, Refusal> {
        self.pass_telling(action, body, &Waits::default()).await
    }

    /// The same, and `waits` says whether a person is being asked.
    ///
    /// # Errors
    /// As [`Self::pass`].
    pub async fn pass_telling<B: Content>(
        &self,
        action: Action,
        body: B,
        waits: &Waits,
    ) -> Result<Permit<B>, Refusal> {
        let seen = self.begin(&action)?; // facts, and a pending entry siblings can see
        let decision = self.decide(&action, &seen); // pure
        let judged = (seen, decision);
        let (seen, decision) = self.settle(&action, body.content(), judged, waits).await?; // a person, if asked
        let (decision, body) = self.carry_out(decision, &action, &seen, body); // what is to be replaced
        let size = body.content().len();
        let (decision, reserved) = self.budgets.reserve(decision, &action, size, seen.facts.now); // all or nothing
        let alarm = Alarm::of(&action, &decision, seen.facts.mode);
        let done = self.recorder.commit(action, seen, decision, (body, reserved)).await; // appended, then and only then
        self.tell(alarm, &done).await; // a person, of what cannot wait
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
        let seen = self.begin(&action)?;
        let decision = self.decide(&action, &seen);
        let (mut seen, decision) = self.settle(&action, &[], (seen, decision), &Waits::default()).await?;
        seen.follows = seen.follows.take().or(first);
        self.recorder.open(action, seen, decision, (revoked, used)).await
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
        Box::pin(self.pass(action, body)).await
    }

    /// Puts another engine and mode in the place of those in force, whole: what begins from now on is judged by
    /// them, and what has a permit and has not gone yet is judged again. Returns what was in force.
    pub fn put_in_force(&self, engine: Arc<Engine>, mode: Mode) -> Arc<InForce> {
        let before = self.in_force.replace(engine, mode, self.store.signals());
        self.budgets.keep_those_of(self.in_force.load().engine.policy());
        before
    }

    /// What is in force: engine, mode and policy of one moment.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// What later requests may need of earlier replies.
    pub(crate) const fn replies(&self) -> &Replies {
        &self.replies
    }

    /// What the calls of conversations have left behind.
    pub(crate) const fn conversations(&self) -> &Conversations {
        &self.conversations
    }

    /// Sessions and their terms.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Where decisions are recorded.
    #[must_use]
    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Agents, kill state, side store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The mode in force.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.in_force.load().mode
    }

    /// Lets a person decide what the decision leaves to them. Where nothing is altered, nothing waits.
    async fn settle(
        &self,
        action: &Action,
        content: &[u8],
        (seen, decision): (Seen, Decision),
        waits: &Waits,
    ) -> Result<(Seen, Decision), Refusal> {
        if decision.verdict != Verdict::Ask || seen.facts.mode == Mode::Monitor {
            return Ok((seen, decision));
        }
        // A session whose mode is `correct` never gets here: its engine has made a block of it.
        Box::pin(self.ask(action, content, (seen, decision), waits)).await
    }

    /// Asks, and judges again by what is in force and known then: while a person thought, the kill switch, the policy
    /// and the session may have moved. A yes lifts only the questions that were shown; if others have come up, they are
    /// put as well.
    async fn ask(
        &self,
        action: &Action,
        content: &[u8],
        (mut seen, mut decision): (Seen, Decision),
        waits: &Waits,
    ) -> Result<(Seen, Decision), Refusal> {
        for _ in 0..QUESTIONS {
            let outcome = self.hold.ask(action, content, &decision, waits).await;
            let outcome = outcome.map_err(|why| Refusal {
                decision: Box::new(decision.clone()),
                receipt: None,
                why,
            })?;
            let (Outcome::Yes { waited, .. } | Outcome::No { waited, .. }) = &outcome;
            if *waited {
                // First, or it would be its own sibling.
                drop(seen);
                seen = self.begin(action)?;
                decision = self.decide(action, &seen);
            }
            match outcome {
                Outcome::No { reason, id, .. } => {
                    seen.follows = id;
                    return Ok((seen, decision.and(*reason)));
                }
                Outcome::Yes { shown, words, id, .. } => {
                    seen.follows = Some(id);
                    decision = decision.approved(&shown, &words).and(Reason {
                        rule: "hold.approved".into(),
                        layer: Layer::Policy,
                        verdict: Verdict::Audit,
                        severity: 0,
                        message: words,
                        advice: String::new(),
                        part: None,
                    });
                }
            }
            if decision.verdict != Verdict::Ask || seen.facts.mode == Mode::Monitor {
                return Ok((seen, decision));
            }
        }
        let reason = Reason {
            rule: "hold.other-questions".into(),
            layer: Layer::Policy,
            verdict: Verdict::Block,
            severity: decision.risk,
            message: "each time a person said yes, another question had come up".to_owned(),
            advice: "Try again".to_owned(),
            part: None,
        };
        Ok((seen, decision.and(reason)))
    }

    fn epoch(&self) -> Epoch {
        Epoch { policy: self.in_force.load().number, ..self.store.signals().epoch() }
    }

    fn begin(&self, action: &Action) -> Result<Seen, Refusal> {
        let signals = self.store.signals();
        // One loaded state: its revision and what it says about the agent agree.
        let kill = signals.kill_set();
        let in_force = self.in_force();
        let epoch = Epoch { kill: kill.revision, policy: in_force.number, ..signals.epoch() };
        let millis = now();
        let session = self.sessions.enter(&action.session, Said::Nobody, millis).map_err(|why| Refusal {
            decision: Box::default(),
            receipt: None,
            why: Why::LedgerUnavailable(why),
        })?;
        let kill = kill.for_session(&action.session, session.began());
        let now = Now { millis, epoch, mode: in_force.mode, standing: session.standing(millis), kill };
        let strict = in_force.engine.policy().profile() == Profile::Strict;
        let mut seen = self.sessions.begin(session, action, now, in_force);
        if strict {
            seen.facts.replaced = self.replies.blocks().known(action);
        }
        Ok(seen)
    }

    /// Does to the body what the decision's duties say, and remembers it. What cannot be done is a block. Where nothing is
    /// altered nothing is done, and the receipt says that it was not.
    fn carry_out<B: Content>(
        &self,
        decision: Decision,
        action: &Action,
        seen: &Seen,
        mut body: B,
    ) -> (Decision, B) {
        let edits = decision.duties.0.iter().filter_map(|duty| match duty {
            Duty::Edit(span, with) => Some(Edit::replace(*span, with.clone())),
            _ => None,
        });
        let edits = if seen.facts.mode == Mode::Block { edits.collect() } else { Vec::new() };
        if let Err(fault) = body.edit(edits) {
            let reason = Reason {
                rule: "floor.edit".into(),
                layer: Layer::Floor,
                verdict: Verdict::Block,
                severity: 100,
                message: format!("what has to be taken out cannot be: {fault}"),
                advice: String::new(),
                part: None,
            };
            return (decision.and(reason), body);
        }
        if seen.facts.mode == Mode::Block {
            self.replies.blocks().remember(action, &decision);
        }
        (decision, body)
    }

    #[expect(clippy::unused_self, reason = "it reads as one of the steps of `pass`")]
    fn decide(&self, action: &Action, seen: &Seen) -> Decision {
        let engine = &seen.in_force.engine;
        let size: usize = action.parts.iter().map(|part| part.text.len()).sum();
        if size > LARGE {
            tokio::task::block_in_place(|| engine.decide(action, &seen.facts))
        } else {
            engine.decide(action, &seen.facts)
        }
    }
}

/// How many questions one action may raise, one after the other.
const QUESTIONS: usize = 4;

/// More bytes than this take long enough to judge that other connections would notice.
pub(crate) const LARGE: usize = 64 * 1024;

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
