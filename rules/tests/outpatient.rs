//! The pack that ships: what each role is granted, and which elements of a full row leave.

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use chartward_rules::decide::admissible;
use chartward_rules::fhir::tables::{Element, ElementType, StructId, TypeId, r4};
use chartward_rules::pack::{Can, Program};
use serde_json::{Map, Value, json};
use support::{Asked, ask, pack, subject};

static PACK: LazyLock<Arc<Program>> =
    LazyLock::new(|| pack(include_str!("../packs/outpatient.toml")));

const SCHEDULING: &[&str] = &["Appointment", "AppointmentResponse", "Schedule", "Slot"];
const CLINICAL: &[&str] = &[
    "AllergyIntolerance",
    "CarePlan",
    "CareTeam",
    "Condition",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "Immunization",
    "MedicationRequest",
    "Observation",
    "Procedure",
    "ServiceRequest",
];
const FURTHER: &[&str] = &[
    "Device",
    "FamilyMemberHistory",
    "Goal",
    "ImagingStudy",
    "Medication",
    "MedicationAdministration",
    "MedicationStatement",
    "QuestionnaireResponse",
    "Specimen",
];
const HOUSE: &[&str] = &[
    "HealthcareService",
    "Location",
    "Organization",
    "Practitioner",
    "PractitionerRole",
];

#[test]
fn the_pack_has_its_roles() {
    assert_eq!(
        PACK.roles().collect::<Vec<_>>(),
        ["front-desk", "nurse", "physician", "coder", "lab-device"]
    );
}

/// Every type of R4, read and search: what isn't listed here is refused.
#[test]
fn each_role_is_granted_these_types_and_no_other() {
    for (role, granted) in [
        ("front-desk", vec![&["Patient"], SCHEDULING, HOUSE]),
        ("nurse", vec![&["Patient"], SCHEDULING, CLINICAL, HOUSE]),
        (
            "physician",
            vec![&["Patient"], SCHEDULING, CLINICAL, FURTHER, HOUSE],
        ),
        ("coder", vec![&["Condition", "Encounter"]]),
        ("lab-device", vec![&["ServiceRequest"]]),
        ("nobody", vec![]),
    ] {
        let granted: BTreeSet<&str> = granted.concat().into_iter().collect();
        let (mut read, mut search) = (BTreeSet::new(), BTreeSet::new());
        for name in r4().resources().map(|t| r4().name(t)) {
            let row = json!({"resourceType": name, "id": "1"}).to_string();
            if is_granted(&ask(&PACK, role, &format!("/{name}/1"), &row)) {
                read.insert(name);
            }
            let none = r#"{"resourceType":"Bundle","type":"searchset"}"#;
            if is_granted(&ask(&PACK, role, &format!("/{name}"), none)) {
                search.insert(name);
            }
        }
        assert_eq!(read, granted, "{role} reads");
        assert_eq!(search, granted, "{role} searches");
    }
}

/// Every type of R4 and every way to write: what isn't listed here is refused before its body is read.
#[test]
fn each_role_writes_these_types_and_no_other() {
    let bedside: &[&str] = &["AllergyIntolerance", "Immunization", "Observation"];
    let chart: Vec<&str> = CLINICAL
        .iter()
        .copied()
        .filter(|name| !["DocumentReference", "ServiceRequest"].contains(name))
        .collect();
    let table: [(&str, [&[&str]; 4]); 6] = [
        ("front-desk", [SCHEDULING, &[], &[], &[]]),
        ("nurse", [bedside, bedside, &[], &[]]),
        ("physician", [&chart, &chart, &chart, &[]]),
        ("coder", [&[], &[], &[], &[]]),
        ("lab-device", [&["Observation"], &[], &[], &[]]),
        ("nobody", [&[], &[], &[], &[]]),
    ];
    let cans = [Can::Create, Can::Update, Can::Patch, Can::Delete];
    for (role, granted) in table {
        for (can, granted) in cans.into_iter().zip(granted) {
            let may = |t: &TypeId| admissible(&PACK, &subject(&[role]), None, *t, can).is_ok();
            let found = r4().resources().filter(may).map(|t| r4().name(t));
            let found: BTreeSet<&str> = found.collect();
            let granted: BTreeSet<&str> = granted.iter().copied().collect();
            assert_eq!(found, granted, "{role} {can:?}");
        }
    }
}

fn is_granted(asked: &Asked) -> bool {
    match asked {
        Asked::Leaves(_) | Asked::Missing => true,
        Asked::Refused("not-granted" | "purpose-required", _) => false,
        other => panic!("{other:?}"),
    }
}

enum Seen {
    All,
    But(&'static [&'static str]),
    Only(&'static [&'static str]),
    Refused,
}

use Seen::{All, But, Only, Refused};

/// A row with every element that its type has: the top-level members that leave.
#[test]
fn of_a_full_row_these_elements_leave() {
    let table: [(&str, &[(&str, Seen)]); 5] = [
        (
            "front-desk",
            &[
                (
                    "Patient",
                    // `deceased[x]` and `link` change what the rest means: always shown
                    Only(&[
                        "active",
                        "address",
                        "birthDate",
                        "deceasedBoolean",
                        "gender",
                        "identifier",
                        "link",
                        "name",
                        "telecom",
                    ]),
                ),
                (
                    "Appointment",
                    But(&[
                        "basedOn",
                        "comment",
                        "description",
                        "patientInstruction",
                        "reasonCode",
                        "reasonReference",
                        "supportingInformation",
                        "text",
                    ]),
                ),
                ("AppointmentResponse", But(&["comment", "text"])),
                ("Schedule", But(&["comment", "text"])),
                ("Slot", But(&["comment", "text"])),
                ("Practitioner", Only(&["name"])),
                ("Location", All),
                ("Observation", Refused),
                ("Condition", Refused),
                ("ServiceRequest", Refused),
            ],
        ),
        (
            "nurse",
            &[
                ("Patient", But(&["identifier", "text"])),
                ("Appointment", All),
                ("Observation", All),
                ("Condition", All),
                ("ServiceRequest", All),
                ("DocumentReference", All),
                ("Practitioner", Only(&["name", "qualification"])),
            ],
        ),
        (
            "physician",
            &[
                ("Patient", All),
                ("Appointment", All),
                ("Observation", All),
                ("Condition", All),
                ("ServiceRequest", All),
                ("DocumentReference", All),
                ("Practitioner", Only(&["name", "qualification"])),
            ],
        ),
        (
            "coder",
            &[
                ("Patient", Refused),
                ("Appointment", Refused),
                ("Observation", Refused),
                (
                    "Condition",
                    Only(&[
                        "abatementDateTime",
                        "bodySite",
                        "category",
                        "clinicalStatus",
                        "code",
                        "encounter",
                        "onsetDateTime",
                        "recordedDate",
                        "severity",
                        "stage",
                        "subject",
                        "verificationStatus",
                    ]),
                ),
                (
                    "Encounter",
                    Only(&[
                        "class",
                        "diagnosis",
                        "hospitalization",
                        "identifier",
                        "length",
                        "period",
                        "serviceProvider",
                        "serviceType",
                        "status",
                        "subject",
                        "type",
                    ]),
                ),
                ("ServiceRequest", Refused),
                ("DocumentReference", Refused),
            ],
        ),
        (
            "lab-device",
            &[
                ("Patient", Refused),
                ("Appointment", Refused),
                ("Observation", Refused),
                ("Condition", Refused),
                (
                    "ServiceRequest",
                    Only(&[
                        "authoredOn",
                        "bodySite",
                        "category",
                        "code",
                        "doNotPerform",
                        "identifier",
                        "intent",
                        "occurrenceDateTime",
                        "orderDetail",
                        "priority",
                        "quantityQuantity",
                        "requisition",
                        "specimen",
                        "status",
                        "subject",
                    ]),
                ),
            ],
        ),
    ];
    for (role, seen) in table {
        for (name, seen) in seen {
            let row = Value::Object(full(name));
            let wanted: Vec<&str> = row
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            let wanted: BTreeSet<&str> = match seen {
                All => wanted.into_iter().collect(),
                But(gone) => wanted.into_iter().filter(|k| !gone.contains(k)).collect(),
                Only(kept) => ALWAYS.iter().chain(*kept).copied().collect(),
                Refused => BTreeSet::new(),
            };
            match (
                ask(&PACK, role, &format!("/{name}/1"), &row.to_string()),
                seen,
            ) {
                (Asked::Refused("not-granted", _), Refused) => {}
                (Asked::Leaves(body), All | But(_) | Only(_)) => {
                    let body: Map<String, Value> = serde_json::from_str(&body).unwrap();
                    let left: BTreeSet<&str> = body.keys().map(String::as_str).collect();
                    assert_eq!(left, wanted, "{role} {name}");
                }
                (other, _) => panic!("{role} {name}: {other:?}"),
            }
        }
    }
}

const ALWAYS: &[&str] = &["resourceType", "id", "meta", "implicitRules"];

#[test]
fn labels_close_rows_to_all_but_the_physician() {
    const CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    const LEVEL: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
    for (role, name) in [
        ("front-desk", "Appointment"),
        ("nurse", "Observation"),
        ("coder", "Condition"),
        ("lab-device", "ServiceRequest"),
        ("physician", "Observation"),
    ] {
        for (system, code) in [
            (CODE, "PSY"),
            (CODE, "BH"),
            (CODE, "HIV"),
            (CODE, "SUD"),
            (LEVEL, "R"),
            (LEVEL, "V"),
        ] {
            let mut row = full(name);
            row["meta"] = json!({"security": [{"system": system, "code": code}]});
            let asked = ask(
                &PACK,
                role,
                &format!("/{name}/1"),
                &Value::Object(row).to_string(),
            );
            match role {
                "physician" => assert!(matches!(asked, Asked::Leaves(_)), "{role} {code}"),
                _ => assert!(matches!(asked, Asked::Missing), "{role} {code}: {asked:?}"),
            }
        }
    }
    let mut row = full("Observation");
    row["meta"] = json!({"security": [{"system": CODE, "code": "CEL"}]});
    let asked = ask(
        &PACK,
        "physician",
        "/Observation/1",
        &Value::Object(row).to_string(),
    );
    assert!(matches!(asked, Asked::Missing), "CEL: {asked:?}");
}

#[test]
fn conditions_hold_row_by_row() {
    for (role, name, element, value, leaves) in [
        (
            "coder",
            "Condition",
            "category",
            json!([{"coding": [{"code": "problem-list-item"}]}]),
            false,
        ),
        (
            "coder",
            "Condition",
            "category",
            json!([{"coding": [{"code": "encounter-diagnosis"}]}]),
            true,
        ),
        (
            "lab-device",
            "ServiceRequest",
            "status",
            json!("completed"),
            false,
        ),
        (
            "lab-device",
            "ServiceRequest",
            "status",
            json!("active"),
            true,
        ),
    ] {
        let mut row = full(name);
        row[element] = value;
        let row = Value::Object(row).to_string();
        match ask(&PACK, role, &format!("/{name}/1"), &row) {
            Asked::Leaves(_) => assert!(leaves, "{role} {name} {element}"),
            Asked::Missing => assert!(!leaves, "{role} {name} {element}"),
            other => panic!("{other:?}"),
        }
    }
}

/// The names that a reference repeats stay exactly where the role sees the one they name.
#[test]
fn displays_follow_what_the_role_sees() {
    for (role, name, element, target, stays) in [
        ("front-desk", "Slot", "schedule", "Schedule/1", false),
        (
            "front-desk",
            "AppointmentResponse",
            "actor",
            "Patient/1",
            true,
        ),
        (
            "front-desk",
            "AppointmentResponse",
            "actor",
            "Practitioner/1",
            true,
        ),
        (
            "front-desk",
            "AppointmentResponse",
            "actor",
            "Location/1",
            true,
        ),
        ("nurse", "Observation", "subject", "Patient/1", true),
        // a row that may be labelled: only who sees every class sees copies of it
        ("nurse", "Observation", "encounter", "Encounter/1", false),
        ("coder", "Condition", "subject", "Patient/1", false),
        (
            "coder",
            "Encounter",
            "serviceProvider",
            "Organization/1",
            false,
        ),
        (
            "lab-device",
            "ServiceRequest",
            "subject",
            "Patient/1",
            false,
        ),
    ] {
        let mut row = full(name);
        row[element] = json!({"reference": target, "display": "somebody"});
        let row = Value::Object(row).to_string();
        let Asked::Leaves(body) = ask(&PACK, role, &format!("/{name}/1"), &row) else {
            panic!("{role} {name}")
        };
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body[element]["reference"], target, "{role} {name}");
        assert_eq!(
            body[element].get("display").is_some(),
            stays,
            "{role} {name}.{element} → {target}"
        );
    }
}

/// A resource of the type with every element that it can have, by the tables; one that grants'
/// conditions hold of. Without `contained`, which follows its own types, and without modifier
/// extensions, which no view knows.
fn full(name: &str) -> Map<String, Value> {
    let root = r4().root(r4().resource(name).unwrap());
    let mut row = object(root, 0);
    row.insert("resourceType".into(), name.into());
    row.insert("id".into(), "1".into());
    row.insert("meta".into(), json!({"versionId": "1"}));
    row.insert(
        "text".into(),
        json!({"status": "generated", "div": "<div/>"}),
    );
    match name {
        "Condition" => {
            row["category"] = json!([{"coding": [{"code": "encounter-diagnosis"}]}]);
        }
        "ServiceRequest" => row["status"] = "active".into(),
        _ => {}
    }
    row
}

fn object(structure: StructId, depth: usize) -> Map<String, Value> {
    let elements = &r4().structure(structure).elements;
    elements
        .iter()
        .filter(|e| !matches!(e.name, "contained" | "modifierExtension" | "extension"))
        .filter_map(|element| member(element, depth))
        .collect()
}

fn member(element: &Element, depth: usize) -> Option<(String, Value)> {
    let prefer = |key: &str| key.ends_with("DateTime") || key.ends_with("Boolean");
    let keys: Vec<_> = r4().json_keys(element).collect();
    let (key, of) = keys
        .iter()
        .find(|(key, _)| prefer(key))
        .or(keys.first())
        .cloned()?;
    let value = match of {
        ElementType::Primitive("boolean") => json!(true),
        ElementType::Primitive(_) | ElementType::Xhtml => json!("x"),
        ElementType::Complex(s) if depth < 3 => Value::Object(object(*s, depth + 1)),
        _ => return None,
    };
    let value = if element.many { json!([value]) } else { value };
    Some((key, value))
}
