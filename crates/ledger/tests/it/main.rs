//! Tests of the ledger from outside. Each module is one subject.

mod formats;
mod log;
mod proofs;
mod support;
mod tamper;
mod vectors;
