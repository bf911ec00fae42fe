//! Decisions and masks.

pub mod source;
