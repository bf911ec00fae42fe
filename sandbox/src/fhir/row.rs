//! One resource as stored, one version of it, and the marks (`meta`) that the server puts on both.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use serde_json::{Map, Value};

use super::dates;
use super::values::Values;

/// `lastUpdated` of a resource that is loaded without one.
const UPDATED: &str = "2026-03-01T08:00:00Z";

/// One resource.
#[derive(Debug)]
pub struct Row {
    /// Its type.
    pub name: &'static str,
    /// Its logical id.
    pub id: Box<str>,
    /// Its JSON, as a read gives it.
    pub body: Bytes,
    /// The same, parsed.
    pub resource: Value,
    pub(crate) stamp: Stamp,
    /// Where it stands among all rows; kept by updates, new after a deletion.
    pub(crate) place: u64,
    /// In the order of the type's `PARAMS`.
    pub(crate) values: Vec<Values>,
}

/// One version of a resource; its deletion is one too.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) name: &'static str,
    pub(crate) id: Box<str>,
    pub(crate) how: How,
    /// Where it stands among all versions of the store.
    pub(crate) seq: u64,
    pub(crate) stamp: Stamp,
    /// `None` for a deletion.
    pub(crate) row: Option<Arc<Row>>,
}

/// Which interaction made a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Create,
    /// An update that created; a row that was loaded counts as one.
    UpdateAsCreate,
    Update,
    Patch,
    Delete,
}

impl How {
    /// The HTTP method.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Create => "POST",
            Self::UpdateAsCreate | Self::Update => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The status that it was answered with.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Create | Self::UpdateAsCreate => "201 Created",
            Self::Update | Self::Patch => "200 OK",
            Self::Delete => "204 No Content",
        }
    }
}

/// Version and time, in every form that answers need.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    pub(crate) version: Box<str>,
    /// An instant, as `meta.lastUpdated` has it.
    pub(crate) updated: Box<str>,
    /// The same in milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) etag: HeaderValue,
    pub(crate) modified: HeaderValue,
}

impl Stamp {
    /// `None` if either isn't what FHIR allows there.
    pub(crate) fn new(version: &str, updated: &str) -> Option<Self> {
        let at = dates::span(updated).filter(|_| updated.contains('T'))?.0;
        Some(Self {
            version: Some(version).filter(|version| is_id(version))?.into(),
            updated: updated.into(),
            at,
            etag: HeaderValue::try_from(format!("W/\"{version}\"")).ok()?,
            modified: HeaderValue::try_from(dates::http_date(at)?).ok()?,
        })
    }

    /// Of a version that is made at `at`, in milliseconds since 1970.
    pub(crate) fn at(version: &str, at: i64) -> Option<Self> {
        Self::new(version, &dates::instant(at)?)
    }

    /// What a resource that is loaded brings along, completed.
    pub(crate) fn brought(resource: &Value) -> Option<Self> {
        let meta = resource.get("meta");
        if meta.is_some_and(|meta| !meta.is_object()) {
            return None;
        }
        let text = |key, missing| match meta.and_then(|meta| meta.get(key)) {
            Some(value) => value.as_str(),
            None => Some(missing),
        };
        Self::new(text("versionId", "1")?, text("lastUpdated", UPDATED)?)
    }

    /// Writes type, id and `meta` first, as servers do.
    pub(crate) fn put_on(&self, name: &str, id: &str, resource: Value) -> Option<Value> {
        let Value::Object(mut fields) = resource else {
            return None;
        };
        let mut meta = Map::new();
        meta.insert("versionId".into(), (*self.version).into());
        meta.insert("lastUpdated".into(), (*self.updated).into());
        match fields.shift_remove("meta") {
            Some(Value::Object(mut rest)) => {
                rest.shift_remove("versionId");
                rest.shift_remove("lastUpdated");
                meta.extend(rest);
            }
            Some(_) => return None,
            None => {}
        }
        fields.shift_remove("resourceType");
        fields.shift_remove("id");
        let mut whole = Map::new();
        whole.insert("resourceType".into(), name.into());
        whole.insert("id".into(), id.into());
        whole.insert("meta".into(), Value::Object(meta));
        whole.extend(fields);
        Some(Value::Object(whole))
    }
}

/// FHIR R4 §2.24.0.1: `[A-Za-z0-9\-\.]{1,64}`.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}
