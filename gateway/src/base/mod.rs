//! What every other part stands on.

pub mod journal;
