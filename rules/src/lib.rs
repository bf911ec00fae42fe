//! Decisions and masks.
