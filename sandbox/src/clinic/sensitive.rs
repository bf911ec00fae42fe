//! Rows that are labelled in `meta.security`: behavioural health for each tenth patient, and a few
//! whose sensitivity packs seldom name.

use serde_json::{Value, json};

use super::build::{
    Build, LOINC, Named, SNOMED, TERMINOLOGY, at, coding, concept, day, hl7, quantity,
};
use super::chart::{condition, label, observation, prescription};
use super::codes::{BEHAVIOURAL, HIV};
use super::orders::document;
use super::people::Patient;
use super::staff::Staff;
use super::visits::participant;

/// Writes what is labelled of a patient, if anything is.
pub(crate) fn keep(build: &mut Build, staff: &Staff, patient: &Patient) {
    if patient.number % 10 == 1 {
        behavioural(build, staff, patient);
    }
    if patient.number % 40 == 21 {
        let id = format!("cond-{}-hiv", patient.tag);
        let row = condition(
            patient,
            &id,
            &HIV,
            ("problem-list-item", "Problem List Item"),
            -1200,
        );
        build.put(
            labelled(row, &[("HIV", "HIV/AIDS information sensitivity")]),
            -1200,
        );
    }
    if patient.number % 20 == 11 {
        let text = format!(
            "{} works in this house; open only as needed.",
            patient.named.display
        );
        let row = document(staff, patient, "r", ("34109-9", "Note"), &text, -90);
        build.put(labelled(row, &[]), -90);
    }
}

fn behavioural(build: &mut Build, staff: &Staff, patient: &Patient) {
    let turn = patient.number / 10;
    let (code, problem) = &BEHAVIOURAL[turn % BEHAVIOURAL.len()];
    let therapist = if *code == "SUD" {
        &staff.therapists[2]
    } else {
        &staff.therapists[turn % 2]
    };
    let labels: &[(&str, &str)] = match *code {
        "PSY" => &[("PSY", "psychiatry disorder information sensitivity")],
        "SUD" => &[("SUD", "substance use disorder information sensitivity")],
        _ => &[("MH", "mental health information sensitivity")],
    };
    let since = -build.rng.between(200, 900);
    let seen = -build.rng.between(8, 60);
    let id = |kind: &str| format!("{kind}-{}-bh", patient.tag);

    let encounter = Named::new(
        format!("Encounter/{}", id("enc")),
        "Behavioral health visit",
    );
    let visit = json!({
        "resourceType": "Encounter",
        "id": id("enc"),
        "text": patient.narrative(problem.name),
        "status": "finished",
        "class": coding(&format!("{TERMINOLOGY}/v3-ActCode"), "AMB", "ambulatory"),
        "type": [concept(SNOMED, "390906007", "Follow-up encounter")],
        "subject": patient.named.refer(),
        "participant": [{"individual": therapist.refer()}],
        "period": {"start": at(seen, 13, 0), "end": at(seen, 13, 50)},
        "reasonCode": [concept(SNOMED, problem.snomed, problem.name)],
        "location": [{"location": staff.behavioural.refer()}],
        "serviceProvider": staff.clinic.refer(),
    });
    let mut diagnosis = condition(
        patient,
        &id("cond"),
        problem,
        ("encounter-diagnosis", "Encounter Diagnosis"),
        since,
    );
    diagnosis["encounter"] = encounter.refer();
    diagnosis["recorder"] = therapist.refer();

    let mut score = observation(
        patient,
        ("survey", "Survey"),
        ("44261-6", "Patient Health Questionnaire 9 item total score"),
        seen,
    );
    score["id"] = id("obs").into();
    score["encounter"] = encounter.refer();
    score["performer"] = json!([therapist.refer()]);
    score["valueQuantity"] = quantity(build.rng.between(5, 22).into(), "{score}", "{score}");

    let text = format!(
        "{}, born {}, session with {} about {}. Next session in two weeks.",
        patient.named.display,
        patient.born,
        therapist.display,
        problem.name.to_lowercase()
    );
    let mut note = document(
        staff,
        patient,
        "bh",
        ("34788-0", "Psychiatry Consult note"),
        &text,
        seen,
    );
    note["author"] = json!([therapist.refer()]);

    let mut rows = vec![visit, diagnosis, score, note];
    if let Some(drug) = problem.drug {
        let mut order = prescription(patient, &id("med"), drug, problem, seen, "active");
        order["requester"] = therapist.refer();
        rows.push(order);
    }
    rows.push(json!({
        "resourceType": "CareTeam",
        "id": id("ct"),
        "status": "active",
        "category": [concept(LOINC, "LA28865-6", "Longitudinal care-coordination focused care team")],
        "name": format!("Behavioral health team of {}", patient.named.display),
        "subject": patient.named.refer(),
        "period": {"start": day(since)},
        "participant": [
            {"role": [concept(SNOMED, "80584001", "Psychiatrist")], "member": therapist.refer()},
            {"member": patient.named.refer()},
        ],
    }));
    rows.push(json!({
        "resourceType": "CarePlan",
        "id": id("cp"),
        "status": "active",
        "intent": "plan",
        "title": format!("Plan for {}", problem.name),
        "subject": patient.named.refer(),
        "period": {"start": day(since)},
        "author": therapist.refer(),
        "careTeam": [{"reference": format!("CareTeam/{}", id("ct"))}],
        "addresses": [{"reference": format!("Condition/{}", id("cond")), "display": problem.name}],
    }));
    rows.push(json!({
        "resourceType": "Appointment",
        "id": id("appt"),
        "text": patient.narrative(problem.name),
        "status": "booked",
        "serviceType": [concept(SNOMED, "390906007", "Follow-up encounter")],
        "appointmentType": hl7("v2-0276", "FOLLOWUP", "A follow up visit from a previous appointment"),
        "reasonCode": [concept(SNOMED, problem.snomed, problem.name)],
        "reasonReference": [{"reference": format!("Condition/{}", id("cond")), "display": problem.name}],
        "description": "Office visit",
        "start": at(14, 13, 0),
        "end": at(14, 13, 50),
        "participant": [participant(&patient.named), participant(therapist), participant(&staff.behavioural)],
    }));
    for row in rows {
        build.put(labelled(row, labels), seen);
    }
}

/// The row with these sensitivity labels, and restricted.
fn labelled(mut row: Value, labels: &[(&str, &str)]) -> Value {
    let mut security: Vec<Value> = labels
        .iter()
        .map(|(code, name)| label("v3-ActCode", code, name))
        .collect();
    security.push(label("v3-Confidentiality", "R", "restricted"));
    row["meta"] = json!({"security": security});
    row
}
