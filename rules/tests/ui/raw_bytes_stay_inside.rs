//! What the upstream sent goes in and doesn't come out but through the judge.

use bytes::Bytes;
use chartward_rules::proof::Raw;

fn field(raw: Raw) -> Bytes {
    raw.0
}

fn inner(raw: Raw) -> Bytes {
    raw.into_inner()
}

fn converted(raw: Raw) -> Bytes {
    raw.into()
}

fn borrowed(raw: &Raw) -> &[u8] {
    raw.as_ref()
}

fn main() {}
