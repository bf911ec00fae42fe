//! The response side: an upstream's bytes in, judged and masked windows out.
//!
//! Each window is [`Held`] until the record that names its rows is durable. A fault means that
//! nothing more of the answer may leave: before the first window it is a clean refusal, after it
//! the connection breaks.

use std::sync::Arc;

use bytes::Bytes;

use super::bundle::{Bundle, Page};
use super::row::{Judged, RowJudge};
use super::{Permit, Sealer, Service, answer_head, self_query};
use crate::fhir::search::Search;
use crate::fhir::tables::r4;
use crate::mask::scan::skip_space;
use crate::mask::{Fault, Stop};
use crate::proof::{Entry, Raw, Receipt, Released, Ticket, WrongReceipt};
use crate::record::{self, Call, Row, Time};
use crate::refusal::{AnswerHead, No, Reason};

/// Judges one answer.
#[derive(Debug)]
pub struct Judge {
    call: Arc<Call>,
    shared: Arc<[u8]>,
    shape: Shape,
    out: Vec<u8>,
    rows: Vec<Row>,
    withheld: u64,
    window: usize,
    row_max: usize,
    ended: bool,
    parts: u32,
    released: u64,
    total_rows: u64,
    total_withheld: u64,
}

#[derive(Debug)]
enum Shape {
    Row {
        judge: Box<RowJudge>,
        id: Box<str>,
        bytes: Vec<u8>,
    },
    Bundle(Box<Bundle>),
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
    pub(super) fn read(
        call: Arc<Call>,
        shared: Arc<[u8]>,
        rows: RowJudge,
        id: Box<str>,
        service: &Service,
    ) -> Self {
        let shape = Shape::Row {
            judge: Box::new(rows),
            id,
            bytes: Vec::new(),
        };
        Self::new(call, shared, shape, service)
    }

    pub(super) fn search(
        call: Arc<Call>,
        shared: Arc<[u8]>,
        rows: RowJudge,
        search: &Search,
        complete: bool,
        seal: Sealer,
        service: &Service,
    ) -> Self {
        let name = r4().name(search.resource);
        let query = self_query(search);
        let mark = if query.is_empty() { "" } else { "?" };
        let page = Page {
            base: service.base.clone(),
            upstream_path: service.upstream_path.clone(),
            resource: search.resource,
            link: format!("{}/{name}{mark}{query}", service.base),
            notice: service.withheld_notice && !complete,
            complete,
            row_max: service.row_max,
            seal,
        };
        let shape = Shape::Bundle(Box::new(Bundle::new(rows, page)));
        Self::new(call, shared, shape, service)
    }

    fn new(call: Arc<Call>, shared: Arc<[u8]>, shape: Shape, service: &Service) -> Self {
        Self {
            call,
            shared,
            shape,
            out: Vec::new(),
            rows: Vec::new(),
            withheld: 0,
            window: service.window,
            row_max: service.row_max,
            ended: false,
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
        match (&mut self.shape, other.shape) {
            (Shape::Row { judge, .. }, Shape::Row { judge: new, .. }) => *judge = new,
            (Shape::Bundle(bundle), Shape::Bundle(new)) => bundle.renew(*new, &mut self.out),
            _ => return Err(No::new(Reason::NotUnderstood).because("another kind of answer")),
        }
        (self.call, self.shared) = (other.call, other.shared);
        self.row_max = other.row_max;
        Ok(())
    }

    /// Judges the upstream's head. An error is what the caller is refused with; the body isn't
    /// read then.
    pub fn head(&mut self, head: UpstreamHead<'_>) -> Result<(), No> {
        let UpstreamHead { status, json, .. } = head;
        let row = matches!(self.shape, Shape::Row { .. });
        match status {
            200 if json => Ok(()),
            200 => Err(No::new(Reason::UpstreamInvalid).because("not json")),
            404 | 410 if row => Err(No::new(Reason::NotFound).because("not there")),
            400 | 404 | 422 if !row => Err(No::new(Reason::UpstreamRejected)),
            500..=599 | 429 => Err(No::new(Reason::UpstreamUnavailable).because("error status")),
            401 | 403 => {
                Err(No::new(Reason::UpstreamInvalid).because("the gateway itself was refused"))
            }
            _ => Err(No::new(Reason::UpstreamInvalid).because("unexpected status")),
        }
    }

    /// The length that the upstream announced: as much is set aside at once, within the window.
    pub fn announced(&mut self, length: u64) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.out.reserve(length.min(self.window) + 1024);
    }

    /// Takes the next bytes of the answer.
    pub fn push(&mut self, chunk: Raw) -> Result<(), Fault> {
        let chunk = chunk.into_inner();
        match &mut self.shape {
            Shape::Row { bytes, .. } => {
                if bytes.len() + chunk.len() > self.row_max {
                    return Err(Fault {
                        what: "row too large",
                        at: bytes.len(),
                    });
                }
                bytes.extend_from_slice(&chunk);
                Ok(())
            }
            Shape::Bundle(bundle) => {
                bundle.push(chunk, &mut self.out, &mut self.rows, &mut self.withheld)?;
                if bundle.pending() > self.row_max {
                    return Err(Fault {
                        what: "row too large",
                        at: 0,
                    });
                }
                Ok(())
            }
        }
    }

    /// The answer ended.
    pub fn end(&mut self) -> Result<(), Fault> {
        self.ended = true;
        match &mut self.shape {
            Shape::Row { judge, id, bytes } => {
                let at = skip_space(bytes, 0);
                let (end, judged) = judge.judge(bytes, at, &mut self.out).map_err(whole)?;
                if skip_space(bytes, end) != bytes.len() {
                    return Err(Fault {
                        what: "bytes after the resource",
                        at: end,
                    });
                }
                match judged {
                    Judged::Leaves(row) if row.id == *id => self.rows.push(row),
                    Judged::Leaves(_) => {
                        return Err(Fault {
                            what: "another resource than asked for",
                            at: 0,
                        });
                    }
                    Judged::Other => {
                        return Err(Fault {
                            what: "another type than asked for",
                            at: 0,
                        });
                    }
                    Judged::Hidden => {}
                }
                *bytes = Vec::new();
                Ok(())
            }
            Shape::Bundle(bundle) => bundle.end(&mut self.out, &mut self.rows, &mut self.withheld),
        }
    }

    /// What to do next. Call it after each [`Judge::push`] and after [`Judge::end`].
    pub fn turn(&mut self, now: Time) -> Turn {
        if self.out.len() > self.window {
            return Turn::Held(self.hold(now, false));
        }
        if !self.ended {
            return Turn::Feed;
        }
        if matches!(self.shape, Shape::Row { .. }) && self.parts == 0 && self.rows.is_empty() {
            return Turn::Missing;
        }
        if !self.out.is_empty() {
            return Turn::Held(self.hold(now, true));
        }
        Turn::Done(Closing {
            bytes: self.released,
            rows: self.total_rows,
            withheld: self.total_withheld,
        })
    }

    fn hold(&mut self, now: Time, last: bool) -> Held {
        self.parts += 1;
        // windows of one size: where an answer is cut tells nothing of what was cut out of it
        let rest = match last {
            true => Vec::new(),
            false => self.out.split_off(self.window.min(self.out.len())),
        };
        let bytes = Bytes::from(std::mem::replace(&mut self.out, rest));
        let rows = std::mem::take(&mut self.rows);
        let withheld = std::mem::take(&mut self.withheld);
        self.released += bytes.len() as u64;
        self.total_rows += rows.len() as u64;
        self.total_withheld += withheld;
        let json = record::disclosure(
            &self.shared,
            now,
            200,
            &rows,
            withheld,
            bytes.len(),
            self.parts,
        );
        let head = (self.parts == 1).then(answer_head);
        Held {
            bytes,
            head,
            last,
            json,
            ticket: Ticket::issue(),
        }
    }
}

fn whole(stop: Stop) -> Fault {
    match stop {
        Stop::Fault(fault) => *fault,
        Stop::Incomplete => Fault {
            what: "truncated",
            at: 0,
        },
    }
}
