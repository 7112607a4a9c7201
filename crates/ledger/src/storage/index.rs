//! The index of a closed segment (`.idx`): enough to open the log without reading the segment again.
//!
//! It is a cache. Its hashes are believed only because the signed checkpoint at the end of the log must have the
//! root they lead to; if it has not, every segment is read in full and the fault named.

use super::error::LogError;
use super::os;
use crate::merkle::{Compact, Hash};
use sha2::{Digest, Sha256};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

const MAGIC: &[u8; 16] = b"doorward-index 1";

/// What a closed segment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentIndex {
    /// Index of its first entry.
    pub first: u64,
    /// Index after its last entry.
    pub end: u64,
    /// Its length in bytes.
    pub len: u64,
    /// Offsets of its entries whose index is a multiple of 256.
    pub marks: Vec<u64>,
    /// Hashes of the subtrees of 256 leaves that end in it.
    pub tiles: Vec<Hash>,
    /// Frontier of the incomplete 256 at its end.
    pub low: Vec<Hash>,
    /// Its last checkpoint.
    pub note: String,
}

impl SegmentIndex {
    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for number in [self.first, self.end, self.len, self.marks.len() as u64, self.tiles.len() as u64] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend(self.marks.iter().flat_map(|mark| mark.to_be_bytes()));
        out.extend(self.tiles.iter().flatten());
        out.extend(self.low.iter().flatten());
        out.extend_from_slice(self.note.as_bytes());
        let sum = Sha256::digest(&out);
        out.extend_from_slice(&sum);
        out
    }

    /// `None` for anything but the output of `encode`.
    fn decode(bytes: &[u8]) -> Option<SegmentIndex> {
        let (content, sum) = bytes.split_last_chunk::<32>()?;
        if Sha256::digest(content).as_slice() != sum {
            return None;
        }
        let mut rest = content.strip_prefix(MAGIC)?;
        let mut number = || {
            let (bytes, tail) = rest.split_first_chunk::<8>()?;
            rest = tail;
            Some(u64::from_be_bytes(*bytes))
        };
        let (first, end, len) = (number()?, number()?, number()?);
        let (marks, tiles) = (usize::try_from(number()?).ok()?, usize::try_from(number()?).ok()?);
        let (mark_bytes, rest) = rest.split_at_checked(marks.checked_mul(8)?)?;
        let (tile_bytes, rest) = rest.split_at_checked(tiles.checked_mul(32)?)?;
        let low = (end % super::tree::TILE).count_ones() as usize;
        let (low_bytes, note) = rest.split_at_checked(low * 32)?;
        let hashes = |bytes: &[u8]| bytes.as_chunks::<32>().0.to_vec();
        Some(SegmentIndex {
            first,
            end,
            len,
            marks: mark_bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect(),
            tiles: hashes(tile_bytes),
            low: hashes(low_bytes),
            note: String::from_utf8(note.to_vec()).ok()?,
        })
    }

    /// The frontier at its end.
    pub(super) fn frontier(&self) -> Option<Compact> {
        Compact::from_peaks(self.end % super::tree::TILE, self.low.clone())
    }

    /// The index beside `segment`, if there is one that fits it.
    pub(super) fn load(segment: &Path, first: u64) -> Option<SegmentIndex> {
        let index = SegmentIndex::decode(&std::fs::read(segment.with_extension("idx")).ok()?)?;
        let len = std::fs::metadata(segment).ok()?.len();
        let tile = super::tree::TILE;
        let fits = index.first == first
            && index.len == len
            && index.end > first
            && index.marks.len() as u64 == index.end.div_ceil(tile) - first.div_ceil(tile)
            && index.tiles.len() as u64 == index.end / tile - first / tile;
        fits.then_some(index)
    }

    /// Writes it beside `segment`.
    pub(super) fn store(&self, segment: &Path) -> Result<(), LogError> {
        let path = segment.with_extension("idx");
        let mut options = OpenOptions::new();
        let file = os::open_private(options.write(true).create(true).truncate(true), &path);
        file.and_then(|mut file| file.write_all(&self.encode())).map_err(LogError::io("write", &path))
    }
}
