//! Whose record a row is: the patients that its subject references name.

use std::collections::HashSet;

use super::stance;
use crate::fhir::tables::{SubjectRule, TypeId, r4};
use crate::fhir::target::is_id;
use crate::mask::probe::Finding;

/// Whose record a row is.
pub(super) enum Whose {
    /// These patients'; there may be none.
    Known(Vec<Box<str>>),
    /// It can't be told.
    Unclear(Vec<Box<str>>),
}

impl Whose {
    pub(super) fn into_ids(self) -> Vec<Box<str>> {
        match self {
            Self::Known(ids) | Self::Unclear(ids) => ids,
        }
    }
}

/// The patients of a row of this type, by what was found in it.
pub(super) fn patients(resource: TypeId, findings: &[Finding<'_>]) -> Whose {
    let of = |question: u16| findings.iter().filter(move |f| f.slot.question == question);
    match r4().subject(resource) {
        SubjectRule::Itself => {
            Whose::Known(of(stance::ID).map(|f| f.text.as_ref().into()).collect())
        }
        SubjectRule::NoPatient | SubjectRule::Undetermined => Whose::Unclear(Vec::new()),
        SubjectRule::Paths(_) => {
            let mut ids: Vec<Box<str>> = Vec::new();
            let mut known = HashSet::new();
            let mut clear = true;
            for finding in of(stance::SUBJECT) {
                let text = without_version(&finding.text);
                let slash = text.bytes().position(|b| b == b'/');
                match slash.and_then(|at| text.split_at_checked(at)) {
                    Some(("Patient", id)) if is_id(below(id)) => {
                        if is_new(below(id), &ids, &mut known) {
                            ids.push(below(id).into());
                        }
                    }
                    Some((other, id)) if r4().resource(other).is_some() && is_id(below(id)) => {}
                    _ => clear = false,
                }
            }
            if clear {
                Whose::Known(ids)
            } else {
                Whose::Unclear(ids)
            }
        }
    }
}

/// Whether a patient isn't among those found yet. Most rows have one; a set is made for the few that
/// have many.
fn is_new<'a>(id: &'a str, ids: &[Box<str>], known: &mut HashSet<&'a str>) -> bool {
    const FEW: usize = 8;
    match ids.len() {
        0 => true,
        few if few < FEW => !ids.iter().any(|one| **one == *id),
        _ => !ids.iter().take(FEW).any(|one| **one == *id) && known.insert(id),
    }
}

/// A reference without its `/_history/…`.
fn without_version(reference: &str) -> &str {
    // most have one `/` and nothing to look for
    let slashes = reference.bytes().map(|b| usize::from(b == b'/'));
    match slashes.sum::<usize>() {
        0..=2 => reference,
        _ => reference
            .split_once("/_history/")
            .map_or(reference, |(before, _)| before),
    }
}

/// What follows the slash.
fn below(rest: &str) -> &str {
    rest.strip_prefix('/').unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_is_found_once_among_few_and_among_many() {
        let (mut ids, mut known) = (Vec::<Box<str>>::new(), HashSet::new());
        let all: Vec<String> = (0..90).map(|n| format!("p{}", n % 30)).collect();
        for id in &all {
            if is_new(id, &ids, &mut known) {
                ids.push(id.as_str().into());
            }
        }
        let once: Vec<Box<str>> = (0..30).map(|n| format!("p{n}").into()).collect();
        assert_eq!(ids, once);
    }
}
