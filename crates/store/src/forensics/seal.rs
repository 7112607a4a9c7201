//! Content that this process can write and not read: each record is encrypted to a public key whose secret half is in a
//! person's head or in a file that lies elsewhere.
//!
//! X25519 (RFC 7748) between a key pair made for the record and the recipient; HKDF with SHA-256 (RFC 5869) over the shared
//! secret, salted with both public keys; XChaCha20-Poly1305 with a random nonce. A passphrase becomes the secret half by
//! Argon2id (RFC 9106).

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::StoreError;
use crate::secret::{Secret32, fill_random};

const NONCE: usize = 24;

/// What stands before the ciphertext: the record's own public key and the nonce.
const BEFORE: usize = 32 + NONCE;

/// How a passphrase becomes a key: the second of the parameters that RFC 9106 recommends (section 4), with a salt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretching {
    /// Random.
    pub salt: [u8; 16],
    /// KiB of memory.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
    /// How many parts can be computed side by side.
    pub lanes: u32,
}

impl Stretching {
    /// The usual cost, with a fresh salt.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn fresh() -> Result<Self, StoreError> {
        let mut salt = [0; 16];
        fill_random(&mut salt)?;
        Ok(Self { salt, memory: 64 * 1024, passes: 3, lanes: 4 })
    }

    /// The secret half of the key that `passphrase` stands for. Takes a tenth of a second or more, and 64 MiB.
    ///
    /// # Errors
    /// If the parameters are none that Argon2id takes.
    pub fn secret(&self, passphrase: &[u8]) -> Result<Secret32, StoreError> {
        let failed = |error| StoreError::Unavailable(format!("the passphrase cannot be stretched: {error}"));
        let params = Params::new(self.memory, self.passes, self.lanes, Some(32)).map_err(failed)?;
        let mut out = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, &self.salt, &mut *out)
            .map_err(failed)?;
        Ok(Secret32::new(*out))
    }
}

/// The public half of `secret`.
#[must_use]
pub fn public(secret: &Secret32) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret.expose())).to_bytes()
}

/// `plain` for the holder of the secret half of `recipient` alone. `about` is not encrypted and cannot be changed.
///
/// # Errors
/// If the system has no randomness to give, or `recipient` is no key.
pub(super) fn seal(recipient: &[u8; 32], about: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let own = StaticSecret::from(*Secret32::random()?.expose());
    let own_public = PublicKey::from(&own).to_bytes();
    let key = agreed(&own, recipient, &own_public, recipient)?;
    let mut nonce = [0; NONCE];
    fill_random(&mut nonce)?;
    let sealed = key
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: about })
        .map_err(|_| StoreError::Unavailable("a record is too large to encrypt".to_owned()))?;
    Ok([own_public.as_slice(), &nonce, &sealed].concat())
}

/// What was sealed; `None` if it was for another key, or has been changed.
pub(super) fn open(secret: &Secret32, about: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (before, ciphertext) = sealed.split_first_chunk::<BEFORE>()?;
    let (theirs, nonce) = before.split_first_chunk::<32>()?;
    let nonce: [u8; NONCE] = nonce.try_into().ok()?;
    let own = StaticSecret::from(*secret.expose());
    let key = agreed(&own, theirs, theirs, &public(secret)).ok()?;
    key.decrypt(&XNonce::from(nonce), Payload { msg: ciphertext, aad: about }).ok().map(Zeroizing::new)
}

/// The cipher that `own` and the holder of `theirs` agree on, for a record with this public key and this recipient.
fn agreed(
    own: &StaticSecret,
    theirs: &[u8; 32],
    record: &[u8; 32],
    recipient: &[u8; 32],
) -> Result<XChaCha20Poly1305, StoreError> {
    let shared = own.diffie_hellman(&PublicKey::from(*theirs));
    if !shared.was_contributory() {
        return Err(StoreError::Unavailable("the recipient of forensic records is no key".to_owned()));
    }
    let salt = [record.as_slice(), recipient].concat();
    let extracted = mac(&salt, &[shared.as_bytes()]);
    // One block of HKDF's expansion is as long as the key.
    let key = mac(extracted.as_slice(), &[b"doorward forensics 1", &[1]]);
    Ok(XChaCha20Poly1305::new(&Key::from(*key)))
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        // HMAC takes a key of any length.
        return Zeroizing::new([0; 32]);
    };
    parts.iter().for_each(|part| mac.update(part));
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_holder_of_the_secret_half_reads_it() {
        let (secret, other) = (Secret32::random().unwrap(), Secret32::random().unwrap());
        let sealed = seal(&public(&secret), b"r1", b"what was blocked").unwrap();
        assert_eq!(open(&secret, b"r1", &sealed).unwrap().as_slice(), b"what was blocked");
        assert!(open(&other, b"r1", &sealed).is_none());
        assert!(open(&secret, b"r2", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            // The highest bit of a public key is not looked at (RFC 7748, 5), but it salts the key.
            assert!(open(&secret, b"r1", &changed).is_none(), "byte {at}");
            assert!(open(&secret, b"r1", &sealed[..at]).is_none(), "cut at {at}");
        }
        assert_ne!(sealed, seal(&public(&secret), b"r1", b"what was blocked").unwrap());
        assert!(seal(&[0; 32], b"r1", b"x").is_err(), "a point that gives everybody the same key");
    }

    #[test]
    fn a_passphrase_is_stretched_by_argon2id() {
        let cheap = Stretching { salt: [2; 16], memory: 32, passes: 3, lanes: 4 };
        let secret = cheap.secret(&[1; 32]).unwrap();
        assert_eq!(secret, cheap.secret(&[1; 32]).unwrap());
        assert_ne!(secret, cheap.secret(&[3; 32]).unwrap());
        assert_ne!(secret, Stretching { salt: [3; 16], ..cheap.clone() }.secret(&[1; 32]).unwrap());
        assert_ne!(secret, Stretching { passes: 4, ..cheap }.secret(&[1; 32]).unwrap());
        assert!(Stretching { salt: [0; 16], memory: 1, passes: 0, lanes: 0 }.secret(b"x").is_err());
    }
}
