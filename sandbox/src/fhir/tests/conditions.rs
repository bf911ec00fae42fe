//! Conditional interactions, by criteria and by version.

use super::*;

#[tokio::test]
async fn writes_hold_to_the_version_they_name() {
    let server = server().await;
    let patch = json!([{"op": "add", "path": "/active", "value": true}]);
    for (method, kind, body) in [
        ("PUT", "application/fhir+json", patient("a")),
        ("PATCH", PATCH.1, patch),
        ("DELETE", "application/fhir+json", Value::Null),
    ] {
        let kind = ("content-type", kind);
        let before = whole(&server);
        for (tag, status) in [
            ("W/\"9\"", 412),
            ("W/\"0\", W/\"9\"", 412),
            ("1", 400),
            ("", 400),
        ] {
            let headers = [kind, ("if-match", tag)];
            let answer = ask(&server, method, "/fhir/Patient/a", &headers, &body).await;
            assert_eq!(answer.status, status, "{method} {tag}");
        }
        assert_eq!(whole(&server), before, "{method}");
        let now = server.store().get("Patient/a").unwrap().resource["meta"]["versionId"].clone();
        let tag = format!("W/\"{}\"", now.as_str().unwrap());
        let headers = [kind, ("if-match", &tag)];
        let answer = ask(&server, method, "/fhir/Patient/a", &headers, &body).await;
        assert!([200, 204].contains(&answer.status), "{method}");
    }
    // Gone, and never there.
    for (id, method, status) in [
        ("a", "PUT", 412),
        ("z", "PUT", 412),
        ("a", "DELETE", 412),
        ("z", "DELETE", 404),
    ] {
        let target = format!("/fhir/Patient/{id}");
        let answer = ask(&server, method, &target, &[("if-match", "*")], &patient(id)).await;
        assert_eq!(answer.status, status, "{method} {id}");
    }
    let none = [("if-none-match", "*")];
    let answer = ask(&server, "PUT", "/fhir/Patient/b", &none, &patient("b")).await;
    assert_eq!(answer.status, 412);
    let answer = ask(&server, "PUT", "/fhir/Patient/new", &none, &patient("new")).await;
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn a_conditional_create_creates_once() {
    let server = server().await;
    let create = async |criteria: &str| {
        let headers = [("if-none-exist", criteria)];
        ask(&server, "POST", "/fhir/Patient", &headers, &newcomer("n")).await
    };
    let first = create("identifier=urn:mrn|n").await;
    assert_eq!(first.status, 201);
    let before = whole(&server);
    let second = create("identifier=urn:mrn|n").await;
    assert_eq!(second.status, 200);
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(second.header("etag"), first.header("etag"));
    assert_eq!(second.bytes, first.bytes);
    for (criteria, status, code) in [
        ("gender=female", 412, "multiple-matches"),
        ("nonsense=1", 400, "invalid"),
        ("", 400, "invalid"),
        ("_count=1", 400, "invalid"),
    ] {
        let answer = create(criteria).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{criteria}");
    }
    assert_eq!(whole(&server), before);
}

#[tokio::test]
async fn a_conditional_update_finds_what_it_writes() {
    let server = server().await;
    let update = async |criteria: &str, body: &Value| {
        let target = format!("/fhir/Patient?{criteria}");
        ask(&server, "PUT", &target, &[], body).await
    };
    let one = update("identifier=urn:mrn|a", &newcomer("a")).await;
    assert_eq!((one.status, one.body["id"].as_str()), (200, Some("a")));
    let one = update("identifier=urn:mrn|a", &patient("a")).await;
    assert_eq!((one.status, one.header("etag")), (200, "W/\"3\""));
    let none = update("identifier=urn:mrn|n", &newcomer("n")).await;
    assert_eq!((none.status, none.header("etag")), (201, "W/\"1\""));
    let named = update("identifier=urn:mrn|m", &patient("m")).await;
    assert_eq!((named.status, named.body["id"].as_str()), (201, Some("m")));
    let before = whole(&server);
    for (criteria, body, status, code) in [
        ("identifier=urn:mrn|a", patient("b"), 400, "invalid"),
        ("identifier=urn:mrn|x", patient("b"), 409, "conflict"),
        ("gender=female", newcomer("n"), 412, "multiple-matches"),
        ("nonsense=1", newcomer("n"), 400, "invalid"),
        ("", newcomer("n"), 400, "invalid"),
    ] {
        let answer = update(criteria, &body).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{criteria}");
    }
    let stale = [("if-match", "W/\"1\"")];
    let target = "/fhir/Patient?identifier=urn:mrn|a";
    let answer = ask(&server, "PUT", target, &stale, &newcomer("a")).await;
    assert_eq!(answer.status, 412);
    let target = "/fhir/Patient?identifier=urn:mrn|x";
    let answer = ask(&server, "PUT", target, &stale, &newcomer("x")).await;
    assert_eq!(answer.status, 412);
    assert_eq!(whole(&server), before);
}

#[tokio::test]
async fn a_conditional_patch_needs_one_match() {
    let server = server().await;
    let patch = json!([{"op": "replace", "path": "/gender", "value": "other"}]);
    for (criteria, status) in [
        ("identifier=urn:mrn|x", 404),
        ("gender=female", 412),
        ("nonsense=1", 400),
        ("", 400),
        ("identifier=urn:mrn|b", 200),
    ] {
        let target = format!("/fhir/Patient?{criteria}");
        let answer = ask(&server, "PATCH", &target, &[PATCH], &patch).await;
        assert_eq!(answer.status, status, "{criteria}");
    }
    let store = server.store();
    assert_eq!(store.get("Patient/b").unwrap().resource["gender"], "other");
    assert_eq!(store.dump_versions().as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_conditional_delete_deletes_one_or_nothing() {
    let server = server().await;
    let lenient = [("prefer", "handling=lenient")];
    for (criteria, status) in [
        ("gender=female", 412),
        ("nonsense=1", 400),
        ("nonsense=1&identifier=urn:mrn|a", 400),
        ("", 400),
        ("identifier=urn:mrn|x", 204),
    ] {
        let target = format!("/fhir/Patient?{criteria}");
        // Leaving out a criterion would delete more.
        let answer = raw(&server, "DELETE", &target, &lenient, "").await;
        assert_eq!(answer.status, status, "{criteria}");
        assert_eq!(server.store().len(), 4, "{criteria}");
    }
    let target = "/fhir/Patient?identifier=urn:mrn|a";
    assert_eq!(raw(&server, "DELETE", target, &[], "").await.status, 204);
    assert_eq!(get(&server, "/fhir/Patient/a").await.status, 410);
}
