//! What of a resource leaves: views compiled from grants, and the walk that copies what is shown.
//!
//! What comes in: the bytes of one resource and a [`view::View`]. What goes out: spans of those
//! bytes, plus marks that depend on the view alone (D7). **Never here:** a DOM, a parsed number,
//! a decision about who may see what.

pub(crate) mod compile;
pub(crate) mod form;
pub(crate) mod probe;
pub(crate) mod row;
pub(crate) mod rule;
pub(crate) mod scan;
pub(crate) mod sink;
pub mod view;

/// Why bytes can't be judged. No part of the answer they belong to may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Fault {
    /// What is wrong, without any of the data.
    pub what: &'static str,
    /// Where, in bytes from the row's start.
    pub at: usize,
}

impl Fault {
    /// The `what` of a row that is larger than the service's `row_max`.
    pub const ROW_TOO_LARGE: &str = "row too large";
}

/// Why a scan stopped before the end of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes end before the value does.
    Incomplete,
    /// They can't be judged. Boxed: results that hold it then fit two registers, and it is rare.
    Fault(Box<Fault>),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}
