//! The log's Merkle tree in memory: every complete subtree of 256 leaves and more (64 bytes per 256 receipts), and
//! the frontier of the last, incomplete 256. Hashes below that are read back from the segments when a proof needs
//! them.

use crate::merkle::{Compact, Hash, fold_peaks, node_hash};

/// Leaves per tile (C2SP tlog-tiles).
pub(super) const TILE: u64 = 256;

#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    /// `levels[j]`: hashes of the complete subtrees of `256 << j` leaves.
    levels: Vec<Vec<Hash>>,
    /// The leaves after the last complete 256.
    low: Compact,
}

/// What is needed to take back what was pushed since.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    tiles: u64,
    low: Compact,
}

impl Tree {
    pub(super) fn size(&self) -> u64 {
        self.tiles() * TILE + self.low.size()
    }

    /// Complete subtrees of 256 leaves.
    pub(super) fn tiles(&self) -> u64 {
        self.levels.first().map_or(0, |tiles| tiles.len() as u64)
    }

    /// The frontier of the last, incomplete 256.
    pub(super) fn low(&self) -> &Compact {
        &self.low
    }

    pub(super) fn push(&mut self, leaf: Hash) {
        self.low.push(leaf);
        if self.low.size() == TILE {
            let tile = self.low.root();
            self.low = Compact::new();
            self.push_tile(tile);
        }
    }

    /// Adds 256 leaves at once; only right when none are left over.
    pub(super) fn push_tile(&mut self, tile: Hash) {
        let mut hash = tile;
        let mut level = 0;
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(row) = self.levels.get_mut(level) else { return };
            row.push(hash);
            let Some([left, right]) = row.last_chunk::<2>() else { return };
            if row.len() % 2 == 1 {
                return;
            }
            hash = node_hash(left, right);
            level += 1;
        }
    }

    /// Replaces the frontier of the incomplete 256.
    pub(super) fn set_low(&mut self, low: Compact) {
        self.low = low;
    }

    pub(super) fn root(&self) -> Hash {
        let tiles = self.tiles();
        let high = self
            .levels
            .iter()
            .enumerate()
            .filter(|(j, _)| tiles >> j & 1 == 1)
            .filter_map(|(_, row)| row.last());
        fold_peaks(self.low.peaks().iter().rev().chain(high))
    }

    /// Hash of the complete subtree `index` of `256 << j` leaves.
    pub(super) fn node(&self, j: u8, index: u64) -> Option<Hash> {
        self.levels.get(usize::from(j))?.get(usize::try_from(index).ok()?).copied()
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { tiles: self.tiles(), low: self.low.clone() }
    }

    pub(super) fn restore(&mut self, mark: Mark) {
        for (j, row) in self.levels.iter_mut().enumerate() {
            row.truncate((mark.tiles >> j) as usize);
        }
        self.low = mark.low;
    }
}
