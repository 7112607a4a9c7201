//! Receipts, Merkle log, signing, proofs, verification: what an auditor must trust.
//!
//! Doorward writes down every decision before it takes effect. This crate makes that record worth something to a
//! person who trusts neither the machine it was written on nor the people who run it:
//!
//! 1. A [`receipt`] is canonical JSON ([`canonical`], RFC 8785): one meaning, one byte string. Content is in it only
//!    as digests under a salt kept elsewhere, so destroying the salt makes the digests mute and leaves the log whole.
//! 2. Receipts are the leaves of a Merkle tree ([`merkle`], RFC 6962). After each group of receipts the node signs
//!    the size and root of the tree with its Ed25519 key ([`keys`]): a checkpoint ([`note`], C2SP). Whoever remembers
//!    one checkpoint can later find any change to what it covered.
//! 3. [`storage`] appends receipts and checkpoint to segments on disk in one write, recovers from crashes, and
//!    projects the log into the public [`tiles`] layout.
//! 4. A [`bundle`] proves a single receipt to a third party; [`verify`] checks bundles and whole logs offline and
//!    says precisely what is wrong with a tampered one.
//!
//! Everything but [`storage`] is pure ([`verify`] reads through it): salts, seeds, ids and times are arguments.
//! The formats are in `spec/receipt.md` and `spec/log.md`; `spec/verify.py` is a second, independent verifier, and
//! both run the vectors in `spec/vectors/ledger`.

pub mod bundle;
pub mod canonical;
pub mod encoding;
pub mod keys;
pub mod merkle;
pub mod note;
pub mod receipt;
pub mod rotation;
pub mod storage;
pub mod tiles;
pub mod verify;

pub use bundle::{Bundle, Opened};
pub use keys::{KeyError, SigningKey, VerifyingKey};
pub use note::{Checkpoint, NoteError, SignedCheckpoint};
pub use receipt::{Draft, DraftError, Kind, Leaf, Receipt, ReceiptError, Salt};
pub use rotation::Rotation;
pub use storage::{Durability, Log, LogError, LogOptions, Recovery, TileDir, View, project};
pub use verify::{Code, Problem, Report, verify_bundle, verify_log};
