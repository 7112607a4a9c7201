//! Recording comes before doing: the receipt of a decision is in the ledger before anything it allows
//! happens.
//!
//! One writer has the log. Whoever decides appends on the spot if nobody else does; otherwise a thread takes
//! all that has gathered, appends it with one signed checkpoint in one write, and wakes everybody. [`Permit`] and
//! [`StreamPermit`] are made here and nowhere else, after that.

mod blocked;

mod left;
pub(crate) use left::Left;

mod together;
use together::{Together, Unsure};

mod writer;
use writer::{Job, Writer};

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use doorward_core::decision::{Duty, Epoch, Field, Redacted, Replaced};
use doorward_core::session::{Ending, Kill, Mode, Standing, story};
use doorward_core::stream::{Held, Outcome};
use doorward_core::url::masked;
use doorward_core::wire::Fault;
use doorward_core::wire::splice::Edit;
use doorward_core::{Action, Coverage, Decision, Door, Reason};
use doorward_ledger::canonical::{Object, Value};
use doorward_ledger::receipt::{
    ActionRecord, ChargeRecord, ControlRecord, DecisionRecord, EffectRecord, FaultRecord, Kind,
    OutcomeRecord, PartRecord, ReasonRecord,
};
use doorward_ledger::{Draft, Durability, Leaf, Log, Salt, SignedCheckpoint};
use doorward_store::accounts::LotRecord;
use doorward_store::kill::DOORWARD;
use doorward_store::{Alert, Counted, RecordedAction, RecordedEffect, Secret32, Store};
use tokio::sync::{mpsc, oneshot, watch};

use crate::budgets::{CREDITS, Holding, Reserved, Spent, Used, catch_up};
use crate::forward::Key;
use crate::id::id_and_salt;
use crate::in_force::InForce;
use crate::judge::{Judged, Refusal, Why, now};
use crate::sessions::Seen;
use crate::webhooks::news;

/// How many receipts may wait for the log. Beyond it the answer is `overloaded`.
const QUEUE: usize = 8192;

/// How long a receipt that nobody waits for waits for the next group.
const SOON: std::time::Duration = std::time::Duration::from_millis(10);

/// The event of one artefact that several agents have met.
const SHARED: &str = "artefact_shared";

/// What a decision is about and a permit owns.
pub trait Content {
    /// What kind of content this is: the domain of its digest.
    const PART: &'static str;

    /// The bytes that were judged.
    fn content(&self) -> &[u8];

    /// How many bytes leave this machine with them, everything that goes before them included.
    fn leaves(&self) -> usize {
        self.content().len()
    }

    /// What was done to them before they were judged, in words for the receipt.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Replaces parts of them: of the bytes that were judged, whatever was replaced before.
    ///
    /// # Errors
    /// A [`Fault`] if they cannot be edited so; then they must not go on.
    fn edit(&mut self, edits: Vec<Edit>) -> Result<(), Fault> {
        if edits.is_empty() { Ok(()) } else { Err(Fault::new("edit", "nothing can be replaced in it")) }
    }
}

impl Content for Held {
    const PART: &'static str = "arguments";

    fn content(&self) -> &[u8] {
        self.arguments()
    }

    fn notes(&self) -> Vec<String> {
        self.restored().iter().map(|name| format!("unredact {name}")).collect()
    }
}

/// Something that is recorded and has no bytes to go on.
#[derive(Debug)]
pub struct Nothing;

impl Content for Nothing {
    const PART: &'static str = "nothing";

    fn content(&self) -> &[u8] {
        &[]
    }
}

/// The value without which nothing can be written onward. It owns the judged bytes; only
/// [`forward`](crate::forward) can open it, and only this module can make one.
#[derive(Debug)]
pub struct Permit<B> {
    body: B,
    action: Action,
    decision: Decision,
    receipt: Arc<str>,
    reserved: Reserved,
}

impl<B> Permit<B> {
    /// The receipt of the decision that allows it.
    #[must_use]
    pub fn receipt(&self) -> &str {
        &self.receipt
    }

    /// The decision that allows it.
    #[must_use]
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Whether it only says what would be: with it nothing may go.
    pub(crate) const fn is_only_checked(&self) -> bool {
        self.action.only_checked
    }

    /// What its outcome is recorded under.
    pub(crate) fn told(&self) -> Whose {
        Whose::of(&self.action)
    }

    /// What was in force when it was decided.
    pub(crate) const fn epoch(&self) -> Epoch {
        self.decision.epoch
    }

    /// The judged bytes, for who may write them, and what they use: from here on it is used.
    pub(crate) fn open(self, _: Key) -> (B, Option<Used>) {
        (self.body, self.reserved.into_used())
    }

    /// Gives the permit up for another judgement, and back what was reserved for it.
    pub(crate) fn withdraw(self) -> (Action, B) {
        (self.action, self.body)
    }
}

/// The permit of a reply that runs for a while: opened by its own receipt before byte one, revocable
/// while it runs, closed by a receipt of its outcome.
#[derive(Debug)]
pub struct StreamPermit {
    action: Action,
    decision: Decision,
    mode: Mode,
    standing: Standing,
    receipt: Arc<str>,
    revoked: watch::Receiver<u64>,
    used: Option<Used>,
}

impl StreamPermit {
    /// The receipt that opened it.
    #[must_use]
    pub const fn receipt(&self) -> &Arc<str> {
        &self.receipt
    }

    /// Tells when the kill switch moves, from the moment the reply was opened.
    pub(crate) fn revocation(&self) -> Revocation {
        Revocation(self.revoked.clone())
    }

    /// The mode in which it was opened.
    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    /// In which session it is.
    pub(crate) const fn session(&self) -> &Arc<str> {
        &self.action.session
    }

    /// The reply.
    pub(crate) const fn action(&self) -> &Action {
        &self.action
    }

    /// What was decided when it was opened.
    #[must_use]
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }
}

/// Wakes when the kill switch moves.
#[derive(Debug)]
pub(crate) struct Revocation(watch::Receiver<u64>);

impl Revocation {
    /// Returns when it has moved.
    pub async fn moved(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody can stop anything any more; the process is ending.
            std::future::pending::<()>().await;
        }
    }
}

/// Whose an action is, for the record of what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Whose {
    pub door: doorward_core::Door,
    pub kind: doorward_core::action::ActionKind,
    pub agent: Arc<str>,
    pub session: Arc<str>,
    pub peer: Arc<str>,
}

impl Whose {
    pub fn of(action: &Action) -> Self {
        Self {
            door: action.door,
            kind: action.kind,
            agent: Arc::clone(&action.agent),
            session: Arc::clone(&action.session),
            peer: Arc::clone(&action.peer),
        }
    }

    fn action(&self) -> Action {
        let mut action =
            Action::new(self.door, self.kind, Arc::clone(&self.agent), Arc::clone(&self.session));
        action.peer = Arc::clone(&self.peer);
        action
    }
}

/// How a reply ended, for its closing receipt.
#[derive(Debug, Default)]
pub struct Closing {
    /// In one word: `completed`, `kept` (completed after its client had gone), `refused`, `aborted`, `revoked`,
    /// `client_gone`, `failed`.
    pub result: &'static str,
    /// What the stream machine counted.
    pub outcome: Outcome,
    /// Status the upstream gave.
    pub status: u16,
    /// Bytes sent to the client.
    pub bytes: u64,
    /// Milliseconds from opening to end.
    pub millis: u64,
}

/// What is recorded about a question to a person.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    /// What happened: `approval_requested`, `approval_granted`, …
    pub event: &'a str,
    /// The id of the record, if it is to have a certain one.
    pub id: Option<&'a str>,
    /// The question, but for the record of the question itself.
    pub of: Option<&'a str>,
    /// Who did it.
    pub by: &'a str,
    pub agent: &'a str,
    pub session: &'a str,
    pub door: &'a str,
    /// In words.
    pub message: &'a str,
    /// What already happened waits for room; what has not is refused.
    pub patient: bool,
}

/// Records decisions and what became of them.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: mpsc::Sender<Job>,
    writer: Arc<Mutex<Writer>>,
    /// Whether an append costs no more than handing it over: it does not wait for the disk.
    quick: bool,
    /// How many wait for the thread.
    waiting: AtomicUsize,
    /// Decisions that are about to be appended at once.
    together: Together,
    store: Store,
    node: String,
    trouble: Arc<ArcSwapOption<String>>,
    checkpoint: watch::Receiver<Option<Arc<SignedCheckpoint>>>,
    /// What an earlier process left to be counted, until somebody takes it.
    left: Mutex<Left>,
}

/// Counts one who waits for the thread, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Recorder {
    /// Starts the thread that owns `log`. `node` names the signing key.
    ///
    /// # Errors
    /// If the thread cannot be started, or the end of the log cannot be read.
    pub fn start(log: Log, store: Store, node: &str) -> std::io::Result<Self> {
        let left = Left::read(&log, &store).map_err(std::io::Error::other)?;
        catch_up(&log, &store, left.kept.ledger_size).map_err(std::io::Error::other)?;
        let (queue, jobs) = mpsc::channel(QUEUE);
        let trouble = Arc::new(ArcSwapOption::from_pointee(log.trouble()));
        let newest = log.checkpoint().cloned().map(Arc::new);
        let (checkpoints, checkpoint) = watch::channel(newest);
        let quick = log.durability() == Durability::Os;
        let (node_of_writer, trouble_of_writer) = (node.to_owned(), Arc::clone(&trouble));
        let writer = Writer {
            log,
            node: node_of_writer,
            trouble: trouble_of_writer,
            checkpoints,
            soon: Vec::new(),
            seen_to: false,
        };
        let writer = Arc::new(Mutex::new(writer));
        let thread = Arc::clone(&writer);
        std::thread::Builder::new()
            .name("doorward-ledger".into())
            .spawn(move || writer::run(&thread, jobs))?;
        let (waiting, left) = (AtomicUsize::new(0), Mutex::new(left));
        let (together, node) = (Together::default(), node.to_owned());
        let shared =
            Shared { queue, writer, quick, waiting, together, store, node, trouble, checkpoint, left };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What an earlier process left to be counted. Whoever asks first gets it.
    pub(crate) fn take_left(&self) -> Left {
        std::mem::take(&mut *self.shared.left.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why nothing can be recorded at present; `None` if it can.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.shared.trouble.load_full().or_else(|| self.shared.store.trouble())
    }

    /// The newest checkpoint, as it moves.
    #[must_use]
    pub fn checkpoints(&self) -> watch::Receiver<Option<Arc<SignedCheckpoint>>> {
        self.shared.checkpoint.clone()
    }

    /// Records the decision. Then, and only then, there is a permit.
    ///
    /// # Errors
    /// A [`Refusal`] if the decision says so or could not be recorded.
    pub(crate) async fn commit<B: Content>(
        &self,
        judged: Judged,
        body: B,
        mut reserved: Reserved,
    ) -> Result<Permit<B>, Refusal> {
        let Judged { action, seen, decision } = judged;
        let receipt = self
            .decide(
                Kind::Decision,
                &action,
                seen,
                (&decision, &mut reserved),
                (B::PART, body.content()),
                body.notes(),
            )
            .await;
        match receipt {
            Ok((receipt, true)) => Ok(Permit { body, action, decision, receipt, reserved }),
            Ok((receipt, false)) => Err(Refusal {
                decision: Box::new(decision),
                receipt: Some(receipt.to_string()),
                why: Why::Blocked,
            }),
            Err(why) => Err(Refusal { decision: Box::new(decision), receipt: None, why }),
        }
    }

    /// Records the opening of a reply.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub(crate) async fn open(
        &self,
        judged: Judged,
        revoked: watch::Receiver<u64>,
        used: Option<Used>,
    ) -> Result<StreamPermit, Refusal> {
        let Judged { action, seen, decision } = judged;
        let (mode, standing) = (seen.facts.mode, seen.facts.standing);
        let nothing = &mut Reserved::default();
        let content = (Nothing::PART, &[][..]);
        match self.decide(Kind::Opened, &action, seen, (&decision, nothing), content, Vec::new()).await {
            Ok((receipt, true)) => {
                Ok(StreamPermit { action, decision, mode, standing, receipt, revoked, used })
            }
            Ok((receipt, false)) => Err(Refusal {
                decision: Box::new(decision),
                receipt: Some(receipt.to_string()),
                why: Why::Blocked,
            }),
            Err(why) => Err(Refusal { decision: Box::new(decision), receipt: None, why }),
        }
    }

    /// Writes the decision to store and ledger; returns the receipt and whether the action goes on.
    async fn decide(
        &self,
        kind: Kind,
        action: &Action,
        seen: Seen,
        (decision, reserved): (&Decision, &mut Reserved),
        (part, content): (&'static str, &[u8]),
        notes: Vec<String>,
    ) -> Result<(Arc<str>, bool), Why> {
        let judged = seen.facts.judged(action);
        let action = &*judged;
        let time = now();
        let mode = seen.facts.mode;
        let goes_on = goes_on(decision, mode, seen.facts.kill);
        let enforced = mode == Mode::Block || !goes_on;
        let (id, salt) = id_and_salt(time).map_err(|error| Why::LedgerUnavailable(error.to_string()))?;
        let leaf = {
            let salt = Salt::new(&salt);
            let parts = if content.is_empty() {
                Vec::new()
            } else {
                vec![PartRecord { part, bytes: content.len() as u64, digest: salt.digest(part, content) }]
            };
            let draft = self
                .draft(kind, &id, time, action)
                .action(&action_record(action, parts, &salt, self.names_place(action)), &salt);
            // What a person was asked first, or the reply that is given once more.
            let draft = seen.follows.iter().fold(draft, |draft, earlier| draft.of(earlier));
            let word = seen.facts.standing.mode.word(seen.in_force.mode);
            let record = decision_record(decision, seen.in_force.policy(), word, enforced);
            let epoch = epoch_pairs(decision.epoch);
            let coverage = decision.coverage.to_string();
            let replaced = decision.replaced.iter().map(replaced_line);
            let named = redacted_lines(&decision.redacted);
            let duties = named.into_iter().chain(decision.duties.0.iter().map(duty_line));
            let duties: Vec<String> = replaced.chain(duties).chain(notes).collect();
            draft
                .decision(
                    &DecisionRecord {
                        coverage: &coverage,
                        epoch: &epoch,
                        duties: duties.iter().map(String::as_str).collect(),
                        ..record
                    },
                    &salt,
                )
                .seal()
                .map_err(|error| Why::LedgerUnavailable(error.to_string()))?
        };
        let stopped = seen.facts.kill != Kill::Running;
        let counted = reserved.counted(self.ledger_size(), time);
        self.keep((&id, &salt), time, action, decision, content, counted).await?;
        reserved.recorded(&id);
        let unsure = Unsure::of(reserved);
        let appended = self.append_decision(leaf, stopped, &unsure.withdrawn).await;
        unsure.told(&appended);
        appended?;
        if !goes_on && let Some(forensics) = self.shared.store.forensics() {
            forensics.keep(&id, time, blocked::about(&id, time, action, decision), content);
        }
        tracing::debug!(
            receipt = id,
            agent = &*action.agent,
            kind = action.kind.as_str(),
            verdict = decision.verdict.as_str(),
            goes_on,
            rules = ?decision.reasons.iter().map(|reason| &*reason.rule).collect::<Vec<_>>(),
            "decided"
        );
        let ending = if goes_on { Ending::Forwarded } else { Ending::Blocked };
        let alerts = seen.end(action, decision, ending);
        self.tell_shared(action, &id, time, &alerts).await;
        news::decided(&self.shared.store, (action, decision), &id, time, goes_on);
        Ok((id.into(), goes_on))
    }

    /// Keeps what came back from elsewhere, under the receipt of the answer that brought it.
    pub(crate) async fn told(&self, seen: Seen, result: &Action, receipt: &str) {
        let time = seen.facts.now;
        let alerts = seen.end(result, &Decision::default(), Ending::Forwarded);
        self.tell_shared(result, receipt, time, &alerts).await;
    }

    /// Tells a person what this agent has met that another one had met before. Where it came from is content, and stays
    /// out of the ledger.
    async fn tell_shared(&self, action: &Action, receipt: &str, time: u64, alerts: &[story::Alert]) {
        let Some(first) = alerts.first() else { return };
        let (agent, session) = (action.agent.to_string(), action.session.to_string());
        let more = if alerts.len() > 1 { " and others" } else { "" };
        let others = if first.agents > 2 { "several agents" } else { "another agent" };
        let met = format!(
            "agent {agent} met a {}{more} that untrusted content had brought to {others}",
            first.kind.as_str()
        );
        let message = format!("{met}: receipt {receipt}");
        tracing::warn!(event = SHARED, session, "{message}");
        let place = if first.origin.place.is_empty() { "an unknown place" } else { &*first.origin.place };
        self.shared.store.alert(Alert {
            time,
            event: SHARED.into(),
            agent,
            session,
            message: format!("{met}, from {place}: receipt {receipt}"),
            receipt: receipt.to_owned(),
        });
        if let Err(error) = self.control(SHARED, DOORWARD, &action.session, &message).await {
            tracing::error!(%error, event = SHARED, "an alert could not be recorded");
        }
    }

    /// How many receipts the log has at least.
    fn ledger_size(&self) -> u64 {
        self.shared.checkpoint.borrow().as_ref().map_or(0, |checkpoint| checkpoint.size())
    }

    /// Whether receipts name the host to which an action leads. An upstream is named in any case: the operator named it so.
    fn names_place(&self, action: &Action) -> bool {
        action.door != Door::Egress || self.shared.store.keeps_urls()
    }

    /// What the side store keeps beside the receipt: the salt above all.
    async fn keep(
        &self,
        (id, salt): (&str, &[u8; 32]),
        time: u64,
        action: &Action,
        decision: &Decision,
        content: &[u8],
        counted: Counted,
    ) -> Result<(), Why> {
        let effects = action.effects.iter().map(|effect| RecordedEffect {
            capability: effect.capability.as_str().into(),
            asset: effect.asset.as_str().into(),
        });
        let record = RecordedAction {
            receipt: id.to_owned(),
            time,
            agent: action.agent.to_string(),
            session: action.session.to_string(),
            door: action.door.as_str().into(),
            kind: action.kind.as_str().into(),
            tool: action.tool.as_ref().map(|tool| tool.name.to_string()),
            effects: effects.collect(),
            verdict: decision.verdict.as_str().into(),
            rules: decision.reasons.iter().map(|reason| reason.rule.clone().into()).collect(),
            key: action.bill.as_ref().map(|bill| bill.key.to_string()),
            url: leads_to(action).filter(|_| self.shared.store.keeps_urls()).map(masked),
            salt: Secret32::from_slice(salt),
            content: self.shared.store.keeps_content().then(|| content.to_vec()),
            judged: self
                .shared
                .store
                .keeps_judged()
                .then_some(())
                .filter(|()| leads_to(action).is_none() || self.shared.store.keeps_urls())
                .map(|()| Box::new(doorward_store::Judged::of(action, decision))),
        };
        let recorded = self.shared.store.record_counted(record, counted).await;
        recorded.map_err(|error| Why::LedgerUnavailable(error.to_string()))
    }

    /// Records what was seen in text that had already gone on; returns the receipt, if it could be kept.
    pub(crate) async fn audit(
        &self,
        permit: &StreamPermit,
        reasons: Vec<Reason>,
        text: &str,
        in_force: &InForce,
    ) -> Option<String> {
        let InForce { mode, number, .. } = *in_force;
        let epoch = Epoch { policy: number, ..permit.decision.epoch };
        let decision = Decision::from_reasons(reasons, Coverage::Full, epoch);
        let time = now();
        let (id, salt_bytes) = id_and_salt(time).ok()?;
        let salt = Salt::new(&salt_bytes);
        let digest = salt.digest("text", text.as_bytes());
        let parts = vec![PartRecord { part: "text", bytes: text.len() as u64, digest }];
        let mode = permit.standing.mode.weaken(mode);
        let word = permit.standing.mode.word(in_force.mode);
        let record = decision_record(&decision, in_force.policy(), word, mode == Mode::Block);
        let coverage = decision.coverage.to_string();
        let epoch = epoch_pairs(decision.epoch);
        let draft = self
            .draft(Kind::Decision, &id, time, &permit.action)
            .of(&permit.receipt)
            .action(&action_record(&permit.action, parts, &salt, self.names_place(&permit.action)), &salt)
            .decision(&DecisionRecord { coverage: &coverage, epoch: &epoch, ..record }, &salt);
        let counted = Counted { ledger_size: self.ledger_size(), now: time, ..Counted::default() };
        let kept = self.keep((&id, &salt_bytes), time, &permit.action, &decision, text.as_bytes(), counted);
        if kept.await.is_err() {
            return None;
        }
        self.append_or_warn(draft).await;
        news::seen(&self.shared.store, &permit.action, &decision.reasons, &id, time);
        Some(id)
    }

    /// Closes a reply with the receipt of its outcome.
    pub(crate) async fn close(&self, permit: StreamPermit, closing: Closing) {
        let StreamPermit { action, receipt, used, .. } = permit;
        let outcome = &closing.outcome;
        let told = [
            ("input_tokens", outcome.usage.input),
            ("cached_tokens", outcome.usage.cached),
            ("cache_write_tokens", outcome.usage.cache_write),
            ("output_tokens", outcome.usage.output),
        ];
        let usage: Vec<_> = told.into_iter().filter_map(|(name, count)| Some((name, count?))).collect();
        let settles = used.as_ref().and_then(|used| used.outstanding().map(str::to_owned));
        let spent =
            used.map(|used| used.ended(&outcome.usage, outcome.text, outcome.whole)).unwrap_or_default();
        let charges: Vec<ChargeRecord<'_>> = spent.iter().map(charged).collect();
        // Without it credits count as paid, as it says; what limits count would be an estimate.
        let may_wait = closing.result == "completed" && spent.iter().all(|spent| spent.unit == CREDITS);
        let counts = [
            ("released", u64::from(outcome.released)),
            ("blocked", u64::from(outcome.blocked)),
            ("withheld", u64::from(outcome.withheld)),
            ("status", u64::from(closing.status)),
            ("bytes", closing.bytes),
            ("millis", closing.millis),
        ];
        let fault = outcome.fault.as_ref().map(|fault| FaultRecord {
            whose: match (closing.result, fault.code) {
                ("revoked", _) => "operator",
                ("client_gone", _) => "agent",
                (_, "monitor.stopped" | "splice.hole" | "splice.overlap" | "splice.broken") => "doorward",
                _ => "upstream",
            },
            code: fault.code,
            message: &fault.message,
        });
        let record = OutcomeRecord {
            result: closing.result,
            counts: &counts,
            usage: &usage,
            charges: &charges,
            fault,
        };
        let time = now();
        let Ok((id, _)) = id_and_salt(time) else { return };
        tracing::debug!(of = &*receipt, result = closing.result, bytes = closing.bytes, "ended");
        // Bounded: a free member is not cut by the ledger, and an outcome must always be written.
        let coverage: String = outcome.coverage.to_string().chars().take(600).collect();
        let draft = self
            .draft(Kind::Outcome, &id, time, &action)
            .of(&receipt)
            .outcome(record)
            .member("coverage", coverage);
        let draft = settles.into_iter().fold(draft, |draft, request| draft.member("settles", request));
        match draft.seal() {
            Ok(leaf) if may_wait => self.append_soon(leaf).await,
            sealed => self.append_sealed(sealed.map_err(|error| error.to_string())).await,
        };
    }

    /// Records that nothing more comes of what `permit` allows, and gives it up: it was only checked.
    pub(crate) async fn ended<B>(&self, permit: Permit<B>, result: &'static str, fault: Option<&Fault>) {
        let (whose, receipt) = (permit.told(), Arc::clone(&permit.receipt));
        drop(permit);
        self.unanswered(&whose, &receipt, result, fault, None).await;
    }

    /// Records what became of the action of `receipt`, to which there is no reply, and gives back what it held of
    /// credits.
    pub(crate) async fn unanswered(
        &self,
        whose: &Whose,
        receipt: &str,
        result: &'static str,
        fault: Option<&Fault>,
        held: Option<Holding>,
    ) {
        let time = now();
        let Ok((id, _)) = id_and_salt(time) else { return };
        let fault =
            fault.map(|fault| FaultRecord { whose: "upstream", code: fault.code, message: &fault.message });
        let none = held.iter().flat_map(Holding::paid).map(|paid| Spent { amount: 0, ..paid });
        let none: Vec<Spent> = none.collect();
        let charges: Vec<ChargeRecord<'_>> = none.iter().map(charged).collect();
        let record = OutcomeRecord { result, counts: &[], usage: &[], charges: &charges, fault };
        let draft = self.draft(Kind::Outcome, &id, time, &whose.action()).of(receipt).outcome(record);
        let draft = held.iter().fold(draft, |draft, _| draft.member("settles", receipt));
        if self.append_or_warn(draft).await
            && let Some(held) = held
        {
            self.shared.store.settle_credits(receipt.to_owned(), Some(held.spending));
        }
    }

    /// Records that a lot of credits was granted.
    ///
    /// # Errors
    /// In words, if it could not be recorded.
    pub(crate) async fn granted(&self, granted: &LotRecord) -> Result<(), String> {
        let LotRecord { key, lot, receipt, by } = granted;
        let message = format!("{} credits", lot.amount);
        let epoch = epoch_pairs(self.shared.store.signals().epoch());
        let record = ControlRecord {
            event: "credits_grant",
            by: Some(by),
            target: Some(key),
            message: Some(&message),
            epoch: &epoch,
        };
        let credits = Object::new()
            .with("key", &**key)
            .with("lot", lot.number)
            .with("amount", Value::count(lot.amount))
            .with("expires", Value::count(lot.expires))
            .with("unit", "credits");
        let draft = Draft::new(Kind::Control, receipt, now(), &self.shared.node).control(record);
        let leaf = draft.member("credits", credits).seal().map_err(|error| error.to_string())?;
        self.append(leaf, true).await.map_err(|why| format!("{why:?}"))
    }

    /// Records something that Doorward notes about itself, with a member of its own; returns the receipt.
    ///
    /// # Errors
    /// In words, if it could not be recorded.
    pub(crate) async fn noted(
        &self,
        event: &str,
        of: Option<&str>,
        (name, member): (&str, Object),
    ) -> Result<String, String> {
        let time = now();
        let (id, _) = id_and_salt(time).map_err(|error| error.to_string())?;
        let epoch = epoch_pairs(self.shared.store.signals().epoch());
        let record = ControlRecord { event, by: Some(DOORWARD), target: None, message: None, epoch: &epoch };
        let draft = Draft::new(Kind::Control, &id, time, &self.shared.node).control(record);
        let draft = of.into_iter().fold(draft, |draft, of| draft.of(of)).member(name, member);
        let leaf = draft.seal().map_err(|error| error.to_string())?;
        self.append(leaf, true).await.map_err(|why| format!("{why:?}"))?;
        Ok(id)
    }

    /// Goes on under another key, which has the log's name: the receipt that says so and its checkpoint are signed by both.
    /// Waits for the disk; returns the checkpoint.
    ///
    /// # Errors
    /// In words, if it could not be written: then the key is the one before.
    pub async fn rotate_key(&self, next: doorward_ledger::SigningKey) -> Result<String, String> {
        let time = now();
        let (id, _) = id_and_salt(time).map_err(|error| error.to_string())?;
        let writer = Arc::clone(&self.shared.writer);
        let rotate = move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.rotate(next, &id, time).map_err(|error| error.to_string())
        };
        tokio::task::spawn_blocking(rotate).await.map_err(|error| error.to_string())?
    }

    /// Records something done to Doorward itself; on a full disk it uses the reserve.
    ///
    /// # Errors
    /// In words, if it could not be recorded even so.
    pub async fn control(
        &self,
        event: &str,
        by: &str,
        target: &str,
        message: &str,
    ) -> Result<String, String> {
        let time = now();
        let (id, _) = id_and_salt(time).map_err(|error| error.to_string())?;
        let epoch = epoch_pairs(self.shared.store.signals().epoch());
        let record = ControlRecord {
            event,
            by: Some(by),
            target: Some(target),
            message: (!message.is_empty()).then_some(message),
            epoch: &epoch,
        };
        let draft = Draft::new(Kind::Control, &id, time, &self.shared.node).control(record);
        let leaf = draft.seal().map_err(|error| error.to_string())?;
        match self.append(leaf, true).await {
            Ok(()) => Ok(id),
            Err(why) => Err(format!("{why:?}")),
        }
    }

    /// Records something about a question that was put to a person.
    ///
    /// # Errors
    /// [`Why`] it could not be recorded.
    pub(crate) async fn tell(&self, told: Told<'_>) -> Result<(), Why> {
        let time = now();
        let unavailable = |error: &dyn std::fmt::Display| Why::LedgerUnavailable(error.to_string());
        let id = match told.id {
            Some(id) => id.to_owned(),
            None => id_and_salt(time).map_err(|error| unavailable(&error))?.0,
        };
        let epoch = epoch_pairs(self.shared.store.signals().epoch());
        let record = ControlRecord {
            event: told.event,
            by: Some(told.by),
            target: Some(told.agent),
            message: (!told.message.is_empty()).then_some(told.message),
            epoch: &epoch,
        };
        let draft = Draft::new(Kind::Control, &id, time, &self.shared.node)
            .agent(told.agent)
            .session(told.session)
            .door(told.door)
            .control(record);
        let draft = told.of.into_iter().fold(draft, |draft, of| draft.of(of));
        let leaf = draft.seal().map_err(|error| unavailable(&error))?;
        self.append(leaf, told.patient).await
    }

    fn draft(&self, kind: Kind, id: &str, time: u64, action: &Action) -> Draft {
        Draft::new(kind, id, time, &self.shared.node)
            .agent(&action.agent)
            .session(&action.session)
            .door(action.door.as_str())
    }

    /// Whether it could be recorded.
    async fn append_or_warn(&self, draft: Draft) -> bool {
        self.append_sealed(draft.seal().map_err(|error| error.to_string())).await
    }

    async fn append_sealed(&self, leaf: Result<Leaf, String>) -> bool {
        let result = match leaf {
            Ok(leaf) => self.append(leaf, true).await.map_err(|why| format!("{why:?}")),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            tracing::error!(%error, "an outcome could not be recorded");
            return false;
        }
        true
    }

    /// Hands a leaf to the writer and waits until it is in the log. `patient`: what already happened
    /// waits for room in the queue; what has not is refused.
    async fn append(&self, leaf: Leaf, patient: bool) -> Result<(), Why> {
        let Err(leaf) = self.append_here(leaf) else { return Ok(()) };
        let _waiting = Waiting::new(&self.shared.waiting);
        self.hand_over(leaf, patient).await
    }

    /// Appends on the spot if nobody else is at it: two changes of thread cost more than the append, and there
    /// is nobody to share a signature with. What fails here is left to the thread, which knows what to do.
    fn append_here(&self, leaf: Leaf) -> Result<(), Leaf> {
        let shared = &self.shared;
        if !shared.quick || shared.waiting.load(Ordering::Relaxed) > 0 || shared.trouble.load().is_some() {
            return Err(leaf);
        }
        match shared.writer.try_lock() {
            Ok(mut writer) => writer.write_one(leaf),
            Err(_) => Err(leaf),
        }
    }

    /// Appends a leaf that nobody waits for: with the next group, whoever's that is, and after [`SOON`] if none comes. Signing and
    /// writing it alone costs as much as a decision. Where an append waits for the disk, everybody waits.
    async fn append_soon(&self, leaf: Leaf) -> bool {
        match (self.with_next(leaf), tokio::runtime::Handle::try_current()) {
            (Ok(false), _) => {}
            (Ok(true), Ok(runtime)) => drop(runtime.spawn(see_to_it(Arc::clone(&self.shared.writer)))),
            (Ok(true), Err(_)) => self.flush(),
            (Err(leaf), _) => return self.append_sealed(Ok(leaf)).await,
        }
        true
    }

    /// Whether somebody has to see to it that `leaf` goes with the next group; gives it back if it cannot.
    fn with_next(&self, leaf: Leaf) -> Result<bool, Leaf> {
        if !self.shared.quick || self.shared.trouble.load().is_some() {
            return Err(leaf);
        }
        match self.shared.writer.try_lock() {
            Ok(mut writer) => writer.write_soon(leaf),
            Err(_) => Err(leaf),
        }
    }

    /// Appends what waits for the next group. Waits for whoever writes.
    pub fn flush(&self) {
        self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner).flush();
    }

    async fn hand_over(&self, leaf: Leaf, patient: bool) -> Result<(), Why> {
        let (done, wait) = oneshot::channel();
        let job = Job { leaf, reserved: patient, done };
        let gone = || Why::LedgerUnavailable("the ledger's writer has ended".into());
        if patient {
            self.shared.queue.send(job).await.map_err(|_| gone())?;
        } else {
            self.shared.queue.try_send(job).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Why::Overloaded,
                mpsc::error::TrySendError::Closed(_) => gone(),
            })?;
        }
        wait.await
            .unwrap_or_else(|_| Err("the ledger's writer has ended".into()))
            .map_err(Why::LedgerUnavailable)
    }
}

/// Has what waits for the next group appended, until nothing came in between.
async fn see_to_it(writer: Arc<Mutex<Writer>>) {
    loop {
        tokio::time::sleep(SOON).await;
        // Whoever has it may write what waits; that is seen the next time.
        let Ok(mut writer) = writer.try_lock() else { continue };
        if !writer.flush() {
            writer.seen_to = false;
            return;
        }
    }
}

/// Whether an action goes on. In monitor mode everything does but what the kill switch stops, and who may not come in.
fn goes_on(decision: &Decision, mode: Mode, kill: Kill) -> bool {
    decision.passes() || mode == Mode::Monitor && kill == Kill::Running && !decision.is_turned_away()
}

/// Where a request of the egress door leads.
fn leads_to(action: &Action) -> Option<&str> {
    let request = action.request.as_deref().filter(|_| action.door == Door::Egress);
    request.map(|request| request.url())
}

fn action_record<'a>(
    action: &'a Action,
    parts: Vec<PartRecord<'a>>,
    salt: &Salt,
    names: bool,
) -> ActionRecord<'a> {
    let effects = action.effects.iter().map(|effect| {
        let target = effect.target.as_str();
        EffectRecord {
            capability: effect.capability.as_str(),
            asset: effect.asset.as_str(),
            target: (!target.is_empty()).then(|| salt.digest("target", target.as_bytes())),
        }
    });
    ActionRecord {
        kind: action.kind.as_str(),
        tool: action.tool.as_ref().map(|tool| &*tool.name),
        source: action.source.as_str(),
        destination: (!action.peer.is_empty() && names).then_some(&*action.peer),
        effects: effects.collect(),
        parts,
    }
}

fn decision_record<'a>(
    decision: &'a Decision,
    policy: &'a str,
    mode: &'a str,
    enforced: bool,
) -> DecisionRecord<'a> {
    let reasons = decision.reasons.iter().map(|reason| ReasonRecord {
        rule: &reason.rule,
        layer: reason.layer.as_str(),
        severity: reason.severity,
        verdict: reason.verdict.as_str(),
        message: &reason.message,
        part: reason.part.and_then(|part| u32::try_from(part).ok()),
    });
    DecisionRecord {
        verdict: decision.verdict.as_str(),
        risk: decision.risk,
        entropy: decision.entropy,
        mode,
        enforced,
        coverage: "",
        reasons: reasons.collect(),
        policy,
        epoch: &[],
        duties: Vec::new(),
        charges: decision
            .charges
            .0
            .iter()
            .map(|charge| ChargeRecord { account: &charge.account, unit: charge.unit, amount: charge.amount })
            .collect(),
    }
}

fn charged(spent: &Spent) -> ChargeRecord<'_> {
    ChargeRecord { account: &spent.account, unit: spent.unit, amount: spent.amount }
}

fn epoch_pairs(epoch: Epoch) -> [(&'static str, u64); 3] {
    [("kill", epoch.kill), ("policy", epoch.policy), ("key", epoch.key)]
}

fn replaced_line((part, why): &(usize, Replaced)) -> String {
    format!("replace part {part}: {}", why.rule)
}

/// Which fields registered secrets were taken out of.
fn redacted_lines(redacted: &Redacted) -> Vec<String> {
    let line = |field: &Field| format!("redact {} {}: {}", field.count, field.place, field.name);
    let more = (redacted.more > 0).then(|| format!("redact {} elsewhere", redacted.more));
    redacted.fields.iter().map(line).chain(more).collect()
}

fn duty_line(duty: &Duty) -> String {
    match duty {
        Duty::Edit(span, _) => format!("edit {}..{}", span.start, span.end),
        Duty::Divert(_) => "divert".into(),
        Duty::Inject(name) => format!("inject {name}"),
        Duty::Dial(rule) => format!("dial {rule}"),
        Duty::Limit(bytes) => format!("limit {bytes}"),
    }
}
