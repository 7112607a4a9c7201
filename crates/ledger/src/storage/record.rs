//! Records of a segment: how they are written and read, one at a time and in bounded memory.
//!
//! ```text
//! segment    = "doorward-segment v1\n" first:u64 record*
//! entry      = 'E' length:u16 index:u64 check:[8] receipt        check: first bytes of the leaf hash
//! checkpoint = 'C' length:u16 signed-note
//! ```
//! Integers are big-endian. Index and check make damage local: they say which receipt was altered, dropped or moved.

use super::error::LogError;
use crate::merkle::Hash;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

pub(crate) const MAGIC: &[u8; 20] = b"doorward-segment v1\n";
/// Bytes before the first record.
pub(crate) const HEADER: u64 = 28;
/// Greatest index that is believed, so that counting on from it cannot overflow.
const MAX_FIRST: u64 = crate::canonical::MAX_INT as u64;
const ENTRY: u8 = b'E';
const CHECKPOINT: u8 = b'C';

pub(super) fn write_header(first: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&first.to_be_bytes());
}

pub(super) fn write_entry(index: u64, hash: &Hash, receipt: &[u8], out: &mut Vec<u8>) {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    out.push(ENTRY);
    // A leaf is at most MAX_ENTRY_BYTES long.
    out.extend_from_slice(&(receipt.len() as u16).to_be_bytes());
    out.extend_from_slice(&index.to_be_bytes());
    out.extend_from_slice(&[a, b, c, d, e, f, g, h]);
    out.extend_from_slice(receipt);
}

pub(super) fn write_checkpoint(note: &str, out: &mut Vec<u8>) {
    out.push(CHECKPOINT);
    out.extend_from_slice(&(note.len() as u16).to_be_bytes());
    out.extend_from_slice(note.as_bytes());
}

/// Whether `check` belongs to a leaf with this hash.
pub(crate) fn check_matches(check: [u8; 8], hash: &Hash) -> bool {
    hash.starts_with(&check)
}

/// What was found at a place in a segment. The payload is in the reader's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    /// A receipt with the index and check it was stored with.
    Entry { index: u64, check: [u8; 8] },
    /// A signed note.
    Checkpoint,
    /// The file ends inside this record.
    CutOff,
    /// The bytes are not a record.
    Garbage,
    /// The file ends where a record ended.
    End,
}

/// Reads a segment from front to back.
pub(crate) struct RecordReader {
    path: PathBuf,
    file: BufReader<File>,
    /// Offset of the next record.
    at: u64,
    /// Length of the file when it was opened.
    len: u64,
    buf: Vec<u8>,
}

impl RecordReader {
    /// Opens a segment; `at` is 0 or the offset of a record.
    pub(crate) fn open(path: &Path, at: u64) -> Result<RecordReader, LogError> {
        let mut file = File::open(path).map_err(LogError::io("open", path))?;
        let len = file.metadata().map_err(LogError::io("look at", path))?.len();
        file.seek(SeekFrom::Start(at)).map_err(LogError::io("read", path))?;
        let file = BufReader::with_capacity(128 * 1024, file);
        Ok(RecordReader { path: path.to_owned(), file, at, len, buf: Vec::new() })
    }

    /// Offset of the next record.
    pub(crate) fn offset(&self) -> u64 {
        self.at
    }

    /// Length of the file.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Payload of the record read last.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.buf
    }

    /// The index in the header, `None` if the file is shorter or does not begin with the magic.
    pub(crate) fn header(&mut self) -> Result<Option<u64>, LogError> {
        if self.len < HEADER {
            return Ok(None);
        }
        let magic: [u8; 20] = self.array()?;
        let first = self.array()?;
        self.at = HEADER;
        Ok((magic == *MAGIC).then_some(u64::from_be_bytes(first)))
    }

    /// The next record; the offset moves on only past whole ones.
    pub(crate) fn next(&mut self) -> Result<Record, LogError> {
        let left = self.len - self.at;
        if left == 0 {
            return Ok(Record::End);
        }
        let [tag] = self.array()?;
        let fixed: u64 = match tag {
            ENTRY => 19,
            CHECKPOINT => 3,
            _ => return Ok(Record::Garbage),
        };
        if left < fixed {
            return Ok(Record::CutOff);
        }
        let length = u64::from(u16::from_be_bytes(self.array()?));
        let record = if tag == ENTRY {
            Record::Entry { index: u64::from_be_bytes(self.array()?), check: self.array()? }
        } else {
            Record::Checkpoint
        };
        if left < fixed + length {
            return Ok(Record::CutOff);
        }
        self.buf.clear();
        let read = self.file.by_ref().take(length).read_to_end(&mut self.buf);
        let read = read.map_err(LogError::io("read", &self.path))?;
        if read as u64 != length {
            return Err(self.shrunk());
        }
        self.at += fixed + length;
        Ok(record)
    }

    /// The bytes from `offset` on, at most `limit`; the reader cannot be used further after it.
    pub(crate) fn all_from(&mut self, offset: u64, limit: u64) -> Result<Vec<u8>, LogError> {
        self.file.seek(SeekFrom::Start(offset)).map_err(LogError::io("read", &self.path))?;
        let mut bytes = Vec::new();
        self.file.by_ref().take(limit).read_to_end(&mut bytes).map_err(LogError::io("read", &self.path))?;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LogError> {
        let mut bytes = [0; N];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(self.shrunk()),
            Err(e) => Err(LogError::io("read", &self.path)(e)),
        }
    }

    fn shrunk(&self) -> LogError {
        let source =
            io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was read");
        LogError::io("read", &self.path)(source)
    }
}

/// Whether `dir` is a log's directory, not an exported log.
pub(crate) fn is_log_dir(dir: &Path) -> bool {
    dir.join("segments").is_dir()
}

/// The segment files of a log with the index in their names, in order.
pub(crate) fn segment_files(dir: &Path) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let segments = dir.join("segments");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&segments).map_err(LogError::io("read the directory", &segments))? {
        let path = entry.map_err(LogError::io("read the directory", &segments))?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let is_segment = path.extension().is_some_and(|ext| ext == "seg");
        if is_segment
            && stem.len() == 20
            && let Some(first) = stem.parse().ok().filter(|first| *first <= MAX_FIRST)
        {
            files.push((first, path));
        }
    }
    files.sort();
    Ok(files)
}

/// Name of the segment whose first entry is `first`.
pub(super) fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join("segments").join(format!("{first:020}.seg"))
}
