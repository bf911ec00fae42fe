//! Create, update, patch and delete without conditions.

use super::*;

#[tokio::test]
async fn a_create_assigns_id_version_and_time() {
    let server = server().await;
    let mut body = newcomer("new");
    body["id"] = "mine".into();
    body["meta"] =
        json!({"versionId": "9", "lastUpdated": "1999-01-01T00:00:00Z", "tag": [{"code": "t"}]});
    let made = ask(&server, "POST", "/fhir/Patient", &[], &body).await;
    assert_eq!(made.status, 201);
    let id = made.body["id"].as_str().unwrap();
    assert_ne!(id, "mine");
    assert_eq!(made.body["meta"]["versionId"], "1");
    assert_eq!(made.body["meta"]["tag"][0]["code"], "t");
    let updated = made.body["meta"]["lastUpdated"].as_str().unwrap();
    assert!(
        updated > "2026-03-01" && updated.ends_with('Z'),
        "{updated}"
    );
    let place = format!("{}/Patient/{id}", server.base_url());
    assert_eq!(made.header("location"), format!("{place}/_history/1"));
    assert_eq!(made.header("etag"), "W/\"1\"");
    let read = get(&server, &format!("/fhir/Patient/{id}")).await;
    assert_eq!(read.bytes, made.bytes);
    assert_eq!(read.header("last-modified"), made.header("last-modified"));
}

#[tokio::test]
async fn an_update_replaces_or_creates() {
    let server = server().await;
    let mut body = patient("a");
    body.as_object_mut().unwrap().remove("gender");
    let answer = ask(&server, "PUT", "/fhir/Patient/a", &[], &body).await;
    assert_eq!((answer.status, answer.header("etag")), (200, "W/\"2\""));
    assert_eq!(answer.body.get("gender"), None);
    let answer = ask(&server, "PUT", "/fhir/Patient/new", &[], &patient("new")).await;
    assert_eq!((answer.status, answer.header("etag")), (201, "W/\"1\""));
    let place = format!("{}/Patient/new/_history/1", server.base_url());
    assert_eq!(answer.header("location"), place);
    assert_eq!(
        get(&server, "/fhir/Patient").await.ids(),
        ["a", "b", "c", "new"]
    );
}

#[tokio::test]
async fn a_patch_is_applied_whole_or_not_at_all() {
    let server = server().await;
    let patch = json!([
        {"op": "test", "path": "/gender", "value": "female"},
        {"op": "replace", "path": "/gender", "value": "other"},
        {"op": "add", "path": "/identifier/-", "value": {"value": "2"}},
        {"op": "remove", "path": "/active"},
    ]);
    let answer = ask(&server, "PATCH", "/fhir/Patient/a", &[PATCH], &patch).await;
    assert_eq!((answer.status, answer.header("etag")), (200, "W/\"2\""));
    assert_eq!(answer.body["gender"], "other");
    assert_eq!(answer.body["identifier"][1]["value"], "2");
    assert_eq!(answer.body.get("active"), None);
    let before = whole(&server);
    for (status, patch) in [
        (400, json!({"op": "remove", "path": "/gender"})),
        (400, json!([{"op": "remove"}])),
        (400, json!([{"op": "add", "path": "/gender"}])),
        (400, json!([{"op": "drop", "path": "/gender"}])),
        (
            400,
            json!([{"op": "replace", "path": "gender", "value": "x"}]),
        ),
        (
            422,
            json!([{"op": "remove", "path": "/gender"}, {"op": "test", "path": "/id", "value": "b"}]),
        ),
        (422, json!([{"op": "remove", "path": "/nothing"}])),
        (422, json!([{"op": "replace", "path": "/id", "value": "b"}])),
        (422, json!([{"op": "remove", "path": "/resourceType"}])),
        (
            422,
            json!([{"op": "add", "path": "", "value": {"resourceType": "Slot"}}]),
        ),
        (400, json!([{"op": "add", "path": "/name", "value": []}])),
        (400, json!([{"op": "add", "path": "/meta", "value": "x"}])),
    ] {
        let answer = ask(&server, "PATCH", "/fhir/Patient/a", &[PATCH], &patch).await;
        assert_eq!(answer.status, status, "{patch}");
    }
    for kind in [
        "application/fhir+json",
        "application/xml-patch+xml",
        "application/merge-patch+json",
    ] {
        let kind = [("content-type", kind)];
        let answer = ask(&server, "PATCH", "/fhir/Patient/a", &kind, &json!([])).await;
        assert_eq!(answer.status, 415);
        assert_eq!(answer.header("accept-patch"), "application/json-patch+json");
    }
    let answer = ask(&server, "PATCH", "/fhir/Patient/z", &[PATCH], &json!([])).await;
    assert_eq!(answer.status, 404);
    assert_eq!(whole(&server), before);
}

#[tokio::test]
async fn what_is_deleted_is_gone_until_an_update_brings_it_back() {
    let server = server().await;
    let answer = raw(&server, "DELETE", "/fhir/Patient/a", &[], "").await;
    assert_eq!((answer.status, answer.bytes.len()), (204, 0));
    assert_eq!(answer.header("etag"), "W/\"2\"");
    let read = get(&server, "/fhir/Patient/a").await;
    assert_eq!((read.status, read.code()), (410, "deleted"));
    let before = whole(&server);
    let again = raw(&server, "DELETE", "/fhir/Patient/a", &[], "").await;
    assert_eq!(again.status, 204);
    let never = raw(&server, "DELETE", "/fhir/Patient/z", &[], "").await;
    assert_eq!((never.status, never.code()), (404, "not-found"));
    let patch = ask(&server, "PATCH", "/fhir/Patient/a", &[PATCH], &json!([])).await;
    assert_eq!(patch.status, 410);
    assert_eq!(whole(&server), before);
    let back = ask(&server, "PUT", "/fhir/Patient/a", &[], &patient("a")).await;
    assert_eq!((back.status, back.header("etag")), (201, "W/\"3\""));
    assert_eq!(get(&server, "/fhir/Patient/a").await.status, 200);
}

#[tokio::test]
async fn a_caller_chooses_what_comes_back() {
    let server = server().await;
    for (method, target, status, body) in [
        ("POST", "/fhir/Patient", 201, newcomer("n")),
        ("PUT", "/fhir/Patient/a", 200, patient("a")),
        ("PATCH", "/fhir/Patient/a", 200, json!([])),
        ("DELETE", "/fhir/Patient/a", 204, Value::Null),
    ] {
        let kind = if method == "PATCH" {
            PATCH
        } else {
            ("content-type", "application/json")
        };
        for (back, expected) in [
            ("return=minimal", Value::Null),
            ("return=representation", json!("Patient")),
            ("return=OperationOutcome", json!("OperationOutcome")),
        ] {
            let answer = ask(&server, method, target, &[kind, ("prefer", back)], &body).await;
            let (status, expected) = match (method, back) {
                ("DELETE", "return=representation") => (204, Value::Null),
                ("DELETE", "return=OperationOutcome") => (200, expected),
                _ => (status, expected),
            };
            assert_eq!(answer.status, status, "{method} {back}");
            assert_eq!(answer.body["resourceType"], expected, "{method} {back}");
            if method == "DELETE" {
                ask(&server, "PUT", target, &[], &patient("a")).await;
            } else {
                assert!(answer.headers.contains_key("etag"));
                assert!(answer.headers.contains_key("last-modified"));
            }
        }
    }
}

#[tokio::test]
async fn bodies_that_do_not_fit_are_refused_and_change_nothing() {
    let server = server().await;
    let before = whole(&server);
    let json = "application/fhir+json";
    for (status, method, target, kind, body) in [
        (
            415,
            "POST",
            "Patient",
            "text/plain",
            r#"{"resourceType":"Patient"}"#,
        ),
        (415, "POST", "Patient", "application/fhir+xml", "<Patient/>"),
        (400, "POST", "Patient", json, "{"),
        (400, "POST", "Patient", json, ""),
        (400, "POST", "Patient", json, "[]"),
        (400, "POST", "Patient", json, r#"{"gender":"male"}"#),
        (
            400,
            "POST",
            "Patient",
            json,
            r#"{"resourceType":"Observation"}"#,
        ),
        (
            400,
            "POST",
            "Patient",
            json,
            r#"{"resourceType":"Patient","name":[]}"#,
        ),
        (
            400,
            "POST",
            "Patient",
            json,
            r#"{"resourceType":"Patient","gender":null}"#,
        ),
        (
            400,
            "POST",
            "Patient",
            json,
            r#"{"resourceType":"Patient","birthDate":"soon"}"#,
        ),
        (
            400,
            "POST",
            "Patient",
            json,
            r#"{"resourceType":"Patient","gender":"male","gender":"female"}"#,
        ),
        (
            404,
            "POST",
            "Nothing",
            json,
            r#"{"resourceType":"Nothing"}"#,
        ),
        (
            422,
            "POST",
            "Observation",
            json,
            r#"{"resourceType":"Observation","status":"final"}"#,
        ),
        (
            400,
            "PUT",
            "Patient/a",
            json,
            r#"{"resourceType":"Patient"}"#,
        ),
        (
            400,
            "PUT",
            "Patient/a",
            json,
            r#"{"resourceType":"Patient","id":"b"}"#,
        ),
        (
            400,
            "PUT",
            "Patient/a",
            json,
            r#"{"resourceType":"Slot","id":"a"}"#,
        ),
        (
            400,
            "PUT",
            "Patient/a_b",
            json,
            r#"{"resourceType":"Patient","id":"a_b"}"#,
        ),
        (
            400,
            "PUT",
            "Patient/%61",
            json,
            r#"{"resourceType":"Patient","id":"a"}"#,
        ),
    ] {
        let kind = [("content-type", kind)];
        let answer = raw(&server, method, &format!("/fhir/{target}"), &kind, body).await;
        assert_eq!(answer.status, status, "{method} {target} {body}");
        assert_eq!(answer.body["resourceType"], "OperationOutcome");
    }
    assert_eq!(whole(&server), before);
}

#[tokio::test]
async fn numbers_keep_their_digits() {
    let server = server().await;
    let body = r#"{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.0500}}"#;
    let kind = [("content-type", "application/fhir+json")];
    raw(&server, "PUT", "/fhir/Observation/o", &kind, body).await;
    let patch = r#"[{"op":"add","path":"/referenceRange","value":[{"low":{"value":0.10}}]}]"#;
    let answer = raw(&server, "PATCH", "/fhir/Observation/o", &[PATCH], patch).await;
    let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
    assert!(text.contains("1.0500") && text.contains("0.10"), "{text}");
}
