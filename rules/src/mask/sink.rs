//! Where the walk of [`super::row`] writes: into bytes, or into a description of what it did.
//!
//! Beside what leaves, a sink is told what of the row's values decided something. All else that
//! the walk does depends on the row's form alone: its keys, its structure, the kinds of its values.

use super::probe::Slot;

/// Takes what leaves.
pub(crate) trait Sink {
    /// Bytes so far.
    fn length(&self) -> usize;
    /// Forgets all after the first `length` bytes.
    fn truncate(&mut self, length: usize);
    /// Bytes `from..to` of the row.
    fn copy(&mut self, row: &[u8], from: usize, to: usize);
    /// Bytes of the view's own.
    fn put(&mut self, bytes: &[u8]);
    /// What the string at `at` says decided something.
    fn read(&mut self, at: usize);
    /// What the reference at `at` points to decided something.
    fn followed(&mut self, at: usize);
    /// The scalar at `at` was found for a slot, in the object.
    fn found(&mut self, at: usize, slot: Slot, object: usize);
    /// More than the row, the view and the probe decided something.
    fn parted(&mut self);
}

impl Sink for Vec<u8> {
    #[inline]
    fn length(&self) -> usize {
        self.len()
    }

    #[inline]
    fn truncate(&mut self, length: usize) {
        self.truncate(length);
    }

    #[inline]
    fn copy(&mut self, row: &[u8], from: usize, to: usize) {
        if let Some(span) = row.get(from..to) {
            self.extend_from_slice(span);
        }
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn read(&mut self, _: usize) {}

    #[inline]
    fn followed(&mut self, _: usize) {}

    #[inline]
    fn found(&mut self, _: usize, _: Slot, _: usize) {}

    #[inline]
    fn parted(&mut self) {}
}
