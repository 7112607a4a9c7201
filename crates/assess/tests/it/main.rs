//! The tools, as their users see them.

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod learn;
