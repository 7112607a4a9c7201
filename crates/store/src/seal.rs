//! Encrypted values: what lies in the database without its key tells only how much there is, and when.
//!
//! XChaCha20-Poly1305 with a random 24-byte nonce per value (draft-irtf-cfrg-xchacha-03: random nonces
//! are safe at this length). Column and row are the associated data, so that a value moved to another
//! row, or a salt put where content belongs, does not decrypt.

use std::sync::{Mutex, PoisonError};

use chacha20poly1305::aead::{Aead as _, AeadInOut as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::StoreError;
use crate::secret::{Secret32, fill_random};

const NONCE: usize = 24;

/// How long the tag is behind the ciphertext.
const TAG: usize = 16;

/// How many nonces are drawn at once: a record has five values, and each draw is a system call.
const DRAWN: usize = 64;

/// Random nonces, each of which is given once. They are no secrets: each stands before its ciphertext.
struct Nonces {
    drawn: [[u8; NONCE]; DRAWN],
    left: usize,
}

impl Nonces {
    fn next(&mut self) -> Result<[u8; NONCE], StoreError> {
        if self.left == 0 {
            fill_random(self.drawn.as_flattened_mut())?;
            self.left = DRAWN;
        }
        self.left -= 1;
        // There are as many as are left.
        self.drawn.get(self.left).copied().ok_or_else(|| StoreError::Random("no nonce is left".to_owned()))
    }
}

/// Which value of a row. The words are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    KeyCheck,
    Action,
    Salt,
    Content,
    Judged,
    Url,
    Memo,
    Counter,
    Owed,
    Canaries,
    Session,
    Story,
    Grant,
    Alert,
    Held,
    HeldRecord,
    Key,
    KeySecret,
    Webhook,
    WebhookSecret,
    Delivery,
    DeliveryTold,
    Hold,
    OnceAnswer,
    KillTold,
}

impl Column {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCheck => "meta.key_check",
            Self::Action => "actions.action",
            Self::Salt => "actions.salt",
            Self::Content => "actions.content",
            Self::Judged => "actions.judged",
            Self::Url => "actions.url",
            Self::Memo => "memos.body",
            Self::Counter => "counters.body",
            Self::Owed => "owed.body",
            Self::Canaries => "file.canaries",
            Self::Session => "sessions.body",
            Self::Story => "stories.body",
            Self::Grant => "grants.body",
            Self::Alert => "alerts.body",
            Self::Held => "file.quarantine",
            Self::HeldRecord => "file.quarantine_record",
            Self::Key => "keys.body",
            Self::KeySecret => "keys.secret",
            Self::Webhook => "webhooks.body",
            Self::WebhookSecret => "webhooks.secret",
            Self::Delivery => "deliveries.body",
            Self::DeliveryTold => "deliveries.told",
            Self::Hold => "holds.body",
            Self::OnceAnswer => "once.answer",
            Self::KillTold => "meta.kill_told",
        }
    }
}

/// Seals and opens values with the store's key.
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
    nonces: Mutex<Nonces>,
    /// For tags; derived, so that no two purposes share a key.
    tags: Zeroizing<[u8; 32]>,
}

impl Sealer {
    pub(crate) fn new(key: &Secret32) -> Self {
        let mut tags = Sha256::new();
        tags.update(b"doorward store: tags");
        tags.update(key.expose());
        Self {
            cipher: XChaCha20Poly1305::new(&Key::from(*key.expose())),
            nonces: Mutex::new(Nonces { drawn: [[0; NONCE]; DRAWN], left: 0 }),
            tags: Zeroizing::new(tags.finalize().into()),
        }
    }

    /// A key for another purpose, the same each time and of no help with any other: a caller's names for what it keeps
    /// here are to tell nothing without the store's key.
    pub(crate) fn derived(&self, purpose: &str) -> Secret32 {
        let mut key = Sha256::new();
        key.update(b"doorward store: for ");
        key.update(*self.tags);
        key.update(purpose);
        Secret32::new(key.finalize().into())
    }

    /// By what `name` is found again: the same for the same name, and nothing to be guessed from it without the key.
    /// Names must all be of one length.
    pub(crate) fn tag(&self, name: &[u8; 41]) -> [u8; 16] {
        let mut tag = Sha256::new();
        tag.update(*self.tags);
        tag.update(name);
        tag.finalize().first_chunk().copied().unwrap_or_default()
    }

    /// Nonce and ciphertext of `plain`.
    pub(crate) fn seal(&self, column: Column, row: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let nonce = self.nonces.lock().unwrap_or_else(PoisonError::into_inner).next()?;
        let mut sealed = Vec::with_capacity(NONCE + plain.len() + TAG);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let too_large = || StoreError::Unavailable(format!("a value of {row} is too large to encrypt"));
        let (_, text) = sealed.split_at_mut_checked(NONCE).ok_or_else(too_large)?;
        let tag = self
            .cipher
            .encrypt_inout_detached(&XNonce::from(nonce), &associated(column, row), text.into())
            .map_err(|_| too_large())?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// What was sealed.
    pub(crate) fn open(
        &self,
        column: Column,
        row: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let damaged = || StoreError::Damaged { what: column.as_str(), row: row.to_owned() };
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
        let payload = Payload { msg: ciphertext, aad: &associated(column, row) };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| damaged())
    }
}

/// No column's word contains a zero byte, so no two pairs give the same bytes.
fn associated(column: Column, row: &str) -> Vec<u8> {
    [column.as_str().as_bytes(), &[0], row.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_nonce_is_given_twice() {
        let sealer = Sealer::new(&Secret32::new([7; 32]));
        let nonces = (0..3 * DRAWN).map(|_| sealer.seal(Column::Salt, "r1", b"").unwrap()[..NONCE].to_vec());
        let given: std::collections::HashSet<Vec<u8>> = nonces.collect();
        assert!(given.len() == 3 * DRAWN && !given.contains(&vec![0; NONCE]));
    }

    #[test]
    fn a_value_opens_only_where_it_was_put() {
        let sealer = Sealer::new(&Secret32::new([7; 32]));
        let sealed = sealer.seal(Column::Salt, "r1", b"value").unwrap();
        assert_eq!(sealer.open(Column::Salt, "r1", &sealed).unwrap().as_slice(), b"value");
        assert!(sealer.open(Column::Salt, "r2", &sealed).is_err());
        assert!(sealer.open(Column::Content, "r1", &sealed).is_err());
        assert!(Sealer::new(&Secret32::new([8; 32])).open(Column::Salt, "r1", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open(Column::Salt, "r1", &changed).is_err(), "byte {at}");
            assert!(sealer.open(Column::Salt, "r1", &sealed[..at]).is_err(), "cut at {at}");
        }
        assert_ne!(sealed, sealer.seal(Column::Salt, "r1", b"value").unwrap(), "a nonce was used twice");
    }
}
