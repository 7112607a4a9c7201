//! Values that must not be printed, logged or left in memory.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::StoreError;

/// Fills `bytes` from the operating system's generator.
///
/// # Errors
/// If the system has no randomness to give; nothing secret can be made then.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|error| StoreError::Random(error.to_string()))
}

/// 32 secret bytes: a key, a signing seed or a receipt's salt. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret32([u8; 32]);

impl Secret32 {
    /// These bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Fresh random bytes.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn random() -> Result<Self, StoreError> {
        let mut secret = Self([0; 32]);
        fill_random(&mut secret.0)?;
        Ok(secret)
    }

    /// The bytes, for a cipher or a signer. Do not keep a copy.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The secret in `bytes`, if there are exactly 32.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        <[u8; 32]>::try_from(bytes).ok().map(Self)
    }
}

impl Drop for Secret32 {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret32(…)")
    }
}

/// Whose tokens they are; the prefix tells a person, and a secret scanner, what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `dw_`: names an agent on the data listener.
    Agent,
    /// `dwop_`: the operator's, on the control listener.
    Operator,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Agent => "dw_",
            Self::Operator => "dwop_",
        }
    }
}

/// A bearer token: its kind's prefix and 43 characters of URL-safe base64, which are 256 random bits.
/// Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// A fresh token.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn random(kind: TokenKind) -> Result<Self, StoreError> {
        let bits = Secret32::random()?;
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(bits.expose()));
        Ok(Self(Zeroizing::new(format!("{}{}", kind.prefix(), encoded.as_str()))))
    }

    /// Reads a token; `None` if it is not one of this kind.
    #[must_use]
    pub fn parse(kind: TokenKind, text: &str) -> Option<Self> {
        let body = text.strip_prefix(kind.prefix())?;
        let bits = Zeroizing::new(URL_SAFE_NO_PAD.decode(body).ok()?);
        (bits.len() == 32).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The text, for the one line it is printed on or the one header it is compared with.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `presented` is this token. Takes the same time wherever the two differ.
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        TokenDigest::of(&self.0) == TokenDigest::of(presented)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// SHA-256 of a token. Tokens are looked up and compared by digest only: how long that takes tells
/// something about the digest, from which nothing about a random token follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_one_shape() {
        let token = Token::random(TokenKind::Agent).unwrap();
        assert!(token.expose().starts_with("dw_"));
        assert_eq!(token.expose().len(), 3 + 43);
        assert!(Token::parse(TokenKind::Agent, token.expose()).unwrap().matches(token.expose()));
        let operator = Token::random(TokenKind::Operator).unwrap();
        assert!(Token::parse(TokenKind::Agent, operator.expose()).is_none());
        assert!(Token::parse(TokenKind::Operator, token.expose()).is_none());
        for bad in ["", "dw_", "dw_short", "dw_\u{e9}", &format!("{} ", token.expose())] {
            assert!(Token::parse(TokenKind::Agent, bad).is_none(), "{bad:?}");
        }
        assert!(!token.matches(operator.expose()));
        assert!(!token.matches(""));
    }

    #[test]
    fn secrets_do_not_print() {
        let secret = Secret32::new([0x41; 32]);
        let token = Token::random(TokenKind::Agent).unwrap();
        let shown = format!("{secret:?} {token:?} {:?}", Some(&token));
        assert!(!shown.contains("65"), "{shown}");
        assert!(!shown.contains(token.expose()), "{shown}");
    }
}
