//! The rules of the house, kept by tests: which crate may know which, which module of `core` may know
//! which, that `core` and `ledger` are pure, that only a recorded decision makes a permit, and what must
//! not stand in any file.
//!
//! Every rule is a function from text to findings. It is run on the real tree, which must yield none, and
//! on a small violation, which must yield one: a check that cannot fail proves nothing.

#![expect(
    clippy::string_slice,
    reason = "offsets come from searches in the same text; a panic fails the test"
)]

#[cfg(test)]
mod codes;
#[cfg(test)]
mod crates;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod hygiene;
#[cfg(test)]
mod lints;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod modules;
#[cfg(test)]
mod permit;
#[cfg(test)]
mod purity;
#[cfg(test)]
mod source;
