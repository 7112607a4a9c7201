//! How far work on a long text goes before somebody else may have a turn.
//!
//! Nothing is cut for it: whoever looks through a text says how far it has come, and is where it was when it goes on. So
//! what lies over the end of a step is found as anything else is.

use std::cell::Cell;
use std::fmt;

/// How many bytes of a text one step looks through, about: each of the passes over it counts.
pub const STEP: usize = 64 << 10;

/// Who else is let in between two steps, and how far the one that has begun has come.
pub struct Pace<'a> {
    pause: Option<&'a dyn Fn()>,
    left: Cell<usize>,
}

impl<'a> Pace<'a> {
    /// All in one go.
    #[must_use]
    pub const fn whole() -> Self {
        Self { pause: None, left: Cell::new(STEP) }
    }

    /// In steps: `pause` is called after each, and when it returns the next one begins.
    #[must_use]
    pub const fn with(pause: &'a dyn Fn()) -> Self {
        Self { pause: Some(pause), left: Cell::new(STEP) }
    }

    /// So many more bytes were looked through.
    #[inline]
    pub(crate) fn went(&self, bytes: usize) {
        let Some(pause) = self.pause else { return };
        match self.left.get().checked_sub(bytes) {
            Some(left) if left > 0 => self.left.set(left),
            _ => {
                self.left.set(STEP);
                pause();
            }
        }
    }
}

impl fmt::Debug for Pace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_ends_after_so_many_bytes_however_they_come() {
        let pauses = Cell::new(0);
        let pause = || pauses.set(pauses.get() + 1);
        let pace = Pace::with(&pause);
        (0..STEP - 1).for_each(|_| pace.went(1));
        assert_eq!(pauses.get(), 0);
        pace.went(1);
        assert_eq!(pauses.get(), 1);
        pace.went(10 * STEP);
        (0..3).for_each(|_| pace.went(STEP / 2));
        assert_eq!(pauses.get(), 3);
        Pace::whole().went(usize::MAX);
    }
}
