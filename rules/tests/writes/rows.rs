//! Rows that are changed or taken away.

use super::*;

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
