//! What a person has to know of at once: that what a decoy says was on its way out.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use doorward_core::detect::canary::CONTENT;
use doorward_core::{Action, Decision, Reason};
use doorward_store::{Alert, Store};

use crate::judge::now;
use crate::record::Recorder;

/// The event in control receipts and alerts.
const EVENT: &str = "canary_content";

/// How many alarms are remembered, so that each is raised once: an agent sends its conversation again each time.
const MOST: usize = 1024;

/// An alarm about a decision.
#[derive(Debug)]
pub(crate) struct Alarm {
    agent: Arc<str>,
    session: Arc<str>,
    kind: &'static str,
    seen: String,
}

impl Alarm {
    /// The alarm that a decision about `action` gives, if it gives one.
    pub fn of(action: &Action, decision: &Decision) -> Option<Self> {
        Self::about(action, &decision.reasons)
    }

    /// The same of reasons alone.
    pub fn about(action: &Action, reasons: &[Reason]) -> Option<Self> {
        let reason = reasons.iter().find(|reason| reason.rule == CONTENT)?;
        Some(Self {
            agent: Arc::clone(&action.agent),
            session: Arc::clone(&action.session),
            kind: action.kind.as_str(),
            seen: reason.message.clone(),
        })
    }
}

/// The alarms that this process has raised.
#[derive(Debug, Default)]
pub(crate) struct Alarms(Mutex<HashSet<(Arc<str>, String)>>);

impl Alarms {
    /// Raises `alarm` about the decision of `receipt`, once for each session and decoy: a receipt, a line in the log, and
    /// an alert in the status. `went` says that it went on all the same.
    pub async fn raise(&self, alarm: Alarm, receipt: &str, went: bool, recorder: &Recorder, store: &Store) {
        {
            let mut raised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if raised.len() >= MOST {
                raised.clear();
            }
            if !raised.insert((Arc::clone(&alarm.session), alarm.seen.clone())) {
                return;
            }
        }
        let Alarm { agent, session, kind, seen } = alarm;
        let what = if went { "went on" } else { "was stopped" };
        let message =
            format!("{seen} stood in a {kind} of the agent {agent}, which {what}: receipt {receipt}");
        tracing::error!(event = EVENT, %session, "ALERT: {message}; see `doorward receipts show {receipt}`");
        store.alert(Alert {
            time: now(),
            event: EVENT.into(),
            agent: agent.to_string(),
            session: session.to_string(),
            message: message.clone(),
            receipt: receipt.to_owned(),
        });
        if let Err(error) = recorder.control(EVENT, "doorward", &session, &message).await {
            tracing::error!(%error, "an alert could not be recorded");
        }
    }
}
