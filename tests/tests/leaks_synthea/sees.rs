//! What each role of the outpatient pack sees of each type.

use serde_json::Value;

/// Which elements of a type leave. Paths may be nested; `onset[x]` names all of a choice.
#[derive(Debug, Clone, Copy)]
pub enum Sees {
    /// All of them, narrative and extensions too.
    All,
    /// All but these, the narrative and the extensions.
    AllBut(&'static [&'static str]),
    /// These alone, with what D8 always shows.
    Only(&'static [&'static str]),
}

/// Which rows of a type leave.
#[derive(Debug, Clone, Copy)]
pub enum Rows {
    /// All of them, labelled or not.
    All,
    /// Those without a label.
    Plain,
    /// Those without a label for which this holds.
    PlainAnd(fn(&Value) -> bool),
}

/// One role's view of one type.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Role.
    pub role: &'static str,
    /// Type.
    pub kind: &'static str,
    /// Elements.
    pub sees: Sees,
    /// Rows.
    pub rows: Rows,
    /// Whether what references say of their targets may leave: only where the role sees those.
    pub displays: bool,
}

const fn view(role: &'static str, kind: &'static str, sees: Sees) -> View {
    View {
        role,
        kind,
        sees,
        rows: Rows::Plain,
        displays: true,
    }
}

const fn nurse(kind: &'static str) -> View {
    view("nurse", kind, Sees::All)
}

const fn physician(kind: &'static str) -> View {
    View {
        role: "physician",
        kind,
        sees: Sees::All,
        rows: Rows::All,
        displays: true,
    }
}

const COLLEAGUE: Sees = Sees::Only(&["name", "qualification.code"]);
const TRADE: Sees = Sees::Only(&[
    "practitioner",
    "organization",
    "code",
    "specialty",
    "location",
    "telecom",
    "availableTime",
    "notAvailable",
]);

/// Types that a role isn't listed with are refused to it. Modifiers (`status` and the like) stay by D8.
pub const TABLE: &[View] = &[
    view(
        "front-desk",
        "Patient",
        Sees::Only(&[
            "identifier",
            "name",
            "telecom",
            "address",
            "birthDate",
            "gender",
            "active",
            "deceased[x]",
            "link",
        ]),
    ),
    view(
        "front-desk",
        "Appointment",
        Sees::AllBut(&[
            "reasonCode",
            "reasonReference",
            "description",
            "comment",
            "patientInstruction",
            "supportingInformation",
            "basedOn",
        ]),
    ),
    view("front-desk", "Practitioner", Sees::Only(&["name"])),
    view(
        "front-desk",
        "PractitionerRole",
        Sees::Only(&[
            "practitioner",
            "organization",
            "code",
            "specialty",
            "location",
            "healthcareService",
            "availableTime",
            "notAvailable",
        ]),
    ),
    view("front-desk", "Location", Sees::All),
    view("front-desk", "Organization", Sees::All),
    view("nurse", "Patient", Sees::AllBut(&["identifier"])),
    nurse("AllergyIntolerance"),
    nurse("CarePlan"),
    nurse("CareTeam"),
    nurse("Condition"),
    nurse("DiagnosticReport"),
    nurse("Encounter"),
    nurse("Immunization"),
    nurse("MedicationRequest"),
    nurse("Observation"),
    nurse("Procedure"),
    nurse("DocumentReference"),
    nurse("ServiceRequest"),
    nurse("Appointment"),
    nurse("Location"),
    nurse("Organization"),
    view("nurse", "Practitioner", COLLEAGUE),
    view("nurse", "PractitionerRole", TRADE),
    physician("Patient"),
    physician("AllergyIntolerance"),
    physician("CarePlan"),
    physician("CareTeam"),
    physician("Condition"),
    physician("DiagnosticReport"),
    physician("Encounter"),
    physician("Immunization"),
    physician("MedicationRequest"),
    physician("Observation"),
    physician("Procedure"),
    physician("DocumentReference"),
    physician("ServiceRequest"),
    physician("Appointment"),
    physician("ImagingStudy"),
    physician("Medication"),
    physician("MedicationAdministration"),
    physician("Location"),
    physician("Organization"),
    view("physician", "Practitioner", COLLEAGUE),
    view("physician", "PractitionerRole", TRADE),
    View {
        role: "coder",
        kind: "Condition",
        sees: Sees::Only(&[
            "clinicalStatus",
            "verificationStatus",
            "category",
            "code",
            "severity",
            "bodySite",
            "stage.summary",
            "subject",
            "encounter",
            "onset[x]",
            "abatement[x]",
            "recordedDate",
        ]),
        rows: Rows::PlainAnd(at_a_visit),
        displays: false,
    },
    View {
        role: "coder",
        kind: "Encounter",
        sees: Sees::Only(&[
            "identifier",
            "status",
            "class",
            "type",
            "serviceType",
            "subject",
            "period",
            "length",
            "diagnosis",
            "serviceProvider",
            "hospitalization.dischargeDisposition",
        ]),
        rows: Rows::Plain,
        displays: false,
    },
    View {
        role: "lab-device",
        kind: "ServiceRequest",
        sees: Sees::Only(&[
            "identifier",
            "requisition",
            "status",
            "intent",
            "category",
            "priority",
            "doNotPerform",
            "code",
            "orderDetail",
            "quantity[x]",
            "subject",
            "occurrence[x]",
            "authoredOn",
            "specimen",
            "bodySite",
        ]),
        rows: Rows::PlainAnd(|row| row["status"] == "active"),
        displays: false,
    },
];

fn at_a_visit(row: &Value) -> bool {
    let categories = row["category"].as_array().into_iter().flatten();
    categories
        .flat_map(|category| category["coding"].as_array().into_iter().flatten())
        .any(|coding| coding["code"] == "encounter-diagnosis")
}

impl View {
    /// Whether the role may see the row.
    pub fn row(&self, row: &Value) -> bool {
        let labelled = row["meta"]["security"]
            .as_array()
            .is_some_and(|labels| !labels.is_empty());
        match self.rows {
            Rows::All => true,
            Rows::Plain => !labelled,
            Rows::PlainAnd(holds) => !labelled && holds(row),
        }
    }

    /// The row's shown part (marks aside), and the values that are cut.
    pub fn cut(&self, row: &Value) -> (Value, Vec<Value>) {
        let mut kept = row.clone();
        let mut gone = Vec::new();
        if !self.displays {
            displays(&mut kept, &mut gone);
        }
        match self.sees {
            Sees::All => return (kept, gone),
            Sees::AllBut(paths) => {
                for path in paths.iter().chain(&["text"]) {
                    take(&mut kept, &path.split('.').collect::<Vec<_>>(), &mut gone);
                }
            }
            Sees::Only(paths) => {
                let paths: Vec<Vec<&str>> = paths
                    .iter()
                    .chain(&["resourceType", "id", "meta"])
                    .map(|path| path.split('.').collect())
                    .collect();
                keep(&mut kept, &paths, &mut gone);
            }
        }
        extensions(&mut kept, &mut gone);
        vanish(&mut kept);
        (kept, gone)
    }
}

/// Whether an element's name is meant by a step of a path: itself, `_` and itself, or one of a choice.
fn meant(step: &str, name: &str) -> bool {
    let name = name.trim_start_matches('_');
    match step.strip_suffix("[x]") {
        None => step == name,
        Some(stem) => name
            .strip_prefix(stem)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase())),
    }
}

/// Takes everything out of `value` but what stands at `paths`, through arrays.
fn keep(value: &mut Value, paths: &[Vec<&str>], gone: &mut Vec<Value>) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| keep(value, paths, gone)),
        Value::Object(map) => {
            let names: Vec<String> = map.keys().cloned().collect();
            for name in names {
                let below: Vec<Vec<&str>> = paths
                    .iter()
                    .filter(|path| path.first().is_some_and(|step| meant(step, &name)))
                    .map(|path| path[1..].to_vec())
                    .collect();
                if below.is_empty() {
                    gone.extend(map.shift_remove(&name));
                } else if below.iter().all(|rest| !rest.is_empty()) {
                    keep(&mut map[&name], &below, gone);
                }
            }
        }
        _ => {}
    }
}

/// Takes what references say of their targets.
fn displays(value: &mut Value, gone: &mut Vec<Value>) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| displays(value, gone)),
        Value::Object(map) => {
            if map.get("reference").is_some_and(Value::is_string) {
                gone.extend(map.shift_remove("display"));
                gone.extend(map.shift_remove("identifier"));
            }
            map.values_mut().for_each(|value| displays(value, gone));
        }
        _ => {}
    }
}

/// Takes what stands at `path` out of `value`, through arrays.
fn take(value: &mut Value, path: &[&str], gone: &mut Vec<Value>) {
    match (value, path) {
        (Value::Array(list), _) => list.iter_mut().for_each(|value| take(value, path, gone)),
        (Value::Object(map), [last]) => {
            let names: Vec<String> = map
                .keys()
                .filter(|name| meant(last, name))
                .cloned()
                .collect();
            gone.extend(names.iter().filter_map(|name| map.shift_remove(name)));
        }
        (Value::Object(map), [first, rest @ ..]) => {
            if let Some(value) = map.get_mut(*first) {
                take(value, rest, gone);
            }
        }
        _ => {}
    }
}

/// Takes every extension out, of primitives too.
fn extensions(value: &mut Value, gone: &mut Vec<Value>) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| extensions(value, gone)),
        Value::Object(map) => {
            gone.extend(map.shift_remove("extension"));
            map.values_mut().for_each(|value| extensions(value, gone));
        }
        _ => {}
    }
}

/// Objects and arrays that became empty go (D7).
fn vanish(value: &mut Value) -> bool {
    match value {
        Value::Array(list) => {
            list.retain_mut(|value| !vanish(value));
            list.is_empty()
        }
        Value::Object(map) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            for key in keys {
                if map.get_mut(&key).is_some_and(vanish) {
                    map.shift_remove(&key);
                }
            }
            map.is_empty()
        }
        _ => false,
    }
}
