//! Rows made to slip past their labels, their conditions or their view.

use chartward_tests::{Script, need};
use serde_json::Value;

use super::stage::{Stage, observation};

const ACT: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const HIDDEN: &[u8] = b"Hidden-4711";

fn labels(id: &str, members: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","status":"final",{members},"code":{{"text":"Hidden-4711"}},"subject":{{"reference":"Patient/p1"}}}}"#
    )
}

/// The ways to write a label on a row, well and badly.
fn labelled() -> Vec<(&'static str, String)> {
    let meta = |security: &str| format!(r#""meta":{{"security":{security}}}"#);
    let psy = format!(r#"{{"system":"{ACT}","code":"PSY"}}"#);
    vec![
        ("plain", meta(&format!("[{psy}]"))),
        (
            "code-first",
            meta(&format!(r#"[{{"code":"PSY","system":"{ACT}"}}]"#)),
        ),
        (
            "escaped-code",
            meta(&format!(r#"[{{"system":"{ACT}","code":"P\u0053Y"}}]"#)),
        ),
        (
            "escaped-key",
            meta(&format!(r#"[{{"system":"{ACT}","co\u0064e":"PSY"}}]"#)),
        ),
        (
            "escaped-security",
            format!(r#""m\u0065ta":{{"s\u0065curity":[{psy}]}}"#),
        ),
        (
            "escaped-system",
            meta(&format!(
                r#"[{{"system":"{}","code":"PSY"}}]"#,
                ACT.replace('/', "\\/")
            )),
        ),
        (
            "second",
            meta(&format!(r#"[{{"system":"x","code":"y"}},{psy}]"#)),
        ),
        ("no-system", meta(r#"[{"code":"PSY"}]"#)),
        ("null-system", meta(r#"[{"system":null,"code":"PSY"}]"#)),
        ("empty-system", meta(r#"[{"system":"","code":"PSY"}]"#)),
        (
            "oid-system",
            meta(r#"[{"system":"urn:oid:2.16.840.1.113883.5.4","code":"PSY"}]"#),
        ),
        (
            "old-system",
            meta(r#"[{"system":"http://hl7.org/fhir/v3/ActCode","code":"PSY"}]"#),
        ),
        ("object", meta(&psy)),
        ("nested-array", meta(&format!("[[{psy}]]"))),
        ("meta-array", format!(r#""meta":[{{"security":[{psy}]}}]"#)),
        ("meta-nested", format!(r#""meta":[[{{"security":{psy}}}]]"#)),
        (
            "meta-twice",
            format!(r#""meta":{{"versionId":"1"}},"meta":{{"security":[{psy}]}}"#),
        ),
        (
            "security-twice",
            format!(r#""meta":{{"security":[],"security":[{psy}]}}"#),
        ),
        (
            "code-twice",
            meta(&format!(
                r#"[{{"system":"{ACT}","code":"x","code":"PSY"}}]"#
            )),
        ),
        (
            "code-array",
            meta(&format!(r#"[{{"system":"{ACT}","code":["PSY"]}}]"#)),
        ),
        (
            "unnamed-class",
            meta(&format!(r#"[{{"system":"{ACT}","code":"HIV"}}]"#)),
        ),
        (
            "restricted",
            meta(
                r#"[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]"#,
            ),
        ),
        (
            "old-restricted",
            meta(r#"[{"system":"urn:oid:2.16.840.1.113883.5.25","code":"V"}]"#),
        ),
    ]
}

#[test]
fn a_label_counts_however_it_is_written() {
    if !need("binary") {
        return;
    }
    let rows = labelled();
    let stage = Stage::open(move |seen| {
        rows.iter()
            .find(|(name, _)| seen.target.ends_with(&format!("/{name}")))
            .map_or_else(
                || Script::json(404, "{}"),
                |(name, members)| Script::json(200, &labels(name, members)),
            )
    });
    let nurse = stage.token("nurse");
    let mut open = Vec::new();
    for (name, _) in labelled() {
        let answer = stage
            .client
            .get(&format!("/fhir/Observation/{name}"), &nurse);
        if answer.status == 200 || answer.holds(HIDDEN) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "these labels were overlooked");
}

#[test]
fn a_label_counts_under_a_view_that_hides_it() {
    if !need("binary") {
        return;
    }
    let condition = |name: &str, members: &str| {
        format!(
            r#"{{"resourceType":"Condition","id":"{name}",{members},"category":[{{"coding":[{{"code":"encounter-diagnosis"}}]}}],"code":{{"text":"Hidden-4711"}},"subject":{{"reference":"Patient/p1"}}}}"#
        )
    };
    let rows = labelled();
    let stage = Stage::open(move |seen| {
        rows.iter()
            .find(|(name, _)| seen.target.ends_with(&format!("/{name}")))
            .map_or_else(
                || Script::json(200, &condition("none", r#""meta":{"versionId":"1"}"#)),
                |(name, members)| Script::json(200, &condition(name, members)),
            )
    });
    let coder = stage.token("coder");
    let mut open = Vec::new();
    for (name, _) in labelled() {
        let answer = stage.client.get(&format!("/fhir/Condition/{name}"), &coder);
        if answer.status == 200 || answer.holds(HIDDEN) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "these labels were overlooked");
    assert_eq!(stage.client.get("/fhir/Condition/none", &coder).status, 200);
}

/// A condition that two readers could answer differently isn't met.
#[test]
fn a_condition_is_not_met_by_a_second_reading() {
    if !need("binary") {
        return;
    }
    let diagnosis = r#"[{"coding":[{"code":"encounter-diagnosis"}]}]"#;
    let problem = r#"[{"coding":[{"code":"problem-list-item"}]}]"#;
    let rows = [
        (
            "twice",
            format!(r#""category":{problem},"category":{diagnosis}"#),
        ),
        (
            "twice-escaped",
            format!(r#""category":{diagnosis},"c\u0061tegory":{problem}"#),
        ),
        (
            "by-text",
            r#""category":[{"text":"encounter-diagnosis"}]"#.to_owned(),
        ),
        (
            "by-display",
            r#""category":[{"coding":[{"code":"x","display":"encounter-diagnosis"}]}]"#.to_owned(),
        ),
        (
            "by-case",
            r#""category":[{"coding":[{"code":"Encounter-Diagnosis"}]}]"#.to_owned(),
        ),
        (
            "by-extension",
            format!(r#""extension":[{{"url":"x","category":{diagnosis}}}]"#),
        ),
        (
            "by-contained",
            format!(
                r#""contained":[{{"resourceType":"Condition","id":"c","category":{diagnosis}}}]"#
            ),
        ),
        ("none", r#""category":[]"#.to_owned()),
    ];
    let scripts = rows.clone();
    let stage = Stage::open(move |seen| {
        scripts
            .iter()
            .find(|(name, _)| seen.target.ends_with(&format!("/{name}")))
            .map_or_else(
                || Script::json(404, "{}"),
                |(name, members)| {
                    Script::json(200, &format!(r#"{{"resourceType":"Condition","id":"{name}",{members},"code":{{"text":"Hidden-4711"}},"subject":{{"reference":"Patient/p1"}}}}"#))
                },
            )
    });
    let coder = stage.token("coder");
    let mut open = Vec::new();
    for (name, _) in rows {
        let answer = stage.client.get(&format!("/fhir/Condition/{name}"), &coder);
        if answer.status == 200 || answer.holds(HIDDEN) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn what_is_hidden_leaves_in_no_other_shape() {
    if !need("binary") {
        return;
    }
    let h = "Hidden-4711";
    let shapes = [
        (
            "narrative",
            format!(r#""text":{{"status":"generated","div":"<div>{h}</div>"}}"#),
        ),
        (
            "sibling",
            format!(
                r#""_maritalStatus":{{"id":"{h}"}},"_birthDate":{{"extension":[{{"url":"x","valueString":"{h}"}}]}}"#
            ),
        ),
        (
            "extension",
            format!(r#""extension":[{{"url":"http://x","valueString":"{h}"}}]"#),
        ),
        (
            "inner-extension",
            format!(
                r#""name":[{{"family":"Shown","extension":[{{"url":"http://x","valueString":"{h}"}}]}}]"#
            ),
        ),
        (
            "contact",
            format!(r#""contact":[{{"name":{{"family":"{h}"}}}}]"#),
        ),
        (
            "escaped",
            format!(r#""cont\u0061ct":[{{"name":{{"family":"{h}"}}}}]"#),
        ),
        ("unknown", format!(r#""nickname":"{h}""#)),
        (
            "contained",
            format!(
                r#""contained":[{{"resourceType":"Observation","id":"o","status":"final","code":{{"text":"{h}"}}}}]"#
            ),
        ),
        (
            "contained-patient",
            format!(
                r#""contained":[{{"resourceType":"Patient","id":"o","contact":[{{"name":{{"family":"{h}"}}}}]}}]"#
            ),
        ),
        (
            "display",
            format!(
                r#""generalPractitioner":[{{"reference":"Practitioner/1","display":"{h}"}}],"link":[{{"other":{{"reference":"Observation/2","display":"{h}"}},"type":"seealso"}}]"#
            ),
        ),
        (
            "object-for-array",
            format!(r#""contact":{{"name":{{"family":"{h}"}}}}"#),
        ),
        (
            "primitive-as-object",
            format!(r#""gender":{{"code":"{h}"}}"#),
        ),
        (
            "primitive-as-array",
            format!(r#""gender":[{{"code":"{h}"}}],"birthDate":[["{h}",{{"x":"{h}"}}]]"#),
        ),
        ("complex-as-string", format!(r#""name":"{h}""#)),
        (
            "photo",
            format!(r#""photo":[{{"title":"{h}","url":"http://x/{h}"}}]"#),
        ),
        (
            "meta",
            format!(
                r#""meta":{{"source":"{h}","tag":[{{"display":"{h}"}}],"profile":["{h}"],"extension":[{{"url":"{h}"}}]}}"#
            ),
        ),
        (
            "comments",
            format!(r#""fhir_comments":["{h}"],"implicitRules":"x","language":"{h}""#),
        ),
        (
            "deep-unknown",
            format!(
                r#""name":[{{"family":"Shown","secret":"{h}"}}],"identifier":[{{"value":"1","assigner":{{"display":"{h}","identifier":{{"value":"{h}"}}}}}}]"#
            ),
        ),
    ];
    let scripts = shapes.clone();
    let stage = Stage::open(move |seen| {
        scripts
            .iter()
            .find(|(name, _)| seen.target.ends_with(&format!("/{name}")))
            .map_or_else(
                || Script::json(404, "{}"),
                |(name, members)| {
                    Script::json(
                        200,
                        &format!(r#"{{"resourceType":"Patient",{members},"id":"{name}"}}"#),
                    )
                },
            )
    });
    let desk = stage.token("front-desk");
    let mut open = Vec::new();
    for (name, _) in shapes {
        let answer = stage.client.get(&format!("/fhir/Patient/{name}"), &desk);
        let shown = answer.holds(HIDDEN);
        // a name of the wrong kind is shown or dropped, and an organization's name is the desk's to see
        if shown && name != "deep-unknown" {
            open.push(name);
        }
        if name == "deep-unknown" {
            assert!(!answer.holds(b"secret"), "{}", answer.text());
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn an_unknown_modifier_extension_withholds_the_row() {
    if !need("binary") {
        return;
    }
    let places = [
        r#""modifierExtension":[{"url":"http://not","valueBoolean":true}]"#,
        r#""contact":[{"modifierExtension":[{"url":"http://not","valueBoolean":true}]}],"name":[{"family":"x"}]"#,
        r#""modifierExtension":{"url":"http://not"}"#,
        r#""modifierExtension":["http://not"]"#,
    ];
    for (n, place) in places.into_iter().enumerate() {
        let stage = Stage::fixed(&format!(
            r#"{{"resourceType":"Patient","id":"p1","birthDate":"1970-01-01",{place}}}"#
        ));
        let answer = stage.get("front-desk", "/fhir/Patient/p1");
        // inside what is hidden it changes nothing that is shown
        let inside = n == 1;
        assert_eq!(
            answer.status,
            if inside { 200 } else { 404 },
            "{place}: {}",
            answer.text()
        );
    }
}

#[test]
fn a_contained_resource_is_judged_by_its_own_label_and_type() {
    if !need("binary") {
        return;
    }
    let psy = format!(r#""meta":{{"security":[{{"system":"{ACT}","code":"PSY"}}]}}"#);
    let contained = format!(
        r##","contained":[{{"resourceType":"Condition","id":"a",{psy},"code":{{"text":"Hidden-4711"}}}},{{"resourceType":"Coverage","id":"b","subscriberId":"Hidden-4711"}},{{"resourceType":"Patient","id":"c","identifier":[{{"value":"Hidden-4711"}}],"name":[{{"family":"Shown"}}]}},{{"resourceType":"Bundle","id":"d","type":"collection","entry":[{{"resource":{{"resourceType":"Coverage","id":"e","subscriberId":"Hidden-4711"}}}}]}}],"hasMember":[{{"reference":"#a","display":"Hidden-4711"}},{{"reference":"#b","display":"Hidden-4711"}}]"##
    );
    let stage = Stage::fixed(&observation("o1", "p1", &contained));
    let answer = stage.get("nurse", "/fhir/Observation/o1");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.holds(HIDDEN), "{}", answer.text());
    assert!(answer.holds(b"Shown"), "{}", answer.text());
}

#[test]
fn numbers_leave_as_they_were_written() {
    if !need("binary") {
        return;
    }
    let more = r#","valueQuantity":{"value":1.0500,"unit":"mmol/L"},"component":[{"code":{"text":"x"},"valueQuantity":{"value":1E400}},{"code":{"text":"y"},"valueQuantity":{"value":12345678901234567890.10}}]"#;
    let stage = Stage::fixed(&observation("o1", "p1", more));
    let answer = stage.get("nurse", "/fhir/Observation/o1");
    for number in ["1.0500,", "1E400}", "12345678901234567890.10}"] {
        assert!(
            answer.text().contains(number),
            "{number}: {}",
            answer.text()
        );
    }
}

#[test]
fn a_reference_shows_no_name_that_the_role_may_not_read() {
    if !need("binary") {
        return;
    }
    let condition = r#"{"resourceType":"Condition","id":"c1","category":[{"coding":[{"code":"encounter-diagnosis"}]}],"subject":{"reference":"Patient/p1","display":"Hidden-4711","identifier":{"value":"Hidden-4711"}},"encounter":{"reference":"Encounter/e1","display":"Hidden-4711"},"code":{"text":"Shown"}}"#;
    let stage = Stage::fixed(condition);
    let answer = stage.get("coder", "/fhir/Condition/c1");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.holds(HIDDEN), "{}", answer.text());
    let row: Value = answer.json();
    assert_eq!(row["subject"]["reference"], "Patient/p1");
}

#[test]
fn a_whole_view_shows_no_copy_of_what_the_role_may_not_read() {
    if !need("binary") {
        return;
    }
    // nurses see whole observations, patients without identifiers, colleagues by name alone
    let more = r#","performer":[{"reference":"Practitioner/d1","identifier":{"value":"Hidden-4711"},"display":"Dr Shown"}],"encounter":{"reference":"Encounter/e1"}"#;
    let row = observation("o1", "p1", more).replace(
        r#"{"reference":"Patient/p1"}"#,
        r#"{"reference":"Patient/p1","identifier":{"value":"Hidden-4711"},"display":"Ann"}"#,
    );
    let stage = Stage::fixed(&row);
    let answer = stage.get("nurse", "/fhir/Observation/o1");
    assert_eq!(answer.status, 200);
    assert!(!answer.holds(HIDDEN), "{}", answer.text());
    assert!(
        answer.holds(b"Dr Shown") && answer.holds(b"Ann"),
        "{}",
        answer.text()
    );
}

#[test]
fn an_extension_that_is_hidden_leaves_no_trace_among_primitives() {
    if !need("binary") {
        return;
    }
    let name =
        |members: &str| format!(r#"{{"resourceType":"Patient","id":"p1","name":[{{{members}}}]}}"#);
    let hidden = r#"{"extension":[{"url":"http://x","valueString":"Hidden-4711"}]}"#;
    let leaves = |row: &str| {
        let answer = Stage::fixed(row).get("front-desk", "/fhir/Patient/p1");
        assert_eq!(answer.status, 200, "{row}: {}", answer.text());
        answer.text().to_owned()
    };
    for (with, without) in [
        (
            format!(r#""given":["Ann"],"_given":[{hidden}]"#),
            r#""given":["Ann"]"#,
        ),
        (
            format!(r#""_given":[{hidden}],"given":["Ann"]"#),
            r#""given":["Ann"]"#,
        ),
        (
            format!(r#""given":["Ann"],"_family":{hidden}"#),
            r#""given":["Ann"]"#,
        ),
        (
            format!(r#""given":["Ann","Bea"],"_given":[null,{hidden}]"#),
            r#""given":["Ann","Bea"]"#,
        ),
    ] {
        assert_eq!(leaves(&name(&with)), leaves(&name(without)), "{with}");
    }
}

#[test]
fn what_a_contained_resource_contains_does_not_leave() {
    if !need("binary") {
        return;
    }
    let psy = format!(r#""meta":{{"security":[{{"system":"{ACT}","code":"PSY"}}]}}"#);
    for nested in [
        r#"{"resourceType":"Coverage","id":"n","subscriberId":"Hidden-4711"}"#.to_owned(),
        r#"{"resourceType":"Patient","id":"n","identifier":[{"value":"Hidden-4711"}]}"#.to_owned(),
        format!(
            r#"{{"resourceType":"Observation","id":"n",{psy},"status":"final","code":{{"text":"Hidden-4711"}}}}"#
        ),
    ] {
        let more = format!(
            r#","contained":[{{"resourceType":"Observation","id":"a","status":"final","code":{{"text":"Shown"}},"contained":[{nested}]}},{{"resourceType":"Observation","id":"b","status":"final","code":{{"text":"Shown"}}}}]"#
        );
        let stage = Stage::fixed(&observation("o1", "p1", &more));
        let answer = stage.get("nurse", "/fhir/Observation/o1");
        assert!(!answer.holds(HIDDEN), "{nested}: {}", answer.text());
        assert_eq!(answer.status, 200);
    }
}
