//! What is sent upstream is what was decided.

use chartward_rules::decide::Outbound;

fn change(outbound: &mut Outbound) {
    outbound.target = String::from("/Patient");
}

fn main() {}
