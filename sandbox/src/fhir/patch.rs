//! JSON Patch (RFC 6902) on a row.

use hyper::StatusCode;
use json_patch::Patch;
use serde_json::Value;

use super::act::Fault;
use super::body;
use super::row::Row;

/// Reads a patch document.
pub(crate) fn read(body: &[u8]) -> Result<Patch, Fault> {
    let document = body::read(body)?;
    serde_json::from_value(document)
        .map_err(|_| Fault::bad("structure", "the body isn't a JSON Patch"))
}

/// 415: XML Patch and FHIRPath Patch aren't spoken here.
pub(crate) fn unsupported() -> Fault {
    let text = "a patch must be application/json-patch+json";
    Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-supported", text)
}

/// The row as the patch makes it, all of it or none. What it is and which it is stays.
pub(crate) fn apply(row: &Row, patch: &Patch) -> Result<Value, Fault> {
    let unfit = |text: String| Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "processing", text);
    let mut resource = row.resource.clone();
    // What fails halfway is thrown away with the copy.
    json_patch::patch_unsafe(&mut resource, patch)
        .map_err(|error| unfit(format!("operation {}: {}", error.operation, error.kind)))?;
    for key in ["resourceType", "id"] {
        if resource.get(key) != row.resource.get(key) {
            return Err(unfit(format!("a patch doesn't change `{key}`")));
        }
    }
    Ok(resource)
}
