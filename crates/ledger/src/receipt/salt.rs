//! Keyed digests: fingerprints of content that nobody can guess once the salt is gone.
//!
//! A plain hash of a short secret can be found by trying; HMAC under a random salt cannot. The salt belongs to one
//! receipt, is kept *outside* the log, and destroying it (a purge) leaves the log verifiable and the digest mute.

use crate::encoding::{hex, unhex};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// The 32 secret random bytes of one receipt. Wiped from memory on drop and never printed.
#[derive(Clone)]
pub struct Salt {
    /// The HMAC key block: the salt followed by zeros, as RFC 2104 pads it.
    block: Zeroizing<[u8; 64]>,
}

impl Salt {
    /// The salt with these bytes. The caller draws them from the operating system and wipes its copy.
    pub fn new(bytes: &[u8; 32]) -> Salt {
        let mut block = Zeroizing::new([0; 64]);
        for (to, from) in block.iter_mut().zip(bytes) {
            *to = *from;
        }
        Salt { block }
    }

    /// Reads the text form, 64 lowercase hexadecimal digits.
    pub fn parse(text: &str) -> Option<Salt> {
        let bytes = Zeroizing::new(unhex(text)?);
        Some(Salt::new(bytes.as_slice().try_into().ok()?))
    }

    /// The secret bytes, to be stored where they can be destroyed.
    pub fn expose(&self) -> [u8; 32] {
        self.block.first_chunk::<32>().copied().unwrap_or_default()
    }

    /// HMAC-SHA256(salt, domain || 0x00 || content). `domain` says what the content is (`target`, `body`, …), so
    /// equal content in different places has different digests; it must not contain a NUL.
    pub fn digest(&self, domain: &str, content: &[u8]) -> KeyedDigest {
        let mut stream = self.stream(domain);
        stream.update(content);
        stream.finish()
    }

    /// [`Salt::digest`] for content that comes in pieces.
    pub fn stream(&self, domain: &str) -> DigestStream {
        let mut mac = Hmac::<Sha256>::new((&*self.block).into());
        mac.update(domain.as_bytes());
        mac.update(&[0]);
        DigestStream { mac }
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(withheld)")
    }
}

/// A digest being computed; see [`Salt::stream`].
pub struct DigestStream {
    mac: Hmac<Sha256>,
}

impl DigestStream {
    /// Takes in the next piece of content.
    pub fn update(&mut self, piece: &[u8]) {
        self.mac.update(piece);
    }

    /// The digest of all pieces.
    pub fn finish(self) -> KeyedDigest {
        KeyedDigest(self.mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for DigestStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestStream")
    }
}

/// A keyed digest; `Display` gives the 64 hexadecimal digits that stand in receipts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyedDigest([u8; 32]);

impl KeyedDigest {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for KeyedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyedDigest({self})")
    }
}
