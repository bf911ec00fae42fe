//! The answer to a write: its status, where the row is now, and the row itself where its author
//! may read it.
//!
//! Once the upstream said that it wrote, an answer that can't be judged is a fault: the caller
//! learns that the gateway doesn't know, never that nothing was written.

use std::sync::Arc;

use bytes::Bytes;

use super::row::{fault, odd, one};
use super::{End, Sink, UpstreamHead};
use crate::decide::row::{Judged, RowJudge, type_at};
use crate::fhir::tables::{TypeId, r4};
use crate::fhir::target::is_id;
use crate::mask::Fault;
use crate::mask::scan::skip_space;
use crate::record::Written;
use crate::refusal::{AnswerHead, No, Reason};

/// What was sent, as far as its answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decide) enum Wrote {
    /// A create.
    Made,
    /// A create under a condition: what was there already is answered as it is.
    MadeOnce,
    /// A create because the condition of an update found nothing: what is there by now is a
    /// conflict.
    MadeAnew,
    /// An update.
    Changed,
    /// A delete.
    Deleted,
}

/// Judges the answer to a write.
#[derive(Debug)]
pub(in crate::decide) struct WriteAnswer {
    wrote: Wrote,
    /// The author's read grants of the type; none: the row doesn't leave.
    rows: Option<Box<RowJudge>>,
    base: Arc<str>,
    resource: TypeId,
    /// The id that was written, where it was known.
    id: Option<Box<str>>,
    version: Option<Box<str>>,
    status: u16,
    json: bool,
    /// A body came that isn't JSON.
    foreign: bool,
    bytes: Vec<u8>,
}

impl WriteAnswer {
    pub(super) fn new(
        wrote: Wrote,
        rows: Option<RowJudge>,
        base: Arc<str>,
        resource: TypeId,
        id: Option<&str>,
    ) -> Self {
        Self {
            wrote,
            rows: rows.map(Box::new),
            base,
            resource,
            id: id.map(Into::into),
            version: None,
            status: 500,
            json: false,
            foreign: false,
            bytes: Vec::new(),
        }
    }

    /// Shows the row by these grants from here on; by none, it doesn't leave.
    pub(super) fn show(&mut self, rows: Option<Box<RowJudge>>) {
        self.rows = rows;
    }

    /// The author's read grants of the type.
    pub(super) fn into_rows(self) -> Option<Box<RowJudge>> {
        self.rows
    }

    pub(super) fn head(&mut self, head: UpstreamHead<'_>) -> Result<(), No> {
        let no = |reason| Err(No::new(reason));
        let aimed = matches!(self.wrote, Wrote::Changed | Wrote::Deleted);
        self.json = head.json;
        match (head.status, self.wrote) {
            (200, Wrote::MadeAnew) => return no(Reason::VersionConflict),
            (200 | 202 | 204, Wrote::Deleted) => {
                self.status = 204;
                return Ok(());
            }
            (200 | 201, wrote) if wrote != Wrote::Deleted => {}
            (400, _) => return no(Reason::UpstreamRejected),
            (422, _) => return no(Reason::UpstreamRejectedContent),
            (404 | 410, _) if aimed => {
                return Err(No::new(Reason::NotFound).because("not there"));
            }
            (405, _) => return no(Reason::NotSupported),
            (412, Wrote::MadeOnce) => return no(Reason::MultipleMatches),
            (409 | 412, _) => return no(Reason::VersionConflict),
            (status, _) => return Err(odd(status)),
        }
        self.status = head.status;
        if let Some((id, version)) = head.location.and_then(|l| self.located(l)) {
            if self.id.as_deref().is_some_and(|known| known != id) {
                return Err(No::new(Reason::UpstreamInvalid).because("another id was written"));
            }
            self.id = Some(id.into());
            self.version = version.map(Into::into);
        }
        Ok(())
    }

    /// Id and version of a `Location` that ends in `Type/id` or `Type/id/_history/version`.
    fn located<'l>(&self, location: &'l str) -> Option<(&'l str, Option<&'l str>)> {
        let (location, version) = match location.split_once("/_history/") {
            Some((before, version)) => (before, Some(version).filter(|v| is_id(v))),
            None => (location, None),
        };
        let (before, id) = location.rsplit_once('/')?;
        let resource = before.rsplit_once('/').map_or(before, |(_, name)| name);
        (resource == r4().name(self.resource) && is_id(id)).then_some((id, version))
    }

    pub(super) fn push(&mut self, chunk: &Bytes) -> usize {
        self.foreign |= !self.json && !chunk.iter().all(u8::is_ascii_whitespace);
        // what can't be a row isn't kept
        if self.json && self.status != 204 && self.rows.is_some() {
            self.bytes.extend_from_slice(chunk);
        }
        self.bytes.len()
    }

    pub(super) fn end(&mut self, sink: &mut Sink) -> Result<End, Fault> {
        let bytes = std::mem::take(&mut self.bytes);
        if self.foreign {
            // a page of somebody between: nobody says that anything was written
            return Err(fault("not json"));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(End::Whole);
        }
        let Some(rows) = &mut self.rows else {
            return Ok(End::Whole);
        };
        match one(rows, &bytes, &mut sink.out)? {
            Judged::Leaves(row) => {
                if self.id.as_deref().is_some_and(|known| *known != *row.id) {
                    return Err(fault("another resource than was written"));
                }
                self.id.get_or_insert_with(|| row.id.clone());
                if self.version.is_none() {
                    self.version.clone_from(&row.version);
                }
                sink.rows.push(row);
            }
            // the upstream's own words
            Judged::Other if is_outcome(&bytes) => {}
            Judged::Other => return Err(fault("another type than was written")),
            Judged::Hidden => sink.withheld += 1,
        }
        Ok(End::Whole)
    }

    pub(super) fn answer_head(&self, empty: bool) -> AnswerHead {
        let mut headers = Vec::new();
        if !empty {
            headers.push(("content-type", "application/fhir+json".to_owned()));
        }
        if self.status == 201
            && let Some(location) = self.location()
        {
            headers.push(("location", location));
        }
        AnswerHead {
            status: self.status,
            headers,
        }
    }

    /// The row that the upstream says it wrote, as far as it named it; `None` where it found one
    /// that was there already.
    pub(super) fn written(&self) -> Option<Written<'_>> {
        let found = self.wrote == Wrote::MadeOnce && self.status == 200;
        (!found).then(|| Written {
            resource: r4().name(self.resource),
            id: self.id.as_deref(),
            version: self.version.as_deref().filter(|v| is_id(v)),
        })
    }

    /// Where the row is, under the public base.
    fn location(&self) -> Option<String> {
        let (base, name, id) = (&self.base, r4().name(self.resource), self.id.as_deref()?);
        Some(match self.version.as_deref().filter(|v| is_id(v)) {
            Some(version) => format!("{base}/{name}/{id}/_history/{version}"),
            None => format!("{base}/{name}/{id}"),
        })
    }
}

fn is_outcome(bytes: &[u8]) -> bool {
    let found = type_at(bytes, skip_space(bytes, 0)).ok().flatten();
    found.is_some_and(|found| r4().name(found) == "OperationOutcome")
}
