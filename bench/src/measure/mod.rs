//! What is measured, one subject each.

pub mod core;
pub mod first_token;
pub mod linear;
pub mod receipts;
pub mod stages;
pub mod streams;
pub mod throughput;
