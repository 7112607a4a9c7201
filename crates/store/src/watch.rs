//! Watches the file `kill`, so that `touch ~/.doorward/kill` stops traffic at once, also when nothing
//! else of Doorward answers any more.
//!
//! Events come from the operating system, for the directory: a file that is not there cannot be watched.
//! Behind them a slow poll, because events get lost (network file systems, a replaced directory, full
//! queues) and a kill switch may not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecursiveMode, Watcher as _};

use crate::Signals;
use crate::error::{StoreError, at};
use crate::home::Home;
use crate::kill::{Stops, read_kill_file};

/// How often the file is looked at without any event.
pub const POLL: Duration = Duration::from_secs(1);

/// How long a file that became empty is given to fill. A shell's `echo alice > kill` creates it first and
/// writes then; in between it says "everything".
const SETTLE: Duration = Duration::from_millis(20);

/// A running watch; ends when dropped.
#[derive(Debug)]
pub struct KillWatch {
    wake: SyncSender<Wake>,
    thread: Option<JoinHandle<()>>,
    /// Whether the operating system's events come; if not, only the poll does.
    pub events: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    Look,
    End,
}

impl KillWatch {
    /// Reads the kill file of `home` now, and again whenever it changes, into `signals`.
    ///
    /// # Errors
    /// If no thread can be started. If the system has no events to give, the poll alone remains.
    pub fn start(home: &Home, signals: Arc<Signals>) -> Result<Self, StoreError> {
        Self::start_with(home, signals, POLL)
    }

    fn start_with(home: &Home, signals: Arc<Signals>, poll: Duration) -> Result<Self, StoreError> {
        let file = home.kill_file();
        // One waiting wake is enough: looking once sees all changes before it.
        let (wake, woken) = sync_channel(1);
        let watcher = watch_directory(home.root(), &file, wake.clone());
        if let Err(error) = &watcher {
            tracing::warn!(%error, "no file events: the kill file is looked at every second");
        }
        signals.set_kill_file(read_kill_file(&file));
        let events = watcher.is_ok();
        let thread = std::thread::Builder::new()
            .name("doorward-kill".into())
            .spawn({
                let file = file.clone();
                move || {
                    let _watcher = watcher;
                    look(&file, &signals, &woken, poll);
                }
            })
            .map_err(at("start watching", &file))?;
        Ok(Self { wake, thread: Some(thread), events })
    }
}

impl Drop for KillWatch {
    fn drop(&mut self) {
        // Waits for room, at most until the thread takes what is there.
        if self.wake.send(Wake::End).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn watch_directory(
    dir: &Path,
    file: &Path,
    wake: SyncSender<Wake>,
) -> Result<notify::RecommendedWatcher, notify::Error> {
    let name: PathBuf = file.file_name().map(PathBuf::from).unwrap_or_default();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // The store's own database lies in the same directory; what is not about the file is dropped here.
        let ours = match &event {
            Ok(event) => {
                !is_only_a_look(event.kind)
                    && (event.need_rescan()
                        || event.paths.is_empty()
                        || event.paths.iter().any(|path| path.ends_with(&name)))
            }
            Err(_) => true,
        };
        if ours && let Err(TrySendError::Disconnected(_)) = wake.try_send(Wake::Look) {
            tracing::debug!("the kill file's watch has ended");
        }
    })?;
    watcher.watch(dir, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Whether the event is somebody reading, such as ourselves: looking because of it would never end.
const fn is_only_a_look(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

fn look(file: &Path, signals: &Signals, woken: &Receiver<Wake>, poll: Duration) {
    loop {
        match woken.recv_timeout(poll) {
            Ok(Wake::End) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(Wake::Look) | Err(RecvTimeoutError::Timeout) => {}
        }
        signals.set_kill_file(settled(file, &signals.kill_set().file));
    }
}

/// What the file says, once it has stopped being written.
fn settled(file: &Path, before: &Stops) -> Stops {
    let stops = read_kill_file(file);
    if stops.all.is_none() || before.all.is_some() {
        return stops;
    }
    std::thread::sleep(SETTLE);
    read_kill_file(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_no_change() {
        assert!(is_only_a_look(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(is_only_a_look(EventKind::Access(AccessKind::Close(AccessMode::Read))));
        assert!(!is_only_a_look(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(!is_only_a_look(EventKind::Any));
    }
}
