//! The way of a request through the gateway, stage by stage.

pub mod listen;
mod pem;
pub mod tls;
pub mod upstream;

#[cfg(test)]
mod testing;
