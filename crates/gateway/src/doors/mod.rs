//! The doors: each turns bytes into actions, asks for permits, and hands them to `forward`.

pub mod model;

mod relay;
