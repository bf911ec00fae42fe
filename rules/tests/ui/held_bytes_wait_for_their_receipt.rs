//! A window that was judged is released against the receipt of its record, and not before.

use bytes::Bytes;
use chartward_rules::decide::Held;
use chartward_rules::proof::Entry;

fn field(held: Held) -> Bytes {
    held.bytes
}

fn without(held: Held) {
    let _ = held.release();
}

fn with_the_entry(mut held: Held) {
    let entry: Entry = held.entry();
    let _ = held.release(entry);
}

fn main() {}
