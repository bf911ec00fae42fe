//! Whether a body may become a row of a type: as much of FHIR R4 as a sample server can hold callers to.
//!
//! What it can't say of a body: that codes are of their value sets, elements of their types, references lead somewhere.

use hyper::StatusCode;
use serde_json::Value;

use super::act::Fault;
use super::dates;
use super::params::{Kind, PARAMS};
use super::row::is_id;
use super::values;

/// Elements that a resource of the type must have (FHIR R4, cardinality 1..); `value[x]` is any of a choice.
const REQUIRED: [(&str, &[&str]); 14] = [
    ("AllergyIntolerance", &["patient"]),
    ("Appointment", &["status", "participant"]),
    ("CarePlan", &["status", "intent", "subject"]),
    ("Condition", &["subject"]),
    ("DiagnosticReport", &["status", "code"]),
    ("DocumentReference", &["status", "content"]),
    ("Encounter", &["status", "class"]),
    (
        "Immunization",
        &["status", "vaccineCode", "patient", "occurrence[x]"],
    ),
    (
        "MedicationRequest",
        &["status", "intent", "medication[x]", "subject"],
    ),
    ("Observation", &["status", "code"]),
    ("Procedure", &["status", "subject"]),
    ("Schedule", &["actor"]),
    ("ServiceRequest", &["status", "intent", "subject"]),
    ("Slot", &["schedule", "status", "start", "end"]),
];

/// Refuses a body that no resource of type `name` may have.
pub(crate) fn body(name: &str, resource: &Value) -> Result<(), Fault> {
    if !resource.is_object() {
        return Err(Fault::bad("structure", "the body isn't a resource"));
    }
    match resource.get("resourceType").and_then(Value::as_str) {
        None => return Err(Fault::bad("structure", "`resourceType` is missing")),
        Some(own) if own != name => {
            let text = format!("`resourceType` is `{own}`, the address says `{name}`");
            return Err(Fault::bad("invalid", text));
        }
        Some(_) => {}
    }
    if resource
        .get("id")
        .is_some_and(|id| !id.as_str().is_some_and(is_id))
    {
        return Err(Fault::bad("value", "`id` isn't an id"));
    }
    if resource.get("meta").is_some_and(|meta| !meta.is_object()) {
        return Err(Fault::bad("structure", "`meta` isn't an object"));
    }
    shape(name, resource)?;
    contained(resource)?;
    searched(name, resource)?;
    required(name, resource)
}

/// FHIR R4 §2.6.2: nothing is empty, and null only holds a place in an array.
fn shape(at: &str, value: &Value) -> Result<(), Fault> {
    let empty = match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty() || items.iter().all(Value::is_null),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    if empty {
        return Err(Fault::bad("structure", format!("`{at}` is empty")));
    }
    match value {
        Value::Array(items) => {
            for item in items.iter().filter(|item| !item.is_null()) {
                if item.is_array() {
                    let text = format!("`{at}` holds an array in an array");
                    return Err(Fault::bad("structure", text));
                }
                shape(at, item)?;
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                shape(name, field)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// FHIR R4 §2.3.8: contained resources have a type and an id and contain nothing.
fn contained(resource: &Value) -> Result<(), Fault> {
    let Some(held) = resource.get("contained") else {
        return Ok(());
    };
    let fits = held.as_array().is_some_and(|held| {
        held.iter().all(|inner| {
            let text = |key| inner.get(key).and_then(Value::as_str);
            text("resourceType").is_some()
                && text("id").is_some_and(is_id)
                && inner.get("contained").is_none()
        })
    });
    if fits {
        Ok(())
    } else {
        Err(Fault::bad("structure", "`contained` is malformed"))
    }
}

/// What is searched must be what its parameter takes, or the row couldn't be found by it.
fn searched(name: &str, resource: &Value) -> Result<(), Fault> {
    for param in PARAMS.get(name).into_iter().flatten() {
        for value in values::found(resource, param) {
            let fits = match (param.kind, value) {
                (Kind::Date, Value::String(text)) => dates::span(text).is_some(),
                (Kind::Reference, Value::Object(fields)) => fields
                    .get("reference")
                    .is_none_or(|reference| reference.is_string()),
                (Kind::Token, Value::String(_) | Value::Bool(_) | Value::Object(_))
                | (Kind::Text, Value::String(_) | Value::Object(_))
                | (Kind::Date, Value::Object(_))
                | (Kind::Uri, Value::String(_)) => true,
                _ => false,
            };
            if !fits {
                let text = format!("what `{}` searches has a malformed value", param.code);
                return Err(Fault::bad("value", text));
            }
        }
    }
    Ok(())
}

fn required(name: &str, resource: &Value) -> Result<(), Fault> {
    let Some(fields) = resource.as_object() else {
        return Ok(());
    };
    let needed = REQUIRED.iter().find(|(known, _)| *known == name);
    for element in needed.map_or(&[][..], |(_, elements)| elements) {
        let there = match element.strip_suffix("[x]") {
            // `_value[x]` stands for it too: a primitive may have extensions only.
            None => fields.contains_key(*element) || fields.contains_key(&format!("_{element}")),
            Some(stem) => fields
                .keys()
                .any(|key| key.trim_start_matches('_').starts_with(stem)),
        };
        if !there {
            return Err(Fault::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "required",
                format!("{name}.{element} is missing"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_clinic_fits() {
        let store = crate::clinic::seed(1);
        for row in store.types().flat_map(|name| store.rows(name)) {
            let fits = body(row.name, &row.resource);
            assert!(fits.is_ok(), "{}/{}: {fits:?}", row.name, row.id);
        }
    }

    #[test]
    fn what_no_resource_may_be_is_refused() {
        for (status, text) in [
            (400, json!([])),
            (400, json!({})),
            (400, json!({"resourceType": "Slot"})),
            (400, json!({"resourceType": "Condition", "id": "a b"})),
            (400, json!({"resourceType": "Condition", "id": 1})),
            (400, json!({"resourceType": "Condition", "meta": "x"})),
            (400, json!({"resourceType": "Condition", "subject": {}})),
            (400, json!({"resourceType": "Condition", "subject": null})),
            (400, json!({"resourceType": "Condition", "category": []})),
            (
                400,
                json!({"resourceType": "Condition", "note": [{"text": " "}]}),
            ),
            (
                400,
                json!({"resourceType": "Condition", "note": [[{"text": "x"}]]}),
            ),
            (
                400,
                json!({"resourceType": "Condition", "recordedDate": "soon"}),
            ),
            (400, json!({"resourceType": "Condition", "code": 1})),
            (
                400,
                json!({"resourceType": "Condition", "subject": "Patient/1"}),
            ),
            (
                400,
                json!({"resourceType": "Condition", "subject": {"reference": 1}}),
            ),
            (
                400,
                json!({"resourceType": "Condition", "contained": [{"id": "a"}]}),
            ),
            (422, json!({"resourceType": "Condition"})),
        ] {
            let fault = body("Condition", &text).unwrap_err();
            assert_eq!(fault.status.as_u16(), status, "{text}");
        }
        let slot = json!({"resourceType": "Immunization", "status": "completed", "vaccineCode": {"text": "x"},
            "patient": {"reference": "Patient/1"}, "_occurrenceDateTime": {"id": "x"}});
        assert!(body("Immunization", &slot).is_ok());
    }
}
