//! What FHIR says: its types, elements, search parameters, compartments and security labels.

pub mod labels;
pub mod tables;
