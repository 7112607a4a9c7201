//! The operator's rules.
