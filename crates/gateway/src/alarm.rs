//! What a person has to know of at once: that what a decoy says was on its way out. Nobody could know it without having read
//! the decoy, so the session is frozen, until a person has looked at it.

use std::collections::HashSet;
use std::sync::Arc;

use doorward_core::detect::canary::is_content;
use doorward_core::session::Mode;
use doorward_core::{Action, Reason};
use doorward_store::kill::DOORWARD;
use doorward_store::{Alert, Scope, SessionName, Stop, Store};
use tokio::sync::Mutex;

use crate::judge::{Judged, now};
use crate::record::Recorder;

/// The event in control receipts and alerts.
const EVENT: &str = "canary_content";

/// How many alarms of sessions that go on are remembered, so that each is raised once.
const MOST: usize = 1024;

/// An alarm about a decision.
#[derive(Debug)]
pub(crate) struct Alarm {
    agent: Arc<str>,
    session: Arc<str>,
    kind: &'static str,
    seen: String,
    mode: Mode,
}

impl Alarm {
    /// The alarm that a decision gives, if it gives one.
    pub fn of(judged: &Judged) -> Option<Self> {
        Self::about(&judged.action, &judged.decision.reasons, judged.seen.facts.mode)
    }

    /// The same of reasons alone.
    pub fn about(action: &Action, reasons: &[Reason], mode: Mode) -> Option<Self> {
        let reason = reasons.iter().find(|reason| is_content(&reason.rule))?;
        Some(Self {
            agent: Arc::clone(&action.agent),
            session: Arc::clone(&action.session),
            kind: action.kind.as_str(),
            seen: reason.message.clone(),
            mode,
        })
    }

    /// Stops the session in the name of Doorward. Returns whether it is stopped.
    async fn freeze(&self, store: &Store, reason: &str) -> bool {
        let stop = Stop { by: DOORWARD.into(), reason: reason.to_owned(), since: now() };
        let scope = match SessionName::new(&self.session) {
            Ok(session) => Scope::Session(session),
            // Sessions have names as people may give them; what has none must not go on for that.
            Err(_) => match doorward_store::AgentName::new(&self.agent) {
                Ok(agent) => Scope::Agent(agent),
                Err(_) => Scope::All,
            },
        };
        if let Err(error) = store.kill(scope, stop).await {
            tracing::error!(%error, "a frozen session would go on after a restart");
        }
        true
    }
}

/// The alarms that this process has raised where nothing is enforced.
#[derive(Debug, Default)]
pub(crate) struct Alarms(Mutex<HashSet<(Arc<str>, String)>>);

impl Alarms {
    /// Raises `alarm` about the decision of `receipt`: freezes the session where decisions are enforced, and leaves a receipt, a
    /// line in the log, and an alert in the status. A session that is frozen already says nothing new: an agent sends
    /// its conversation again each time. `went` says that what was judged went on.
    pub async fn raise(&self, alarm: Alarm, receipt: &str, went: bool, recorder: &Recorder, store: &Store) {
        // One after the other: of two requests at once, the first freezes and the second finds it so.
        let mut raised = self.0.lock().await;
        let stopped = store.signals().kill_set();
        if stopped.stop(&alarm.session).is_some_and(|stop| stop.by == DOORWARD) {
            return;
        }
        let enforced = alarm.mode == Mode::Block;
        if !enforced {
            if raised.len() >= MOST {
                raised.clear();
            }
            if !raised.insert((Arc::clone(&alarm.session), alarm.seen.clone())) {
                return;
            }
        }
        let what = if went { "went on" } else { "was stopped" };
        let message = format!(
            "{} stood in a {} of the agent {}, which {what}: receipt {receipt}",
            alarm.seen, alarm.kind, alarm.agent
        );
        let frozen = enforced && alarm.freeze(store, &message).await;
        let session = &alarm.session;
        let then = if frozen {
            format!("; the session is frozen until: doorward resume --session {session}")
        } else {
            String::new()
        };
        tracing::error!(event = EVENT, %session, "ALERT: {message}{then}");
        store.alert(Alert {
            time: now(),
            event: EVENT.into(),
            agent: alarm.agent.to_string(),
            session: session.to_string(),
            message: format!("{message}{then}"),
            receipt: receipt.to_owned(),
        });
        for event in [Some(EVENT), frozen.then_some("kill")].into_iter().flatten() {
            if let Err(error) = recorder.control(event, DOORWARD, session, &message).await {
                tracing::error!(%error, event, "an alert could not be recorded");
            }
        }
    }
}
