//! Searchset Bundles, page by page: of a type, of the whole server, of a patient's compartment.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::Value;

use super::act::{Fault, Handling};
use super::compartment::PATIENT;
use super::params::PARAMS;
use super::query::{Query, pairs, written};
use super::row::Row;
use super::store::Store;

/// Among which rows a search looks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    All,
    Type(&'static str),
    /// A patient's rows; without a type, of all types.
    Patient(&'a str, Option<&'static str>),
}

/// What is asked for of each type, and the form of the answer.
struct Search {
    types: Vec<(&'static str, Query)>,
    count: usize,
    total: bool,
    /// The parameters as they were understood.
    text: String,
}

/// The page of a search that `text`, a query string or a form, asks for.
pub(crate) fn search(
    store: &Store,
    base: &str,
    scope: Scope<'_>,
    text: &str,
    handling: Handling,
) -> Result<Bytes, Fault> {
    page(store, base, scope, text, handling).map_err(|text| Fault::bad("invalid", text))
}

fn page(
    store: &Store,
    base: &str,
    scope: Scope<'_>,
    text: &str,
    handling: Handling,
) -> Result<Bytes, String> {
    let asked = pairs(text).ok_or("the query isn't well formed")?;
    let token = asked.iter().find(|(key, _)| key == "_page");
    let (text, from) = match token {
        None => (text.to_owned(), 0),
        Some((_, token)) if asked.len() == 1 => {
            open(token).ok_or_else(|| format!("unknown page `{token}`"))?
        }
        Some(_) => return Err("`_page` stands alone".to_owned()),
    };
    let lenient = handling == Handling::Lenient;
    let search = Search::read(base, scope, &text, lenient)?;
    let found = search.find(store, base, scope)?;
    let start = found.partition_point(|row| row.place < from);
    let rest = found.get(start..).unwrap_or_default();
    let page = rest.get(..search.count).unwrap_or(rest);

    let path = scope.path(base);
    let own = match token {
        Some((_, token)) => format!("{path}?_page={token}"),
        None if search.text.is_empty() => path.clone(),
        None => format!("{path}?{}", search.text),
    };
    let mut links = vec![("self", own)];
    if let (Some(_), Some(next)) = (page.last(), rest.get(page.len())) {
        let token = seal(&search.text, next.place);
        links.push(("next", format!("{path}?_page={token}")));
    }
    let total = search.total.then_some(found.len());
    Ok(bundle(base, total, &links, page))
}

impl Search {
    fn read(base: &str, scope: Scope<'_>, text: &str, lenient: bool) -> Result<Self, String> {
        let mut asked = pairs(text).ok_or("the query isn't well formed")?;
        let names = match scope {
            Scope::Type(name) | Scope::Patient(_, Some(name)) => vec![name],
            Scope::All => chosen(&asked, PARAMS.keys().copied())?,
            Scope::Patient(_, None) => chosen(&asked, PATIENT.iter().map(|(name, _)| *name))?,
        };
        let several = matches!(scope, Scope::All | Scope::Patient(_, None));
        let criteria: Vec<_> = asked
            .iter()
            .filter(|(key, _)| !(several && key == "_type"))
            .cloned()
            .collect();
        let mut types = Vec::new();
        for name in names {
            types.push((name, Query::parse(name, &criteria, base, lenient)?));
        }
        let ignored: Vec<String> = types
            .iter()
            .flat_map(|(_, query)| query.ignored.iter().cloned())
            .collect();
        let mut understood = text.to_owned();
        if !ignored.is_empty() {
            // Known to some types only: left out for all, or the types that don't know it would come whole.
            let all = criteria.iter().filter(|(key, _)| !ignored.contains(key));
            let all: Vec<_> = all.cloned().collect();
            for (name, query) in &mut types {
                *query = Query::parse(name, &all, base, false)?;
            }
            asked.retain(|(key, _)| !ignored.contains(key));
            understood = written(&asked);
        }
        let first = types.first().ok_or("no resource type to search")?;
        Ok(Self {
            count: first.1.count,
            total: first.1.total,
            text: understood,
            types,
        })
    }

    fn find<'s>(
        &self,
        store: &'s Store,
        base: &str,
        scope: Scope<'_>,
    ) -> Result<Vec<&'s Row>, String> {
        let mut found = Vec::new();
        for (name, query) in &self.types {
            let inside = match scope {
                Scope::Patient(id, _) => Some(inside(name, id, base)?),
                Scope::All | Scope::Type(_) => None,
            };
            let rows = store.rows(name).iter().filter(|row| {
                query.matches(row)
                    && inside
                        .as_ref()
                        .is_none_or(|any| any.iter().any(|one| one.matches(row)))
            });
            found.extend(rows.map(AsRef::as_ref));
        }
        found.sort_by_key(|row: &&Row| row.place);
        Ok(found)
    }
}

impl Scope<'_> {
    fn path(self, base: &str) -> String {
        match self {
            Self::All => base.to_owned(),
            Self::Type(name) => format!("{base}/{name}"),
            Self::Patient(id, name) => format!("{base}/Patient/{id}/{}", name.unwrap_or("*")),
        }
    }
}

/// The types that `_type` names, among those that there are.
fn chosen(
    asked: &[(String, String)],
    among: impl Iterator<Item = &'static str>,
) -> Result<Vec<&'static str>, String> {
    let lists: Vec<_> = asked.iter().filter(|(key, _)| key == "_type").collect();
    let all: Vec<&'static str> = among.collect();
    let [(_, list)] = lists.as_slice() else {
        return match lists.len() {
            0 => Ok(all),
            _ => Err("`_type` comes once, with commas".to_owned()),
        };
    };
    let mut names = Vec::new();
    for name in list.split(',') {
        let known = all.iter().find(|known| **known == name);
        let known = known.ok_or_else(|| format!("unknown type `{name}` in `_type`"))?;
        if !names.contains(known) {
            names.push(*known);
        }
    }
    Ok(names)
}

/// What makes a row a patient's: any of these.
fn inside(name: &str, id: &str, base: &str) -> Result<Vec<Query>, String> {
    let codes = PATIENT.iter().find(|(known, _)| *known == name);
    let mut any = Vec::new();
    for code in codes.map_or(&[][..], |(_, codes)| codes) {
        let pair = ((*code).to_owned(), format!("Patient/{id}"));
        any.push(Query::parse(name, &[pair], base, false)?);
    }
    if name == "Patient" {
        let pair = ("_id".to_owned(), id.to_owned());
        any.push(Query::parse(name, &[pair], base, false)?);
    }
    Ok(any)
}

/// Written by hand: the entries are the stored bytes.
fn bundle(base: &str, total: Option<usize>, links: &[(&str, String)], page: &[&Row]) -> Bytes {
    let size: usize = page
        .iter()
        .map(|row| row.body.len() + base.len() + 128)
        .sum();
    let mut out = Vec::with_capacity(size + 1024);
    start(&mut out, "searchset", total, links);
    for (place, row) in page.iter().enumerate() {
        let start = if place == 0 { r#","entry":["# } else { "," };
        out.extend_from_slice(
            format!(
                r#"{start}{{"fullUrl":"{base}/{}/{}","resource":"#,
                row.name, row.id
            )
            .as_bytes(),
        );
        out.extend_from_slice(&row.body);
        out.extend_from_slice(br#","search":{"mode":"match"}}"#);
    }
    if !page.is_empty() {
        out.push(b']');
    }
    out.push(b'}');
    out.into()
}

/// A Bundle up to its entries.
pub(crate) fn start(out: &mut Vec<u8>, kind: &str, total: Option<usize>, links: &[(&str, String)]) {
    out.extend_from_slice(format!(r#"{{"resourceType":"Bundle","type":"{kind}""#).as_bytes());
    if let Some(total) = total {
        out.extend_from_slice(format!(r#","total":{total}"#).as_bytes());
    }
    for (place, (relation, url)) in links.iter().enumerate() {
        let start = if place == 0 { r#","link":["# } else { "," };
        let url = Value::from(url.as_str());
        out.extend_from_slice(
            format!(r#"{start}{{"relation":"{relation}","url":{url}}}"#).as_bytes(),
        );
    }
    if !links.is_empty() {
        out.push(b']');
    }
}

/// A page token: opaque to callers, all this server needs to go on. Rows that come or go don't move it.
fn seal(query: &str, from: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{from}\n{query}"))
}

fn open(token: &str) -> Option<(String, u64)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (from, query) = text.split_once('\n')?;
    Some((query.to_owned(), from.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::row::How;
    use super::*;

    const BASE: &str = "http://127.0.0.1:1/fhir";

    fn page(store: &Store, text: &str) -> Value {
        let bundle = search(store, BASE, Scope::Type("Slot"), text, Handling::Unsaid);
        serde_json::from_slice(&bundle.unwrap()).unwrap()
    }

    fn store(rows: usize) -> Store {
        let mut store = Store::new();
        for at in 0..rows {
            let status = if at % 2 == 0 { "free" } else { "busy" };
            store
                .insert(json!({"resourceType": "Slot", "id": format!("s{at}"), "status": status}))
                .unwrap();
        }
        store
    }

    fn ids(bundle: &Value) -> Vec<String> {
        let mut ids = Vec::new();
        for entry in bundle["entry"].as_array().unwrap() {
            assert_eq!(entry["search"]["mode"], "match");
            let id = entry["resource"]["id"].as_str().unwrap();
            assert_eq!(entry["fullUrl"], format!("{BASE}/Slot/{id}"));
            ids.push(id.to_owned());
        }
        ids
    }

    fn next(bundle: &Value) -> Option<String> {
        let links = bundle["link"].as_array().unwrap();
        let next = links.iter().find(|link| link["relation"] == "next")?;
        Some(next["url"].as_str()?.split_once('?')?.1.to_owned())
    }

    #[test]
    fn pages_follow_one_another_and_end() {
        let store = store(9);
        let mut text = Some("status=free&_count=2".to_owned());
        let mut found = Vec::new();
        while let Some(asked) = text {
            let bundle = page(&store, &asked);
            assert_eq!(bundle["total"], 5);
            found.extend(ids(&bundle));
            text = next(&bundle);
        }
        assert_eq!(found, ["s0", "s2", "s4", "s6", "s8"]);
    }

    #[test]
    fn a_row_that_goes_between_two_pages_takes_none_of_the_others_along() {
        let mut store = store(9);
        let first = page(&store, "status=free&_count=2");
        store.write("Slot", "s0", How::Delete, 0, None).unwrap();
        store.write("Slot", "s4", How::Delete, 0, None).unwrap();
        let second = page(&store, &next(&first).unwrap());
        assert_eq!(ids(&second), ["s6", "s8"]);
    }

    #[test]
    fn an_empty_result_has_no_entry_and_no_next() {
        let bundle = page(&store(3), "status=none");
        assert_eq!(bundle["total"], 0);
        assert_eq!(bundle.get("entry"), None);
        assert_eq!(bundle["link"].as_array().unwrap().len(), 1);
        let bundle = page(&store(3), "_count=0&_total=accurate");
        assert_eq!((&bundle["total"], bundle.get("entry")), (&json!(3), None));
        assert_eq!(bundle["link"].as_array().unwrap().len(), 1);
        assert_eq!(page(&store(3), "_total=none").get("total"), None);
    }

    #[test]
    fn a_made_up_page_is_an_error() {
        for text in ["_page=x", "_page=", "_page=MA", "_page=MAo&status=free"] {
            let answer = search(&store(1), BASE, Scope::Type("Slot"), text, Handling::Unsaid);
            assert!(answer.is_err(), "{text}");
        }
    }
}
