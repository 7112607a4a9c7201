//! Tests of the ledger from outside. Each module is one subject.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests: a panic there is the failure report"
)]

mod formats;
mod log;
mod proofs;
mod purity;
mod rotations;
mod support;
mod tamper;
mod vectors;
