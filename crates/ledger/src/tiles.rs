//! The tiled layout of a log (C2SP tlog-tiles): paths and bundle encoding. Pure; writing and reading directories is
//! [`crate::storage`]'s.

use std::fmt::Write as _;

/// Hashes or entries in a full tile.
pub const TILE_WIDTH: u64 = 256;

/// Which kind of tile a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TileKind {
    /// Subtree hashes of this tile level.
    Hashes(u8),
    /// Entries.
    Entries,
}

/// Path of a tile below the log's root: `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`. `width` is 1 to 256;
/// below 256 the tile is partial.
pub fn tile_path(kind: TileKind, index: u64, width: u64) -> String {
    let mut path = match kind {
        TileKind::Hashes(level) => format!("tile/{level}/"),
        TileKind::Entries => "tile/entries/".to_owned(),
    };
    path.push_str(&index_path(index));
    if width < TILE_WIDTH {
        // Writing to a String cannot fail.
        let _ = write!(path, ".p/{width}");
    }
    path
}

/// The number as groups of three digits, all but the last marked with `x`: 1234067 is `x001/x234/067`.
pub fn index_path(index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

/// Appends an entry to an entry bundle: its length in 16 bits, big-endian, and its bytes.
pub fn write_bundle_entry(entry: &[u8], out: &mut Vec<u8>) {
    // Entries are at most 65,534 bytes long: see `receipt::MAX_ENTRY_BYTES`.
    out.extend_from_slice(&(entry.len() as u16).to_be_bytes());
    out.extend_from_slice(entry);
}

/// The entries of a bundle; `None` if it ends inside one.
pub fn read_bundle(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bytes = rest;
    }
    Some(entries)
}

/// How many hashes tile `index` of tile level `level` has in a tree of `size` leaves; 0 if it does not exist.
pub fn tile_width(level: u8, index: u64, size: u64) -> u64 {
    let shift = u32::from(level) * 8;
    let hashes = size.checked_shr(shift).unwrap_or(0);
    hashes.saturating_sub(index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH)
}
