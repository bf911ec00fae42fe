//! tables
fn main() {}
