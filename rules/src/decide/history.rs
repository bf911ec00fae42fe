//! Histories (D24). That of a row shows the versions that its reader may see, if he sees the
//! current one. Those of a type and of everything would tell of rows that nobody sees any more:
//! they show types of which nothing can be hidden, and no others.

use super::desk::{Decided, Decision, Desk, Plan, Right};
use super::judge::Shape;
use super::permit::Outbound;
use super::reads::{Versions, versions};
use super::searches::page;
use crate::fhir::interaction::{History, Interaction, Level};
use crate::fhir::tables::{TypeId, r4};
use crate::fhir::target;
use crate::pack::Can;
use crate::refusal::{No, Reason};

/// `GET …/_history`
pub(super) fn history(desk: &Desk<'_>, asked: &Interaction, history: &History) -> Decision {
    let (rows, id, complete, deletions) = match &history.level {
        Level::Instance(resource, id) => {
            let right = desk.right(*resource, Can::History)?;
            let rows = match versions(desk, &right, *resource, id)? {
                Versions::Unknown(question) => return Ok(Decided::Ask(vec![question])),
                Versions::Judged(rows) => vec![*rows],
            };
            let complete = desk.is_complete(&right);
            (rows, Some(&**id), complete, complete)
        }
        Level::Type(resource) => {
            let right = wide(desk, *resource)?;
            (vec![desk.rows(&right)], None, true, true)
        }
        Level::System => {
            let mut rights: Vec<Right> = Vec::new();
            let mut no = No::named(Reason::NotGranted, "_history");
            for resource in r4().resources() {
                match wide(desk, resource) {
                    Ok(right) => rights.push(right),
                    // granted, and kept back by the scopes alone
                    Err(why) if why.reason == Reason::InsufficientScope => no = why,
                    Err(_) => {}
                }
            }
            if rights.is_empty() {
                return Err(no);
            }
            let complete = rights.len() == r4().resource_count();
            let rows = rights.iter().map(|right| desk.rows(right)).collect();
            (rows, None, complete, true)
        }
    };
    let mut page = page(desk, asked, complete);
    // a history has no entry that is neither a request nor a response
    page.notice = false;
    Ok(Decided::Go(Box::new(Plan {
        outbound: outbound(desk, asked, history),
        shape: Shape::history(rows, id, deletions, page),
    })))
}

/// The right to the history of a whole type.
fn wide(desk: &Desk<'_>, resource: TypeId) -> Result<Right, No> {
    let right = desk.right_of(resource, desk.stance.wide_history(resource))?;
    match desk.is_complete(&right) {
        true => Ok(right),
        false => Err(No::named(Reason::NotGranted, "_history")),
    }
}

fn outbound(desk: &Desk<'_>, asked: &Interaction, history: &History) -> Outbound {
    if let Some(position) = &history.page.position {
        return Outbound::get(position.clone(), false);
    }
    let count = desk.count(history.count);
    let since = history.since.as_deref().map(|since| ("_since", since));
    let pairs = since.into_iter().chain([("_count", count.as_str())]);
    let mut target = format!("/{}?", asked.place());
    target::write_pairs(&mut target, pairs);
    Outbound::get(target, true)
}
