//! How a row that isn't an answer stands: one that is stored and about to be written over, or one
//! that is about to be written.
//!
//! In: the row's bytes and the grants for an interaction. Out: what of it they show, as the same
//! walk that judges answers says. **Never here:** bytes that leave.

use super::row::{Bench, type_at};
use super::stance::{self, Candidates};
use crate::fhir::target::is_id;
use crate::mask::row::walk;
use crate::mask::scan::skip_space;
use crate::mask::{Fault, Stop};
use crate::pack::Classes;

/// A row as some grants show it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) id: Option<Box<str>>,
    pub(super) version: Option<Box<str>>,
    pub(super) classes: Classes,
    /// The row as it would leave.
    pub(super) shown: Vec<u8>,
}

/// How a row stands.
#[derive(Debug)]
pub(super) enum Stands {
    /// Grants match it.
    Seen(Seen),
    /// None does; but for the scopes' patient one would.
    OutOfReach,
    /// None does.
    Unmatched,
    /// Grants match it whose view lets no such row leave.
    Withheld,
    /// It is a resource of another type.
    Other,
}

impl Bench {
    /// How the one row that `bytes` are stands under the candidates.
    pub(super) fn see(&self, candidates: &Candidates, bytes: &[u8]) -> Result<Stands, Fault> {
        self.try_see(candidates, bytes).map_err(|stop| match stop {
            Stop::Fault(fault) => *fault,
            Stop::Incomplete => Fault {
                what: "truncated",
                at: 0,
            },
        })
    }

    fn try_see(&self, candidates: &Candidates, bytes: &[u8]) -> Result<Stands, Stop> {
        let at = skip_space(bytes, 0);
        if type_at(bytes, at)? != Some(candidates.resource) {
            return Ok(Stands::Other);
        }
        let mut used = candidates.likely;
        let mut contained = None;
        // what is found doesn't depend on the view, so the second round is the last
        for _ in 0..4 {
            let sighted = self.stance.sighted(&self.program, candidates, used);
            let mut shown = Vec::with_capacity(bytes.len());
            let walked = walk(
                bytes,
                at,
                &sighted.view,
                &candidates.probe,
                contained.as_deref(),
                self,
                &mut shown,
            )?;
            if walked.needs_contained && contained.is_none() {
                contained = Some(self.judge_contained(bytes, at, &mut Vec::new())?);
                continue;
            }
            let standing = self.stand(candidates, &walked.findings, true);
            if standing.mask == 0 {
                let anyone = self.stand(candidates, &walked.findings, false);
                return Ok(match anyone.mask {
                    0 => Stands::Unmatched,
                    _ => Stands::OutOfReach,
                });
            }
            if standing.mask != used {
                used = standing.mask;
                continue;
            }
            if skip_space(bytes, walked.end) != bytes.len() {
                return Err(Fault {
                    what: "bytes after the resource",
                    at: walked.end,
                }
                .into());
            }
            if walked.withheld {
                return Ok(Stands::Withheld);
            }
            let text = |question: u16| {
                let found = walked.findings.iter();
                let mut found = found.filter(|f| f.slot.question == question);
                found.next().map(|f| &*f.text).filter(|text| is_id(text))
            };
            return Ok(Stands::Seen(Seen {
                id: text(stance::ID).map(Into::into),
                version: text(stance::VERSION).map(Into::into),
                classes: standing.classes,
                shown,
            }));
        }
        Err(Fault {
            what: "a row whose grants can't be settled",
            at,
        }
        .into())
    }
}
