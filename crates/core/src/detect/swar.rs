//! Eight bytes at once, as one number.

/// One bit, and one number, in each of eight bytes.
const HIGH: u64 = 0x8080_8080_8080_8080;
const ONES: u64 = 0x0101_0101_0101_0101;

/// The first eight bytes, the first of them lowest; zeroes beyond the end.
#[inline]
pub(super) fn load(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => bytes.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)),
    }
}

/// The last eight bytes, the last of them highest; zeroes beyond the beginning.
#[inline]
pub(super) fn load_end(bytes: &[u8]) -> u64 {
    match bytes.last_chunk::<8>() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => bytes.iter().fold(0, |all, byte| all >> 8 | u64::from(*byte) << 56),
    }
}

/// The highest bit of each byte that is one of `first..=last`, all of them ASCII.
#[inline]
pub(super) const fn between(eight: u64, first: u8, last: u8) -> u64 {
    let low = eight & !HIGH;
    let from = low + (0x80 - first as u64) * ONES;
    let beyond = low + (0x7f - last as u64) * ONES;
    (from ^ beyond) & !eight & HIGH
}

/// The highest bit of each byte that is none of `first..=last`, all of these ASCII.
#[inline]
pub(super) const fn others(eight: u64, first: u8, last: u8) -> u64 {
    between(eight, first, last) ^ HIGH
}

/// ASCII letters made small.
#[inline]
pub(super) const fn lower(eight: u64) -> u64 {
    eight | between(eight, b'A', b'Z') >> 2
}

/// The highest bit of each ASCII letter.
#[inline]
pub(super) const fn letters(eight: u64) -> u64 {
    between(lower(eight), b'a', b'z')
}

/// A space for each end of a line.
#[inline]
pub(super) const fn with_spaces(eight: u64) -> u64 {
    let ends = between(eight, b'\n', b'\n') >> 7;
    eight ^ (ends * (b'\n' ^ b' ') as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told_as_it_is_alone() {
        for byte in 0..=u8::MAX {
            let eight = u64::from_le_bytes([b'x', byte, b'X', byte, 0xff, byte, 0, byte]);
            let at = |bits: u64| bits >> 15 & 1 == 1;
            assert_eq!(at(between(eight, b'3', b'5')), (b'3'..=b'5').contains(&byte), "{byte}");
            assert_eq!(at(others(eight, b'3', b'5')), !(b'3'..=b'5').contains(&byte), "{byte}");
            assert_eq!(at(letters(eight)), byte.is_ascii_alphabetic(), "{byte}");
            assert_eq!(lower(eight).to_le_bytes(), eight.to_le_bytes().map(|byte| byte.to_ascii_lowercase()));
            let spaced = eight.to_le_bytes().map(|byte| if byte == b'\n' { b' ' } else { byte });
            assert_eq!(with_spaces(eight).to_le_bytes(), spaced);
        }
        assert_eq!(load(b"ab"), 0x6261);
        assert_eq!(load_end(b"ab"), 0x6261 << 48);
        assert_eq!(load(b"abcdefghi"), load_end(b"xabcdefgh"));
    }
}
