//! gateway

pub mod base;
pub mod cli;
