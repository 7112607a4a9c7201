//! What is known of a condition. The order is that of how well it is fulfilled, so *and* is the least and *or*
//! the greatest (Kleene's strong logic).

/// No, perhaps, or yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// It is not fulfilled.
    No,
    /// It may be.
    Unknown,
    /// It is fulfilled.
    Yes,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::Yes } else { Self::No }
    }
}

impl Truth {
    /// `no`, `unknown` or `yes`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Unknown => "unknown",
            Self::Yes => "yes",
        }
    }

    /// Of something that is said in several ways: whether `any` of them fulfils a condition, and whether `all` do.
    #[must_use]
    pub const fn of(any: bool, all: bool) -> Self {
        match (any, all) {
            (true, true) => Self::Yes,
            (true, false) => Self::Unknown,
            (false, _) => Self::No,
        }
    }

    /// This *and* another, which is not looked at if this one is not fulfilled.
    #[must_use]
    pub fn min_with(self, other: impl FnOnce() -> Self) -> Self {
        if self == Self::No { self } else { self.min(other()) }
    }
}
