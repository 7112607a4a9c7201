//! What agents were to write and Doorward held: contents by their SHA-256, where they were to go, what became of them.
//!
//! In the folder `quarantine` of the home directory lie two files for each content, both encrypted with the store's key:
//! `DIGEST.content` and `DIGEST.record`. The record outlives a content that was purged, until it is cleared or too old.
//! Content is decrypted for people only; nothing of it is ever unpacked or run here.

use doorward_core::syntax::hex;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use doorward_core::session::Millis;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::error::{StoreError, at};
use crate::home::{Home, write_atomic};
use crate::private;
use crate::retention::Hold;
use crate::seal::{Column, Sealer};

mod kind;
pub use kind::kind;

mod record;
pub use record::{Done, Item, Place, State};

#[cfg(test)]
mod tests;

/// The largest content that is kept, in bytes.
pub const MAX_ITEM: usize = 16 << 20;

/// The most contents that are kept.
pub const MOST_ITEMS: usize = 1000;

/// The most records, those without content included.
pub const MOST_RECORDS: usize = 4096;

/// The most places of one content; beyond it the oldest goes, and is counted.
pub const MOST_PLACES: usize = 64;

/// The most acts that a record tells of; beyond it the oldest goes.
const MOST_DONE: usize = 32;

const CONTENT: &str = ".content";
const RECORD: &str = ".record";

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of all contents together.
    pub total: u64,
    /// How long after it was last to be written something is kept, in milliseconds.
    pub age: Millis,
}

impl Default for Limits {
    /// 256 MiB, 30 days.
    fn default() -> Self {
        Self { total: 256 << 20, age: 30 * 24 * 60 * 60 * 1000 }
    }
}

/// Why a content is not kept. Its path is held all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// It is too large.
    #[error("it has {0} bytes, and at most {MAX_ITEM} are kept")]
    TooLarge(usize),
    /// There is no room.
    #[error("the quarantine is full; `doorward quarantine purge` or `clear` makes room")]
    Full,
    /// It could not be written.
    #[error("{0}")]
    Failed(String),
}

/// Why an act was not done.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// Nothing is kept under this name.
    #[error("nothing in quarantine is called {0}")]
    Unknown(String),
    /// Several are.
    #[error("several things in quarantine begin with {0}; write more of the digest")]
    Ambiguous(String),
    /// Its content is gone, or was never kept.
    #[error("the content of {0} is not kept ({1})")]
    Gone(String, &'static str),
    /// It could not be written or read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The quarantine of one home directory.
pub struct Quarantine {
    folder: PathBuf,
    sealer: Sealer,
    limits: Limits,
    shelf: Mutex<BTreeMap<[u8; 32], Item>>,
    /// Moves whenever the paths do that are held.
    revision: AtomicU64,
}

impl std::fmt::Debug for Quarantine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quarantine").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Quarantine {
    /// The quarantine of `home`, with the records of earlier processes. Nothing is made before something is kept.
    ///
    /// # Errors
    /// If the folder, the key or a record cannot be read: a record that is passed over would be a path no longer held.
    pub fn open(home: &Home, limits: Limits) -> Result<Self, StoreError> {
        let folder = home.root().join("quarantine");
        let sealer = Sealer::new(&home.store_key()?);
        let mut shelf = BTreeMap::new();
        for digest in digests_in(&folder)? {
            let item = read_record(&folder, &sealer, &digest)?;
            shelf.insert(digest, item);
        }
        Ok(Self { folder, sealer, limits, shelf: Mutex::new(shelf), revision: AtomicU64::new(1) })
    }

    /// Keeps `content`, which was to go to `place`. The path is held from then on, whether or not the content is kept.
    ///
    /// # Errors
    /// [`NotKept`].
    pub fn keep(&self, content: &[u8], place: Place) -> Result<(), NotKept> {
        let digest: [u8; 32] = Sha256::digest(content).into();
        let mut shelf = self.shelf();
        self.make_room(&mut shelf);
        let known = shelf.get(&digest).is_some_and(|item| item.has_content());
        let kept = if known { Ok(()) } else { self.write_content(&shelf, &digest, content) };
        let item = shelf.entry(digest).or_insert_with(|| Item {
            digest,
            size: content.len() as u64,
            kind: kind(content),
            state: State::NotKept,
            purged: false,
            places: Vec::new(),
            more: 0,
            done: Vec::new(),
        });
        item.state = if kept.is_ok() { State::Held } else { State::NotKept };
        item.purged = false;
        item.add(place);
        let written = self.write_record(item);
        self.revision.fetch_add(1, Ordering::Release);
        kept?;
        written.map_err(|error| NotKept::Failed(error.to_string()))
    }

    /// Notes under which receipt it was decided that `digest` is held, at the places that have none yet.
    pub fn decided(&self, digest: &[u8; 32], receipt: &str) {
        let mut shelf = self.shelf();
        let Some(item) = shelf.get_mut(digest) else { return };
        for place in item.places.iter_mut().filter(|place| place.receipt.is_empty()) {
            receipt.clone_into(&mut place.receipt);
        }
        if let Err(error) = self.write_record(item) {
            tracing::warn!(%error, "it could not be noted under which receipt something is held");
        }
    }

    /// All records, what was last to be written first.
    #[must_use]
    pub fn list(&self) -> Vec<Item> {
        let mut all: Vec<Item> = self.shelf().values().cloned().collect();
        all.sort_by_key(|item| (std::cmp::Reverse(item.last()), item.digest));
        all
    }

    /// How many bytes of content are kept, and how many may be.
    #[must_use]
    pub fn room(&self) -> (u64, u64) {
        (used(&self.shelf()), self.limits.total)
    }

    /// The paths at which nothing is to be run.
    #[must_use]
    pub fn held_paths(&self) -> Vec<String> {
        let shelf = self.shelf();
        let held = shelf.values().filter(|item| item.state != State::Released);
        let places = held.flat_map(|item| &item.places);
        places.filter(|place| !place.path.is_empty()).map(|place| place.path.clone()).collect()
    }

    /// Moves whenever they do.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// What is called `name`: a digest, at least eight digits of its beginning, or a receipt.
    ///
    /// # Errors
    /// [`NotDone::Unknown`], [`NotDone::Ambiguous`].
    pub fn find(&self, name: &str) -> Result<Item, NotDone> {
        let shelf = self.shelf();
        let digits = name.strip_prefix("sha256:").unwrap_or(name).to_ascii_lowercase();
        let by_digest = digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let named = |item: &&Item| {
            by_digest && item.name().starts_with(&digits)
                || name.len() >= 20 && item.places.iter().any(|place| place.receipt == name)
        };
        let mut found = shelf.values().filter(named);
        let shown = || name.chars().filter(|c| !c.is_control()).take(80).collect::<String>();
        let item = found.next().ok_or_else(|| NotDone::Unknown(shown()))?;
        if found.next().is_some() {
            return Err(NotDone::Ambiguous(shown()));
        }
        Ok(item.clone())
    }

    /// The content of `item`, its digest checked.
    ///
    /// # Errors
    /// [`NotDone::Gone`]; [`NotDone::Store`] if it cannot be read or is not what was kept.
    pub fn content(&self, item: &Item) -> Result<Zeroizing<Vec<u8>>, NotDone> {
        if !item.has_content() {
            return Err(NotDone::Gone(item.name(), item.state.as_str()));
        }
        let name = item.name();
        let sealed = read(&self.folder, &name, CONTENT, MAX_ITEM as u64 + 1024)?;
        let content = self.sealer.open(Column::Held, &name, &sealed)?;
        let digest: [u8; 32] = Sha256::digest(&*content).into();
        if digest == item.digest {
            return Ok(content);
        }
        Err(StoreError::Damaged { what: Column::Held.as_str(), row: name }.into())
    }

    /// Notes that a person released it, to `to`: its paths are held no more. The content stays until it is purged or too
    /// old.
    ///
    /// # Errors
    /// [`NotDone`].
    pub fn release(&self, item: &Item, done: Done) -> Result<Item, NotDone> {
        // What cannot be read any more is not released.
        self.content(item)?;
        self.change(item, |item| item.state = State::Released, done)
    }

    /// Destroys the content. The record stays, and so do the paths that it holds.
    ///
    /// # Errors
    /// [`NotDone`].
    pub fn purge(&self, item: &Item, done: Done) -> Result<Item, NotDone> {
        remove(&self.folder, &item.name(), CONTENT)?;
        let purged = |item: &mut Item| {
            item.state = if item.state == State::Released { State::Released } else { State::Purged };
            item.purged = true;
        };
        self.change(item, purged, done)
    }

    /// Forgets `item`: content, record and the paths that it holds.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn clear(&self, item: &Item) -> Result<(), NotDone> {
        let mut shelf = self.shelf();
        self.forget(&mut shelf, &item.digest)?;
        Ok(())
    }

    /// Forgets what is older than the limits allow at `now` and not held. Returns how many.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn sweep(&self, now: Millis, holds: &[Hold]) -> Result<usize, StoreError> {
        let before = now.saturating_sub(self.limits.age);
        let mut shelf = self.shelf();
        let old: Vec<[u8; 32]> = shelf
            .values()
            .filter(|item| item.last() < before && !item.is_held(holds))
            .map(|item| item.digest)
            .collect();
        for digest in &old {
            self.forget(&mut shelf, digest)?;
        }
        Ok(old.len())
    }

    /// Forgets the places of `agent` that are not held, and what has no place any more: its path is held no longer. Returns
    /// how many places went, and how many stayed.
    ///
    /// # Errors
    /// If a file cannot be written or removed.
    pub(crate) fn scrub(&self, agent: &str, holds: &[Hold]) -> Result<(u64, u64), StoreError> {
        let mut shelf = self.shelf();
        let (mut gone, mut held) = (0, 0);
        let digests: Vec<[u8; 32]> = shelf.keys().copied().collect();
        for digest in digests {
            let Some(item) = shelf.get_mut(&digest) else { continue };
            let before = item.places.len();
            held += item.places.iter().filter(|place| place.agent == agent && place.is_held(holds)).count();
            item.places.retain(|place| place.agent != agent || place.is_held(holds));
            gone += before - item.places.len();
            if item.places.is_empty() && before > 0 {
                self.forget(&mut shelf, &digest)?;
            } else if item.places.len() < before {
                self.write_record(item)?;
                self.revision.fetch_add(1, Ordering::Release);
            }
        }
        Ok((gone as u64, held as u64))
    }

    fn shelf(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Item>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, item: &Item, change: impl FnOnce(&mut Item), done: Done) -> Result<Item, NotDone> {
        let mut shelf = self.shelf();
        let item = shelf.get_mut(&item.digest).ok_or_else(|| NotDone::Unknown(item.name()))?;
        change(item);
        item.done.push(done);
        let beyond = item.done.len().saturating_sub(MOST_DONE);
        item.done.drain(..beyond);
        self.revision.fetch_add(1, Ordering::Release);
        self.write_record(item)?;
        Ok(item.clone())
    }

    /// Records without content go first; one with content never goes for another.
    fn make_room(&self, shelf: &mut BTreeMap<[u8; 32], Item>) {
        while shelf.len() >= MOST_RECORDS {
            let empty = shelf.values().filter(|item| !item.has_content());
            let Some(digest) = empty.min_by_key(|item| item.last()).map(|item| item.digest) else { return };
            tracing::warn!("a record of the quarantine is dropped to make room for another");
            if self.forget(shelf, &digest).is_err() {
                return;
            }
        }
    }

    fn forget(&self, shelf: &mut BTreeMap<[u8; 32], Item>, digest: &[u8; 32]) -> Result<(), StoreError> {
        let name = hex(digest);
        remove(&self.folder, &name, CONTENT)?;
        remove(&self.folder, &name, RECORD)?;
        shelf.remove(digest);
        self.revision.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn write_content(
        &self,
        shelf: &BTreeMap<[u8; 32], Item>,
        digest: &[u8; 32],
        content: &[u8],
    ) -> Result<(), NotKept> {
        if content.len() > MAX_ITEM {
            return Err(NotKept::TooLarge(content.len()));
        }
        let count = shelf.values().filter(|item| item.has_content()).count();
        let is_full = used(shelf).saturating_add(content.len() as u64) > self.limits.total;
        if is_full || count >= MOST_ITEMS {
            return Err(NotKept::Full);
        }
        let write = || {
            private::create_dir(&self.folder).map_err(at("create the directory", &self.folder))?;
            let name = hex(digest);
            let sealed = self.sealer.seal(Column::Held, &name, content)?;
            write_atomic(&file(&self.folder, &name, CONTENT), &sealed)
        };
        write().map_err(|error| NotKept::Failed(error.to_string()))
    }

    fn write_record(&self, item: &Item) -> Result<(), StoreError> {
        private::create_dir(&self.folder).map_err(at("create the directory", &self.folder))?;
        let name = item.name();
        let sealed = self.sealer.seal(Column::HeldRecord, &name, &item.encode())?;
        write_atomic(&file(&self.folder, &name, RECORD), &sealed)
    }
}

fn used(shelf: &BTreeMap<[u8; 32], Item>) -> u64 {
    shelf.values().filter(|item| item.has_content()).map(|item| item.size).sum()
}

/// The digests of which there are records. A file that is called otherwise is passed over.
fn digests_in(folder: &Path) -> Result<Vec<[u8; 32]>, StoreError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at("read", folder)(error)),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| digest_of(name.strip_suffix(RECORD)?)).take(MOST_RECORDS).collect())
}

fn read_record(folder: &Path, sealer: &Sealer, digest: &[u8; 32]) -> Result<Item, StoreError> {
    let name = hex(digest);
    let sealed = read(folder, &name, RECORD, 4 << 20)?;
    let plain = sealer.open(Column::HeldRecord, &name, &sealed)?;
    let damaged = || StoreError::Damaged { what: Column::HeldRecord.as_str(), row: name.clone() };
    Item::decode(&plain).filter(|item| item.digest == *digest).ok_or_else(damaged)
}

fn read(folder: &Path, name: &str, end: &str, most: u64) -> Result<Vec<u8>, StoreError> {
    let path = file(folder, name, end);
    let failed = at("read", &path);
    let file = std::fs::File::open(&path).map_err(&failed)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(&failed)?;
    if bytes.len() as u64 > most {
        return Err(failed(std::io::Error::other("larger than anything that is kept")));
    }
    Ok(bytes)
}

fn remove(folder: &Path, name: &str, end: &str) -> Result<(), StoreError> {
    let path = file(folder, name, end);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at("remove", &path)(error)),
        _ => Ok(()),
    }
}

fn file(folder: &Path, name: &str, end: &str) -> PathBuf {
    folder.join(format!("{name}{end}"))
}

fn digest_of(name: &str) -> Option<[u8; 32]> {
    if name.len() != 64 || !name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?);
    name.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()
}
