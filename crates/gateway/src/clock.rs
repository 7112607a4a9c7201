//! The time by which actions are judged: of windows, grants and memory. Receipts and files have the system's.

use std::fmt;
use std::sync::Arc;

use crate::judge::now;

/// Says what time it is, in milliseconds since the Unix epoch.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// A clock that says what `time` says. It must not go back.
    #[must_use]
    pub fn new(time: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(time))
    }

    pub(crate) fn now(&self) -> u64 {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
