//! The operating system's events about some files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::places::places;
use super::{Wake, wake};

/// Directories by path, each with what tells it from another one that takes its place.
type Watched = BTreeMap<PathBuf, Option<Identity>>;

/// Watches directories and wakes a thread at what concerns its files.
pub(super) struct Events {
    wake: SyncSender<Wake>,
    writing: Arc<AtomicBool>,
    names: Arc<Mutex<BTreeSet<OsString>>>,
    watched: Watched,
    watcher: Option<RecommendedWatcher>,
}

impl Events {
    pub fn new(wake: SyncSender<Wake>, writing: Arc<AtomicBool>) -> Self {
        Self { wake, writing, names: Arc::default(), watched: Watched::new(), watcher: None }
    }

    /// Whether events come for every directory there is.
    pub const fn come(&self) -> bool {
        self.watcher.is_some()
    }

    /// Watches these files from now on. `true` if something else is watched than before: what happened in between
    /// was not seen, so it is time for a look.
    pub fn aim(&mut self, files: &[PathBuf]) -> bool {
        let (mut dirs, mut names) = (Watched::new(), BTreeSet::new());
        for (dir, name) in files.iter().flat_map(|file| places(file)) {
            names.insert(name);
            let identity = identity(&dir);
            dirs.insert(dir, identity);
        }
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
        if dirs == self.watched && self.watcher.is_some() {
            return false;
        }
        self.watcher = match self.watch(&dirs) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                if dirs != self.watched || self.watched.is_empty() {
                    tracing::warn!(%error, "no file events: files are looked at every second");
                }
                None
            }
        };
        std::mem::replace(&mut self.watched, dirs) != self.watched
    }

    fn watch(&self, dirs: &Watched) -> Result<RecommendedWatcher, notify::Error> {
        let (names, sender, writing) =
            (Arc::clone(&self.names), self.wake.clone(), Arc::clone(&self.writing));
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Other files lie in the same directories, our own database among them.
            let ours = match &event {
                Ok(event) => {
                    let names = || names.lock().unwrap_or_else(PoisonError::into_inner);
                    !is_only_a_look(event.kind)
                        && (event.need_rescan()
                            || event.paths.is_empty()
                            || event
                                .paths
                                .iter()
                                .any(|path| path.file_name().is_some_and(|name| names().contains(name))))
                }
                Err(_) => true,
            };
            if ours {
                if let Ok(event) = &event {
                    note_writing(event.kind, &writing);
                }
                wake(&sender);
            }
        })?;
        // A directory that is not there yet is found by the poll.
        for (dir, _) in dirs.iter().filter(|(_, identity)| identity.is_some()) {
            watcher.watch(dir, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    }
}

/// Notes whether a file is written at this moment.
fn note_writing(kind: EventKind, writing: &AtomicBool) {
    match kind {
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => {
            writing.store(true, Ordering::Relaxed);
        }
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(_))
        | EventKind::Remove(_) => writing.store(false, Ordering::Relaxed),
        _ => {}
    }
}

/// Whether the event is somebody reading, such as ourselves: looking because of it would never end.
const fn is_only_a_look(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

/// Device and number of a directory: a watch stays with the directory when another takes its name.
#[derive(Debug, PartialEq, Eq)]
struct Identity(u64, u64);

fn identity(dir: &std::path::Path) -> Option<Identity> {
    let metadata = std::fs::metadata(dir).ok().filter(std::fs::Metadata::is_dir)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Some(Identity(metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        Some(Identity(0, 0))
    }
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
