//! Appending: one process, one write per group, and a known good length to go back to.

use super::error::{LogError, no_space};
use super::index::SegmentIndex;
use super::os;
use super::record::{HEADER, segment_path, write_checkpoint, write_entry, write_header};
use super::reserve::Reserve;
use super::tail::Tail;
use super::tree::TILE;
use super::view::{Loaded, Place, Segment, View};
use crate::keys::SigningKey;
use crate::note::{Checkpoint, SignedCheckpoint};
use crate::receipt::{Draft, Kind, Leaf};
use crate::rotation;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// What an append has survived once it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The end of this process, `kill -9` included; not a power failure.
    #[default]
    Os,
    /// A power failure too: every group is synchronised to the disk.
    Disk,
}

/// How to open a log.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// What an append must survive.
    pub durability: Durability,
    /// A segment is closed once it is this long. It also bounds what opening the log reads and hashes.
    pub segment_bytes: u64,
    /// A checkpoint of this log remembered elsewhere; the log must contain it.
    pub remembered: Option<SignedCheckpoint>,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { durability: Durability::Os, segment_bytes: 16 << 20, remembered: None }
    }
}

/// A cut-off write that opening the log removed; none of it had been acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The segment file.
    pub segment: PathBuf,
    /// Its length now.
    pub offset: u64,
    /// How many bytes were cut.
    pub bytes: u64,
}

/// A log open for appending. Only one exists per directory, across processes.
#[derive(Debug)]
pub struct Log {
    view: View,
    key: SigningKey,
    /// The key that is about to take its place.
    next: Option<SigningKey>,
    options: LogOptions,
    reserve: Reserve,
    recovery: Option<Recovery>,
    /// Unlocked when the log is dropped.
    _lock: File,
    /// The last segment, unless the next append begins one.
    file: Option<File>,
    buf: Vec<u8>,
    /// Why nothing is taken any more.
    fault: Option<String>,
    #[cfg(test)]
    pub(super) disk: super::tests::FakeDisk,
}

impl Log {
    /// Opens or creates the log in `dir`, with default segments and nothing remembered.
    ///
    /// # Errors
    /// See [`Log::open_with`].
    pub fn open(dir: &Path, key: SigningKey, durability: Durability) -> Result<Log, LogError> {
        Log::open_with(dir, key, LogOptions { durability, ..LogOptions::default() })
    }

    /// Opens or creates the log in `dir`. A write cut off by a crash is removed (see [`Log::recovery`]); any other
    /// deviation is an error and nothing is changed.
    ///
    /// # Errors
    /// [`LogError::InUse`] if another process has it, [`LogError::Corrupt`], [`LogError::WrongKey`],
    /// [`LogError::RolledBack`] against a remembered checkpoint, or what the operating system said.
    pub fn open_with(dir: &Path, key: SigningKey, options: LogOptions) -> Result<Log, LogError> {
        let segments = dir.join("segments");
        os::create_private_dir(dir).map_err(LogError::io("create the directory", dir))?;
        os::create_private_dir(&segments).map_err(LogError::io("create the directory", &segments))?;
        let lock = lock(dir)?;
        let Loaded { mut view, tail, by_index } = View::load(dir, key.public())?;
        // Checked before the tail is cut: a refused log is left exactly as it was found.
        check_remembered(&view, options.remembered.as_ref())?;
        let recovery = cut_tail(&mut view, tail)?;
        let mut log = Log {
            reserve: Reserve::new(dir),
            view,
            key,
            next: None,
            options,
            recovery,
            _lock: lock,
            file: None,
            buf: Vec::new(),
            fault: None,
            #[cfg(test)]
            disk: super::tests::FakeDisk::default(),
        };
        log.index_closed_segments(by_index);
        // A full disk is no reason to refuse reading and the last words; appending will say so.
        match log.reserve.hold() {
            Ok(()) | Err(LogError::StorageFull { .. }) => Ok(log),
            Err(e) => Err(e),
        }
    }

    /// What opening the log had to cut off, if anything: a sign of an unclean shutdown.
    pub fn recovery(&self) -> Option<&Recovery> {
        self.recovery.as_ref()
    }

    /// For reading.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The newest checkpoint; `None` while the log is empty.
    pub fn checkpoint(&self) -> Option<&SignedCheckpoint> {
        self.view.checkpoint()
    }

    /// Number of receipts.
    pub fn size(&self) -> u64 {
        self.view.size()
    }

    /// What an append survives.
    pub const fn durability(&self) -> Durability {
        self.options.durability
    }

    /// Why nothing can be appended just now; `None` when all is well. A full disk is noticed by appending.
    pub fn trouble(&self) -> Option<String> {
        if self.fault.is_none() && !self.reserve.is_held() {
            return Some("the disk is full: the ledger's reserve is used".to_owned());
        }
        self.fault.clone()
    }

    /// Appends `leaves` and one signed checkpoint over everything so far, in one write. The last leaf gets index
    /// `checkpoint.size() - 1`. Either all of it is in the log, or none.
    ///
    /// # Errors
    /// [`LogError::StorageFull`] and other write errors leave the log as it was; it can be tried again. If that
    /// could not be made sure, or a synchronisation failed, everything further is [`LogError::Refusing`].
    pub fn append(&mut self, leaves: &[Leaf]) -> Result<SignedCheckpoint, LogError> {
        if !self.reserve.is_held() {
            self.hold_reserve()?;
        }
        self.write_group(leaves)
    }

    /// [`Log::append`] for the kill switch and for the failure itself: on a full disk it uses the reserve.
    ///
    /// # Errors
    /// As [`Log::append`], once the reserve is used up too.
    pub fn append_reserved(&mut self, leaves: &[Leaf]) -> Result<SignedCheckpoint, LogError> {
        match self.write_group(leaves) {
            Err(LogError::StorageFull { .. }) if self.reserve.is_held() => {
                self.release_reserve()?;
                self.write_group(leaves)
            }
            result => result,
        }
    }

    /// Goes on under `next`, which has the name of the log: appends the receipt that says so, signed by both keys, and a
    /// checkpoint signed by both. From then on `next` alone signs.
    ///
    /// # Errors
    /// As [`Log::append`]; [`LogError::Refusing`] if it is no key of this log's name, or the same one.
    pub fn rotate(&mut self, next: SigningKey, id: &str, time_ms: u64) -> Result<SignedCheckpoint, LogError> {
        let (old, new) = (self.key.public(), next.public());
        if old.name() != new.name() || old.bytes() == new.bytes() {
            return Err(LogError::Refusing(
                "the next key must be another one, under the log's name".to_owned(),
            ));
        }
        if !self.reserve.is_held() {
            self.hold_reserve()?;
        }
        let said = rotation::signed(&self.key, &next, self.view.tree.size(), &self.view.tree.root());
        let draft = Draft::new(Kind::KeyRotation, id, time_ms, new.name()).member(rotation::MEMBER, said);
        let leaf = draft.seal().map_err(|error| LogError::Refusing(error.to_string()))?;
        self.next = Some(next);
        // Whatever else may be lost: a key that signs and no log that says so would be the end of the log.
        let durability = std::mem::replace(&mut self.options.durability, Durability::Disk);
        let written = self.write_group(&[leaf]);
        self.options.durability = durability;
        let next = self.next.take();
        if written.is_ok()
            && let Some(next) = next
        {
            self.view.trusted = next.public().clone();
            self.key = next;
        }
        written
    }

    fn hold_reserve(&mut self) -> Result<(), LogError> {
        #[cfg(test)]
        self.disk.take(super::reserve::RESERVE_BYTES).map_err(|_| self.full())?;
        self.reserve.hold()
    }

    fn release_reserve(&mut self) -> Result<(), LogError> {
        #[cfg(test)]
        self.disk.free(super::reserve::RESERVE_BYTES);
        self.reserve.release()
    }

    fn full(&self) -> LogError {
        LogError::StorageFull { dir: self.view.dir.clone() }
    }

    fn write_group(&mut self, leaves: &[Leaf]) -> Result<SignedCheckpoint, LogError> {
        if let Some(fault) = &self.fault {
            return Err(LogError::Refusing(fault.clone()));
        }
        if leaves.is_empty() {
            return self.view.checkpoint.clone().ok_or(LogError::NothingToAppend);
        }
        let begins =
            self.view.segments.last().is_none_or(|segment| segment.len >= self.options.segment_bytes);
        if begins {
            self.begin_segment()?;
        } else if self.file.is_none() {
            self.reopen_segment()?;
        }
        let mark = self.view.tree.mark();
        let (checkpoint, places) = self.encode_group(leaves);
        match self.write_buffer() {
            Ok(()) => {
                self.accept(checkpoint.clone(), &places);
                Ok(checkpoint)
            }
            Err(error) => {
                self.view.tree.restore(mark);
                Err(error)
            }
        }
    }

    /// Fills the buffer, grows the tree, signs. Gives the offsets of entries whose index is a multiple of 256.
    fn encode_group(&mut self, leaves: &[Leaf]) -> (SignedCheckpoint, Vec<u64>) {
        let (first, len) = self.view.segments.last().map_or((0, 0), |segment| (segment.first, segment.len));
        self.buf.clear();
        if len == 0 {
            write_header(first, &mut self.buf);
        }
        let mut places = Vec::new();
        for leaf in leaves {
            let index = self.view.tree.size();
            if index.is_multiple_of(TILE) {
                places.push(len + self.buf.len() as u64);
            }
            write_entry(index, leaf.hash(), leaf.bytes(), &mut self.buf);
            self.view.tree.push(*leaf.hash());
        }
        let (size, root) = (self.view.tree.size(), self.view.tree.root());
        let checkpoint = match &self.next {
            None => Checkpoint::sign(size, root, &self.key),
            // The new one first: cut off in the middle, this is no checkpoint of the old key yet.
            Some(next) => Checkpoint::sign_by(size, root, &[next, &self.key]),
        };
        write_checkpoint(checkpoint.text(), &mut self.buf);
        (checkpoint, places)
    }

    /// Takes the group just written into the view.
    fn accept(&mut self, checkpoint: SignedCheckpoint, places: &[u64]) {
        let number = self.view.segments.len().saturating_sub(1) as u32;
        self.view.places.extend(places.iter().map(|&offset| Place { segment: number, offset }));
        if let Some(segment) = self.view.segments.last_mut() {
            segment.len += self.buf.len() as u64;
            segment.end = checkpoint.size();
        }
        self.view.checkpoint = Some(checkpoint);
        // One enormous group must not hold its memory for ever.
        self.buf.shrink_to(8 << 20);
    }

    fn write_buffer(&mut self) -> Result<(), LogError> {
        let Some(segment) = self.view.segments.last() else { return Ok(()) };
        let Some(file) = self.file.as_mut() else { return Ok(()) };
        #[cfg(not(test))]
        let written = file.write_all(&self.buf);
        #[cfg(test)]
        let written = self.disk.write_all(file, &self.buf);
        if let Err(error) = written {
            return Err(self.step_back(error));
        }
        if self.options.durability == Durability::Disk {
            let synced = file.sync_data();
            if let Err(e) = synced {
                // What the disk holds is unknown now, and asking again would not tell (the kernel forgets).
                self.fault = Some(format!("{} could not be synchronised: {e}", segment.path.display()));
                return Err(LogError::io("synchronise", &segment.path)(e));
            }
        }
        Ok(())
    }

    /// After a failed write: back to the length before it, or no further.
    fn step_back(&mut self, error: std::io::Error) -> LogError {
        let (path, len) =
            self.view.segments.last().map_or_else(Default::default, |s| (s.path.clone(), s.len));
        #[cfg(not(test))]
        let shortened = shorten(&path, len);
        #[cfg(test)]
        let shortened = self.disk.check_shorten().and_then(|()| shorten(&path, len));
        if shortened.is_err() {
            self.fault =
                Some(format!("{} could not be cut back after a failed write: {error}", path.display()));
        }
        if no_space(&error) { self.full() } else { LogError::io("write", &path)(error) }
    }

    fn begin_segment(&mut self) -> Result<(), LogError> {
        let first = self.view.tree.size();
        let path = segment_path(&self.view.dir, first);
        let file = os::open_private(OpenOptions::new().append(true).create(true), &path);
        // Left behind empty by an earlier attempt, if it exists at all: the view knows every segment with receipts.
        let file = file
            .and_then(|file| file.set_len(0).map(|()| file))
            .map_err(|e| if no_space(&e) { self.full() } else { LogError::io("create", &path)(e) })?;
        if self.options.durability == Durability::Disk {
            let parent = path.parent().unwrap_or(&self.view.dir);
            os::sync_dir(parent).map_err(LogError::io("synchronise", parent))?;
        }
        self.index_last_segment();
        self.file = Some(file);
        self.view.segments.push(Segment { first, end: first, len: 0, path });
        Ok(())
    }

    fn reopen_segment(&mut self) -> Result<(), LogError> {
        let Some(segment) = self.view.segments.last() else { return Ok(()) };
        let file = OpenOptions::new().append(true).open(&segment.path);
        self.file = Some(file.map_err(LogError::io("open", &segment.path))?);
        Ok(())
    }

    /// Writes the index of the segment that is being closed. Failing is harmless: it is rebuilt when missing.
    fn index_last_segment(&mut self) {
        let low = self.view.tree.low().peaks().to_vec();
        let note = self.view.checkpoint.as_ref().map(|checkpoint| checkpoint.text().to_owned());
        let number = self.view.segments.len().wrapping_sub(1);
        if let (Some(segment), Some(note)) = (self.view.segments.last(), note)
            && segment.end > segment.first
        {
            let index = self.view.segment_index(number, low, note);
            let _ = index.map(|index| index.store(&segment.path));
        }
    }

    /// Rebuilds what is missing beside earlier segments, one pass over each; then opening is quick again.
    fn index_closed_segments(&mut self, keep_existing: bool) {
        for number in 0..self.view.segments.len().saturating_sub(1) {
            let Some(segment) = self.view.segments.get(number) else { continue };
            if !keep_existing || SegmentIndex::load(&segment.path, segment.first).is_none() {
                let _ = self.view.rebuild_index(number);
            }
        }
    }
}

/// Cuts a file back to `len` bytes. A handle opened for appending may not do that on every operating system.
pub(super) fn shorten(path: &Path, len: u64) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(len)?;
    let is = file.metadata()?.len();
    if is == len { Ok(()) } else { Err(std::io::Error::other(format!("it is {is} bytes long, not {len}"))) }
}

/// Takes the directory for this process. The lock goes with the file handle, so a crash leaves nothing behind.
fn lock(dir: &Path) -> Result<File, LogError> {
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    let mut file = os::open_private(options.read(true).write(true).create(true).truncate(false), &path)
        .map_err(LogError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = (&file).take(32).read_to_string(&mut text);
            let pid = text.trim().parse::<u32>().map(|pid| format!(" (process {pid})"));
            return Err(LogError::InUse { dir: dir.to_owned(), by: pid.unwrap_or_default() });
        }
        Err(TryLockError::Error(e)) => return Err(LogError::io("lock", &path)(e)),
    }
    // Only for the message above; a full disk must not keep the log from opening.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

fn check_remembered(view: &View, remembered: Option<&SignedCheckpoint>) -> Result<(), LogError> {
    let Some(remembered) = remembered else { return Ok(()) };
    let rolled_back = |what: String| Err(LogError::RolledBack { dir: view.dir.clone(), what });
    if remembered.size() > view.size() {
        return rolled_back(format!("it held {} receipts then and {} now", remembered.size(), view.size()));
    }
    if view.root_at(remembered.size())? != remembered.root() {
        return rolled_back(format!("the first {} receipts are not those of then", remembered.size()));
    }
    Ok(())
}

/// Removes a cut-off write; a segment without a single complete group goes altogether.
fn cut_tail(view: &mut View, tail: Tail) -> Result<Option<Recovery>, LogError> {
    let empty = view.segments.last().is_some_and(|segment| segment.len <= HEADER);
    let Some(segment) = view.segments.last() else { return Ok(None) };
    let path = segment.path.clone();
    if empty {
        std::fs::remove_file(&path).map_err(LogError::io("remove", &path))?;
        view.segments.pop();
    }
    let Tail::Torn { offset, bytes } = tail else { return Ok(None) };
    if !empty {
        let file = OpenOptions::new().write(true).open(&path).map_err(LogError::io("open", &path))?;
        file.set_len(offset).and_then(|()| file.sync_data()).map_err(LogError::io("cut back", &path))?;
    }
    Ok(Some(Recovery { segment: path, offset, bytes }))
}
