//! What verification found: problems, with their place, and notes that are no problems.

use crate::canonical::{Object, Value};
use crate::note::NoteError;
use std::collections::BTreeMap;
use std::fmt;

/// Most problems, and most open receipts, that are listed one by one; all are counted.
pub const MAX_LISTED: usize = 100;

/// What is wrong, as a stable word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// A receipt's bytes are not what was written.
    EntryAltered,
    /// A receipt is not there.
    EntryMissing,
    /// A receipt stands in another's place.
    EntryReordered,
    /// There are more receipts than were signed.
    EntryAdded,
    /// The receipts do not lead to the root that was signed.
    RootMismatch,
    /// A checkpoint was altered after signing.
    BadSignature,
    /// A checkpoint is by another key or of another log.
    ForeignKey,
    /// What should be a checkpoint is none.
    BadCheckpoint,
    /// Bytes that are not a record, or a length or type that was altered.
    BadRecord,
    /// A segment does not begin as it should.
    BadSegment,
    /// A whole segment is not there.
    SegmentMissing,
    /// A tile is missing or does not agree with the entries.
    BadTile,
    /// An entry is not a receipt in canonical form.
    BadReceipt,
    /// The log ends before the remembered checkpoint.
    Truncated,
    /// The log ends with a genuine checkpoint that is older than the remembered one.
    RolledBack,
    /// The log has other receipts before the remembered checkpoint than it had then.
    Rewritten,
    /// The key changes, and not both keys say so.
    BadRotation,
    /// An id is used twice.
    DuplicateId,
    /// A receipt refers to one that does not precede it.
    UnknownReference,
    /// An outcome without the receipt it closes.
    OutcomeWithoutOpened,
    /// A second outcome of the same receipt.
    OutcomeTwice,
    /// A bundle that is not one.
    BadBundle,
    /// A receipt is not under the checkpoint of its bundle.
    NotIncluded,
    /// Opened content does not fit the receipt's digests.
    DigestMismatch,
    /// A file could not be read.
    Unreadable,
}

impl Code {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::EntryAltered => "entry_altered",
            Code::EntryMissing => "entry_missing",
            Code::EntryReordered => "entry_reordered",
            Code::EntryAdded => "entry_added",
            Code::RootMismatch => "root_mismatch",
            Code::BadSignature => "bad_signature",
            Code::ForeignKey => "foreign_key",
            Code::BadCheckpoint => "bad_checkpoint",
            Code::BadRecord => "bad_record",
            Code::BadSegment => "bad_segment",
            Code::SegmentMissing => "segment_missing",
            Code::BadTile => "bad_tile",
            Code::BadReceipt => "bad_receipt",
            Code::Truncated => "truncated",
            Code::RolledBack => "rolled_back",
            Code::Rewritten => "rewritten",
            Code::BadRotation => "bad_rotation",
            Code::DuplicateId => "duplicate_id",
            Code::UnknownReference => "unknown_reference",
            Code::OutcomeWithoutOpened => "outcome_without_opened",
            Code::OutcomeTwice => "outcome_twice",
            Code::BadBundle => "bad_bundle",
            Code::NotIncluded => "not_included",
            Code::DigestMismatch => "digest_mismatch",
            Code::Unreadable => "unreadable",
        }
    }
}

/// Where in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// File, relative to the log's directory.
    pub file: String,
    /// Byte in it.
    pub offset: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What, for programs.
    pub code: Code,
    /// What, for people.
    pub message: String,
    /// Index of the receipt concerned.
    pub index: Option<u64>,
    /// Where it is stored.
    pub place: Option<Place>,
}

impl Problem {
    /// A problem without a place.
    pub fn new(code: Code, message: impl Into<String>) -> Problem {
        Problem { code, message: message.into(), index: None, place: None }
    }

    pub(crate) fn at_index(mut self, index: u64) -> Problem {
        self.index = Some(index);
        self
    }

    pub(crate) fn at(mut self, file: &str, offset: u64) -> Problem {
        self.place = Some(Place { file: file.to_owned(), offset });
        self
    }

    pub(crate) fn of_note(error: &NoteError) -> Problem {
        let code = match error {
            NoteError::Malformed(_) => Code::BadCheckpoint,
            NoteError::ForeignKey { .. } | NoteError::Origin { .. } => Code::ForeignKey,
            NoteError::BadSignature { .. } => Code::BadSignature,
        };
        Problem::new(code, error.to_string())
    }

    fn to_value(&self) -> Value {
        let mut object =
            Object::new().with("code", self.code.as_str()).with("message", self.message.as_str());
        if let Some(index) = self.index {
            object.set("index", Value::count(index));
        }
        if let Some(place) = &self.place {
            object.set("file", place.file.as_str());
            object.set("offset", Value::count(place.offset));
        }
        Value::Object(object)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code.as_str())?;
        if let Some(index) = self.index {
            write!(f, " at receipt {index}")?;
        }
        if let Some(place) = &self.place {
            write!(f, " ({} byte {})", place.file, place.offset)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The result of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What was verified: `log`, `tiles` or `bundle`.
    pub subject: &'static str,
    /// Receipts read.
    pub entries: u64,
    /// Checkpoints read.
    pub checkpoints: u64,
    /// Text of the newest checkpoint that was found genuine.
    pub newest: Option<String>,
    /// What is wrong, in the order found, at most [`MAX_LISTED`].
    pub problems: Vec<Problem>,
    /// How many problems there are in all.
    pub problem_count: u64,
    /// Ids of opened receipts without outcome, at most [`MAX_LISTED`]: legal after a crash, or while it runs.
    pub open: Vec<String>,
    /// How many those are in all.
    pub open_count: u64,
    /// Kinds this version does not know, with their number.
    pub unknown_kinds: BTreeMap<String, u64>,
    /// What else is worth saying and no problem.
    pub notes: Vec<String>,
}

impl Report {
    pub(super) fn new(subject: &'static str) -> Report {
        Report { subject, ..Report::default() }
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.problem_count += 1;
        if self.problems.len() < MAX_LISTED {
            self.problems.push(problem);
        }
    }

    /// One that was found late and is about the beginning.
    pub(super) fn problem_first(&mut self, problem: Problem) {
        self.problem_count += 1;
        self.problems.insert(0, problem);
        self.problems.truncate(MAX_LISTED);
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.problem_count == 0
    }

    /// The codes of the problems, in the order found.
    pub fn codes(&self) -> Vec<&'static str> {
        self.problems.iter().map(|problem| problem.code.as_str()).collect()
    }

    /// The report as canonical JSON.
    pub fn to_json(&self) -> String {
        let list = |items: &[String]| items.iter().map(|item| Value::from(item.as_str())).collect::<Vec<_>>();
        let mut kinds = Object::new();
        for (kind, count) in &self.unknown_kinds {
            kinds.set(kind.clone(), Value::count(*count));
        }
        let mut object = Object::new()
            .with("subject", self.subject)
            .with("ok", self.is_ok())
            .with("entries", Value::count(self.entries))
            .with("checkpoints", Value::count(self.checkpoints))
            .with("problems", self.problems.iter().map(Problem::to_value).collect::<Vec<_>>())
            .with("problem_count", Value::count(self.problem_count))
            .with("open", list(&self.open))
            .with("open_count", Value::count(self.open_count))
            .with("unknown_kinds", kinds)
            .with("notes", list(&self.notes));
        if let Some(newest) = &self.newest {
            object.set("checkpoint", newest.as_str());
        }
        String::from_utf8(Value::Object(object).to_canonical()).unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_ok() { "verified" } else { "NOT VERIFIED" };
        writeln!(
            f,
            "{word}: {} with {} receipts, {} checkpoints",
            self.subject, self.entries, self.checkpoints
        )?;
        for problem in &self.problems {
            writeln!(f, "  {problem}")?;
        }
        if self.problem_count > self.problems.len() as u64 {
            writeln!(f, "  … and {} more problems", self.problem_count - self.problems.len() as u64)?;
        }
        if self.open_count > 0 {
            writeln!(f, "  open, without an outcome yet: {} ({})", self.open_count, shorten(&self.open))?;
        }
        for (kind, count) in &self.unknown_kinds {
            writeln!(f, "  of a kind this version does not know: {count} × {kind}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  note: {note}"))
    }
}

fn shorten(ids: &[String]) -> String {
    let shown: Vec<_> = ids.iter().take(5).map(String::as_str).collect();
    if ids.len() > shown.len() { format!("{}, …", shown.join(", ")) } else { shown.join(", ") }
}
