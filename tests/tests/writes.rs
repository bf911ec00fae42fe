//! Writes, histories, batches and transactions through the gateway: in front of the real FHIR
//! server, of the sandbox's, and of scripted ones.

mod alone;
mod answers;
mod bundles;
mod conditional;
mod detached;
mod histories;
mod hostile;
mod races;
mod stage;
