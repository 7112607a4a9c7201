//! Tools that look at Doorward itself, offline. They judge nothing that anybody waits for.
//!
//! [`fuzz`]: what rules are shown, said in other ways, and whether they still see it. [`learn`]: what texts that steer an
//! agent have in common, for the detector to know.

pub mod fuzz;

pub mod learn;

mod numbers;
