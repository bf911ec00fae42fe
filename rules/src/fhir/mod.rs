//! What FHIR says: its types, elements, search parameters and compartments.

pub mod tables;
