//! Reads of one row: the current one, and a version of it.

use super::desk::{Decided, Decision, Desk, Plan, Right};
use super::facts::{Asks, Learned, Question};
use super::judge::Shape;
use super::permit::Outbound;
use super::row::RowJudge;
use super::standing::Stands;
use super::stored::odd;
use crate::fhir::tables::{TypeId, r4};
use crate::pack::Can;
use crate::refusal::{No, Reason};

/// `GET [base]/[type]/[id]`
pub(super) fn read(desk: &Desk<'_>, resource: TypeId, id: &str) -> Decision {
    let right = desk.right(resource, Can::Read)?;
    let target = format!("/{}/{id}", r4().name(resource));
    Ok(Decided::Go(Box::new(Plan {
        outbound: Outbound::get(target, false),
        shape: Shape::row(desk.rows(&right), id, None),
    })))
}

/// A read in a transaction, which is whole or nothing: what isn't visible is known before.
pub(super) fn read_first(desk: &Desk<'_>, resource: TypeId, id: &str) -> Decision {
    let right = desk.right(resource, Can::Read)?;
    match versions(desk, &right, resource, id)? {
        Versions::Unknown(question) => Ok(Decided::Ask(vec![question])),
        Versions::Judged(_) => read(desk, resource, id),
    }
}

/// `GET [base]/[type]/[id]/_history/[vid]`
pub(super) fn version(desk: &Desk<'_>, resource: TypeId, id: &str, version: &str) -> Decision {
    let right = desk.right(resource, Can::Read)?;
    let rows = match versions(desk, &right, resource, id)? {
        Versions::Unknown(question) => return Ok(Decided::Ask(vec![question])),
        Versions::Judged(rows) => rows,
    };
    let target = format!("/{}/{id}/_history/{version}", r4().name(resource));
    Ok(Decided::Go(Box::new(Plan {
        outbound: Outbound::get(target, false),
        shape: Shape::row(*rows, id, Some(version)),
    })))
}

/// How the versions of a row are judged.
pub(super) enum Versions {
    /// The current one is to be asked for first.
    Unknown(Question),
    /// By this: each alone, under the current one's labels beside its own.
    Judged(Box<RowJudge>),
}

/// D24: a version shows if it and the current one do. Where no row can be hidden there is nothing
/// to look at, and versions of what was deleted show, too.
pub(super) fn versions(
    desk: &Desk<'_>,
    right: &Right,
    resource: TypeId,
    id: &str,
) -> Result<Versions, No> {
    if desk.is_complete(right) {
        return Ok(Versions::Judged(Box::new(desk.rows(right))));
    }
    let question = Question(Asks::Stored {
        resource,
        id: id.into(),
    });
    let missing = || No::new(Reason::NotFound).because("no current version that is visible");
    let current = match desk.learned(&question)? {
        None => return Ok(Versions::Unknown(question)),
        Some(Learned::Missing) => return Err(missing()),
        Some(Learned::Answer(current)) => current,
    };
    let mut bench = desk.bench(right);
    let stands = bench.see(&right.candidates, current.trim_ascii());
    match stands.map_err(|fault| odd(fault.what))? {
        Stands::Seen(seen) if seen.id.as_deref() == Some(id) => bench.also = seen.classes,
        Stands::Seen(_) => return Err(odd("another resource than asked for")),
        Stands::Other => return Err(odd("another type than asked for")),
        Stands::OutOfReach | Stands::Unmatched | Stands::Withheld => return Err(missing()),
    }
    let rows = RowJudge::new(bench, right.candidates.clone(), Vec::new());
    Ok(Versions::Judged(Box::new(rows)))
}
