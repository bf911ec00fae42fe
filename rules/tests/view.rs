//! Views end to end: a pack, a request, an upstream's bytes in pieces, and what leaves.

mod support;

use support::{Asked, ask, ask_as, pack};

const NURSE: &str = r#"
pack = "t"
fhir = "R4"
[sensitive.behavioral-health]
labels = ["PSY", "MH"]
[[role]]
name = "nurse"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Patient", "Observation", "MedicationRequest", "Medication"]
  can = ["read", "search"]
  hide = ["Patient.birthDate", "Patient.contact", "Observation.note"]
"#;

#[test]
fn hidden_elements_go_with_their_siblings_and_the_mark_comes() {
    let program = pack(NURSE);
    let row = r#"{"resourceType":"Patient","id":"1","meta":{"versionId":"2","lastUpdated":"2020-01-01T00:00:00Z"},"text":{"status":"generated","div":"<div>Ann 1970</div>"},"extension":[{"url":"http://x/race","valueString":"secret"}],"birthDate":"1970-01-02","_birthDate":{"extension":[{"url":"http://x","valueString":"y"}]},"name":[{"family":"Lee","given":["Ann"]}],"contact":[{"name":{"family":"Secret"}}],"unknown":{"a":1},"deceasedBoolean":false}"#;
    let Asked::Leaves(body) = ask(&program, "nurse", "/Patient/1", row) else {
        panic!()
    };
    assert_eq!(
        body,
        r#"{"resourceType":"Patient","id":"1","meta":{"versionId":"2","lastUpdated":"2020-01-01T00:00:00Z","security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"REDACTED"}]},"name":[{"family":"Lee","given":["Ann"]}],"deceasedBoolean":false}"#
    );
}

#[test]
fn labels_decide_wherever_they_stand() {
    let program = pack(NURSE);
    for labels in [
        r#""meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSY"}]}"#,
        r#""meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]}"#,
        r#""meta":{"security":[{"code":"HIV"}]}"#,
    ] {
        for row in [
            format!(
                r#"{{"resourceType":"Observation","id":"1",{labels},"status":"final","code":{{"text":"x"}}}}"#
            ),
            format!(
                r#"{{"status":"final","code":{{"text":"x"}},{labels},"id":"1","resourceType":"Observation"}}"#
            ),
        ] {
            assert!(
                matches!(
                    ask(&program, "nurse", "/Observation/1", &row),
                    Asked::Missing
                ),
                "{row}"
            );
        }
    }
    let open = r#"{"resourceType":"Observation","id":"1","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}]},"status":"final","code":{"text":"x"}}"#;
    assert!(matches!(
        ask(&program, "nurse", "/Observation/1", open),
        Asked::Leaves(_)
    ));
}

#[test]
fn a_view_that_hides_nothing_leaves_every_byte() {
    let program = pack(NURSE);
    let row = "{ \"resourceType\" : \"Medication\",\n\t\"id\":\"1\", \"unknown\" : [ 1.0500, {\"a\":null} ],\r\n \"text\":{\"div\":\"<div>\\u00e9</div>\"} , \"extension\":[{\"url\":\"http://x\"}], \"_status\": {\"id\":\"a\", \"extension\":[]} }";
    let Asked::Leaves(body) = ask(&program, "nurse", "/Medication/1", row) else {
        panic!()
    };
    assert_eq!(body, row);
}

#[test]
fn contained_resources_follow_their_own_type() {
    let program = pack(NURSE);
    let row = r##"{"resourceType":"MedicationRequest","id":"1","contained":[{"resourceType":"Medication","id":"m","code":{"text":"drug"}},{"resourceType":"Practitioner","id":"p","name":[{"family":"Secret"}]}],"status":"active","intent":"order","medicationReference":{"reference":"#m"},"subject":{"reference":"Patient/1","display":"Ann"},"requester":{"reference":"#p","display":"Dr Secret"}}"##;
    let Asked::Leaves(body) = ask(&program, "nurse", "/MedicationRequest/1", row) else {
        panic!()
    };
    assert_eq!(
        body,
        r##"{"resourceType":"MedicationRequest","id":"1","contained":[{"resourceType":"Medication","id":"m","code":{"text":"drug"}}],"status":"active","intent":"order","medicationReference":{"reference":"#m"},"subject":{"reference":"Patient/1","display":"Ann"}}"##
    );
}

#[test]
fn what_cannot_be_judged_is_a_fault() {
    let program = pack(NURSE);
    for row in [
        r#"{"resourceType":"Patient","id":"1","id":"2"}"#,
        r#"{"resourceType":"Patient","id":"1","birth\u0044ate":"1970","birthDate":"1971"}"#,
        r#"{"resourceType":"Patient","id":"2"}"#,
        r#"{"resourceType":"Observation","id":"1"}"#,
        r#"{"resourceType":"Patient","id":"1"} x"#,
        r#"{"resourceType":"Patient","id":"1""#,
        "\u{feff}{\"resourceType\":\"Patient\",\"id\":\"1\"}",
        r#"{"id":"1"}"#,
        r#"[]"#,
        "",
    ] {
        assert!(
            matches!(ask(&program, "nurse", "/Patient/1", row), Asked::Fault(_)),
            "{row}"
        );
    }
    let escaped = r#"{"resourceType":"Patient","id":"1","birth\u0044ate":"1970-secret"}"#;
    let Asked::Leaves(body) = ask(&program, "nurse", "/Patient/1", escaped) else {
        panic!()
    };
    assert!(!body.contains("secret"), "{body}");
}

#[test]
fn a_search_set_is_judged_entry_by_entry_however_it_is_cut() {
    let program = pack(NURSE);
    let bundle = r#"{"resourceType":"Bundle","id":"b","meta":{"lastUpdated":"x"},"type":"searchset","total":9,"link":[{"relation":"self","url":"http://up/fhir/Patient?secret"},{"relation":"next","url":"http://up/fhir/Patient?_count=2&_offset=2"}],"entry":[
      {"fullUrl":"http://up/fhir/Patient/1","resource":{"resourceType":"Patient","id":"1","birthDate":"1970-01-01","gender":"male"},"search":{"mode":"match","score":0.7}},
      {"resource":{"resourceType":"Patient","id":"2","meta":{"security":[{"code":"PSY"}]}},"search":{"mode":"match"}},
      {"resource":{"resourceType":"Practitioner","id":"3"},"search":{"mode":"include"}},
      {"resource":{"resourceType":"OperationOutcome","issue":[]},"search":{"mode":"outcome"}},
      {"resource":{"resourceType":"Patient","id":"4"}}]}"#;
    let whole = ask_as(
        &program,
        "nurse",
        "/Patient?gender=male",
        bundle,
        usize::MAX,
    );
    let Asked::Leaves(body) = whole else { panic!() };
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    let ids: Vec<&str> = value["entry"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["resource"]["id"].as_str())
        .collect();
    assert_eq!(ids, ["1", "4"]);
    assert_eq!(value["entry"][0]["search"]["mode"], "outcome");
    assert_eq!(value["entry"][1]["fullUrl"], "https://gw/fhir/Patient/1");
    assert_eq!(
        value["link"][0]["url"],
        "https://gw/fhir/Patient?gender=male"
    );
    assert_eq!(
        value["link"][1]["url"],
        "https://gw/fhir/Patient?_page=[/Patient?_count=2&_offset=2]"
    );
    assert!(value.get("total").is_none());
    for gone in ["1970", "http://up", "score", "PSY", "Practitioner"] {
        assert!(!body.contains(gone), "{gone}");
    }
    for size in 1..40 {
        let Asked::Leaves(cut) = ask_as(&program, "nurse", "/Patient?gender=male", bundle, size)
        else {
            panic!("{size}")
        };
        assert_eq!(cut, body, "cut in pieces of {size}");
    }
    for end in 0..bundle.len() {
        let cut = ask_as(&program, "nurse", "/Patient?gender=male", &bundle[..end], 7);
        assert!(matches!(cut, Asked::Fault(_)), "{end}");
    }
}

#[test]
fn searches_that_read_hidden_elements_are_refused() {
    let program = pack(NURSE);
    let extension = ask(&program, "nurse", "/Patient?mothersMaidenName=x", "");
    assert!(
        matches!(extension, Asked::Refused("search-reads-hidden", _)),
        "{extension:?}"
    );
    for query in [
        "birthdate=1970",
        "birthdate:missing=true",
        "birthdate=ge1970&gender=male",
    ] {
        let Asked::Refused(reason, name) = ask(&program, "nurse", &format!("/Patient?{query}"), "")
        else {
            panic!()
        };
        assert_eq!(
            (reason, name.as_deref()),
            ("search-reads-hidden", Some("birthdate")),
            "{query}"
        );
    }
}

#[test]
fn copies_in_references_go_where_their_source_is_not_shown() {
    let program = pack(
        r#"
pack = "t"
fhir = "R4"
[[role]]
name = "lab"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Observation", "Organization"]
  can = ["read"]
"#,
    );
    // the type is shown whole; the patient's name and identifier are not of this type
    let row = "{\"resourceType\":\"Observation\",\"id\":\"1\", \"subject\" : {\"reference\":\"Patient/1\", \"display\":\"Secret\" }, \"performer\":[{\"display\":\"Secret\"},{\"identifier\":{\"value\":\"Secret\"},\"type\":\"Patient\"},{\"reference\":\"Organization/1\",\"display\":\"Lab\"},{\"reference\":\"urn:uuid:1\",\"display\":\"Secret\"}]}";
    let Asked::Leaves(body) = ask(&program, "lab", "/Observation/1", row) else {
        panic!()
    };
    assert_eq!(
        body,
        "{\"resourceType\":\"Observation\",\"id\":\"1\", \"subject\" : {\"reference\":\"Patient/1\" }, \"performer\":[{\"type\":\"Patient\"},{\"reference\":\"Organization/1\",\"display\":\"Lab\"},{\"reference\":\"urn:uuid:1\"}]}"
    );
}

#[test]
fn copies_of_rows_that_may_be_labelled_go() {
    let program = pack(
        r#"
pack = "t"
fhir = "R4"
[[role]]
name = "nurse"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Encounter", "Condition", "Patient"]
  can = ["read"]
[[role]]
name = "psychiatrist"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Encounter", "Condition", "Patient"]
  can = ["read"]
  sensitive = ["*"]
"#,
    );
    let row = r#"{"resourceType":"Encounter","id":"1","subject":{"reference":"Patient/1","display":"Ann"},"diagnosis":[{"condition":{"reference":"Condition/1","display":"Depression"}}]}"#;
    let Asked::Leaves(body) = ask(&program, "nurse", "/Encounter/1", row) else {
        panic!()
    };
    assert_eq!(body, row.replace(r#","display":"Depression""#, ""));
    let Asked::Leaves(body) = ask(&program, "psychiatrist", "/Encounter/1", row) else {
        panic!()
    };
    assert_eq!(body, row);
}

#[test]
fn show_names_neither_extensions_nor_narrative_at_any_depth() {
    use chartward_rules::pack::Program;
    use chartward_rules::source::Source;
    for (path, said) in [
        ("Patient.extension", "extensions are kept by their URL"),
        ("Patient.extension.url", "extensions are kept by their URL"),
        (
            "Patient.name.extension.id",
            "extensions are kept by their URL",
        ),
        ("Patient.text.div", "can't show narrative"),
        ("Composition.section.text", "can't show narrative"),
        ("Composition.section.text.div", "can't show narrative"),
    ] {
        let (on, _) = path.split_once('.').expect("a path");
        let text = format!(
            "pack = \"t\"\nfhir = \"R4\"\n[[role]]\nname = \"r\"\n[[role.grant]]\non = \"{on}\"\ncan = \"read\"\nshow = [\"{path}\"]\n"
        );
        let errors = Program::compile(&[Source::new("pack.toml", text)]).expect_err(path);
        assert!(
            errors.render().contains(said),
            "{path}: {}",
            errors.render()
        );
    }
}

#[test]
fn a_long_answer_leaves_in_windows_of_one_size_however_it_came() {
    let program = pack(NURSE);
    let row = |i: usize, hidden: &str| {
        format!(
            r#"{{"resource":{{"resourceType":"Observation","id":"o{i}","status":"final","code":{{"text":"{}"}}{hidden}}}}}"#,
            "x".repeat(900)
        )
    };
    let bundle = |hidden: &str| {
        let rows: Vec<String> = (0..1000).map(|i| row(i, hidden)).collect();
        format!(
            r#"{{"resourceType":"Bundle","type":"searchset","entry":[{}]}}"#,
            rows.join(",")
        )
    };
    let note = format!(r#","note":[{{"text":"{}"}}]"#, "secret ".repeat(100));
    let mut seen = Vec::new();
    for (hidden, piece) in [
        ("", 8 << 10),
        (&*note, 8 << 10),
        (&*note, 100 << 10),
        ("", 7000),
    ] {
        let asked = ask_as(&program, "nurse", "/Observation", &bundle(hidden), piece);
        let Asked::Leaves(body) = asked else { panic!() };
        seen.push((support::WINDOWS.with_borrow(Vec::clone), body));
    }
    let (windows, last) = seen[0].0.split_at(seen[0].0.len() - 1);
    assert!(windows.len() >= 3 && windows.iter().all(|w| *w == 256 << 10) && last[0] <= 256 << 10);
    assert!(seen.iter().all(|other| *other == seen[0]));
}
