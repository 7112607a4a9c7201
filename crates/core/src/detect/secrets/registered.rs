//! Secrets that the operator has registered, known here by keyed hashes only: found wherever they stand, and not to
//! be read out of what is kept.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// How many bytes at its beginning a secret is first recognised by; shorter secrets are not registered.
pub const SHORTEST: usize = 8;

/// The longest secret that can be registered, in bytes.
pub const LONGEST: usize = 4096;

/// What is kept of one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Sixteen bits of the keyed hash of its first eight bytes: enough to pass over nearly all places, too little to
    /// guess from.
    pub head: u16,
    /// Its length, in bytes.
    pub length: usize,
    /// Its HMAC-SHA-256.
    pub mac: [u8; 32],
}

/// The registered secrets.
#[derive(Clone, Default)]
pub struct Registered {
    key: Vec<u8>,
    multiplier: u64,
    mask: u64,
    by_head: HashMap<u16, Vec<Registration>>,
}

impl std::fmt::Debug for Registered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registered({})", self.by_head.values().map(Vec::len).sum::<usize>())
    }
}

impl Registered {
    /// An empty set under `key`, which should be 32 random bytes.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let half = |name: &[u8]| {
            let mac = mac(key, name);
            mac.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte))
        };
        Self {
            key: key.to_vec(),
            multiplier: half(b"multiplier") | 1,
            mask: half(b"mask"),
            by_head: HashMap::new(),
        }
    }

    /// What to keep of `secret`; `None` if it is shorter than [`SHORTEST`] or longer than [`LONGEST`].
    #[must_use]
    pub fn registration(&self, secret: &str) -> Option<Registration> {
        let bytes = secret.as_bytes();
        let head = self.head(bytes.first_chunk()?);
        (bytes.len() <= LONGEST).then(|| Registration {
            head,
            length: bytes.len(),
            mac: mac(&self.key, bytes),
        })
    }

    /// Adds what was kept of a secret.
    pub fn add(&mut self, registration: Registration) {
        self.by_head.entry(registration.head).or_default().push(registration);
    }

    /// Where the first registered secret in `text` stands.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<(usize, usize)> {
        if self.by_head.is_empty() {
            return None;
        }
        let bytes = text.as_bytes();
        bytes.windows(SHORTEST).enumerate().find_map(|(at, head)| {
            let known = self.by_head.get(&self.head(head.first_chunk()?))?;
            let fits = |one: &&Registration| {
                let secret = bytes.get(at..at + one.length);
                secret.is_some_and(|secret| mac(&self.key, secret) == one.mac)
            };
            known.iter().find(fits).map(|one| (at, at + one.length))
        })
    }

    fn head(&self, bytes: &[u8; SHORTEST]) -> u16 {
        let mixed = (u64::from_le_bytes(*bytes) ^ self.mask).wrapping_mul(self.multiplier);
        u16::try_from(mixed >> 48).unwrap_or_default()
    }
}

fn mac(key: &[u8], bytes: &[u8]) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(bytes);
            mac.finalize().into_bytes().into()
        }
        // HMAC takes a key of any length.
        Err(_) => [0; 32],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registered_secret_is_found_anywhere_and_nothing_else_is() {
        let mut registered = Registered::new(&[7; 32]);
        assert_eq!(registered.find("correct horse battery"), None);
        let kept = registered.registration("correct horse").unwrap();
        registered.add(kept);
        assert_eq!(registered.find("say:correct horse battery"), Some((4, 17)));
        assert_eq!(registered.find("correct hors"), None);
        assert_eq!(registered.find("correct horsf"), None);
        assert_eq!(registered.registration("short"), None);
        // Under another key the same secret is kept as something else.
        let other = Registered::new(&[8; 32]).registration("correct horse").unwrap();
        assert_ne!(Some(other.mac), registered.registration("correct horse").map(|kept| kept.mac));
    }
}
