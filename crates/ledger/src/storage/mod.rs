//! The log on disk: the one module of this crate that does I/O. Format and reasons: `spec/log.md`.
//!
//! ```text
//! DIR/lock                                  held while a process appends
//! DIR/reserve                               space for the last words when the disk is full
//! DIR/segments/<first index, 20 digits>.seg entries and checkpoints, append-only
//! DIR/segments/<first index>.idx            what a closed segment holds; only a cache, never trusted
//! ```

mod error;
mod export;
mod index;
mod log;
mod os;
mod record;
mod reserve;
mod scan;
mod tail;
mod tree;
mod view;

#[cfg(test)]
mod tests;

pub use error::LogError;
pub use export::{TileDir, project};
pub use log::{Durability, Log, LogOptions, Recovery};
pub(crate) use record::{HEADER, Record, RecordReader, check_matches, is_log_dir, segment_files};
pub(crate) use tail::{genuine_checkpoint, is_zeros};
pub use view::View;
