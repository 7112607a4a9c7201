//! Ids of receipts: sortable by time, impossible to guess.

use doorward_store::{StoreError, fill_random};

/// Crockford's base 32: no letter that reads like a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// An id of 26 characters (48 bits of time, 80 random bits; the layout of ULID) and the 32 bytes of a
/// fresh salt, drawn together because each draw is a system call.
pub(crate) fn id_and_salt(millis: u64) -> Result<(String, [u8; 32]), StoreError> {
    let mut random = [0; 42];
    fill_random(&mut random)?;
    let (low, salt) = random.split_at(10);
    let mut bits = u128::from(millis & 0xffff_ffff_ffff) << 80;
    for (place, byte) in low.iter().rev().enumerate() {
        bits |= u128::from(*byte) << (place * 8);
    }
    let digit = |place: u32| {
        let index = (bits >> (place * 5)) & 31;
        usize::try_from(index).ok().and_then(|index| ALPHABET.get(index)).copied().unwrap_or(b'0')
    };
    let id = (0..26).rev().map(|place| char::from(digit(place))).collect();
    Ok((id, salt.try_into().unwrap_or_default()))
}

/// An id for a receipt that has nothing to digest.
///
/// # Errors
/// If the system gives no random bytes.
pub fn fresh_id(millis: u64) -> Result<String, StoreError> {
    id_and_salt(millis).map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_never_repeat() {
        let (a, salt) = id_and_salt(1_795_219_200_000).unwrap();
        let (b, other) = id_and_salt(1_795_219_200_001).unwrap();
        assert!(a < b && a.len() == 26 && salt != other);
        assert_ne!(id_and_salt(5).unwrap().0, id_and_salt(5).unwrap().0);
        assert!(doorward_ledger::receipt::is_id(&a));
    }
}
