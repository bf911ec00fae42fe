//! gateway

pub mod base;
pub mod control;
pub mod data;
