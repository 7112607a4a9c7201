//! What is looked at before a call is judged. Each stage is a file; each says what is wrong and refuses nothing.

pub mod freshness;

pub mod rates;

pub mod replay;

pub mod signature;

#[cfg(test)]
mod scene;
