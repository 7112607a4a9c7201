//! The end of a log: telling a write that was cut off from bytes that were tampered with.
//!
//! A group (receipts, then their checkpoint) is one write, and nothing of it counts before its checkpoint is there.
//! So what follows the last checkpoint may be cut away if it is the *beginning* of a group and nothing more: whole
//! records, then perhaps a part of one, or zeros, which a file system leaves when power fails. But enlarging one
//! length byte far up makes everything after it look like a part of one record. Therefore the supposed tail is
//! searched for a checkpoint that this log's key signed: if there is one, something acknowledged was damaged.

use super::error::LogError;
use super::record::RecordReader;
use crate::keys::VerifyingKey;
use crate::note::SignedCheckpoint;

/// More than one group can be; a longer tail is not a cut-off write.
const MAX_TAIL: u64 = 512 << 20;
/// Longest own checkpoint: three lines and a signature.
const MAX_OWN_NOTE: usize = 2048;
/// How a signature's line begins.
const LINE: &str = "\u{2014} ";

/// What follows the last checkpoint of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing.
    Clean,
    /// A cut-off write.
    Torn { offset: u64, bytes: u64 },
}

/// Whether everything from `at` on is zeros.
pub(crate) fn is_zeros(reader: &mut RecordReader, at: u64) -> Result<bool, LogError> {
    Ok(reader.all_from(at, MAX_TAIL)?.iter().all(|&byte| byte == 0))
}

/// A checkpoint signed by `trusted` among the bytes from `at` on; there is none in a tail that was merely cut off.
pub(crate) fn genuine_checkpoint(
    reader: &mut RecordReader,
    at: u64,
    trusted: &VerifyingKey,
) -> Result<Option<SignedCheckpoint>, LogError> {
    let bytes = reader.all_from(at, MAX_TAIL)?;
    let start = format!("{}\n", trusted.name());
    let end = format!("\n\u{2014} {} ", trusted.name());
    let mut from = 0;
    while let Some(found) = find(bytes.get(from..).unwrap_or_default(), start.as_bytes()) {
        let at = from + found;
        let window = bytes.get(at..bytes.len().min(at + MAX_OWN_NOTE)).unwrap_or_default();
        let note = find(window, end.as_bytes()).and_then(|line| {
            // Where a key was rotated there are two lines.
            let mut stop = line + 1;
            while window.get(stop..)?.starts_with(LINE.as_bytes()) {
                let Some(length) = window.get(stop..)?.iter().position(|&byte| byte == b'\n') else { break };
                stop += length + 1;
            }
            std::str::from_utf8(window.get(..stop)?).ok()
        });
        if let Some(Ok(checkpoint)) = note.map(|note| SignedCheckpoint::verify(note, trusted)) {
            return Ok(Some(checkpoint));
        }
        from = at + 1;
    }
    Ok(None)
}

/// Where `needle` first is in `hay`.
pub(super) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        let at = from + hay.get(from..)?.iter().position(|&byte| byte == first)?;
        if hay.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}
