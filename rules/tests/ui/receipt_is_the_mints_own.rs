//! Only the mint makes receipts, one for a claim.

use chartward_rules::proof::{Claim, Receipt};

fn forge() -> Receipt {
    Receipt(7)
}

fn copy(receipt: &Receipt) -> Receipt {
    Receipt::clone(receipt)
}

fn reuse(mint: &chartward_rules::proof::Mint, claim: Claim) {
    let _ = mint.receipt(claim);
    let _ = mint.receipt(claim);
}

fn main() {}
