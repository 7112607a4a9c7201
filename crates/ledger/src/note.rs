//! Signed notes and checkpoints (C2SP signed-note and tlog-checkpoint).
//!
//! ```text
//! doorward/laptop                                  origin: the log, named like its key
//! 42                                               size: number of receipts
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=     root of their Merkle tree
//!
//! — doorward/laptop <base64(key id || signature)>
//! ```

use crate::canonical::MAX_INT;
use crate::encoding::{base64, unbase64};
use crate::keys::{SigningKey, VerifyingKey};
use crate::merkle::Hash;

/// Longest note that is read.
pub const MAX_NOTE_BYTES: usize = 16 * 1024;
/// Most signature lines that are read.
const MAX_SIGNATURES: usize = 64;

/// Why a note or checkpoint was not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It does not have the form of a signed note or of a checkpoint.
    #[error("not a signed checkpoint: {0}")]
    Malformed(&'static str),
    /// No signature is by the trusted key.
    #[error("signed by {found}, not by the trusted key {trusted}")]
    ForeignKey {
        /// Names of the keys that did sign.
        found: String,
        /// Name and id of the key that was expected.
        trusted: String,
    },
    /// A signature claims to be by the trusted key and is not.
    #[error("the signature of {name} is wrong: the checkpoint was altered after signing")]
    BadSignature {
        /// Name of the key.
        name: String,
    },
    /// The checkpoint is about another log.
    #[error("this checkpoint is of the log {found}, not of {expected}")]
    Origin {
        /// Its first line.
        found: String,
        /// Name of the trusted key's log.
        expected: String,
    },
}

/// What a node commits to: so many receipts, under this root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log, equal to the name of its key.
    pub origin: String,
    /// Number of receipts, at most 2^53 - 1.
    pub size: u64,
    /// Root of their Merkle tree.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, base64(&self.root))
    }

    /// Reads the three lines; further lines are extensions, which are not ours to refuse.
    fn parse_body(body: &str) -> Result<Checkpoint, NoteError> {
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(NoteError::Malformed("it has fewer than three lines"));
        };
        if origin.is_empty() {
            return Err(NoteError::Malformed("its first line, the origin, is empty"));
        }
        let plain = !size.is_empty()
            && size.bytes().all(|b| b.is_ascii_digit())
            && (size == "0" || !size.starts_with('0'));
        // Beyond 2^53 - 1 nothing could be counted in a receipt or a bundle.
        let size = if plain { size.parse().ok().filter(|&size: &u64| size <= MAX_INT as u64) } else { None };
        let size = size.ok_or(NoteError::Malformed("its second line is not a size"))?;
        let root = unbase64(root).and_then(|bytes| Hash::try_from(bytes).ok());
        let root = root.ok_or(NoteError::Malformed("its third line is not a base64 SHA-256"))?;
        Ok(Checkpoint { origin: origin.to_owned(), size, root })
    }

    /// What a note *claims*, its signature not looked at: for checkpoints that a later, verified one covers.
    pub(crate) fn claimed(note: &str) -> Result<Checkpoint, NoteError> {
        let (head, _) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed("it has no signatures"))?;
        Checkpoint::parse_body(head)
    }

    /// Signs it. The origin becomes the name of the key.
    pub(crate) fn sign(size: u64, root: Hash, key: &SigningKey) -> SignedCheckpoint {
        Checkpoint::sign_by(size, root, &[key])
    }

    /// Signs it with all of these keys, which have one name.
    pub(crate) fn sign_by(size: u64, root: Hash, keys: &[&SigningKey]) -> SignedCheckpoint {
        let name = keys.first().map_or("", |key| key.public().name());
        let checkpoint = Checkpoint { origin: name.to_owned(), size, root };
        let body = checkpoint.body();
        let mut text = format!("{body}\n");
        for key in keys {
            let mut line = key.public().id().to_vec();
            line.extend_from_slice(&key.sign(body.as_bytes()));
            text.push_str(&format!("\u{2014} {name} {}\n", base64(&line)));
        }
        SignedCheckpoint { checkpoint, text }
    }
}

/// A checkpoint whose signature was made or checked here, with its exact text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    text: String,
}

impl SignedCheckpoint {
    /// Reads a signed checkpoint and checks that `trusted` signed it, over its own log.
    ///
    /// # Errors
    /// [`NoteError`], which tells a foreign key from a wrong signature.
    pub fn verify(text: &str, trusted: &VerifyingKey) -> Result<SignedCheckpoint, NoteError> {
        let body = open(text, trusted)?;
        let checkpoint = Checkpoint::parse_body(body)?;
        if checkpoint.origin != trusted.name() {
            return Err(NoteError::Origin { found: checkpoint.origin, expected: trusted.name().to_owned() });
        }
        Ok(SignedCheckpoint { checkpoint, text: text.to_owned() })
    }

    /// What was signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Number of receipts.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// Root of their Merkle tree.
    pub fn root(&self) -> Hash {
        self.checkpoint.root
    }

    /// The signed note, as stored and handed out.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The text of a signed note, once the trusted key's signature is found good. Lines of other keys are ignored, as
/// the format asks: that is how witnesses are added without breaking older verifiers.
pub fn open<'a>(note: &'a str, trusted: &VerifyingKey) -> Result<&'a str, NoteError> {
    if note.len() > MAX_NOTE_BYTES {
        return Err(NoteError::Malformed("it is too long"));
    }
    if note.chars().any(|c| c != '\n' && c.is_control()) {
        return Err(NoteError::Malformed("it has control characters"));
    }
    let (head, signatures) =
        note.rsplit_once("\n\n").ok_or(NoteError::Malformed("no blank line sets its signatures apart"))?;
    let body = note.get(..head.len() + 1).unwrap_or_default();
    let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Malformed("its last line is cut off"))?;
    let mut names: Vec<String> = Vec::new();
    let mut good = false;
    for line in signatures.split('\n') {
        if names.len() == MAX_SIGNATURES {
            return Err(NoteError::Malformed("it has too many signatures"));
        }
        let (name, id, signature) =
            read_signature(line).ok_or(NoteError::Malformed("a signature line is not one"))?;
        names.push(name.to_owned());
        if name != trusted.name() || id != trusted.id() {
            continue;
        }
        let signature: Option<&[u8; 64]> = signature.as_slice().try_into().ok();
        if !signature.is_some_and(|signature| trusted.verifies(body.as_bytes(), signature)) {
            return Err(NoteError::BadSignature { name: name.to_owned() });
        }
        good = true;
    }
    if good {
        return Ok(body);
    }
    let trusted = format!("{} (key id {})", trusted.name(), crate::encoding::hex(&trusted.id()));
    Err(NoteError::ForeignKey { found: names.join(", "), trusted })
}

/// Name, key id and signature of a line `— <name> <base64>`.
fn read_signature(line: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, data) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let data = unbase64(data)?;
    let (id, signature) = data.split_first_chunk::<4>()?;
    if name.is_empty() || signature.is_empty() {
        return None;
    }
    Some((name, *id, signature.to_vec()))
}
