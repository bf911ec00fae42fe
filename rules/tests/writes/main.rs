//! Writes: who may write what, and what a write can never do.

#[path = "../support/mod.rs"]
mod support;

mod conditions;
mod creates;
mod hostile;
mod rows;
mod scopes;

use std::sync::Arc;

use chartward_rules::pack::Program;
use chartward_rules::smart::Scopes;
use chartward_rules::subject::{Authority, Subject};
use serde_json::{Value, json};
use support::store::{Asks, Reply, Store, request};
use support::{pack, subject};

const PACK: &str = r#"
pack = "writes"
fhir = "R4"

[[role]]
name = "all"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Patient", "Observation", "Organization", "Medication", "MedicationRequest"]
  can = ["read", "search", "create", "update", "patch", "delete"]
  sensitive = ["*"]

[[role]]
name = "some"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Observation"]
  can = ["read", "search", "create", "update", "patch", "delete"]
  where = "status=final"
  [[role.grant]]
  on = ["Patient"]
  can = ["read", "search"]
  show = ["name", "identifier", "managingOrganization"]
  [[role.grant]]
  on = ["Patient"]
  can = ["create", "update", "patch", "delete"]

[[role]]
name = "feed"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Observation"]
  can = ["create"]
  show = ["code", "subject", "value[x]"]

[[role]]
name = "reader"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Observation"]
  can = ["read", "search"]

[[role]]
name = "unnamed"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Observation"]
  can = ["read", "search", "create", "update", "delete"]
  sensitive = ["*"]
"#;

fn store() -> Store {
    let observation = |id: &str, status: &str, extra: Value| {
        let mut row = json!({
            "resourceType": "Observation", "id": id, "status": status,
            "identifier": [{"value": id}],
            "code": {"text": "c"}, "subject": {"reference": "Patient/p1"},
        });
        if let (Some(row), Some(extra)) = (row.as_object_mut(), extra.as_object()) {
            row.extend(extra.clone());
        }
        row
    };
    Store::of(&[
        observation("open", "final", json!({})),
        observation("hidden", "preliminary", json!({})),
        observation(
            "labelled",
            "final",
            json!({"meta": {"security": [{"code": "R"}]}}),
        ),
        observation(
            "named",
            "final",
            json!({"subject": {"reference": "Patient/p1", "display": "Ann"}}),
        ),
        observation(
            "other",
            "final",
            json!({"subject": {"reference": "Patient/p2"}}),
        ),
        json!({"resourceType": "Patient", "id": "p1", "name": [{"family": "A"}], "birthDate": "1970-01-01"}),
    ])
}

fn row(id: Option<&str>, status: &str, note: &str) -> Value {
    let mut row = json!({
        "resourceType": "Observation", "status": status, "identifier": [{"value": "x"}],
        "code": {"text": "c"}, "subject": {"reference": "Patient/p1"}, "note": [{"text": note}],
    });
    if let Some(id) = id {
        row["id"] = json!(id);
    }
    row
}

fn program() -> Arc<Program> {
    pack(PACK)
}

fn ask(role: &str, store: &mut Store, asks: &Asks<'_>) -> Reply {
    request(&program(), &subject(&[role]), store, asks)
}

fn scoped(role: &str, scopes: &str, patient: Option<&str>) -> Subject {
    Subject {
        scopes: Authority::Scoped(Scopes::parse(scopes, |_| true)),
        patient: patient.map(Into::into),
        ..subject(&[role])
    }
}

/// Status, reason, and what the server was asked.
fn outcome(reply: &Reply, store: &Store) -> (u16, String, Vec<String>) {
    (reply.status, reply.reason(), store.trace.clone())
}
