//! What deciding one request rests on: the caller's rights, the facts so far, and the words that
//! the rooms of [`super`] decide in.
//!
//! In: program, service, subject, stance, facts. Out: a [`Right`] to an interaction with a type,
//! data aside, or the refusal. **Never here:** a row.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use super::facts::{Facts, Learned, Question};
use super::judge::Shape;
use super::permit::Outbound;
use super::row::{Bench, RowJudge};
use super::stance::{Candidates, Stance};
use super::{Sealer, Service};
use crate::fhir::interaction::Interaction;
use crate::fhir::tables::{SubjectRule, TypeId, r4};
use crate::pack::{Can, Classes, Program};
use crate::refusal::{No, Reason};
use crate::smart::Reach;
use crate::subject::Subject;

/// A decided interaction: what is sent, and how its answer is judged.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) outbound: Outbound,
    pub(super) shape: Shape,
}

/// A decision that isn't a refusal.
#[derive(Debug)]
pub(super) enum Decided {
    Go(Box<Plan>),
    /// These are to be learned first.
    Ask(Vec<Question>),
    /// Answered here with this body.
    Here(Vec<u8>),
}

pub(super) type Decision = Result<Decided, No>;

/// Seals page handles of an interaction.
pub(super) type Seals<'a> = &'a dyn Fn(&Interaction) -> Sealer;

/// One request's caller and what is known.
pub(super) struct Desk<'a> {
    pub(super) program: &'a Arc<Program>,
    pub(super) service: &'a Service,
    /// What refused entries of a batch are told by.
    pub(super) request_id: &'a str,
    subject: &'a Subject,
    pub(super) stance: Arc<Stance>,
    facts: &'a Facts,
    pub(super) seal: Seals<'a>,
    /// Names of the grants that counted, for the record.
    names: RefCell<Vec<Arc<str>>>,
    /// A batch's entries that aren't sent, by their place, for the record.
    refused: RefCell<Vec<(usize, Reason)>>,
    /// How often each question was looked at.
    looked: RefCell<HashMap<Question, u32>>,
    /// Bytes that patches have made so far.
    patched: Cell<usize>,
}

/// An answer to a question is judged for so many entries of a Bundle and no more. Whether there is
/// anything doesn't count: else it would tell.
const MOST_LOOKS: u32 = 32;

/// Grants that count for an interaction with a type, data aside: there is one at least, and the
/// scopes reach.
#[derive(Debug, Clone)]
pub(super) struct Right {
    pub(super) candidates: Arc<Candidates>,
    /// The launch patient, where scopes confine to him.
    pub(super) patient: Option<Arc<str>>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(
        program: &'a Arc<Program>,
        service: &'a Service,
        request_id: &'a str,
        subject: &'a Subject,
        stance: Arc<Stance>,
        facts: &'a Facts,
        seal: Seals<'a>,
    ) -> Self {
        Self {
            program,
            service,
            request_id,
            subject,
            stance,
            facts,
            seal,
            names: RefCell::default(),
            refused: RefCell::default(),
            looked: RefCell::default(),
            patched: Cell::new(0),
        }
    }

    /// Names of all grants that were looked at, and the entries that were refused.
    pub(super) fn into_record(self) -> (Vec<Arc<str>>, Vec<(usize, Reason)>) {
        (self.names.into_inner(), self.refused.into_inner())
    }

    /// The entry at this place isn't sent.
    pub(super) fn refuse(&self, place: usize, no: &No) {
        self.refused.borrow_mut().push((place, no.reason));
    }

    /// What was learned of a question.
    pub(super) fn learned(&self, question: &Question) -> Result<Option<&'a Learned>, No> {
        let mut looked = self.looked.borrow_mut();
        let times = looked.entry(question.clone()).or_default();
        *times += 1;
        if *times > MOST_LOOKS {
            return Err(No::new(Reason::TooCostly).because("one row for too many entries"));
        }
        Ok(self.facts.of(question))
    }

    /// How many bytes patches may still make: all of one request as many as one row may have.
    pub(super) fn left_to_patch(&self) -> usize {
        self.service.row_max.saturating_sub(self.patched.get())
    }

    /// A patch made so many bytes, or would have.
    pub(super) fn patched(&self, bytes: usize) {
        self.patched.set(self.patched.get().saturating_add(bytes));
    }

    /// The right to do this with the type.
    pub(super) fn right(&self, resource: TypeId, can: Can) -> Result<Right, No> {
        self.right_of(resource, self.stance.candidates(resource, can))
    }

    /// The right that these candidates give.
    pub(super) fn right_of(
        &self,
        resource: TypeId,
        candidates: Option<&Arc<Candidates>>,
    ) -> Result<Right, No> {
        let Some(candidates) = candidates.cloned() else {
            return Err(No::named(Reason::NotGranted, r4().name(resource)));
        };
        let out_of_scope = || No::new(Reason::InsufficientScope);
        let patient = match candidates.reach {
            Reach::None => return Err(out_of_scope()),
            Reach::Whole => None,
            Reach::Patient => match (&self.subject.patient, r4().subject(resource)) {
                (None, _) => {
                    return Err(out_of_scope().because("a `patient/` scope without a patient"));
                }
                (_, SubjectRule::NoPatient | SubjectRule::Undetermined) => {
                    let why = "the type is in no patient's compartment";
                    return Err(out_of_scope().because(why));
                }
                (Some(patient), _) => Some(patient.clone()),
            },
        };
        self.note(&candidates);
        Ok(Right {
            candidates,
            patient,
        })
    }

    /// The read grants, or search grants where there are none, that bound what the caller may write
    /// (D17); `None` where no role of his sees the type at all.
    pub(super) fn sight(&self, resource: TypeId) -> Option<Right> {
        let candidates = self.stance.reads_of_author(resource)?.clone();
        self.note(&candidates);
        let patient = match candidates.reach {
            Reach::Patient => self.subject.patient.clone(),
            _ => None,
        };
        Some(Right {
            candidates,
            patient,
        })
    }

    fn note(&self, candidates: &Candidates) {
        let mut names = self.names.borrow_mut();
        let fresh = names.is_empty();
        for (grant, _) in &candidates.grants {
            if let Some(grant) = self.program.grants.get(*grant)
                && (fresh || !names.contains(&grant.name))
            {
                names.push(grant.name.clone());
            }
        }
    }

    /// What judging rows under this right needs.
    pub(super) fn bench(&self, right: &Right) -> Bench {
        Bench {
            program: self.program.clone(),
            stance: self.stance.clone(),
            can: right.candidates.can,
            patient: right.patient.clone(),
            also: Classes::default(),
            nest: 0,
        }
    }

    /// How many rows a page has upstream.
    pub(super) fn count(&self, asked: Option<u32>) -> String {
        let count = asked.unwrap_or(self.service.page_default);
        count.clamp(1, self.service.page_max).to_string()
    }

    /// A judge of rows under this right.
    pub(super) fn rows(&self, right: &Right) -> RowJudge {
        RowJudge::new(self.bench(right), right.candidates.clone(), Vec::new())
    }

    /// Whether the union of all grants, data aside, hides nothing of the type.
    pub(super) fn is_whole(&self, right: &Right) -> bool {
        let candidates = &right.candidates;
        let likely = self
            .stance
            .sighted(self.program, candidates, candidates.likely);
        likely.view.whole
    }

    /// D11: nothing of the type can be withheld: grants without conditions that hold every class
    /// together show it whole, and no scope confines it.
    pub(super) fn is_complete(&self, right: &Right) -> bool {
        let program = self.program;
        let candidates = &right.candidates;
        let mut every = Classes::default();
        (0..program.classes.len()).for_each(|class| every.add(class));
        let mut free = 0u128;
        for (bit, at) in candidates.grants.iter().enumerate() {
            let granted = program.granted(*at);
            let unconditioned = granted.is_some_and(|g| g.conditions.is_empty());
            let is_free = unconditioned && program.classes_of(*at).holds(every);
            free |= u128::from(is_free) << bit;
        }
        candidates.reach == Reach::Whole
            && free != 0
            && self.stance.sighted(program, candidates, free).view.whole
    }
}
