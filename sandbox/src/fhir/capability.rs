//! The CapabilityStatement: what this server does, and no more.

use bytes::Bytes;
use serde_json::{Value, json};

use super::params::PARAMS;

/// The statement of a server at `base`.
pub(crate) fn statement(base: &str) -> Bytes {
    let resources: Vec<_> = PARAMS
        .iter()
        .map(|(name, params)| {
            let params: Vec<_> = params
                .iter()
                .map(|param| json!({"name": param.code, "type": param.kind.code()}))
                .collect();
            json!({
                "type": name,
                "interaction": codes(&[
                    "read", "vread", "update", "patch", "delete", "history-instance",
                    "history-type", "create", "search-type",
                ]),
                "versioning": "versioned",
                "readHistory": true,
                "updateCreate": true,
                "conditionalCreate": true,
                "conditionalRead": "full-support",
                "conditionalUpdate": true,
                "conditionalDelete": "single",
                "referencePolicy": ["literal"],
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
        "patchFormat": ["application/json-patch+json"],
        "rest": [{
            "mode": "server",
            "resource": resources,
            "interaction": codes(&["transaction", "batch", "search-system", "history-system"]),
            "compartment": ["http://hl7.org/fhir/CompartmentDefinition/patient"],
        }],
    });
    statement.to_string().into()
}

fn codes(codes: &[&str]) -> Value {
    codes.iter().map(|code| json!({"code": code})).collect()
}
