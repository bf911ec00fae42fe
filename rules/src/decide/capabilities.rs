//! `metadata`: what the gateway is, and to a known caller what he may do.

use serde_json::{Value, json};

use super::Service;
use super::stance::Stance;
use crate::fhir::tables::{ParamKind, r4};
use crate::pack::{Can, Program};
use crate::smart::Reach;
use crate::subject::{Kind, Subject};

/// What an interaction is called in a CapabilityStatement
/// (http://hl7.org/fhir/R4/valueset-type-restful-interaction.html).
const WORDS: [(Can, &str); 8] = [
    (Can::Read, "read"),
    (Can::Read, "vread"),
    (Can::Search, "search-type"),
    (Can::History, "history-instance"),
    (Can::Create, "create"),
    (Can::Update, "update"),
    (Can::Patch, "patch"),
    (Can::Delete, "delete"),
];

/// The CapabilityStatement as JSON text. Without rights it names no type.
pub(super) fn write(
    service: &Service,
    program: &Program,
    rights: Option<&Stance>,
    subject: &Subject,
) -> Vec<u8> {
    let known = subject.kind != Kind::Anonymous;
    let resources: Vec<Value> = match rights {
        Some(stance) if known => r4()
            .resources()
            .filter_map(|t| {
                let may = |can| stance.candidates(t, can).filter(|c| c.reach != Reach::None);
                let search = may(Can::Search);
                let interactions: Vec<Value> = WORDS
                    .into_iter()
                    .filter(|(can, _)| may(*can).is_some())
                    .map(|(_, code)| json!({"code": code}))
                    .collect();
                if interactions.is_empty() {
                    return None;
                }
                let mut resource = json!({"type": r4().name(t), "interaction": interactions});
                if let Some(candidates) = search {
                    let params: Vec<Value> = r4()
                        .params(t)
                        .iter()
                        .filter(|p| {
                            p.reads().is_some_and(|reads| {
                                reads
                                    .iter()
                                    .all(|path| program.shows(candidates, candidates.likely, path))
                            })
                        })
                        .map(|p| json!({"name": p.code, "type": kind(p.kind)}))
                        .collect();
                    if let Some(object) = resource.as_object_mut() {
                        object.insert("searchParam".into(), params.into());
                    }
                }
                Some(resource)
            })
            .collect(),
        _ => Vec::new(),
    };
    let mut rest = json!({
        "mode": "server",
        "security": {
            "cors": false,
            "service": [{"coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                "code": "SMART-on-FHIR"
            }]}]
        }
    });
    if let (false, Some(object)) = (resources.is_empty(), rest.as_object_mut()) {
        object.insert("resource".into(), resources.into());
        // each of them does what its parts may do
        let whole = ["batch", "transaction", "search-system", "history-system"];
        let whole = whole.map(|code| json!({"code": code}));
        object.insert("interaction".into(), json!(whole));
    }
    let statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-21",
        "kind": "instance",
        "software": {"name": "Chartward", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": "A gateway: answers hold what the caller may see", "url": &*service.base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [rest]
    });
    serde_json::to_vec(&statement).unwrap_or_default()
}

fn kind(kind: ParamKind) -> &'static str {
    match kind {
        ParamKind::Token => "token",
        ParamKind::String => "string",
        ParamKind::Reference => "reference",
        ParamKind::Date => "date",
        ParamKind::Number => "number",
        ParamKind::Quantity => "quantity",
        ParamKind::Uri => "uri",
        ParamKind::Composite => "composite",
        ParamKind::Special => "special",
    }
}
