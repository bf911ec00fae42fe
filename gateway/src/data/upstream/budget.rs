//! How often requests may be made again: a failing upstream isn't asked twice as much.
//!
//! A purse of ten retries; each that is made takes one out, and ten requests that succeed put one
//! back. So beyond the first ten no more than a tenth of what succeeds is made again, and nothing
//! where nothing succeeds.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What a retry costs, where a success gives 1.
const PRICE: u32 = 10;
/// A full purse.
const FULL: u32 = 10 * PRICE;

/// The purse of a service, over all cores.
#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

impl Budget {
    pub fn new() -> Self {
        Self(AtomicU32::new(FULL))
    }

    /// A request succeeded. Writes nothing while the purse is full.
    pub fn succeeded(&self) {
        if self.0.load(Relaxed) < FULL {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// Takes a retry out; whether there was one.
    pub fn take(&self) -> bool {
        let less = |left: u32| left.checked_sub(PRICE);
        self.0.fetch_update(Relaxed, Relaxed, less).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_tenth_of_what_succeeds() {
        let budget = Budget::new();
        assert_eq!((0..100).filter(|_| budget.take()).count(), 10);
        for _ in 0..30 {
            budget.succeeded();
        }
        assert_eq!((0..100).filter(|_| budget.take()).count(), 3);
        for _ in 0..10_000 {
            budget.succeeded();
        }
        assert_eq!((0..100).filter(|_| budget.take()).count(), 10);
    }
}
