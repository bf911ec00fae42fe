//! The way of a request through the gateway, stage by stage.

pub mod identity;
