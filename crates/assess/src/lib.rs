//! Tools that look at Doorward itself, offline. They judge nothing that anybody waits for.
//!
//! [`fuzz`]: what rules are shown, said in other ways, whether they still see it, and which change of a rule would. [`learn`]: what texts that steer an
//! agent have in common, for the detector to know.

pub mod fuzz;

pub mod learn;

mod numbers;
