//! The calls of an egress gateway as the SDK `sphyr-sdk` 2.0.0b2 makes them: tools over JSON-RPC, each call signed with
//! the key's secret, each refusal an envelope with one of its codes.
//!
//! - [`call`]: what is asked for.
//! - [`sign`]: what is signed, and how.
//! - [`code`]: why something is refused, and what to do about it.
//! - [`reply`]: what is answered.
//! - `framing`: header lines that HTTP libraries write by themselves.

pub mod call;

pub mod code;

mod framing;

pub mod reply;

pub mod sign;
