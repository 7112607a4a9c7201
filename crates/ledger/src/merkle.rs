//! The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1): hashes, proofs and their verification.
//!
//! Pure: proofs are made from the hashes of complete subtrees, which the caller supplies through [`Nodes`].

use sha2::{Digest, Sha256};

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// Hash of a leaf: SHA-256(0x00 || entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

/// Hash of an inner node: SHA-256(0x01 || left || right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// A growing tree that remembers only the roots of its complete subtrees: at most 64 hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compact {
    size: u64,
    peaks: Vec<Hash>,
}

impl Compact {
    /// A tree without leaves.
    pub fn new() -> Compact {
        Compact::default()
    }

    /// A tree restored from its [`Compact::peaks`]; `None` if their number does not fit the size.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Compact> {
        (peaks.len() as u64 == u64::from(size.count_ones())).then_some(Compact { size, peaks })
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees, largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds the hash of a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        let mut carry = self.size;
        while carry & 1 == 1 {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
            carry >>= 1;
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root.
    pub fn root(&self) -> Hash {
        fold_peaks(self.peaks.iter().rev())
    }
}

/// Joins subtree roots given smallest (rightmost) first.
pub(crate) fn fold_peaks<'a>(smallest_first: impl Iterator<Item = &'a Hash>) -> Hash {
    smallest_first
        .fold(None, |right, left| Some(right.map_or(*left, |right| node_hash(left, &right))))
        .unwrap_or_else(empty_root)
}

/// Where hashes of complete subtrees come from.
pub trait Nodes {
    /// Why a hash could not be had.
    type Error;

    /// The hash over leaves `index << level .. (index + 1) << level`; level 0 is the hash of a leaf.
    ///
    /// # Errors
    /// Whatever keeps the source from giving it.
    fn node(&mut self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// Root over leaves `start..end`, where `start` is a multiple of a power of two not below `end - start`.
fn range_root<N: Nodes>(nodes: &mut N, mut start: u64, end: u64) -> Result<Hash, N::Error> {
    let mut peaks = Vec::new();
    while start < end {
        let level = (end - start).ilog2();
        let level = if start == 0 { level } else { level.min(start.trailing_zeros()) };
        peaks.push(nodes.node(level as u8, start >> level)?);
        start += 1 << level;
    }
    Ok(fold_peaks(peaks.iter().rev()))
}

/// Root of the first `size` leaves.
///
/// # Errors
/// Those of `nodes`.
pub fn root<N: Nodes>(nodes: &mut N, size: u64) -> Result<Hash, N::Error> {
    range_root(nodes, 0, size)
}

/// The largest power of two below `n`; `n` is at least 2.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Proof that leaf `index` is in the tree of the first `size` leaves (RFC 9162 section 2.1.3.1), lowest hash first.
/// `None` if `index` is not below `size`.
///
/// # Errors
/// Those of `nodes`.
pub fn prove_inclusion<N: Nodes>(
    nodes: &mut N,
    index: u64,
    size: u64,
) -> Result<Option<Vec<Hash>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(Some(proof))
}

/// Proof that the first `old` leaves are a prefix of the first `new` ones (RFC 9162 section 2.1.4.1).
/// `None` unless `0 < old <= new`; empty when they are equal.
///
/// # Errors
/// Those of `nodes`.
pub fn prove_consistency<N: Nodes>(nodes: &mut N, old: u64, new: u64) -> Result<Option<Vec<Hash>>, N::Error> {
    if old == 0 || old > new {
        return Ok(None);
    }
    let (mut start, mut end) = (0, new);
    let mut proof = Vec::new();
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    // The old root itself is known to the verifier unless the path has left the left edge of the tree.
    if start != 0 {
        proof.push(range_root(nodes, start, end)?);
    }
    proof.reverse();
    Ok(Some(proof))
}

/// Whether `proof` shows that the leaf with hash `leaf` is number `index` of the `size` leaves under `root`
/// (RFC 9162 section 2.1.3.2).
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the `old` leaves under `old_root` are the first of the `new` leaves under `new_root`
/// (RFC 9162 section 2.1.4.2). An empty old tree is a prefix of every tree.
#[must_use]
pub fn verify_consistency(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old > new {
        return false;
    }
    let mut path = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(first) = first else { return false };
    let trailing = (old - 1).trailing_ones();
    let (mut node, mut last) = ((old - 1) >> trailing, (new - 1) >> trailing);
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}
