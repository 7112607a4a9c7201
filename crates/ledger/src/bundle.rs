//! Bundles: one receipt with everything needed to believe it, as a JSON document to hand out.
//!
//! ```text
//! {"type":"doorward.bundle/1", "receipt":{…}, "index":N, "proof":[base64…], "checkpoint":"signed note",
//!  "rotations":[receipt…]?, "salt":hex?, "opened":[{"domain":…, "content":base64}]?}
//! ```
//! The document may be reformatted on its way; the receipt is put into canonical form before it is hashed.

use crate::canonical::{Object, Value, parse_relaxed};
use crate::encoding::{base64, hex, unbase64};
use crate::keys::VerifyingKey;
use crate::merkle::{Hash, leaf_hash, verify_inclusion};
use crate::note::{NoteError, SignedCheckpoint};
use crate::receipt::{Receipt, Salt};
use crate::rotation::{self, Rotation};
use crate::verify::{Code, Problem};

/// The `type` member.
pub const BUNDLE_TYPE: &str = "doorward.bundle/1";
/// Longest document that is read.
pub const MAX_BUNDLE_BYTES: usize = 8 << 20;
/// More rotations than any log has.
const MAX_ROTATIONS: usize = 1000;
/// More hashes than any proof has.
const MAX_PROOF: usize = 64;

/// Content handed out with a bundle, to be compared with a digest in the receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The digest's domain: `target`, or the name of a part.
    pub domain: String,
    /// The content itself.
    pub content: Vec<u8>,
}

/// A receipt, its proof and the checkpoint it is under.
#[derive(Debug, Clone)]
pub struct Bundle {
    receipt: Receipt,
    index: u64,
    proof: Vec<Hash>,
    checkpoint: String,
    rotations: Vec<Receipt>,
    salt: Option<Salt>,
    opened: Vec<Opened>,
}

impl Bundle {
    /// Puts one together. `checkpoint` is the text of a signed checkpoint.
    pub fn new(receipt: Receipt, index: u64, proof: Vec<Hash>, checkpoint: String) -> Bundle {
        Bundle { receipt, index, proof, checkpoint, rotations: Vec::new(), salt: None, opened: Vec::new() }
    }

    /// Adds the salt and content that it opens. Whoever gets the bundle can from then on test guesses against every
    /// digest of this receipt.
    #[must_use]
    pub fn with_opened(mut self, salt: Salt, opened: Vec<Opened>) -> Bundle {
        self.salt = Some(salt);
        self.opened = opened;
        self
    }

    /// Adds the receipts of all rotations of the log's key, in their order, so that whoever knows an earlier key can follow
    /// them to the one that signed the checkpoint.
    #[must_use]
    pub fn with_rotations(mut self, rotations: Vec<Receipt>) -> Bundle {
        self.rotations = rotations;
        self
    }

    /// The receipt, not verified yet.
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// Its index in the log.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The text of the checkpoint.
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// The document, as canonical JSON.
    pub fn to_json(&self) -> String {
        let proof: Vec<Value> = self.proof.iter().map(|hash| Value::Str(base64(hash))).collect();
        let mut object = Object::new()
            .with("type", BUNDLE_TYPE)
            .with("receipt", self.receipt.body().clone())
            .with("index", Value::count(self.index))
            .with("proof", proof)
            .with("checkpoint", self.checkpoint.as_str());
        if !self.rotations.is_empty() {
            let rotations = self.rotations.iter().map(|receipt| Value::Object(receipt.body().clone()));
            object.set("rotations", rotations.collect::<Vec<_>>());
        }
        if let Some(salt) = &self.salt {
            object.set("salt", hex(&salt.expose()));
        }
        if !self.opened.is_empty() {
            let opened = self.opened.iter().map(|opened| {
                let object = Object::new().with("domain", opened.domain.as_str());
                Value::Object(object.with("content", base64(&opened.content)))
            });
            object.set("opened", opened.collect::<Vec<_>>());
        }
        String::from_utf8(Value::Object(object).to_canonical()).unwrap_or_default()
    }

    /// Reads the document.
    ///
    /// # Errors
    /// A [`Problem`] that says what is missing or malformed.
    pub fn parse(json: &[u8]) -> Result<Bundle, Problem> {
        let bad = |what: String| Problem::new(Code::BadBundle, what);
        if json.len() > MAX_BUNDLE_BYTES {
            return Err(bad("the bundle is too long".into()));
        }
        let value = parse_relaxed(json).map_err(|e| bad(format!("the bundle is not readable JSON: {e}")))?;
        let missing = |name: &str| bad(format!("its member `{name}` is missing or malformed"));
        let object = value.as_object().ok_or_else(|| bad("the bundle is not an object".into()))?;
        if object.text("type") != Some(BUNDLE_TYPE) {
            return Err(bad(format!("its `type` is not {BUNDLE_TYPE}")));
        }
        let receipt = object.get("receipt").and_then(Value::as_object).ok_or_else(|| missing("receipt"))?;
        let receipt = Receipt::from_object(receipt.clone())
            .map_err(|e| Problem::new(Code::BadReceipt, format!("the receipt in the bundle: {e}")))?;
        let index = object.get("index").and_then(Value::as_int).and_then(|index| u64::try_from(index).ok());
        let hash = |value: &Value| Hash::try_from(unbase64(value.as_str()?)?).ok();
        let proof = object.get("proof").and_then(Value::as_array).filter(|proof| proof.len() <= MAX_PROOF);
        let proof = proof.and_then(|proof| proof.iter().map(hash).collect::<Option<Vec<_>>>());
        let checkpoint = object.text("checkpoint").ok_or_else(|| missing("checkpoint"))?;
        let mut bundle = Bundle::new(
            receipt,
            index.ok_or_else(|| missing("index"))?,
            proof.ok_or_else(|| missing("proof"))?,
            checkpoint.to_owned(),
        );
        if let Some(rotations) = object.get("rotations") {
            let read = |value: &Value| Receipt::from_object(value.as_object()?.clone()).ok();
            let rotations = rotations.as_array().filter(|all| all.len() <= MAX_ROTATIONS);
            let rotations = rotations.and_then(|all| all.iter().map(read).collect::<Option<Vec<_>>>());
            bundle.rotations = rotations.ok_or_else(|| missing("rotations"))?;
        }
        if let Some(salt) = object.get("salt") {
            bundle.salt = Some(salt.as_str().and_then(Salt::parse).ok_or_else(|| missing("salt"))?);
        }
        if let Some(opened) = object.get("opened") {
            bundle.opened = read_opened(opened).ok_or_else(|| missing("opened"))?;
        }
        Ok(bundle)
    }

    /// Everything that is wrong with it; nothing, if `trusted` signed a checkpoint that this receipt is under and
    /// all opened content is what the receipt has digests of.
    pub fn verify(&self, trusted: &VerifyingKey) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut current = trusted.clone();
        // Only as far as is needed: the key that is trusted may be a later one than the first.
        let mut signed = SignedCheckpoint::verify(&self.checkpoint, &current);
        for receipt in &self.rotations {
            if !matches!(signed, Err(NoteError::ForeignKey { .. })) {
                break;
            }
            match Rotation::verify(receipt, &current) {
                Ok(rotation) => current = rotation.new,
                Err(_) if says_another(receipt, &current) => continue,
                Err(what) => {
                    problems.push(Problem::new(Code::BadRotation, what));
                    return problems;
                }
            }
            signed = SignedCheckpoint::verify(&self.checkpoint, &current);
        }
        match signed {
            Err(error) => problems.push(Problem::of_note(&error)),
            Ok(checkpoint) => {
                let leaf = leaf_hash(&self.receipt.to_canonical());
                if !verify_inclusion(&leaf, self.index, checkpoint.size(), &self.proof, &checkpoint.root()) {
                    let what = format!(
                        "receipt {} is not entry {} of the log of {} receipts that was signed: it, its index or its \
                         proof was altered",
                        self.receipt.id(),
                        self.index,
                        checkpoint.size()
                    );
                    problems.push(Problem::new(Code::NotIncluded, what).at_index(self.index));
                }
            }
        }
        for opened in &self.opened {
            let digest =
                self.salt.as_ref().map(|salt| salt.digest(&opened.domain, &opened.content).to_string());
            if !digest.is_some_and(|digest| has_digest(self.receipt.body(), &digest)) {
                let what = format!(
                    "the content opened as `{}` is not what the receipt has a digest of",
                    opened.domain
                );
                problems.push(Problem::new(Code::DigestMismatch, what).at_index(self.index));
            }
        }
        problems
    }
}

/// Whether a rotation is of another key than this one: one before it.
fn says_another(receipt: &Receipt, current: &VerifyingKey) -> bool {
    let body = receipt.body().get(rotation::MEMBER).and_then(Value::as_object);
    body.is_some_and(|body| body.text("old") != Some(&current.vkey()))
}

fn read_opened(value: &Value) -> Option<Vec<Opened>> {
    let read = |value: &Value| {
        let object = value.as_object()?;
        let content = unbase64(object.text("content")?)?;
        Some(Opened { domain: object.text("domain")?.to_owned(), content })
    };
    value.as_array()?.iter().map(read).collect()
}

/// Whether a member named `digest` or ending in `_digest` has this value, at any depth.
fn has_digest(object: &Object, digest: &str) -> bool {
    object.iter().any(|(key, value)| match value {
        Value::Str(text) => (key == "digest" || key.ends_with("_digest")) && text == digest,
        Value::Object(inner) => has_digest(inner, digest),
        Value::Array(items) => {
            items.iter().filter_map(Value::as_object).any(|inner| has_digest(inner, digest))
        }
        _ => false,
    })
}
