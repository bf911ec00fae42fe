//! D2: the one purpose of a request, and the roles that count for it.

use crate::fhir::labels::Purpose;
use crate::pack::Program;
use crate::refusal::{No, Reason};
use crate::subject::Subject;

/// D2: one purpose for a request.
pub(super) fn settle(
    program: &Program,
    subject: &Subject,
    asked: Option<&str>,
) -> Result<Purpose, No> {
    let unknown = || No::named(Reason::NotUnderstood, "X-Purpose-Of-Use");
    let asked = match asked {
        Some(code) => Some(Purpose::from_code(code.trim()).ok_or_else(unknown)?),
        None => None,
    };
    let required = || No::new(Reason::PurposeRequired);
    if !subject.purposes.is_empty() {
        let asserted: Vec<Purpose> = subject
            .purposes
            .iter()
            .filter_map(|p| Purpose::from_code(p))
            .collect();
        return match (asserted.as_slice(), asked) {
            ([only], _) if subject.purposes.len() == 1 => Ok(*only),
            (several, Some(asked)) if several.contains(&asked) => Ok(asked),
            _ => Err(required().because("the token's purposes leave it open")),
        };
    }
    if let Some(asked) = asked {
        return Ok(asked);
    }
    let mut firsts = held_roles(program, subject).filter_map(|(_, role)| role.purposes.first());
    match firsts.next() {
        Some(first) if firsts.all(|other| other == first) => Ok(*first),
        Some(_) => Err(required().because("the roles' first purposes differ")),
        None => Err(required().because("no role names a purpose")),
    }
}

fn held_roles<'a>(
    program: &'a Program,
    subject: &'a Subject,
) -> impl Iterator<Item = (usize, &'a crate::pack::Role)> {
    program
        .roles
        .iter()
        .enumerate()
        .filter(|(_, role)| subject.roles.contains(&role.name))
}

/// Only roles that hold the purpose count; one without `purposes` holds every one but BTG.
pub(super) fn roles_in_force(program: &Program, subject: &Subject, purpose: Purpose) -> Vec<usize> {
    held_roles(program, subject)
        .filter(|(_, role)| {
            if role.purposes.is_empty() {
                purpose.code() != "BTG"
            } else {
                role.purposes.iter().any(|held| held.covers(purpose))
            }
        })
        .map(|(index, _)| index)
        .collect()
}
