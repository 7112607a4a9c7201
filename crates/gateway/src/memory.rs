//! The memory that bodies share: a semaphore whose permits are pieces of it.

use tokio::sync::Semaphore;

/// The piece in which memory is shared, in bytes. What a body takes below one is not counted: the number of
/// connections bounds those. Pieces of a mebibyte let ten thousand half-sent requests take ten gibibytes.
pub const UNIT: usize = 64 << 10;

/// `bytes` to be shared.
pub fn of(bytes: usize) -> Semaphore {
    Semaphore::new(bytes / UNIT)
}
