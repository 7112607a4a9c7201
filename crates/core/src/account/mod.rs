//! What a key may use: how often it may call, and that no call counts twice.
//!
//! Values that the caller keeps, with the time as an argument. All of it is bounded, and what has no room is refused,
//! never let through.

pub mod credits;
pub use credits::{Balance, Lot, Part};

pub mod gcra;
pub use gcra::{Limiter, Limits, Rate, Standing};

pub mod replay;
pub use replay::Replays;
