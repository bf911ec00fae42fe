//! Reads of one row.

use super::desk::{Decided, Decision, Desk, Plan};
use super::judge::Shape;
use super::permit::Outbound;
use crate::fhir::tables::{TypeId, r4};
use crate::pack::Can;

/// `GET [base]/[type]/[id]`
pub(super) fn read(desk: &Desk<'_>, resource: TypeId, id: &str) -> Decision {
    let right = desk.right(resource, Can::Read)?;
    let target = format!("/{}/{id}", r4().name(resource));
    Ok(Decided::Go(Box::new(Plan {
        outbound: Outbound::get(target, false),
        shape: Shape::row(desk.rows(&right), id, None),
    })))
}
