//! Laboratory orders, their reports and results, and the notes of visits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::build::{Build, LOINC, Named, SNOMED, at, concept, hl7};
use super::chart::measured;
use super::codes::{PANELS, Panel};
use super::people::Patient;
use super::staff::Staff;
use super::visits::Visit;

/// An order that waits (for each third patient one that was taken back), an order that was done with
/// its report and results, and the note of the last visit.
pub(crate) fn order(
    build: &mut Build,
    staff: &Staff,
    patient: &Patient,
    visits: &[Visit],
    problems: &[Named],
) {
    let Some(visit) = visits.last() else { return };
    let waiting = build.rng.pick(PANELS);
    let status = if patient.number.is_multiple_of(3) {
        "revoked"
    } else {
        "active"
    };
    let ordered = visit.day.max(-20);
    build.put(
        request(
            staff, patient, "1", status, waiting, visit, ordered, problems,
        ),
        ordered,
    );

    let done = build.rng.pick(PANELS);
    build.put(
        request(
            staff,
            patient,
            "2",
            "completed",
            done,
            visit,
            visit.day,
            problems,
        ),
        visit.day,
    );
    report(build, staff, patient, done, visit);
    note(build, staff, patient, visit);
}

#[expect(clippy::too_many_arguments, reason = "what an order consists of")]
fn request(
    staff: &Staff,
    patient: &Patient,
    number: &str,
    status: &str,
    panel: &Panel,
    visit: &Visit,
    authored: i64,
    problems: &[Named],
) -> Value {
    let mut request = json!({
        "resourceType": "ServiceRequest",
        "id": format!("sr-{}-{number}", patient.tag),
        "identifier": [{"system": "https://clinic.example/order", "value": format!("O{}{number}", patient.tag)}],
        "status": status,
        "intent": "order",
        "category": [concept(SNOMED, "108252007", "Laboratory procedure")],
        "priority": if patient.number % 11 == 1 { "urgent" } else { "routine" },
        "code": concept(LOINC, panel.loinc, panel.name),
        "subject": patient.named.refer(),
        "encounter": visit.encounter,
        "occurrenceDateTime": at(authored + 1, 8, 0),
        "authoredOn": at(authored, 11, 20),
        "requester": patient.physician.refer(),
        "performer": [staff.laboratory.refer()],
        "reasonCode": [concept(SNOMED, visit.problem.snomed, visit.problem.name)],
    });
    if let Some(problem) = problems.first() {
        request["reasonReference"] = json!([problem.refer()]);
    }
    request
}

fn report(build: &mut Build, staff: &Staff, patient: &Patient, panel: &Panel, visit: &Visit) {
    let order = json!([{"reference": format!("ServiceRequest/sr-{}-2", patient.tag)}]);
    let mut results = Vec::new();
    for measure in panel.measures {
        let mut result = measured(
            build,
            patient,
            ("laboratory", "Laboratory"),
            measure,
            visit.day,
        );
        result["basedOn"] = order.clone();
        result["encounter"] = visit.encounter.clone();
        result["performer"] = json!([staff.laboratory.refer(), staff.technologist.refer()]);
        let id = result.get("id").and_then(Value::as_str).unwrap_or_default();
        results.push(json!({"reference": format!("Observation/{id}"), "display": measure.name}));
        build.put(result, visit.day);
    }
    build.put(
        json!({
            "resourceType": "DiagnosticReport",
            "id": format!("dr-{}-1", patient.tag),
            "text": patient.narrative(panel.name),
            "basedOn": order,
            "status": "final",
            "category": [hl7("v2-0074", "LAB", "Laboratory")],
            "code": concept(LOINC, panel.loinc, panel.name),
            "subject": patient.named.refer(),
            "encounter": visit.encounter,
            "effectiveDateTime": at(visit.day, 9, 10),
            "issued": at(visit.day, 14, 0),
            "performer": [staff.laboratory.refer()],
            "resultsInterpreter": [patient.physician.refer()],
            "result": results,
            "conclusion": format!("Reviewed with {}.", patient.named.display),
        }),
        visit.day,
    );
}

fn note(build: &mut Build, staff: &Staff, patient: &Patient, visit: &Visit) {
    let text = format!(
        "{}, born {}, came with {}. Examined by {}. Returns if it gets worse.",
        patient.named.display,
        patient.born,
        visit.problem.name.to_lowercase(),
        patient.physician.display
    );
    let mut note = document(
        staff,
        patient,
        "1",
        ("11506-3", "Progress note"),
        &text,
        visit.day,
    );
    note["context"] = json!({
        "encounter": [visit.encounter],
        "period": {"start": at(visit.day, 8, 0), "end": at(visit.day, 16, 0)},
    });
    build.put(note, visit.day);
}

/// A note with its text.
pub(crate) fn document(
    staff: &Staff,
    patient: &Patient,
    suffix: &str,
    kind: (&str, &str),
    text: &str,
    day: i64,
) -> Value {
    json!({
        "resourceType": "DocumentReference",
        "id": format!("doc-{}-{suffix}", patient.tag),
        "text": patient.narrative(kind.1),
        "status": "current",
        "docStatus": "final",
        "type": concept(LOINC, kind.0, kind.1),
        "category": [{"coding": [{
            "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
            "code": "clinical-note", "display": "Clinical Note",
        }]}],
        "subject": patient.named.refer(),
        "date": at(day, 12, 0),
        "author": [patient.physician.refer()],
        "custodian": staff.clinic.refer(),
        "description": format!("{} for {}", kind.1, patient.named.display),
        "content": [{"attachment": {
            "contentType": "text/plain; charset=utf-8",
            "language": "en",
            "data": STANDARD.encode(text),
            "size": text.len(),
            "title": format!("{} {}", kind.1, patient.named.display),
            "creation": at(day, 12, 0),
        }}],
    })
}
