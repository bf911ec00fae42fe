//! Deletes. The caller needs the right and a row that he sees, not all of it: he takes away what
//! is granted to be taken away.

use super::desk::{Decided, Decision, Desk};
use super::judge::Wrote;
use super::permit::Outbound;
use super::stored::Current;
use super::writes::{author, go, place, version, weak};
use crate::fhir::interaction::{Aim, Delete};
use crate::fhir::tables::TypeId;
use crate::pack::Can;
use crate::refusal::{No, Reason};

/// `DELETE [base]/[type]/[id]` and `DELETE [base]/[type]?…`
pub(super) fn delete(desk: &Desk<'_>, delete: &Delete) -> Decision {
    let resource = delete.resource;
    let author = author(desk, resource, Can::Delete)?;
    let if_match = delete.if_match.as_deref();
    // what can't be hidden needn't be looked at
    if let Aim::Id(id) = &delete.aim
        && author.sees_every_row(desk)
    {
        return Ok(forward(desk, resource, id, if_match.map(weak)));
    }
    let stored = match author.aimed(desk, resource, &delete.aim)? {
        Current::Unknown(question) => return Ok(Decided::Ask(vec![question])),
        Current::Row(stored) => stored,
        Current::Nothing => {
            return Err(No::new(Reason::NotFound).because("nothing visible to delete"));
        }
    };
    let version = version(desk, resource, &stored, if_match)?;
    Ok(forward(desk, resource, &stored.id, version))
}

fn forward(desk: &Desk<'_>, resource: TypeId, id: &str, if_match: Option<String>) -> Decided {
    let outbound = Outbound {
        method: "DELETE",
        if_match,
        ..Outbound::get(place(resource, id), false)
    };
    go(desk, outbound, Wrote::Deleted, resource, Some(id))
}
