//! What tests, benches and fuzz targets need and nobody ships.
//!
//! [`provider`] is a model provider that follows a script: it speaks Anthropic Messages and OpenAI Chat
//! Completions on a real TCP port, benign or hostile as the request asks, and remembers every byte it was
//! sent. The end-to-end tests put the real binary in front of it and the published SDKs before that.
//! [`playbook`] plays such answers through the stream machine of `core`, in any split and with any delay of
//! the rulings, without a socket. [`policy`] is a second opinion on policies. [`sessions`] are whole sessions of coding agents.

pub mod playbook;
pub mod policy;
pub mod provider;
pub mod sessions;

pub use provider::{Provider, Seen};
