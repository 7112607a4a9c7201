//! Files of the home directory whose content is encrypted with the store's key.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{StoreError, at};
use crate::home::{Home, write_atomic};
use crate::seal::{Column, Sealer};

/// The largest such file, in bytes.
const MAX_SEALED: u64 = 8 << 20;

/// What tells one file from another, so that none is taken for another.
const CANARIES: &str = "canaries";
const HONEYTOKENS: &str = "honeytokens";

impl Home {
    /// Where it stands which decoys are planted.
    #[must_use]
    pub fn canaries_file(&self) -> PathBuf {
        self.root().join("canaries.sealed")
    }

    /// What is kept of planted decoys; `None` if nothing ever was.
    ///
    /// # Errors
    /// If the file or the key cannot be read, or the file is damaged or was written with another key.
    pub fn read_canaries(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.read_sealed(self.canaries_file(), CANARIES)
    }

    /// Where it stands which honeytokens there are.
    #[must_use]
    pub fn honeytokens_file(&self) -> PathBuf {
        self.root().join("honeytokens.sealed")
    }

    /// What is kept of honeytokens; `None` if nothing ever was.
    ///
    /// # Errors
    /// As [`Self::read_canaries`].
    pub fn read_honeytokens(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.read_sealed(self.honeytokens_file(), HONEYTOKENS)
    }

    /// Keeps what is known of honeytokens, encrypted.
    ///
    /// # Errors
    /// As [`Self::write_canaries`].
    pub fn write_honeytokens(&self, plain: &[u8]) -> Result<(), StoreError> {
        self.write_sealed(&self.honeytokens_file(), HONEYTOKENS, plain)
    }

    fn read_sealed(&self, path: PathBuf, row: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let failed = at("read", &path);
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut sealed = Vec::new();
        match file.take(MAX_SEALED + 1).read_to_end(&mut sealed) {
            Ok(_) if sealed.len() as u64 > MAX_SEALED => {
                return Err(failed(std::io::Error::other("larger than 8 MiB")));
            }
            Ok(_) => {}
            Err(error) => return Err(failed(error)),
        }
        if !self.store_key_file().exists() {
            return Err(StoreError::KeyLost { key: self.store_key_file(), data: path });
        }
        Sealer::new(&self.store_key()?).open(Column::Canaries, row, &sealed).map(Some)
    }

    /// Keeps what is known of planted decoys, encrypted.
    ///
    /// # Errors
    /// If the key or the file cannot be written; what was there stays.
    pub fn write_canaries(&self, plain: &[u8]) -> Result<(), StoreError> {
        self.write_sealed(&self.canaries_file(), CANARIES, plain)
    }

    fn write_sealed(&self, path: &Path, row: &str, plain: &[u8]) -> Result<(), StoreError> {
        let sealed = Sealer::new(&self.store_key()?).seal(Column::Canaries, row, plain)?;
        write_atomic(path, &sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_decoys_is_encrypted_and_never_taken_for_nothing() {
        let root = std::env::temp_dir().join(format!("doorward-sealed-{}", std::process::id()));
        let home = Home::open(&root).unwrap();
        assert!(home.read_canaries().unwrap().is_none());
        home.write_canaries(b"where they lie").unwrap();
        assert_eq!(home.read_canaries().unwrap().unwrap().as_slice(), b"where they lie");
        let mut sealed = std::fs::read(home.canaries_file()).unwrap();
        assert!(!sealed.windows(5).any(|window| window == b"where"));
        sealed[30] ^= 1;
        std::fs::write(home.canaries_file(), &sealed).unwrap();
        assert!(home.read_canaries().is_err());
        sealed[30] ^= 1;
        std::fs::write(home.canaries_file(), &sealed).unwrap();
        std::fs::remove_file(home.store_key_file()).unwrap();
        assert!(matches!(home.read_canaries(), Err(StoreError::KeyLost { .. })));
        std::fs::remove_dir_all(&root).unwrap();
    }
}
