//! Searches: whether all that they read is shown (D10), how they go upstream, and how much of
//! what they find can be told (D11).

use super::desk::{Decided, Decision, Desk, Plan, Right};
use super::judge::{Page, Shape};
use super::permit::Outbound;
use super::row::RowJudge;
use crate::fhir::interaction::Interaction;
use crate::fhir::search::{self, Search};
use crate::fhir::tables::{SubjectRule, r4};
use crate::fhir::target;
use crate::pack::Can;
use crate::refusal::{No, Reason};

/// Element paths that a search reads.
pub(super) type Reads = Vec<Vec<&'static str>>;

/// A search of one type.
pub(super) fn search(desk: &Desk<'_>, asked: &Interaction, search: &Search) -> Decision {
    let right = desk.right(search.resource, Can::Search)?;
    let reads = reads(desk, &right, search)?;
    let complete = desk.is_complete(&right);
    let page = page(
        desk,
        asked,
        &place(search),
        &search::write(search),
        complete,
    );
    let outbound = outbound(desk, &right, search);
    let rows = RowJudge::new(desk.bench(&right), right.candidates.clone(), reads);
    Ok(Decided::Go(Box::new(Plan {
        outbound,
        shape: Shape::set(rows, page),
    })))
}

/// What the Bundle around the rows says of the request.
pub(super) fn page(
    desk: &Desk<'_>,
    asked: &Interaction,
    place: &str,
    query: &str,
    complete: bool,
) -> Page {
    let service = desk.service;
    let mark = if query.is_empty() { "" } else { "?" };
    Page {
        base: service.base.clone(),
        upstream_path: service.upstream_path.clone(),
        link: format!("{}{place}{mark}{query}", service.base),
        place: place.into(),
        notice: service.withheld_notice && !complete,
        complete,
        row_max: service.row_max,
        seal: (desk.seal)(asked),
    }
}

/// Where a search is asked, below the base.
fn place(search: &Search) -> String {
    let name = r4().name(search.resource);
    match &search.within {
        Some((compartment, id)) => format!("/{}/{id}/{name}", r4().name(*compartment)),
        None => format!("/{name}"),
    }
}

/// D10, data aside: what the search reads, or the parameter that reads what no grant shows.
pub(super) fn reads(desk: &Desk<'_>, right: &Right, search: &Search) -> Result<Reads, No> {
    let candidates = &right.candidates;
    let mut all = Reads::new();
    for filter in &search.filters {
        let Some(reads) = filter.param.reads() else {
            return Err(No::named(Reason::NotSupported, filter.param.code));
        };
        for path in reads {
            if !desk.program.shows(candidates, candidates.likely, &path) {
                return Err(No::named(Reason::SearchReadsHidden, filter.param.code));
            }
            if !all.contains(&path) {
                all.push(path);
            }
        }
    }
    Ok(all)
}

/// The search as it is sent: its parameters rebuilt, narrowed where one condition holds for all
/// rows that could leave, and the page's size.
fn outbound(desk: &Desk<'_>, right: &Right, search: &Search) -> Outbound {
    if let Some(position) = &search.position {
        return Outbound::get(position.clone(), false);
    }
    let written = query(desk, right, search);
    let place = place(search);
    if search.form {
        Outbound {
            method: "POST",
            body: written.into(),
            content_type: Some("application/x-www-form-urlencoded"),
            ..Outbound::get(format!("{place}/_search"), true)
        }
    } else {
        Outbound::get(format!("{place}?{written}"), true)
    }
}

/// A search's target, for a question of the rules.
pub(super) fn target_of(desk: &Desk<'_>, right: &Right, search: &Search) -> String {
    format!("{}?{}", place(search), query(desk, right, search))
}

fn query(desk: &Desk<'_>, right: &Right, search: &Search) -> String {
    let asked = search.count.unwrap_or(desk.service.page_default);
    let count = asked.clamp(1, desk.service.page_max).to_string();
    let mut pairs: Vec<(&str, &str)> = search.pairs().collect();
    if let [only] = right.candidates.grants.as_slice()
        && let Some(granted) = desk.program.granted(*only)
    {
        pairs.extend(granted.conditions.iter().map(|c| (c.param, &*c.value)));
    }
    let narrowed = right
        .patient
        .as_deref()
        .and_then(|patient| narrow_to(search, patient));
    if let Some((param, value)) = &narrowed {
        pairs.push((param, value));
    }
    pairs.push(("_count", &count));
    let mut written = String::new();
    target::write_pairs(&mut written, pairs.into_iter());
    written
}

/// A parameter that confines a search to one patient, where the type has one.
fn narrow_to(search: &Search, patient: &str) -> Option<(&'static str, String)> {
    if *r4().subject(search.resource) == SubjectRule::Itself {
        return Some(("_id", patient.to_owned()));
    }
    let param = ["patient", "subject"]
        .into_iter()
        .find(|code| r4().param(search.resource, code).is_some())?;
    Some((param, format!("Patient/{patient}")))
}
