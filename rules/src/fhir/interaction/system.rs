//! A search over several types (http.html#search): only parameters that every type has.

use super::{Page, SystemSearch, conditions};
use crate::fhir::search::{self, Search};
use crate::fhir::tables::{TypeId, r4};
use crate::refusal::{No, Reason};

/// Most bytes of parameters, counted once for each type.
const MOST: usize = 128 * 1024;

/// Understands the pairs of a query or form.
pub(super) fn understand(pairs: Vec<(String, String)>, form: bool) -> Result<SystemSearch, No> {
    let mut found = SystemSearch {
        types: None,
        pairs: Vec::new(),
        count: None,
        form,
        page: Page::default(),
    };
    let mut types: Option<Vec<TypeId>> = None;
    for (name, value) in pairs {
        let twice = match name.as_str() {
            "_type" => types.replace(list(&value)?).is_some(),
            "_count" => found.count.replace(conditions::count(&value)?).is_some(),
            "_page" => found.page.handle.replace(value).is_some(),
            "_format" => {
                search::format(&value)?;
                false
            }
            "_pretty" => false,
            _ => {
                found.pairs.push((name, value));
                continue;
            }
        };
        if twice {
            return Err(No::named(Reason::NotUnderstood, name));
        }
    }
    let size: usize = found.pairs.iter().map(|(n, v)| n.len() + v.len()).sum();
    let times = types.as_ref().map_or(r4().resource_count(), Vec::len);
    if size.saturating_mul(times) > MOST {
        return Err(No::named(Reason::TooLarge, "_type"));
    }
    // parameters of all types are the same for each: one stands for all
    let each = types.clone().unwrap_or(r4().resources().take(1).collect());
    let mut searches = Vec::with_capacity(each.len());
    for resource in each {
        let search = Search::understand(resource, found.pairs.clone(), form)?;
        if let Some(own) = search.filters.iter().find(|f| !is_of_all(f.param.code)) {
            let name: String = own.name.chars().take(64).collect();
            return Err(No::named(Reason::NotUnderstood, name));
        }
        searches.push(search);
    }
    if found.page.handle.is_some() && !(found.pairs.is_empty() && types.is_none()) {
        return Err(No::named(Reason::NotUnderstood, "_page"));
    }
    found.types = types.map(|_| searches);
    Ok(found)
}

/// What the search costs to decide, in bytes: its parameters are read once for each type.
pub(super) fn weight(system: &SystemSearch) -> usize {
    let size: usize = system.pairs.iter().map(|(n, v)| n.len() + v.len()).sum();
    let times = system
        .types
        .as_ref()
        .map_or(r4().resource_count(), Vec::len);
    size.saturating_add(16).saturating_mul(times)
}

/// The parameters of Resource that are understood (http://hl7.org/fhir/R4/search.html#all).
fn is_of_all(code: &str) -> bool {
    matches!(
        code,
        "_id" | "_lastUpdated" | "_profile" | "_security" | "_source" | "_tag"
    )
}

/// `_type`: names of types, none twice.
fn list(value: &str) -> Result<Vec<TypeId>, No> {
    let odd = || No::named(Reason::NotUnderstood, "_type");
    let mut types = Vec::new();
    for name in value.split(',') {
        let resource = r4().resource(name).ok_or_else(odd)?;
        if types.contains(&resource) {
            return Err(odd());
        }
        types.push(resource);
    }
    Ok(types)
}
