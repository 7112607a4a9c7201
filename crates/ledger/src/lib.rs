//! Receipts, Merkle log, signing, proofs, verification: what an auditor must trust.
