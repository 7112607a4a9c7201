//! Verification of an exported log (C2SP tlog-tiles): entries against leaf tiles, both against the signed root.

use super::meaning::Meaning;
use super::report::{Code, Problem, Report};
use super::segments::{compare_since, read_since};
use crate::keys::VerifyingKey;
use crate::merkle::{Compact, Hash, leaf_hash};
use crate::note::{Checkpoint, SignedCheckpoint};
use crate::receipt::{Kind, Receipt};
use crate::rotation::{self, Rotation};
use crate::storage::TileDir;
use crate::tiles::{TILE_WIDTH, TileKind, tile_path, tile_width};
use std::collections::HashSet;
use std::path::Path;

pub(super) fn verify(dir: &Path, trusted: &VerifyingKey, since: Option<&str>) -> Report {
    let mut report = Report::new("tiles");
    let tiles = TileDir::new(dir);
    let text = match tiles.checkpoint() {
        Ok(text) => text,
        Err(error) => {
            report.problem(Problem::new(Code::Unreadable, error.to_string()));
            return report;
        }
    };
    report.checkpoints = 1;
    let keys = keys(&tiles, &text, trusted, &mut report);
    let since = since.and_then(|text| match since_by(text, &keys, trusted) {
        Ok(since) => Some(since),
        Err(problem) => {
            report.problem(problem);
            None
        }
    });
    let newest = keys.last().unwrap_or(trusted);
    match SignedCheckpoint::verify(&text, newest) {
        Ok(checkpoint) => {
            report.newest = Some(text);
            Walk::new(&tiles, &checkpoint, since.as_ref()).run(report, since.as_ref())
        }
        Err(error) => {
            report.problem(Problem::of_note(&error).at("checkpoint", 0));
            report
        }
    }
}

/// The remembered checkpoint, by whichever of the log's keys signed it; else what is wrong under the first.
fn since_by(text: &str, keys: &[VerifyingKey], trusted: &VerifyingKey) -> Result<SignedCheckpoint, Problem> {
    let by_later = keys.iter().skip(1).rev().find_map(|key| SignedCheckpoint::verify(text, key).ok());
    by_later.map_or_else(|| read_since(text, trusted), Ok)
}

/// The keys of the log, from the trusted one on: each is named by the one before it. That these receipts are in the log says
/// the root, later.
fn keys(tiles: &TileDir, checkpoint: &str, trusted: &VerifyingKey, report: &mut Report) -> Vec<VerifyingKey> {
    let mut keys = vec![trusted.clone()];
    // Nothing is believed of it here but how far to read.
    let Ok(claimed) = Checkpoint::claimed(checkpoint) else { return keys };
    let mut tree = Compact::new();
    for tile in 0..claimed.size.div_ceil(TILE_WIDTH) {
        let Ok(entries) = tiles.entries(tile, tile_width(0, tile, claimed.size)) else { return keys };
        for (index, entry) in (tile * TILE_WIDTH..).zip(&entries) {
            let receipt = rotation::could_be(entry).then(|| Receipt::parse(entry).ok()).flatten();
            if let Some(receipt) = receipt.filter(|receipt| *receipt.kind() == Kind::KeyRotation)
                && let Some(current) = keys.last()
            {
                match Rotation::verify(&receipt, current) {
                    Ok(rotation) if (rotation.index, rotation.root) == (index, tree.root()) => {
                        keys.push(rotation.new);
                    }
                    Ok(_) => {
                        let what = "the rotation of the key was signed for another place";
                        report.problem(Problem::new(Code::BadRotation, what).at_index(index));
                    }
                    Err(what) => report.problem(Problem::new(Code::BadRotation, what).at_index(index)),
                }
            }
            tree.push(leaf_hash(entry));
        }
    }
    keys
}

struct Walk<'a> {
    tiles: &'a TileDir,
    checkpoint: &'a SignedCheckpoint,
    since_size: Option<u64>,
    since_root: Option<Hash>,
    /// Tree over the entries.
    by_entries: Compact,
    /// Tree over the leaf tiles.
    by_hashes: Compact,
    /// Hashes of the full leaf tiles as computed, for the levels above.
    row: Vec<Hash>,
    /// Where entries and leaf tiles differ; the root says later whose fault it is.
    differing: Vec<Problem>,
    first_differing_tile: Option<u64>,
}

impl<'a> Walk<'a> {
    fn new(
        tiles: &'a TileDir,
        checkpoint: &'a SignedCheckpoint,
        since: Option<&SignedCheckpoint>,
    ) -> Walk<'a> {
        Walk {
            tiles,
            checkpoint,
            since_size: since.map(SignedCheckpoint::size),
            since_root: None,
            by_entries: Compact::new(),
            by_hashes: Compact::new(),
            row: Vec::new(),
            differing: Vec::new(),
            first_differing_tile: None,
        }
    }

    fn run(mut self, mut report: Report, since: Option<&SignedCheckpoint>) -> Report {
        let mut meaning = Meaning::default();
        let size = self.checkpoint.size();
        for tile in 0..size.div_ceil(TILE_WIDTH) {
            if let Err(problem) = self.leaf_tile(tile, &mut meaning, &mut report) {
                report.problem(problem);
                // Without this tile neither tree can be completed.
                return report;
            }
        }
        meaning.finish(&mut report);
        self.judge(&mut report);
        self.upper_tiles(&mut report);
        if let Some(since) = since {
            let sound = report.is_ok();
            compare_since(since, size, self.since_root, sound, false, &mut report);
        }
        report
    }

    fn leaf_tile(&mut self, tile: u64, meaning: &mut Meaning, report: &mut Report) -> Result<(), Problem> {
        let width = tile_width(0, tile, self.checkpoint.size());
        let bad = |error: crate::storage::LogError| Problem::new(Code::BadTile, error.to_string());
        let entries = self.tiles.entries(tile, width).map_err(bad)?;
        let stored = self.tiles.hashes(0, tile, width).map_err(bad)?;
        let file = tile_path(TileKind::Entries, tile, width);
        let mut tree = Compact::new();
        let mut hashes = Vec::with_capacity(entries.len());
        for (index, entry) in (tile * TILE_WIDTH..).zip(&entries) {
            let hash = leaf_hash(entry);
            hashes.push(hash);
            tree.push(hash);
            self.by_entries.push(hash);
            if self.since_size == Some(self.by_entries.size()) {
                self.since_root = Some(self.by_entries.root());
            }
            meaning.see(index, entry, &file, 0, report);
            report.entries += 1;
        }
        let mut stored_tree = Compact::new();
        for hash in &stored {
            self.by_hashes.push(*hash);
            stored_tree.push(*hash);
        }
        if width == TILE_WIDTH {
            self.row.push(tree.root());
        }
        if hashes != stored {
            self.first_differing_tile.get_or_insert(tile);
            self.differing.extend(differences(tile * TILE_WIDTH, &hashes, &stored, &file));
        }
        Ok(())
    }

    /// The signed root says which side is right.
    fn judge(&mut self, report: &mut Report) {
        let root = self.checkpoint.root();
        if self.by_entries.size() == self.checkpoint.size() && self.by_entries.root() == root {
            if let Some(tile) = self.first_differing_tile {
                let width = tile_width(0, tile, self.checkpoint.size());
                let file = tile_path(TileKind::Hashes(0), tile, width);
                let message = "its hashes are not those of the entries, which are right";
                report.problem(Problem::new(Code::BadTile, message).at(&file, 0));
            }
            return;
        }
        let hashes_right = self.by_hashes.root() == root;
        std::mem::take(&mut self.differing).into_iter().for_each(|problem| report.problem(problem));
        if !hashes_right {
            let message =
                format!("the entries do not lead to the root signed over {}", self.checkpoint.size());
            report.problem(Problem::new(Code::RootMismatch, message));
        }
    }

    /// Levels above the leaves hold what the level below adds up to.
    fn upper_tiles(&mut self, report: &mut Report) {
        let mut level = 1;
        while !self.row.is_empty() {
            let mut above = Vec::new();
            for (tile, expected) in (0..).zip(self.row.chunks(TILE_WIDTH as usize)) {
                let width = expected.len() as u64;
                let file = tile_path(TileKind::Hashes(level), tile, width);
                match self.tiles.hashes(level, tile, width) {
                    Ok(stored) if stored == expected => {}
                    Ok(_) => {
                        let message = "its hashes are not those of the tiles below";
                        report.problem(Problem::new(Code::BadTile, message).at(&file, 0));
                    }
                    Err(error) => report.problem(Problem::new(Code::BadTile, error.to_string()).at(&file, 0)),
                }
                if width == TILE_WIDTH {
                    let mut tree = Compact::new();
                    expected.iter().for_each(|hash| tree.push(*hash));
                    above.push(tree.root());
                }
            }
            self.row = above;
            level += 1;
        }
    }
}

/// How the entries of a tile, by hash, differ from what its leaf tile lists.
fn differences(first: u64, entries: &[Hash], stored: &[Hash], file: &str) -> Vec<Problem> {
    let have: HashSet<&Hash> = entries.iter().collect();
    let want: HashSet<&Hash> = stored.iter().collect();
    let at = |code, index, message: &str| Problem::new(code, message).at_index(index).at(file, 0);
    let strangers = (first..).zip(entries).filter(|(_, hash)| !want.contains(hash));
    let strangers: Vec<u64> = strangers.map(|(index, _)| index).collect();
    let missing = (first..).zip(stored).filter(|(_, hash)| !have.contains(hash));
    let missing: Vec<u64> = missing.map(|(index, _)| index).collect();
    if entries.len() == stored.len() && !strangers.is_empty() {
        let altered = |index: &u64| at(Code::EntryAltered, *index, "its bytes were altered");
        return strangers.iter().map(altered).collect();
    }
    let mut problems: Vec<Problem> =
        missing.iter().map(|index| at(Code::EntryMissing, *index, "it is missing")).collect();
    problems.extend(strangers.iter().map(|index| at(Code::EntryAdded, *index, "it was never signed")));
    if problems.is_empty() {
        let moved = (first..).zip(entries.iter().zip(stored)).find(|(_, (entry, stored))| entry != stored);
        let index = moved.map_or(first + stored.len() as u64, |(index, _)| index);
        let (code, message) = if entries.len() > stored.len() {
            (Code::EntryAdded, "an entry stands here twice")
        } else {
            (Code::EntryReordered, "entries changed places")
        };
        problems.push(at(code, index, message));
    }
    problems
}
