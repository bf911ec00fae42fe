//! Conditions: criteria that are to match one resource, versions that are to be the current one.

use super::act::{Fault, Terms};
use super::query::Query;
use super::row::Row;
use super::store::Store;

/// The id of the one resource that criteria match, if any.
pub(crate) fn one(
    store: &Store,
    base: &str,
    name: &str,
    criteria: &str,
) -> Result<Option<String>, Fault> {
    let query =
        Query::criteria(name, criteria, base).map_err(|text| Fault::bad("invalid", text))?;
    let rows = store.rows(name).iter();
    let found: Vec<_> = rows.filter(|row| query.matches(row)).collect();
    match found.as_slice() {
        [] => Ok(None),
        [row] => Ok(Some(row.id.to_string())),
        rows => Err(Fault::several(rows.len())),
    }
}

/// `If-Match` and `If-None-Match` of a write, against what is there (RFC 9110 §13.2.2).
pub(crate) fn guard(terms: &Terms, row: Option<&Row>) -> Result<(), Fault> {
    let version = row.map(|row| &*row.stamp.version);
    let wanted = terms.if_match.as_ref();
    if wanted.is_some_and(|tags| !tags.name(version)) {
        return Err(Fault::stale("the resource isn't at that version"));
    }
    let unwanted = terms.if_none_match.as_ref();
    if unwanted.is_some_and(|tags| tags.name(version)) {
        return Err(Fault::stale("the resource is there already"));
    }
    Ok(())
}
