//! `DOORWARD_HOME`: where everything that must survive a restart lies, and what keeps it private.
//!
//! ```text
//! store/store.db  store.key   the side store and the key of its encrypted values
//! ledger.key  log/            the signing seed and the log it signs
//! ledger.keys                 once the key was exchanged: all that ever signed, public; ledger.key.next: while it is
//! checkpoint.seen             the newest checkpoint, remembered outside of the log
//! operator.token              the credential of people, for the control listener
//! agents/NAME.token           one credential per agent, for the data listener
//! secrets.json  secrets.key   keyed hashes of registered secrets, and their key
//! canaries.sealed             which decoys are planted, encrypted with the store's key; hashed with the secrets'
//! honeytokens.sealed          the same of honeytokens: names, domains, keyed hashes of values
//! forensics/                  what was blocked, encrypted to a key that is not here; and that key's public half
//! quarantine/                 what was held instead of written, encrypted with the store's key
//! kill                        if it is there, traffic stops
//! lock  lock.pid              one process at a time
//! ```
//!
//! The directory is 0700 and what is in it 0600. What is wider is reported, not changed: it may be meant.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{StoreError, at};
use crate::private;
use crate::secret::{Secret32, Token, TokenKind, fill_random};

/// Longest file that is read whole: all of them are far smaller.
const MAX_FILE: u64 = 64 * 1024;

/// An opened home directory.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
}

/// A file or directory that more people can use than should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Which one.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// The widest they should be.
    pub wanted: u32,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, mode, wanted } = self;
        let path = path.display();
        write!(f, "{path} is open to others (mode {mode:04o}); close it with: chmod {wanted:o} '{path}'")
    }
}

impl Home {
    /// Opens the home directory at `root`, creating it and its folders if they are not there.
    ///
    /// # Errors
    /// If a directory cannot be created, or something else stands in its place.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let home = Self { root: root.into() };
        for dir in [home.root.clone(), home.log_dir(), home.agents_dir(), home.store_dir()] {
            private::create_dir(&dir).map_err(at("create the directory", &dir))?;
        }
        Ok(home)
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the side store lies: a directory of its own, because each of its writes would wake who watches the
    /// home directory for the kill file (145 µs of a core for each request).
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.root.join("store")
    }

    /// The side store's database.
    #[must_use]
    pub fn store_db(&self) -> PathBuf {
        self.store_dir().join("store.db")
    }

    /// Moves a database that an earlier version left in the home directory itself to its place. The database goes
    /// last: cut off in between, it is found and moved again, with what its log holds.
    pub(crate) fn move_store_in(&self) -> Result<(), StoreError> {
        let (from, to) = (self.root.join("store.db"), self.store_db());
        if to.exists() || !from.exists() {
            return Ok(());
        }
        for end in ["-wal", "-shm", ""] {
            let with = |path: &Path| {
                let mut path = path.as_os_str().to_owned();
                path.push(end);
                PathBuf::from(path)
            };
            match std::fs::rename(with(&from), with(&to)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(at("move to its place", &with(&from))(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The key of the side store's encrypted values.
    #[must_use]
    pub fn store_key_file(&self) -> PathBuf {
        self.root.join("store.key")
    }

    /// The ledger's signing seed.
    #[must_use]
    pub fn ledger_key_file(&self) -> PathBuf {
        self.root.join("ledger.key")
    }

    /// The ledger's log.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Where agents' tokens lie.
    #[must_use]
    pub fn agents_dir(&self) -> PathBuf {
        self.root.join("agents")
    }

    /// The operator's token.
    #[must_use]
    pub fn operator_token_file(&self) -> PathBuf {
        self.root.join("operator.token")
    }

    /// What is kept of registered secrets.
    #[must_use]
    pub fn secrets_file(&self) -> PathBuf {
        self.root.join("secrets.json")
    }

    /// The key that registered secrets are hashed with.
    #[must_use]
    pub fn secrets_key_file(&self) -> PathBuf {
        self.root.join("secrets.key")
    }

    /// The file that stops traffic by being there.
    #[must_use]
    pub fn kill_file(&self) -> PathBuf {
        self.root.join("kill")
    }

    /// The newest checkpoint, remembered.
    #[must_use]
    pub fn checkpoint_file(&self) -> PathBuf {
        self.root.join("checkpoint.seen")
    }

    /// What under the home directory is open to others. Empty where the system has no permission bits.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let dirs = [self.root.clone(), self.log_dir(), self.agents_dir(), self.store_dir()];
        let mut files = vec![
            self.store_db(),
            self.store_key_file(),
            self.ledger_key_file(),
            self.root.join("ledger.key.next"),
            self.operator_token_file(),
            self.checkpoint_file(),
            self.secrets_file(),
            self.secrets_key_file(),
        ];
        for dir in [self.agents_dir(), self.log_dir()] {
            let Ok(entries) = std::fs::read_dir(dir) else { continue };
            files
                .extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).take(1000));
        }
        let wider = |path: PathBuf, wanted: u32| {
            let mode = private::mode(&path)?;
            (mode & 0o777 & !wanted != 0).then_some(Warning { path, mode, wanted })
        };
        let dirs = dirs.into_iter().filter_map(|path| wider(path, private::DIR_MODE));
        dirs.chain(files.into_iter().filter_map(|path| wider(path, private::FILE_MODE))).collect()
    }

    /// Takes the home directory for this process, until the lock is dropped or the process ends.
    ///
    /// # Errors
    /// [`StoreError::Locked`] with the other process's id if one has it.
    pub fn lock(&self) -> Result<HomeLock, StoreError> {
        let (path, pid_file) = (self.root.join("lock"), self.root.join("lock.pid"));
        let file = private::open_or_create(&path).map_err(at("open the lock file", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let pid = read_small(&pid_file).ok().flatten().and_then(|text| text.trim().parse().ok());
                return Err(StoreError::Locked { home: self.root.clone(), pid });
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(at("lock", &path)(error)),
        }
        // Apart from the lock: where locks are mandatory nobody else could read it.
        write_atomic(&pid_file, format!("{}\n", std::process::id()).as_bytes())?;
        Ok(HomeLock { home: self.clone(), file })
    }

    /// The operator's token, created on first use.
    ///
    /// # Errors
    /// If the file cannot be read or created, or holds something else.
    pub fn operator_token(&self) -> Result<Token, StoreError> {
        read_or_create_token(&self.operator_token_file(), TokenKind::Operator)
    }

    /// The ledger's signing seed, created on first use.
    ///
    /// # Errors
    /// If the file cannot be read or created, holds something else, or is gone while the log is not
    /// empty: a new key would make the old log look forged.
    pub fn ledger_seed(&self) -> Result<Secret32, StoreError> {
        let log = self.log_dir();
        let in_use = std::fs::read_dir(&log).map_err(at("read", &log))?.next().is_some();
        read_or_create_secret(&self.ledger_key_file(), in_use, &log)
    }

    /// The key of the side store's encrypted values, created on first use.
    ///
    /// # Errors
    /// As [`Self::ledger_seed`], with the database in the place of the log.
    pub(crate) fn store_key(&self) -> Result<Secret32, StoreError> {
        let db = self.store_db();
        let in_use = std::fs::metadata(&db).is_ok_and(|metadata| metadata.len() > 0);
        read_or_create_secret(&self.store_key_file(), in_use, &db)
    }

    /// The key that registered secrets and the content of decoys are hashed with, created on first use.
    ///
    /// # Errors
    /// As [`Self::ledger_seed`], with what is kept of the secrets in the place of the log.
    pub fn secrets_key(&self) -> Result<Secret32, StoreError> {
        let kept = [self.secrets_file(), self.canaries_file(), self.honeytokens_file()];
        let in_use = kept.iter().find(|file| file.exists());
        read_or_create_secret(
            &self.secrets_key_file(),
            in_use.is_some(),
            in_use.unwrap_or(&self.secrets_file()),
        )
    }

    /// Takes the file of registered secrets for one who changes it, until what is returned is dropped.
    ///
    /// # Errors
    /// If its lock cannot be opened or taken.
    pub fn lock_secrets(&self) -> Result<File, StoreError> {
        let path = self.root.join("secrets.lock");
        let file = private::open_or_create(&path).map_err(at("open the lock file", &path))?;
        file.lock().map_err(at("lock", &path))?;
        Ok(file)
    }

    /// The newest checkpoint that was remembered; `None` if there is none yet.
    ///
    /// # Errors
    /// If the file is there and cannot be read as text.
    pub fn checkpoint_seen(&self) -> Result<Option<String>, StoreError> {
        Ok(read_small(&self.checkpoint_file())?.map(|text| text.as_str().to_owned()))
    }

    /// Remembers `checkpoint` (a signed note) as the newest. Costs an fsync: for start, stop and now and
    /// then, not for every append.
    ///
    /// # Errors
    /// If it cannot be written, or is longer than 64 KiB.
    pub fn remember_checkpoint(&self, checkpoint: &str) -> Result<(), StoreError> {
        let path = self.checkpoint_file();
        if checkpoint.len() as u64 > MAX_FILE {
            return Err(at("write", &path)(io::Error::other("a checkpoint of more than 64 KiB")));
        }
        write_atomic(&path, checkpoint.as_bytes())
    }
}

/// The home directory belongs to this process as long as this lives.
#[derive(Debug)]
pub struct HomeLock {
    home: Home,
    file: File,
}

impl HomeLock {
    /// What is locked.
    #[must_use]
    pub const fn home(&self) -> &Home {
        &self.home
    }
}

impl Drop for HomeLock {
    fn drop(&mut self) {
        // Closing the file would do; an error here has no one to hear it.
        let _ = self.file.unlock();
    }
}

/// Replaces the content of `path`: readers see the old or the new, also after a crash. The file is
/// private (0600) from its first byte.
///
/// # Errors
/// If the directory cannot be written; the old content is left.
pub fn write_atomic(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let failed = at("write", path);
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed(io::Error::from(io::ErrorKind::InvalidInput)));
    };
    let mut tag = [0; 8];
    fill_random(&mut tag)?;
    let temporary = dir.join(format!(".{}.{:016x}.tmp", name.to_string_lossy(), u64::from_le_bytes(tag)));
    let written = (|| {
        let mut file = private::create_new(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        drop(file);
        std::fs::rename(&temporary, path)?;
        private::sync_dir(dir)
    })();
    written.map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        failed(error)
    })
}

/// The text of a small file; `None` if it is not there.
pub(crate) fn read_small(path: &Path) -> Result<Option<Zeroizing<String>>, StoreError> {
    let Some(bytes) = read_bytes(path)? else { return Ok(None) };
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
        Err(_) => Err(at("read", path)(io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text"))),
    }
}

fn read_bytes(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let failed = at("read", path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    // One allocation, so that no outgrown buffer with half a secret in it is given back unwiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    match file.take(MAX_FILE + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > MAX_FILE => Err(failed(io::Error::other("larger than 64 KiB"))),
        Ok(_) => Ok(Some(bytes)),
        Err(error) => Err(failed(error)),
    }
}

fn read_or_create_secret(path: &Path, in_use: bool, used_by: &Path) -> Result<Secret32, StoreError> {
    match read_bytes(path)? {
        Some(bytes) => Secret32::from_slice(&bytes)
            .ok_or_else(|| StoreError::Malformed { path: path.into(), want: "exactly 32 bytes" }),
        None if in_use => Err(StoreError::KeyLost { key: path.into(), data: used_by.into() }),
        None => {
            let secret = Secret32::random()?;
            write_atomic(path, secret.expose())?;
            Ok(secret)
        }
    }
}

pub(crate) fn read_or_create_token(path: &Path, kind: TokenKind) -> Result<Token, StoreError> {
    match read_token(path, kind)? {
        Some(token) => Ok(token),
        None => {
            let token = Token::random(kind)?;
            write_atomic(path, Zeroizing::new(format!("{}\n", token.expose())).as_bytes())?;
            Ok(token)
        }
    }
}

pub(crate) fn read_token(path: &Path, kind: TokenKind) -> Result<Option<Token>, StoreError> {
    let Some(text) = read_small(path)? else { return Ok(None) };
    match Token::parse(kind, text.trim_end_matches(['\r', '\n'])) {
        Some(token) => Ok(Some(token)),
        None => Err(StoreError::Malformed { path: path.into(), want: "one token as Doorward writes it" }),
    }
}
