//! Searches: whether all that they read is shown (D10), how they go upstream, and how much of
//! what they find can be told (D11).

use super::desk::{Decided, Decision, Desk, Plan, Right};
use super::judge::{Page, Shape};
use super::permit::Outbound;
use super::row::RowJudge;
use crate::fhir::interaction::{Interaction, SystemSearch};
use crate::fhir::search::Search;
use crate::fhir::tables::{Param, SubjectRule, TypeId, r4};
use crate::fhir::target;
use crate::pack::Can;
use crate::refusal::{No, Reason};

/// Element paths that a search reads.
pub(super) type Reads = Vec<Vec<&'static str>>;

/// A search of one type, in a compartment or not.
pub(super) fn search(desk: &Desk<'_>, asked: &Interaction, search: &Search) -> Decision {
    let right = desk.right(search.resource, Can::Search)?;
    let reads = reads(desk, &right, search)?;
    let complete = desk.is_complete(&right);
    let rows = RowJudge::new(desk.bench(&right), right.candidates.clone(), reads);
    Ok(Decided::Go(Box::new(Plan {
        outbound: outbound(desk, &right, search),
        shape: Shape::set(rows, Vec::new(), page(desk, asked, complete)),
    })))
}

/// A search of several types, each decided alone. Where types are named, each must be granted;
/// else those count that are.
pub(super) fn system(desk: &Desk<'_>, asked: &Interaction, system: &SystemSearch) -> Decision {
    let mut judges = Vec::new();
    let mut names = Vec::new();
    let mut complete = true;
    let mut add = |search: &Search| -> Result<(), No> {
        let right = desk.right(search.resource, Can::Search)?;
        let reads = reads(desk, &right, search)?;
        complete &= desk.is_complete(&right);
        judges.push(RowJudge::new(
            desk.bench(&right),
            right.candidates.clone(),
            reads,
        ));
        names.push(r4().name(search.resource));
        Ok(())
    };
    match &system.types {
        Some(searches) => searches.iter().try_for_each(&mut add)?,
        None => {
            for resource in r4().resources() {
                let pairs = system.pairs.clone();
                if let Ok(search) = Search::understand(resource, pairs, system.form) {
                    // what isn't granted isn't searched
                    let _ = add(&search);
                }
            }
        }
    }
    let Some(rows) = judges.pop() else {
        return Err(No::named(Reason::NotGranted, "_type"));
    };
    let count = desk.count(system.count);
    let types = names.join(",");
    let own = [("_type", types.as_str())];
    let pairs = system.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    let mut written = String::new();
    let counted = [("_count", count.as_str())];
    target::write_pairs(&mut written, own.into_iter().chain(pairs).chain(counted));
    let outbound = match &system.page.position {
        Some(position) => Outbound::get(position.clone(), false),
        None => as_asked("/", system.form, written),
    };
    Ok(Decided::Go(Box::new(Plan {
        outbound,
        shape: Shape::set(rows, judges, page(desk, asked, complete)),
    })))
}

/// What the Bundle around the rows says of the request.
pub(super) fn page(desk: &Desk<'_>, asked: &Interaction, complete: bool) -> Page {
    let service = desk.service;
    let (place, query) = (asked.place(), asked.query());
    let slash = if place.is_empty() { "" } else { "/" };
    let mark = if query.is_empty() { "" } else { "?" };
    Page {
        base: service.base.clone(),
        upstream_path: service.upstream_path.clone(),
        link: format!("{}{slash}{place}{mark}{query}", service.base),
        place: format!("{slash}{place}").into(),
        within: matches!(asked, Interaction::Search(search) if search.within.is_some()),
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

/// A search as a query or, where it was asked so, as a form.
fn as_asked(place: &str, form: bool, written: String) -> Outbound {
    if !form {
        return Outbound::get(format!("{place}?{written}"), true);
    }
    let slash = if place.ends_with('/') { "" } else { "/" };
    Outbound {
        method: "POST",
        body: written.into(),
        content_type: Some("application/x-www-form-urlencoded"),
        ..Outbound::get(format!("{place}{slash}_search"), true)
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
    if let Some((compartment, _)) = &search.within {
        membership(desk, right, search, *compartment, &mut all)?;
    }
    Ok(all)
}

/// What makes a row a member of a compartment is read, too.
fn membership(
    desk: &Desk<'_>,
    right: &Right,
    search: &Search,
    compartment: TypeId,
    all: &mut Reads,
) -> Result<(), No> {
    let candidates = &right.candidates;
    let name = r4().name(compartment);
    let not = |reason| Err(No::named(reason, name));
    let Some(codes) = r4().compartment(name, search.resource) else {
        return not(Reason::NotUnderstood);
    };
    for code in codes {
        let param = r4().param(search.resource, code);
        let Some(reads) = param.and_then(Param::reads) else {
            return not(Reason::NotSupported);
        };
        for path in reads {
            if !desk.program.shows(candidates, candidates.likely, &path) {
                return not(Reason::SearchReadsHidden);
            }
            if !all.contains(&path) {
                all.push(path);
            }
        }
    }
    Ok(())
}

/// The search as it is sent: its parameters rebuilt, narrowed where one condition holds for all
/// rows that could leave, and the page's size.
fn outbound(desk: &Desk<'_>, right: &Right, search: &Search) -> Outbound {
    if let Some(position) = &search.position {
        return Outbound::get(position.clone(), false);
    }
    let written = query(desk, right, search);
    as_asked(&place(search), search.form, written)
}

/// A search's target, for a question of the rules.
pub(super) fn target_of(desk: &Desk<'_>, right: &Right, search: &Search) -> String {
    format!("{}?{}", place(search), query(desk, right, search))
}

fn query(desk: &Desk<'_>, right: &Right, search: &Search) -> String {
    let count = desk.count(search.count);
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
