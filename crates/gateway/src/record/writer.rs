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

/// The most receipts that wait for the next group.
const MOST_SOON: usize = 64;

/// How often the log is tried again while it cannot be written.
const RETRY: std::time::Duration = std::time::Duration::from_millis(500);

/// A leaf to be appended, and who waits for it.
#[derive(Debug)]
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
    /// Receipts that nobody waits for: they go with the next group, and have no checkpoint of their own.
    pub soon: Vec<Leaf>,
    /// Whether somebody will see to it that they go, even if no group comes.
    pub seen_to: bool,
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
    /// Appends one leaf and what is to go with it, if that goes without trouble.
    pub(super) fn write_one(&mut self, leaf: Leaf) -> Result<(), Leaf> {
        self.soon.push(leaf);
        match self.log.append(&self.soon) {
            Ok(checkpoint) => {
                self.soon.clear();
                self.appended(checkpoint);
                Ok(())
            }
            Err(_) => self.soon.pop().map_or(Ok(()), Err),
        }
    }

    /// Has `leaf` go with the next group; returns whether somebody has to see to that. Gives it back if too many wait.
    pub(super) fn write_soon(&mut self, leaf: Leaf) -> Result<bool, Leaf> {
        if self.soon.len() >= MOST_SOON {
            return Err(leaf);
        }
        self.soon.push(leaf);
        Ok(!std::mem::replace(&mut self.seen_to, true))
    }

    /// Appends what waits for the next group; returns whether anything did.
    pub(super) fn flush(&mut self) -> bool {
        let any = !self.soon.is_empty();
        if any {
            self.write(&mut Vec::new());
        }
        any
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
    pub(super) fn write(&mut self, batch: &mut Vec<Job>) {
        let soon = std::mem::take(&mut self.soon);
        let leaves: Vec<Leaf> = soon.iter().chain(batch.iter().map(|job| &job.leaf)).cloned().collect();
        match self.log.append(&leaves) {
            Ok(checkpoint) => {
                self.appended(checkpoint);
                batch.drain(..).for_each(|job| drop(job.done.send(Ok(()))));
            }
            Err(error) => {
                let words = error.to_string();
                self.stumble(&words);
                for leaf in soon {
                    // It has happened, and nobody waits to be told.
                    match self.log.append_reserved(&[leaf]) {
                        Ok(checkpoint) => self.appended_only(checkpoint),
                        Err(error) => tracing::error!(%error, "an outcome could not be recorded"),
                    }
                }
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

impl Drop for Writer {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use doorward_ledger::Durability;

    use super::*;

    fn writer(name: &str) -> (Writer, PathBuf) {
        let path = std::env::temp_dir().join(format!("doorward-writer-{name}-{}", std::process::id()));
        let key = SigningKey::from_seed("doorward/test", &[7; 32]).unwrap();
        let log = Log::open(&path, key, Durability::Os).unwrap();
        let (trouble, checkpoints) = (Arc::new(ArcSwapOption::empty()), watch::Sender::new(None));
        let writer = Writer {
            log,
            node: "doorward/test".into(),
            trouble,
            checkpoints,
            soon: Vec::new(),
            seen_to: false,
        };
        (writer, path)
    }

    fn leaf(event: &str) -> Leaf {
        let (id, _) = id_and_salt(now()).unwrap();
        let record = ControlRecord { event, by: Some("test"), target: None, message: None, epoch: &[] };
        Draft::new(Kind::Control, &id, now(), "doorward/test").control(record).seal().unwrap()
    }

    /// What happened in each receipt, in the order of the log, read from its files.
    fn events(path: &std::path::Path) -> Vec<String> {
        let key = SigningKey::from_seed("doorward/test", &[7; 32]).unwrap();
        let view = doorward_ledger::View::open(path, key.public()).unwrap();
        let text = |entry: Vec<u8>| {
            let text = String::from_utf8(entry).unwrap();
            text.split("\"event\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
        };
        view.entries(0..view.size()).map(|entry| text(entry.unwrap().1.to_vec())).collect()
    }

    #[test]
    fn what_nobody_waits_for_goes_with_the_next_group_and_before_it() {
        let (mut writer, path) = writer("soon");
        assert!(writer.write_soon(leaf("first")).unwrap(), "somebody has to see to it");
        assert!(!writer.write_soon(leaf("second")).unwrap());
        assert_eq!(writer.log.size(), 0);
        let mut checkpoints = writer.checkpoints.subscribe();
        writer.write_one(leaf("third")).unwrap();
        assert_eq!(checkpoints.borrow_and_update().as_ref().unwrap().size(), 3);
        assert!(!writer.flush());
        writer.write_soon(leaf("fourth")).unwrap();
        let (done, mut answer) = oneshot::channel();
        writer.write(&mut vec![Job { leaf: leaf("fifth"), reserved: false, done }]);
        assert_eq!(answer.try_recv().unwrap(), Ok(()));
        assert_eq!(events(&path), ["first", "second", "third", "fourth", "fifth"]);
        let _ = std::fs::remove_dir_all(path);
    }

    #[test]
    fn few_wait_and_none_is_lost_when_it_ends() {
        let (mut writer, path) = writer("end");
        for _ in 0..MOST_SOON {
            writer.write_soon(leaf("one")).unwrap();
        }
        assert!(writer.write_soon(leaf("too many")).is_err());
        assert!(writer.flush() && writer.log.size() == MOST_SOON as u64);
        writer.write_soon(leaf("last")).unwrap();
        drop(writer);
        assert_eq!(events(&path).last().unwrap(), "last");
        let _ = std::fs::remove_dir_all(path);
    }
}
