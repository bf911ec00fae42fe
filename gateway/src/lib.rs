//! gateway

pub mod data;
