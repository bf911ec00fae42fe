//! The answer to a batch or transaction: each entry judged as the answer to its own interaction,
//! and what was refused put back in its place.
//!
//! Answers are paired with what was sent by their position; one too many or too few is a fault.
//! Memory is bounded by the largest entry.

use std::sync::Arc;

use bytes::Bytes;

use super::entry::{Parts, status, text};
use super::frame::{Entries, Frame};
use super::row::{fault as odd_answer, odd};
use super::shape::Shape;
use super::{End, Sink, UpstreamHead};
use crate::mask::scan::fault;
use crate::mask::{Fault, Stop};
use crate::refusal::{No, Reason};

/// What an entry of the request became.
#[derive(Debug)]
pub(in crate::decide) enum Slot {
    /// It was sent; this judges its answer.
    Sent(Box<Shape>),
    /// It was refused.
    Refused(No),
    /// It was sent and isn't permitted any more: its answer doesn't leave.
    Withdrawn(No),
}

/// Judges the answers to the entries that were sent.
#[derive(Debug)]
pub(in crate::decide) struct Answers {
    slots: std::vec::IntoIter<Slot>,
    transaction: bool,
    request_id: Box<str>,
    opened: bool,
}

/// The answer to a batch or transaction on its way.
pub(in crate::decide) type BatchAnswer = Frame<Answers>;

impl BatchAnswer {
    /// `slots` as the entries stand in the request.
    pub(super) fn of(
        slots: Vec<Slot>,
        transaction: bool,
        request_id: &str,
        row_max: usize,
    ) -> Self {
        let answers = Answers {
            slots: slots.into_iter(),
            transaction,
            request_id: request_id.into(),
            opened: false,
        };
        // an answer to a batch has no pages
        Self::new(answers, kind(transaction), Arc::from(""), row_max)
    }

    pub(super) fn head(&self, head: UpstreamHead<'_>) -> Result<(), No> {
        let no = |reason| Err(No::new(reason));
        match head.status {
            200 if head.json => Ok(()),
            400 => no(Reason::UpstreamRejected),
            422 => no(Reason::UpstreamRejectedContent),
            405 | 501 => no(Reason::NotSupported),
            409 | 412 if self.entries.transaction => no(Reason::VersionConflict),
            404 | 410 if self.entries.transaction => no(Reason::NotFound),
            status => Err(odd(status)),
        }
    }

    /// Judges the answers that follow as `new` would; both are of the same entries.
    pub(super) fn renew(&mut self, new: Self) {
        self.bound(new.row_max());
        let left = self.entries.slots.len();
        let gone = new.entries.slots.len().saturating_sub(left);
        let pairs = std::mem::take(&mut self.entries.slots).zip(new.entries.slots.skip(gone));
        let slots: Vec<Slot> = pairs.map(|(old, new)| old.renewed(new)).collect();
        self.entries.slots = slots.into_iter();
    }

    pub(super) fn finish(&mut self, sink: &mut Sink) -> Result<(), Fault> {
        self.end(sink)?;
        self.entries.close(sink)
    }
}

impl Slot {
    /// What was sent stays sent, what was refused stays refused.
    fn renewed(self, new: Self) -> Self {
        match (self, new) {
            (Self::Sent(old), Self::Sent(new)) => Self::Sent(match *old {
                // what was written is told, the row as it may be seen now
                Shape::Write(mut write) => {
                    write.show(new.into_rows());
                    Box::new(Shape::Write(write))
                }
                _ => new,
            }),
            (Self::Sent(old), Self::Refused(no) | Self::Withdrawn(no)) => match *old {
                Shape::Write(mut write) => {
                    write.show(None);
                    Self::Sent(Box::new(Shape::Write(write)))
                }
                _ => Self::Withdrawn(no),
            },
            (old, _) => old,
        }
    }
}

/// The whole answer to a batch none of whose entries was sent.
pub(in crate::decide) fn refused(slots: Vec<Slot>, request_id: &str) -> Result<Vec<u8>, Fault> {
    let mut answer = BatchAnswer::of(slots, false, request_id, 0);
    let mut sink = Sink::default();
    answer.entries.close(&mut sink)?;
    Ok(sink.out)
}

fn kind(transaction: bool) -> &'static str {
    match transaction {
        true => "transaction-response",
        false => "batch-response",
    }
}

impl Entries for Answers {
    fn entry(&mut self, bytes: &[u8], at: usize, sink: &mut Sink) -> Result<usize, Stop> {
        // an entry that isn't whole ends here, before anything is written
        let parts = Parts::read(bytes, at)?;
        match self.refused_before(sink) {
            None => return Err(fault("more answers than were sent", at)),
            Some(Ok(shape)) => self.answer(*shape, bytes, &parts, sink)?,
            Some(Err(no)) => {
                sink.withheld += 1;
                self.refusal(&no, &mut sink.out);
            }
        }
        Ok(parts.end)
    }
}

impl Answers {
    /// Writes the refused entries up to the next one that was sent, and gives that: what judges
    /// its answer, or why that doesn't leave.
    fn refused_before(&mut self, sink: &mut Sink) -> Option<Result<Box<Shape>, No>> {
        while let Some(slot) = self.slots.next() {
            match slot {
                Slot::Sent(shape) => return Some(Ok(shape)),
                Slot::Withdrawn(no) => return Some(Err(no)),
                Slot::Refused(no) => self.refusal(&no, &mut sink.out),
            }
        }
        None
    }

    fn answer(
        &mut self,
        mut shape: Shape,
        bytes: &[u8],
        parts: &Parts,
        sink: &mut Sink,
    ) -> Result<(), Stop> {
        let of = |key: &[u8]| text(bytes, parts.response, key);
        let said = of(b"status")?;
        let Some(status) = said.as_deref().and_then(status) else {
            return Err(fault("an answer without a status", parts.end));
        };
        let (location, etag, last_modified) =
            (of(b"location")?, of(b"etag")?, of(b"lastModified")?);
        let head = UpstreamHead {
            status,
            json: parts.resource.is_some(),
            location: location.as_deref(),
            etag: etag.as_deref(),
            last_modified: last_modified.as_deref(),
        };
        if let Err(no) = shape.head(head) {
            self.refusal(&no, &mut sink.out);
            return Ok(());
        }
        let before = sink.out.len();
        let opened = self.opened;
        self.open(&mut sink.out);
        let plain = sink.out.len();
        sink.out.extend_from_slice(b"\"resource\":");
        let body = sink.out.len();
        if let Some(resource) = parts.resource.and_then(|(from, to)| bytes.get(from..to)) {
            shape.push(Bytes::copy_from_slice(resource), sink)?;
        }
        if shape.end(sink)? == End::Missing {
            sink.out.truncate(before);
            sink.withheld += 1;
            self.opened = opened;
            self.refusal(&No::new(Reason::NotFound), &mut sink.out);
            return Ok(());
        }
        let out = &mut sink.out;
        let is_empty = out.len() == body;
        match is_empty {
            true => out.truncate(plain),
            false => out.push(b','),
        }
        let head = shape.answer_head(is_empty);
        out.extend_from_slice(b"\"response\":{\"status\":\"");
        out.extend_from_slice(head.status.to_string().as_bytes());
        out.push(b'"');
        for (name, value) in &head.headers {
            if *name == "location" {
                out.extend_from_slice(b",\"location\":");
                crate::record::string(out, value);
            }
        }
        out.extend_from_slice(b"}}");
        Ok(())
    }

    /// A refused entry, in the words of a refused request.
    fn refusal(&mut self, no: &No, out: &mut Vec<u8>) {
        self.open(out);
        out.extend_from_slice(b"\"response\":{\"status\":\"");
        out.extend_from_slice(no.reason.status().to_string().as_bytes());
        out.extend_from_slice(b"\",\"outcome\":");
        out.extend_from_slice(&no.outcome(&self.request_id));
        out.extend_from_slice(b"}}");
    }

    /// Opens an entry, the Bundle before the first.
    fn open(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.opened, true) {
            out.extend_from_slice(b",{");
            return;
        }
        self.begin(out);
        out.extend_from_slice(b",\"entry\":[{");
    }

    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"resourceType":"Bundle","type":""#);
        out.extend_from_slice(kind(self.transaction).as_bytes());
        out.push(b'"');
    }

    /// What was refused after the last answer, and the Bundle's end.
    fn close(&mut self, sink: &mut Sink) -> Result<(), Fault> {
        if self.refused_before(sink).is_some() {
            return Err(odd_answer("fewer answers than were sent"));
        }
        if self.opened {
            sink.out.push(b']');
        } else {
            self.begin(&mut sink.out);
        }
        sink.out.push(b'}');
        Ok(())
    }
}
