//! The rules that come with Doorward. Generated from the folder `rules/`; a test fails when the list
//! and the folder differ, and `DOORWARD_REGENERATE=1 cargo test -p doorward-core shipped` writes it.

use crate::syntax::Source;

/// The rule files, by name.
#[must_use]
pub const fn shipped() -> &'static [Source<'static>] {
    &[]
}
