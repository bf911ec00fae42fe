//! What FHIR says: the tables of R4, and requests understood by them.
//!
//! What comes in: a method, a path, a query, a form. What goes out: an
//! [`interaction::Interaction`]. **Never here:** who asks, or whether he may.

pub mod interaction;
pub mod labels;
pub mod search;
pub mod tables;
pub mod target;
