//! An action that has begun and been judged.

use std::sync::Arc;

use doorward_core::action::PartKind;
use doorward_core::decision::Epoch;
use doorward_core::pace::Pace;
use doorward_core::policy::Profile;
use doorward_core::session::{Mode, Now, Said};
use doorward_core::{Action, Decision, Engine, Reason, Verdict};

use super::{Gateway, Refusal, Why};
use crate::sessions::Seen;
use crate::turns::LARGE;

/// An action, what was known when it was judged, and what was decided. It goes from step to step of
/// [`Gateway::pass`]; dropped on the way, the action has never been.
#[derive(Debug)]
pub(crate) struct Judged {
    pub action: Action,
    pub seen: Seen,
    pub decision: Decision,
}

impl Judged {
    /// Whether it waits for a person. Where nothing is altered, nothing waits; and in a session whose mode is `correct`, its
    /// engine has made a block of it.
    pub fn asks(&self) -> bool {
        self.decision.verdict == Verdict::Ask && self.enforces()
    }

    /// With one more reason.
    pub fn and(mut self, reason: Reason) -> Self {
        self.decision = self.decision.and(reason);
        self
    }

    /// It came to a decision, and still nothing can be done.
    pub fn refused(self, why: Why) -> Refusal {
        Refusal { decision: Box::new(self.decision), receipt: None, why }
    }

    /// Whether what was decided is done.
    pub fn enforces(&self) -> bool {
        self.seen.facts.mode == Mode::Block
    }
}

impl Gateway {
    /// Begins `action` in its session, and judges it.
    pub(super) async fn judge(&self, action: Action) -> Result<Judged, Refusal> {
        let seen = self.begin(&action).await?;
        if to_look_through(&action, &seen) <= LARGE {
            let decision = seen.in_force.engine.decide(&action, &seen.facts);
            return Ok(Judged { action, seen, decision });
        }
        let work = move |pace: &Pace<'_>| {
            let decision = seen.in_force.engine.decide_in_steps(&action, &seen.facts, pace);
            Judged { action, seen, decision }
        };
        let ends = || Refusal { decision: Box::default(), receipt: None, why: Why::Overloaded };
        Box::pin(self.turns.take(work)).await.ok_or_else(ends)
    }

    /// Judges it again by what is in force and known now.
    pub(super) async fn judge_again(&self, judged: Judged) -> Result<Judged, Refusal> {
        let Judged { action, seen, .. } = judged;
        // First, or it would be its own sibling.
        drop(seen);
        self.judge(action).await
    }

    /// Tells the session of `result` what came back from elsewhere, for which nobody vouches. Nothing is decided: what matters
    /// is what is done with it.
    pub(crate) async fn came_back(&self, result: &Action, receipt: &str) {
        match self.begin(result).await {
            Ok(seen) => self.recorder.told(seen, result, receipt).await,
            Err(Refusal { why, .. }) => {
                tracing::error!(receipt, ?why, "what an answer brought could not be noted");
            }
        }
    }

    /// What is seen in `text`, which has gone on or is about to and can only be noted.
    pub(crate) async fn noted(&self, engine: &Arc<Engine>, kind: PartKind, text: &Arc<str>) -> Vec<Reason> {
        if text.len() <= LARGE {
            return engine.audit_text(kind, text);
        }
        let (engine, text) = (Arc::clone(engine), Arc::clone(text));
        let work = move |pace: &Pace<'_>| engine.audit_text_in_steps(kind, &text, pace);
        Box::pin(self.turns.take(work)).await.unwrap_or_default()
    }

    async fn begin(&self, action: &Action) -> Result<Seen, Refusal> {
        let unavailable =
            |why| Refusal { decision: Box::default(), receipt: None, why: Why::LedgerUnavailable(why) };
        let entered = self.sessions.enter(&action.session, Said::Nobody, self.clock.now());
        let session = entered.map_err(unavailable)?;
        let woken = self.sessions.wake(&session).await;
        woken.map_err(|why| {
            unavailable(format!("what session {} has done cannot be read: {why}", action.session))
        })?;
        let signals = self.store.signals();
        // One loaded state: its revision and what it says about the agent agree.
        let kill = signals.kill_set();
        let in_force = self.in_force();
        let epoch = Epoch { kill: kill.revision, policy: in_force.number, ..signals.epoch() };
        let millis = self.clock.now();
        let kill = kill.for_session(&action.session, session.began());
        let now = Now { millis, epoch, mode: in_force.mode, standing: session.standing(millis), kill };
        let strict = in_force.engine.policy().profile() == Profile::Strict;
        let begin = || self.sessions.begin(session, action, now, in_force);
        let mut seen = if is_large(action) { tokio::task::block_in_place(begin) } else { begin() };
        seen.facts.held = self.shelf.held(self.store.quarantine(), &seen.in_force.engine);
        if strict {
            seen.facts.replaced = self.replies.blocks().known(action);
        }
        Ok(seen)
    }
}

fn is_large(action: &Action) -> bool {
    action.parts.iter().map(|part| part.text.len()).sum::<usize>() > LARGE
}

/// How many bytes of `action` are to be looked through: what was judged before and had nothing is not, unless a policy
/// takes something out.
fn to_look_through(action: &Action, seen: &Seen) -> usize {
    let all = seen.in_force.engine.policy().redacts();
    let known = |index: usize| {
        let known = seen.facts.remembered.get(index).and_then(Option::as_ref);
        known.is_some_and(|known| known.risk == 0) && !all
    };
    let parts = action.parts.iter().enumerate().filter(|(index, _)| !known(*index));
    parts.map(|(_, part)| part.text.len()).sum()
}
