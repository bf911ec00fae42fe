//! What measurements of the whole gateway and of its rules alone share.

pub mod bodies;
