//! A permit opens one request.

use chartward_rules::decide::Permit;

fn twice(permit: Permit) {
    let _ = permit.open(None);
    let _ = permit.open(None);
}

fn main() {}
