//! The response side: an upstream's bytes in, judged and masked windows out.
//!
//! Each window is [`Held`] until the record that names its rows is durable. A fault means that
//! nothing more of the answer may leave: before the first window it is a clean refusal, after it
//! the connection breaks.

mod batch;
mod entry;
mod frame;
mod history;
mod page;
mod row;
mod set;
mod shape;
mod write;

use std::sync::Arc;

use bytes::Bytes;

use super::{Permit, Service};
use crate::mask::Fault;
use crate::proof::{Entry, Raw, Receipt, Released, Ticket, WrongReceipt};
use crate::record::{self, Call, Disclosed, Row, Time};
use crate::refusal::{AnswerHead, No, Reason};
pub(super) use batch::{Slot, refused};
pub(super) use page::Page;
pub(super) use shape::Shape;
pub(super) use write::Wrote;

/// Judges one answer.
#[derive(Debug)]
pub struct Judge {
    call: Arc<Call>,
    /// What the first record says of the request.
    shared: Arc<[u8]>,
    /// What those after it say: what a Bundle asks is said once.
    later: Arc<[u8]>,
    shape: Shape,
    sink: Sink,
    window: usize,
    row_max: usize,
    /// How the answer ended, once it did.
    end: Option<End>,
    parts: u32,
    released: u64,
    total_rows: u64,
    total_withheld: u64,
}

/// What is judged so far and waits for its record.
#[derive(Debug, Default)]
pub(super) struct Sink {
    /// Masked bytes.
    pub(super) out: Vec<u8>,
    /// The rows among them.
    pub(super) rows: Vec<Row>,
    /// How many rows aren't.
    pub(super) withheld: u64,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// What is in the sink is the answer.
    Whole,
    /// It is nothing that the caller may see (D15).
    Missing,
}

/// What the judge wants next.
#[derive(Debug)]
pub enum Turn {
    /// More of the answer.
    Feed,
    /// A window to record and release; then ask again.
    Held(Held),
    /// The answer is nothing that the caller may see (D15).
    Missing,
    /// Everything was released.
    Done(Closing),
}

/// How much left, for the closing record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// Masked bytes.
    pub bytes: u64,
    /// Rows that left.
    pub rows: u64,
    /// Rows that didn't.
    pub withheld: u64,
}

/// Masked bytes that wait for their record. Nothing reads them before [`Held::release`].
#[derive(Debug)]
pub struct Held {
    bytes: Bytes,
    head: Option<AnswerHead>,
    last: bool,
    json: Vec<u8>,
    ticket: Ticket,
}

/// The head of an upstream's answer, as far as it is judged.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamHead<'a> {
    /// The status.
    pub status: u16,
    /// Whether the body says that it is JSON.
    pub json: bool,
    /// `Location`
    pub location: Option<&'a str>,
    /// `ETag`
    pub etag: Option<&'a str>,
    /// `Last-Modified`
    pub last_modified: Option<&'a str>,
}

impl Held {
    /// The record that names the rows in here.
    pub fn entry(&mut self) -> Entry {
        Entry::new(std::mem::take(&mut self.json), self.ticket.same())
    }

    /// Whether the answer ends with this window: then its length is the whole body's.
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// The head (with the first window) and the bytes, against the receipt of [`Held::entry`].
    pub fn release(self, receipt: Receipt) -> Result<(Option<AnswerHead>, Released), WrongReceipt> {
        if !receipt.covers(&self.ticket) {
            return Err(WrongReceipt);
        }
        Ok((self.head, Released::new(self.bytes)))
    }
}

impl Judge {
    pub(super) fn new(
        call: Arc<Call>,
        (shared, later): (Arc<[u8]>, Arc<[u8]>),
        shape: Shape,
        service: &Service,
    ) -> Self {
        Self {
            call,
            shared,
            later,
            shape,
            sink: Sink::default(),
            window: service.window,
            row_max: service.row_max,
            end: None,
            parts: 0,
            released: 0,
            total_rows: 0,
            total_withheld: 0,
        }
    }

    /// The call whose answer this is.
    pub fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// Goes on under another decision on the same request: what was pushed stays as it was judged,
    /// what follows is judged, and recorded, under the new rights. An error: the answer can't go
    /// on.
    pub fn renew(&mut self, permit: Permit) -> Result<(), No> {
        let other = permit.judge;
        if other.call.purpose != self.call.purpose {
            // links and records of what has left name it
            return Err(No::new(Reason::PurposeRequired).because("another purpose than before"));
        }
        self.shape.renew(other.shape, &mut self.sink)?;
        (self.call, self.shared, self.later) = (other.call, other.shared, other.later);
        self.row_max = other.row_max;
        Ok(())
    }

    /// Judges the upstream's head. An error is what the caller is refused with; the body isn't
    /// read then.
    pub fn head(&mut self, head: UpstreamHead<'_>) -> Result<(), No> {
        self.shape.head(head)
    }

    /// The length that the upstream announced: as much is set aside at once, within the window.
    pub fn announced(&mut self, length: u64) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.sink.out.reserve(length.min(self.window) + 1024);
    }

    /// Takes the next bytes of the answer.
    pub fn push(&mut self, chunk: Raw) -> Result<(), Fault> {
        let pending = self.shape.push(chunk.into_inner(), &mut self.sink)?;
        if pending > self.row_max {
            return Err(Fault {
                what: Fault::ROW_TOO_LARGE,
                at: 0,
            });
        }
        Ok(())
    }

    /// The answer ended.
    pub fn end(&mut self) -> Result<(), Fault> {
        self.end = Some(self.shape.end(&mut self.sink)?);
        Ok(())
    }

    /// What to do next. Call it after each [`Judge::push`] and after [`Judge::end`].
    pub fn turn(&mut self, now: Time) -> Turn {
        if self.sink.out.len() > self.window {
            return Turn::Held(self.hold(now, false));
        }
        match self.end {
            None => Turn::Feed,
            Some(End::Missing) => Turn::Missing,
            // a head leaves with the first window, be that empty
            Some(End::Whole) if self.parts == 0 || !self.sink.out.is_empty() => {
                Turn::Held(self.hold(now, true))
            }
            Some(End::Whole) => Turn::Done(Closing {
                bytes: self.released,
                rows: self.total_rows,
                withheld: self.total_withheld,
            }),
        }
    }

    fn hold(&mut self, now: Time, last: bool) -> Held {
        self.parts += 1;
        // windows of one size: where an answer is cut tells nothing of what was cut out of it
        let sink = &mut self.sink;
        let rest = match last {
            true => Vec::new(),
            false => sink.out.split_off(self.window.min(sink.out.len())),
        };
        let bytes = Bytes::from(std::mem::replace(&mut sink.out, rest));
        let rows = std::mem::take(&mut sink.rows);
        let withheld = std::mem::take(&mut sink.withheld);
        self.released += bytes.len() as u64;
        self.total_rows += rows.len() as u64;
        self.total_withheld += withheld;
        let head = self.shape.answer_head(bytes.is_empty());
        let shared = match self.parts {
            1 => &self.shared,
            _ => &self.later,
        };
        let json = record::disclosure(
            shared,
            now,
            &Disclosed {
                status: head.status,
                rows: &rows,
                withheld,
                bytes: bytes.len(),
                part: self.parts,
                written: self.shape.written(),
            },
        );
        Held {
            bytes,
            head: (self.parts == 1).then_some(head),
            last,
            json,
            ticket: Ticket::issue(),
        }
    }
}
