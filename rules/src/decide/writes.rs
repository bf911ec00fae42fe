//! Writes: whether the new row may be there, whether all of it is its author's to write, and
//! whether anything that he can't see would be lost.
//!
//! In: an understood write and the facts so far. Out: a plan that forwards it under the version
//! that was judged, the question that is open, or a refusal. What depends on the body and the
//! pack alone is refused before anything is asked. **Never here:** a merge (D18): what would need
//! one is refused.

use bytes::Bytes;
use serde_json::Value;

use super::desk::{Decided, Decision, Desk, Plan};
use super::judge::{Shape, Wrote};
use super::matches::{Found, found};
use super::permit::Outbound;
use super::searches;
use super::standing::Stands;
use super::stored::{Author, Current, Stored};
use super::writable::{changed_meta, has_conditional_reference, lost};
use crate::fhir::interaction::{Aim, Create, Update};
use crate::fhir::search::Search;
use crate::fhir::tables::{TypeId, r4};
use crate::fhir::target;
use crate::pack::Can;
use crate::refusal::{No, Reason};

/// `POST [base]/[type]`
pub(super) fn create(desk: &Desk<'_>, create: &Create) -> Decision {
    let resource = create.resource;
    let author = author(desk, resource, Can::Create)?;
    let condition = match &create.if_none_exist {
        Some(search) => Some(condition_of_create(desk, search)?),
        None => None,
    };
    fits(desk, &author, resource, create.body.bytes())?;
    let wrote = match condition {
        Some(_) => Wrote::MadeOnce,
        None => Wrote::Made,
    };
    let mut outbound = make(resource, create.body.bytes());
    outbound.if_none_exist = condition;
    Ok(go(desk, outbound, wrote, resource, None))
}

/// `PUT [base]/[type]/[id]` and `PUT [base]/[type]?…`
pub(super) fn update(desk: &Desk<'_>, update: &Update) -> Decision {
    let resource = update.resource;
    let author = author(desk, resource, Can::Update)?;
    if !author.sees_whole(desk) {
        return Err(No::named(Reason::WriteNeedsMerge, r4().name(resource)));
    }
    fits(desk, &author, resource, update.body.bytes())?;
    let body = update.body.bytes();
    let if_match = update.if_match.as_deref();
    match &update.aim {
        Aim::Id(id) => match author.current(desk, resource, id)? {
            Current::Unknown(question) => Ok(Decided::Ask(vec![question])),
            Current::Row(stored) => replace(desk, &author, resource, &stored, body, if_match),
            Current::Nothing => make_there(desk, resource, id, body, if_match),
        },
        Aim::Found(search) => match found(desk, search)? {
            Found::Unknown(question) => Ok(Decided::Ask(vec![question])),
            Found::Nothing => make_anew(desk, search, body, if_match),
            Found::One(row) => match author.sees(desk, &row)? {
                None => Err(invisible()),
                Some(stored) => {
                    let body = with_id(body, &stored.id)?;
                    replace(desk, &author, resource, &stored, &body, if_match)
                }
            },
        },
    }
}

/// D20: an update whose condition finds nothing visible creates only where nothing can be hidden
/// from it; what somebody else makes meanwhile is a conflict.
fn make_anew(desk: &Desk<'_>, search: &Search, body: &Bytes, if_match: Option<&str>) -> Decision {
    let resource = search.resource;
    let right = desk.right(resource, Can::Search)?;
    if !makes_anywhere(desk, resource) || !desk.is_complete(&right) {
        return Err(invisible());
    }
    if if_match.is_some() {
        return Err(No::named(Reason::VersionConflict, "If-Match"));
    }
    if parse(body)?.get("id").is_some() {
        return Err(No::named(Reason::NotSupported, "id").because("an id of the caller's choice"));
    }
    let mut outbound = make(resource, body);
    outbound.if_none_exist = Some(condition(search));
    Ok(go(desk, outbound, Wrote::MadeAnew, resource, None))
}

/// The body with the id of the row that it is for; it has that or none.
fn with_id(body: &Bytes, id: &str) -> Result<Bytes, No> {
    match parse(body)?.get("id") {
        Some(Value::String(own)) if own == id => return Ok(body.clone()),
        Some(_) => return Err(No::named(Reason::NotUnderstood, "id")),
        None => {}
    }
    let text = body.trim_ascii();
    let members = text
        .strip_prefix(b"{")
        .ok_or_else(|| unreadable("no object"))?;
    Ok([format!("{{\"id\":\"{id}\",").as_bytes(), members]
        .concat()
        .into())
}

fn invisible() -> No {
    No::new(Reason::NotFound).because("nothing visible to update")
}

/// The rights that a write rests on.
pub(super) fn author(desk: &Desk<'_>, resource: TypeId, can: Can) -> Result<Author, No> {
    Ok(Author {
        right: desk.right(resource, can)?,
        sight: desk.sight(resource),
    })
}

/// Whether the author may write such a row (D5, D17): grants match it, and they show all of it.
pub(super) fn fits(
    desk: &Desk<'_>,
    author: &Author,
    resource: TypeId,
    body: &Bytes,
) -> Result<(), No> {
    let name = r4().name(resource);
    let text = body.trim_ascii();
    let mut parsed = None;
    for right in std::iter::once(&author.right).chain(&author.sight) {
        let stands = desk.bench(right).see(&right.candidates, text);
        let seen = match stands.map_err(|fault| unreadable(fault.what))? {
            Stands::Seen(seen) => seen,
            Stands::OutOfReach => return Err(No::new(Reason::InsufficientScope)),
            Stands::Unmatched => return Err(No::named(Reason::NotGranted, name)),
            Stands::Withheld => return Err(No::named(Reason::ElementNotWritable, name)),
            Stands::Other => return Err(unreadable("another type")),
        };
        if seen.shown == text {
            continue;
        }
        let body = match &parsed {
            Some(body) => body,
            None => parsed.insert(parse(text)?),
        };
        if let Some(path) = lost(name, body, &parse(&seen.shown)?) {
            return Err(No::named(Reason::ElementNotWritable, path));
        }
    }
    // most bodies have neither, and needn't be read for it
    if text.contains(&b'?') || text.contains(&b'\\') {
        let body = match &parsed {
            Some(body) => body,
            None => parsed.insert(parse(text)?),
        };
        if has_conditional_reference(body) {
            return Err(No::named(Reason::NotSupported, "conditional reference"));
        }
    }
    Ok(())
}

/// Forwards the row that takes the place of `stored`, under the version that was judged.
pub(super) fn replace(
    desk: &Desk<'_>,
    author: &Author,
    resource: TypeId,
    stored: &Stored,
    body: &Bytes,
    if_match: Option<&str>,
) -> Decision {
    let version = version(desk, author, resource, stored, if_match)?;
    if !stored.whole {
        return Err(No::named(Reason::WriteNeedsMerge, r4().name(resource)));
    }
    if let Some(name) = changed_meta(&parse(&stored.bytes)?, &parse(body)?) {
        return Err(No::named(Reason::WriteNeedsMerge, name));
    }
    let mut outbound = Outbound::write("PUT", place(resource, &stored.id), body.clone());
    outbound.if_match = version;
    Ok(go(
        desk,
        outbound,
        Wrote::Changed,
        resource,
        Some(&stored.id),
    ))
}

/// The value of `If-Match` under which the stored row may be written; what the caller asks must
/// be the same.
pub(super) fn version(
    desk: &Desk<'_>,
    author: &Author,
    resource: TypeId,
    stored: &Stored,
    if_match: Option<&str>,
) -> Result<Option<String>, No> {
    if if_match.is_some() && if_match != stored.version.as_deref() {
        return Err(No::named(Reason::VersionConflict, "If-Match"));
    }
    match &stored.version {
        Some(version) => Ok(Some(weak(version))),
        // what was judged can't be held fast; where nothing can be hidden, nothing was judged
        None if makes_anywhere(desk, resource) && author.sees_every_row(desk) => Ok(None),
        None => Err(No::named(Reason::NotSupported, "If-Match")
            .because("a server without versions can't be written safely")),
    }
}

/// A weak entity tag.
pub(super) fn weak(version: &str) -> String {
    format!("W/\"{version}\"")
}

/// D20: a PUT to nothing visible creates only where nothing can be hidden.
fn make_there(
    desk: &Desk<'_>,
    resource: TypeId,
    id: &str,
    body: &Bytes,
    if_match: Option<&str>,
) -> Decision {
    if !makes_anywhere(desk, resource) {
        return Err(invisible());
    }
    if if_match.is_some() {
        return Err(No::named(Reason::VersionConflict, "If-Match"));
    }
    let mut outbound = Outbound::write("PUT", place(resource, id), body.clone());
    outbound.if_none_match = true;
    Ok(go(desk, outbound, Wrote::Changed, resource, Some(id)))
}

/// Whether the caller may make rows of ids of his choice: nothing of the type can be hidden from
/// him, whatever he does with it.
pub(super) fn makes_anywhere(desk: &Desk<'_>, resource: TypeId) -> bool {
    [Can::Create, Can::Update, Can::Read]
        .into_iter()
        .all(|can| {
            desk.right(resource, can)
                .is_ok_and(|right| desk.is_complete(&right))
        })
}

/// `If-None-Exist` as it is sent. It tells whether anything matches, so nothing may be hidden
/// from it (D20).
fn condition_of_create(desk: &Desk<'_>, search: &Search) -> Result<String, No> {
    let right = desk.right(search.resource, Can::Search)?;
    if !desk.is_complete(&right) {
        return Err(No::named(Reason::NotGranted, "If-None-Exist"));
    }
    searches::reads(desk, &right, search)?;
    Ok(condition(search))
}

/// A search's filters as a query.
pub(super) fn condition(search: &Search) -> String {
    let mut query = String::new();
    target::write_pairs(&mut query, search.pairs());
    query
}

/// A plan for a write, whose answer shows its author what he may read.
pub(super) fn go(
    desk: &Desk<'_>,
    outbound: Outbound,
    wrote: Wrote,
    resource: TypeId,
    id: Option<&str>,
) -> Decided {
    let reads = desk.right(resource, Can::Read).ok();
    let rows = reads.map(|right| desk.rows(&right));
    Decided::Go(Box::new(Plan {
        outbound,
        shape: Shape::write(wrote, rows, &desk.service.base, resource, id),
    }))
}

fn make(resource: TypeId, body: &Bytes) -> Outbound {
    Outbound::write("POST", format!("/{}", r4().name(resource)), body.clone())
}

/// Where a row is, below the base.
pub(super) fn place(resource: TypeId, id: &str) -> String {
    format!("/{}/{id}", r4().name(resource))
}

/// A row as a tree.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, No> {
    serde_json::from_slice(bytes).map_err(|_| unreadable("not json"))
}

fn unreadable(what: &'static str) -> No {
    No::named(Reason::NotUnderstood, "body").because(what)
}
