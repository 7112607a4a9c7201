//! What can go wrong with what is kept, in the operator's words.

use std::io;
use std::path::{Path, PathBuf};

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or directory did not let us.
    #[error("cannot {what} {}: {error}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another process has the home directory.
    #[error(
        "{} is in use by another doorward{}; stop it first, or give this one its own DOORWARD_HOME",
        home.display(),
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Locked {
        /// Which directory.
        home: PathBuf,
        /// Which process, if it could be read.
        pid: Option<u32>,
    },
    /// A file does not hold what it should.
    #[error("{} does not hold {want}; restore it from a backup, or move it away to start anew", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        want: &'static str,
    },
    /// Data is there, its key is not.
    #[error(
        "{} is missing but {} is not empty: without its key it cannot be read or continued; restore the key, \
         or move the data away to start anew",
        key.display(),
        data.display()
    )]
    KeyLost {
        /// The missing key.
        key: PathBuf,
        /// What it belongs to.
        data: PathBuf,
    },
    /// The database was made with another key.
    #[error("{} was not written with the key in {}; restore the key that belongs to it", db.display(), key.display())]
    WrongKey {
        /// The database.
        db: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The database is from a newer Doorward.
    #[error("{} has schema {found}, this doorward knows up to {known}; use the newer version that wrote it", db.display())]
    NewerSchema {
        /// The database.
        db: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest we know.
        known: i64,
    },
    /// SQLite did not do it.
    #[error("the store {}: {error}", db.display())]
    Database {
        /// The database.
        db: PathBuf,
        /// What SQLite said.
        error: rusqlite::Error,
    },
    /// A stored value was changed, or belongs to another row.
    #[error("the stored {what} of {row} is damaged: it does not decrypt to what was written")]
    Damaged {
        /// Which column.
        what: &'static str,
        /// Which row.
        row: String,
    },
    /// It cannot be done at present. For records: until it can, nothing new is accepted.
    #[error("the store cannot write: {0}")]
    Unavailable(String),
    /// Not a name an agent can have.
    #[error(
        "{0:?} cannot name an agent: use 1 to 64 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit"
    )]
    BadName(String),
    /// A text that cannot name a session.
    #[error("`{0}` names no session: a session is written AGENT/ID, as `doorward session list` shows it")]
    BadSession(String),
    /// The system gave no random bytes.
    #[error("the operating system gave no random bytes ({0})")]
    Random(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// Turns an I/O error into one that says what was tried on which path.
pub(crate) fn at(what: &'static str, path: &Path) -> impl Fn(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |error| StoreError::File { what, path: path.clone(), error }
}
