//! Rows that are made.

use super::*;

#[test]
fn creates_are_judged_by_the_row_that_they_make() {
    let with = |key: &str, value: Value| {
        let mut row = row(None, "final", "n");
        row[key] = value;
        row
    };
    let display = json!({"reference": "Patient/p1", "display": "Ann"});
    let label = |code: &str| json!({"security": [{"code": code}]});
    let table: Vec<(&str, Value, u16, &str)> = vec![
        ("all", row(None, "preliminary", "n"), 201, ""),
        ("all", with("meta", label("R")), 201, ""),
        ("all", with("subject", display.clone()), 201, ""),
        ("some", row(None, "final", "n"), 201, ""),
        (
            "some",
            row(None, "preliminary", "n"),
            403,
            "not-granted Observation",
        ),
        (
            "some",
            with("meta", label("R")),
            403,
            "not-granted Observation",
        ),
        ("some", with("subject", display), 201, ""),
        (
            "reader",
            row(None, "final", "n"),
            403,
            "not-granted Observation",
        ),
        // an element that the view doesn't show
        (
            "feed",
            row(None, "final", "n"),
            422,
            "element-not-writable Observation.identifier",
        ),
        (
            "feed",
            json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"}}),
            201,
            "",
        ),
        (
            "feed",
            json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"}, "meta": {"tag": [{"code": "x"}]}}),
            422,
            "element-not-writable Observation.meta.tag",
        ),
        (
            "feed",
            json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"}, "text": {"status": "generated", "div": "<div/>"}}),
            422,
            "element-not-writable Observation.text",
        ),
        // shown for the write and not for reading: nothing to write into the dark
        (
            "some",
            json!({"resourceType": "Patient", "name": [{"family": "B"}]}),
            201,
            "",
        ),
        (
            "some",
            json!({"resourceType": "Patient", "name": [{"family": "B"}], "birthDate": "1970-01-01"}),
            422,
            "element-not-writable Patient.birthDate",
        ),
        // a search in a reference is nobody's
        (
            "all",
            with("subject", json!({"reference": "Patient?identifier=1"})),
            400,
            "not-supported conditional reference",
        ),
    ];
    for (role, body, status, reason) in table {
        let place = format!("/{}", body["resourceType"].as_str().unwrap_or(""));
        let mut server = store();
        let reply = ask(role, &mut server, &Asks::with("POST", &place, body.clone()));
        assert_eq!(
            (reply.status, reply.reason().as_str()),
            (status, reason),
            "{role} {body}"
        );
        let sent = status == 201;
        assert_eq!(server.trace.len(), usize::from(sent), "{role} {body}");
        if sent {
            let new = server
                .now(&format!("{}/new-1", &place[1..]))
                .expect("it is there");
            let mut new = new.clone();
            new["meta"]
                .as_object_mut()
                .expect("meta")
                .remove("versionId");
            if body.get("meta").is_none() {
                new.as_object_mut().expect("a row").remove("meta");
            }
            new.as_object_mut().expect("a row").remove("id");
            assert_eq!(new, body, "as it was written");
        }
    }
}

#[test]
fn what_was_written_is_answered_as_its_author_may_read_it() {
    let mut server = store();
    let reply = ask(
        "all",
        &mut server,
        &Asks::with("POST", "/Observation", row(None, "final", "n")),
    );
    let location = (
        "location",
        "https://gw/fhir/Observation/new-1/_history/1".to_owned(),
    );
    assert!(reply.headers.contains(&location), "{reply:?}");
    assert_eq!(reply.json()["id"], "new-1");

    // who reads nothing of the type gets nothing of the row
    let body = json!({"resourceType": "Observation", "status": "final", "code": {"text": "c"}});
    let reply = ask(
        "feed",
        &mut server,
        &Asks::with("POST", "/Observation", body),
    );
    assert_eq!((reply.status, reply.body.as_str()), (201, ""));
    assert_eq!(
        reply.headers,
        [(
            "location",
            "https://gw/fhir/Observation/new-2/_history/1".to_owned()
        )]
    );

    // who reads parts of it gets these
    let body = json!({"resourceType": "Patient", "name": [{"family": "B"}]});
    let reply = ask("some", &mut server, &Asks::with("POST", "/Patient", body));
    assert_eq!(reply.status, 201);
    assert!(reply.body.contains("REDACTED"), "{}", reply.body);
}

#[test]
fn a_put_to_nothing_creates_only_where_nothing_can_be_hidden() {
    let body = row(Some("fresh"), "final", "n");
    let mut server = store();
    let reply = ask(
        "all",
        &mut server,
        &Asks::with("PUT", "/Observation/fresh", body.clone()),
    );
    assert_eq!(reply.status, 201);
    assert_eq!(
        server.trace,
        [
            "? GET /Observation/fresh",
            "PUT /Observation/fresh If-None-Match: *"
        ]
    );
    for role in ["some", "unnamed"] {
        let mut server = store();
        let asks = Asks {
            if_match: Some("W/\"1\"").filter(|_| role == "unnamed"),
            ..Asks::with("PUT", "/Observation/fresh", body.clone())
        };
        let reply = ask(role, &mut server, &asks);
        // `unnamed` sees every row, so he is told that the version isn't there
        let expected = if role == "some" { 404 } else { 412 };
        assert_eq!(reply.status, expected, "{role}");
        assert!(server.now("Observation/fresh").is_none());
    }
}

#[test]
fn conditional_creates_need_a_search_that_nothing_is_hidden_from() {
    let body = row(None, "final", "n");
    let asks = |condition| Asks {
        if_none_exist: Some(condition),
        ..Asks::with("POST", "/Observation", body.clone())
    };
    let mut server = store();
    let reply = ask("some", &mut server, &asks("identifier=open"));
    assert_eq!(
        outcome(&reply, &server),
        (403, "not-granted If-None-Exist".into(), vec![])
    );
    let reply = ask("all", &mut server, &asks("identifier=open"));
    assert_eq!(
        (reply.status, reply.json()["id"].as_str()),
        (200, Some("open"))
    );
    let reply = ask("all", &mut server, &asks("identifier=nothing"));
    assert_eq!(reply.status, 201);
    let reply = ask("all", &mut server, &asks("status=final"));
    assert_eq!(
        (reply.status, reply.reason().as_str()),
        (412, "multiple-matches")
    );
    assert_eq!(
        server.trace[0],
        "POST /Observation If-None-Exist: identifier=open"
    );
    let mine = scoped("all", "user/Observation.c", None);
    let reply = request(&program(), &mine, &mut server, &asks("identifier=open"));
    assert_eq!(
        (reply.status, reply.reason().as_str()),
        (403, "insufficient-scope")
    );
}
