//! How much work one line may cost, and what was left out.

use crate::decision::Coverage;

/// The longest line that is read; what is longer is read up to here.
pub(super) const MAX_INPUT: usize = 256 * 1024;

/// How deep commands, substitutions and texts handed to a shell may nest.
pub(super) const MAX_DEPTH: u16 = 64;

/// Fuel: one unit is about a byte read or expanded, or a command looked at.
pub(super) struct Budget {
    left: usize,
    spent: usize,
    depth: u16,
    gaps: Vec<&'static str>,
    /// How often the parser has read the same bytes again.
    pub(super) second_looks: u8,
}

impl Budget {
    /// Enough for a line of `length` bytes: some constant for small ones, so many passes over large ones.
    pub(super) fn for_input(length: usize) -> Self {
        let left = 16 * length.min(MAX_INPUT) + 64 * 1024;
        Self { left, spent: 0, depth: 0, gaps: Vec::new(), second_looks: 0 }
    }

    /// Takes `n` units; false once there are none.
    pub(super) fn spend(&mut self, n: usize) -> bool {
        self.spent = self.spent.saturating_add(n);
        if let Some(left) = self.left.checked_sub(n) {
            self.left = left;
            return true;
        }
        self.left = 0;
        self.gap("shell: too long");
        false
    }

    /// Nothing more is read, for this reason.
    pub(super) fn stop(&mut self, why: &'static str) {
        self.gap(why);
        self.left = 0;
    }

    /// What has been used so far.
    pub(super) const fn spent(&self) -> usize {
        self.spent
    }

    /// One level deeper; false if that is too deep.
    pub(super) fn enter(&mut self) -> bool {
        if self.depth >= MAX_DEPTH {
            self.gap("shell: too deep");
            return false;
        }
        if !self.spend(1) {
            return false;
        }
        self.depth += 1;
        true
    }

    /// Back from where [`enter`](Self::enter) led.
    pub(super) const fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    pub(super) const fn depth(&self) -> u16 {
        self.depth
    }

    /// Something was not read, and could be anything.
    pub(super) fn gap(&mut self, what: &'static str) {
        if !self.gaps.contains(&what) {
            self.gaps.push(what);
        }
    }

    /// How many gaps there are so far.
    pub(super) fn gaps(&self) -> usize {
        self.gaps.len()
    }

    /// Takes back the gaps found on a path that turned out to be the wrong one.
    pub(super) fn forget_gaps(&mut self, keep: usize) {
        self.gaps.truncate(keep);
    }

    /// Whether reading had to stop.
    pub(super) fn exhausted(&self) -> bool {
        self.left == 0 || self.gaps.contains(&"shell: too deep")
    }

    /// What was not read, for the reading's coverage.
    pub(super) fn coverage(&self) -> Coverage {
        if self.gaps.is_empty() { Coverage::Full } else { Coverage::Partial(self.gaps.join(", ")) }
    }
}
