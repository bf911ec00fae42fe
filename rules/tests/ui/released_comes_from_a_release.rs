//! The body type of the data listener holds released bytes only.

use bytes::Bytes;
use chartward_rules::proof::Released;

fn forge() -> Released {
    Released(Bytes::new())
}

fn make() -> Released {
    Released::new(Bytes::new())
}

fn convert() -> Released {
    Bytes::new().into()
}

fn main() {}
