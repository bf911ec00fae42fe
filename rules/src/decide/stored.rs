//! The row that a write is aimed at, as its author sees it.
//!
//! A row counts only where both the grants for the write and, where he has any, the author's read
//! grants match it (D17): else it is as missing as one that isn't there (D15).

use bytes::Bytes;

use super::desk::{Desk, Right};
use super::facts::{Asks, Learned, Question};
use super::matches::{Found, found};
use super::standing::Stands;
use crate::fhir::interaction::Aim;
use crate::fhir::tables::TypeId;
use crate::refusal::{No, Reason};

/// A row that its author sees.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) bytes: Bytes,
    pub(super) id: Box<str>,
    pub(super) version: Option<Box<str>>,
    /// Nothing of it is hidden from him, copies in references included.
    pub(super) whole: bool,
}

/// What is known of a row.
#[derive(Debug)]
pub(super) enum Current {
    /// It is there and he sees it.
    Row(Stored),
    /// Nothing that he sees.
    Nothing,
    /// To be asked.
    Unknown(Question),
}

/// The rights that a write rests on.
#[derive(Debug)]
pub(super) struct Author {
    /// To the write itself.
    pub(super) right: Right,
    /// To what he reads; `None` where he reads nothing of the type.
    pub(super) sight: Option<Right>,
}

impl Author {
    fn rights(&self) -> impl Iterator<Item = &Right> {
        std::iter::once(&self.right).chain(&self.sight)
    }

    /// Whether all of the type is shown to him, data aside.
    pub(super) fn sees_whole(&self, desk: &Desk<'_>) -> bool {
        self.rights().all(|right| desk.is_whole(right))
    }

    /// Whether no row of the type can be hidden from him.
    pub(super) fn sees_every_row(&self, desk: &Desk<'_>) -> bool {
        self.rights().all(|right| desk.is_complete(right))
    }

    /// The row of this id, as far as it is known.
    pub(super) fn current(
        &self,
        desk: &Desk<'_>,
        resource: TypeId,
        id: &str,
    ) -> Result<Current, No> {
        let question = Question(Asks::Stored {
            resource,
            id: id.into(),
        });
        match desk.learned(&question)? {
            None => Ok(Current::Unknown(question)),
            Some(Learned::Missing) => Ok(Current::Nothing),
            Some(Learned::Answer(bytes)) => match self.sees(desk, bytes)? {
                Some(row) if *row.id != *id => Err(odd("another resource than asked for")),
                Some(row) => Ok(Current::Row(row)),
                None => Ok(Current::Nothing),
            },
        }
    }

    /// The row that a write is aimed at, as far as it is known.
    pub(super) fn aimed(
        &self,
        desk: &Desk<'_>,
        resource: TypeId,
        aim: &Aim,
    ) -> Result<Current, No> {
        match aim {
            Aim::Id(id) => self.current(desk, resource, id),
            Aim::Found(search) => Ok(match found(desk, search)? {
                Found::Unknown(question) => Current::Unknown(question),
                Found::Nothing => Current::Nothing,
                Found::One(bytes) => match self.sees(desk, &bytes)? {
                    Some(stored) => Current::Row(stored),
                    None => Current::Nothing,
                },
            }),
        }
    }

    /// The row that `bytes` are, where he sees it.
    pub(super) fn sees(&self, desk: &Desk<'_>, bytes: &Bytes) -> Result<Option<Stored>, No> {
        let text = bytes.trim_ascii();
        let mut stored = None;
        let mut whole = true;
        for right in self.rights() {
            let stands = desk.bench(right).see(&right.candidates, text);
            match stands.map_err(|fault| odd(fault.what))? {
                Stands::Seen(seen) => {
                    whole &= seen.shown == text;
                    stored = Some((seen.id, seen.version));
                }
                Stands::Other => return Err(odd("another type than asked for")),
                Stands::OutOfReach | Stands::Unmatched | Stands::Withheld => return Ok(None),
            }
        }
        let Some((Some(id), version)) = stored else {
            return Ok(None);
        };
        Ok(Some(Stored {
            bytes: bytes.clone(),
            id,
            version,
            whole,
        }))
    }
}

/// An answer to a question that can't be judged.
pub(super) fn odd(what: &'static str) -> No {
    No::new(Reason::UpstreamInvalid).because(what)
}
