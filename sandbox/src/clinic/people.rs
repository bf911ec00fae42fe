//! The patients.

use std::cell::Cell;

use serde_json::{Value, json};

use super::build::{Build, Named, TERMINOLOGY, coding, day, hl7, narrative};
use super::staff::{Staff, TEAMS};
use super::words::{CITIES, FAMILIES, KIN, LANGUAGES, MARITAL, MEN, RACES, STREETS, WOMEN};

const CORE: &str = "http://hl7.org/fhir/us/core/StructureDefinition";

/// What a chart needs to know of its patient.
pub(crate) struct Patient {
    pub(crate) number: usize,
    /// `001`, as in the ids of the chart.
    pub(crate) tag: String,
    pub(crate) named: Named,
    pub(crate) born: String,
    pub(crate) team: usize,
    pub(crate) physician: Named,
    pub(crate) nurse: Named,
    observations: Cell<usize>,
}

impl Patient {
    /// The id of the next observation.
    pub(crate) fn observation(&self) -> String {
        self.observations.set(self.observations.get() + 1);
        format!("obs-{}-{:02}", self.tag, self.observations.get())
    }

    /// A narrative about something of this patient.
    pub(crate) fn narrative(&self, text: &str) -> Value {
        narrative(&format!(
            "{text}: {}, born {}",
            self.named.display, self.born
        ))
    }
}

/// Registers patient `number`.
pub(crate) fn admit(build: &mut Build, staff: &Staff, number: usize) -> Patient {
    let rng = &mut build.rng;
    let woman = rng.chance(52);
    let given = *rng.pick(if woman { WOMEN } else { MEN });
    let middle = *rng.pick(if woman { WOMEN } else { MEN });
    let family = *rng.pick(FAMILIES);
    // Adults: what follows suits no child.
    let born = day(-rng.between(6_700, 33_000));
    let phone = format!("555-01{:02}", rng.between(0, 99));
    let mobile = format!("555-03{:02}", rng.between(0, 99));
    let house = rng.between(1, 420);
    let street = *rng.pick(STREETS);
    let (city, state, zip) = *rng.pick(CITIES);
    let (race, race_name) = *rng.pick(RACES);
    let hispanic = rng.chance(18);
    let (language, language_name) = *rng.pick(LANGUAGES);
    let (marital, marital_name) = *rng.pick(MARITAL);
    let (kin, kin_name) = *rng.pick(KIN);
    let kin_woman = rng.chance(50);
    let kin_given = *rng.pick(if kin_woman { WOMEN } else { MEN });
    let mrn = format!("LH{:06}", 100_000 + number * 37);
    // 9xx area numbers are never issued.
    let ssn = format!(
        "9{:02}-{:02}-{:04}",
        rng.between(0, 99),
        rng.between(10, 49),
        rng.between(0, 9999)
    );

    let tag = format!("{number:03}");
    let display = format!("{given} {family}");
    let team = (number - 1) % TEAMS;
    let (physician, nurse) = (staff.physicians[team].clone(), staff.nurses[team].clone());
    let (ethnicity, ethnicity_name) = if hispanic {
        ("2135-2", "Hispanic or Latino")
    } else {
        ("2186-5", "Not Hispanic or Latino")
    };

    let mut names = vec![json!({
        "use": "official", "text": display, "family": family, "given": [given, middle],
    })];
    if number.is_multiple_of(9) {
        names.push(json!({"use": "maiden", "family": build.rng.pick(FAMILIES)}));
    }
    let mut patient = json!({
        "resourceType": "Patient",
        "id": format!("pat-{tag}"),
        "meta": {"profile": [format!("{CORE}/us-core-patient")]},
        "text": narrative(&format!(
            "{given} {middle} {family}, born {born}, MRN {mrn}, {house} {street}, {city}, phone {phone}"
        )),
        "extension": [
            background("race", race, race_name),
            background("ethnicity", ethnicity, ethnicity_name),
        ],
        "identifier": [
            {
                "use": "usual", "type": hl7("v2-0203", "MR", "Medical record number"),
                "system": "https://clinic.example/mrn", "value": mrn,
            },
            {
                "use": "official", "type": hl7("v2-0203", "SS", "Social Security number"),
                "system": "http://hl7.org/fhir/sid/us-ssn", "value": ssn,
            },
        ],
        "active": true,
        "name": names,
        "telecom": [
            {"system": "phone", "value": phone, "use": "home"},
            {"system": "phone", "value": mobile, "use": "mobile"},
            {"system": "email", "value": format!("patient{tag}@mail.example")},
        ],
        "gender": if woman { "female" } else { "male" },
        "birthDate": born,
        "address": [{
            "use": "home", "line": [format!("{house} {street}")], "city": city, "state": state,
            "postalCode": zip, "country": "US",
        }],
        "maritalStatus": hl7("v3-MaritalStatus", marital, marital_name),
        "contact": [{
            "relationship": [{
                "coding": [coding(&format!("{TERMINOLOGY}/v3-RoleCode"), kin, kin_name)], "text": kin_name,
            }],
            "name": {"use": "official", "family": family, "given": [kin_given]},
            "telecom": [{"system": "phone", "value": format!("555-04{:02}", number % 100)}],
            "gender": if kin_woman { "female" } else { "male" },
        }],
        "communication": [{
            "language": {"coding": [coding("urn:ietf:bcp:47", language, language_name)]}, "preferred": true,
        }],
        "generalPractitioner": [physician.refer()],
        "managingOrganization": staff.clinic.refer(),
    });
    if number % 4 == 1 {
        // Primitive siblings occur in the wild.
        patient["_birthDate"] = json!({"extension": [{
            "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
            "valueDateTime": format!("{born}T04:20:00Z"),
        }]});
    }
    let updated = -build.rng.between(1, 400);
    build.put(patient, updated);
    let named = Named::new(format!("Patient/pat-{tag}"), display);
    Patient {
        number,
        tag,
        named,
        born,
        team,
        physician,
        nurse,
        observations: Cell::new(0),
    }
}

/// A US Core race or ethnicity extension.
fn background(kind: &str, code: &str, name: &str) -> Value {
    json!({
        "extension": [
            {"url": "ombCategory", "valueCoding": coding("urn:oid:2.16.840.1.113883.6.238", code, name)},
            {"url": "text", "valueString": name},
        ],
        "url": format!("{CORE}/us-core-{kind}"),
    })
}
