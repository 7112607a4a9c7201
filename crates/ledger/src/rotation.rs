//! Rotation: the log goes on under another key, and both keys say so.
//!
//! ```text
//! doorward key rotation v1
//! <verifier key so far>
//! <verifier key from here on>
//! <index of the receipt>
//! <base64 of the root of all receipts before it>
//! ```
//! This text is signed by both. The old key says who comes after it, the new one that it wants to; place and root say where,
//! so that the receipt cannot stand in another log or at another time. Whoever knows the first key of a log can follow it.

use crate::canonical::{Object, Value};
use crate::encoding::{base64, unbase64};
use crate::keys::{SigningKey, VerifyingKey};
use crate::merkle::Hash;
use crate::receipt::{Kind, Receipt};

/// The member of the receipt.
pub const MEMBER: &str = "rotation";

/// How the canonical form of such a receipt says its kind: most have another, and reading takes longer than looking.
const NEEDLE: &[u8] = b"\"kind\":\"key_rotation\"";

/// What a rotation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The key from here on.
    pub new: VerifyingKey,
    /// The index of its receipt.
    pub index: u64,
    /// The root of all receipts before it.
    pub root: Hash,
}

fn message(old: &VerifyingKey, new: &VerifyingKey, index: u64, root: &Hash) -> String {
    format!("doorward key rotation v1\n{}\n{}\n{index}\n{}\n", old.vkey(), new.vkey(), base64(root))
}

/// The member that says it, signed by both keys. They must have one name, the log's.
pub fn signed(old: &SigningKey, new: &SigningKey, index: u64, root: &Hash) -> Object {
    let message = message(old.public(), new.public(), index, root);
    Object::new()
        .with("old", old.public().vkey())
        .with("new", new.public().vkey())
        .with("index", Value::count(index))
        .with("root", base64(root))
        .with("by_old", base64(&old.sign(message.as_bytes())))
        .with("by_new", base64(&new.sign(message.as_bytes())))
}

/// Whether an entry could be a rotation.
pub(crate) fn could_be(entry: &[u8]) -> bool {
    entry.windows(NEEDLE.len()).any(|window| window == NEEDLE)
}

impl Rotation {
    /// What the receipt of a rotation says, once both signatures are found good; `current` is the key so far.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn verify(receipt: &Receipt, current: &VerifyingKey) -> Result<Rotation, String> {
        let bad = |what: &str| format!("the rotation of the key does not hold: {what}");
        if *receipt.kind() != Kind::KeyRotation {
            return Err(bad("its receipt is of another kind"));
        }
        let body = receipt.body().get(MEMBER).and_then(Value::as_object);
        let body = body.ok_or_else(|| bad("its receipt does not say it"))?;
        let key = |name: &str| {
            let key = body
                .text(name)
                .and_then(|text| VerifyingKey::parse(text).ok().filter(|key| key.vkey() == text));
            key.ok_or_else(|| bad(&format!("its member `{name}` is no verifier key")))
        };
        let (old, new) = (key("old")?, key("new")?);
        if old != *current {
            return Err(bad("it is not of the key that signs until here"));
        }
        if new.name() != current.name() || new.bytes() == current.bytes() {
            return Err(bad("the new key is the old one, or has another name than the log"));
        }
        let index = body.get("index").and_then(Value::as_int).and_then(|index| u64::try_from(index).ok());
        let index = index.ok_or_else(|| bad("its member `index` is missing or malformed"))?;
        let root = body.text("root").and_then(unbase64).and_then(|root| Hash::try_from(root).ok());
        let root = root.ok_or_else(|| bad("its member `root` is missing or malformed"))?;
        let message = message(&old, &new, index, &root);
        for (name, key) in [("by_old", &old), ("by_new", &new)] {
            let signature = body.text(name).and_then(unbase64);
            let signature = signature.and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
            if !signature.is_some_and(|signature| key.verifies(message.as_bytes(), &signature)) {
                return Err(bad(&format!("its signature `{name}` is wrong or missing")));
            }
        }
        Ok(Rotation { new, index, root })
    }
}
