//! What every other room stands on: the configuration, the journal, metrics and what is shared
//! by all requests. Nothing here knows a request's way.

pub mod clock;
pub mod config;
pub mod journal;
pub mod live;
pub mod metrics;
