//! Merkle proofs: against a direct reading of RFC 6962, and that no altered proof is accepted.

use doorward_ledger::merkle::*;
use proptest::prelude::*;
use std::convert::Infallible;

fn leaf(n: u64) -> Hash {
    leaf_hash(&n.to_be_bytes())
}

/// RFC 6962 section 2.1, word for word.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        _ => {
            let k = (leaves.len().next_power_of_two()) / 2;
            node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
        }
    }
}

/// RFC 6962 section 2.1.1.
fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return vec![];
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (mut proof, other) = if m < k {
        (path(m, &leaves[..k]), mth(&leaves[k..]))
    } else {
        (path(m - k, &leaves[k..]), mth(&leaves[..k]))
    };
    proof.push(other);
    proof
}

/// RFC 6962 section 2.1.2.
fn subproof(m: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if known { vec![] } else { vec![mth(leaves)] };
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (mut proof, other) = if m <= k {
        (subproof(m, &leaves[..k], known), mth(&leaves[k..]))
    } else {
        (subproof(m - k, &leaves[k..], false), mth(&leaves[..k]))
    };
    proof.push(other);
    proof
}

struct Whole(Vec<Hash>);

impl Nodes for Whole {
    type Error = Infallible;
    fn node(&mut self, level: u8, index: u64) -> Result<Hash, Infallible> {
        let width = 1 << level;
        let start = index as usize * width;
        Ok(mth(&self.0[start..start + width]))
    }
}

#[test]
fn every_proof_of_every_small_tree_is_the_one_of_the_rfc_and_verifies() {
    let all: Vec<Hash> = (0..40).map(leaf).collect();
    let mut nodes = Whole(all.clone());
    let mut compact = Compact::new();
    for size in 0..=40 {
        let leaves = &all[..size];
        let tree_root = mth(leaves);
        assert_eq!(compact.root(), tree_root);
        assert_eq!(root(&mut nodes, size as u64), Ok(tree_root));
        for (index, leaf) in leaves.iter().enumerate() {
            let proof = prove_inclusion(&mut nodes, index as u64, size as u64).unwrap().unwrap();
            assert_eq!(proof, path(index, leaves));
            assert!(verify_inclusion(leaf, index as u64, size as u64, &proof, &tree_root));
        }
        for old in 1..=size {
            let proof = prove_consistency(&mut nodes, old as u64, size as u64).unwrap().unwrap();
            assert_eq!(proof, subproof(old, leaves, true));
            assert!(verify_consistency(old as u64, &mth(&all[..old]), size as u64, &tree_root, &proof));
        }
        if size < 40 {
            compact.push(all[size]);
        }
    }
    assert_eq!(prove_inclusion(&mut nodes, 5, 5), Ok(None));
    assert_eq!(prove_consistency(&mut nodes, 6, 5), Ok(None));
    assert_eq!(prove_consistency(&mut nodes, 0, 5), Ok(None));
    assert!(verify_consistency(0, &empty_root(), 5, &leaf(9), &[]));
}

/// All proofs that differ from `proof` by one bit, one hash less, one hash more or two hashes exchanged.
fn altered(proof: &[Hash], bit: usize) -> Vec<Vec<Hash>> {
    let mut found = Vec::new();
    for at in 0..proof.len() {
        let mut flipped = proof.to_vec();
        flipped[at][bit / 8 % 32] ^= 1 << (bit % 8);
        found.push(flipped);
        let mut shorter = proof.to_vec();
        shorter.remove(at);
        found.push(shorter);
    }
    for at in 0..=proof.len() {
        let mut longer = proof.to_vec();
        longer.insert(at, leaf(bit as u64));
        found.push(longer);
    }
    for at in 1..proof.len() {
        let mut swapped = proof.to_vec();
        swapped.swap(at - 1, at);
        found.push(swapped);
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_altered_inclusion_proof_is_refused(size in 1u64..300, pick in any::<u64>(), bit in 0usize..256) {
        let index = pick % size;
        let mut nodes = Whole((0..size).map(leaf).collect());
        let tree_root = root(&mut nodes, size).unwrap();
        let proof = prove_inclusion(&mut nodes, index, size).unwrap().unwrap();
        prop_assert!(verify_inclusion(&leaf(index), index, size, &proof, &tree_root));
        for wrong in altered(&proof, bit) {
            prop_assert!(!verify_inclusion(&leaf(index), index, size, &wrong, &tree_root));
        }
        prop_assert!(!verify_inclusion(&leaf(index + 1), index, size, &proof, &tree_root));
        let other = (index + 1 + pick / size % size) % size;
        prop_assert!(other == index || !verify_inclusion(&leaf(index), other, size, &proof, &tree_root));
        prop_assert!(!verify_inclusion(&leaf(index), size, size, &proof, &tree_root));
        let mut wrong = tree_root;
        wrong[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!verify_inclusion(&leaf(index), index, size, &proof, &wrong));
    }

    #[test]
    fn an_altered_consistency_proof_is_refused(new in 1u64..300, pick in any::<u64>(), bit in 0usize..256) {
        let old = 1 + pick % new;
        let mut nodes = Whole((0..new).map(leaf).collect());
        let (old_root, new_root) = (root(&mut nodes, old).unwrap(), root(&mut nodes, new).unwrap());
        let proof = prove_consistency(&mut nodes, old, new).unwrap().unwrap();
        prop_assert!(verify_consistency(old, &old_root, new, &new_root, &proof));
        for wrong in altered(&proof, bit) {
            prop_assert!(!verify_consistency(old, &old_root, new, &new_root, &wrong));
        }
        let mut wrong = old_root;
        wrong[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!verify_consistency(old, &wrong, new, &new_root, &proof));
        let mut wrong = new_root;
        wrong[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!verify_consistency(old, &old_root, new, &wrong, &proof));
    }
}
