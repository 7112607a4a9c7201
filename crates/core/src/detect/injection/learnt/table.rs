//! The file that learning leaves: for each number what it speaks for, in eight bits.

use super::{BITS, FEW, GLANCE_BITS};

/// What every such file begins with, the version of the features among it.
pub const MAGIC: [u8; 8] = *b"DWLEARN2";

/// How long the digest of what was learnt from is, in bytes.
pub const DIGEST: usize = 32;

/// Weights of features, each a number of 8 bits times one factor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    weights: &'static [u8],
    factor: f32,
    bias: f32,
}

impl Table {
    #[inline]
    pub(super) fn weight(&self, place: u32) -> i32 {
        let weight = usize::try_from(place).ok().and_then(|place| self.weights.get(place));
        weight.map_or(0, |byte| i32::from(i8::from_ne_bytes([*byte])))
    }

    /// What `sum` over `count` features says: above 0 rather an attack.
    pub(super) fn margin(&self, sum: i64, count: usize) -> f32 {
        (sum as f32) * self.factor / (count.max(FEW) as f32).sqrt() + self.bias
    }
}

/// What a file holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Learnt {
    /// For a passage that is read.
    pub(super) passage: Table,
    /// For the look over the whole text.
    pub(super) glance: Table,
    /// Of what it was learnt from.
    pub(super) digest: [u8; DIGEST],
}

impl Learnt {
    /// Reads a file; `None` if it is none of this version.
    pub(super) fn read(file: &'static [u8]) -> Option<Self> {
        let rest = file.strip_prefix(&MAGIC)?;
        let (digest, rest) = rest.split_first_chunk::<DIGEST>()?;
        let (passage, rest) = table(rest, 1 << BITS)?;
        let (glance, rest) = table(rest, 1 << GLANCE_BITS)?;
        rest.is_empty().then_some(Self { passage, glance, digest: *digest })
    }
}

/// A table with `count` weights, and what follows it.
fn table(bytes: &'static [u8], count: usize) -> Option<(Table, &'static [u8])> {
    let (factor, rest) = bytes.split_first_chunk::<4>()?;
    let (bias, rest) = rest.split_first_chunk::<4>()?;
    let (weights, rest) = rest.split_at_checked(count)?;
    let [factor, bias] = [factor, bias].map(|number| f32::from_le_bytes(*number));
    (factor.is_finite() && bias.is_finite()).then_some((Table { weights, factor, bias }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_or_of_another_kind_is_none() {
        let whole: &'static [u8] = super::super::SHIPPED;
        assert!(Learnt::read(whole).is_some());
        assert!(Learnt::read(whole.split_last().unwrap().1).is_none());
        assert!(Learnt::read(whole.split_first().unwrap().1).is_none());
        assert!(Learnt::read(b"").is_none());
    }
}
