//! Tiles: a log projected into the C2SP tlog-tiles layout, brought up to date step by step, and read back.

use super::error::LogError;
use super::os;
use super::view::View;
use crate::merkle::{Hash, Nodes as _};
use crate::note::{Checkpoint, NoteError, SignedCheckpoint};
use crate::tiles::{TILE_WIDTH, TileKind, read_bundle, tile_path, tile_width, write_bundle_entry};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Brings the tile directory `out` up to the view's newest checkpoint. Only what is new is written; the checkpoint
/// comes last, so readers never see one that its tiles do not support.
///
/// # Errors
/// [`LogError::BadTile`] if `out` holds another log or a newer state; otherwise what reading or writing failed with.
pub fn project(view: &View, out: &Path) -> Result<(), LogError> {
    let Some(checkpoint) = view.checkpoint() else { return Ok(()) };
    os::create_private_dir(out).map_err(LogError::io("create the directory", out))?;
    let old = projected_size(view, out)?;
    let size = view.size();
    if old == size {
        return Ok(());
    }
    for tile in old / TILE_WIDTH..size.div_ceil(TILE_WIDTH) {
        project_entries(view, out, tile)?;
    }
    let mut nodes = view.nodes();
    let mut level = 0;
    while let Some(count) = size.checked_shr(u32::from(level) * 8).filter(|&count| count > 0) {
        let start = old.checked_shr(u32::from(level) * 8).unwrap_or(0) / TILE_WIDTH;
        for tile in start..count.div_ceil(TILE_WIDTH) {
            let width = tile_width(level, tile, size);
            let mut bytes = Vec::with_capacity(width as usize * 32);
            for index in tile * TILE_WIDTH..tile * TILE_WIDTH + width {
                bytes.extend_from_slice(&nodes.node(level * 8, index)?);
            }
            write_file(&out.join(tile_path(TileKind::Hashes(level), tile, width)), &bytes)?;
        }
        level += 1;
    }
    let fresh = out.join("checkpoint.new");
    let path = out.join("checkpoint");
    write_file(&fresh, checkpoint.text().as_bytes())?;
    std::fs::rename(&fresh, &path).map_err(LogError::io("replace", &path))?;
    remove_partials(out, old, size);
    Ok(())
}

/// How far `out` already is; 0 if it is new.
fn projected_size(view: &View, out: &Path) -> Result<u64, LogError> {
    let path = out.join("checkpoint");
    let bad = |what: String| LogError::BadTile { path: path.clone(), what };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(LogError::io("read", &path)(e)),
    };
    let there = match SignedCheckpoint::verify(&text, view.trusted()) {
        Ok(there) => there.checkpoint().clone(),
        // By an earlier key, perhaps. Whether it is of this log the root says.
        Err(error @ NoteError::ForeignKey { .. }) => Checkpoint::claimed(&text)
            .ok()
            .filter(|there| there.origin == view.trusted().name())
            .ok_or_else(|| bad(error.to_string()))?,
        Err(error) => return Err(bad(error.to_string())),
    };
    if there.size > view.size() || view.root_at(there.size)? != there.root {
        return Err(bad(format!("it is over {} receipts that this ledger does not begin with", there.size)));
    }
    Ok(there.size)
}

fn project_entries(view: &View, out: &Path, tile: u64) -> Result<(), LogError> {
    let mut bytes = Vec::new();
    let mut width = 0;
    for entry in view.entries(tile * TILE_WIDTH..(tile + 1) * TILE_WIDTH) {
        write_bundle_entry(&entry?.1, &mut bytes);
        width += 1;
    }
    write_file(&out.join(tile_path(TileKind::Entries, tile, width)), &bytes)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let parent = path.parent().unwrap_or(path);
    os::create_private_dir(parent).map_err(LogError::io("create the directory", parent))?;
    let file = os::open_private(OpenOptions::new().write(true).create(true).truncate(true), path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(LogError::io("write", path))
}

/// Removes the partial tiles of the state before, which nobody needs once a wider one is there.
fn remove_partials(out: &Path, old: u64, size: u64) {
    let kinds = (0..8).map(|level| (TileKind::Hashes(level), level)).chain([(TileKind::Entries, 0)]);
    for (kind, level) in kinds {
        let tile = old.checked_shr(u32::from(level) * 8).unwrap_or(0) / TILE_WIDTH;
        let (before, now) = (tile_width(level, tile, old), tile_width(level, tile, size));
        if before == 0 || before == TILE_WIDTH || before == now {
            continue;
        }
        let stale = out.join(tile_path(kind, tile, before));
        let _ = std::fs::remove_file(&stale);
        // The directory `<N>.p` goes with its last file; the operating system refuses to remove a full one.
        let _ = stale.parent().map(std::fs::remove_dir);
    }
}

/// A directory in the tiled layout, as somebody else may have written it: nothing in it is believed here.
#[derive(Debug, Clone)]
pub struct TileDir {
    dir: PathBuf,
}

/// More than any tile or entry bundle can be: 256 entries of 64 KiB.
const MAX_FILE: u64 = 256 * (65_536 + 2);

impl TileDir {
    /// The directory at `dir`.
    pub fn new(dir: &Path) -> TileDir {
        TileDir { dir: dir.to_owned() }
    }

    /// The text of its checkpoint.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn checkpoint(&self) -> Result<String, LogError> {
        let path = self.dir.join("checkpoint");
        let bytes = self.read(&path)?;
        String::from_utf8(bytes).map_err(|_| LogError::BadTile { path, what: "it is not text".into() })
    }

    /// The hashes of a tile.
    ///
    /// # Errors
    /// If it cannot be read or has another number of hashes.
    pub fn hashes(&self, level: u8, index: u64, width: u64) -> Result<Vec<Hash>, LogError> {
        let path = self.dir.join(tile_path(TileKind::Hashes(level), index, width));
        let bytes = self.read(&path)?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if hashes.len() as u64 != width || !rest.is_empty() {
            let what = format!("it should hold {width} hashes but is {} bytes long", bytes.len());
            return Err(LogError::BadTile { path, what });
        }
        Ok(hashes.to_vec())
    }

    /// The entries of a tile.
    ///
    /// # Errors
    /// If they cannot be read or are cut off.
    pub fn entries(&self, index: u64, width: u64) -> Result<Vec<Vec<u8>>, LogError> {
        let path = self.dir.join(tile_path(TileKind::Entries, index, width));
        let bytes = self.read(&path)?;
        let entries = read_bundle(&bytes);
        let entries =
            entries.ok_or_else(|| LogError::BadTile { path, what: "it ends inside an entry".into() })?;
        Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, LogError> {
        let length = std::fs::metadata(path).map_err(LogError::io("read", path))?.len();
        if length > MAX_FILE {
            return Err(LogError::BadTile { path: path.to_owned(), what: "it is too large".into() });
        }
        std::fs::read(path).map_err(LogError::io("read", path))
    }
}
