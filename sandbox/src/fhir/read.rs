//! What changes nothing: read, vread, history, search, the CapabilityStatement.

use bytes::Bytes;
use hyper::StatusCode;

use super::act::{Act, Fault, Handling, Place, Reply, Terms};
use super::history;
use super::page;
use super::query::pairs;
use super::row::{Version, is_id};
use super::store::Store;

/// Does an interaction that reads.
pub(crate) fn run(store: &Store, base: &str, metadata: &Bytes, act: &Act) -> Result<Reply, Fault> {
    let search = |scope| {
        let bundle = page::search(store, base, scope, &act.query, act.terms.handling)?;
        Ok(Reply::made(bundle))
    };
    let history = |scope| {
        let bundle = history::history(store, base, scope, &act.query, act.terms.handling)?;
        Ok(Reply::made(bundle))
    };
    match &act.place {
        Place::Base | Place::Search => search(page::Scope::All),
        Place::Type(name) | Place::TypeSearch(name) => search(page::Scope::Type(name)),
        Place::Compartment(id, name) | Place::CompartmentSearch(id, name) => {
            if !is_id(id) {
                return Err(Fault::missing(base, "Patient", id));
            }
            search(page::Scope::Patient(id, *name))
        }
        Place::History => history(history::Scope::All),
        Place::TypeHistory(name) => history(history::Scope::Type(name)),
        Place::InstanceHistory(name, id) => history(history::Scope::Instance(name, id)),
        Place::Metadata => {
            plain(&act.query, act.terms.handling)?;
            Ok(Reply::made(metadata.clone()))
        }
        Place::Instance(name, id) => {
            plain(&act.query, act.terms.handling)?;
            let last = store.last(name, id);
            shown(
                last.ok_or_else(|| Fault::missing(base, name, id))?,
                &act.terms,
            )
        }
        Place::Version(name, id, version) => {
            plain(&act.query, act.terms.handling)?;
            let versions = store.versions(name, id).iter();
            let one = versions.rev().find(|one| *one.stamp.version == **version);
            let one =
                one.ok_or_else(|| Fault::missing(base, name, &format!("{id}/_history/{version}")))?;
            shown(one, &act.terms)
        }
    }
}

/// A version, or that the caller has it already (RFC 9110 §13.2.2).
fn shown(version: &Version, terms: &Terms) -> Result<Reply, Fault> {
    let Some(row) = &version.row else {
        return Err(Fault::gone(version.name, &version.id));
    };
    let stamp = &version.stamp;
    let known = match (&terms.if_none_match, terms.if_modified_since) {
        (Some(tags), _) => tags.name(Some(&stamp.version)),
        // HTTP dates have seconds.
        (None, Some(since)) => stamp.at.div_euclid(1000) <= since.div_euclid(1000),
        (None, None) => false,
    };
    if known {
        return Ok(Reply::of(StatusCode::NOT_MODIFIED, version));
    }
    let mut reply = Reply::of(StatusCode::OK, version);
    reply.body = Some(row.body.clone());
    Ok(reply)
}

/// Refuses parameters where there are none, for callers who want to hear of it.
pub(crate) fn plain(query: &str, handling: Handling) -> Result<(), Fault> {
    if handling != Handling::Strict {
        return Ok(());
    }
    let bad = |text: String| Err(Fault::bad("invalid", text));
    match pairs(query) {
        None => bad("the query isn't well formed".to_owned()),
        Some(pairs) => match pairs
            .iter()
            .find(|(key, _)| !matches!(key.as_str(), "_format" | "_pretty"))
        {
            Some((key, _)) => bad(format!("unknown parameter `{key}`")),
            None => Ok(()),
        },
    }
}
