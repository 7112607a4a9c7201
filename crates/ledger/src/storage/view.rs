//! Reading a log: entries by index or id, the newest ones, proofs and bundles. Works beside a process that appends.

use super::error::LogError;
use super::index::SegmentIndex;
use super::record::{HEADER, Record, RecordReader, check_matches};
use super::scan::{self, corrupt};
use super::tail::{Tail, find};
use super::tree::{TILE, Tree};
use crate::bundle::Bundle;
use crate::keys::VerifyingKey;
use crate::merkle::{self, Compact, Hash, Nodes, leaf_hash};
use crate::note::SignedCheckpoint;
use crate::receipt::{Kind, Receipt};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One segment file, as far as checkpoints cover it.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub first: u64,
    pub end: u64,
    pub len: u64,
    pub path: PathBuf,
}

/// Where an entry whose index is a multiple of 256 begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub segment: u32,
    pub offset: u64,
}

/// A verified picture of a log on disk. Costs 80 bytes of memory per 256 receipts.
#[derive(Debug)]
pub struct View {
    pub(super) dir: PathBuf,
    pub(super) trusted: VerifyingKey,
    pub(super) segments: Vec<Segment>,
    pub(super) places: Vec<Place>,
    pub(super) tree: Tree,
    pub(super) checkpoint: Option<SignedCheckpoint>,
}

/// A view just read.
pub(super) struct Loaded {
    pub view: View,
    /// What follows its last checkpoint.
    pub tail: Tail,
    /// Whether the index files of closed segments were right.
    pub by_index: bool,
}

impl View {
    pub(super) fn empty(dir: &Path, trusted: &VerifyingKey) -> View {
        View {
            dir: dir.to_owned(),
            trusted: trusted.clone(),
            segments: Vec::new(),
            places: Vec::new(),
            tree: Tree::default(),
            checkpoint: None,
        }
    }

    /// Opens a log for reading only; no lock is taken and nothing is written.
    ///
    /// # Errors
    /// [`LogError`], if it cannot be read, is damaged, or was not signed by `trusted`.
    pub fn open(dir: &Path, trusted: &VerifyingKey) -> Result<View, LogError> {
        View::load(dir, trusted).map(|loaded| loaded.view)
    }

    /// If indexes lead to a wrong root, the segments decide.
    pub(super) fn load(dir: &Path, trusted: &VerifyingKey) -> Result<Loaded, LogError> {
        let mut view = View::empty(dir, trusted);
        if let Ok(tail) = scan::advance(&mut view, true) {
            return Ok(Loaded { view, tail, by_index: true });
        }
        let mut view = View::empty(dir, trusted);
        let tail = scan::advance(&mut view, false)?;
        Ok(Loaded { view, tail, by_index: false })
    }

    /// Takes in what was appended since.
    ///
    /// # Errors
    /// As [`View::open`]; the view must then be opened anew.
    pub fn refresh(&mut self) -> Result<(), LogError> {
        scan::advance(self, true).map(|_| ())
    }

    /// Number of receipts.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The newest checkpoint; `None` while the log is empty.
    pub fn checkpoint(&self) -> Option<&SignedCheckpoint> {
        self.checkpoint.as_ref()
    }

    /// The key that signs it.
    pub fn trusted(&self) -> &VerifyingKey {
        &self.trusted
    }

    /// The log's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The entries with these indices, oldest first. Each is checked against its stored hash check.
    pub fn entries(&self, range: Range<u64>) -> Entries<'_> {
        Entries { view: self, next: range.start, end: range.end.min(self.size()), reader: None, segment: 0 }
    }

    /// One entry's canonical bytes.
    ///
    /// # Errors
    /// [`LogError::NoSuchEntry`], or what keeps it from being read.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LogError> {
        let missing = LogError::NoSuchEntry { index, size: self.size() };
        self.entries(index..index.saturating_add(1)).next().unwrap_or(Err(missing)).map(|(_, bytes)| bytes)
    }

    /// The newest `count` entries, newest first.
    ///
    /// # Errors
    /// What keeps one from being read.
    pub fn latest(&self, count: usize) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        let start = self.size().saturating_sub(count as u64);
        let mut entries = self.entries(start..self.size()).collect::<Result<Vec<_>, _>>()?;
        entries.reverse();
        Ok(entries)
    }

    /// The entry with this receipt id. Searches from the newest back, so recent receipts are found at once; memory
    /// stays bounded however long the log is.
    ///
    /// # Errors
    /// What keeps the log from being read.
    pub fn find(&self, id: &str) -> Result<Option<(u64, Vec<u8>)>, LogError> {
        let needle = format!("\"id\":\"{id}\"");
        let mut tile = self.size().div_ceil(TILE);
        while tile > 0 {
            tile -= 1;
            for entry in self.entries(tile * TILE..(tile + 1) * TILE) {
                let (index, bytes) = entry?;
                let has_text = find(&bytes, needle.as_bytes()).is_some();
                if has_text && Receipt::parse(&bytes).is_ok_and(|receipt| receipt.id() == id) {
                    return Ok(Some((index, bytes)));
                }
            }
        }
        Ok(None)
    }

    /// Root of the first `size` receipts.
    ///
    /// # Errors
    /// [`LogError::NoSuchEntry`] beyond the end, or what keeps hashes from being read.
    pub fn root_at(&self, size: u64) -> Result<Hash, LogError> {
        if size > self.size() {
            return Err(LogError::NoSuchEntry { index: size, size: self.size() });
        }
        merkle::root(&mut self.nodes(), size)
    }

    /// Proof that entry `index` is under the newest checkpoint.
    ///
    /// # Errors
    /// As [`View::root_at`].
    pub fn inclusion(&self, index: u64) -> Result<Vec<Hash>, LogError> {
        let size = self.size();
        merkle::prove_inclusion(&mut self.nodes(), index, size)?.ok_or(LogError::NoSuchEntry { index, size })
    }

    /// Proof that the first `old` receipts are still the first.
    ///
    /// # Errors
    /// As [`View::root_at`]; `old` is at least 1.
    pub fn consistency(&self, old: u64) -> Result<Vec<Hash>, LogError> {
        let size = self.size();
        merkle::prove_consistency(&mut self.nodes(), old, size)?
            .ok_or(LogError::NoSuchEntry { index: old, size })
    }

    /// The document that proves one receipt to anyone who trusts the key.
    ///
    /// # Errors
    /// [`LogError`] if the receipt is not there or cannot be read.
    pub fn bundle(&self, index: u64) -> Result<Bundle, LogError> {
        let missing = LogError::NoSuchEntry { index, size: self.size() };
        let Some(checkpoint) = &self.checkpoint else { return Err(missing) };
        let bytes = self.entry(index)?;
        let receipt = Receipt::parse(&bytes).map_err(|e| corrupt(&self.dir, 0, index, e.to_string()))?;
        Ok(Bundle::new(receipt, index, self.inclusion(index)?, checkpoint.text().to_owned()))
    }

    /// The same, with the receipts of the rotations that stand at these indices.
    ///
    /// # Errors
    /// As [`View::bundle`]; if there stands none.
    pub fn bundle_with(&self, index: u64, rotations: &[u64]) -> Result<Bundle, LogError> {
        let read = |&at: &u64| {
            let bytes = self.entry(at)?;
            let receipt = Receipt::parse(&bytes).ok().filter(|receipt| *receipt.kind() == Kind::KeyRotation);
            receipt.ok_or_else(|| corrupt(&self.dir, 0, at, "no rotation of the key stands there"))
        };
        Ok(self.bundle(index)?.with_rotations(rotations.iter().map(read).collect::<Result<_, _>>()?))
    }

    /// The index of a segment, given the frontier and the checkpoint at its end.
    pub(super) fn segment_index(&self, number: usize, low: Vec<Hash>, note: String) -> Option<SegmentIndex> {
        let segment = self.segments.get(number)?;
        let (first, end, len) = (segment.first, segment.end, segment.len);
        let places = self.places.get(first.div_ceil(TILE) as usize..end.div_ceil(TILE) as usize)?;
        let marks = places.iter().map(|place| place.offset).collect();
        let tiles = (first / TILE..end / TILE).map(|tile| self.tree.node(0, tile)).collect::<Option<_>>()?;
        Some(SegmentIndex { first, end, len, marks, tiles, low, note })
    }

    /// Writes the index of a closed segment from what the segment holds.
    pub(super) fn rebuild_index(&self, number: usize) -> Result<(), LogError> {
        let Some(segment) = self.segments.get(number) else { return Ok(()) };
        let mut low = Compact::new();
        for entry in self.entries(segment.end - segment.end % TILE..segment.end) {
            low.push(leaf_hash(&entry?.1));
        }
        let mut reader = RecordReader::open(&segment.path, HEADER)?;
        let mut note = Vec::new();
        loop {
            match reader.next()? {
                Record::Entry { .. } => {}
                Record::Checkpoint => note = reader.payload().to_vec(),
                _ => break,
            }
        }
        let note = String::from_utf8(note).unwrap_or_default();
        match self.segment_index(number, low.peaks().to_vec(), note) {
            Some(index) => index.store(&segment.path),
            None => Ok(()),
        }
    }

    /// The hashes of this log's subtrees.
    pub(super) fn nodes(&self) -> ViewNodes<'_> {
        ViewNodes { view: self, tiles: HashMap::new() }
    }
}

/// Entries in order; see [`View::entries`].
pub struct Entries<'a> {
    view: &'a View,
    next: u64,
    end: u64,
    reader: Option<RecordReader>,
    segment: usize,
}

impl Entries<'_> {
    /// Stands before the entry with the greatest index that is a multiple of 256 and not above `next`.
    fn start(&mut self) -> Result<RecordReader, LogError> {
        let tile = usize::try_from(self.next / TILE).unwrap_or(usize::MAX);
        let place = self.view.places.get(tile).copied().unwrap_or(Place { segment: 0, offset: 0 });
        self.segment = place.segment as usize;
        let Some(segment) = self.view.segments.get(self.segment) else {
            return Err(LogError::NoSuchEntry { index: self.next, size: self.view.size() });
        };
        // Later segments may begin inside the tile, nearer to the entry.
        let nearer = self.view.segments.iter().enumerate().skip(self.segment + 1);
        let nearer = nearer.take_while(|(_, segment)| segment.first <= self.next).last();
        match nearer {
            Some((number, _)) => self.enter(number),
            None => RecordReader::open(&segment.path, place.offset),
        }
    }

    fn enter(&mut self, number: usize) -> Result<RecordReader, LogError> {
        self.segment = number;
        let Some(segment) = self.view.segments.get(number) else {
            return Err(LogError::NoSuchEntry { index: self.next, size: self.view.size() });
        };
        let mut reader = RecordReader::open(&segment.path, 0)?;
        reader.header()?;
        Ok(reader)
    }

    fn read(&mut self) -> Result<(u64, Vec<u8>), LogError> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.start()?,
        };
        loop {
            let at = reader.offset();
            match reader.next()? {
                Record::Entry { index, .. } if index < self.next => {}
                Record::Entry { index, check } if index == self.next => {
                    if !check_matches(check, &leaf_hash(reader.payload())) {
                        return Err(self.damaged(at, "its bytes were altered"));
                    }
                    let bytes = reader.payload().to_vec();
                    self.reader = Some(reader);
                    return Ok((index, bytes));
                }
                Record::Checkpoint => {}
                Record::End if self.segment + 1 < self.view.segments.len() => {
                    reader = self.enter(self.segment + 1)?
                }
                _ => return Err(self.damaged(at, "another record stands there than when the log was opened")),
            }
        }
    }

    fn damaged(&self, at: u64, what: &str) -> LogError {
        let path = self.view.segments.get(self.segment).map(|segment| segment.path.clone());
        corrupt(&path.unwrap_or_default(), at, self.next, what)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<(u64, Vec<u8>), LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let item = self.read();
        // After an error nothing further is read.
        self.next = if item.is_ok() { self.next + 1 } else { self.end };
        Some(item)
    }
}

/// Subtree hashes: those over 256 and more leaves from memory, smaller ones from the entries themselves.
pub(super) struct ViewNodes<'a> {
    view: &'a View,
    tiles: HashMap<u64, Vec<Hash>>,
}

impl ViewNodes<'_> {
    /// Leaf hashes of a tile, checked against the tree.
    pub(super) fn tile(&mut self, tile: u64) -> Result<&[Hash], LogError> {
        if !self.tiles.contains_key(&tile) {
            if self.tiles.len() >= 8 {
                self.tiles.clear();
            }
            let hashes = self.read_tile(tile)?;
            self.tiles.insert(tile, hashes);
        }
        Ok(self.tiles.get(&tile).map(Vec::as_slice).unwrap_or_default())
    }

    fn read_tile(&self, tile: u64) -> Result<Vec<Hash>, LogError> {
        let mut hashes = Vec::new();
        let mut tree = Compact::new();
        for entry in self.view.entries(tile * TILE..(tile + 1) * TILE) {
            let hash = leaf_hash(&entry?.1);
            tree.push(hash);
            hashes.push(hash);
        }
        let known = self.view.tree.node(0, tile).unwrap_or_else(|| self.view.tree.low().root());
        if tree.root() != known {
            let last = tile * TILE + hashes.len() as u64;
            let what = format!("receipts {} to {last} are not those that were signed", tile * TILE);
            return Err(corrupt(&self.view.dir, 0, tile * TILE, what));
        }
        Ok(hashes)
    }
}

impl Nodes for ViewNodes<'_> {
    type Error = LogError;

    fn node(&mut self, level: u8, index: u64) -> Result<Hash, LogError> {
        let missing = LogError::NoSuchEntry { index: index << level, size: self.view.size() };
        if let Some(high) = level.checked_sub(8) {
            return self.view.tree.node(high, index).ok_or(missing);
        }
        let start = ((index << level) % TILE) as usize;
        let hashes = self.tile((index << level) / TILE)?;
        let Some(leaves) = hashes.get(start..start + (1 << level)) else { return Err(missing) };
        let mut tree = Compact::new();
        for leaf in leaves {
            tree.push(*leaf);
        }
        Ok(tree.root())
    }
}
