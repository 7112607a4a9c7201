//! Verification of a log directory: every byte of every segment, nothing else.
//!
//! Between two checkpoints the stored indices and checks say *which* receipt was altered, dropped or moved; the
//! signed root says *that* one was. The root decides: where it agrees, the receipts are right and only their record
//! headers can be wrong. Once a root disagrees, later roots cannot agree any more; they are not reported again.

use super::meaning::Meaning;
use super::report::{Code, Problem, Report};
use crate::keys::VerifyingKey;
use crate::merkle::{Compact, Hash, leaf_hash};
use crate::note::SignedCheckpoint;
use crate::receipt::{Kind, Receipt};
use crate::rotation::{self, Rotation};
use crate::storage::check_matches;
use crate::storage::{LogError, Record, RecordReader, genuine_checkpoint, is_zeros, segment_files};
use std::path::Path;

/// A receipt since the last checkpoint.
struct Pending {
    stated: u64,
    offset: u64,
    intact: bool,
}

struct Walk<'a> {
    /// The key that signs, as far as was read.
    trusted: VerifyingKey,
    /// The key that a rotation in this group leads to.
    next: Option<VerifyingKey>,
    report: Report,
    meaning: Meaning,
    tree: Compact,
    /// Whether the tree can still agree with checkpoints.
    sound: bool,
    /// Receipts that the checkpoints so far are over.
    signed: u64,
    group: Vec<Pending>,
    since: Option<SignedCheckpoint>,
    /// The same, as long as no key is known that signed it; and what is wrong if none comes.
    since_of_later_key: Option<(&'a str, Problem)>,
    /// Root when the tree had the size of `since`.
    since_root: Option<Hash>,
    torn: bool,
}

pub(super) fn verify(dir: &Path, trusted: &VerifyingKey, since: Option<&str>) -> Report {
    let mut report = Report::new("log");
    let (mut known, mut of_later_key) = (None, None);
    match since.map(|text| (text, read_since(text, trusted))) {
        Some((_, Ok(since))) => known = Some(since),
        Some((text, Err(problem))) if problem.code == Code::ForeignKey => {
            of_later_key = Some((text, problem))
        }
        Some((_, Err(problem))) => report.problem(problem),
        None => {}
    }
    let mut walk = Walk {
        trusted: trusted.clone(),
        next: None,
        report,
        meaning: Meaning::default(),
        tree: Compact::new(),
        sound: true,
        signed: 0,
        group: Vec::new(),
        since: known,
        since_of_later_key: of_later_key,
        since_root: None,
        torn: false,
    };
    match segment_files(dir) {
        Ok(files) => {
            let count = files.len();
            for (i, (first, path)) in files.iter().enumerate() {
                walk.segment(*first, path, i + 1 == count);
            }
        }
        Err(error) => walk.report.problem(Problem::new(Code::Unreadable, error.to_string())),
    }
    walk.finish()
}

/// The remembered checkpoint, if it is one of this key's.
pub(super) fn read_since(text: &str, trusted: &VerifyingKey) -> Result<SignedCheckpoint, Problem> {
    SignedCheckpoint::verify(text, trusted).map_err(|error| {
        let mut problem = Problem::of_note(&error);
        problem.message = format!("the remembered checkpoint cannot be used: {}", problem.message);
        problem
    })
}

impl Walk<'_> {
    fn segment(&mut self, first: u64, path: &Path, last: bool) {
        let file =
            path.file_name().map(|name| format!("segments/{}", name.to_string_lossy())).unwrap_or_default();
        if let Err(error) = self.read_segment(first, path, &file, last) {
            self.sound = false;
            self.report.problem(Problem::new(Code::Unreadable, error.to_string()).at(&file, 0));
        }
    }

    fn read_segment(&mut self, first: u64, path: &Path, file: &str, last: bool) -> Result<(), LogError> {
        let mut reader = RecordReader::open(path, 0)?;
        match reader.header()? {
            Some(stated) if stated == first => {}
            None if last && (reader.len() < crate::storage::HEADER || is_zeros(&mut reader, 0)?) => {
                self.torn_tail(reader.len());
                return Ok(());
            }
            _ => {
                let message = "it does not begin as the segment of its name does";
                self.report.problem(Problem::new(Code::BadSegment, message).at(file, 0));
                reader = RecordReader::open(path, crate::storage::HEADER.min(reader.len()))?;
            }
        }
        if first != self.signed {
            let message = if first > self.signed {
                format!(
                    "receipts {} to {} should come before this segment and are not there",
                    self.signed,
                    first - 1
                )
            } else {
                format!("it begins with receipt {first}, but {} come before it", self.signed)
            };
            self.report
                .problem(Problem::new(Code::SegmentMissing, message).at_index(self.signed).at(file, 0));
            self.sound = false;
            self.signed = first;
        }
        loop {
            let at = reader.offset();
            match reader.next()? {
                Record::Entry { index, check } => self.entry(index, check, reader.payload(), file, at),
                Record::Checkpoint => self.checkpoint(reader.payload(), file, at),
                ended => return self.end_of_segment(&mut reader, ended, at, file, last),
            }
        }
    }

    fn entry(&mut self, stated: u64, check: [u8; 8], bytes: &[u8], file: &str, offset: u64) {
        let index = self.signed + self.group.len() as u64;
        let hash = leaf_hash(bytes);
        let intact = check_matches(check, &hash);
        if intact && rotation::could_be(bytes) {
            self.rotation(index, bytes, file, offset);
        }
        self.group.push(Pending { stated, offset, intact });
        self.tree.push(hash);
        if self.since.as_ref().is_some_and(|since| since.size() == self.tree.size()) {
            self.since_root = Some(self.tree.root());
        }
        self.report.entries += 1;
        // Altered bytes are reported as such, not for what they no longer mean.
        if intact {
            self.meaning.see(index, bytes, file, offset, &mut self.report);
        }
    }

    /// Notes which key comes after this one, if both say so.
    fn rotation(&mut self, index: u64, bytes: &[u8], file: &str, offset: u64) {
        let Ok(receipt) = Receipt::parse(bytes) else { return };
        if *receipt.kind() != Kind::KeyRotation {
            return;
        }
        let found = Rotation::verify(&receipt, &self.trusted).and_then(|rotation| {
            let here = rotation.index == index && rotation.root == self.tree.root();
            let here = here && self.next.is_none();
            here.then_some(rotation.new)
                .ok_or_else(|| "the rotation of the key was signed for another place".into())
        });
        match found {
            Ok(new) => self.next = Some(new),
            Err(what) => {
                self.report.problem(Problem::new(Code::BadRotation, what).at_index(index).at(file, offset));
            }
        }
    }

    /// Goes on under the next key, once its checkpoint is found good.
    fn go_on_under(&mut self, next: VerifyingKey) {
        if let Some((text, problem)) = self.since_of_later_key.take() {
            match SignedCheckpoint::verify(text, &next) {
                Ok(since) => {
                    self.since_root = (since.size() == self.tree.size()).then(|| self.tree.root());
                    self.since = Some(since);
                }
                Err(_) => self.since_of_later_key = Some((text, problem)),
            }
        }
        self.trusted = next;
    }

    fn checkpoint(&mut self, payload: &[u8], file: &str, at: u64) {
        self.report.checkpoints += 1;
        let end = self.signed + self.group.len() as u64;
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let next = self.next.take();
        let signed = SignedCheckpoint::verify(text, &self.trusted);
        // Where the key changes, both sign.
        let signed = match &next {
            Some(next) => signed.and_then(|_| SignedCheckpoint::verify(text, next)),
            None => signed,
        };
        if let (true, Some(next)) = (signed.is_ok(), next) {
            self.go_on_under(next);
        }
        match signed {
            Err(error) => {
                // Nothing was signed here, not even a size, so only the stored checks speak about these receipts.
                self.report.problem(Problem::of_note(&error).at_index(end).at(file, at));
                self.compare_headers(end, file);
                self.signed = end;
            }
            Ok(checkpoint) if checkpoint.size() < end && checkpoint.size() <= self.signed => {
                let message = format!("the older checkpoint over {} stands here again", checkpoint.size());
                self.report.problem(Problem::new(Code::BadCheckpoint, message).at_index(end).at(file, at));
                return;
            }
            Ok(checkpoint) => {
                self.signed_group(&checkpoint, end, file, at);
                self.signed = checkpoint.size();
                self.report.newest = Some(text.to_owned());
            }
        }
        self.group.clear();
    }

    /// The receipts from `self.signed` to `end`, held against the checkpoint that follows them.
    fn signed_group(&mut self, checkpoint: &SignedCheckpoint, end: u64, file: &str, at: u64) {
        let size = checkpoint.size();
        if self.sound && size == end && checkpoint.root() == self.tree.root() {
            return self.only_headers_differ(file);
        }
        if !self.compare_headers(size, file) && self.sound {
            let message = format!(
                "the receipts do not lead to the root signed over {size}: one of {} to {} was altered, replaced or \
                 moved",
                self.signed,
                end.saturating_sub(1)
            );
            self.report.problem(Problem::new(Code::RootMismatch, message).at_index(end).at(file, at));
        }
        self.sound = false;
    }

    /// The receipts are those that were signed; their records may still have been touched.
    fn only_headers_differ(&mut self, file: &str) {
        for (index, entry) in (self.signed..).zip(&self.group) {
            if entry.stated != index || !entry.intact {
                let message = "the receipt is right, but the index or check stored with it was altered";
                self.report
                    .problem(Problem::new(Code::BadRecord, message).at_index(index).at(file, entry.offset));
            }
        }
    }

    /// What indices and checks say about the receipts since the last checkpoint, which should end before `size`.
    /// Whether they say anything.
    fn compare_headers(&mut self, size: u64, file: &str) -> bool {
        let before = self.report.problem_count;
        for (index, entry) in (self.signed..).zip(&self.group) {
            if !entry.intact {
                let message = "its bytes were altered";
                self.report.problem(
                    Problem::new(Code::EntryAltered, message).at_index(index).at(file, entry.offset),
                );
            }
        }
        let offset = self.group.first().map_or(0, |entry| entry.offset);
        let in_order = (self.signed..).zip(&self.group).all(|(index, entry)| index == entry.stated);
        let end = self.signed + self.group.len() as u64;
        if in_order && end < size {
            let message =
                format!("{} of the receipts {} to {} are missing", size - end, self.signed, size - 1);
            self.report.problem(Problem::new(Code::EntryMissing, message).at_index(end).at(file, offset));
        } else if in_order && end > size {
            let message = format!("{} receipts more than were signed stand here", end - size);
            self.report.problem(Problem::new(Code::EntryAdded, message).at_index(size).at(file, offset));
        } else if !in_order {
            self.compare_order(size, file, offset);
        }
        self.report.problem_count > before
    }

    fn compare_order(&mut self, size: u64, file: &str, offset: u64) {
        let mut stated: Vec<u64> = self.group.iter().map(|entry| entry.stated).collect();
        let gapless = stated.iter().zip(stated.iter().skip(1)).all(|(a, b)| a.checked_add(1) == Some(*b));
        if !self.sound && gapless && stated.len() as u64 == size - self.signed {
            // Only renumbered, after something before it was dropped or added: that was said already.
            return;
        }
        stated.sort_unstable();
        let mut expected = self.signed;
        let mut whole = true;
        for index in stated.iter().copied().chain([size]) {
            if index > expected {
                whole = false;
                let message = match index - expected {
                    1 => format!("receipt {expected} is missing"),
                    _ => format!("receipts {expected} to {} are missing", index - 1),
                };
                self.report
                    .problem(Problem::new(Code::EntryMissing, message).at_index(expected).at(file, offset));
            } else if index < expected && index != size {
                whole = false;
                let message = format!("receipt {index} stands here a second time");
                self.report.problem(Problem::new(Code::EntryAdded, message).at_index(index).at(file, offset));
            }
            expected = expected.max(index.saturating_add(1));
        }
        let moved = if whole {
            (self.signed..).zip(&self.group).find(|(index, entry)| *index != entry.stated)
        } else {
            let pairs = self.group.iter().zip(self.group.iter().skip(1));
            pairs.filter(|(a, b)| a.stated > b.stated).map(|(_, b)| (b.stated, b)).next()
        };
        if let Some((index, entry)) = moved {
            let message =
                format!("receipts changed places: number {} stands where {index} belongs", entry.stated);
            let problem = Problem::new(Code::EntryReordered, message);
            self.report.problem(problem.at_index(index).at(file, entry.offset));
        }
    }

    fn end_of_segment(
        &mut self,
        reader: &mut RecordReader,
        ended: Record,
        at: u64,
        file: &str,
        last: bool,
    ) -> Result<(), LogError> {
        let start = self.group.first().map_or(at, |entry| entry.offset);
        let bytes = reader.len() - start;
        let index = self.signed + self.group.len() as u64;
        if bytes > 0 {
            let covered = genuine_checkpoint(reader, start, &self.trusted)?;
            let torn = ended != Record::Garbage || is_zeros(reader, at)?;
            if let Some(covered) = covered {
                let message = format!(
                    "a length or type was altered between here and the checkpoint over {}",
                    covered.size()
                );
                self.report.problem(Problem::new(Code::BadRecord, message).at_index(index).at(file, at));
                self.sound = false;
                self.signed = covered.size();
            } else if last && torn {
                self.compare_headers(index, file);
                self.torn_tail(bytes);
                // They are not part of the log, so they count as neither present nor open.
                self.report.entries -= self.group.len() as u64;
            } else {
                let message =
                    if torn { "it is cut off, yet another segment follows" } else { "this is not a record" };
                self.report.problem(Problem::new(Code::BadRecord, message).at_index(index).at(file, at));
                self.sound = false;
            }
        }
        self.group.clear();
        Ok(())
    }

    fn torn_tail(&mut self, bytes: u64) {
        self.torn = true;
        let note =
            format!("{bytes} bytes follow the last checkpoint: a write that was cut off, never acknowledged");
        self.report.notes.push(note);
    }

    fn finish(mut self) -> Report {
        self.meaning.finish(&mut self.report);
        if let Some((_, problem)) = self.since_of_later_key.take() {
            self.report.problem_first(problem);
        }
        let size = self.signed;
        if let Some(since) = self.since.take() {
            compare_since(&since, size, self.since_root, self.sound, self.torn, &mut self.report);
        }
        if !self.sound {
            let note = "from the first problem on, receipts were checked one by one but no longer against the signed \
                        roots";
            self.report.notes.push(note.to_owned());
        }
        self.report
    }
}

/// Holds the log, of `size` receipts, against what was remembered. `root` is the log's root at the remembered size.
pub(super) fn compare_since(
    since: &SignedCheckpoint,
    size: u64,
    root: Option<Hash>,
    sound: bool,
    torn: bool,
    report: &mut Report,
) {
    let then = since.size();
    if size < then {
        let code = if sound && !torn && size > 0 { Code::RolledBack } else { Code::Truncated };
        let message = format!(
            "the remembered checkpoint is over {then} receipts, the log ends after {size}: the last {} are gone",
            then - size
        );
        report.problem(Problem::new(code, message).at_index(size));
    } else if root.is_some_and(|root| root != since.root()) {
        let message =
            format!("the first {then} receipts are not those the remembered checkpoint was signed over");
        report.problem(Problem::new(Code::Rewritten, message));
    }
}
