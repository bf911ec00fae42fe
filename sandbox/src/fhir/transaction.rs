//! A transaction: all entries or none (FHIR R4 §3.1.0.11.2).
//!
//! In: a store that nobody else writes to meanwhile. Out: what it has become, beside it, and the answers; or
//! the first refusal, with the entry it is about. The store itself is never changed here.

use std::collections::HashSet;

use bytes::Bytes;
use hyper::{Method, StatusCode};

use super::act::{Act, Fault, Payload, Place, Reply};
use super::bundle::Entry;
use super::condition;
use super::fit;
use super::links::{self, Links};
use super::read;
use super::store::Store;
use super::write::{Desk, Target, same_id};

/// What became of the entries.
pub(crate) type Done = (Store, Vec<Reply>);

/// A refusal and the index of the entry that it is about.
pub(crate) type Failed = (Fault, usize);

/// The order of the work, whatever the order of the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Delete,
    Create,
    Change,
    Read,
}

/// An entry whose target is known.
#[derive(Debug)]
struct Planned {
    act: Act,
    full_url: Option<String>,
    name: &'static str,
    id: String,
    /// Criteria that matched nothing, so that it creates.
    criteria: Option<String>,
}

/// Does the entries on a copy of `store`.
pub(crate) fn run(
    store: &Store,
    base: &str,
    metadata: &Bytes,
    now: i64,
    entries: Vec<Entry>,
) -> Result<Done, Failed> {
    let mut acts = Vec::new();
    for (at, entry) in entries.into_iter().enumerate() {
        let act = entry.act.map_err(|fault| (fault, at))?;
        acts.push((stage(&act), at, act, entry.full_url));
    }
    acts.sort_by_key(|(stage, at, ..)| (*stage, *at));

    let mut work = store.clone();
    let mut desk = Desk {
        store: &mut work,
        base,
        now,
    };
    let mut replies: Vec<(usize, Reply)> = Vec::new();
    let mut targets = HashSet::new();
    let mut links = Links::new();
    let mut planned = Vec::new();
    let mut reads = Vec::new();
    for (stage, at, act, full_url) in acts {
        let fail = |fault| (fault, at);
        match stage {
            Stage::Delete => {
                if let Some(target) = deleted(&desk, &act).map_err(fail)? {
                    claim(&mut targets, target).map_err(fail)?;
                }
                replies.push((at, desk.run(act).map_err(fail)?));
            }
            Stage::Create | Stage::Change => {
                match plan(&mut desk, act, full_url, &mut links).map_err(fail)? {
                    Plan::Write(entry) => {
                        claim(&mut targets, (entry.name, entry.id.clone())).map_err(fail)?;
                        planned.push((stage, at, entry));
                    }
                    Plan::There(reply) => replies.push((at, reply)),
                }
            }
            Stage::Read => reads.push((at, act)),
        }
    }
    for stage in [Stage::Create, Stage::Change] {
        for (_, at, entry) in planned.iter_mut().filter(|entry| entry.0 == stage) {
            let reply = write(&mut desk, entry, &links).map_err(|fault| (fault, *at))?;
            replies.push((*at, reply));
        }
        // Two entries may each have been the first to match nothing.
        for (_, at, entry) in planned.iter().filter(|entry| entry.0 == stage) {
            if let Some(criteria) = &entry.criteria {
                desk.one(entry.name, criteria)
                    .map_err(|fault| (fault, *at))?;
            }
        }
    }
    for (at, act) in reads {
        let reply = read::run(desk.store, base, metadata, &act);
        let reply = reply.map_err(|fault| (fault, at))?;
        replies.push((at, reply.to(&act.method)));
    }
    replies.sort_by_key(|(at, _)| *at);
    Ok((work, replies.into_iter().map(|(_, reply)| reply).collect()))
}

fn stage(act: &Act) -> Stage {
    if act.reads() {
        Stage::Read
    } else if act.method == Method::DELETE {
        Stage::Delete
    } else if act.method == Method::POST {
        Stage::Create
    } else {
        Stage::Change
    }
}

/// No two entries may change one resource.
fn claim(
    targets: &mut HashSet<(&'static str, String)>,
    target: (&'static str, String),
) -> Result<(), Fault> {
    if targets.insert(target) {
        Ok(())
    } else {
        Err(Fault::bad("duplicate", "two entries change one resource"))
    }
}

fn deleted(desk: &Desk<'_>, act: &Act) -> Result<Option<(&'static str, String)>, Fault> {
    Ok(match &act.place {
        Place::Instance(name, id) => Some((name, id.clone())),
        Place::Type(name) => desk.one(name, &act.query)?.map(|id| (*name, id)),
        _ => None,
    })
}

enum Plan {
    Write(Planned),
    /// A conditional create that has nothing to do.
    There(Reply),
}

/// Finds out what an entry writes, before anything refers to it.
fn plan(
    desk: &mut Desk<'_>,
    act: Act,
    full_url: Option<String>,
    links: &mut Links,
) -> Result<Plan, Fault> {
    if act.method == Method::POST || matches!(act.place, Place::Instance(..)) {
        read::plain(&act.query, act.terms.handling)?;
    }
    let mut link = |name: &str, id: &str| {
        if let Some(url) = &full_url {
            links.insert(url.clone(), format!("{name}/{id}"));
        }
    };
    let (name, id, criteria) = match (&act.place, &act.payload) {
        (Place::Type(name), Payload::Resource(_)) if act.method == Method::POST => {
            if let Some(there) = desk.there(name, &act.terms)? {
                link(name, &there.id);
                let reply = Reply::written(StatusCode::OK, &there, act.terms.back);
                return Ok(Plan::There(reply));
            }
            (
                *name,
                desk.store.assign(name),
                act.terms.if_none_exist.clone(),
            )
        }
        (Place::Type(name), Payload::Resource(resource)) => {
            match desk.identify(name, &act.query, resource)? {
                Target::Known(id) => (*name, id, None),
                Target::New(id) => (*name, id, Some(act.query.clone())),
            }
        }
        (Place::Instance(name, id), Payload::Resource(resource)) => {
            same_id(id, resource)?;
            (*name, id.clone(), None)
        }
        (Place::Instance(name, id), Payload::Patch(_)) => (*name, id.clone(), None),
        (Place::Type(name), Payload::Patch(_)) => match desk.one(name, &act.query)? {
            Some(id) => (*name, id, None),
            None => {
                let text = "the condition matches nothing";
                return Err(Fault::new(StatusCode::NOT_FOUND, "not-found", text));
            }
        },
        _ => {
            return Err(Fault::bad(
                "invalid",
                "interaction and body don't go together",
            ));
        }
    };
    link(name, &id);
    Ok(Plan::Write(Planned {
        act,
        full_url,
        name,
        id,
        criteria,
    }))
}

/// Writes an entry, its references pointed at what the others wrote.
fn write(desk: &mut Desk<'_>, entry: &mut Planned, links: &Links) -> Result<Reply, Fault> {
    let (name, id, own) = (entry.name, &entry.id, entry.full_url.as_deref());
    let terms = &entry.act.terms;
    let payload = std::mem::replace(&mut entry.act.payload, Payload::None);
    let base = desk.base;
    match payload {
        Payload::Resource(mut resource) => {
            let find = |text: &str| referred(desk.store, base, text);
            links::rewrite(&mut resource, links, own, &find)?;
            fit::body(name, &resource)?;
            if entry.act.method == Method::POST {
                desk.create_at(name, id, resource, terms.back)
            } else {
                desk.update(name, id, resource, terms)
            }
        }
        Payload::Patch(patch) => desk.patch(name, id, &patch, terms, |store, resource| {
            links::rewrite(resource, links, own, &|text: &str| {
                referred(store, base, text)
            })
        }),
        Payload::None => Err(Fault::bad("required", "an entry has no `resource`")),
    }
}

/// The one resource that a search in a reference matches.
fn referred(store: &Store, base: &str, text: &str) -> Result<String, Fault> {
    let none = || {
        let text = "a reference by search matches nothing";
        Fault::new(StatusCode::PRECONDITION_FAILED, "not-found", text)
    };
    let (name, criteria) = text.split_once('?').ok_or_else(none)?;
    let id = condition::one(store, base, name, criteria)?.ok_or_else(none)?;
    Ok(format!("{name}/{id}"))
}
