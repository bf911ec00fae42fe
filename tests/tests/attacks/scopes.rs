//! SMART scopes: nothing malformed grants, `patient/` stays with its patient, `user/` never widens a role.

use chartward_tests::{Request, Script, Seen, need};
use serde_json::{Value, json};

use super::stage::{Stage, bundle, ids, observation};

fn rows(seen: &Seen) -> Script {
    let path = seen.target.split('?').next().unwrap_or_default();
    let id = path.rsplit('/').next().unwrap_or_default().to_owned();
    let body = match path {
        "/fhir/Patient" => bundle(&[&patient("p1"), &patient("p2")], None),
        "/fhir/Observation" | "/fhir/Observation/_search" => bundle(
            &[
                &observation("o1", "p1", ""),
                &observation("o2", "p2", ""),
                &observation("o3", "p1", r#","performer":[{"reference":"Patient/p2"}]"#),
                r#"{"resourceType":"Observation","id":"o4","status":"final","code":{"text":"x"}}"#,
                r#"{"resourceType":"Observation","id":"o5","status":"final","code":{"text":"x"},"subject":{"display":"p1"}}"#,
                r#"{"resourceType":"Observation","id":"o6","status":"final","code":{"text":"x"},"subject":{"reference":"http://other.example/fhir/Patient/p1"}}"#,
                r#"{"resourceType":"Observation","id":"o7","status":"final","code":{"text":"x"},"subject":{"reference":"Group/p1"}}"#,
                r#"{"resourceType":"Observation","id":"o8","status":"final","code":{"text":"x"},"subject":{"reference":"patient/p1"}}"#,
                r#"{"resourceType":"Observation","id":"o9","status":"final","code":{"text":"x"},"subject":[{"reference":"Patient/p1"},{"reference":"Patient/p2"}]}"#,
                r##"{"resourceType":"Observation","id":"o10","status":"final","code":{"text":"x"},"contained":[{"resourceType":"Patient","id":"p1"}],"subject":{"reference":"#p1"}}"##,
            ],
            None,
        ),
        _ if path.starts_with("/fhir/Patient/") => patient(&id),
        _ if path.starts_with("/fhir/Observation/") => {
            observation(&id, if id == "mine" { "p1" } else { "p2" }, "")
        }
        _ => format!(r#"{{"resourceType":"Practitioner","id":"{id}","name":[{{"family":"x"}}]}}"#),
    };
    Script::json(200, &body)
}

fn patient(id: &str) -> String {
    format!(
        r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"x"}}],"link":[{{"other":{{"reference":"Patient/p1"}},"type":"seealso"}}]}}"#
    )
}

fn token(stage: &Stage, scope: &str, patient: Value) -> String {
    stage
        .tokens
        .claims(&json!({"sub": "someone", "roles": ["nurse"], "scope": scope, "patient": patient}))
}

#[test]
fn a_malformed_scope_grants_nothing() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open(rows);
    for scope in [
        "",
        "user/*",
        "user/*.",
        "user/*.sr",
        "user/*.rss",
        "user/*.RS",
        "User/*.rs",
        "user/observation.rs",
        "user/Observatio.rs",
        "user/ObservationX.rs",
        "user/Observation.rs?",
        "user/Observation.rs?category=laboratory",
        "user/Observation.read.write",
        "user/Observation.reads",
        "user/Observation.dus",
        "user/**.rs",
        "user/.rs",
        "/Observation.rs",
        "user/Observation.cud",
        "user/Observation.write",
        "user/Patient.rs",
        "system/Patient.*",
        "https://x/user/*.rs",
        "__user/*.rs",
        "openid fhirUser launch/patient offline_access",
        "user\t/*.rs",
        "user/*.rs,patient/*.rs",
    ] {
        for target in ["/fhir/Observation/mine", "/fhir/Observation"] {
            let request = Request::get(target).bearer(&token(&stage, scope, json!("p1")));
            let answer = stage.refused(request, 403, "insufficient-scope", scope);
            let challenge = answer.header("www-authenticate");
            assert!(
                challenge.contains("insufficient_scope"),
                "{scope}: {challenge}"
            );
        }
    }
    for scope in [
        json!(null),
        json!(["user/*.rs"]),
        json!({"user/*.rs": true}),
        json!(7),
    ] {
        let token = stage
            .tokens
            .claims(&json!({"sub": "someone", "roles": ["nurse"], "scope": scope}));
        let request = Request::get("/fhir/Observation/mine").bearer(&token);
        stage.refused(request, 403, "insufficient-scope", &scope.to_string());
    }
    for (scope, read, search) in [("user/*.r", 200, 403), ("user/*.s", 403, 200)] {
        let token = token(&stage, scope, json!("p1"));
        assert_eq!(
            stage.client.get("/fhir/Observation/mine", &token).status,
            read,
            "{scope}"
        );
        assert_eq!(
            stage.client.get("/fhir/Observation", &token).status,
            search,
            "{scope}"
        );
    }
}

#[test]
fn a_patients_scope_stays_with_the_patient() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open(rows);
    let token = token(&stage, "patient/*.rs", json!("p1"));
    let get = |target: &str| stage.client.get(target, &token);
    assert_eq!(get("/fhir/Observation/mine").status, 200);
    assert_eq!(get("/fhir/Patient/p1").status, 200);
    for other in ["/fhir/Observation/theirs", "/fhir/Patient/p2"] {
        let answer = get(other);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (404, "not-found"),
            "{other}"
        );
    }
    stage.upstream.forget();
    for beyond in [
        "/fhir/Practitioner/d1",
        "/fhir/Organization/x",
        "/fhir/Location",
        "/fhir/Slot",
    ] {
        let answer = get(beyond);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (403, "insufficient-scope"),
            "{beyond}"
        );
        stage.untouched(beyond);
    }
    // performers are no subjects, and what can't be told is not the patient's
    assert_eq!(
        ids(&get("/fhir/Observation")),
        ["Observation/o1", "Observation/o3"]
    );
    assert_eq!(
        ids(&get("/fhir/Observation?patient=p2")),
        ["Observation/o1", "Observation/o3"]
    );
    assert_eq!(ids(&get("/fhir/Patient")), ["Patient/p1"]);
    for seen in stage.upstream.seen() {
        let narrowed = if seen.target.contains("Observation") {
            "patient=Patient%2Fp1"
        } else {
            "_id=p1"
        };
        assert!(
            seen.target.contains(narrowed),
            "not narrowed: {}",
            seen.target
        );
    }
    stage.upstream.forget();
    let form = Request::form("/fhir/Observation/_search", "code=x").bearer(&token);
    assert_eq!(
        ids(&stage.client.send(form)),
        ["Observation/o1", "Observation/o3"]
    );
    let seen = &stage.upstream.seen()[0];
    assert!(String::from_utf8_lossy(&seen.body).contains("patient=Patient%2Fp1"));
}

#[test]
fn a_patients_scope_without_a_patient_grants_nothing() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open(rows);
    for patient in [
        json!(null),
        json!(""),
        json!("*"),
        json!("Patient/p1"),
        json!(["p1"]),
        json!("p1,p2"),
        json!("p1&_id=p2"),
        json!({"id": "p1"}),
    ] {
        for target in [
            "/fhir/Observation/mine",
            "/fhir/Observation",
            "/fhir/Patient",
        ] {
            let request =
                Request::get(target).bearer(&token(&stage, "patient/*.rs", patient.clone()));
            stage.refused(request, 403, "insufficient-scope", &patient.to_string());
        }
    }
}

#[test]
fn contexts_never_add_up_and_a_role_is_never_widened() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open(rows);
    // reading by `user/`, searching by `patient/`
    let mixed = token(&stage, "user/Patient.r patient/Observation.rs", json!("p1"));
    assert_eq!(stage.client.get("/fhir/Patient/p2", &mixed).status, 200);
    assert_eq!(
        stage.client.get("/fhir/Observation/theirs", &mixed).status,
        404
    );
    stage.upstream.forget();
    stage.refused(
        Request::get("/fhir/Patient").bearer(&mixed),
        403,
        "insufficient-scope",
        "search",
    );
    for scope in [
        "user/*.cruds",
        "system/*.*",
        "user/*.* system/*.* patient/*.*",
    ] {
        let desk = stage.tokens.claims(
            &json!({"sub": "someone", "roles": ["front-desk"], "scope": scope, "patient": "p1"}),
        );
        let request = Request::get("/fhir/Observation/mine").bearer(&desk);
        stage.refused(request, 403, "not-granted", scope);
    }
}
