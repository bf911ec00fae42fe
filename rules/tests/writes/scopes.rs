//! What scopes leave of a write.

use super::*;

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
