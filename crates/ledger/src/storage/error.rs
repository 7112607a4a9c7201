//! What can go wrong with a log on disk, in the operator's words.

use std::io;
use std::path::{Path, PathBuf};

/// Why the log could not be opened, read or appended to.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Another process appends to this log.
    #[error(
        "the ledger in {dir} is in use by another process{by}: stop that one first, or use another directory"
    )]
    InUse {
        /// The log's directory.
        dir: PathBuf,
        /// ` (process 123)` where known.
        by: String,
    },
    /// The operating system refused.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// No space is left.
    #[error("no space is left for the ledger in {dir}: traffic stops until some is freed")]
    StorageFull {
        /// The log's directory.
        dir: PathBuf,
    },
    /// Bytes that were committed are not what they were.
    #[error(
        "the ledger is damaged at receipt {index}, in {segment} at byte {offset}: {what}. Nothing was changed; \
             `receipts verify` tells more"
    )]
    Corrupt {
        /// The segment file.
        segment: PathBuf,
        /// Where in it.
        offset: u64,
        /// Index of the receipt, or of the next one.
        index: u64,
        /// What is wrong.
        what: String,
    },
    /// The log is not the one remembered, or is older.
    #[error("the ledger in {dir} does not continue the checkpoint remembered for it: {what}")]
    RolledBack {
        /// The log's directory.
        dir: PathBuf,
        /// How they differ.
        what: String,
    },
    /// The log was signed by someone else.
    #[error("the ledger in {dir} does not belong to this key: {source}")]
    WrongKey {
        /// The log's directory.
        dir: PathBuf,
        /// Whose it is.
        source: crate::note::NoteError,
    },
    /// An earlier write failed in a way that leaves the file's state unknown.
    #[error("the ledger takes no receipts since an earlier failure ({0}); it must be opened again")]
    Refusing(String),
    /// There is nothing to commit to.
    #[error("nothing was given to append to an empty ledger")]
    NothingToAppend,
    /// There is no such receipt.
    #[error("there is no receipt {index}: the ledger holds {size}")]
    NoSuchEntry {
        /// What was asked for.
        index: u64,
        /// How many there are.
        size: u64,
    },
    /// A tile directory holds something else than its checkpoint says.
    #[error("the exported log is damaged at {path}: {what}")]
    BadTile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl LogError {
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
        move |source| LogError::Io { what, path: path.to_owned(), source }
    }

    /// Whether freeing space is all that is needed.
    pub fn is_full(&self) -> bool {
        matches!(self, LogError::StorageFull { .. })
    }
}

/// Whether an I/O error means that no space is left, be it on the disk or in a quota.
pub(super) fn no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
