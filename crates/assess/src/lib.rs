//! Tools that look at Doorward itself, offline. They judge nothing that anybody waits for.
//!
//! [`fuzz`]: what rules are shown, said in other ways, and whether they still see it.

pub mod fuzz;
