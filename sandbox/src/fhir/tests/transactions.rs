//! Transactions: whole or nothing, in FHIR's order, references rewritten.

use super::*;

fn transaction(entries: Value) -> Value {
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

fn entry(method: &str, url: &str, resource: Value) -> Value {
    json!({"resource": resource, "request": {"method": method, "url": url}})
}

fn bare(method: &str, url: &str) -> Value {
    json!({"request": {"method": method, "url": url}})
}

fn statuses(answer: &Got) -> Vec<&str> {
    let entries = answer.body["entry"].as_array().unwrap();
    let statuses = entries.iter().map(|entry| &entry["response"]["status"]);
    statuses
        .map(|status| &status.as_str().unwrap()[..3])
        .collect()
}

#[tokio::test]
async fn entries_are_done_in_order_and_answered_in_theirs() {
    let server = server().await;
    let body = transaction(json!([
        bare("GET", "Patient?identifier=urn:mrn|a"),
        entry("PUT", "Patient/b", {
            let mut body = patient("b");
            body["gender"] = "other".into();
            body
        }),
        {"resource": newcomer("a"), "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:mrn|a"}},
        bare("DELETE", "Patient/a"),
        bare("GET", "Patient/b"),
    ]));
    let answer = ask(&server, "POST", "/fhir", &[], &body).await;
    assert_eq!(answer.body["type"], "transaction-response");
    assert_eq!(statuses(&answer), ["200", "200", "201", "204", "200"]);
    // Deleted before the condition looks, created before the search does.
    let found = &answer.body["entry"][0]["resource"];
    assert_eq!(found["total"], 1);
    assert_ne!(found["entry"][0]["resource"]["id"], "a");
    assert_eq!(answer.body["entry"][4]["resource"]["gender"], "other");
    assert_eq!(get(&server, "/fhir/Patient/a").await.status, 410);
}

#[tokio::test]
async fn references_among_entries_lead_to_what_was_written() {
    let server = server().await;
    let mut told = observation("x", "urn:uuid:p");
    told["contained"] = json!([{"resourceType": "Observation", "id": "c", "status": "final",
        "code": {"text": "x"}, "subject": {"reference": "urn:uuid:p"}}]);
    told["hasMember"] = json!([{"reference": "#c"}, {"reference": "urn:uuid:u"}]);
    told["performer"] = json!([{"reference": "Patient?identifier=urn:mrn|b"}]);
    told["identifier"] = json!([{"value": "urn:uuid:p"}]);
    told["note"] = json!([{"text": "urn:uuid:p"}]);
    let body = transaction(json!([
        {"fullUrl": "urn:uuid:o", "resource": told, "request": {"method": "POST", "url": "Observation"}},
        {"fullUrl": "urn:uuid:p", "resource": newcomer("n"), "request": {"method": "POST", "url": "Patient"}},
        {"fullUrl": "urn:uuid:u", "resource": observation("u", "urn:uuid:q"), "request": {"method": "PUT", "url": "Observation/u"}},
        {"fullUrl": "urn:uuid:q", "resource": newcomer("a"),
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:mrn|a"}},
        {"fullUrl": "http://elsewhere.example/fhir/Patient/9", "resource": newcomer("9"),
            "request": {"method": "POST", "url": "Patient"}},
        {"fullUrl": "http://elsewhere.example/fhir/Observation/8", "resource": observation("8", "Patient/9"),
            "request": {"method": "POST", "url": "Observation"}},
    ]));
    let answer = ask(&server, "POST", "/fhir", &[ALL], &body).await;
    assert_eq!(
        statuses(&answer),
        ["201", "201", "201", "200", "201", "201"],
        "{}",
        answer.body
    );
    let place = |at: usize| {
        let resource = &answer.body["entry"][at]["resource"];
        let text = |key: &str| resource[key].as_str().unwrap().to_owned();
        json!(format!("{}/{}", text("resourceType"), text("id")))
    };
    let told = &answer.body["entry"][0]["resource"];
    assert_eq!(told["subject"]["reference"], place(1));
    assert_eq!(told["contained"][0]["subject"]["reference"], place(1));
    assert_eq!(
        told["hasMember"],
        json!([{"reference": "#c"}, {"reference": "Observation/u"}])
    );
    assert_eq!(told["performer"][0]["reference"], "Patient/b");
    assert_eq!(
        (&told["identifier"][0]["value"], &told["note"][0]["text"]),
        (&json!("urn:uuid:p"), &json!("urn:uuid:p"))
    );
    assert_eq!(
        answer.body["entry"][2]["resource"]["subject"]["reference"],
        "Patient/a"
    );
    assert_eq!(
        answer.body["entry"][5]["resource"]["subject"]["reference"],
        place(4)
    );
    for at in [0, 1, 2, 3] {
        let text = format!("/fhir/{}", place(at).as_str().unwrap());
        let read = get(&server, &text).await;
        assert_eq!(read.body, answer.body["entry"][at]["resource"]);
    }
}

#[tokio::test]
async fn one_refused_entry_leaves_nothing_changed() {
    let server = server().await;
    let good = json!([
        bare("DELETE", "Patient/a"),
        entry("POST", "Patient", newcomer("n")),
        entry("PUT", "Patient/b", patient("b")),
        entry("PUT", "Patient/new", patient("new")),
    ]);
    let (before, id) = (whole(&server), server.store());
    let guarded = |guard: &str, value: &str| {
        json!({"resource": patient("c"),
        "request": {"method": "PUT", "url": "Patient/c", guard: value}})
    };
    for (status, last) in [
        (404, bare("GET", "Patient/nobody")),
        (410, bare("GET", "Patient/a")),
        (400, bare("GET", "Patient?nonsense=1")),
        (404, bare("DELETE", "Patient/nobody")),
        (412, bare("DELETE", "Patient?gender=female")),
        (400, entry("PUT", "Patient/c", patient("d"))),
        (
            400,
            entry("PUT", "Patient/c", json!({"resourceType": "Patient"})),
        ),
        (412, guarded("ifMatch", "W/\"9\"")),
        (412, guarded("ifNoneMatch", "*")),
        (400, guarded("ifMatch", "9")),
        (
            412,
            json!({"resource": newcomer("x"),
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": "gender=female"}}),
        ),
        (
            422,
            entry(
                "POST",
                "Observation",
                json!({"resourceType": "Observation", "status": "final"}),
            ),
        ),
        (
            400,
            entry("POST", "Observation", observation("x", "urn:uuid:nobody")),
        ),
        (
            412,
            entry(
                "POST",
                "Observation",
                observation("x", "Patient?identifier=urn:mrn|x"),
            ),
        ),
        (
            412,
            entry(
                "POST",
                "Observation",
                observation("x", "Patient?gender=female"),
            ),
        ),
        (400, entry("PUT", "Patient/b", patient("b"))),
        (400, entry("PUT", "Patient/a", patient("a"))),
        (404, entry("PUT", "Nothing/c", patient("c"))),
        (405, bare("POST", "Patient/c")),
        (400, bare("POST", "")),
        (
            415,
            entry("PATCH", "Patient/c", json!({"resourceType": "Parameters"})),
        ),
    ] {
        let mut entries = good.clone();
        entries.as_array_mut().unwrap().push(last.clone());
        let answer = ask(&server, "POST", "/fhir", &[], &transaction(entries)).await;
        assert_eq!(answer.status, status, "{last} {}", answer.body);
        assert_eq!(answer.body["resourceType"], "OperationOutcome");
        assert_eq!(whole(&server), before, "{last}");
    }
    assert_eq!(id.dump(), before.0);
    let answer = ask(&server, "POST", "/fhir", &[], &transaction(good)).await;
    assert_eq!(statuses(&answer), ["204", "201", "200", "201"]);
    assert_ne!(whole(&server), before);
}

#[tokio::test]
async fn the_refusal_names_its_entry() {
    let server = server().await;
    let body = transaction(json!([
        entry("POST", "Patient", newcomer("n")),
        bare("GET", "Patient/nobody"),
    ]));
    let answer = ask(&server, "POST", "/fhir", &[], &body).await;
    assert_eq!(answer.body["issue"][0]["expression"][0], "Bundle.entry[1]");
}

#[tokio::test]
async fn two_entries_can_not_both_create_what_there_is_to_be_once() {
    let server = server().await;
    let before = whole(&server);
    let once = json!({"resource": newcomer("n"),
        "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:mrn|n"}});
    let update = entry("PUT", "Patient?identifier=urn:mrn|n", newcomer("n"));
    for entries in [
        json!([once, once]),
        json!([update, update]),
        json!([once, update]),
    ] {
        let answer = ask(&server, "POST", "/fhir", &[], &transaction(entries)).await;
        assert_eq!((answer.status, answer.code()), (412, "multiple-matches"));
        assert_eq!(whole(&server), before);
    }
    let there = json!({"resource": newcomer("a"),
        "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:mrn|a"}});
    let answer = ask(
        &server,
        "POST",
        "/fhir",
        &[],
        &transaction(json!([there, there])),
    )
    .await;
    assert_eq!(statuses(&answer), ["200", "200"]);
    assert_eq!(whole(&server), before);
}

#[tokio::test]
async fn a_patch_in_a_transaction_is_a_binary() {
    use base64::Engine as _;
    let server = server().await;
    let patch = json!([{"op": "replace", "path": "/subject/reference", "value": "urn:uuid:p"}]);
    let data = base64::engine::general_purpose::STANDARD.encode(patch.to_string());
    let body = transaction(json!([
        entry("PATCH", "Observation/o", json!({"resourceType": "Binary",
            "contentType": "application/json-patch+json", "data": data})),
        {"fullUrl": "urn:uuid:p", "resource": newcomer("n"), "request": {"method": "POST", "url": "Patient"}},
    ]));
    let answer = ask(&server, "POST", "/fhir", &[ALL], &body).await;
    assert_eq!(statuses(&answer), ["200", "201"]);
    let made = answer.body["entry"][1]["resource"]["id"].as_str().unwrap();
    let read = get(&server, "/fhir/Observation/o").await;
    assert_eq!(read.body["subject"]["reference"], format!("Patient/{made}"));
    assert_eq!(read.body, answer.body["entry"][0]["resource"]);
}
