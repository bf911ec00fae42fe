//! What runs beside the requests, on a runtime of its own.

pub mod health;
pub mod reload;
