//! Receipts, bundles, signed notes and proofs: what an auditor's verifier reads from anyone.

use std::sync::OnceLock;

use doorward_ledger::canonical::{parse_canonical, parse_relaxed};
use doorward_ledger::merkle::{Compact, Hash, leaf_hash, node_hash, verify_consistency, verify_inclusion};
use doorward_ledger::tiles::{read_bundle, write_bundle_entry};
use doorward_ledger::{Bundle, Receipt, SignedCheckpoint, VerifyingKey, verify_bundle};

/// Canonical JSON and receipts: what is accepted as canonical is written back byte for byte, what is
/// accepted at all is JSON to `serde_json` and to the firewall's own reader.
pub fn receipt(data: &[u8]) {
    if let Ok(value) = parse_canonical(data) {
        assert_eq!(value.to_canonical(), data, "canonical bytes are written back differently");
        assert_eq!(parse_relaxed(data), Ok(value), "canonical bytes read differently by the relaxed reader");
    }
    if let Ok(value) = parse_relaxed(data) {
        assert_eq!(parse_canonical(&value.to_canonical()), Ok(value.clone()), "writing changes the value");
        assert!(serde_json::from_slice::<serde_json::Value>(data).is_ok(), "serde_json refuses it");
        assert!(doorward_core::syntax::json::parse(data).is_ok(), "core refuses it");
    }
    if let Ok(receipt) = Receipt::parse(data) {
        assert_eq!(receipt.to_canonical(), data, "a receipt is written back differently");
    }
    if let Some(entries) = read_bundle(data) {
        let mut again = Vec::new();
        entries.iter().for_each(|entry| write_bundle_entry(entry, &mut again));
        assert_eq!(again, data, "a tile of entries is written back differently");
    }
}

/// The bundles, keys and notes of the shared vectors.
struct Genuine {
    keys: Vec<VerifyingKey>,
    /// Index and receipt of each bundle that verifies.
    receipts: Vec<(u64, Vec<u8>)>,
    /// What the keys have signed.
    notes: Vec<String>,
}

fn genuine() -> &'static Genuine {
    static GENUINE: OnceLock<Genuine> = OnceLock::new();
    GENUINE.get_or_init(|| {
        let bundles = cases(include_str!("../../spec/vectors/ledger/bundles.json"));
        let notes = cases(include_str!("../../spec/vectors/ledger/checkpoints.json"));
        let text = |case: &serde_json::Value, key: &str| {
            case.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
        };
        let mut genuine = Genuine { keys: Vec::new(), receipts: Vec::new(), notes: Vec::new() };
        for case in bundles.iter().chain(&notes) {
            let Ok(key) = VerifyingKey::parse(&text(case, "vkey")) else { continue };
            if let Ok(bundle) = Bundle::parse(text(case, "bundle").as_bytes())
                && bundle.verify(&key).is_empty()
            {
                genuine.receipts.push((bundle.index(), bundle.receipt().to_canonical()));
                genuine.notes.push(bundle.checkpoint().to_owned());
            }
            if SignedCheckpoint::verify(&text(case, "note"), &key).is_ok() {
                genuine.notes.push(text(case, "note"));
            }
            if !genuine.keys.contains(&key) {
                genuine.keys.push(key);
            }
        }
        assert!(!genuine.receipts.is_empty() && !genuine.notes.is_empty(), "the vectors were not read");
        genuine
    })
}

fn cases(vectors: &str) -> Vec<serde_json::Value> {
    let read: serde_json::Value = serde_json::from_str(vectors).unwrap_or_default();
    read.get("cases").and_then(serde_json::Value::as_array).cloned().unwrap_or_default()
}

/// Nothing verifies but what was signed: a bundle that passes holds a receipt of the vectors at its index, a
/// note that passes says what a genuine one says.
pub fn bundle(data: &[u8]) {
    let genuine = genuine();
    let parsed = Bundle::parse(data);
    if let Ok(bundle) = &parsed {
        let again = Bundle::parse(bundle.to_json().as_bytes());
        assert_eq!(again.ok().map(|again| again.to_json()), Some(bundle.to_json()), "writing changes it");
    }
    for key in &genuine.keys {
        let report = verify_bundle(data, key);
        assert!(!report.to_json().is_empty(), "a report without words");
        if let (true, Ok(bundle)) = (report.is_ok(), &parsed) {
            let found = (bundle.index(), bundle.receipt().to_canonical());
            assert!(genuine.receipts.contains(&found), "a forged bundle verifies: {bundle:?}");
        }
        let text = String::from_utf8_lossy(data);
        if let Ok(note) = SignedCheckpoint::verify(&text, key) {
            let body = |note: &str| note.split("\n\n").next().map(str::to_owned);
            let said = genuine.notes.iter().any(|known| body(known) == body(note.text()));
            assert!(said, "a forged checkpoint verifies: {}", note.text());
        }
        let _ = VerifyingKey::parse(&text).map(|key| assert_eq!(key.vkey(), text.trim()));
    }
}

/// Proofs: sizes and index from the first bytes, hashes from the rest. Arbitrary ones are refused, those of a
/// small tree are accepted, and one flipped bit is refused again.
pub fn proof(data: &[u8]) {
    let Some((head, rest)) = data.split_first_chunk::<20>() else { return };
    let number = |at: usize| {
        let bytes = head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; 8]);
        u64::from_le_bytes(bytes)
    };
    let (a, b) = (number(0), number(8));
    let [.., small, at, old, flip] = *head;
    let hashes: Vec<Hash> = rest.chunks_exact(32).filter_map(|hash| hash.try_into().ok()).collect();
    let root = hashes.first().copied().unwrap_or_default();
    let leaf = hashes.get(1).copied().unwrap_or_default();
    // Nothing to assert but that it ends: a hash that fits cannot be guessed unless the tree is one leaf.
    let included = verify_inclusion(&leaf, a, b, &hashes, &root);
    assert!(!included || hashes.is_empty(), "a guessed proof was accepted");
    let _ = verify_consistency(a, &root, b, &leaf, &hashes);
    let size = u64::from(small).max(1);
    let tree = Tree { leaves: (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect() };
    let mut compact = Compact::new();
    tree.leaves.iter().for_each(|leaf| compact.push(*leaf));
    assert_eq!(compact.root(), tree.root(0, tree.leaves.len()), "two ways to one root");
    let index = u64::from(at) % size;
    let leaf = leaf_hash(&index.to_be_bytes());
    let (proof, root) = (tree.inclusion(usize::from(at) % tree.leaves.len()), compact.root());
    assert!(verify_inclusion(&leaf, index, size, &proof, &root), "a true proof was refused");
    let mut wrong = proof.clone();
    if let Some(hash) = wrong.get_mut(usize::from(flip >> 3) % proof.len().max(1)) {
        hash.iter_mut().take(1).for_each(|byte| *byte ^= 1 << (flip & 7));
        assert!(!verify_inclusion(&leaf, index, size, &wrong, &root), "a wrong proof was accepted");
    }
    assert!(!verify_inclusion(&leaf, index + 1, size, &proof, &root), "another index was accepted");
    let before = 1 + u64::from(old) % size;
    let old_root = tree.root(0, usize::try_from(before).unwrap_or(0));
    assert_eq!(verify_consistency(before, &old_root, size, &root, &[]), before == size);
}

/// A tree as RFC 6962 section 2.1 defines it, recursively.
struct Tree {
    leaves: Vec<Hash>,
}

impl Tree {
    fn root(&self, from: usize, to: usize) -> Hash {
        match self.leaves.get(from..to) {
            Some([leaf]) => *leaf,
            _ => {
                let middle = from + largest_power_below(to - from);
                node_hash(&self.root(from, middle), &self.root(middle, to))
            }
        }
    }

    fn inclusion(&self, index: usize) -> Vec<Hash> {
        let (mut from, mut to) = (0, self.leaves.len());
        let mut proof = Vec::new();
        while to - from > 1 {
            let middle = from + largest_power_below(to - from);
            if index < middle {
                proof.push(self.root(middle, to));
                to = middle;
            } else {
                proof.push(self.root(from, middle));
                from = middle;
            }
        }
        proof.reverse();
        proof
    }
}

/// The largest power of two below `size`, which is 2 or more.
const fn largest_power_below(size: usize) -> usize {
    1 << (size - 1).ilog2()
}
