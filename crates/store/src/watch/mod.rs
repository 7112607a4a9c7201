//! Watches files that a person changes while Doorward runs: the file `kill`, and the policy.
//!
//! Events come from the operating system, for directories: a file that is not there cannot be watched. Behind
//! them a slow poll, because events get lost (network file systems, a replaced directory, full queues).
//!
//! - [`KillWatch`]: the kill file, read at once, whatever is in it.
//! - [`FileWatch`]: files that count only when they are written to the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{StoreError, at};

mod events;
use events::Events;

mod files;
pub use files::FileWatch;

mod kill;
pub use kill::KillWatch;

mod places;

/// How often files are looked at without any event.
pub const POLL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    Look,
    End,
}

/// A thread that watches; ends when dropped.
#[derive(Debug)]
struct Watch {
    wake: SyncSender<Wake>,
    thread: Option<JoinHandle<()>>,
    /// Whether the operating system's events come; if not, only the poll does.
    events: bool,
}

/// What the thread waits on.
struct Woken {
    receiver: Receiver<Wake>,
    /// Whether the last event about a file's content was not its being closed: somebody is writing.
    writing: Arc<AtomicBool>,
}

impl Woken {
    /// Waits for an event, at most this long. `None` at the end, else whether there was one.
    fn wait(&self, at_most: Duration) -> Option<bool> {
        match self.receiver.recv_timeout(at_most) {
            Ok(Wake::Look) => Some(true),
            Err(RecvTimeoutError::Timeout) => Some(false),
            Ok(Wake::End) | Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn is_being_written(&self) -> bool {
        self.writing.load(Ordering::Relaxed)
    }
}

impl Watch {
    /// Watches `files` and runs `run` on a thread called `name`.
    fn start(
        name: &str,
        files: &[PathBuf],
        run: impl FnOnce(&Woken, &mut Events) + Send + 'static,
    ) -> Result<Self, StoreError> {
        // One waiting wake is enough: looking once sees all changes before it.
        let (wake, receiver) = sync_channel(1);
        let writing = Arc::new(AtomicBool::new(false));
        let mut events = Events::new(wake.clone(), Arc::clone(&writing));
        events.aim(files);
        let come = events.come();
        let woken = Woken { receiver, writing };
        let first = files.first().cloned().unwrap_or_default();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&woken, &mut events))
            .map_err(at("start watching", &first))?;
        Ok(Self { wake, thread: Some(thread), events: come })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Waits for room, at most until the thread takes what is there.
        if self.wake.send(Wake::End).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// Wakes the thread, unless it is about to look anyway.
fn wake(sender: &SyncSender<Wake>) {
    if let Err(TrySendError::Disconnected(_)) = sender.try_send(Wake::Look) {
        tracing::debug!("a watch has ended");
    }
}
