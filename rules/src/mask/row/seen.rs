//! Which keys of an object were there before.

use std::borrow::Cow;
use std::collections::HashSet;

/// The keys of an object that the tables don't know.
#[derive(Default)]
pub(super) struct Strangers<'a> {
    few: Vec<Cow<'a, [u8]>>,
    many: HashSet<Cow<'a, [u8]>>,
}

impl<'a> Strangers<'a> {
    /// Whether `key` was there before.
    pub(super) fn have(&mut self, key: Cow<'a, [u8]>) -> bool {
        if self.few.len() < 32 {
            let known = self.few.contains(&key);
            self.few.push(key);
            return known;
        }
        self.few.contains(&key) || !self.many.insert(key)
    }
}

/// Sets the bit; whether it was set.
#[inline]
pub(super) fn set(bits: &mut [u64; 8], index: usize) -> bool {
    let Some(word) = bits.get_mut(index / 64) else {
        return true;
    };
    let bit = 1u64 << (index % 64);
    let was = *word & bit != 0;
    *word |= bit;
    was
}

pub(super) fn has(bits: &[u64; 8], index: usize) -> bool {
    bits.get(index / 64)
        .is_some_and(|word| word >> (index % 64) & 1 == 1)
}
