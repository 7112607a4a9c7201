//! A file that only takes up space. When the disk is full it is removed, so that the failure itself and an
//! operator's `kill` can still be recorded; ordinary receipts wait until it is back.

use super::error::{LogError, no_space};
use super::os;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Size of the reserve: some dozens of control receipts.
pub const RESERVE_BYTES: u64 = 64 * 1024;

#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    held: bool,
}

impl Reserve {
    pub(super) fn new(dir: &Path) -> Reserve {
        let path = dir.join("reserve");
        let held = std::fs::metadata(&path).is_ok_and(|meta| meta.len() == RESERVE_BYTES);
        Reserve { path, held }
    }

    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Takes the space. The bytes are not zeros, since file systems may store zeros in no space at all.
    pub(super) fn hold(&mut self) -> Result<(), LogError> {
        if self.held {
            return Ok(());
        }
        let file = os::open_private(OpenOptions::new().write(true).create(true).truncate(true), &self.path);
        let filled = file.and_then(|mut file| file.write_all(&filler()));
        match filled {
            Ok(()) => self.held = true,
            Err(e) => {
                let _ = std::fs::remove_file(&self.path);
                let dir = self.path.parent().unwrap_or(&self.path).to_owned();
                let full = no_space(&e);
                return Err(if full {
                    LogError::StorageFull { dir }
                } else {
                    LogError::io("write", &self.path)(e)
                });
            }
        }
        Ok(())
    }

    /// Gives the space free.
    pub(super) fn release(&mut self) -> Result<(), LogError> {
        self.held = false;
        std::fs::remove_file(&self.path).map_err(LogError::io("remove", &self.path))
    }
}

/// Bytes that do not compress (xorshift64).
fn filler() -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut bytes = Vec::with_capacity(RESERVE_BYTES as usize);
    while (bytes.len() as u64) < RESERVE_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}
