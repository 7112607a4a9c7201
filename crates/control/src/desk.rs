//! What the routes do, as the binary implements it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_core::session::Millis;
use doorward_store::{AgentName, Alert, GrantScope, KillSet, Scope};

use crate::quarantine::HeldWish;
use crate::sessions::{SessionAct, SessionStatus, Sessions};
use crate::taint::{Artefacts, TaintFound, TaintWish};

/// Who acts: the holder of the credential, which is as much as can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver {
    /// The credential: `operator-token`.
    pub principal: String,
    /// Whether the operating system keeps the credential from the agents' processes. If it does not
    /// (same user, readable file), whoever acted may have been an agent, and receipts say so.
    pub authenticated: bool,
}

impl Approver {
    /// The word for receipts: the principal, or `unauthenticated`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if self.authenticated { &self.principal } else { "unauthenticated" }
    }
}

/// An act of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// What it is about.
    pub scope: Scope,
    /// Why, in that person's words; may be empty; at most 1,000 bytes, no control characters.
    pub reason: String,
    /// Who.
    pub approver: Approver,
}

/// What a person does about a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Yes, for so long.
    Approve(GrantScope),
    /// No.
    Deny,
    /// The yes given before does not hold any more.
    Revoke,
    /// What was denied repeatedly may be asked again.
    Reset,
}

/// What of the policy, or of the detection rules, is in force, and whether their files say something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesStatus {
    /// `Policy::revision`, `RuleSet::revision`.
    pub revision: String,
    /// How many rules there are.
    pub rules: usize,
    /// Since when it is in force, in milliseconds since the Unix epoch.
    pub since: Millis,
    /// What its files say since, if that cannot be put in force.
    pub refused: Option<RefusedFiles>,
}

/// What cannot be put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFiles {
    /// When it was refused, in milliseconds since the Unix epoch.
    pub at: Millis,
    /// All its faults, each with its place.
    pub faults: Vec<String>,
}

/// How the classifier stands that a setting names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassifierStatus {
    /// Its file.
    pub file: String,
    /// Whether it is asked. `false` if the file was not there at the start: then the signals decide alone.
    pub loaded: bool,
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Doorward's version.
    pub version: String,
    /// `Mode::as_str`.
    pub mode: String,
    /// What is judged by.
    pub policy: FilesStatus,
    /// What detectors look for.
    pub rules: FilesStatus,
    /// The model that is asked about injections, if a setting names one.
    pub classifier: Option<ClassifierStatus>,
    /// Since when this process runs, in milliseconds since the Unix epoch.
    pub started: Millis,
    /// How many receipts the ledger holds.
    pub receipts: u64,
    /// The agents that have a token.
    pub agents: Vec<String>,
    /// What is stopped.
    pub kill: Arc<KillSet>,
    /// What people have to know of, of the last day, oldest first.
    pub alerts: Vec<Alert>,
    /// How webhooks stand.
    pub webhooks: WebhooksStatus,
}

/// How webhooks stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebhooksStatus {
    /// How many there are.
    pub count: u64,
    /// How many of them want no more messages (410).
    pub gone: u64,
    /// How many messages wait to be sent, for the first time or again.
    pub waiting: u64,
    /// How many nobody took, and are kept for a person to look at.
    pub failed: u64,
    /// How many were lost for lack of room.
    pub lost: u64,
}

/// Why it was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Whose fault it is.
    pub kind: FaultKind,
    /// For programs: stable, in `snake_case`.
    pub code: &'static str,
    /// What is wrong, for a person.
    pub message: String,
    /// What to do about it; may be empty.
    pub advice: String,
}

/// Whose fault it is, as HTTP says it (RFC 9110, 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// 400: the request cannot be meant.
    Request,
    /// 404: what it names is not there.
    NotFound,
    /// 409: not in this state.
    Conflict,
    /// 500: ours.
    Failed,
    /// 503: ours, and it may pass.
    Unavailable,
}

/// What the control listener's routes do.
///
/// Calls come concurrently. Questions are dropped when their connection ends, after 45 seconds at the
/// latest; acts are finished whether or not the person still waits.
pub trait Desk: Send + Sync + 'static {
    /// Whether the process can do its work; that is, whether the ledger appends. Answered to anyone:
    /// the fault must tell nothing that is not for anyone.
    ///
    /// # Errors
    /// Why it cannot.
    fn ready(&self) -> Result<(), Fault>;

    /// Stops what `act` names and returns what is stopped now.
    fn kill(&self, act: Act) -> impl Future<Output = Result<Arc<KillSet>, Fault>> + Send;

    /// Lets what `act` names run again and returns what is stopped still.
    fn resume(&self, act: Act) -> impl Future<Output = Result<Arc<KillSet>, Fault>> + Send;

    /// What is in force.
    fn status(&self) -> impl Future<Output = Result<Status, Fault>> + Send;

    /// The latest `limit` (1 to 1,000) receipts, newest first, each one JSON value; with `before`, those
    /// older than that receipt.
    fn receipts(
        &self,
        limit: usize,
        before: Option<String>,
    ) -> impl Future<Output = Result<Vec<Bytes>, Fault>> + Send;

    /// All sessions.
    fn sessions(&self) -> impl Future<Output = Result<Sessions, Fault>> + Send;

    /// Does `act` to a session and returns what is known of it then.
    fn session(&self, act: SessionAct) -> impl Future<Output = Result<SessionStatus, Fault>> + Send;

    /// The artefacts that untrusted content has left, at most `limit`, the one seen last first; those of one agent if it is
    /// named.
    fn artefacts(
        &self,
        agent: Option<AgentName>,
        limit: usize,
    ) -> impl Future<Output = Result<Artefacts, Fault>> + Send;

    /// What is known of an artefact. If it is to be cleared, it taints no longer.
    fn taint(
        &self,
        wish: TaintWish,
        approver: Approver,
    ) -> impl Future<Output = Result<TaintFound, Fault>> + Send;

    /// What is held instead of written, as one JSON value.
    fn quarantine(&self) -> impl Future<Output = Result<Bytes, Fault>> + Send;

    /// One of it, with what an archive holds, as one JSON value.
    fn held(&self, id: String) -> impl Future<Output = Result<Bytes, Fault>> + Send;

    /// Does what a person wants about it; returns what it was done to as one JSON value.
    fn settle_held(
        &self,
        wish: HeldWish,
        approver: Approver,
    ) -> impl Future<Output = Result<Bytes, Fault>> + Send;

    /// All keys with what they have left, as one JSON value.
    fn keys(&self) -> impl Future<Output = Result<Bytes, Fault>> + Send;

    /// What is kept and for how long: looks at it, holds, sweeps, scrubs, or gives the ledger another key, as `wish` (JSON)
    /// says. A long act is done in part, and says that there is more.
    ///
    /// # Errors
    /// What keeps it from being done.
    fn upkeep(&self, wish: Bytes, approver: Approver) -> impl Future<Output = Result<Bytes, Fault>> + Send;

    /// Does to a key what `wish` (JSON) says, and returns what came of it as one JSON value.
    fn key(&self, wish: Bytes, approver: Approver) -> impl Future<Output = Result<Bytes, Fault>> + Send;

    /// All webhooks with how many messages they have, as one JSON value.
    fn webhooks(&self) -> impl Future<Output = Result<Bytes, Fault>> + Send;

    /// Does to a webhook what `wish` (JSON) says, and returns what came of it as one JSON value.
    fn webhook(&self, wish: Bytes, approver: Approver) -> impl Future<Output = Result<Bytes, Fault>> + Send;

    /// One receipt as one JSON value; `None` if there is none with this id.
    fn receipt(&self, id: String) -> impl Future<Output = Result<Option<Bytes>, Fault>> + Send;

    /// What waits for a person and what people have allowed, as one JSON value. With `watch`, once something has moved
    /// since that revision or that time has passed; whoever asks so counts as being there.
    fn approvals(&self, watch: Option<(u64, Duration)>) -> impl Future<Output = Result<Bytes, Fault>> + Send;

    /// One question, whole, as one JSON value; `None` if there is none with this id.
    fn approval(&self, id: String) -> impl Future<Output = Result<Option<Bytes>, Fault>> + Send;

    /// Does what a person wants about the question `id`; `reason` in their words, as in [`Act`]. Returns what came of
    /// it as one JSON value.
    fn settle(
        &self,
        id: String,
        settlement: Settlement,
        reason: String,
        approver: Approver,
    ) -> impl Future<Output = Result<Bytes, Fault>> + Send;
}
