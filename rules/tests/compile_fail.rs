//! What must not compile outside the crate: the two promises of `proof`.

#[test]
fn nothing_is_forwarded_without_a_permit_or_released_without_a_receipt() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
