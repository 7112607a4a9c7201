//! Keys: an Ed25519 key with the name it signs under (C2SP signed-note).
//!
//! Public keys travel as `vkey` text, `<name>+<key id>+<base64(0x01 || public key)>`. The key id is the first four
//! bytes of SHA-256(name || 0x0A || 0x01 || public key).

use crate::encoding::{base64, hex, unbase64};
use ed25519_dalek::Signer as _;
use sha2::{Digest, Sha256};
use std::fmt;

/// Signature type of plain Ed25519 (RFC 8032) in C2SP signed-note.
const ED25519: u8 = 1;

/// Why a key or its name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name is empty, too long, or has a space, a control character or a plus sign.
    #[error(
        "the key name {0:?} cannot be used: it must be 1 to 128 characters without spaces, controls or `+`"
    )]
    Name(String),
    /// The text is not a `vkey`.
    #[error("this is not a verifier key (`<name>+<8 hex digits>+<base64>`): {0}")]
    Format(&'static str),
    /// The key id inside the text does not belong to the key.
    #[error(
        "the verifier key of {name} names key id {stated}, but its key has id {computed}: the text was altered"
    )]
    Id {
        /// Name in the text.
        name: String,
        /// Id in the text.
        stated: String,
        /// Id the key has.
        computed: String,
    },
}

fn check_name(name: &str) -> Result<(), KeyError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.len() > 128 || name.chars().any(bad) {
        return Err(KeyError::Name(name.to_owned()));
    }
    Ok(())
}

/// A public key and its name: all that is needed to verify.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: [u8; 4],
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    fn new(name: &str, key: ed25519_dalek::VerifyingKey) -> VerifyingKey {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(name.as_bytes())
            .chain_update([b'\n', ED25519])
            .chain_update(key.as_bytes())
            .finalize()
            .into();
        let [a, b, c, d, ..] = digest;
        VerifyingKey { name: name.to_owned(), id: [a, b, c, d], key }
    }

    /// Reads `vkey` text (surrounding white space is ignored).
    ///
    /// # Errors
    /// [`KeyError`] when it is malformed or its parts do not belong together.
    pub fn parse(vkey: &str) -> Result<VerifyingKey, KeyError> {
        let mut parts = vkey.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(data)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Format("it does not have three parts"));
        };
        check_name(name)?;
        let data = unbase64(data).ok_or(KeyError::Format("its last part is not base64"))?;
        let Some((&ED25519, bytes)) = data.split_first() else {
            return Err(KeyError::Format("it is not an Ed25519 key"));
        };
        let bytes: &[u8; 32] = bytes
            .try_into()
            .map_err(|_| KeyError::Format("an Ed25519 key has 32 bytes, this one has not"))?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes)
            .map_err(|_| KeyError::Format("its bytes are not a point of the curve"))?;
        let verifying = VerifyingKey::new(name, key);
        if hex(&verifying.id) != id {
            let computed = hex(&verifying.id);
            return Err(KeyError::Id { name: name.to_owned(), stated: id.to_owned(), computed });
        }
        Ok(verifying)
    }

    /// The key of these bytes (RFC 8032), under this name.
    ///
    /// # Errors
    /// [`KeyError`] if they are no key.
    pub fn of_bytes(name: &str, bytes: &[u8; 32]) -> Result<VerifyingKey, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes)
            .map_err(|_| KeyError::Format("its bytes are not a point of the curve"))?;
        Ok(VerifyingKey::new(name, key))
    }

    /// The name it signs under, also the origin of the log: `doorward/<node>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key id.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The public key itself (RFC 8032).
    pub fn bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The text to hand out.
    pub fn vkey(&self) -> String {
        let mut data = vec![ED25519];
        data.extend_from_slice(self.key.as_bytes());
        format!("{}+{}+{}", self.name, hex(&self.id), base64(&data))
    }

    /// Whether `signature` is this key's over `message` (strict: no small-order keys, no malleable encodings).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.vkey())
    }
}

/// The key a node signs with. The secret is wiped from memory on drop and never printed.
#[derive(Clone)]
pub struct SigningKey {
    secret: ed25519_dalek::SigningKey,
    public: VerifyingKey,
}

impl SigningKey {
    /// The key made from 32 secret random bytes (RFC 8032 section 5.1.5), signing as `name`, say `doorward/laptop`.
    /// The caller wipes `seed`.
    ///
    /// # Errors
    /// [`KeyError::Name`].
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<SigningKey, KeyError> {
        check_name(name)?;
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = VerifyingKey::new(name, secret.verifying_key());
        Ok(SigningKey { secret, public })
    }

    /// The public half.
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// Ed25519 signature (RFC 8032) over `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.secret.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, secret withheld)", self.public.vkey())
    }
}
