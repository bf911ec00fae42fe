//! Writes: who may write what, and what a write can never do.

mod support;

use std::sync::Arc;

use chartward_rules::pack::Program;
use chartward_rules::smart::Scopes;
use chartward_rules::subject::{Authority, Subject};
use serde_json::{Value, json};
use support::store::{Asks, Reply, Store, request};
use support::{pack, subject};

const PACK: &str = r#"
pack = "writes"
fhir = "R4"

[[role]]
name = "all"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Patient", "Observation", "Organization", "Medication", "MedicationRequest"]
  can = ["read", "search", "create", "update", "patch", "delete"]
  sensitive = ["*"]

[[role]]
name = "some"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Observation"]
  can = ["read", "search", "create", "update", "patch", "delete"]
  where = "status=final"
  [[role.grant]]
  on = ["Patient"]
  can = ["read", "search"]
  show = ["name", "identifier", "managingOrganization"]
  [[role.grant]]
  on = ["Patient"]
  can = ["create", "update", "patch", "delete"]

[[role]]
name = "feed"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Observation"]
  can = ["create"]
  show = ["code", "subject", "value[x]"]

[[role]]
name = "reader"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Observation"]
  can = ["read", "search"]

[[role]]
name = "unnamed"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Observation"]
  can = ["read", "search", "create", "update", "delete"]
  sensitive = ["*"]
"#;

fn store() -> Store {
    let observation = |id: &str, status: &str, extra: Value| {
        let mut row = json!({
            "resourceType": "Observation", "id": id, "status": status,
            "identifier": [{"value": id}],
            "code": {"text": "c"}, "subject": {"reference": "Patient/p1"},
        });
        if let (Some(row), Some(extra)) = (row.as_object_mut(), extra.as_object()) {
            row.extend(extra.clone());
        }
        row
    };
    Store::of(&[
        observation("open", "final", json!({})),
        observation("hidden", "preliminary", json!({})),
        observation(
            "labelled",
            "final",
            json!({"meta": {"security": [{"code": "R"}]}}),
        ),
        observation(
            "named",
            "final",
            json!({"subject": {"reference": "Patient/p1", "display": "Ann"}}),
        ),
        observation(
            "other",
            "final",
            json!({"subject": {"reference": "Patient/p2"}}),
        ),
        json!({"resourceType": "Patient", "id": "p1", "name": [{"family": "A"}], "birthDate": "1970-01-01"}),
    ])
}

fn row(id: Option<&str>, status: &str, note: &str) -> Value {
    let mut row = json!({
        "resourceType": "Observation", "status": status, "identifier": [{"value": "x"}],
        "code": {"text": "c"}, "subject": {"reference": "Patient/p1"}, "note": [{"text": note}],
    });
    if let Some(id) = id {
        row["id"] = json!(id);
    }
    row
}

fn program() -> Arc<Program> {
    pack(PACK)
}

fn ask(role: &str, store: &mut Store, asks: &Asks<'_>) -> Reply {
    request(&program(), &subject(&[role]), store, asks)
}

fn scoped(role: &str, scopes: &str, patient: Option<&str>) -> Subject {
    Subject {
        scopes: Authority::Scoped(Scopes::parse(scopes, |_| true)),
        patient: patient.map(Into::into),
        ..subject(&[role])
    }
}

/// Status, reason, and what the server was asked.
fn outcome(reply: &Reply, store: &Store) -> (u16, String, Vec<String>) {
    (reply.status, reply.reason(), store.trace.clone())
}

#[test]
fn writes_by_id() {
    let read = |id: &str| format!("? GET /Observation/{id}");
    let put = |id: &str| format!("PUT /Observation/{id} If-Match: W/\"1\"");
    let delete = |id: &str| format!("DELETE /Observation/{id} If-Match: W/\"1\"");
    let note = json!([{"op": "add", "path": "/note", "value": [{"text": "n"}]}]);
    // role, row, then for update, patch and delete: status, reason, sent
    type Row<'a> = (&'a str, &'a str, [(u16, &'a str, bool); 3]);
    let none = (404, "not-found", false);
    let table: &[Row<'_>] = &[
        (
            "all",
            "open",
            [(200, "", true), (200, "", true), (204, "", true)],
        ),
        (
            "all",
            "labelled",
            [
                (422, "write-needs-merge meta.security", false),
                (200, "", true),
                (204, "", true),
            ],
        ),
        (
            "some",
            "open",
            [(200, "", true), (200, "", true), (204, "", true)],
        ),
        // hidden by a condition, by a label, and not there: alike
        ("some", "hidden", [none, none, none]),
        ("some", "labelled", [none, none, none]),
        ("some", "missing", [none, none, none]),
        // the reference's copy is hidden from who doesn't see what it copies
        (
            "unnamed",
            "named",
            [
                (422, "write-needs-merge Observation", false),
                (0, "", false),
                (204, "", true),
            ],
        ),
        (
            "reader",
            "open",
            [
                (403, "not-granted Observation", false),
                (403, "not-granted Observation", false),
                (403, "not-granted Observation", false),
            ],
        ),
        (
            "feed",
            "open",
            [
                (403, "not-granted Observation", false),
                (403, "not-granted Observation", false),
                (403, "not-granted Observation", false),
            ],
        ),
    ];
    for (role, id, expected) in table {
        let target = format!("/Observation/{id}");
        let asks = [
            Asks::with("PUT", &target, row(Some(id), "final", "n")),
            Asks::with("PATCH", &target, note.clone()),
            Asks::new("DELETE", &target),
        ];
        for (asks, (status, reason, sent)) in asks.iter().zip(expected) {
            if *status == 0 {
                continue;
            }
            let mut server = store();
            let before = server.rows.clone();
            let reply = ask(role, &mut server, asks);
            let mut trace = Vec::new();
            // no row can be hidden from them: a delete needs no question
            let plain = matches!(*role, "all" | "unnamed") && asks.method == "DELETE";
            if *status != 403 && !plain {
                trace.push(read(id));
            }
            if *sent {
                trace.push(match asks.method {
                    "DELETE" if plain => format!("DELETE {target}"),
                    "DELETE" => delete(id),
                    _ => put(id),
                });
            }
            assert_eq!(
                outcome(&reply, &server),
                (*status, (*reason).to_owned(), trace),
                "{role} {} {id}",
                asks.method
            );
            assert_eq!(*sent, server.rows != before, "{role} {} {id}", asks.method);
        }
    }
}

#[test]
fn a_hidden_row_and_a_missing_one_are_written_alike() {
    for method in ["PUT", "PATCH", "DELETE"] {
        let mut answers = Vec::new();
        for id in ["hidden", "labelled", "missing"] {
            for if_match in [None, Some("W/\"1\""), Some("W/\"7\"")] {
                let target = format!("/Observation/{id}");
                let body = match method {
                    "PUT" => Some(row(Some(id), "final", "n")),
                    "PATCH" => Some(json!([{"op": "remove", "path": "/note"}])),
                    _ => None,
                };
                let mut server = store();
                let asks = Asks {
                    method,
                    target: &target,
                    body,
                    if_match,
                    if_none_exist: None,
                };
                let reply = ask("some", &mut server, &asks);
                let trace: Vec<String> = server.trace.iter().map(|t| t.replace(id, "ID")).collect();
                answers.push((reply, trace));
            }
        }
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "{method} {answers:?}"
        );
    }
}

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
fn an_update_under_a_view_that_hides_anything_needs_a_merge_whatever_is_there() {
    for id in ["p1", "missing"] {
        let mut server = store();
        let target = format!("/Patient/{id}");
        let body = json!({"resourceType": "Patient", "id": id, "name": [{"family": "B"}]});
        let reply = ask("some", &mut server, &Asks::with("PUT", &target, body));
        let expected = (
            422,
            "write-needs-merge Patient".to_owned(),
            Vec::<String>::new(),
        );
        assert_eq!(outcome(&reply, &server), expected);
        // to take a row away is granted apart
        let reply = ask("some", &mut server, &Asks::new("DELETE", &target));
        assert_eq!(reply.status, if id == "p1" { 204 } else { 404 });
    }
}

#[test]
fn conditions_hold_on_the_stored_and_on_the_new_row() {
    let mut server = store();
    let body = row(Some("open"), "preliminary", "n");
    let reply = ask(
        "some",
        &mut server,
        &Asks::with("PUT", "/Observation/open", body),
    );
    assert_eq!(
        outcome(&reply, &server),
        (403, "not-granted Observation".into(), vec![])
    );
    let patch = json!([{"op": "replace", "path": "/status", "value": "preliminary"}]);
    let reply = ask(
        "some",
        &mut server,
        &Asks::with("PATCH", "/Observation/open", patch),
    );
    assert_eq!(
        (reply.status, reply.reason().as_str()),
        (403, "not-granted Observation")
    );
    assert_eq!(server.trace, ["? GET /Observation/open"]);
}

#[test]
fn labels_tags_and_profiles_stay_as_stored() {
    for (key, value) in [
        ("security", json!([{"code": "R"}])),
        ("tag", json!([{"code": "t"}])),
        ("profile", json!(["http://p"])),
    ] {
        let mut server = store();
        let mut body = row(Some("open"), "final", "n");
        body["meta"] = json!({key: value});
        let reply = ask(
            "all",
            &mut server,
            &Asks::with("PUT", "/Observation/open", body),
        );
        let reason = format!("write-needs-merge meta.{key}");
        assert_eq!(
            outcome(&reply, &server),
            (422, reason.clone(), vec!["? GET /Observation/open".into()])
        );
        let patch = json!([{"op": "add", "path": "/meta/".to_owned() + key, "value": value}]);
        let reply = ask(
            "all",
            &mut server,
            &Asks::with("PATCH", "/Observation/open", patch),
        );
        assert_eq!((reply.status, reply.reason()), (422, reason));
    }
}

#[test]
fn versions_are_held() {
    let mut server = store();
    let body = row(Some("open"), "final", "n");
    let target = "/Observation/open";
    for method in ["PUT", "PATCH", "DELETE"] {
        let body = match method {
            "PUT" => Some(body.clone()),
            "PATCH" => Some(json!([])),
            _ => None,
        };
        let asks = Asks {
            method,
            target,
            body,
            if_match: Some("W/\"7\""),
            if_none_exist: None,
        };
        let reply = ask("some", &mut server, &asks);
        assert_eq!(
            (reply.status, reply.reason().as_str()),
            (412, "version-conflict If-Match")
        );
    }
    // what the server says of it is told in the gateway's words
    server.instead = Some((
        409,
        json!({"resourceType": "OperationOutcome", "issue": [{"diagnostics": "secret"}]}),
    ));
    let reply = ask("some", &mut server, &Asks::with("PUT", target, body));
    assert_eq!(
        (reply.status, reply.reason().as_str()),
        (412, "version-conflict")
    );
    assert!(!reply.body.contains("secret"));
}

#[test]
fn a_row_without_a_version_is_written_only_where_nothing_can_be_hidden() {
    for (role, status, reason) in [("some", 400, "not-supported If-Match"), ("all", 200, "")] {
        let mut server = store();
        for versions in server.rows.values_mut() {
            for row in versions.iter_mut().flatten() {
                row.as_object_mut().expect("a row").remove("meta");
            }
        }
        let body = row(Some("open"), "final", "n");
        let reply = ask(
            role,
            &mut server,
            &Asks::with("PUT", "/Observation/open", body),
        );
        assert_eq!((reply.status, reply.reason().as_str()), (status, reason));
    }
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
fn what_the_server_says_of_a_write_is_told_in_the_gateways_words() {
    let words = json!({"resourceType": "OperationOutcome", "issue": [{"diagnostics": "secret"}]});
    for (said, method, status, reason) in [
        (400, "POST", 400, "upstream-rejected"),
        (422, "POST", 422, "upstream-rejected"),
        (404, "PUT", 404, "not-found"),
        (410, "DELETE", 404, "not-found"),
        (405, "PUT", 400, "not-supported"),
        (409, "DELETE", 412, "version-conflict"),
        (401, "POST", 502, "upstream-invalid"),
        (403, "PUT", 502, "upstream-invalid"),
        (302, "PUT", 502, "upstream-invalid"),
        (500, "POST", 502, "upstream-unavailable"),
        (429, "POST", 502, "upstream-unavailable"),
        // written, but what is there can't be judged
        (200, "PUT", 200, ""),
    ] {
        let mut server = store();
        server.instead = Some((said, words.clone()));
        let (target, body) = match method {
            "POST" => ("/Observation", Some(row(None, "final", "n"))),
            "PUT" => ("/Observation/open", Some(row(Some("open"), "final", "n"))),
            _ => ("/Observation/open", None),
        };
        let reply = ask(
            "some",
            &mut server,
            &Asks {
                body,
                ..Asks::new(method, target)
            },
        );
        assert_eq!(
            (reply.status, reply.reason().as_str()),
            (status, reason),
            "{said} {method}"
        );
        assert!(!reply.body.contains("secret"));
    }
    let mut server = store();
    server.instead = Some((
        200,
        json!({"resourceType": "Observation", "id": "another", "status": "final"}),
    ));
    let body = row(Some("open"), "final", "n");
    let reply = ask(
        "some",
        &mut server,
        &Asks::with("PUT", "/Observation/open", body),
    );
    assert_eq!(
        (reply.status, reply.reason().as_str()),
        (502, "upstream-invalid")
    );
}

#[test]
fn patient_scopes_confine_writes_to_the_patients_rows() {
    let program = program();
    let mine = scoped("all", "patient/*.cruds", Some("p1"));
    for (id, status) in [("open", 200), ("other", 404), ("missing", 404)] {
        let mut server = store();
        let body = row(Some(id), "final", "n");
        let target = format!("/Observation/{id}");
        let reply = request(
            &program,
            &mine,
            &mut server,
            &Asks::with("PUT", &target, body),
        );
        assert_eq!(reply.status, status, "{id} {reply:?}");
    }
    // nor may a row be given to another patient, or taken from one
    let mut server = store();
    let mut body = row(Some("open"), "final", "n");
    body["subject"] = json!({"reference": "Patient/p2"});
    let reply = request(
        &program,
        &mine,
        &mut server,
        &Asks::with("PUT", "/Observation/open", body.clone()),
    );
    assert_eq!(
        (reply.status, reply.reason().as_str()),
        (403, "insufficient-scope")
    );
    body.as_object_mut().expect("a row").remove("id");
    let reply = request(
        &program,
        &mine,
        &mut server,
        &Asks::with("POST", "/Observation", body),
    );
    assert_eq!(
        (reply.status, reply.reason().as_str()),
        (403, "insufficient-scope")
    );
    let body = json!({"resourceType": "Organization", "name": "o"});
    let reply = request(
        &program,
        &mine,
        &mut server,
        &Asks::with("POST", "/Organization", body),
    );
    assert_eq!(
        (reply.status, reply.reason().as_str()),
        (403, "insufficient-scope")
    );
    assert!(server.trace.is_empty());
}

#[test]
fn each_write_needs_its_own_scope() {
    let program = program();
    let all = ["POST", "PUT", "PATCH", "DELETE"];
    for (scopes, may) in [
        ("user/Observation.cruds", [true, true, true, true]),
        ("user/Observation.rs", [false, false, false, false]),
        ("user/Observation.c", [true, false, false, false]),
        ("user/Observation.ru", [false, true, true, false]),
        ("user/Observation.rd", [false, false, false, true]),
        ("user/Observation.write", [true, true, true, true]),
    ] {
        for (method, may) in all.into_iter().zip(may) {
            let mut server = store();
            let asks = match method {
                "POST" => Asks::with(method, "/Observation", row(None, "final", "n")),
                "PUT" => Asks::with(method, "/Observation/open", row(Some("open"), "final", "n")),
                "PATCH" => Asks::with(method, "/Observation/open", json!([])),
                _ => Asks::new(method, "/Observation/open"),
            };
            let reply = request(&program, &scoped("some", scopes, None), &mut server, &asks);
            let refused = reply.reason() == "insufficient-scope";
            assert_eq!(refused, !may, "{scopes} {method} {reply:?}");
        }
    }
}

#[test]
fn leaving_a_scope_out_makes_nothing_writable() {
    let program = program();
    let body =
        json!({"resourceType": "Patient", "name": [{"family": "B"}], "birthDate": "1970-01-01"});
    for scopes in ["user/Patient.cruds", "user/Patient.c"] {
        let mut server = store();
        let caller = scoped("some", scopes, None);
        let reply = request(
            &program,
            &caller,
            &mut server,
            &Asks::with("POST", "/Patient", body.clone()),
        );
        assert_eq!(
            reply.reason(),
            "element-not-writable Patient.birthDate",
            "{scopes}"
        );
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

#[test]
fn conditions_of_writes_are_the_callers_own_search() {
    let of = |method: &str, role: &str, condition: &str, body: Option<Value>| {
        let mut server = store();
        let target = format!("/Observation?{condition}");
        let asks = Asks {
            body,
            ..Asks::new(method, &target)
        };
        let reply = ask(role, &mut server, &asks);
        let last = server.trace.last().cloned().unwrap_or_default();
        (reply.status, reply.reason(), last, server.trace.len())
    };
    let body = || Some(row(None, "final", "n"));
    let patch = || Some(json!([{"op": "add", "path": "/note", "value": [{"text": "n"}]}]));
    let put = "PUT /Observation/open If-Match: W/\"1\"".to_owned();
    let delete = "DELETE /Observation/open If-Match: W/\"1\"".to_owned();
    assert_eq!(
        of("PUT", "some", "identifier=open", body()),
        (200, "".into(), put.clone(), 2)
    );
    assert_eq!(
        of("PATCH", "some", "identifier=open", patch()),
        (200, "".into(), put.clone(), 2)
    );
    assert_eq!(
        of("DELETE", "some", "identifier=open", None),
        (204, "".into(), delete, 2)
    );
    for (method, body) in [("PUT", body()), ("PATCH", patch()), ("DELETE", None)] {
        // hidden, labelled or missing: alike
        let mut answers = Vec::new();
        for id in ["hidden", "labelled", "missing"] {
            let (status, reason, last, count) =
                of(method, "some", &format!("identifier={id}"), body.clone());
            assert_eq!(
                (status, reason.as_str(), count),
                (404, "not-found", 1),
                "{method} {id}"
            );
            answers.push(last.replace(id, "ID"));
        }
        assert!(answers.iter().all(|a| *a == answers[0]));
        // a hidden row beside the visible one counts for nothing
        let (status, ..) = of(
            method,
            "some",
            "identifier=open,hidden,labelled",
            body.clone(),
        );
        assert!(status < 300, "{method} {status}");
        let (status, reason, ..) = of(method, "some", "identifier=open,other", body.clone());
        assert_eq!(
            (status, reason.as_str()),
            (412, "multiple-matches"),
            "{method}"
        );
        // what the search reads must be shown
        let (status, reason, _, count) = of(method, "feed", "identifier=open", body.clone());
        assert_eq!(
            (status, reason.as_str(), count),
            (403, "not-granted Observation", 0),
            "{method}"
        );
    }
    // nothing there: made where nothing can be hidden, under the condition
    let (status, _, last, _) = of("PUT", "all", "identifier=nothing", body());
    assert_eq!(
        (status, last.as_str()),
        (201, "POST /Observation If-None-Exist: identifier=nothing")
    );
    let (status, reason, ..) = of(
        "PUT",
        "all",
        "identifier=nothing",
        Some(row(Some("own"), "final", "n")),
    );
    assert_eq!((status, reason.as_str()), (400, "not-supported id"));
    let (status, reason, ..) = of(
        "PUT",
        "all",
        "identifier=open",
        Some(row(Some("own"), "final", "n")),
    );
    assert_eq!((status, reason.as_str()), (400, "not-understood id"));
}

#[test]
fn a_condition_whose_matches_go_on_is_too_costly() {
    use chartward_rules::decide::{Facts, Sealer, Verdict, decide};
    use chartward_rules::fhir::interaction::{Interaction, Request, understand};
    use chartward_rules::proof::Raw;
    use chartward_rules::record::Call;
    let interaction =
        understand(Request::new("DELETE", "/Observation", "identifier=x")).expect("understood");
    let (program, service) = (program(), support::service());
    let seal = |_: &Call, _: &Interaction| -> Sealer { Arc::new(|_| String::new()) };
    let call = || Box::new(support::call(subject(&["some"])));
    let mut facts = Facts::none();
    let Verdict::Ask(asked) = decide(&program, &service, &interaction, call(), None, &facts, seal)
    else {
        panic!("a question");
    };
    let page = r#"{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"http://up/fhir?x"}]}"#;
    facts.learn(asked.questions()[0].clone(), Raw::new(page.into()));
    match decide(&program, &service, &interaction, call(), None, &facts, seal) {
        Verdict::Refuse(no, _) => assert_eq!(no.reason.code(), "too-costly"),
        other => panic!("{other:?}"),
    }
}
