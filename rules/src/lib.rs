//! Decisions and masks.

pub mod fhir;
