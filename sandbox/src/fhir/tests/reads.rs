//! Read, vread, conditional read, what is served where.

use super::*;
use crate::fhir::PARAMS;

#[tokio::test]
async fn a_read_gives_the_stored_bytes_with_their_headers() {
    let server = server().await;
    let answer = get(&server, "/fhir/Patient/a").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.bytes, server.store().get("Patient/a").unwrap().body);
    assert_eq!(answer.header("etag"), "W/\"1\"");
    assert_eq!(answer.header("content-type"), "application/fhir+json");
    assert_eq!(
        answer.header("last-modified"),
        "Sun, 01 Mar 2026 08:00:00 GMT"
    );
    let head = raw(&server, "HEAD", "/fhir/Patient/a", &[], "").await;
    assert_eq!(
        head.header("content-length"),
        answer.header("content-length")
    );
    assert_eq!((head.status, head.bytes.len()), (200, 0));
}

#[tokio::test]
async fn a_missing_read_echoes_the_address() {
    let server = server().await;
    let answer = get(&server, "/fhir/Patient/nobody").await;
    assert_eq!((answer.status, answer.code()), (404, "not-found"));
    let echoed = format!("{}/Patient/nobody", server.base_url());
    let text = answer.body["issue"][0]["diagnostics"].as_str().unwrap();
    assert!(text.ends_with(&echoed), "{text}");
}

#[tokio::test]
async fn a_version_is_read_by_its_number_and_a_deleted_one_is_gone() {
    let server = server().await;
    let mut changed = patient("a");
    changed["gender"] = "male".into();
    ask(&server, "PUT", "/fhir/Patient/a", &[], &changed).await;
    raw(&server, "DELETE", "/fhir/Patient/a", &[], "").await;
    for (version, status, gender) in [("1", 200, "female"), ("2", 200, "male"), ("3", 410, "")] {
        let answer = get(&server, &format!("/fhir/Patient/a/_history/{version}")).await;
        assert_eq!(answer.status, status, "{version}");
        assert_eq!(answer.body["gender"].as_str().unwrap_or_default(), gender);
        if status == 200 {
            assert_eq!(answer.header("etag"), format!("W/\"{version}\""));
            assert_eq!(answer.body["meta"]["versionId"], version);
        }
    }
    for target in ["/fhir/Patient/a/_history/4", "/fhir/Patient/z/_history/1"] {
        assert_eq!(get(&server, target).await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn a_caller_who_has_it_already_gets_304() {
    let server = server().await;
    for (name, value, status) in [
        ("if-none-match", "W/\"1\"", 304),
        ("if-none-match", "\"0\", W/\"1\"", 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "W/\"2\"", 200),
        ("if-none-match", "nonsense", 400),
        ("if-modified-since", "Sun, 01 Mar 2026 08:00:00 GMT", 304),
        ("if-modified-since", "Sun, 01 Mar 2026 07:59:59 GMT", 200),
        ("if-modified-since", "soon", 200),
    ] {
        let answer = raw(&server, "GET", "/fhir/Patient/a", &[(name, value)], "").await;
        assert_eq!(answer.status, status, "{name}: {value}");
        if status == 304 {
            assert_eq!((answer.header("etag"), answer.bytes.len()), ("W/\"1\"", 0));
        }
    }
    let both = [
        ("if-none-match", "W/\"2\""),
        ("if-modified-since", "Sun, 01 Mar 2026 08:00:00 GMT"),
    ];
    let answer = raw(&server, "GET", "/fhir/Patient/a", &both, "").await;
    assert_eq!(answer.status, 200, "the tag comes first");
}

#[tokio::test]
async fn what_is_not_served_gets_an_outcome() {
    let server = server().await;
    for (method, target, status, code) in [
        ("GET", "/fhir/Patient?nonsense=1", 400, "invalid"),
        ("GET", "/fhir/Patient?_include=Patient:link", 400, "invalid"),
        ("GET", "/fhir/Nothing/a", 404, "not-supported"),
        ("GET", "/fhir/Nothing", 404, "not-supported"),
        ("GET", "/elsewhere", 404, "not-found"),
        ("GET", "/fhirx/Patient/a", 404, "not-found"),
        ("GET", "/fhir/Patient/A", 404, "not-found"),
        ("GET", "/fhir/Patient/$everything", 404, "not-found"),
        ("GET", "/fhir/Patient/a/Slot", 404, "not-supported"),
        ("GET", "/fhir/Observation/o/Patient", 404, "not-supported"),
        ("GET", "/fhir/Patient/_search", 405, "not-supported"),
        ("PUT", "/fhir", 405, "not-supported"),
        ("POST", "/fhir/Patient/a", 405, "not-supported"),
        ("POST", "/fhir/metadata", 405, "not-supported"),
        ("DELETE", "/fhir/Patient/a/_history/1", 405, "not-supported"),
        ("TRACE", "/fhir/Patient/a", 405, "not-supported"),
    ] {
        let answer = raw(&server, method, target, &[], "").await;
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(answer.code(), code, "{method} {target}");
        assert_eq!(answer.headers.contains_key("allow"), status == 405);
    }
    let xml = [("accept", "application/fhir+xml")];
    let answer = raw(&server, "GET", "/fhir/Patient/a", &xml, "").await;
    assert_eq!(answer.status, 406);
    assert_eq!(
        get(&server, "/fhir/Patient/a?_format=xml").await.status,
        406
    );
}

#[tokio::test]
async fn parameters_that_are_not_known_are_refused_where_the_caller_is_strict() {
    let server = server().await;
    let strict = [("prefer", "handling=strict")];
    for target in [
        "/fhir/Patient/a?nonsense=1",
        "/fhir/Patient/a/_history/1?nonsense=1",
        "/fhir/Patient/a/_history?nonsense=1",
        "/fhir/metadata?nonsense=1",
        "/fhir/Patient?nonsense=1",
        "/fhir?nonsense=1",
    ] {
        let answer = raw(&server, "GET", target, &strict, "").await;
        assert_eq!(answer.status, 400, "{target}");
    }
    for (method, target) in [
        ("PUT", "/fhir/Patient/a?nonsense=1"),
        ("POST", "/fhir/Patient?nonsense=1"),
    ] {
        let answer = ask(&server, method, target, &strict, &patient("a")).await;
        assert_eq!(answer.status, 400, "{target}");
    }
    let answer = raw(&server, "GET", "/fhir/Patient/a?_pretty=true", &strict, "").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn options_name_the_methods_of_a_place() {
    let server = server().await;
    for (target, allow) in [
        ("/fhir", "GET, HEAD, OPTIONS, POST"),
        (
            "/fhir/Patient",
            "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
        ),
        ("/fhir/Patient/a", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/fhir/Patient/_search", "OPTIONS, POST"),
        ("/fhir/_history", "GET, HEAD, OPTIONS"),
    ] {
        let answer = raw(&server, "OPTIONS", target, &[], "").await;
        assert_eq!((answer.status, answer.header("allow")), (204, allow));
    }
    let answer = raw(&server, "OPTIONS", "/fhir/Nothing", &[], "").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn the_capability_statement_lists_what_is_served() {
    let server = server().await;
    let statement = get(&server, "/fhir/metadata").await.body;
    assert_eq!(statement["fhirVersion"], "4.0.1");
    assert_eq!(statement["patchFormat"][0], "application/json-patch+json");
    let rest = &statement["rest"][0];
    assert_eq!(rest["resource"].as_array().unwrap().len(), PARAMS.len());
    let codes = |of: &Value| -> Vec<String> {
        let all = of["interaction"].as_array().unwrap();
        let codes = all.iter().map(|one| one["code"].as_str().unwrap());
        codes.map(str::to_owned).collect()
    };
    assert_eq!(
        codes(rest),
        ["transaction", "batch", "search-system", "history-system"]
    );
    let one = &rest["resource"][0];
    assert_eq!(codes(one).len(), 9);
    assert_eq!(
        (&one["versioning"], &one["conditionalDelete"]),
        (&json!("versioned"), &json!("single"))
    );
}
