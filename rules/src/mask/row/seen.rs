//! Which of a node's children were there before: a bit for each.

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

#[inline]
pub(super) fn has(bits: &[u64; 8], index: usize) -> bool {
    bits.get(index / 64)
        .is_some_and(|word| word >> (index % 64) & 1 == 1)
}
