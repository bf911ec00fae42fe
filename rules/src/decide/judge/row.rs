//! The answer to a read: one row, of the id and version that were asked for.

use bytes::Bytes;

use super::{End, Sink, UpstreamHead};
use crate::decide::row::{Judged, RowJudge};
use crate::mask::scan::skip_space;
use crate::mask::{Fault, Stop};
use crate::refusal::{No, Reason};

/// Judges one row.
#[derive(Debug)]
pub(in crate::decide) struct RowAnswer {
    judge: Box<RowJudge>,
    id: Box<str>,
    version: Option<Box<str>>,
    bytes: Vec<u8>,
}

impl RowAnswer {
    pub(super) fn new(judge: RowJudge, id: &str, version: Option<&str>) -> Self {
        Self {
            judge: Box::new(judge),
            id: id.into(),
            version: version.map(Into::into),
            bytes: Vec::new(),
        }
    }

    pub(super) fn head(&mut self, head: UpstreamHead<'_>) -> Result<(), No> {
        match head.status {
            200 if head.json => Ok(()),
            404 | 410 => Err(No::new(Reason::NotFound).because("not there")),
            status => Err(odd(status)),
        }
    }

    /// Judges as `new` would.
    pub(super) fn renew(&mut self, new: Self) {
        self.judge = new.judge;
    }

    pub(super) fn push(&mut self, chunk: &Bytes) -> usize {
        self.bytes.extend_from_slice(chunk);
        self.bytes.len()
    }

    pub(super) fn end(&mut self, sink: &mut Sink) -> Result<End, Fault> {
        let bytes = std::mem::take(&mut self.bytes);
        match one(&mut self.judge, &bytes, &mut sink.out)? {
            Judged::Hidden => Ok(End::Missing),
            Judged::Other => Err(fault("another type than asked for")),
            Judged::Leaves(row) if row.id != self.id => {
                Err(fault("another resource than asked for"))
            }
            Judged::Leaves(row) if self.version.is_some() && row.version != self.version => {
                Err(fault("another version than asked for"))
            }
            Judged::Leaves(row) => {
                sink.rows.push(row);
                Ok(End::Whole)
            }
        }
    }
}

/// Judges the one resource that `bytes` are.
pub(super) fn one(judge: &mut RowJudge, bytes: &[u8], out: &mut Vec<u8>) -> Result<Judged, Fault> {
    let at = skip_space(bytes, 0);
    let (end, judged) = judge.judge(bytes, at, out).map_err(|stop| match stop {
        Stop::Fault(fault) => *fault,
        Stop::Incomplete => fault("truncated"),
    })?;
    if skip_space(bytes, end) != bytes.len() {
        return Err(fault("bytes after the resource"));
    }
    Ok(judged)
}

/// What a status says that no answer to a permitted request has.
pub(super) fn odd(status: u16) -> No {
    match status {
        200 => No::new(Reason::UpstreamInvalid).because("not json"),
        500..=599 | 429 => No::new(Reason::UpstreamUnavailable).because("error status"),
        401 | 403 => No::new(Reason::UpstreamInvalid).because("the gateway itself was refused"),
        _ => No::new(Reason::UpstreamInvalid).because("unexpected status"),
    }
}

pub(super) fn fault(what: &'static str) -> Fault {
    Fault { what, at: 0 }
}
