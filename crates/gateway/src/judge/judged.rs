//! An action that has begun and been judged.

use doorward_core::decision::Epoch;
use doorward_core::policy::Profile;
use doorward_core::session::{Mode, Now, Said};
use doorward_core::{Action, Decision, Reason, Verdict};

use super::{Gateway, Refusal, Why};
use crate::sessions::Seen;

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
        let decision = decide(&action, &seen);
        Ok(Judged { action, seen, decision })
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

fn decide(action: &Action, seen: &Seen) -> Decision {
    let engine = &seen.in_force.engine;
    if is_large(action) {
        tokio::task::block_in_place(|| engine.decide(action, &seen.facts))
    } else {
        engine.decide(action, &seen.facts)
    }
}

fn is_large(action: &Action) -> bool {
    action.parts.iter().map(|part| part.text.len()).sum::<usize>() > LARGE
}

/// More bytes than this take long enough to judge that other connections would notice.
pub(crate) const LARGE: usize = 64 * 1024;
