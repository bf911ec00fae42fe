//! The resources a server holds, each serialised once and indexed by its search parameters.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use http::HeaderValue;
use serde_json::{Map, Value};

use super::dates;
use super::params::PARAMS;
use super::values::Values;

/// `lastUpdated` of a resource that brings none.
const UPDATED: &str = "2026-03-01T08:00:00Z";

/// Resources by type and id, in the order they came.
#[derive(Debug, Default)]
pub struct Store {
    rows: BTreeMap<&'static str, Vec<Row>>,
    places: HashMap<String, (&'static str, usize)>,
}

/// One resource.
#[derive(Debug)]
pub struct Row {
    /// Its logical id.
    pub id: Box<str>,
    /// Its JSON, as a read gives it.
    pub body: Bytes,
    /// The same, parsed.
    pub resource: Value,
    pub(crate) etag: HeaderValue,
    pub(crate) modified: HeaderValue,
    /// In the order of the type's `PARAMS`.
    pub(crate) values: Vec<Values>,
}

/// Why a resource can't be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// No `resourceType`, or one this server doesn't know.
    Type,
    /// No `id`, or one that FHIR doesn't allow.
    Id,
    /// `meta.versionId` or `meta.lastUpdated` isn't one.
    Meta,
    /// Another has this type and id.
    Taken,
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Type => "resource type missing or not served",
            Self::Id => "resource id missing or malformed",
            Self::Meta => "resource meta malformed",
            Self::Taken => "resource id taken",
        })
    }
}

impl std::error::Error for Unfit {}

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a resource with an `id`. `meta.versionId` and `meta.lastUpdated` are added where missing.
    pub fn insert(&mut self, mut resource: Value) -> Result<(), Unfit> {
        let name = resource
            .get("resourceType")
            .and_then(Value::as_str)
            .ok_or(Unfit::Type)?;
        let (name, params) = PARAMS.get_key_value(name).ok_or(Unfit::Type)?;
        let id: Box<str> = resource
            .get("id")
            .and_then(Value::as_str)
            .filter(|id| is_id(id))
            .ok_or(Unfit::Id)?
            .into();
        let place = format!("{name}/{id}");
        if self.places.contains_key(&place) {
            return Err(Unfit::Taken);
        }
        let (version, updated) = stamp(&mut resource).ok_or(Unfit::Meta)?;
        let body = Bytes::from(resource.to_string());
        let values = params
            .iter()
            .map(|param| Values::of(&resource, param))
            .collect();
        let rows = self.rows.entry(name).or_default();
        self.places.insert(place, (name, rows.len()));
        rows.push(Row {
            id,
            body,
            resource,
            etag: version,
            modified: updated,
            values,
        });
        Ok(())
    }

    /// The resource at `Type/id`.
    pub fn get(&self, place: &str) -> Option<&Row> {
        let (name, at) = self.places.get(place)?;
        self.rows.get(name)?.get(*at)
    }

    /// All resources of a type, in the order they came.
    pub fn rows(&self, name: &str) -> &[Row] {
        self.rows.get(name).map_or(&[], Vec::as_slice)
    }

    /// The types that have resources.
    pub fn types(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.rows.keys().copied()
    }

    /// How many resources there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// FHIR R4 §2.24.0.1: `[A-Za-z0-9\-\.]{1,64}`.
fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

/// Completes `meta` and puts it third, after type and id, as servers do; gives ETag and Last-Modified.
fn stamp(resource: &mut Value) -> Option<(HeaderValue, HeaderValue)> {
    let mut fields = std::mem::take(resource.as_object_mut()?);
    let mut meta = match fields.shift_remove("meta") {
        Some(Value::Object(meta)) => meta,
        Some(_) => return None,
        None => Map::new(),
    };
    let version = meta.shift_remove("versionId").unwrap_or_else(|| "1".into());
    let updated = meta
        .shift_remove("lastUpdated")
        .unwrap_or_else(|| UPDATED.into());
    let etag = HeaderValue::try_from(format!("W/\"{}\"", version.as_str()?)).ok()?;
    let modified = dates::http_date(dates::span(updated.as_str()?)?.0)?;

    let mut stamped = Map::new();
    stamped.insert("versionId".into(), version);
    stamped.insert("lastUpdated".into(), updated);
    stamped.extend(meta);
    let mut whole = Map::new();
    for first in ["resourceType", "id"] {
        whole.insert(first.into(), fields.shift_remove(first)?);
    }
    whole.insert("meta".into(), Value::Object(stamped));
    whole.extend(fields);
    *resource = Value::Object(whole);
    Some((etag, HeaderValue::try_from(modified).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_is_stamped_and_served_as_it_was_written() {
        let mut store = Store::new();
        let text = r#"{"id":"a","resourceType":"Observation","status":"final","valueQuantity":{"value":1.0500}}"#;
        store.insert(serde_json::from_str(text).unwrap()).unwrap();
        let row = store.get("Observation/a").unwrap();
        let body = std::str::from_utf8(&row.body).unwrap();
        let start =
            r#"{"resourceType":"Observation","id":"a","meta":{"versionId":"1","lastUpdated":"#;
        assert!(body.starts_with(start), "{body}");
        assert!(body.contains("1.0500"), "{body}");
        assert_eq!(row.etag, "W/\"1\"");
        assert_eq!(row.modified, "Sun, 01 Mar 2026 08:00:00 GMT");
        assert!(store.get("Observation/b").is_none());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut store = Store::new();
        let slot = json!({"resourceType": "Slot", "id": "a"});
        assert_eq!(store.insert(slot.clone()), Ok(()));
        assert_eq!(store.insert(slot), Err(Unfit::Taken));
        assert_eq!(store.insert(json!({"id": "a"})), Err(Unfit::Type));
        assert_eq!(
            store.insert(json!({"resourceType": "Nothing", "id": "a"})),
            Err(Unfit::Type)
        );
        assert_eq!(
            store.insert(json!({"resourceType": "Slot", "id": "a/b"})),
            Err(Unfit::Id)
        );
        assert_eq!(
            store.insert(json!({"resourceType": "Slot"})),
            Err(Unfit::Id)
        );
        let meta = json!({"resourceType": "Slot", "id": "c", "meta": {"lastUpdated": "soon"}});
        assert_eq!(store.insert(meta), Err(Unfit::Meta));
        assert_eq!(store.len(), 1);
    }
}
