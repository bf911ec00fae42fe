//! A permit opens one request: there is no copy of it.

use chartward_rules::decide::Permit;

fn copy(permit: &Permit) -> Permit {
    Permit::clone(permit)
}

fn main() {}
