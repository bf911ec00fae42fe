//! The types that make two promises a matter of compiling: nothing is released without a
//! receipt for the record that names it, and no byte from the upstream leaves except through
//! the judge.
//!
//! `rules` defines the lock, the journal holds the only key: a [`Receipt`] is made by
//! [`Mint::receipt`], and there is one [`Mint`] in a process.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;

/// Bytes as the upstream sent them. Only the judge reads them.
///
/// There is no way out of this type for any other crate: no `Deref`, no `AsRef`, no `Into`.
pub struct Raw(Bytes);

impl Raw {
    /// Wraps a chunk of an upstream's answer.
    pub fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the chunk is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_inner(self) -> Bytes {
        self.0
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({} bytes)", self.0.len())
    }
}

/// Bytes that may leave: judged, masked, and named in a durable record. The only body data of
/// the data listener.
pub struct Released(Bytes);

impl Released {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes, for the socket.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Released({} bytes)", self.0.len())
    }
}

static NEXT_TICKET: AtomicU64 = AtomicU64::new(1);

/// Ties a [`Receipt`] to the one [`Entry`] it was given for. Unique in a process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl Ticket {
    pub(crate) fn issue() -> Self {
        Self(NEXT_TICKET.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn same(&self) -> Self {
        Self(self.0)
    }
}

/// One record on its way to the journal: JSON text, UTF-8, one object, no line break.
#[derive(Debug)]
pub struct Entry {
    json: Vec<u8>,
    ticket: Ticket,
}

impl Entry {
    pub(crate) fn new(json: Vec<u8>, ticket: Ticket) -> Self {
        Self { json, ticket }
    }

    /// An entry nobody waits for: attempts of reads and closing frames.
    pub(crate) fn note(json: Vec<u8>) -> Self {
        Self::new(json, Ticket::issue())
    }

    /// An entry of the gateway itself (start, reload): `json` is one JSON object.
    pub fn own(json: Vec<u8>) -> Self {
        Self::note(json)
    }

    /// The record's JSON text.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Takes the text and leaves what a receipt is made from.
    pub fn split(self) -> (Vec<u8>, Claim) {
        (self.json, Claim(self.ticket))
    }
}

/// What remains of an [`Entry`] once its text went to the writer; exchanged for a [`Receipt`]
/// when the text is durable.
#[derive(Debug)]
pub struct Claim(Ticket);

/// Proof that one [`Entry`] is durable in the journal. Neither `Clone` nor `Copy`.
#[derive(Debug)]
pub struct Receipt(Ticket);

impl Receipt {
    pub(crate) fn covers(&self, ticket: &Ticket) -> bool {
        self.0 == *ticket
    }
}

/// The receipt given is for another entry.
#[derive(Debug, thiserror::Error)]
#[error("the receipt covers another record")]
pub struct WrongReceipt;

static MINTED: AtomicBool = AtomicBool::new(false);

/// The key that makes receipts. One for a process, held by the journal.
pub struct Mint(());

impl Mint {
    /// The mint, once; `None` ever after.
    pub fn take() -> Option<Self> {
        (!MINTED.swap(true, Ordering::SeqCst)).then_some(Self(()))
    }

    /// Turns the claim of an entry that is durable now into its receipt.
    pub fn receipt(&self, claim: Claim) -> Receipt {
        Receipt(claim.0)
    }
}

impl fmt::Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mint")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_covers_its_own_entry_only() {
        let (_, first) = Entry::note(b"{}".to_vec()).split();
        let (_, second) = Entry::note(b"{}".to_vec()).split();
        let ticket = first.0.same();
        let mint = Mint(());
        assert!(mint.receipt(first).covers(&ticket));
        assert!(!mint.receipt(second).covers(&ticket));
    }
}
