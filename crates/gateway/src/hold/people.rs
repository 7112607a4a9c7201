//! What people do: look, say yes or no, take a yes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward_store::{Grant, GrantScope, Signal};

use super::{Ask, Hold, LATE, SESSION, Said, Shared, Stage};
use crate::judge::now;
use crate::record::Told;

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes, for so long.
    Approve(GrantScope),
    /// No.
    Deny,
}

/// What an answer has done.
#[derive(Clone, Debug)]
pub struct Answered {
    /// What it was about.
    pub ask: Arc<Ask>,
    /// Whether the action was still waiting; if not, its next try finds the answer.
    pub waiting: bool,
}

/// Why an answer does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// There is no such question, or no longer.
    #[error("there is no question {0}; what waited when Doorward stopped is gone, and its agent asks anew")]
    Unknown(String),
    /// Somebody else was first.
    #[error("{0} has been answered already: {1}")]
    Already(String, &'static str),
    /// There are as many grants as may be.
    #[error("there are as many grants for sessions as may be; take some back first")]
    TooMany,
    /// It could not be written down, so it does not count.
    #[error("the answer could not be recorded, so it does not count: {0}")]
    Unrecorded(String),
}

/// Everything there is to see.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Moves whenever something here does.
    pub revision: u64,
    /// Whether an action that asks would wait.
    pub attended: bool,
    /// The questions, oldest first, and what has become of them.
    pub asks: Vec<(Arc<Ask>, Stage)>,
    /// What is allowed.
    pub grants: Vec<Grant>,
}

/// Somebody looks, until this is dropped and a moment longer.
#[derive(Debug)]
pub struct Watching(Arc<Shared>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.table().watcher_left(Instant::now());
    }
}

impl Hold {
    /// Everything there is to see.
    #[must_use]
    pub fn overview(&self) -> Overview {
        let revision = self.shared.store.signals().revision(Signal::Approval);
        let at = Instant::now();
        let mut table = self.shared.table();
        table.sweep(at, now());
        Overview {
            revision,
            attended: self.settings.always || table.is_watched(at),
            asks: table.shown().map(|entry| (Arc::clone(&entry.ask), entry.stage)).collect(),
            grants: table.grants().to_vec(),
        }
    }

    /// The question of this id and what has become of it.
    #[must_use]
    pub fn question(&self, id: &str) -> Option<(Arc<Ask>, Stage)> {
        self.shared.table().get(id).map(|entry| (Arc::clone(&entry.ask), entry.stage))
    }

    /// Somebody looks from now on.
    #[must_use]
    pub fn watching(&self) -> Watching {
        self.shared.table().watcher_came();
        Watching(Arc::clone(&self.shared))
    }

    /// Returns when something has moved since revision `after`, or when `most` has passed.
    pub async fn moved_since(&self, after: u64, most: Duration) {
        let mut moved = self.shared.store.signals().subscribe(Signal::Approval);
        let mut stop = self.shared.stop.subscribe();
        tokio::select! {
            _ = moved.wait_for(|revision| *revision != after) => {}
            // Nobody is to be kept waiting by somebody who watches.
            _ = stop.wait_for(|stop| *stop) => {}
            () = tokio::time::sleep(most) => {}
        }
    }

    /// Answers the question `id`. The answer is on record before it counts. To a question that has ended it says what
    /// the next try of the same action finds.
    ///
    /// # Errors
    /// [`Unanswered`]: then nothing has changed.
    pub async fn answer(
        &self,
        id: &str,
        answer: Answer,
        by: &str,
        reason: &str,
    ) -> Result<Answered, Unanswered> {
        let (ask, before) = self.take_up(id, answer)?;
        let done = match answer {
            Answer::Approve(scope) => self.approve(&ask, scope, by, reason).await,
            Answer::Deny => self.deny(&ask, by, reason).await,
        };
        if done.is_err() {
            self.shared.table().step(id, Stage::Answering, before, Instant::now());
        }
        self.shared.moved();
        done.map(|()| Answered { ask, waiting: before == Stage::Waiting })
    }

    /// The question, so that nobody else can answer it meanwhile.
    fn take_up(&self, id: &str, answer: Answer) -> Result<(Arc<Ask>, Stage), Unanswered> {
        let mut table = self.shared.table();
        let Some((ask, stage)) = table.get(id).map(|entry| (Arc::clone(&entry.ask), entry.stage)) else {
            return Err(Unanswered::Unknown(id.to_owned()));
        };
        let open = match (stage, answer) {
            (Stage::Waiting, _) => true,
            // A late yes. A late no changes nothing.
            (
                Stage::TimedOut | Stage::Gone | Stage::Denied | Stage::Stopped | Stage::Missed,
                Answer::Approve(_),
            ) => true,
            _ => false,
        };
        if !open {
            return Err(Unanswered::Already(id.to_owned(), stage.as_str()));
        }
        if matches!(answer, Answer::Approve(_)) && !table.has_room_for_grant() {
            return Err(Unanswered::TooMany);
        }
        table.step(id, stage, Stage::Answering, Instant::now());
        Ok((ask, stage))
    }

    async fn approve(
        &self,
        ask: &Arc<Ask>,
        scope: GrantScope,
        by: &str,
        reason: &str,
    ) -> Result<(), Unanswered> {
        let since = now();
        let grant = Grant {
            id: ask.id.to_string(),
            digest: ask.digest.clone(),
            scope,
            agent: ask.agent.to_string(),
            session: ask.session.to_string(),
            what: ask.what(),
            by: by.to_owned(),
            since,
            until: since.saturating_add(if scope == GrantScope::Session { SESSION } else { LATE }),
            shown: ask.shown(),
        };
        if scope == GrantScope::Session {
            let kept = self.shared.store.keep_grant(grant.clone()).await;
            kept.map_err(|error| Unanswered::Unrecorded(error.to_string()))?;
        }
        if let Err(error) = self.tell("approval_granted", ask, by, &said(scope.as_str(), reason)).await {
            if scope == GrantScope::Session {
                let _ = self.shared.store.forget_grants(vec![grant.id]).await;
            }
            return Err(error);
        }
        let mut table = self.shared.table();
        if scope == GrantScope::Session {
            table.grant(grant.clone());
        }
        table.reset(&ask.digest);
        // A yes for one action is given to the one that waits, or else to the first that comes.
        if let Err(Said::Yes(grant)) = table.tell(&ask.id, Said::Yes(Box::new(grant)), Instant::now())
            && scope == GrantScope::Once
        {
            table.grant(*grant);
        }
        Ok(())
    }

    async fn deny(&self, ask: &Arc<Ask>, by: &str, reason: &str) -> Result<(), Unanswered> {
        self.tell("approval_denied", ask, by, reason).await?;
        let mut table = self.shared.table();
        table.deny(ask, Instant::now());
        let no = Said::No { by: by.to_owned(), reason: reason.to_owned() };
        let _ = table.tell(&ask.id, no, Instant::now());
        Ok(())
    }

    /// Takes a yes back: what it allowed asks again. What has gone on stays gone on.
    ///
    /// # Errors
    /// [`Unanswered`], if there is no such grant, or a restart would bring it back.
    pub async fn revoke(&self, id: &str, by: &str, reason: &str) -> Result<Grant, Unanswered> {
        let taken = self.shared.table().revoke(id);
        let Some(grant) = taken else { return Err(Unanswered::Unknown(id.to_owned())) };
        let forgotten = self.shared.store.forget_grants(vec![id.to_owned()]).await;
        let told = Told {
            event: "approval_revoked",
            id: None,
            of: Some(id),
            by,
            agent: &grant.agent,
            session: &grant.session,
            door: "",
            message: reason,
            patient: true,
        };
        if let Err(error) = self.shared.recorder.tell(told).await {
            tracing::error!(?error, "the end of a grant could not be recorded");
        }
        self.shared.moved();
        forgotten.map_err(|error| Unanswered::Unrecorded(error.to_string()))?;
        Ok(grant)
    }

    /// Forgets how often a person said no to what `id` asked, so that they are asked again.
    ///
    /// # Errors
    /// [`Unanswered`], if there is no such question.
    pub async fn reset(&self, id: &str, by: &str, reason: &str) -> Result<Arc<Ask>, Unanswered> {
        let Some((ask, _)) = self.question(id) else { return Err(Unanswered::Unknown(id.to_owned())) };
        self.tell("approval_reset", &ask, by, reason).await?;
        self.shared.table().reset(&ask.digest);
        self.shared.moved();
        Ok(ask)
    }

    /// A session begins anew: nothing is allowed in it any more, and nothing was denied.
    ///
    /// # Errors
    /// [`Unanswered`], if a restart would bring what was allowed back.
    pub async fn forget_session(&self, session: &str) -> Result<(), Unanswered> {
        let forgotten = self.shared.table().forget_session(session);
        self.shared.moved();
        let done = self.shared.store.forget_grants(forgotten).await;
        done.map_err(|error| Unanswered::Unrecorded(error.to_string()))
    }

    /// Forgets what was allowed, denied and answered in sessions that a person has scrubbed, but for what is held since then. What
    /// waits goes on. What of it is on disk, the scrub has destroyed.
    pub fn forget(&self, which: impl Fn(&str) -> bool, is_held: impl Fn(&str, u64) -> bool) {
        self.shared.table().forget(|session, since| which(session) && !is_held(session, since));
        self.shared.moved();
    }

    async fn tell(&self, event: &str, ask: &Ask, by: &str, message: &str) -> Result<(), Unanswered> {
        let told = Told {
            event,
            id: None,
            of: Some(&ask.id),
            by,
            agent: &ask.agent,
            session: &ask.session,
            door: ask.door,
            message,
            patient: true,
        };
        let recorded = self.shared.recorder.tell(told).await;
        recorded.map_err(|why| Unanswered::Unrecorded(format!("{why:?}")))
    }
}

/// How long, and why, in one line.
fn said(scope: &str, reason: &str) -> String {
    if reason.is_empty() { scope.to_owned() } else { format!("{scope}: {reason}") }
}
