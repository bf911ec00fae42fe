//! The resources a server holds, each serialised once and indexed by its search parameters, and every
//! version they had.
//!
//! In: resources whose content others have judged. Out: rows and versions, shared, never changed.
//! A copy of a store is cheap and apart: what is done to one never shows in the other.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::params::PARAMS;
use super::row::{How, Row, Stamp, Version, is_id};
use super::values::Values;

/// Resources by type and id, in the order they came, and their versions.
#[derive(Debug, Default, Clone)]
pub struct Store {
    shelves: BTreeMap<&'static str, Arc<Shelf>>,
    /// Every version, in the order they were made.
    log: Arc<Vec<Arc<Version>>>,
    /// The latest `lastUpdated`, in milliseconds since 1970: time here never runs backwards.
    latest: i64,
    /// The number last given as an id.
    assigned: u64,
}

/// The resources of one type.
#[derive(Debug, Default, Clone)]
struct Shelf {
    /// The current ones, by `place`.
    rows: Vec<Arc<Row>>,
    /// By id, the oldest first, none of them empty.
    versions: HashMap<Box<str>, Vec<Arc<Version>>>,
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
    pub fn insert(&mut self, resource: Value) -> Result<(), Unfit> {
        let name = resource
            .get("resourceType")
            .and_then(Value::as_str)
            .ok_or(Unfit::Type)?;
        let name = *PARAMS.get_key_value(name).ok_or(Unfit::Type)?.0;
        let id: Box<str> = resource
            .get("id")
            .and_then(Value::as_str)
            .filter(|id| is_id(id))
            .ok_or(Unfit::Id)?
            .into();
        if self.last(name, &id).is_some() {
            return Err(Unfit::Taken);
        }
        let stamp = Stamp::brought(&resource).ok_or(Unfit::Meta)?;
        self.keep(name, &id, How::UpdateAsCreate, stamp, Some(resource))?;
        Ok(())
    }

    /// The resource at `Type/id`.
    pub fn get(&self, place: &str) -> Option<&Row> {
        let (name, id) = place.split_once('/')?;
        self.last(name, id)?.row.as_deref()
    }

    /// All resources of a type, in the order they came.
    pub fn rows(&self, name: &str) -> &[Arc<Row>] {
        self.shelves
            .get(name)
            .map_or(&[], |shelf| shelf.rows.as_slice())
    }

    /// The types that have resources.
    pub fn types(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.shelves
            .iter()
            .filter(|(_, shelf)| !shelf.rows.is_empty())
            .map(|(name, _)| *name)
    }

    /// How many resources there are.
    pub fn len(&self) -> usize {
        self.shelves.values().map(|shelf| shelf.rows.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every current resource by `Type/id`, for tests that compare stores.
    pub fn dump(&self) -> Value {
        let rows: BTreeMap<String, &Value> = self
            .shelves
            .values()
            .flat_map(|shelf| &shelf.rows)
            .map(|row| (format!("{}/{}", row.name, row.id), &row.resource))
            .collect();
        let rows: Map<String, Value> = rows
            .into_iter()
            .map(|(place, resource)| (place, resource.clone()))
            .collect();
        rows.into()
    }

    /// Every version in the order they were made: `{"place", "version", "method", "resource"}`, without
    /// `resource` for a deletion.
    pub fn dump_versions(&self) -> Value {
        let versions = self.log.iter().map(|version| {
            let mut one = json!({
                "place": format!("{}/{}", version.name, version.id),
                "version": version.stamp.version,
                "method": version.how.method(),
            });
            if let Some(row) = &version.row {
                one["resource"] = row.resource.clone();
            }
            one
        });
        Value::Array(versions.collect())
    }

    /// The last version of a resource, a deletion too.
    pub(crate) fn last(&self, name: &str, id: &str) -> Option<&Arc<Version>> {
        self.versions(name, id).last()
    }

    /// All versions of a resource, the oldest first.
    pub(crate) fn versions(&self, name: &str, id: &str) -> &[Arc<Version>] {
        self.shelves
            .get(name)
            .and_then(|shelf| shelf.versions.get(id))
            .map_or(&[], Vec::as_slice)
    }

    /// All versions of everything, in the order they were made.
    pub(crate) fn log(&self) -> &[Arc<Version>] {
        &self.log
    }

    /// An id that nothing of this type has or had.
    pub(crate) fn assign(&mut self, name: &str) -> String {
        loop {
            self.assigned += 1;
            let id = self.assigned.to_string();
            if self.last(name, &id).is_none() {
                return id;
            }
        }
    }

    /// The next version of a resource, made at `now`, in milliseconds since 1970; a deletion without
    /// `resource`. On an error nothing has changed.
    pub(crate) fn write(
        &mut self,
        name: &'static str,
        id: &str,
        how: How,
        now: i64,
        resource: Option<Value>,
    ) -> Result<Arc<Version>, Unfit> {
        if !is_id(id) {
            return Err(Unfit::Id);
        }
        let held = self.versions(name, id);
        let mut number = held.last().map_or(1, |last| {
            let last = last.stamp.version.parse::<u64>();
            last.map_or(held.len() as u64, |last| last.saturating_add(1))
        });
        // Loaded rows may bring version ids that aren't numbers.
        while held
            .iter()
            .any(|one| *one.stamp.version == number.to_string())
        {
            number = number.checked_add(1).ok_or(Unfit::Meta)?;
        }
        let stamp = Stamp::at(&number.to_string(), now.max(self.latest)).ok_or(Unfit::Meta)?;
        self.keep(name, id, how, stamp, resource)
    }

    fn keep(
        &mut self,
        name: &'static str,
        id: &str,
        how: How,
        stamp: Stamp,
        resource: Option<Value>,
    ) -> Result<Arc<Version>, Unfit> {
        let seq = self.log.len() as u64;
        let before = self.last(name, id).and_then(|last| last.row.clone());
        let row = match resource {
            None => None,
            Some(resource) => {
                let params = PARAMS.get(name).ok_or(Unfit::Type)?;
                let resource = stamp.put_on(name, id, resource).ok_or(Unfit::Meta)?;
                Some(Arc::new(Row {
                    name,
                    id: id.into(),
                    body: Bytes::from(resource.to_string()),
                    values: params
                        .iter()
                        .map(|param| Values::of(&resource, param))
                        .collect(),
                    resource,
                    stamp: stamp.clone(),
                    place: before.as_ref().map_or(seq, |before| before.place),
                }))
            }
        };
        self.latest = self.latest.max(stamp.at);
        let version = Arc::new(Version {
            name,
            id: id.into(),
            how,
            seq,
            stamp,
            row,
        });
        Arc::make_mut(&mut self.log).push(Arc::clone(&version));
        let shelf = Arc::make_mut(self.shelves.entry(name).or_default());
        let at = before.map(|before| shelf.rows.partition_point(|held| held.place < before.place));
        match (at, &version.row) {
            (Some(at), Some(row)) => shelf.rows[at] = Arc::clone(row),
            (Some(at), None) => {
                shelf.rows.remove(at);
            }
            (None, Some(row)) => shelf.rows.push(Arc::clone(row)),
            (None, None) => {}
        }
        shelf
            .versions
            .entry(id.into())
            .or_default()
            .push(Arc::clone(&version));
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(row.stamp.etag, "W/\"1\"");
        assert_eq!(row.stamp.modified, "Sun, 01 Mar 2026 08:00:00 GMT");
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
        for meta in [
            json!({"lastUpdated": "soon"}),
            json!({"versionId": 1}),
            json!("x"),
        ] {
            let slot = json!({"resourceType": "Slot", "id": "c", "meta": meta});
            assert_eq!(store.insert(slot), Err(Unfit::Meta));
        }
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn a_copy_is_apart_and_a_deleted_row_comes_back_last_with_a_new_version() {
        let mut store = Store::new();
        for id in ["a", "b", "c"] {
            store
                .insert(json!({"resourceType": "Slot", "id": id, "meta": {"versionId": "v.7"}}))
                .unwrap();
        }
        let before = store.clone();
        let ids =
            |store: &Store| -> String { store.rows("Slot").iter().map(|row| &*row.id).collect() };
        let slot = json!({"resourceType": "Slot", "id": "b", "status": "free"});
        let update = store.write("Slot", "b", How::Update, 0, Some(slot.clone()));
        assert_eq!(&*update.unwrap().stamp.version, "1");
        assert_eq!(ids(&store), "abc");
        let gone = store.write("Slot", "b", How::Delete, 0, None).unwrap();
        assert_eq!(&*gone.stamp.version, "2");
        assert_eq!(
            gone.stamp.at,
            before.rows("Slot")[0].stamp.at,
            "time never runs back"
        );
        assert_eq!(
            (ids(&store).as_str(), store.get("Slot/b").is_none()),
            ("ac", true)
        );
        let back = store.write("Slot", "b", How::UpdateAsCreate, 0, Some(slot));
        assert_eq!(&*back.unwrap().stamp.version, "3");
        assert_eq!(ids(&store), "acb");
        assert_eq!((ids(&before).as_str(), before.log().len()), ("abc", 3));
        assert_eq!(before.dump()["Slot/b"]["meta"]["versionId"], "v.7");
        assert_eq!(store.dump_versions()[4]["method"], "DELETE");
        assert_eq!(store.dump_versions()[4].get("resource"), None);
    }
}
