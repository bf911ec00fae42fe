//! Each role of the shipped outpatient pack over the whole Synthea clinic on `sekmet-fhir`: which
//! elements leave, and that no hidden value is anywhere in the raw bytes.
//!
//! The table below says what each role sees in the words of the people it is for; it isn't derived
//! from the pack.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use aho_corasick::AhoCorasick;
use chartward_tests::peers::FhirServer;
use chartward_tests::skip::need_all;
use chartward_tests::{Client, Gateway, Request, Response, Setup, Tokens, plain};
use serde_json::Value;

mod sees;

use sees::{Rows, Sees, TABLE, View};

const LAB: &str = "spiffe://hospital.example/lab";

/// Every type that the clinic has rows of.
const TYPES: [&str; 29] = [
    "AllergyIntolerance",
    "Appointment",
    "CarePlan",
    "CareTeam",
    "Claim",
    "Condition",
    "Consent",
    "Coverage",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "ExplanationOfBenefit",
    "Flag",
    "Group",
    "ImagingStudy",
    "Immunization",
    "Location",
    "Medication",
    "MedicationAdministration",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "RelatedPerson",
    "ServiceRequest",
];

#[test]
fn no_hidden_value_leaves_and_no_row_is_lost() {
    if !need_all(&["binary", "python", "synthea"]) {
        return;
    }
    let server = FhirServer::shared();
    let clinic: BTreeMap<&str, Kind> = TYPES
        .iter()
        .map(|&kind| (kind, Kind::fetch(server, kind)))
        .collect();
    let tokens = Tokens::start();
    let roles: BTreeSet<&str> = TABLE.iter().map(|view| view.role).collect();
    let by_token: Vec<&str> = roles
        .iter()
        .copied()
        .filter(|&role| role != "lab-device")
        .collect();
    let pack = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../rules/packs/outpatient.toml"
    );
    let pack = std::fs::read_to_string(pack).expect("the shipped pack");
    let setup = Setup::new(pack, &server.base)
        .issuer(tokens.trusted(&by_token))
        .workload("lab", LAB, &["lab-device"])
        .service("page = { default = 50, max = 500 }");
    let gateway = Gateway::start(setup);
    let lab = gateway.certificate(LAB);

    let mut total = Tally::default();
    for role in roles {
        let caller = if role == "lab-device" {
            Caller {
                client: gateway.client_with(&lab),
                token: None,
            }
        } else {
            let token = tokens.token(role, &[role], "user/*.rs");
            Caller {
                client: gateway.client(),
                token: Some(token),
            }
        };
        let mut tally = Tally::default();
        for (&kind, rows) in &clinic {
            match TABLE
                .iter()
                .find(|view| view.role == role && view.kind == kind)
            {
                Some(view) => tally.add(judge(&caller, view, rows)),
                None => refused(&caller, role, rows),
            }
        }
        println!("{role}: {tally}");
        total = total.plus(tally);
    }
    println!("all: {total}");
    assert!(total.values > 1_000 && total.rows > 5_000, "{total}");
}

/// Who asks, and how.
struct Caller {
    client: Client,
    token: Option<String>,
}

impl Caller {
    fn get(&self, target: &str) -> Response {
        let request = Request::get(target);
        self.client.send(match &self.token {
            Some(token) => request.bearer(token),
            None => request,
        })
    }
}

/// What was looked at.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    rows: usize,
    withheld: usize,
    bytes: usize,
    values: usize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        *self = self.plus(other);
    }

    fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            withheld: self.withheld + other.withheld,
            bytes: self.bytes + other.bytes,
            values: self.values + other.values,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            rows,
            withheld,
            bytes,
            values,
        } = self;
        write!(
            f,
            "{rows} rows left, {withheld} withheld; {values} hidden values not in {bytes} bytes"
        )
    }
}

/// All rows of a type as the server itself gives them.
struct Kind {
    kind: &'static str,
    rows: Vec<Value>,
    raw: Vec<u8>,
}

impl Kind {
    fn fetch(server: &FhirServer, kind: &'static str) -> Self {
        let (mut rows, mut raw) = (Vec::new(), Vec::new());
        loop {
            let path = format!("/fhir/{kind}?_count=1000&_offset={}", rows.len());
            let answer = plain::get(plain::address(&server.base), &path);
            let bundle = answer.json();
            let page = bundle["entry"].as_array().cloned().unwrap_or_default();
            if page.is_empty() {
                break;
            }
            raw.extend(answer.body);
            rows.extend(page.into_iter().map(|entry| entry["resource"].clone()));
        }
        assert!(!rows.is_empty(), "the clinic has no {kind}");
        Self { kind, rows, raw }
    }
}

/// A role may do nothing with this type: the answer is one refusal, to a search and to a read.
fn refused(caller: &Caller, role: &str, rows: &Kind) {
    let id = rows.rows[0]["id"].as_str().expect("an id");
    for target in [
        format!("/fhir/{}", rows.kind),
        format!("/fhir/{}/{id}", rows.kind),
    ] {
        let answer = caller.get(&target);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (403, "not-granted"),
            "{role}: {target}"
        );
    }
}

fn judge(caller: &Caller, view: &View, rows: &Kind) -> Tally {
    let context = format!("{} {}", view.role, view.kind);
    let (due, withheld): (Vec<&Value>, Vec<&Value>) =
        rows.rows.iter().partition(|row| view.row(row));
    let mut shown = String::new();
    let mut hidden = HashSet::new();
    let mut expected = BTreeSet::new();
    for row in &due {
        let (kept, gone) = view.cut(row);
        expected.extend(keys(&kept));
        shown.push_str(&kept.to_string());
        gone.iter().for_each(|value| needles(value, &mut hidden));
    }
    for row in &withheld {
        needles(row, &mut hidden);
    }
    // A value that is shown somewhere in the type proves nothing.
    let hidden: Vec<String> = hidden
        .into_iter()
        .filter(|needle| !shown.contains(needle.as_str()))
        .collect();
    let finder = AhoCorasick::new(&hidden).expect("a finder");
    let found: HashSet<_> = finder
        .find_overlapping_iter(&rows.raw)
        .map(|hit| hit.pattern())
        .collect();
    assert_eq!(
        found.len(),
        hidden.len(),
        "{context}: the finder must find them all in what the server sends"
    );

    let (mut left, mut seen, mut bytes) = (BTreeSet::new(), BTreeSet::new(), 0);
    let mut look = |answer: &Response, target: &str| {
        assert_eq!(answer.status, 200, "{context}: {target}: {}", answer.text());
        if let Some(hit) = finder.find(&answer.body) {
            panic!(
                "{context}: {target}: hidden value `{}` left",
                hidden[hit.pattern().as_usize()]
            );
        }
        bytes += answer.body.len();
    };
    let mut next = Some(format!("/fhir/{}?_count=200", view.kind));
    while let Some(target) = next {
        let answer = caller.get(&target);
        look(&answer, &target);
        for entry in answer.json()["entry"].as_array().into_iter().flatten() {
            let row = &entry["resource"];
            if row["resourceType"] == "OperationOutcome" {
                continue;
            }
            assert!(left.insert(text(row, "id")), "{context}: a row came twice");
            seen.extend(keys(row));
        }
        next = answer.link("next");
    }
    assert_eq!(
        left,
        due.iter().map(|row| text(row, "id")).collect(),
        "{context}: rows"
    );
    assert_eq!(seen, expected, "{context}: elements");

    for row in due.iter().step_by(1 + due.len() / 20) {
        let target = format!("/fhir/{}/{}", view.kind, text(row, "id"));
        let answer = caller.get(&target);
        look(&answer, &target);
        assert_eq!(
            keys(&answer.json()),
            keys(&view.cut(row).0),
            "{context}: {target}"
        );
    }
    for row in withheld.iter().take(20) {
        let target = format!("/fhir/{}/{}", view.kind, text(row, "id"));
        assert_eq!(caller.get(&target).status, 404, "{context}: {target}");
    }
    Tally {
        rows: left.len(),
        withheld: withheld.len(),
        bytes,
        values: hidden.len(),
    }
}

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_default().to_owned()
}

/// Top-level elements; `_x` counts as `x`.
fn keys(row: &Value) -> BTreeSet<String> {
    row.as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.trim_start_matches('_').to_owned())
        .collect()
}

/// The values under a hidden place as they stand in JSON text; long ones by their two ends, so that
/// a part that leaks is found too. Short ones occur by chance.
fn needles(value: &Value, out: &mut HashSet<String>) {
    match value {
        Value::Object(map) => map.values().for_each(|value| needles(value, out)),
        Value::Array(list) => list.iter().for_each(|value| needles(value, out)),
        Value::String(text) => {
            let escaped = ascii(text);
            let length = escaped.len();
            if length > 80 {
                out.insert(escaped[..40].to_owned());
                out.insert(escaped[length - 40..].to_owned());
            } else if length >= 6 {
                out.insert(escaped);
            }
        }
        Value::Number(number) if number.to_string().len() >= 6 => {
            out.insert(number.to_string());
        }
        _ => {}
    }
}

/// A string's JSON text without its quotes, in ASCII as the server writes it.
fn ascii(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    let mut out = String::new();
    let mut units = [0; 2];
    for c in quoted[1..quoted.len() - 1].chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[test]
fn the_table_cuts_what_it_says() {
    let row: Value = serde_json::from_str(
        r#"{"resourceType":"Patient","id":"p","text":{"div":"x"},"name":[{"family":"F","_family":{"extension":[]},"extension":[1],"given":["G"]}],"birthDate":"1970-01-01","deceasedBoolean":false,"managingOrganization":{"reference":"Organization/o","display":"House"}}"#,
    )
    .expect("JSON");
    let cut = |sees: Sees, displays: bool| {
        let (kept, gone) = View {
            role: "r",
            kind: "Patient",
            sees,
            rows: Rows::All,
            displays,
        }
        .cut(&row);
        (kept.to_string(), gone)
    };
    let (kept, gone) = cut(Sees::Only(&["name.family", "deceased[x]"]), true);
    assert_eq!(
        kept,
        r#"{"resourceType":"Patient","id":"p","name":[{"family":"F"}],"deceasedBoolean":false}"#
    );
    assert!(gone.contains(&Value::from("1970-01-01")) && gone.contains(&serde_json::json!(["G"])));
    let (kept, gone) = cut(Sees::AllBut(&["name.family", "birthDate"]), false);
    assert_eq!(
        kept,
        r#"{"resourceType":"Patient","id":"p","name":[{"given":["G"]}],"deceasedBoolean":false,"managingOrganization":{"reference":"Organization/o"}}"#
    );
    assert!(gone.contains(&Value::from("F")) && gone.contains(&Value::from("House")));
    assert_eq!(cut(Sees::All, true), (row.to_string(), Vec::new()));
}
