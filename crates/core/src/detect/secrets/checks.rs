//! Checksums some credentials carry. A checksum that fits is evidence; one that does not fit proves nothing,
//! because a token with a changed letter is still a leak of most of it.

use sha2::{Digest as _, Sha256};

/// Which checksum a type has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// The last six characters are the CRC-32 of those between the prefix and them, in base 62 (GitHub, npm).
    Crc32,
    /// The header is JSON that names an algorithm (RFC 7519).
    Jwt,
    /// Base58Check, as wallets write keys.
    Base58,
}

impl Check {
    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "crc32" => Some(Self::Crc32),
            "jwt" => Some(Self::Jwt),
            "base58" => Some(Self::Base58),
            _ => None,
        }
    }

    /// Whether it fits `token`.
    pub(super) fn fits(self, token: &str) -> bool {
        match self {
            Self::Crc32 => crc32_base62(token),
            Self::Jwt => jwt(token),
            Self::Base58 => base58_check(token),
        }
    }
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn crc32_base62(token: &str) -> bool {
    let Some((_, rest)) = token.split_once('_') else { return false };
    let Some((body, sum)) = rest.len().checked_sub(6).and_then(|at| rest.split_at_checked(at)) else {
        return false;
    };
    let digit = |byte: u8| BASE62.iter().position(|known| *known == byte);
    let value =
        sum.bytes().try_fold(0u64, |value, byte| Some(value * 62 + u64::try_from(digit(byte)?).ok()?));
    value == Some(u64::from(crc32(body.as_bytes())))
}

/// CRC-32 as in gzip (ISO 3309), bit by bit: tokens are short.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn jwt(token: &str) -> bool {
    let header = token.split('.').next().and_then(crate::syntax::base64::decode);
    header.is_some_and(|header| header.starts_with(b"{") && header.windows(5).any(|part| part == b"\"alg\""))
}

/// Luhn's check of card numbers; other characters than digits are passed over.
pub(super) fn luhn(text: &str) -> bool {
    let digits = text.bytes().rev().filter(u8::is_ascii_digit).map(|digit| u32::from(digit - b'0'));
    let mut count = 0u32;
    let sum: u32 = digits
        .enumerate()
        .map(|(index, digit)| {
            count += 1;
            if index % 2 == 0 {
                digit
            } else if digit > 4 {
                2 * digit - 9
            } else {
                2 * digit
            }
        })
        .sum();
    count > 1 && sum.is_multiple_of(10)
}

/// ISO 13616: the rest of the rearranged number, divided by 97, is 1.
pub(super) fn iban(text: &str) -> bool {
    let Some((head, tail)) = text.split_at_checked(4) else { return false };
    let mut rest = 0u32;
    for byte in tail.bytes().chain(head.bytes()) {
        rest = match byte {
            b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
            b'A'..=b'Z' => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
            _ => return false,
        };
    }
    rest == 1
}

fn base58_check(token: &str) -> bool {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    if token.len() > 128 {
        return false;
    }
    // Big-endian digits of base 256.
    let mut bytes: Vec<u8> = Vec::new();
    for byte in token.bytes() {
        let Some(digit) = ALPHABET.iter().position(|known| *known == byte) else { return false };
        let mut carry = u32::try_from(digit).unwrap_or_default();
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = u8::try_from(carry & 0xff).unwrap_or_default();
            carry >>= 8;
        }
        while carry > 0 {
            bytes.insert(0, u8::try_from(carry & 0xff).unwrap_or_default());
            carry >>= 8;
        }
    }
    // Zeros in front are written as ones.
    let zeros = token.bytes().take_while(|byte| *byte == b'1').count();
    bytes.splice(0..0, std::iter::repeat_n(0, zeros));
    let Some((payload, sum)) = bytes.len().checked_sub(4).and_then(|at| bytes.split_at_checked(at)) else {
        return false;
    };
    Sha256::digest(Sha256::digest(payload)).starts_with(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_fit_what_was_made_with_them_and_nothing_else() {
        // Check values: the CRC catalogue's, ISO 7812's and ISO 13616's own examples.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert!(luhn("4111 1111 1111 1111") && !luhn("4111 1111 1111 1112") && !luhn("0"));
        assert!(iban("GB82WEST12345698765432") && !iban("GB82WEST12345698765433") && !iban("gb82"));
        assert!(Check::Jwt.fits("eyJhbGciOiJIUzI1NiJ9.x.y") && !Check::Jwt.fits("eyJmb28iOjF9.x.y"));
    }

    #[test]
    fn base58_is_checked_to_the_last_byte() {
        // The address of Bitcoin's first block, as everybody knows it.
        assert!(base58_check("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"));
        assert!(!base58_check("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"));
        assert!(!base58_check("0OIl"));
    }
}
