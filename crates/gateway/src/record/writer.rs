//! Who writes the log, and the thread that does so for many at once.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use doorward_ledger::receipt::{ControlRecord, Kind};
use doorward_ledger::{Draft, Leaf, Log, LogError, SignedCheckpoint, SigningKey};
use tokio::sync::{mpsc, oneshot, watch};

use crate::id::id_and_salt;
use crate::judge::now;

/// The most receipts written in one go: bounds how long the first of them waits for the rest.
const BATCH: usize = 1024;

/// How often the log is tried again while it cannot be written.
const RETRY: std::time::Duration = std::time::Duration::from_millis(500);

/// A leaf to be appended, and who waits for it.
pub(super) struct Job {
    pub leaf: Leaf,
    /// Whether it is about something that has happened already: then the reserve may be used.
    pub reserved: bool,
    pub done: oneshot::Sender<Result<(), String>>,
}

/// Has the log.
#[derive(Debug)]
pub(super) struct Writer {
    pub log: Log,
    pub node: String,
    /// Why nothing can be appended at present.
    pub trouble: Arc<ArcSwapOption<String>>,
    pub checkpoints: watch::Sender<Option<Arc<SignedCheckpoint>>>,
}

/// Serves the queue: the thread's whole life.
pub(super) fn run(writer: &Mutex<Writer>, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH);
    let lock = || writer.lock().unwrap_or_else(PoisonError::into_inner);
    let trouble = Arc::clone(&lock().trouble);
    loop {
        if trouble.load().is_some() {
            lock().heal();
            std::thread::sleep(if jobs.is_empty() { RETRY } else { std::time::Duration::ZERO });
            match jobs.try_recv() {
                Ok(job) => batch.push(job),
                Err(mpsc::error::TryRecvError::Empty) => continue,
                Err(mpsc::error::TryRecvError::Disconnected) => return,
            }
        } else {
            let Some(job) = jobs.blocking_recv() else { return };
            batch.push(job);
        }
        let mut writer = lock();
        while batch.len() < BATCH {
            let Ok(job) = jobs.try_recv() else { break };
            batch.push(job);
        }
        writer.write(&mut batch);
    }
}

impl Writer {
    /// Appends one leaf, if that goes without trouble.
    pub(super) fn write_one(&mut self, leaf: &Leaf) -> bool {
        let appended = self.log.append(std::slice::from_ref(leaf));
        appended.is_ok_and(|checkpoint| {
            self.appended(checkpoint);
            true
        })
    }

    /// Goes on under another key; returns the checkpoint that both have signed.
    pub(super) fn rotate(&mut self, next: SigningKey, id: &str, time: u64) -> Result<String, LogError> {
        let checkpoint = self.log.rotate(next, id, time)?;
        let text = checkpoint.text().to_owned();
        self.appended(checkpoint);
        Ok(text)
    }

    /// Appends the batch in one write. If the disk is full, what has already happened is still written,
    /// from the reserve; what was to happen is refused.
    fn write(&mut self, batch: &mut Vec<Job>) {
        let leaves: Vec<Leaf> = batch.iter().map(|job| job.leaf.clone()).collect();
        match self.log.append(&leaves) {
            Ok(checkpoint) => {
                self.appended(checkpoint);
                batch.drain(..).for_each(|job| drop(job.done.send(Ok(()))));
            }
            Err(error) => {
                let words = error.to_string();
                self.stumble(&words);
                for job in batch.drain(..) {
                    let result = if job.reserved {
                        self.log.append_reserved(std::slice::from_ref(&job.leaf)).map_err(|e| e.to_string())
                    } else {
                        Err(words.clone())
                    };
                    let result = result.map(|checkpoint| self.appended_only(checkpoint));
                    let _ = job.done.send(result);
                }
            }
        }
    }

    fn appended(&self, checkpoint: SignedCheckpoint) {
        self.appended_only(checkpoint);
        let trouble = self.log.trouble().map(Arc::new);
        if trouble.is_some() || self.trouble.load().is_some() {
            self.trouble.store(trouble);
        }
    }

    fn appended_only(&self, checkpoint: SignedCheckpoint) {
        self.checkpoints.send_replace(Some(Arc::new(checkpoint)));
    }

    /// Notes the failure, in the log itself if the reserve allows.
    fn stumble(&mut self, words: &str) {
        let first = self.trouble.swap(Some(Arc::new(words.to_owned()))).is_none();
        if first {
            tracing::error!(error = words, "the ledger cannot append: all traffic stops");
            if let Some(leaf) = self.control_leaf("ledger_unavailable", words) {
                let _ = self.log.append_reserved(&[leaf]);
            }
        }
    }

    /// Tries whether the log can be written again; the proof is a receipt that says so.
    fn heal(&mut self) {
        let Some(leaf) = self.control_leaf("ledger_recovered", "") else { return };
        if let Ok(checkpoint) = self.log.append(&[leaf]) {
            tracing::info!("the ledger can append again");
            self.trouble.store(None);
            self.appended(checkpoint);
        }
    }

    fn control_leaf(&self, event: &str, message: &str) -> Option<Leaf> {
        let time = now();
        let (id, _) = id_and_salt(time).ok()?;
        let message = (!message.is_empty()).then_some(message);
        let record = ControlRecord { event, by: Some("doorward"), target: None, message, epoch: &[] };
        Draft::new(Kind::Control, &id, time, &self.node).control(record).seal().ok()
    }
}
