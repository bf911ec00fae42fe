//! The shapes that answers have, each judged in its own room.

use std::sync::Arc;

use bytes::Bytes;

use super::batch::{BatchAnswer, Slot};
use super::history::HistoryAnswer;
use super::page::Page;
use super::row::RowAnswer;
use super::set::SetAnswer;
use super::write::{WriteAnswer, Wrote};
use super::{End, Sink, UpstreamHead};
use crate::decide::permit::json_head;
use crate::decide::row::RowJudge;
use crate::fhir::tables::TypeId;
use crate::mask::Fault;
use crate::record::Written;
use crate::refusal::{AnswerHead, No, Reason};

/// What an answer must be.
#[derive(Debug)]
pub(in crate::decide) enum Shape {
    /// One row.
    Row(RowAnswer),
    /// A search set.
    Set(Box<SetAnswer>),
    /// Versions of rows.
    History(Box<HistoryAnswer>),
    /// What became of a write.
    Write(Box<WriteAnswer>),
    /// The answers to the entries of a batch or transaction.
    Batch(Box<BatchAnswer>),
}

impl Shape {
    /// The row of this id and, where given, version.
    pub(in crate::decide) fn row(rows: RowJudge, id: &str, version: Option<&str>) -> Self {
        Self::Row(RowAnswer::new(rows, id, version))
    }

    /// The rows that a search finds; `others` judge those of further types.
    pub(in crate::decide) fn set(rows: RowJudge, others: Vec<RowJudge>, page: Page) -> Self {
        Self::Set(Box::new(SetAnswer::of(rows, others, page)))
    }

    /// The versions of a row or of all rows of some types, each of which has a judge.
    pub(in crate::decide) fn history(
        rows: Vec<RowJudge>,
        id: Option<&str>,
        deletions: bool,
        page: Page,
    ) -> Self {
        Self::History(Box::new(HistoryAnswer::of(rows, id, deletions, page)))
    }

    /// The answers to a batch's or transaction's entries.
    pub(in crate::decide) fn batch(
        slots: Vec<Slot>,
        transaction: bool,
        request_id: &str,
        row_max: usize,
    ) -> Self {
        let answer = BatchAnswer::of(slots, transaction, request_id, row_max);
        Self::Batch(Box::new(answer))
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
            Self::Set(set) => set.head(head),
            Self::History(history) => history.head(head),
            Self::Write(write) => write.head(head),
            Self::Batch(batch) => batch.head(head),
        }
    }

    /// Judges what follows as `new` would.
    pub(super) fn renew(&mut self, new: Self, sink: &mut Sink) -> Result<(), No> {
        match (self, new) {
            (Self::Row(row), Self::Row(new)) => row.renew(new),
            (Self::Set(set), Self::Set(new)) => set.renew(*new, &mut sink.out),
            (Self::History(old), Self::History(new)) => old.renew(*new, &mut sink.out),
            (Self::Batch(old), Self::Batch(new)) => old.renew(*new),
            _ => return Err(No::new(Reason::NotUnderstood).because("another kind of answer")),
        }
        Ok(())
    }

    /// What shows a written row to its author.
    pub(super) fn into_rows(self) -> Option<Box<RowJudge>> {
        match self {
            Self::Write(write) => write.into_rows(),
            _ => None,
        }
    }

    /// The next bytes; how many wait for the rest of what they belong to.
    pub(super) fn push(&mut self, chunk: Bytes, sink: &mut Sink) -> Result<usize, Fault> {
        match self {
            Self::Row(row) => Ok(row.push(&chunk)),
            Self::Set(set) => set.feed(chunk, sink),
            Self::History(history) => history.push(chunk, sink),
            Self::Write(write) => Ok(write.push(&chunk)),
            Self::Batch(batch) => batch.push(chunk, sink),
        }
    }

    /// The bytes ended.
    pub(super) fn end(&mut self, sink: &mut Sink) -> Result<End, Fault> {
        match self {
            Self::Row(row) => row.end(sink),
            Self::Set(set) => set.finish(sink).map(|()| End::Whole),
            Self::History(history) => history.finish(sink).map(|()| End::Whole),
            Self::Write(write) => write.end(sink),
            Self::Batch(batch) => batch.finish(sink).map(|()| End::Whole),
        }
    }

    /// What the upstream says it wrote.
    pub(super) fn written(&self) -> Option<Written<'_>> {
        match self {
            Self::Write(write) => write.written(),
            _ => None,
        }
    }

    /// Status and headers, known with the first window.
    pub(super) fn answer_head(&self, empty: bool) -> AnswerHead {
        match self {
            Self::Row(_) | Self::Set(_) | Self::History(_) | Self::Batch(_) => json_head(200),
            Self::Write(write) => write.answer_head(empty),
        }
    }
}
