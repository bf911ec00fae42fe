//! A history: each version judged alone, each entry written anew around it (D24).
//!
//! Of an entry's request and response only the method and the status stay. That a row was deleted
//! is told only where no row of the type can be hidden.

use super::entry::{Parts, status, text};
use super::frame::{Entries, Frame};
use super::page::{Page, Written, full_url};
use super::row::odd;
use super::{Sink, UpstreamHead};
use crate::decide::row::{Judged, RowJudge, type_at};
use crate::fhir::tables::{TypeId, r4};
use crate::fhir::target::is_id;
use crate::mask::scan::fault;
use crate::mask::{Fault, Stop};
use crate::refusal::{No, Reason};

/// Judges the versions of rows.
#[derive(Debug)]
pub(in crate::decide) struct Versions {
    /// One for each type that it is of.
    rows: Vec<RowJudge>,
    /// Of one row only.
    id: Option<Box<str>>,
    /// Whether deletions are told.
    deletions: bool,
    written: Written,
}

/// A history on its way.
pub(in crate::decide) type HistoryAnswer = Frame<Versions>;

impl HistoryAnswer {
    pub(super) fn of(rows: Vec<RowJudge>, id: Option<&str>, deletions: bool, page: Page) -> Self {
        let (path, most) = (page.upstream_path.clone(), page.row_max);
        let versions = Versions {
            rows,
            id: id.map(Into::into),
            deletions,
            written: Written::new(page, "history"),
        };
        Self::new(versions, "history", path, most)
    }

    pub(super) fn head(&self, head: UpstreamHead<'_>) -> Result<(), No> {
        match head.status {
            200 if head.json => Ok(()),
            404 | 410 if self.entries.id.is_some() => {
                Err(No::new(Reason::NotFound).because("not there"))
            }
            400 | 404 | 422 => Err(No::new(Reason::UpstreamRejected)),
            405 | 501 => Err(No::named(Reason::NotSupported, "_history")),
            status => Err(odd(status)),
        }
    }

    /// Judges further versions as `new` would.
    pub(super) fn renew(&mut self, new: Self, out: &mut Vec<u8>) {
        self.bound(new.entries.written.page.row_max);
        let (versions, new) = (&mut self.entries, new.entries);
        versions.rows = new.rows;
        versions.deletions &= new.deletions;
        versions.written.renew(new.written.page, out);
    }

    pub(super) fn finish(&mut self, sink: &mut Sink) -> Result<(), Fault> {
        self.end(sink)?;
        let (total, next) = (self.total, self.next.take());
        let written = &mut self.entries.written;
        written.close(total, next.as_deref(), &mut sink.out)
    }
}

impl Entries for Versions {
    fn entry(&mut self, bytes: &[u8], at: usize, sink: &mut Sink) -> Result<usize, Stop> {
        let parts = Parts::read(bytes, at)?;
        match parts.resource {
            Some((at, _)) => self.version(bytes, at, &parts, sink)?,
            None => self.deletion(bytes, &parts, sink)?,
        }
        Ok(parts.end)
    }
}

impl Versions {
    fn version(
        &mut self,
        bytes: &[u8],
        at: usize,
        parts: &Parts,
        sink: &mut Sink,
    ) -> Result<(), Stop> {
        let resource = type_at(bytes, at)?;
        let Some(judge) = self
            .rows
            .iter_mut()
            .find(|r| Some(r.resource()) == resource)
        else {
            // versions of what the caller sees no history of; outcomes aren't rows
            return Ok(());
        };
        let from = self.written.mark(&sink.out);
        self.written.entry(&mut sink.out);
        sink.out.extend_from_slice(b"\"resource\":");
        match judge.judge(bytes, at, &mut sink.out)? {
            (_, Judged::Leaves(row)) if self.id.as_deref().is_some_and(|id| *id != *row.id) => {
                return Err(fault("another resource than asked for", at));
            }
            (_, Judged::Leaves(row)) => {
                sink.out.push(b',');
                let method = match text(bytes, parts.request, b"method")?.as_deref() {
                    Some("POST") => "POST",
                    Some("PATCH") => "PATCH",
                    _ => "PUT",
                };
                self.around(row.resource, &row.id, method, bytes, parts, sink)?;
                sink.rows.push(row);
            }
            (_, Judged::Hidden | Judged::Other) => {
                self.written.back(from, &mut sink.out);
                sink.withheld += 1;
            }
        }
        Ok(())
    }

    /// An entry without a row: that it was deleted.
    fn deletion(&mut self, bytes: &[u8], parts: &Parts, sink: &mut Sink) -> Result<(), Stop> {
        let method = text(bytes, parts.request, b"method")?;
        let url = text(bytes, parts.request, b"url")?;
        let aimed = url.as_deref().and_then(aimed);
        let (Some("DELETE"), Some((resource, id)), true) =
            (method.as_deref(), aimed, self.deletions)
        else {
            return Ok(());
        };
        let is_known = self.rows.iter().any(|rows| rows.resource() == resource);
        if !is_known || self.id.as_deref().is_some_and(|own| own != id) {
            return Ok(());
        }
        self.written.entry(&mut sink.out);
        self.around(r4().name(resource), id, "DELETE", bytes, parts, sink)
    }

    /// What an entry has beside its resource, and its end.
    fn around(
        &self,
        resource: &str,
        id: &str,
        method: &str,
        bytes: &[u8],
        parts: &Parts,
        sink: &mut Sink,
    ) -> Result<(), Stop> {
        let said = text(bytes, parts.response, b"status")?;
        let status = said.as_deref().and_then(status).unwrap_or(200).to_string();
        let out = &mut sink.out;
        out.extend_from_slice(br#""fullUrl":""#);
        full_url(out, &self.written.page.base, resource, id);
        let place = match method {
            "POST" => resource.to_owned(),
            _ => format!("{resource}/{id}"),
        };
        for part in [
            r#"","request":{"method":""#,
            method,
            r#"","url":""#,
            &place,
            r#""},"response":{"status":""#,
            &status,
            r#""}}"#,
        ] {
            out.extend_from_slice(part.as_bytes());
        }
        Ok(())
    }
}

/// Type and id that a request's url ends in.
fn aimed(url: &str) -> Option<(TypeId, &str)> {
    let (before, id) = url.rsplit_once('/')?;
    let name = before.rsplit_once('/').map_or(before, |(_, name)| name);
    let resource = r4().resource(name)?;
    is_id(id).then_some((resource, id))
}
