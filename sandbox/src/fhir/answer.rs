//! The answers: resources, Bundles, outcomes, the statement of what the server can do.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::params::PARAMS;
use super::store::Row;
use crate::http1::Answer;

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");

/// A stored resource, whole.
pub(crate) fn read(row: &Row) -> Answer {
    let mut answer = json(StatusCode::OK, row.body.clone());
    answer.headers_mut().insert(ETAG, row.etag.clone());
    answer
        .headers_mut()
        .insert(LAST_MODIFIED, row.modified.clone());
    answer
}

/// An OperationOutcome of one error.
pub(crate) fn outcome(status: StatusCode, code: &str, diagnostics: &str) -> Answer {
    let outcome = json!({
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": code, "diagnostics": diagnostics}],
    });
    json(status, outcome.to_string().into())
}

/// FHIR JSON.
pub(crate) fn json(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, FHIR_JSON);
    answer
}

/// The CapabilityStatement.
pub(crate) fn capabilities(base: &str) -> Bytes {
    let resources: Vec<_> = PARAMS
        .iter()
        .map(|(name, params)| {
            let params: Vec<_> = params
                .iter()
                .map(|param| json!({"name": param.code, "type": param.kind.code()}))
                .collect();
            json!({
                "type": name,
                "interaction": [{"code": "read"}, {"code": "search-type"}],
                "versioning": "no-version",
                "searchParam": params,
            })
        })
        .collect();
    let statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-03-01",
        "kind": "instance",
        "software": {"name": "chartward sandbox"},
        "implementation": {"description": "synthetic clinic", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [{"mode": "server", "resource": resources}],
    });
    statement.to_string().into()
}
