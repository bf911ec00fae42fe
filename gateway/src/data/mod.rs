//! The way of a request through the gateway, stage by stage. [`pipeline`] lists them in order;
//! the stages don't know one another.

pub mod gate;
pub mod http;
pub mod identity;
pub mod listen;
pub mod pages;
mod pem;
pub mod pipeline;
pub mod tls;
pub mod upstream;

#[cfg(test)]
mod testing;
