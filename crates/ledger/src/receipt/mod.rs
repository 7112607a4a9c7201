//! Receipts: what happened, as canonical JSON that becomes a leaf of the log. Format: `spec/receipt.md`.
//!
//! A receipt is an envelope with fixed, typed members (`v`, `kind`, `id`, `time_ms`, `node`, and `of` where it
//! continues another receipt) around an open body. Readers take kinds and members they do not know as they are:
//! a verifier from today must be able to check the log of tomorrow.

mod draft;
mod records;
mod salt;

pub use draft::{Draft, DraftError, Leaf, MAX_ENTRY_BYTES};
pub use records::{
    ActionRecord, ChargeRecord, ControlRecord, DecisionRecord, EffectRecord, FaultRecord, MAX_CHARGES,
    MAX_DUTIES, MAX_EFFECTS, MAX_PARTS, MAX_REASONS, OutcomeRecord, PartRecord, ReasonRecord,
};
pub use salt::{DigestStream, KeyedDigest, Salt};

use crate::canonical::{Object, ParseError, Value, parse_canonical};
use std::fmt;

/// Version of the receipt format written here.
pub const VERSION: i64 = 1;
/// Longest receipt id.
pub const MAX_ID_BYTES: usize = 64;

/// What a receipt is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An action began whose end will be told by an outcome: a stream, say.
    Opened,
    /// A verdict on an action.
    Decision,
    /// How something opened or decided ended; `of` names that receipt.
    Outcome,
    /// The log's key changes: see [`rotation`](crate::rotation).
    KeyRotation,
    /// Something done to Doorward itself: kill, resume, a changed policy or configuration, an unclean shutdown.
    Control,
    /// A kind this version does not know; kept, reported, never refused.
    Other(String),
}

impl Kind {
    /// The word in receipts.
    pub fn as_str(&self) -> &str {
        match self {
            Kind::Opened => "opened",
            Kind::Decision => "decision",
            Kind::Outcome => "outcome",
            Kind::KeyRotation => "key_rotation",
            Kind::Control => "control",
            Kind::Other(word) => word,
        }
    }

    /// The kind of this word.
    pub fn from_word(word: &str) -> Kind {
        match word {
            "opened" => Kind::Opened,
            "decision" => Kind::Decision,
            "outcome" => Kind::Outcome,
            "key_rotation" => Kind::KeyRotation,
            "control" => Kind::Control,
            other => Kind::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether `id` can be a receipt's: 1 to [`MAX_ID_BYTES`] of `A-Z a-z 0-9 - _ . :`.
pub fn is_id(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

/// Why bytes are not a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// They are not canonical JSON.
    #[error("not canonical JSON: {0}")]
    NotCanonical(#[from] ParseError),
    /// A member of the envelope is missing or has the wrong form.
    #[error("its member `{0}` is missing or not of the right form")]
    Member(&'static str),
}

/// A receipt read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    body: Object,
    kind: Kind,
    version: i64,
    time_ms: i64,
}

impl Receipt {
    /// Reads the canonical bytes of a receipt.
    ///
    /// # Errors
    /// [`ReceiptError`] if they are not canonical or the envelope is incomplete.
    pub fn parse(bytes: &[u8]) -> Result<Receipt, ReceiptError> {
        match parse_canonical(bytes)? {
            Value::Object(body) => Receipt::from_object(body),
            _ => Err(ReceiptError::Member("v")),
        }
    }

    /// The receipt with these members.
    ///
    /// # Errors
    /// [`ReceiptError::Member`].
    pub fn from_object(body: Object) -> Result<Receipt, ReceiptError> {
        let int = |key: &'static str| {
            body.get(key).and_then(Value::as_int).filter(|&v| v >= 0).ok_or(ReceiptError::Member(key))
        };
        let version = int("v")?;
        let time_ms = int("time_ms")?;
        let kind = body.text("kind").filter(|word| is_id(word)).ok_or(ReceiptError::Member("kind"))?;
        let kind = Kind::from_word(kind);
        body.text("id").filter(|id| is_id(id)).ok_or(ReceiptError::Member("id"))?;
        body.text("node").ok_or(ReceiptError::Member("node"))?;
        if let Some(of) = body.get("of") {
            of.as_str().filter(|id| is_id(id)).ok_or(ReceiptError::Member("of"))?;
        }
        Ok(Receipt { body, kind, version, time_ms })
    }

    /// Version of its format.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// What it is about.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Its id, unique in its log.
    pub fn id(&self) -> &str {
        self.body.text("id").unwrap_or_default()
    }

    /// When, in milliseconds since 1970 UTC, by the node's clock.
    pub fn time_ms(&self) -> i64 {
        self.time_ms
    }

    /// The node that wrote it.
    pub fn node(&self) -> &str {
        self.body.text("node").unwrap_or_default()
    }

    /// The receipt it continues or closes.
    pub fn of(&self) -> Option<&str> {
        self.body.text("of")
    }

    /// The agent, if one is concerned.
    pub fn agent(&self) -> Option<&str> {
        self.body.text("agent")
    }

    /// The session, if any.
    pub fn session(&self) -> Option<&str> {
        self.body.text("session")
    }

    /// The door, if any.
    pub fn door(&self) -> Option<&str> {
        self.body.text("door")
    }

    /// The verdict of a decision.
    pub fn verdict(&self) -> Option<&str> {
        self.body.get("decision")?.as_object()?.text("verdict")
    }

    /// All members.
    pub fn body(&self) -> &Object {
        &self.body
    }

    /// The canonical bytes: the log's entry.
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.body.write_canonical(&mut out);
        out
    }
}
