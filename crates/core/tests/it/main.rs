//! Tests of `doorward-core` from outside: one binary, one module a subject.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests: a panic there is the failure report"
)]

mod assets;
mod attack_patterns;
mod canaries;
mod destinations;
mod engine_floor;
mod engine_judging;
mod injection;
mod inspect;
mod ordinary;
mod policy;
mod policy_allocations;
mod policy_anchor;
mod policy_layers;
mod policy_limits;
mod policy_matchers;
mod policy_reference;
mod policy_requests;
mod policy_schema;
mod policy_sequences;
mod policy_speed;
mod policy_suppress;
mod policy_vectors;
mod quarantine;
mod replace;
mod rules;
mod sessions;
mod shell;
mod steps;
mod story;
mod stream;
mod yaml;
