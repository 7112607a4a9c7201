//! Bytes in a row, each with its length before it: four bytes, the smallest first. Doorward alone reads what is written so.

/// Adds a field.
pub(crate) fn push(out: &mut Vec<u8>, field: &[u8]) {
    // What is longer than 4 GiB was refused long before.
    out.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(field);
}

/// The fields that are still to be read.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    /// The next one; `None` if there is none, or it is cut off.
    pub(crate) fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (field, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    /// The same as text.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.next()?).ok()
    }

    /// Whether all were read.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
