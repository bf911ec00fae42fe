//! A made-up clinic, the same for the same seed: no outside data, nobody who exists.
//!
//! In: a seed. Out: a `Store` of about 200 patients with their charts. Ids follow from the patient's number,
//! whatever the seed: `pat-001` has `obs-001-01`, `cond-001-1`, `appt-001-1`, `ct-001-1`; `sr-001-1` is an
//! active lab order and `sr-001-2` a completed one. Each tenth patient from `pat-001` on has
//! behavioural-health rows that are labelled in `meta.security`.
//!
//! Patient `n` belongs to physician `prac-001` to `prac-006` and nurse `prac-007` to `prac-012` in turn, so
//! that `pat-001`, `pat-007`, `pat-013`… share a team. Today is 2 March 2026.

mod build;
mod chart;
mod codes;
mod orders;
mod people;
mod rng;
mod sensitive;
mod staff;
mod visits;
mod words;

use crate::fhir::Store;
use build::Build;

/// Patients in the clinic.
pub const PATIENTS: usize = 200;
/// A physician, in the care team of `PATIENT`.
pub const PHYSICIAN: &str = "Practitioner/prac-001";
/// A nurse, in the care team of `PATIENT`.
pub const NURSE: &str = "Practitioner/prac-007";
/// A nurse who has nothing to do with `PATIENT`.
pub const OTHER_NURSE: &str = "Practitioner/prac-008";
/// A patient whose chart has something of everything, labelled rows too.
pub const PATIENT: &str = "Patient/pat-001";
/// A patient outside the care of `NURSE`.
pub const OTHER_PATIENT: &str = "Patient/pat-002";

/// The clinic of this seed.
pub fn seed(seed: u64) -> Store {
    let mut build = Build::new(seed);
    let staff = staff::hire(&mut build);
    for number in 1..=PATIENTS {
        let patient = people::admit(&mut build, &staff, number);
        let visits = visits::visit(&mut build, &staff, &patient);
        let problems = chart::keep(&mut build, &staff, &patient, &visits);
        visits::book(&mut build, &staff, &patient, &problems);
        orders::order(&mut build, &staff, &patient, &visits, &problems);
        sensitive::keep(&mut build, &staff, &patient);
    }
    visits::open_slots(&mut build, &staff);
    build.store
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;
    use crate::fhir::PARAMS;

    fn each(store: &Store) -> impl Iterator<Item = &Value> {
        store
            .types()
            .flat_map(|name| store.rows(name))
            .map(|row| &row.resource)
    }

    fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a str, &'a Value)) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
            Value::Object(fields) => fields.iter().for_each(|(name, field)| {
                visit(name, field);
                walk(field, visit);
            }),
            _ => {}
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_clinic_and_another_gives_another() {
        let bodies = |number| -> Vec<_> {
            let store = seed(number);
            store
                .types()
                .flat_map(|name| store.rows(name))
                .map(|row| row.body.clone())
                .collect()
        };
        let first = bodies(7);
        assert_eq!(first, bodies(7));
        assert_ne!(first, bodies(8));
    }

    #[test]
    fn every_type_the_server_knows_is_there() {
        let store = seed(1);
        assert_eq!(store.rows("Patient").len(), PATIENTS);
        assert_eq!(
            store.types().collect::<Vec<_>>(),
            PARAMS.keys().copied().collect::<Vec<_>>()
        );
        assert!(store.len() > 4000, "{}", store.len());
        for place in ["pat-001", "pat-200"] {
            assert!(store.get(&format!("Patient/{place}")).is_some());
        }
        for place in [
            "Observation/obs-001-01",
            "Condition/cond-001-1",
            "Appointment/appt-001-1",
            "CareTeam/ct-001-1",
            "ServiceRequest/sr-001-1",
            "ServiceRequest/sr-001-2",
            "DiagnosticReport/dr-001-1",
            "DocumentReference/doc-001-1",
            "Encounter/enc-001-1",
            "Schedule/sched-001",
            "Slot/slot-001-01",
        ] {
            assert!(store.get(place).is_some(), "{place}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_has_a_display() {
        let store = seed(1);
        let mut checked = 0;
        for resource in each(&store) {
            walk(resource, &mut |name, value| {
                if name == "reference" {
                    let place = value.as_str().unwrap();
                    assert!(store.get(place).is_some(), "{} → {place}", resource["id"]);
                    checked += 1;
                }
                if let Some(place) = value.get("reference").and_then(Value::as_str)
                    && ["Patient", "Practitioner"].contains(&place.split('/').next().unwrap())
                {
                    assert!(
                        value.get("display").is_some(),
                        "{} → {place}",
                        resource["id"]
                    );
                }
            });
        }
        assert!(checked > 10_000, "{checked}");
    }

    #[test]
    fn mandatory_elements_are_present_and_nothing_is_empty() {
        let mandatory: &[(&str, &[&str])] = &[
            ("AllergyIntolerance", &["patient"]),
            ("Appointment", &["status", "participant"]),
            ("CarePlan", &["status", "intent", "subject"]),
            ("CareTeam", &["subject"]),
            ("Condition", &["subject", "code", "category"]),
            ("DiagnosticReport", &["status", "code", "subject"]),
            ("DocumentReference", &["status", "content", "subject"]),
            ("Encounter", &["status", "class", "subject"]),
            (
                "Immunization",
                &["status", "vaccineCode", "patient", "occurrenceDateTime"],
            ),
            (
                "MedicationRequest",
                &["status", "intent", "medicationCodeableConcept", "subject"],
            ),
            ("Observation", &["status", "code", "subject"]),
            (
                "Patient",
                &["identifier", "name", "gender", "birthDate", "text"],
            ),
            ("Procedure", &["status", "subject"]),
            ("Schedule", &["actor"]),
            ("ServiceRequest", &["status", "intent", "subject"]),
            ("Slot", &["schedule", "status", "start", "end"]),
        ];
        let store = seed(1);
        for (name, elements) in mandatory {
            for row in store.rows(name) {
                for element in *elements {
                    assert!(
                        row.resource.get(element).is_some(),
                        "{} lacks {element}",
                        row.id
                    );
                }
            }
        }
        for resource in each(&store) {
            walk(resource, &mut |name, value| {
                let empty = match value {
                    Value::Null => true,
                    Value::String(text) => text.trim().is_empty(),
                    Value::Array(items) => items.is_empty() || items.iter().any(Value::is_null),
                    Value::Object(fields) => fields.is_empty(),
                    _ => false,
                };
                assert!(!empty, "{}: `{name}` is empty", resource["id"]);
            });
        }
    }

    #[test]
    fn a_tenth_of_the_patients_has_labelled_rows() {
        let store = seed(1);
        let mut codes = HashSet::new();
        let mut patients = HashSet::new();
        for resource in each(&store) {
            let Some(labels) = resource["meta"].get("security") else {
                continue;
            };
            codes.extend(
                labels
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|label| label["code"].as_str().unwrap()),
            );
            let subject = resource
                .pointer("/subject/reference")
                .or(resource.pointer("/participant/0/actor/reference"));
            patients.insert(subject.unwrap().as_str().unwrap());
        }
        assert!(
            ["PSY", "MH", "SUD", "R"]
                .iter()
                .all(|code| codes.contains(code)),
            "{codes:?}"
        );
        assert!((20..=30).contains(&patients.len()), "{}", patients.len());
        assert!(patients.contains(PATIENT));
    }

    #[test]
    fn hidden_values_have_copies() {
        let store = seed(1);
        let patient = &store.get(PATIENT).unwrap().resource;
        let name = patient["name"][0]["text"].as_str().unwrap();
        let narrative = patient["text"]["div"].as_str().unwrap();
        assert!(narrative.contains(patient["birthDate"].as_str().unwrap()));
        assert!(narrative.contains(patient["name"][0]["family"].as_str().unwrap()));
        let named = store
            .rows("Observation")
            .iter()
            .filter(|row| row.resource["subject"]["display"] == name);
        assert!(named.count() > 3);
        let ssn = patient["identifier"]
            .as_array()
            .unwrap()
            .iter()
            .any(|id| id["type"]["coding"][0]["code"] == "SS");
        assert!(ssn);
    }

    #[test]
    fn the_demonstration_patient_is_cared_for_by_the_demonstration_staff() {
        let store = seed(1);
        let team = &store.get("CareTeam/ct-001-1").unwrap().resource;
        assert_eq!(team["status"], "active");
        assert_eq!(team["subject"]["reference"], PATIENT);
        let members: Vec<_> = team["participant"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["member"]["reference"].as_str().unwrap())
            .collect();
        assert!(
            members.contains(&PHYSICIAN)
                && members.contains(&NURSE)
                && !members.contains(&OTHER_NURSE)
        );
        let other = store
            .rows("CareTeam")
            .iter()
            .filter(|row| row.resource["subject"]["reference"] == OTHER_PATIENT);
        assert!(
            other
                .into_iter()
                .all(|row| !row.resource.to_string().contains(&format!("\"{NURSE}\"")))
        );
        assert_eq!(
            store.get("ServiceRequest/sr-001-1").unwrap().resource["status"],
            "active"
        );
        assert_eq!(
            store.get("ServiceRequest/sr-001-2").unwrap().resource["status"],
            "completed"
        );
    }
}
