//! Watches the file `kill`, so that `touch ~/.doorward/kill` stops traffic at once, also when nothing
//! else of Doorward answers any more.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{POLL, Watch};
use crate::Signals;
use crate::error::StoreError;
use crate::home::Home;
use crate::kill::{Stops, read_kill_file};

/// How long a file that became empty is given to fill. A shell's `echo alice > kill` creates it first and
/// writes then; in between it says "everything".
const SETTLE: Duration = Duration::from_millis(20);

/// A running watch; ends when dropped.
#[derive(Debug)]
pub struct KillWatch {
    _watch: Watch,
    /// Whether the operating system's events come; if not, only the poll does.
    pub events: bool,
}

impl KillWatch {
    /// Reads the kill file of `home` now, and again whenever it changes, into `signals`.
    ///
    /// # Errors
    /// If no thread can be started. If the system has no events to give, the poll alone remains.
    pub fn start(home: &Home, signals: Arc<Signals>) -> Result<Self, StoreError> {
        let file = home.kill_file();
        let files = vec![std::path::absolute(&file).unwrap_or_else(|_| file.clone())];
        let (first, again) = (Arc::clone(&signals), file.clone());
        let watch = Watch::start("doorward-kill", &files.clone(), move |woken, events| {
            // What happened before the watch was there is seen by this look.
            signals.set_kill_file(settled(&again, &signals.kill_set().file));
            while woken.wait(POLL).is_some() {
                events.aim(&files);
                signals.set_kill_file(settled(&again, &signals.kill_set().file));
            }
        })?;
        first.set_kill_file(read_kill_file(&file));
        let events = watch.events;
        Ok(Self { _watch: watch, events })
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
