//! What only shows from inside: a disk that fills up.

use super::index::SegmentIndex;
use super::log::{Durability, Log, LogOptions, shorten};
use super::reserve::RESERVE_BYTES;
use super::{LogError, View};
use crate::keys::SigningKey;
use crate::receipt::{ControlRecord, Draft, Kind, Leaf};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// A disk with limited room.
#[derive(Debug, Default)]
pub(super) struct FakeDisk {
    pub room: Option<u64>,
    pub refuse_shorten: bool,
}

impl FakeDisk {
    pub(super) fn take(&mut self, bytes: u64) -> io::Result<()> {
        match &mut self.room {
            Some(room) if *room < bytes => Err(io::Error::from(io::ErrorKind::StorageFull)),
            Some(room) => {
                *room -= bytes;
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(super) fn free(&mut self, bytes: u64) {
        if let Some(room) = &mut self.room {
            *room += bytes;
        }
    }

    /// Writes what fits, then fails, as a real disk does.
    pub(super) fn write_all(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let fits = self.room.map_or(bytes.len(), |room| bytes.len().min(room as usize));
        file.write_all(&bytes[..fits])?;
        if fits < bytes.len() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.take(fits as u64)
    }

    pub(super) fn check_shorten(&self) -> io::Result<()> {
        if self.refuse_shorten { Err(io::Error::other("refused")) } else { Ok(()) }
    }
}

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("doorward-ledger-unit-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Dir(dir)
    }

    fn log(&self) -> Log {
        Log::open(&self.0, key(), Durability::Os).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed("doorward/unit", &[1; 32]).unwrap()
}

fn leaf(n: u64) -> Leaf {
    Draft::new(Kind::Decision, &format!("D{n}"), n, "doorward/unit").seal().unwrap()
}

fn last_words(n: u64) -> Leaf {
    let control = ControlRecord { event: "storage_full", ..Default::default() };
    Draft::new(Kind::Control, &format!("C{n}"), n, "doorward/unit").control(control).seal().unwrap()
}

#[test]
fn a_full_disk_stops_receipts_but_not_the_last_words() {
    let dir = Dir::new("full");
    let mut log = dir.log();
    log.append(&[leaf(0)]).unwrap();
    let before = log.checkpoint().unwrap().clone();
    // Room for a part of a group only, so that a torn write has to be taken back.
    for room in [0, 1, 30, 100, 300] {
        log.disk.room = Some(room);
        assert!(log.append(&[leaf(1), leaf(2)]).unwrap_err().is_full());
        assert_eq!(log.checkpoint(), Some(&before));
        assert_eq!(View::open(&dir.0, key().public()).unwrap().checkpoint(), Some(&before));
        assert_eq!(log.trouble(), None, "it can be tried again");
    }
    log.disk.room = Some(10);
    assert_eq!(log.append_reserved(&[last_words(3)]).unwrap().size(), 2);
    assert!(!dir.0.join("reserve").exists());
    assert!(log.trouble().is_some());
    // The space the reserve gave is not for ordinary receipts.
    assert!(log.append(&[leaf(4)]).unwrap_err().is_full());
    assert_eq!(log.append_reserved(&[last_words(5)]).unwrap().size(), 3);
    log.disk.room = Some(RESERVE_BYTES + 5000);
    assert_eq!(log.append(&[leaf(6)]).unwrap().size(), 4);
    assert!(dir.0.join("reserve").exists());
    assert_eq!(log.trouble(), None);
    drop(log);
    assert_eq!(dir.log().size(), 4);
    assert!(crate::verify_log(&dir.0, key().public(), Some(before.text())).is_ok());
}

#[test]
fn the_first_write_of_a_segment_can_fail_and_be_tried_again() {
    let dir = Dir::new("first");
    let mut log = dir.log();
    log.disk.room = Some(40);
    assert!(log.append(&[leaf(0)]).unwrap_err().is_full());
    assert_eq!(log.size(), 0);
    log.disk.room = None;
    assert_eq!(log.append(&[leaf(0)]).unwrap().size(), 1);
    drop(log);
    assert_eq!(dir.log().size(), 1);
}

#[test]
fn a_write_that_cannot_be_taken_back_ends_it_until_opened_again() {
    let dir = Dir::new("refuse");
    let mut log = dir.log();
    log.append(&[leaf(0)]).unwrap();
    log.disk.room = Some(50);
    log.disk.refuse_shorten = true;
    assert!(log.append(&[leaf(1)]).unwrap_err().is_full());
    log.disk = FakeDisk::default();
    assert!(matches!(log.append(&[leaf(1)]), Err(LogError::Refusing(_))));
    assert!(matches!(log.append_reserved(&[leaf(1)]), Err(LogError::Refusing(_))));
    assert!(log.trouble().is_some());
    drop(log);
    let mut log = dir.log();
    assert_eq!(log.recovery().unwrap().bytes, 50);
    assert_eq!(log.append(&[leaf(1)]).unwrap().size(), 2);
}

#[test]
fn nothing_to_append_writes_nothing() {
    let dir = Dir::new("nothing");
    let mut log = dir.log();
    assert!(matches!(log.append(&[]), Err(LogError::NothingToAppend)));
    let one = log.append(&[leaf(0)]).unwrap();
    assert_eq!(log.append(&[]).unwrap(), one);
}

#[test]
fn an_index_with_wrong_hashes_is_found_out_by_the_signed_root() {
    let dir = Dir::new("index");
    let options = LogOptions { segment_bytes: 60_000, ..LogOptions::default() };
    let open = || Log::open_with(&dir.0, key(), options.clone()).unwrap();
    let mut log = open();
    for n in 0..700 {
        log.append(&[leaf(n)]).unwrap();
    }
    let segments = log.view().segments.clone();
    drop(log);
    // The hash of a whole tile in the middle, and the frontier from which the last segment goes on.
    for (number, tile) in [(1, true), (segments.len() - 2, false)] {
        let segment = &segments[number];
        let good = SegmentIndex::load(&segment.path, segment.first).unwrap();
        let mut wrong = good.clone();
        let hash = if tile { &mut wrong.tiles[0] } else { &mut wrong.low[0] };
        hash[0] ^= 1;
        wrong.store(&segment.path).unwrap();
        assert_eq!(open().size(), 700);
        assert_eq!(SegmentIndex::load(&segment.path, segment.first), Some(good), "made anew");
    }
    // With the last segment torn at its start, only the index's own checkpoint speaks against the index.
    let last = &segments[segments.len() - 1];
    shorten(&last.path, 10).unwrap();
    let second = &segments[1];
    let mut wrong = SegmentIndex::load(&second.path, second.first).unwrap();
    wrong.tiles[0][0] ^= 1;
    wrong.store(&second.path).unwrap();
    let log = open();
    assert_eq!(log.size(), last.first);
    assert!(log.view().bundle(300).unwrap().verify(key().public()).is_empty());
}

#[test]
fn damage_in_a_closed_segment_is_found_when_it_is_read_or_proved() {
    let dir = Dir::new("closed");
    let options = LogOptions { segment_bytes: 60_000, ..LogOptions::default() };
    let mut log = Log::open_with(&dir.0, key(), options.clone()).unwrap();
    for n in 0..700 {
        log.append(&[leaf(n)]).unwrap();
    }
    let segment = log.view().segments[0].path.clone();
    drop(log);
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[60] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    // Opening is quick and does not read it; everything that uses it does.
    let log = Log::open_with(&dir.0, key(), options).unwrap();
    assert!(matches!(log.view().entry(0), Err(LogError::Corrupt { index: 0, .. })));
    assert!(matches!(log.view().bundle(3), Err(LogError::Corrupt { .. })));
    assert!(log.view().bundle(699).is_ok());
    // A forger who makes the stored check fit is found by the tree.
    let length = usize::from(u16::from_be_bytes([bytes[29], bytes[30]]));
    let hash = crate::merkle::leaf_hash(&bytes[47..47 + length]);
    bytes[39..47].copy_from_slice(&hash[..8]);
    std::fs::write(&segment, &bytes).unwrap();
    assert!(log.view().entry(0).is_ok());
    assert!(matches!(log.view().bundle(3), Err(LogError::Corrupt { .. })));
    assert!(!crate::verify_log(&dir.0, key().public(), None).is_ok());
}

#[test]
fn durability_of_the_disk_appends_and_reopens() {
    let dir = Dir::new("disk");
    let mut log = Log::open(&dir.0, key(), Durability::Disk).unwrap();
    for n in 0..5 {
        log.append(&[leaf(n)]).unwrap();
    }
    drop(log);
    assert_eq!(Log::open(&dir.0, key(), Durability::Disk).unwrap().size(), 5);
}
