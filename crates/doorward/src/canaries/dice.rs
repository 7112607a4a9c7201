//! Random choices for decoys: no two installations have one in common.

use doorward_store::{StoreError, fill_random};

/// Letters and digits.
pub const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What identifiers of AWS are written in (RFC 4648, 6).
pub const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The alphabet of base64 (RFC 4648, 4).
pub const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The same for URLs (RFC 4648, 5).
pub const BASE64_URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Hexadecimal digits.
pub const HEX: &[u8] = b"0123456789abcdef";

/// Digits.
pub const DIGITS: &[u8] = b"0123456789";

/// `N` random bytes.
///
/// # Errors
/// If the system has no randomness to give.
pub fn bytes<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

/// A number below `end`; 0 if that is 0. Eight bytes of randomness: the bias is below 2⁻⁴⁰ for what is asked here.
///
/// # Errors
/// If the system has no randomness to give.
pub fn below(end: u64) -> Result<u64, StoreError> {
    Ok(u64::from_le_bytes(bytes()?).checked_rem(end).unwrap_or_default())
}

/// One of `all`.
///
/// # Errors
/// If the system has no randomness to give.
pub fn one_of<'a>(all: &[&'a str]) -> Result<&'a str, StoreError> {
    let at = below(all.len() as u64)?;
    Ok(usize::try_from(at).ok().and_then(|at| all.get(at)).copied().unwrap_or_default())
}

/// `count` characters of `alphabet`, each as likely as any other.
///
/// # Errors
/// If the system has no randomness to give.
pub fn text(alphabet: &[u8], count: usize) -> Result<String, StoreError> {
    let mut out = String::with_capacity(count);
    for _ in 0..count {
        let at = usize::try_from(below(alphabet.len() as u64)?).unwrap_or_default();
        out.push(alphabet.get(at).copied().map_or('0', char::from));
    }
    Ok(out)
}

/// A UUID of version 4 (RFC 9562, 5.4).
///
/// # Errors
/// If the system has no randomness to give.
pub fn uuid() -> Result<String, StoreError> {
    let digits = text(HEX, 32)?;
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    let variant = one_of(&["8", "9", "a", "b"])?;
    Ok(format!("{}-{}-4{}-{variant}{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32)))
}
