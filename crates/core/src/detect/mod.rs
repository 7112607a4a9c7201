//! Detectors: what they see becomes a [`Finding`].
//!
//! The rules in [`rules`] are data. Rules over effects come first (a download that flows into a shell
//! is one thing, however it is spelled); rules over text find what has no effect of its own, such as
//! instructions hidden in a tool's result or a key in a message.

use crate::syntax::Span;

pub mod canary;

mod compiled;

pub mod destination;

pub mod glob;

pub mod injection;

mod literals;

pub mod native;

pub mod normalize;

pub mod rules;

mod runs;

pub mod secrets;

mod spot;

mod swar;

/// What a detector saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's id, such as `exec.download-and-run`.
    pub rule: String,
    /// Its category, such as `download-exec`.
    pub category: String,
    /// How bad, 0 to 100: 30 and more is audited, 60 asked, 80 blocked.
    pub severity: u8,
    /// The part of the action it was seen in, if it was seen in text.
    pub part: Option<usize>,
    /// Where in that part.
    pub span: Span,
    /// What was seen, for a person; values are named, never quoted.
    pub message: String,
    /// What to do instead.
    pub advice: String,
}
