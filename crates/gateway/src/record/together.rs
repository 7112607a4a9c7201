//! Decisions of several requests that come at once are appended in one group: one signature, one write.
//!
//! A signature and a write cost more than most of what else is done for a request. Whoever comes first while others are under way
//! lets those run that are ready on its thread, and appends what has gathered by then. Nobody waits for a clock; who is alone
//! appends at once. Only decisions are gathered: nothing has happened yet, so one whose client goes meanwhile is taken back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_ledger::Leaf;
use tokio::sync::oneshot;

use super::writer::Job;
use super::{Recorder, Shared, Why};
use crate::budgets::Reserved;

/// Who is under way, and what has gathered.
#[derive(Debug, Default)]
pub(super) struct Together {
    under_way: AtomicUsize,
    gathered: Mutex<Gathered>,
}

#[derive(Debug, Default)]
struct Gathered {
    jobs: Vec<(u64, Job)>,
    /// The number of the next one.
    next: u64,
    /// Whether somebody will append them.
    led: bool,
}

/// A request of the data listener, until it is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Shared>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.together.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Together {
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    /// Counts a request, whose decisions may be appended with those of others.
    pub(crate) fn under_way(&self) -> UnderWay {
        self.shared.together.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(&self.shared))
    }

    /// Appends the receipt of a decision, with those of others if there are any. Sets `withdrawn` if it is dropped before
    /// anybody has begun to.
    pub(super) async fn append_decision(
        &self,
        leaf: Leaf,
        patient: bool,
        withdrawn: &AtomicBool,
    ) -> Result<(), Why> {
        let shared = &*self.shared;
        let alone = shared.together.under_way.load(Ordering::Relaxed) < 2;
        if alone || !shared.quick || shared.trouble.load().is_some() {
            return self.append(leaf, patient).await;
        }
        let mut turn = Turn::of(shared, leaf, patient, withdrawn);
        if turn.leads {
            tokio::task::yield_now().await;
            turn.append_all();
        }
        let done = (&mut turn.wait).await;
        turn.ended = true;
        done.unwrap_or_else(|_| Err("the ledger's writer has ended".into())).map_err(Why::LedgerUnavailable)
    }
}

/// One leaf among those that have gathered.
struct Turn<'a> {
    shared: &'a Shared,
    number: u64,
    /// Whether it appends them all.
    leads: bool,
    wait: oneshot::Receiver<Result<(), String>>,
    ended: bool,
    withdrawn: &'a AtomicBool,
}

impl<'a> Turn<'a> {
    fn of(shared: &'a Shared, leaf: Leaf, patient: bool, withdrawn: &'a AtomicBool) -> Self {
        let (done, wait) = oneshot::channel();
        let mut gathered = shared.together.gathered();
        let number = gathered.next;
        gathered.next += 1;
        gathered.jobs.push((number, Job { leaf, reserved: patient, done }));
        let leads = !std::mem::replace(&mut gathered.led, true);
        Self { shared, number, leads, wait, ended: false, withdrawn }
    }

    fn append_all(&mut self) {
        if !std::mem::take(&mut self.leads) {
            return;
        }
        let jobs = {
            let mut gathered = self.shared.together.gathered();
            gathered.led = false;
            std::mem::take(&mut gathered.jobs)
        };
        if !jobs.is_empty() {
            let mut jobs = jobs.into_iter().map(|(_, job)| job).collect();
            self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner).write(&mut jobs);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        {
            let mut gathered = self.shared.together.gathered();
            let before = gathered.jobs.len();
            gathered.jobs.retain(|(number, _)| *number != self.number);
            self.withdrawn.store(gathered.jobs.len() < before, Ordering::Relaxed);
        }
        // The others rely on it.
        self.append_all();
    }
}

/// What was reserved for a decision, while nobody knows whether its receipt stands in the ledger.
pub(super) struct Unsure<'a> {
    reserved: &'a mut Reserved,
    pub withdrawn: AtomicBool,
}

impl<'a> Unsure<'a> {
    pub fn of(reserved: &'a mut Reserved) -> Self {
        reserved.appended(None);
        Self { reserved, withdrawn: AtomicBool::new(false) }
    }

    /// Now it is known.
    pub fn told(self, appended: &Result<(), Why>) {
        self.reserved.appended(match appended {
            Ok(()) => Some(true),
            Err(Why::LedgerUnavailable(_)) => None,
            Err(_) => Some(false),
        });
    }
}

impl Drop for Unsure<'_> {
    fn drop(&mut self) {
        if self.withdrawn.load(Ordering::Relaxed) {
            self.reserved.appended(Some(false));
        }
    }
}
