//! Purposes of use (D2), and what metadata says to whom.

use std::time::Duration;

use chartward_tests::{Request, Script, need};
use serde_json::{Value, json};

use super::stage::{Stage, bundle, observation};

fn stage() -> Stage {
    Stage::open(|seen| {
        Script::json(
            200,
            &if seen.target.contains("/Observation/") {
                observation("o1", "p1", "")
            } else {
                bundle(&[], None)
            },
        )
    })
}

const ROW: &str = "/fhir/Observation/o1";

#[test]
fn a_purpose_is_known_held_and_said_once() {
    if !need("binary") {
        return;
    }
    let stage = stage();
    let nurse = stage.token("nurse");
    let ask = |purpose: &str| {
        Request::get(ROW)
            .bearer(&nurse)
            .header("x-purpose-of-use", purpose)
    };
    for unknown in [
        "",
        "treat",
        "TREATMENT",
        "TREAT,HRESCH",
        "TREAT;HRESCH",
        "TREAT HRESCH",
        "*",
        "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT|x",
    ] {
        stage.refused(ask(unknown), 400, "not-understood", unknown);
    }
    for other in ["HRESCH", "HPAYMT", "HOPERAT", "PATRQT", "PUBHLTH"] {
        stage.refused(ask(other), 403, "not-granted", other);
    }
    // breaking the glass is never implied by TREAT
    stage.refused(ask("BTG"), 403, "not-granted", "BTG");
    assert_eq!(stage.client.send(ask("TREAT")).status, 200);
    assert_eq!(
        stage.client.send(Request::get(ROW).bearer(&nurse)).status,
        200
    );
    stage.upstream.forget();

    let host = stage.gateway.address();
    for (one, two) in [("TREAT", "TREAT"), ("HRESCH", "TREAT")] {
        let mut raw = stage.gateway.raw();
        raw.send(format!("GET {ROW} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {nurse}\r\nX-Purpose-Of-Use: {one}\r\nX-Purpose-Of-Use: {two}\r\nConnection: close\r\n\r\n").as_bytes());
        let (answer, _) = raw.read_all(Duration::from_millis(500));
        assert!(
            answer.starts_with(b"HTTP/1.1 400 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        stage.untouched("two purposes");
    }
}

#[test]
fn a_purpose_of_the_token_binds() {
    if !need("binary") {
        return;
    }
    let stage = stage();
    let token = |purpose: Value| {
        stage.tokens.claims(&json!({"sub": "someone", "roles": ["nurse"], "scope": "user/*.rs", "purpose_of_use": purpose}))
    };
    let ask = |token: &str, header: Option<&str>| {
        let request = Request::get(ROW).bearer(token);
        match header {
            Some(purpose) => request.header("x-purpose-of-use", purpose),
            None => request,
        }
    };
    let research = token(json!("HRESCH"));
    stage.refused(ask(&research, None), 403, "not-granted", "research");
    stage.refused(
        ask(&research, Some("TREAT")),
        403,
        "not-granted",
        "a header doesn't widen it",
    );
    stage.refused(
        ask(&token(json!("BTG")), Some("TREAT")),
        403,
        "not-granted",
        "BTG",
    );
    stage.refused(
        ask(&token(json!(["HRESCH", "HPAYMT"])), Some("TREAT")),
        403,
        "purpose-required",
        "neither",
    );
    stage.refused(
        ask(&token(json!("nonsense")), Some("TREAT")),
        403,
        "purpose-required",
        "unknown",
    );
    stage.refused(
        ask(
            &token(json!({"system": "http://x", "code": "TREAT"})),
            Some("TREAT"),
        ),
        403,
        "purpose-required",
        "another system",
    );
    assert_eq!(
        stage
            .client
            .send(ask(&token(json!("TREAT")), Some("HRESCH")))
            .status,
        200
    );
    assert_eq!(
        stage
            .client
            .send(ask(&token(json!(["HRESCH", "TREAT"])), Some("TREAT")))
            .status,
        200
    );
}

#[test]
fn roles_of_two_purposes_need_a_choice_and_do_not_add_up() {
    if !need("binary") {
        return;
    }
    let stage = stage();
    let both = stage
        .tokens
        .token("someone", &["nurse", "front-desk"], "user/*.rs");
    stage.refused(
        Request::get(ROW).bearer(&both),
        403,
        "purpose-required",
        "no choice",
    );
    let desk = Request::get(ROW)
        .bearer(&both)
        .header("x-purpose-of-use", "HOPERAT");
    stage.refused(desk, 403, "not-granted", "the desk sees no observation");
    let nurse = Request::get(ROW)
        .bearer(&both)
        .header("x-purpose-of-use", "TREAT");
    assert_eq!(stage.client.send(nurse).status, 200);
    stage.upstream.forget();
    // a nurse doesn't search identifiers, and the desk's right to doesn't help while treating
    let identifier = Request::get("/fhir/Patient?identifier=1")
        .bearer(&both)
        .header("x-purpose-of-use", "TREAT");
    stage.refused(identifier, 403, "search-reads-hidden", "identifier");
}

#[test]
fn metadata_tells_each_caller_what_is_theirs() {
    if !need("binary") {
        return;
    }
    let stage = stage();
    let types = |answer: &Value| -> Vec<String> {
        answer["rest"][0]["resource"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| one["type"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let nobody = stage.client.send(Request::get("/fhir/metadata"));
    assert_eq!(nobody.status, 200);
    assert_eq!(types(&nobody.json()), Vec::<String>::new());
    for word in [
        "Patient",
        "Observation",
        "nurse",
        "outpatient",
        stage.upstream.url().as_str(),
        "searchParam",
    ] {
        assert!(!nobody.holds(word.as_bytes()), "{word}: {}", nobody.text());
    }
    for bad in ["x", "a.b.c"] {
        assert_eq!(stage.client.get("/fhir/metadata", bad).status, 401);
    }
    let basic = Request::get("/fhir/metadata").header("authorization", "Basic eDp5");
    assert_eq!(stage.client.send(basic).status, 401);

    let coder = stage.get("coder", "/fhir/metadata");
    assert_eq!(types(&coder.json()), ["Condition", "Encounter"]);
    let lab = stage.get("lab-device", "/fhir/metadata");
    assert_eq!(types(&lab.json()), ["ServiceRequest"]);
    // names of parameters that would be refused are no part of what the caller may do
    let names: Vec<&str> = coder.text().split('"').collect();
    for hidden in ["evidence", "asserter", "participant", "reason-code"] {
        assert!(!names.contains(&hidden), "{hidden}: {}", coder.text());
    }
    let narrow = stage.tokens.token("someone", &["nurse"], "user/Patient.r");
    let narrow = stage.client.get("/fhir/metadata", &narrow).json();
    assert_eq!(types(&narrow), ["Patient"]);
    let codes = narrow["rest"][0]["resource"][0]["interaction"].to_string();
    assert!(
        codes.contains("read") && !codes.contains("search"),
        "{codes}"
    );
    stage.untouched("metadata");
}
