//! The calls of an egress gateway as the SDK `sphyr-sdk` 2.0.0b2 makes them: tools over JSON-RPC, each call signed with
//! the key's secret, each refusal an envelope with one of its codes.
//!
//! - [`call`]: what is asked for.
//! - [`sign`]: what is signed, and how.
//! - [`code`]: why something is refused, and what to do about it.
//! - [`reply`]: what is answered.

pub mod call;

pub mod code;

pub mod reply;

pub mod sign;
