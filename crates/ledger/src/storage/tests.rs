//! What only shows from inside: a disk that fills up.

use std::fs::File;
use std::io::{self, Write as _};

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
