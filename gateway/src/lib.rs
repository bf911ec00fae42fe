//! gateway

pub mod base;
