//! What is kept beside the ledger goes when it is too old, unless a person holds it; or at once, if a person has it
//! scrubbed. The ledger loses nothing: its receipts stay, valid, and mute about content.
//!
//! Work is done in slices on the store's own thread, so that records never wait for more than one of them. Each slice is a
//! transaction of its own, and what is gone is not found again: a sweep that is killed goes on where it was.

mod hold;
pub use hold::{Hold, MOST_HOLDS, Whose};
pub(crate) use hold::{forget, keep, read};

mod scrub;
pub use scrub::{Scrubbed, Subject};

mod sweep;
pub use sweep::Swept;

use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward_core::session::Millis;

use self::sweep::Cursor;
use crate::webhooks::{Gone, slice};
use crate::{Store, StoreError};

/// How far work got in its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more.
    More,
    /// That was all.
    Done,
}

impl Store {
    /// What people hold.
    #[must_use]
    pub fn holds(&self) -> Arc<Vec<Hold>> {
        self.shared_holds().load_full()
    }

    /// Keeps what `hold` covers from every sweep and every scrub, from when this returns.
    ///
    /// # Errors
    /// If there are too many, or it cannot be written.
    pub async fn hold(&self, hold: Hold) -> Result<(), StoreError> {
        let _acting = self.acting().await;
        if self.holds().len() >= MOST_HOLDS {
            let why = format!("there are {MOST_HOLDS} holds already: release one first");
            return Err(StoreError::Unavailable(why));
        }
        // In memory first: a slice that is asked for from here on spares it, and those asked for before are done when it is
        // written.
        self.change_holds(|holds| holds.push(hold.clone()));
        let written = hold.clone();
        let kept =
            self.ask(move |worker| worker.durable(|connection, sealer| keep(connection, sealer, &written)));
        let kept = kept.await;
        if kept.is_err() {
            self.change_holds(|holds| holds.retain(|other| other.id != hold.id));
        }
        kept
    }

    /// Lets the hold of this id go; returns it, if there is one.
    ///
    /// # Errors
    /// If it cannot be written: then it holds on.
    pub async fn release_hold(&self, id: &str) -> Result<Option<Hold>, StoreError> {
        let _acting = self.acting().await;
        let Some(hold) = self.holds().iter().find(|hold| hold.id == id).cloned() else { return Ok(None) };
        let gone = hold.id.clone();
        self.ask(move |worker| worker.durable(|connection, _| forget(connection, &gone))).await?;
        self.change_holds(|holds| holds.retain(|other| other.id != hold.id));
        Ok(Some(hold))
    }

    fn change_holds(&self, change: impl Fn(&mut Vec<Hold>)) {
        self.shared_holds().rcu(|holds| {
            let mut holds = Vec::clone(holds);
            change(&mut holds);
            holds
        });
    }

    /// Destroys what is older than `before` and not held, for as long as `time` says. With `dry`, only counts all of it.
    ///
    /// # Errors
    /// If it cannot be written, or another process is reading the database: then old values may still lie in its
    /// write-ahead log.
    pub async fn sweep(
        &self,
        before: Millis,
        dry: bool,
        time: Duration,
    ) -> Result<(Swept, Progress), StoreError> {
        let (begun, mut swept, mut cursor) = (Instant::now(), Swept::default(), Cursor::default());
        // Whoever calls again must get further; what is only counted begins anew.
        let is_over = |swept: &Swept| begun.elapsed() >= time && swept.total() > 0 && !dry;
        loop {
            let (holds, at) = (self.holds(), cursor);
            let slice = self.ask(move |worker| worker.sweep_actions(before, &holds, at, dry)).await?;
            swept.actions += slice.gone;
            swept.held += slice.held;
            let Some(next) = slice.next else { break };
            cursor = next;
            if is_over(&swept) {
                return Ok((swept, Progress::More));
            }
        }
        cursor = Cursor::default();
        loop {
            let (holds, at) = (self.holds(), cursor);
            let slice = self.ask(move |worker| worker.sweep_memos(before, &holds, at, dry)).await?;
            swept.memos += slice.gone;
            swept.held += slice.held;
            let Some(next) = slice.next else { break };
            cursor = next;
            if is_over(&swept) {
                return Ok((swept, Progress::More));
            }
        }
        let holds = self.holds();
        let rest = self.ask(move |worker| worker.sweep_rest(before, &holds, dry)).await?;
        swept.add(&rest);
        swept.compromises = self.sweep_compromises(before, dry).await?;
        let (gone, held) = self.forget_deliveries(&Gone::Before(before), dry).await?;
        swept.deliveries += gone;
        swept.held += held;
        if !dry {
            // Also if nothing went: an earlier sweep may have been killed before this.
            self.ask(|worker| worker.take_over()).await?;
        }
        Ok((swept, Progress::Done))
    }

    /// Messages to webhooks, also those that wait still.
    async fn forget_deliveries(&self, gone: &Gone, dry: bool) -> Result<(u64, u64), StoreError> {
        let (mut count, mut held, mut from) = (0, 0, String::new());
        loop {
            let (holds, gone, at) = (self.holds(), gone.clone(), from);
            let done = self
                .ask(move |worker| {
                    worker.in_one(|connection, sealer| slice(connection, sealer, (&gone, &at), &holds, dry))
                })
                .await?;
            count += done.gone;
            held += done.held;
            let Some(next) = done.next else { return Ok((count, held)) };
            from = next;
        }
    }

    /// How keys were compromised long ago, of keys that are used again.
    async fn sweep_compromises(&self, before: Millis, dry: bool) -> Result<u64, StoreError> {
        use crate::accounts::{Compromise, KeyState, NotDone};
        let holds = self.holds();
        let mut gone = 0;
        for key in self.accounts().keys() {
            // Why a key is suspended is asked by whoever resumes it.
            if key.state == KeyState::Suspended {
                continue;
            }
            let stays = |it: &Compromise| {
                let whose = Whose {
                    time: it.at,
                    agent: Some(key.agent.as_str()),
                    session: Some(&it.session),
                    key: Some(&key.id),
                };
                it.at >= before || holds.iter().any(|hold| hold.covers(&whose))
            };
            let old = key.compromises.iter().filter(|it| !stays(it)).count();
            gone += old as u64;
            if dry || old == 0 {
                continue;
            }
            let change = |mut key: crate::accounts::Key| {
                key.compromises.retain(stays);
                Ok(key)
            };
            match self.change_key(&key.id, change).await {
                Ok(_) | Err(NotDone::Unknown(_) | NotDone::Refused(_)) => {}
                Err(NotDone::Store(error)) => return Err(error),
            }
        }
        Ok(gone)
    }
}
