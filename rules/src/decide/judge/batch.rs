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

    pub(super) fn finish(&mut self, sink: &mut Sink) -> Result<(), Fault> {
        self.end(sink)?;
        self.entries.close(sink)
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
        let Some(shape) = self.refused_before(sink) else {
            return Err(fault("more answers than were sent", at));
        };
        self.answer(*shape, bytes, &parts, sink)?;
        Ok(parts.end)
    }
}

impl Answers {
    /// Writes the refused entries up to the next one that was sent, and gives that.
    fn refused_before(&mut self, sink: &mut Sink) -> Option<Box<Shape>> {
        while let Some(slot) = self.slots.next() {
            match slot {
                Slot::Sent(shape) => return Some(shape),
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
