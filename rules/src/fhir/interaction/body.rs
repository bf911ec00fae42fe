//! The body of a write: one resource or one patch, of a media type that is understood.
//!
//! In: a [`Request`]'s body and `Content-Type`. Out: a [`Body`] whose every element is known.
//! It is forwarded as it was written.

use bytes::Bytes;

use super::shape::{self, Shape};
use super::{Body, Request, patch};
use crate::fhir::tables::{TypeId, r4};
use crate::fhir::target;
use crate::mask::scan::skip_space;
use crate::refusal::{No, Reason};

const RESOURCE: &str = "application/fhir+json";
const PATCH: &str = "application/json-patch+json";

/// A resource of this type, and the `id` that it has.
pub(super) fn resource(request: &Request<'_>, due: TypeId) -> Result<(Body, Option<Box<str>>), No> {
    let bytes = json(request)?;
    shape::whole(bytes, r4().name(due), Shape::Resource(Some(due)))?;
    let start = skip_space(bytes, 0);
    let mut id = None;
    for (key, at, _) in shape::members(bytes, start)? {
        if key == "id" {
            let text = shape::string_at(bytes, at).filter(|text| target::is_id(text));
            let text = text.ok_or_else(|| No::named(Reason::NotUnderstood, "id"))?;
            id = Some(Box::from(&*text));
        }
    }
    Ok((Body::checked(bytes.clone()), id))
}

/// A patch of this type.
pub(super) fn patch(request: &Request<'_>, due: TypeId) -> Result<Body, No> {
    let bytes = present(request)?;
    match essence(request.content_type) {
        Some(essence) if essence == PATCH => {}
        Some(essence) if is_json(&essence) => {
            return Err(No::named(Reason::NotSupported, "FHIRPath Patch"));
        }
        _ => return Err(No::named(Reason::UnsupportedMediaType, PATCH)),
    }
    patch::check(bytes, due)?;
    Ok(Body::checked(bytes.clone()))
}

/// The bytes that are to be a resource in JSON.
pub(super) fn json<'a>(request: &Request<'a>) -> Result<&'a Bytes, No> {
    let bytes = present(request)?;
    if essence(request.content_type).is_some_and(|essence| is_json(&essence)) {
        Ok(bytes)
    } else {
        Err(No::named(Reason::UnsupportedMediaType, RESOURCE))
    }
}

fn present<'a>(request: &Request<'a>) -> Result<&'a Bytes, No> {
    request
        .body
        .filter(|bytes| !bytes.is_empty())
        .ok_or_else(|| No::new(Reason::NotUnderstood).because("no body"))
}

fn is_json(essence: &str) -> bool {
    matches!(essence, RESOURCE | "application/json")
}

/// Type and subtype in lower case, where what follows doesn't change how the bytes are read:
/// `charset` is UTF-8, `fhirVersion` is R4's.
fn essence(content_type: Option<&str>) -> Option<String> {
    let mut parts = content_type?.split(';').map(str::trim);
    let essence = parts.next()?.to_ascii_lowercase();
    let (mut charset, mut version) = (false, false);
    for part in parts {
        let (name, value) = part.split_once('=')?;
        let value = match value.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"')?,
            None => value,
        };
        let once = match &*name.to_ascii_lowercase() {
            "charset" => !std::mem::replace(&mut charset, true) && is_utf8(value),
            "fhirversion" => {
                !std::mem::replace(&mut version, true) && matches!(value, "4.0" | "4.0.1")
            }
            _ => !value.contains(['"', '\\']),
        };
        if !once {
            return None;
        }
    }
    Some(essence)
}

fn is_utf8(charset: &str) -> bool {
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}
