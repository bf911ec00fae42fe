//! The Chartward gateway: the rooms of `ARCHITECTURE.md`.

pub mod app;
pub mod base;
pub mod cli;
pub mod control;
pub mod data;

#[cfg(test)]
#[path = "../../tests/src/noted.rs"]
mod noted;
