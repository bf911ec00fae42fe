//! What `chartward demo` and quick tests stand on: a sample FHIR R4 server, a synthetic clinic to fill it
//! and a development authorization issuer.
//!
//! In: loopback addresses and seeds. Out: HTTP servers that answer as real ones do.
//! Everything is in memory, binds to loopback only and is made up; nothing here guards anything.

#[cfg(test)]
mod client;
pub mod clinic;
pub mod fhir;
mod http1;
pub mod issuer;
