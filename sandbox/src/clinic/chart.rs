//! The chart: conditions, medications, vital signs, allergies, immunizations, procedures, team and plan.

use serde_json::{Value, json};

use super::build::{
    Build, ICD10, LOINC, Named, RXNORM, SNOMED, TERMINOLOGY, at, coding, concept, day, decimal,
    hl7, quantity,
};
use super::codes::{
    ALLERGIES, CHRONIC, Drug, Measure, PROCEDURES, Problem, REACTIONS, VACCINES, VITALS,
};
use super::people::Patient;
use super::staff::Staff;
use super::visits::Visit;

/// Writes a patient's chart; gives the conditions that are on the problem list.
pub(crate) fn keep(
    build: &mut Build,
    staff: &Staff,
    patient: &Patient,
    visits: &[Visit],
) -> Vec<Named> {
    let (mut conditions, mut drugs) = (0, 0);
    for visit in visits {
        conditions += 1;
        let id = format!("cond-{}-{conditions}", patient.tag);
        build.put(diagnosis(patient, &id, visit), visit.day);
        if let Some(drug) = visit.problem.drug {
            drugs += 1;
            let id = format!("med-{}-{drugs}", patient.tag);
            build.put(
                prescription(patient, &id, drug, visit.problem, visit.day, "completed"),
                visit.day,
            );
        }
        vitals(build, patient, visit);
    }
    let first = build.rng.between(0, 12);
    let mut problems = Vec::new();
    for step in 0..build.rng.between(1, 3) {
        let at = usize::try_from((first + step * 4) % 13).unwrap_or(0);
        let problem = &CHRONIC[at];
        conditions += 1;
        let id = format!("cond-{}-{conditions}", patient.tag);
        let since = -build.rng.between(300, 4000);
        build.put(listed(patient, &id, problem, since), since);
        problems.push(Named::new(format!("Condition/{id}"), problem.name));
        if let Some(drug) = problem.drug {
            drugs += 1;
            let id = format!("med-{}-{drugs}", patient.tag);
            let day = -build.rng.between(5, 200);
            build.put(
                prescription(patient, &id, drug, problem, day, "active"),
                day,
            );
        }
    }
    allergies(build, patient);
    immunizations(build, staff, patient);
    procedures(build, staff, patient, visits);
    team(build, staff, patient);
    plan(build, patient, &problems);
    problems
}

/// A condition, as encounter diagnosis or on the problem list.
pub(crate) fn condition(
    patient: &Patient,
    id: &str,
    problem: &Problem,
    category: (&str, &str),
    since: i64,
) -> Value {
    json!({
        "resourceType": "Condition",
        "id": id,
        "text": patient.narrative(problem.name),
        "clinicalStatus": hl7("condition-clinical", "active", "Active"),
        "verificationStatus": hl7("condition-ver-status", "confirmed", "Confirmed"),
        "category": [hl7("condition-category", category.0, category.1)],
        "code": {
            "coding": [coding(SNOMED, problem.snomed, problem.name), coding(ICD10, problem.icd10, problem.name)],
            "text": problem.name,
        },
        "subject": patient.named.refer(),
        "onsetDateTime": day(since),
        "recordedDate": day(since),
        "recorder": patient.physician.refer(),
    })
}

fn diagnosis(patient: &Patient, id: &str, visit: &Visit) -> Value {
    let mut condition = condition(
        patient,
        id,
        visit.problem,
        ("encounter-diagnosis", "Encounter Diagnosis"),
        visit.day,
    );
    condition["encounter"] = visit.encounter.clone();
    if visit.day < -60 {
        condition["clinicalStatus"] = hl7("condition-clinical", "resolved", "Resolved");
        condition["abatementDateTime"] = day(visit.day + 14).into();
    }
    condition
}

fn listed(patient: &Patient, id: &str, problem: &Problem, since: i64) -> Value {
    let mut condition = condition(
        patient,
        id,
        problem,
        ("problem-list-item", "Problem List Item"),
        since,
    );
    condition["note"] = json!([{"text": format!("{} follows up with {}", patient.named.display, patient.physician.display)}]);
    condition
}

/// A MedicationRequest.
pub(crate) fn prescription(
    patient: &Patient,
    id: &str,
    drug: Drug,
    problem: &Problem,
    authored: i64,
    status: &str,
) -> Value {
    json!({
        "resourceType": "MedicationRequest",
        "id": id,
        "status": status,
        "intent": "order",
        "category": [hl7("medicationrequest-category", "outpatient", "Outpatient")],
        "medicationCodeableConcept": concept(RXNORM, drug.rxnorm, drug.name),
        "subject": patient.named.refer(),
        "authoredOn": at(authored, 11, 0),
        "requester": patient.physician.refer(),
        "reasonCode": [concept(SNOMED, problem.snomed, problem.name)],
        "dosageInstruction": [{"text": drug.dose}],
        "dispenseRequest": {"numberOfRepeatsAllowed": 2, "quantity": {"value": 30}},
    })
}

fn vitals(build: &mut Build, patient: &Patient, visit: &Visit) {
    let (systolic, diastolic) = (build.rng.between(104, 158), build.rng.between(62, 96));
    let pressure = |code: &str, name: &str, value: i64| json!({"code": concept(LOINC, code, name), "valueQuantity": quantity(value.into(), "mmHg", "mm[Hg]")});
    let mut panel = observation(
        patient,
        ("vital-signs", "Vital Signs"),
        ("85354-9", "Blood pressure panel"),
        visit.day,
    );
    panel["encounter"] = visit.encounter.clone();
    panel["performer"] = json!([patient.nurse.refer()]);
    panel["component"] = json!([
        pressure("8480-6", "Systolic blood pressure", systolic),
        pressure("8462-4", "Diastolic blood pressure", diastolic),
    ]);
    build.put(panel, visit.day);
    let count = if build.rng.chance(40) {
        VITALS.len()
    } else {
        3
    };
    for measure in VITALS.iter().take(count) {
        let mut vital = measured(
            build,
            patient,
            ("vital-signs", "Vital Signs"),
            measure,
            visit.day,
        );
        vital["encounter"] = visit.encounter.clone();
        vital["performer"] = json!([patient.nurse.refer()]);
        build.put(vital, visit.day);
    }
}

/// An observation of a measurement.
pub(crate) fn measured(
    build: &mut Build,
    patient: &Patient,
    category: (&str, &str),
    measure: &Measure,
    day: i64,
) -> Value {
    let value = decimal(build.rng.between(measure.low, measure.high), measure.places);
    let mut found = observation(patient, category, (measure.loinc, measure.name), day);
    found["valueQuantity"] = quantity(value, measure.unit, measure.ucum);
    found
}

/// An observation without its value.
pub(crate) fn observation(
    patient: &Patient,
    category: (&str, &str),
    code: (&str, &str),
    day: i64,
) -> Value {
    json!({
        "resourceType": "Observation",
        "id": patient.observation(),
        "text": patient.narrative(code.1),
        "status": "final",
        "category": [hl7("observation-category", category.0, category.1)],
        "code": concept(LOINC, code.0, code.1),
        "subject": patient.named.refer(),
        "effectiveDateTime": at(day, 9, 10),
        "issued": at(day, 9, 45),
    })
}

fn allergies(build: &mut Build, patient: &Patient) {
    let count = if patient.number == 1 {
        2
    } else {
        build.rng.between(0, 2)
    };
    let first = build.rng.between(0, 2);
    for number in 1..=count {
        let at = usize::try_from(first + number).unwrap_or(0);
        let (code, name, category, criticality) = ALLERGIES[at % ALLERGIES.len()];
        let (reaction, reaction_name) = *build.rng.pick(REACTIONS);
        let since = -build.rng.between(200, 6000);
        build.put(
            json!({
                "resourceType": "AllergyIntolerance",
                "id": format!("alg-{}-{number}", patient.tag),
                "clinicalStatus": hl7("allergyintolerance-clinical", "active", "Active"),
                "verificationStatus": hl7("allergyintolerance-verification", "confirmed", "Confirmed"),
                "type": "allergy",
                "category": [category],
                "criticality": criticality,
                "code": concept(SNOMED, code, name),
                "patient": patient.named.refer(),
                "recordedDate": day(since),
                "recorder": patient.physician.refer(),
                "reaction": [{
                    "manifestation": [concept(SNOMED, reaction, reaction_name)],
                    "severity": if criticality == "high" { "severe" } else { "mild" },
                }],
            }),
            since,
        );
    }
}

fn immunizations(build: &mut Build, staff: &Staff, patient: &Patient) {
    for number in 1..=build.rng.between(1, 3) {
        let (code, name) = *build.rng.pick(VACCINES);
        let given = -build.rng.between(30, 900);
        let lot = format!("LOT{}", build.rng.between(1000, 9999));
        build.put(
            json!({
                "resourceType": "Immunization",
                "id": format!("imm-{}-{number}", patient.tag),
                "status": "completed",
                "vaccineCode": concept("http://hl7.org/fhir/sid/cvx", code, name),
                "patient": patient.named.refer(),
                "occurrenceDateTime": day(given),
                "primarySource": true,
                "location": staff.rooms[patient.team].refer(),
                "lotNumber": lot,
                "site": hl7("v3-ActSite", "LA", "left arm"),
                "performer": [{"actor": patient.nurse.refer()}],
            }),
            given,
        );
    }
}

fn procedures(build: &mut Build, staff: &Staff, patient: &Patient, visits: &[Visit]) {
    let Some(visit) = visits
        .first()
        .filter(|_| patient.number == 1 || build.rng.chance(60))
    else {
        return;
    };
    let (code, name) = *build.rng.pick(PROCEDURES);
    build.put(
        json!({
            "resourceType": "Procedure",
            "id": format!("proc-{}-1", patient.tag),
            "status": "completed",
            "category": concept(SNOMED, "103693007", "Diagnostic procedure"),
            "code": concept(SNOMED, code, name),
            "subject": patient.named.refer(),
            "encounter": visit.encounter,
            "performedPeriod": {"start": at(visit.day, 10, 0), "end": at(visit.day, 10, 35)},
            "performer": [{"actor": patient.physician.refer()}],
            "location": staff.rooms[patient.team].refer(),
            "reasonCode": [concept(SNOMED, visit.problem.snomed, visit.problem.name)],
        }),
        visit.day,
    );
}

fn team(build: &mut Build, staff: &Staff, patient: &Patient) {
    let active = patient.number % 10 != 5;
    let member = |role: (&str, &str), who: &Named| json!({"role": [concept(SNOMED, role.0, role.1)], "member": who.refer()});
    let mut period = json!({"start": day(-700)});
    if !active {
        period["end"] = day(-40).into();
    }
    build.put(
        json!({
            "resourceType": "CareTeam",
            "id": format!("ct-{}-1", patient.tag),
            "status": if active { "active" } else { "inactive" },
            "category": [concept(LOINC, "LA27976-2", "Encounter-focused care team")],
            "name": format!("Care team of {}", patient.named.display),
            "subject": patient.named.refer(),
            "period": period,
            "participant": [
                member(("309343006", "Physician"), &patient.physician),
                member(("224535009", "Registered nurse"), &patient.nurse),
                member(("116154003", "Patient"), &patient.named),
            ],
            "managingOrganization": [staff.clinic.refer()],
        }),
        -40,
    );
}

fn plan(build: &mut Build, patient: &Patient, problems: &[Named]) {
    let Some(problem) = problems.first() else {
        return;
    };
    build.put(
        json!({
            "resourceType": "CarePlan",
            "id": format!("cp-{}-1", patient.tag),
            "text": patient.narrative(&problem.display),
            "status": "active",
            "intent": "plan",
            "category": [{
                "coding": [coding("http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "assess-plan", "Assessment and Plan of Treatment")],
            }],
            "title": format!("Plan for {}", problem.display),
            "subject": patient.named.refer(),
            "period": {"start": day(-180)},
            "author": patient.physician.refer(),
            "careTeam": [{"reference": format!("CareTeam/ct-{}-1", patient.tag)}],
            "addresses": [problem.refer()],
            "activity": [{"detail": {
                "kind": "Appointment",
                "code": concept(SNOMED, "390906007", "Follow-up encounter"),
                "status": "scheduled",
                "scheduledPeriod": {"start": day(-180), "end": day(180)},
                "performer": [patient.physician.refer()],
                "description": format!("See {} every three months", patient.physician.display),
            }}],
        }),
        -180,
    );
}

/// The label of a confidentiality or sensitivity code.
pub(crate) fn label(system: &str, code: &str, display: &str) -> Value {
    coding(&format!("{TERMINOLOGY}/{system}"), code, display)
}
