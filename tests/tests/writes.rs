//! Writes, histories, batches and transactions through the gateway: in front of the real FHIR
//! server, of the sandbox's, and of scripted ones.

mod alone;
mod bundles;
mod conditional;
mod detached;
mod histories;
mod races;
mod stage;
