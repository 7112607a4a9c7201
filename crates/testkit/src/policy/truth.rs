//! Kleene's strong logic of three values, spelled out.

/// No, perhaps, or yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It is not so.
    False,
    /// Nobody can tell.
    Unknown,
    /// It is so.
    True,
}

use Truth::{False, True, Unknown};

impl Truth {
    /// What is known for certain.
    pub const fn sure(value: bool) -> Self {
        if value { True } else { False }
    }

    /// True if `yes`, otherwise unknown if `perhaps`, otherwise false.
    pub const fn known(yes: bool, perhaps: bool) -> Self {
        if yes {
            True
        } else if perhaps {
            Unknown
        } else {
            False
        }
    }

    /// Both.
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (False, _) | (_, False) => False,
            (True, True) => True,
            _ => Unknown,
        }
    }

    /// Either.
    pub const fn or(self, other: Self) -> Self {
        match (self, other) {
            (True, _) | (_, True) => True,
            (False, False) => False,
            _ => Unknown,
        }
    }

    /// Not so.
    pub const fn not(self) -> Self {
        match self {
            False => True,
            Unknown => Unknown,
            True => False,
        }
    }

    /// All of them; true of none.
    pub fn all(these: impl IntoIterator<Item = Self>) -> Self {
        these.into_iter().fold(True, Self::and)
    }

    /// Any of them; false of none.
    pub fn any(these: impl IntoIterator<Item = Self>) -> Self {
        these.into_iter().fold(False, Self::or)
    }

    /// "To agree": true if all are, false if all are, otherwise unknown. False if there are none.
    pub fn agree(these: impl IntoIterator<Item = Self>) -> Self {
        let mut these = these.into_iter();
        let Some(first) = these.next() else { return False };
        these.fold(first, |so_far, next| if so_far == next { so_far } else { Unknown })
    }
}
