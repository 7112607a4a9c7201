//! One clock for all processes of this machine: the upstream and the client compare what it says.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds on the system's monotonic clock.
pub fn nanos() -> u64 {
    read(ClockId::Monotonic)
}

/// Nanoseconds of processor time that this thread has taken: what others do on the machine does not count.
pub fn busy_nanos() -> u64 {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    seconds * 1_000_000_000 + nanos
}
