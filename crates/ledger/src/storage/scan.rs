//! Reading segments into a [`View`], checking all the way: index, hash check, size and root of every checkpoint
//! read, and the signature of the last one.

use super::error::LogError;
use super::index::SegmentIndex;
use super::record::{HEADER, Record, RecordReader, check_matches, segment_files};
use super::tail::{Tail, genuine_checkpoint, is_zeros};
use super::tree::TILE;
use super::view::{Place, Segment, View};
use crate::merkle::leaf_hash;
use crate::note::{Checkpoint, NoteError, SignedCheckpoint};
use std::path::Path;

/// A checkpoint's text that was read, and where.
struct Seen {
    note: String,
    segment: usize,
    offset: u64,
}

/// Takes in everything that was written since the view was last brought up to date. With `trust_index`, closed
/// segments are taken from their index files, which the last checkpoint then confirms or not.
pub(super) fn advance(view: &mut View, trust_index: bool) -> Result<Tail, LogError> {
    // Listed before the last segment is read: a segment that appears later implies that one was complete by then.
    let files = segment_files(&view.dir)?;
    let mut seen = None;
    let mut tail = Tail::Clean;
    let known = view.segments.last().map(|segment| segment.first);
    if known.is_some() {
        tail = scan_segment(view, view.segments.len() - 1, &mut seen)?;
    }
    let new: Vec<_> =
        files.into_iter().filter(|(first, _)| known.is_none_or(|known| *first > known)).collect();
    let count = new.len();
    for (i, (first, path)) in new.into_iter().enumerate() {
        let size = view.tree.size();
        if let Tail::Torn { offset, .. } = tail {
            let segment = view.segments.last().map_or(&path, |segment| &segment.path);
            return Err(corrupt(segment, offset, size, "it is cut off, yet another segment follows"));
        }
        if first != size {
            let what = format!(
                "the segment begins with receipt {first}, but {size} should come next: one is missing"
            );
            return Err(corrupt(&path, 0, size, what));
        }
        let index = if trust_index && i + 1 < count { SegmentIndex::load(&path, first) } else { None };
        view.segments.push(Segment { first, end: first, len: 0, path });
        match index {
            Some(index) => take_index(view, index, &mut seen),
            None => tail = scan_segment(view, view.segments.len() - 1, &mut seen)?,
        }
    }
    confirm(view, seen)?;
    Ok(tail)
}

pub(super) fn corrupt(segment: &Path, offset: u64, index: u64, what: impl Into<String>) -> LogError {
    LogError::Corrupt { segment: segment.to_owned(), offset, index, what: what.into() }
}

/// Adds what the index says about the segment just pushed.
fn take_index(view: &mut View, index: SegmentIndex, seen: &mut Option<Seen>) {
    let number = view.segments.len() - 1;
    let frontier = index.frontier().unwrap_or_default();
    view.places.extend(index.marks.iter().map(|&offset| Place { segment: number as u32, offset }));
    for &tile in &index.tiles {
        view.tree.push_tile(tile);
    }
    view.tree.set_low(frontier);
    if let Some(segment) = view.segments.last_mut() {
        segment.end = index.end;
        segment.len = index.len;
    }
    *seen = Some(Seen { note: index.note, segment: number, offset: index.len });
}

/// Reads a segment from where the view stands in it. What has no checkpoint is taken back.
fn scan_segment(view: &mut View, number: usize, seen: &mut Option<Seen>) -> Result<Tail, LogError> {
    let Some(segment) = view.segments.get(number) else { return Ok(Tail::Clean) };
    let (path, first, good) = (segment.path.clone(), segment.first, segment.len);
    let mut reader = RecordReader::open(&path, good)?;
    if reader.len() < good {
        return Err(corrupt(&path, reader.len(), view.tree.size(), "the file is shorter than it was"));
    }
    if good == 0 && !open_header(&mut reader, &path, first)? {
        return Ok(Tail::Torn { offset: 0, bytes: reader.len() });
    }
    let mut mark = view.tree.mark();
    let mut places = view.places.len();
    loop {
        let at = reader.offset();
        let index = view.tree.size();
        match reader.next()? {
            Record::Entry { index: stated, check } => {
                let hash = leaf_hash(reader.payload());
                if !check_matches(check, &hash) {
                    return Err(corrupt(&path, at, index, "its bytes were altered"));
                }
                if stated != index {
                    return Err(corrupt(&path, at, index, format!("receipt {stated} stands in its place")));
                }
                if index.is_multiple_of(TILE) {
                    view.places.push(Place { segment: number as u32, offset: at });
                }
                view.tree.push(hash);
            }
            Record::Checkpoint => {
                let note = read_checkpoint(view, reader.payload(), &path, at)?;
                *seen = Some(Seen { note, segment: number, offset: at });
                mark = view.tree.mark();
                places = view.places.len();
                if let Some(segment) = view.segments.get_mut(number) {
                    segment.len = reader.offset();
                    segment.end = index;
                }
            }
            ended => {
                view.tree.restore(mark);
                view.places.truncate(places);
                let good = view.segments.get(number).map_or(0, |segment| segment.len);
                return tail_of(&mut reader, view, ended, good, at, &path);
            }
        }
    }
}

/// Whether the header is there; an error if something else is.
fn open_header(reader: &mut RecordReader, path: &Path, first: u64) -> Result<bool, LogError> {
    match reader.header()? {
        Some(stated) if stated == first => Ok(true),
        Some(stated) => {
            Err(corrupt(path, 20, first, format!("its header says it begins with receipt {stated}")))
        }
        None if reader.len() < HEADER || is_zeros(reader, 0)? => Ok(false),
        None => Err(corrupt(path, 0, first, "it does not begin as a segment does")),
    }
}

fn read_checkpoint(view: &View, payload: &[u8], path: &Path, at: u64) -> Result<String, LogError> {
    let size = view.tree.size();
    let fail = |what: String| corrupt(path, at, size, what);
    let note = std::str::from_utf8(payload).map_err(|_| fail("the checkpoint is not text".into()))?;
    let claimed = Checkpoint::claimed(note).map_err(|e| fail(e.to_string()))?;
    if claimed.size != size {
        return Err(fail(format!("the checkpoint is over {} receipts, but {size} precede it", claimed.size)));
    }
    if claimed.origin != view.trusted.name() {
        let source = NoteError::Origin { found: claimed.origin, expected: view.trusted.name().to_owned() };
        return Err(LogError::WrongKey { dir: view.dir.clone(), source });
    }
    if claimed.root != view.tree.root() {
        return Err(fail("the receipts before the checkpoint do not lead to its root".into()));
    }
    Ok(note.to_owned())
}

fn tail_of(
    reader: &mut RecordReader,
    view: &View,
    ended: Record,
    good: u64,
    at: u64,
    path: &Path,
) -> Result<Tail, LogError> {
    let size = view.tree.size();
    // The header alone is also the beginning of a write that never finished.
    let bytes = reader.len() - good;
    if bytes == 0 {
        return Ok(Tail::Clean);
    }
    if ended == Record::Garbage && !is_zeros(reader, at)? {
        return Err(corrupt(path, at, size, "what stands there is not a record"));
    }
    if let Some(found) = genuine_checkpoint(reader, good, &view.trusted)? {
        let what =
            format!("a length or type was altered between here and the checkpoint over {}", found.size());
        return Err(corrupt(path, at, size, what));
    }
    Ok(Tail::Torn { offset: good, bytes })
}

/// Believes what was read if its last checkpoint is genuine and has the root that was computed.
fn confirm(view: &mut View, seen: Option<Seen>) -> Result<(), LogError> {
    let Some(Seen { note, segment, offset }) = seen else { return Ok(()) };
    let size = view.tree.size();
    let path = view.segments.get(segment).map(|segment| segment.path.clone()).unwrap_or_default();
    let checkpoint = match SignedCheckpoint::verify(&note, &view.trusted) {
        Ok(checkpoint) => checkpoint,
        Err(source @ (NoteError::ForeignKey { .. } | NoteError::Origin { .. })) => {
            return Err(LogError::WrongKey { dir: view.dir.clone(), source });
        }
        Err(e) => return Err(corrupt(&path, offset, size, e.to_string())),
    };
    if checkpoint.size() != size || checkpoint.root() != view.tree.root() {
        return Err(corrupt(&path, offset, size, "the receipts do not lead to the root that was signed"));
    }
    view.checkpoint = Some(checkpoint);
    Ok(())
}
