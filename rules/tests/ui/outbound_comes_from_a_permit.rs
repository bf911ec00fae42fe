//! What is sent upstream was decided.

use chartward_rules::decide::Outbound;

fn forge() -> Outbound {
    Outbound {
        method: "GET",
        target: String::from("/Patient"),
        form: None,
        strict: false,
    }
}

fn main() {}
