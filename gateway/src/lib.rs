//! gateway

pub mod base;
pub mod data;
