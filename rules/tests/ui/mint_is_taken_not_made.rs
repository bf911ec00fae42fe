//! There is one mint in a process.

use chartward_rules::proof::Mint;

fn forge() -> Mint {
    Mint(())
}

fn copy(mint: &Mint) -> Mint {
    mint.clone()
}

fn main() {}
