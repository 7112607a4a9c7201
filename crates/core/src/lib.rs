//! What Doorward thinks with: bytes become an [`Action`], detectors add findings, the session adds
//! facts, the policy adds rules, and [`Engine::decide`] turns all of it into one [`Decision`].
//!
//! This crate is **pure**. It does no I/O, reads no clock, starts no thread and draws no random
//! number: bytes, time and keys are arguments. That is what lets the same judgement run in the
//! gateway, in an agent's own process and in a browser, and what lets a test replay any of it.
//!
//! ```text
//! bytes ─▶ wire ─▶ Action + effects ─▶ detect ─▶ findings ─┐
//!           ▲                       session ─▶ facts ──────┤
//!        stream                     policy ────────────────┴─▶ engine ─▶ Decision
//! ```
//!
//! Modules are declared in that order. `syntax` lies below all of them; `wire` yields actions;
//! `session` and `policy` see actions and findings, never wire formats; only [`engine`] sees all.

pub mod syntax;

pub mod placeholder;

pub mod wire;

pub mod stream;

pub mod action;

pub mod url;

pub mod usage;

pub mod detect;

pub mod session;

pub mod policy;

pub mod account;

pub mod decision;

pub mod engine;

pub mod inspect;

pub mod pace;

pub mod routes;

pub use action::{Action, AssetClass, Capability, Door, Effect, Source};
pub use decision::{Coverage, Decision, Layer, Reason, Verdict};
pub use engine::Engine;
pub use session::Facts;
