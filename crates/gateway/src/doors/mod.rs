//! The doors: each turns bytes into actions, asks for permits, and hands them to `forward`.

pub mod egress;

pub mod model;

mod body;

mod relay;
