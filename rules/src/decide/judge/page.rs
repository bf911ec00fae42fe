//! The Bundle around the rows that leave: the gateway's own, with the links that a page has.

use std::sync::Arc;

use super::row::fault;
use crate::decide::Sealer;
use crate::mask::Fault;
use crate::record;

/// What of the request the Bundle needs.
pub(in crate::decide) struct Page {
    pub(in crate::decide) base: Arc<str>,
    pub(in crate::decide) upstream_path: Arc<str>,
    /// Where it was asked, below the base: `/Patient`.
    pub(in crate::decide) place: Box<str>,
    /// The `self` link, as asked.
    pub(in crate::decide) link: String,
    /// Whether it is of a compartment.
    pub(in crate::decide) within: bool,
    /// Whether "rows may be withheld" is said.
    pub(in crate::decide) notice: bool,
    /// Whether `total` may be told (D11).
    pub(in crate::decide) complete: bool,
    /// Largest row, bytes.
    pub(in crate::decide) row_max: usize,
    pub(in crate::decide) seal: Sealer,
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

/// A constant entry: it never depends on data (D14).
const NOTICE: &[u8] = br#"{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational","details":{"coding":[{"system":"https://chartward.dev/reason","code":"rows-may-be-withheld"}],"text":"rows may be withheld"}}]},"search":{"mode":"outcome"}}"#;

/// A Bundle on its way out.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) page: Page,
    kind: &'static str,
    state: State,
}

/// How far it is written.
#[derive(Debug, Clone, Copy)]
struct State {
    opened: bool,
    entries: bool,
}

/// A point to which the output can return.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(usize, State);

impl Written {
    pub(super) fn new(page: Page, kind: &'static str) -> Self {
        let state = State {
            opened: false,
            entries: false,
        };
        Self { page, kind, state }
    }

    /// Goes on under `new`. What was promised of the whole holds only where it held all along; a
    /// notice that is due now is said now.
    pub(super) fn renew(&mut self, new: Page, out: &mut Vec<u8>) {
        let due = new.notice && !self.page.notice;
        if due && self.state.opened {
            out.extend_from_slice(match self.state.entries {
                true => b",",
                false => b",\"entry\":[",
            });
            out.extend_from_slice(NOTICE);
            self.state.entries = true;
        }
        self.page.notice |= due;
        self.page.complete &= new.complete;
    }

    /// Where the output is.
    pub(super) fn mark(&self, out: &[u8]) -> Mark {
        Mark(out.len(), self.state)
    }

    /// Takes back what was written since.
    pub(super) fn back(&mut self, Mark(length, state): Mark, out: &mut Vec<u8>) {
        out.truncate(length);
        self.state = state;
    }

    /// Opens an entry.
    pub(super) fn entry(&mut self, out: &mut Vec<u8>) {
        self.open(out);
        out.extend_from_slice(match self.state.entries {
            true => b",{",
            false => b",\"entry\":[{",
        });
        self.state.entries = true;
    }

    /// The Bundle's beginning, once, before the first row or at the end.
    fn open(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.state.opened, true) {
            return;
        }
        out.extend_from_slice(br#"{"resourceType":"Bundle","type":""#);
        out.extend_from_slice(self.kind.as_bytes());
        out.push(b'"');
        if self.page.notice {
            out.extend_from_slice(b",\"entry\":[");
            out.extend_from_slice(NOTICE);
            self.state.entries = true;
        }
    }

    /// The Bundle's end: the total where it may be told, and the links.
    pub(super) fn close(
        &mut self,
        total: Option<u64>,
        next: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.open(out);
        if self.state.entries {
            out.push(b']');
        }
        if let (true, Some(total)) = (self.page.complete, total) {
            out.extend_from_slice(b",\"total\":");
            record::number(out, total);
        }
        out.extend_from_slice(br#","link":[{"relation":"self","url":"#);
        record::string(out, &self.page.link);
        out.push(b'}');
        if let Some(position) = next {
            let handle = (self.page.seal)(position);
            if handle.is_empty() {
                return Err(fault("a next link that is too long"));
            }
            let url = format!("{}{}?_page={handle}", self.page.base, self.page.place);
            out.extend_from_slice(br#",{"relation":"next","url":"#);
            record::string(out, &url);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        Ok(())
    }
}

/// Appends the `fullUrl` of a row, without a quote or comma around.
pub(super) fn full_url(out: &mut Vec<u8>, base: &str, resource: &str, id: &str) {
    for part in [base, "/", resource, "/", id] {
        out.extend_from_slice(part.as_bytes());
    }
}
