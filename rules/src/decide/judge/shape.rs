//! The shapes that answers have, each judged in its own room.

use std::sync::Arc;

use bytes::Bytes;

use super::row::RowAnswer;
use super::set::{Bundle, Page};
use super::write::{WriteAnswer, Wrote};
use super::{End, Sink, UpstreamHead};
use crate::decide::permit::json_head;
use crate::decide::row::RowJudge;
use crate::fhir::tables::TypeId;
use crate::mask::Fault;
use crate::refusal::{AnswerHead, No, Reason};

/// What an answer must be.
#[derive(Debug)]
pub(in crate::decide) enum Shape {
    /// One row.
    Row(RowAnswer),
    /// A search set.
    Set(Box<Bundle>),
    /// What became of a write.
    Write(Box<WriteAnswer>),
}

impl Shape {
    /// The row of this id and, where given, version.
    pub(in crate::decide) fn row(rows: RowJudge, id: &str, version: Option<&str>) -> Self {
        Self::Row(RowAnswer::new(rows, id, version))
    }

    /// The rows that a search finds.
    pub(in crate::decide) fn set(rows: RowJudge, page: Page) -> Self {
        Self::Set(Box::new(Bundle::new(rows, page)))
    }

    /// What became of a write; `rows` judges the row for its author.
    pub(in crate::decide) fn write(
        wrote: Wrote,
        rows: Option<RowJudge>,
        base: &Arc<str>,
        resource: TypeId,
        id: Option<&str>,
    ) -> Self {
        let answer = WriteAnswer::new(wrote, rows, base.clone(), resource, id);
        Self::Write(Box::new(answer))
    }

    /// The upstream's head; an error is what the caller is refused with.
    pub(super) fn head(&mut self, head: UpstreamHead<'_>) -> Result<(), No> {
        match self {
            Self::Row(row) => row.head(head),
            Self::Set(_) => Bundle::head(head),
            Self::Write(write) => write.head(head),
        }
    }

    /// Judges what follows as `new` would.
    pub(super) fn renew(&mut self, new: Self, sink: &mut Sink) -> Result<(), No> {
        match (self, new) {
            (Self::Row(row), Self::Row(new)) => row.renew(new),
            (Self::Set(set), Self::Set(new)) => set.renew(*new, &mut sink.out),
            _ => return Err(No::new(Reason::NotUnderstood).because("another kind of answer")),
        }
        Ok(())
    }

    /// The next bytes; how many wait for the rest of what they belong to.
    pub(super) fn push(&mut self, chunk: Bytes, sink: &mut Sink) -> Result<usize, Fault> {
        match self {
            Self::Row(row) => Ok(row.push(&chunk)),
            Self::Set(set) => {
                set.push(chunk, &mut sink.out, &mut sink.rows, &mut sink.withheld)?;
                Ok(set.pending())
            }
            Self::Write(write) => Ok(write.push(&chunk)),
        }
    }

    /// The bytes ended.
    pub(super) fn end(&mut self, sink: &mut Sink) -> Result<End, Fault> {
        match self {
            Self::Row(row) => row.end(sink),
            Self::Set(set) => {
                set.end(&mut sink.out, &mut sink.rows, &mut sink.withheld)?;
                Ok(End::Whole)
            }
            Self::Write(write) => write.end(sink),
        }
    }

    /// Status and headers, known with the first window.
    pub(super) fn answer_head(&self, empty: bool) -> AnswerHead {
        match self {
            Self::Row(_) | Self::Set(_) => json_head(200),
            Self::Write(write) => write.answer_head(empty),
        }
    }
}
