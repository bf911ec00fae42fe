//! The `chartward` binary.
fn main() {}
