//! Writing a receipt: a draft is filled, then sealed into the leaf that the log takes.

use super::records::{ActionRecord, ControlRecord, DecisionRecord, OutcomeRecord, clip};
use super::salt::Salt;
use super::{Kind, VERSION, is_id};
use crate::canonical::{Object, Value};
use crate::merkle::{Hash, leaf_hash};

/// Longest entry. C2SP tlog-tiles counts an entry's length in 16 bits.
pub const MAX_ENTRY_BYTES: usize = 65_534;

/// Longest node, agent and session name.
const NAME: usize = 256;

/// Why a draft could not be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// The id cannot be used.
    #[error("the receipt id {0:?} cannot be used: it must be 1 to 64 letters, digits, `-`, `_`, `.` or `:`")]
    Id(String),
    /// The kind's word cannot be used.
    #[error("the receipt kind {0:?} cannot be used")]
    Kind(String),
    /// An outcome does not say what it is the outcome of.
    #[error("an outcome receipt must name, in `of`, the receipt it closes")]
    OutcomeOfNothing,
    /// A free member has the name of one this format defines.
    #[error("the member `{0}` belongs to the receipt format and cannot be set freely")]
    Reserved(String),
    /// Free members made it too long.
    #[error("the receipt takes {0} bytes, at most {MAX_ENTRY_BYTES} are possible")]
    TooLong(usize),
}

/// A receipt ready for the log: canonical bytes and their leaf hash, computed where the receipt is made so that the
/// one writer of the log need not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    bytes: Vec<u8>,
    hash: Hash,
}

impl Leaf {
    /// The canonical bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their leaf hash (RFC 6962).
    pub fn hash(&self) -> &Hash {
        &self.hash
    }
}

/// A receipt being written.
///
/// ```
/// use doorward_ledger::receipt::{Draft, Kind, OutcomeRecord};
/// let outcome = OutcomeRecord { result: "completed", counts: &[("bytes_out", 1234)], ..Default::default() };
/// let leaf = Draft::new(Kind::Outcome, "01KAH7Q9ZC0000000000000002", 1_795_219_200_000, "doorward/laptop")
///     .of("01KAH7Q9ZC0000000000000001")
///     .outcome(outcome)
///     .seal()?;
/// assert!(leaf.bytes().starts_with(br#"{"id":"01KAH7Q9ZC0000000000000002","kind":"outcome""#));
/// # Ok::<(), doorward_ledger::receipt::DraftError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Draft {
    body: Object,
    fault: Option<DraftError>,
}

impl Draft {
    /// A receipt of this kind. `id` is unique in the log, `time_ms` counts from 1970 UTC, `node` is the name of the
    /// node's key.
    pub fn new(kind: Kind, id: &str, time_ms: u64, node: &str) -> Draft {
        let mut fault = None;
        if !is_id(id) {
            fault = Some(DraftError::Id(id.chars().take(80).collect()));
        } else if !is_id(kind.as_str()) {
            fault = Some(DraftError::Kind(kind.as_str().chars().take(80).collect()));
        }
        let body = Object::new()
            .with("v", VERSION as u32)
            .with("kind", kind.as_str())
            .with("id", id)
            .with("time_ms", Value::count(time_ms))
            .with("node", clip(node, NAME));
        Draft { body, fault }
    }

    fn set(mut self, key: &'static str, value: impl Into<Value>) -> Draft {
        self.body.set(key, value);
        self
    }

    /// The agent concerned.
    #[must_use]
    pub fn agent(self, agent: &str) -> Draft {
        self.set("agent", clip(agent, NAME))
    }

    /// The session it belongs to.
    #[must_use]
    pub fn session(self, session: &str) -> Draft {
        self.set("session", clip(session, NAME))
    }

    /// The door it came through.
    #[must_use]
    pub fn door(self, door: &str) -> Draft {
        self.set("door", clip(door, NAME))
    }

    /// The receipt it continues or closes.
    #[must_use]
    pub fn of(mut self, id: &str) -> Draft {
        if !is_id(id) {
            self.fault.get_or_insert(DraftError::Id(id.chars().take(80).collect()));
        }
        self.set("of", id)
    }

    /// What was judged. Content is known by digests under `salt`.
    #[must_use]
    pub fn action(self, action: &ActionRecord<'_>, salt: &Salt) -> Draft {
        let value = action.to_value(salt);
        self.set("action", value)
    }

    /// The verdict.
    #[must_use]
    pub fn decision(self, decision: &DecisionRecord<'_>, salt: &Salt) -> Draft {
        let value = decision.to_value(salt);
        self.set("decision", value)
    }

    /// How it ended.
    #[must_use]
    pub fn outcome(self, outcome: OutcomeRecord<'_>) -> Draft {
        self.set("outcome", outcome.to_value())
    }

    /// What was done to Doorward.
    #[must_use]
    pub fn control(self, control: ControlRecord<'_>) -> Draft {
        self.set("control", control.to_value())
    }

    /// A member of the caller's own; names the format defines are refused when sealing.
    #[must_use]
    pub fn member(mut self, key: &str, value: impl Into<Value>) -> Draft {
        const DEFINED: [&str; 13] = [
            "v", "kind", "id", "time_ms", "node", "agent", "session", "door", "of", "action", "decision",
            "outcome", "control",
        ];
        if DEFINED.contains(&key) {
            self.fault.get_or_insert(DraftError::Reserved(key.to_owned()));
            return self;
        }
        self.body.set(key.to_owned(), value);
        self
    }

    /// The finished leaf.
    ///
    /// # Errors
    /// [`DraftError`]. Content from outside cannot cause one: it is cut to fit; ids and free members can.
    pub fn seal(self) -> Result<Leaf, DraftError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.body.text("kind") == Some("outcome") && self.body.get("of").is_none() {
            return Err(DraftError::OutcomeOfNothing);
        }
        let mut bytes = Vec::with_capacity(1024);
        self.body.write_canonical(&mut bytes);
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(DraftError::TooLong(bytes.len()));
        }
        let hash = leaf_hash(&bytes);
        Ok(Leaf { bytes, hash })
    }
}
