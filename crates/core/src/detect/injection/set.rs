//! A set of concepts and marks: one bit each, concepts from the lowest on, marks from the highest down.

use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

/// Such a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::detect) struct Set([u64; 4]);

impl Set {
    /// How many bits there are.
    pub(super) const BITS: usize = 256;

    pub(super) const EMPTY: Self = Self([0; 4]);

    pub(super) const FULL: Self = Self([u64::MAX; 4]);

    /// The set of `bit` alone; empty for what is no bit.
    #[inline]
    pub(super) const fn of(bit: usize) -> Self {
        let at = 1u64 << (bit % 64);
        match bit / 64 {
            0 => Self([at, 0, 0, 0]),
            1 => Self([0, at, 0, 0]),
            2 => Self([0, 0, at, 0]),
            3 => Self([0, 0, 0, at]),
            _ => Self::EMPTY,
        }
    }

    /// What is in either: the operator `|`, for constants.
    #[inline]
    pub(super) const fn or(self, other: Self) -> Self {
        let (Self([a, b, c, d]), Self([e, f, g, h])) = (self, other);
        Self([a | e, b | f, c | g, d | h])
    }

    /// Whether something is in both.
    #[inline]
    pub(super) const fn meets(self, other: Self) -> bool {
        let (Self([a, b, c, d]), Self([e, f, g, h])) = (self, other);
        a & e | b & f | c & g | d & h != 0
    }

    /// Whether all of it is in `other`.
    #[inline]
    pub(super) fn is_within(self, other: Self) -> bool {
        !self.meets(!other)
    }

    #[inline]
    pub(super) const fn is_empty(self) -> bool {
        !self.meets(Self::FULL)
    }

    #[inline]
    pub(super) fn has(self, bit: usize) -> bool {
        self.0.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 != 0)
    }

    #[inline]
    pub(super) fn add(&mut self, bit: usize) {
        if let Some(word) = self.0.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    /// Whether there are two bits in it or more.
    #[inline]
    pub(super) fn is_many(self) -> bool {
        let several = |word: &u64| word & word.wrapping_sub(1) != 0;
        self.0.iter().any(several) || self.0.iter().filter(|word| **word != 0).count() > 1
    }

    /// Each of its bits, the lowest first.
    pub(super) fn bits(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().zip((0..).step_by(64)).flat_map(|(word, first)| {
            let next = |left: &u64| Some(left & left.wrapping_sub(1));
            let lefts = std::iter::successors(Some(word), next).take_while(|left| *left != 0);
            lefts.map(move |left| first + left.trailing_zeros() as usize)
        })
    }

    /// Each of its bits, as a set.
    pub(super) fn each(self) -> impl Iterator<Item = Self> {
        self.bits().map(Self::of)
    }
}

impl BitOr for Set {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        self.or(other)
    }
}

impl BitOrAssign for Set {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        *self = self.or(other);
    }
}

impl BitAnd for Set {
    type Output = Self;

    #[inline]
    fn bitand(self, other: Self) -> Self {
        let (Self([a, b, c, d]), Self([e, f, g, h])) = (self, other);
        Self([a & e, b & f, c & g, d & h])
    }
}

impl Not for Set {
    type Output = Self;

    #[inline]
    fn not(self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

impl FromIterator<Self> for Set {
    fn from_iter<I: IntoIterator<Item = Self>>(sets: I) -> Self {
        sets.into_iter().fold(Self::EMPTY, Self::or)
    }
}

impl FromIterator<usize> for Set {
    fn from_iter<I: IntoIterator<Item = usize>>(bits: I) -> Self {
        let mut set = Self::EMPTY;
        bits.into_iter().for_each(|bit| set.add(bit));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_is_one_of_its_own() {
        for bit in 0..Set::BITS {
            let one = Set::of(bit);
            assert!(one.has(bit) && !one.is_empty() && !one.is_many(), "{bit}");
            assert!((0..Set::BITS).all(|other| one.has(other) == (bit == other)));
            assert_eq!([bit].into_iter().collect::<Set>(), one);
            assert!(one.is_within(Set::FULL) && !one.meets(!one) && (one | !one) == Set::FULL);
        }
        assert_eq!((Set::of(Set::BITS), Set::FULL.each().count()), (Set::EMPTY, Set::BITS));
        assert!((Set::of(3) | Set::of(200)).is_many());
    }
}
