//! Batches: entries by themselves, answers in their order.

use super::*;

fn batch(entries: Value) -> Value {
    json!({"resourceType": "Bundle", "type": "batch", "entry": entries})
}

fn entry(method: &str, url: &str) -> Value {
    json!({"request": {"method": method, "url": url}})
}

#[tokio::test]
async fn each_entry_is_answered_in_its_place() {
    let server = server().await;
    let patch = {
        use base64::Engine as _;
        let patch = br#"[{"op":"remove","path":"/gender"}]"#;
        base64::engine::general_purpose::STANDARD.encode(patch)
    };
    let mut update = patient("b");
    update["active"] = true.into();
    let base = server.base_url();
    let body = batch(json!([
        entry("GET", "Patient/a"),
        entry("GET", "Patient/nobody"),
        entry("GET", "Patient?gender=female&_count=1"),
        {"resource": newcomer("n"), "request": {"method": "POST", "url": "Patient"}},
        {"resource": newcomer("n"), "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:mrn|n"}},
        {"resource": update, "request": {"method": "PUT", "url": format!("{base}/Patient/b"), "ifMatch": "W/\"1\""}},
        {"resource": update, "request": {"method": "PUT", "url": "Patient/b", "ifMatch": "W/\"1\""}},
        {"resource": {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": patch},
            "request": {"method": "PATCH", "url": "Patient/c"}},
        {"resource": {"resourceType": "Binary", "contentType": "text/plain", "data": patch},
            "request": {"method": "PATCH", "url": "Patient/c"}},
        entry("DELETE", "Patient?identifier=urn:mrn|a"),
        {"request": {"method": "GET", "url": "Patient/c", "ifNoneMatch": "W/\"2\""}},
        entry("HEAD", "/Patient/c/_history/1"),
        entry("POST", ""),
        entry("GET", "Nothing/a"),
        {"resource": newcomer("n"), "request": {"method": "GET", "url": "Patient/a"}},
        {"resource": newcomer("n")},
        entry("POST", "Patient"),
        entry("GET", "metadata"),
        entry("GET", "_history?_count=1"),
        entry("GET", "Patient/b/Observation"),
    ]));
    let answer = ask(&server, "POST", "/fhir", &[], &body).await;
    assert_eq!(
        (answer.status, answer.body["type"].as_str()),
        (200, Some("batch-response"))
    );
    let entries = answer.body["entry"].as_array().unwrap();
    let statuses: Vec<&str> = entries
        .iter()
        .map(|entry| &entry["response"]["status"].as_str().unwrap()[..3])
        .collect();
    let expected =
        "200 404 200 201 200 200 412 200 415 204 304 200 400 404 400 400 400 200 200 200";
    assert_eq!(statuses.join(" "), expected);
    for (entry, status) in entries.iter().zip(&statuses) {
        let refused = *status >= "400";
        assert_eq!(entry["response"]["outcome"].is_object(), refused, "{entry}");
    }
    assert_eq!(entries[0]["resource"]["id"], "a");
    assert_eq!(entries[0]["response"]["etag"], "W/\"1\"");
    assert_eq!(entries[2]["resource"]["type"], "searchset");
    assert_eq!(
        entries[3].get("resource"),
        None,
        "short unless told otherwise"
    );
    assert_eq!(
        entries[3]["response"]["location"],
        entries[4]["response"]["location"]
    );
    assert_eq!(entries[5]["response"]["location"], "Patient/b/_history/2");
    assert!(entries[5]["response"]["lastModified"].is_string());
    assert_eq!(entries[11].get("resource"), None, "HEAD");
    assert_eq!(
        entries[18]["resource"]["entry"][0]["request"]["method"],
        "DELETE"
    );
}

#[tokio::test]
async fn preferences_hold_for_every_entry() {
    let server = server().await;
    let body = batch(json!([
        {"resource": newcomer("n"), "request": {"method": "POST", "url": "Patient"}},
        {"resource": patient("a"), "request": {"method": "PUT", "url": "Patient/a"}},
        entry("GET", "Patient?nonsense=1"),
    ]));
    let answer = ask(&server, "POST", "/fhir/", &[ALL], &body).await;
    for entry in &answer.body["entry"].as_array().unwrap()[..2] {
        assert_eq!(entry["resource"]["resourceType"], "Patient");
    }
    let outcome = [("prefer", "return=OperationOutcome, handling=lenient")];
    let answer = ask(&server, "POST", "/fhir", &outcome, &body).await;
    for entry in &answer.body["entry"].as_array().unwrap()[..2] {
        assert_eq!(
            entry["response"]["outcome"]["resourceType"],
            "OperationOutcome"
        );
        assert_eq!(entry.get("resource"), None);
    }
    assert_eq!(answer.body["entry"][2]["response"]["status"], "200 OK");
}

#[tokio::test]
async fn entries_of_a_batch_do_not_know_one_another() {
    let server = server().await;
    let mut lost = observation("x", "urn:uuid:p");
    lost["contained"] = json!([{"resourceType": "Patient", "id": "c"}]);
    let body = batch(json!([
        {"fullUrl": "urn:uuid:p", "resource": newcomer("n"), "request": {"method": "POST", "url": "Patient"}},
        {"fullUrl": "urn:uuid:o", "resource": lost, "request": {"method": "POST", "url": "Observation"}},
    ]));
    let answer = ask(&server, "POST", "/fhir", &[], &body).await;
    let status = |at: usize| answer.body["entry"][at]["response"]["status"].clone();
    assert_eq!(
        (status(0), status(1)),
        (json!("201 Created"), json!("400 Bad Request"))
    );
}

#[tokio::test]
async fn what_is_no_batch_is_refused_whole() {
    let server = server().await;
    let before = whole(&server);
    let twice = json!({"fullUrl": "urn:uuid:p", "resource": newcomer("n"), "request": {"method": "POST", "url": "Patient"}});
    for body in [
        json!({"resourceType": "Patient"}),
        json!({"resourceType": "Bundle"}),
        json!({"resourceType": "Bundle", "type": "searchset"}),
        json!({"resourceType": "Bundle", "type": "batch", "entry": {}}),
        batch(json!([1])),
        batch(json!([twice, twice])),
        batch(json!([{"fullUrl": 1, "request": {"method": "GET", "url": "Patient/a"}}])),
        json!([]),
    ] {
        let answer = ask(&server, "POST", "/fhir", &[], &body).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    let kind = [("content-type", "text/plain")];
    let answer = ask(&server, "POST", "/fhir", &kind, &batch(json!([]))).await;
    assert_eq!(answer.status, 415);
    let answer = ask(&server, "POST", "/fhir", &[], &batch(json!([]))).await;
    assert_eq!((answer.status, answer.body.get("entry")), (200, None));
    assert_eq!(whole(&server), before);
}
