//! Watches files that count only when they are written to the end: half of a policy can be a policy, one with
//! fewer rules.

use std::collections::HashSet;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::{POLL, Watch, Woken};
use crate::error::StoreError;

/// How long it has to be quiet around a file that was closed, or moved into place: several files may change
/// together.
const QUICK: Duration = Duration::from_millis(10);

/// The same where nothing says that the file was closed: its writer may only be slow.
const SLOW: Duration = Duration::from_millis(500);

/// A running watch; ends when dropped.
#[derive(Debug)]
pub struct FileWatch {
    _watch: Watch,
    /// Whether the operating system's events come; if not, only the poll does, once in a second.
    pub events: bool,
}

impl FileWatch {
    /// Calls `changed` on a thread called `name` whenever one of `files` has changed, come or gone, once it has
    /// stopped changing; and once at the beginning. What `changed` returns is watched from then on.
    ///
    /// # Errors
    /// If no thread can be started. If the system has no events to give, the poll alone remains.
    pub fn start(
        name: &str,
        files: Vec<PathBuf>,
        mut changed: impl FnMut() -> Vec<PathBuf> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let mut files = absolute(files);
        let watch = Watch::start(name, &files.clone(), move |woken, events| {
            let mut before = None;
            let mut there = HashSet::new();
            let mut event = false;
            loop {
                let now = Some(states(&files));
                if event || now != before {
                    // No event says what was going on before the beginning.
                    let begun = before.is_some() || is_fresh(&files);
                    if before.is_none() && begun {
                        woken.writing.store(true, Ordering::Relaxed);
                    }
                    if begun && !settle(woken, &files, &there) {
                        return;
                    }
                    before = Some(states(&files));
                    there = files
                        .iter()
                        .filter(|file| matches!(state(file), State::There { .. }))
                        .cloned()
                        .collect();
                    files = absolute(changed());
                }
                if events.aim(&files) && before.is_some() {
                    // Between the look and the new watch.
                    event = false;
                    if before.as_ref() != Some(&states(&files)) {
                        continue;
                    }
                }
                match woken.wait(POLL) {
                    Some(came) => event = came,
                    None => return,
                }
            }
        })?;
        let events = watch.events;
        Ok(Self { _watch: watch, events })
    }
}

/// Waits until nothing happens to the files any more, of which some were `there` before; `false` at the end of the watch.
fn settle(woken: &Woken, files: &[PathBuf], there: &HashSet<PathBuf>) -> bool {
    let mut before = states(files);
    let mut told = Duration::ZERO;
    loop {
        // A file that is gone may be on its way back: some programs delete and write anew. One that was not there
        // holds nothing up: a policy that changed every 150 ms was not read while another file was missing.
        let gone = files
            .iter()
            .zip(&before)
            .any(|(file, state)| matches!(state, State::Not(_)) && there.contains(file));
        let quiet = if woken.is_being_written() || gone { SLOW } else { QUICK };
        match woken.wait(quiet) {
            None => return false,
            Some(event) => {
                let now = states(files);
                if !event && now == before {
                    woken.writing.store(false, std::sync::atomic::Ordering::Relaxed);
                    return true;
                }
                before = now;
            }
        }
        told += quiet;
        if told > Duration::from_secs(30) {
            told = Duration::ZERO;
            tracing::warn!("a watched file is written without a pause, so it is not read");
        }
    }
}

/// Whether one of them was written to so lately that its writer may not be done.
fn is_fresh(files: &[PathBuf]) -> bool {
    let written = files.iter().filter_map(|file| std::fs::metadata(file).ok()?.modified().ok());
    written.into_iter().any(|at| at.elapsed().is_ok_and(|age| age < SLOW))
}

fn absolute(files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.into_iter().map(|file| std::path::absolute(&file).unwrap_or(file)).collect()
}

/// What tells one content of a file from another without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    There { file: (u64, u64), length: u64, written: Option<SystemTime>, changed: (i64, i64) },
    Not(io::ErrorKind),
}

fn states(files: &[PathBuf]) -> Vec<State> {
    files.iter().map(|file| state(file)).collect()
}

fn state(file: &Path) -> State {
    match std::fs::metadata(file) {
        Ok(metadata) => {
            let (file, changed) = inner(&metadata);
            State::There { file, length: metadata.len(), written: metadata.modified().ok(), changed }
        }
        Err(error) => State::Not(error.kind()),
    }
}

/// Which file it is, and when anything about it changed, its permissions included.
#[cfg(unix)]
fn inner(metadata: &Metadata) -> ((u64, u64), (i64, i64)) {
    use std::os::unix::fs::MetadataExt as _;
    ((metadata.dev(), metadata.ino()), (metadata.ctime(), metadata.ctime_nsec()))
}

#[cfg(not(unix))]
fn inner(_: &Metadata) -> ((u64, u64), (i64, i64)) {
    ((0, 0), (0, 0))
}
