//! What a write must not do though every byte of it is understood.

use super::*;

/// Asks of a pack of its own.
fn asked(grants: &str, store: &mut Store, asks: &Asks<'_>) -> Reply {
    let text = format!(
        "pack = \"hostile\"\nfhir = \"R4\"\n[[role]]\nname = \"one\"\npurposes = [\"TREAT\"]\n{grants}"
    );
    request(&pack(&text), &subject(&["one"]), store, asks)
}

fn told(reply: &Reply) -> (u16, String) {
    (reply.status, reply.reason())
}

#[test]
fn labels_that_are_stored_in_an_odd_shape_are_not_taken_off() {
    for meta in [
        json!({"versionId": "1", "security": {"code": "R"}}),
        json!({"versionId": "1", "security": [[{"code": "R"}]]}),
        json!([{"versionId": "1", "security": [{"code": "R"}]}]),
        json!({"versionId": "1", "tag": {"code": "R"}}),
    ] {
        let mut server = store();
        for versions in server.rows.values_mut() {
            for row in versions.iter_mut().flatten() {
                row["meta"] = meta.clone();
            }
        }
        let before = server.rows.clone();
        let body = row(Some("open"), "final", "n");
        let reply = ask(
            "all",
            &mut server,
            &Asks::with("PUT", "/Observation/open", body),
        );
        assert_eq!(reply.status, 422, "{meta} {reply:?}");
        assert_eq!(server.rows, before, "{meta}");
    }
}

#[test]
fn labels_of_what_a_row_contains_stay_as_stored() {
    let order = |labels: Value, id: &str| {
        json!({
            "resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order",
            "subject": {"reference": "Patient/p1"},
            "medicationReference": {"reference": format!("#{id}")},
            "contained": [{
                "resourceType": "Medication", "id": id, "status": "active",
                "meta": {"security": labels}, "code": {"text": "c"},
            }],
        })
    };
    let label = json!([{"code": "SUD"}]);
    for (stored, new, status) in [
        (label.clone(), label.clone(), 200),
        (label.clone(), json!([]), 422),
        (label.clone(), json!([{"code": "R"}]), 422),
        (json!([]), label.clone(), 422),
    ] {
        let mut server = Store::of(&[order(stored.clone(), "c")]);
        let asks = Asks::with("PUT", "/MedicationRequest/m", order(new.clone(), "c"));
        let reply = ask("all", &mut server, &asks);
        assert_eq!(reply.status, status, "{stored} {new} {reply:?}");
        let patch = json!([{"op": "replace", "path": "/contained", "value": order(new.clone(), "c")["contained"]}]);
        let mut server = Store::of(&[order(stored.clone(), "c")]);
        let asks = Asks::with("PATCH", "/MedicationRequest/m", patch);
        let reply = ask("all", &mut server, &asks);
        assert_eq!(reply.status, status, "{stored} {new} {reply:?}");
    }
    // another resource in its place is another resource
    let mut server = Store::of(&[order(label, "c")]);
    let asks = Asks::with("PUT", "/MedicationRequest/m", order(json!([]), "d"));
    assert_eq!(ask("all", &mut server, &asks).status, 200);
}

#[test]
fn what_was_judged_on_a_server_without_versions_is_not_written() {
    // nothing is hidden from him, but not everything is his to take away or to patch
    let grants = r#"
  [[role.grant]]
  on = ["Observation"]
  can = ["read", "search", "create", "update"]
  sensitive = ["*"]
  [[role.grant]]
  on = ["Observation"]
  can = ["delete", "patch"]
  where = "status=final"
"#;
    let patch = json!([{"op": "remove", "path": "/identifier"}]);
    let target = "/Observation/open";
    for (asks, status) in [
        (Asks::new("DELETE", target), 400),
        (Asks::with("PATCH", target, patch), 400),
        (
            Asks::with("PUT", target, row(Some("open"), "final", "n")),
            200,
        ),
    ] {
        let mut server = store();
        for versions in server.rows.values_mut() {
            for row in versions.iter_mut().flatten() {
                row.as_object_mut().expect("a row").remove("meta");
            }
        }
        let reply = asked(grants, &mut server, &asks);
        assert_eq!(reply.status, status, "{} {reply:?}", asks.method);
    }
}

#[test]
fn who_reads_nothing_of_a_type_patches_nothing_of_it() {
    let grants = r#"
  [[role.grant]]
  on = ["Patient"]
  can = ["create", "update", "patch", "delete"]
"#;
    let mut answers = Vec::new();
    for guess in ["1970-01-01", "1970-01-02"] {
        for id in ["p1", "missing"] {
            let probe = json!([{"op": "test", "path": "/birthDate", "value": guess}]);
            let mut server = store();
            let target = format!("/Patient/{id}");
            let reply = asked(grants, &mut server, &Asks::with("PATCH", &target, probe));
            answers.push((told(&reply), server.trace));
        }
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    assert_eq!(answers[0].0, (403, "not-granted Patient".to_owned()));
}

#[test]
fn what_searches_show_bounds_who_only_searches() {
    let grants = r#"
  [[role.grant]]
  on = ["Patient"]
  can = ["search"]
  hide = ["birthDate"]
  [[role.grant]]
  on = ["Patient"]
  can = ["create", "update", "patch", "delete"]
"#;
    let probe = json!([{"op": "test", "path": "/birthDate", "value": "1970-01-01"}]);
    let whole = json!({"resourceType": "Patient", "id": "p1", "name": [{"family": "B"}]});
    for asks in [
        Asks::with("PATCH", "/Patient/p1", probe),
        Asks::with("PUT", "/Patient/p1", whole),
    ] {
        let mut server = store();
        let reply = asked(grants, &mut server, &asks);
        assert_eq!(told(&reply), (422, "write-needs-merge Patient".to_owned()));
        assert!(server.trace.is_empty());
    }
    let born = json!({"resourceType": "Patient", "birthDate": "1970-01-01"});
    let reply = asked(grants, &mut store(), &Asks::with("POST", "/Patient", born));
    assert_eq!(
        told(&reply),
        (422, "element-not-writable Patient.birthDate".to_owned())
    );
}

#[test]
fn a_patch_does_no_more_work_than_a_row_is_worth() {
    let notes: Vec<Value> = (0..20_000).map(|_| json!({"text": "n"})).collect();
    let mut wide = row(Some("wide"), "final", "n");
    wide["note"] = json!(notes);
    let many = |op: Value| json!(vec![op; 1_000]);
    for patch in [
        many(json!({"op": "move", "from": "/note", "path": "/note"})),
        many(json!({"op": "move", "from": "/note/0", "path": "/note/0"})),
        many(json!({"op": "add", "path": "/note/0", "value": {"text": "n"}})),
        many(json!({"op": "remove", "path": "/note/0"})),
        many(json!({"op": "copy", "from": "/note", "path": "/note"})),
    ] {
        let mut server = Store::of(std::slice::from_ref(&wide));
        let first = patch[0].to_string();
        let reply = ask(
            "all",
            &mut server,
            &Asks::with("PATCH", "/Observation/wide", patch),
        );
        assert_eq!(told(&reply), (413, "too-large patch".to_owned()), "{first}");
    }
    // so many of the plain ones are fine
    let plain = many(json!({"op": "add", "path": "/note/-", "value": {"text": "n"}}));
    let mut server = Store::of(&[wide]);
    let reply = ask(
        "all",
        &mut server,
        &Asks::with("PATCH", "/Observation/wide", plain),
    );
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[test]
fn lists_of_any_length_are_compared_in_time() {
    // one by one with each of the other list this would take minutes
    let tags: Vec<Value> = (0..60_000)
        .map(|n| json!({"code": n.to_string()}))
        .collect();
    let mut stored = row(Some("open"), "final", "n");
    stored["meta"] = json!({"tag": tags});
    let mut new = stored.clone();
    new["meta"]["tag"] = tags.iter().rev().cloned().collect();
    let mut server = Store::of(&[stored]);
    let reply = ask(
        "all",
        &mut server,
        &Asks::with("PUT", "/Observation/open", new.clone()),
    );
    assert_eq!(reply.status, 200);
    new["meta"]["tag"][7]["code"] = json!("another");
    let reply = ask(
        "all",
        &mut server,
        &Asks::with("PUT", "/Observation/open", new),
    );
    assert_eq!(told(&reply), (422, "write-needs-merge meta.tag".to_owned()));
}

#[test]
fn many_contained_resources_and_references_to_them_are_judged_in_time() {
    let many = 0..50_000;
    let order = json!({
        "resourceType": "MedicationRequest", "status": "active", "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "contained": many.clone().map(|n| json!({"resourceType": "Medication", "id": format!("m{n}")})).collect::<Vec<_>>(),
        "supportingInformation": many.map(|n| json!({"reference": format!("#m{n}")})).collect::<Vec<_>>(),
    });
    // each sought among all, this would hold a core for long
    let reply = ask(
        "all",
        &mut store(),
        &Asks::with("POST", "/MedicationRequest", order),
    );
    assert_eq!(reply.status, 201);
}

#[test]
fn many_labels_and_codes_are_judged_in_time() {
    let labels: Vec<Value> = (0..40_000)
        .map(|n| json!({"system": "urn:x", "code": n.to_string()}))
        .collect();
    let categories: Vec<Value> = (0..40_000)
        .map(|n| json!({"coding": [{"system": "urn:x", "code": n.to_string()}]}))
        .collect();
    let mut new = row(None, "final", "n");
    // each sought among all, these would hold a core for minutes
    new["meta"] = json!({"security": labels});
    new["category"] = json!(categories);
    let reply = ask(
        "all",
        &mut store(),
        &Asks::with("POST", "/Observation", new.clone()),
    );
    assert_eq!(reply.status, 201);
    let grants = r#"
  [[role.grant]]
  on = ["Observation"]
  can = ["read", "create"]
  where = "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
"#;
    new["meta"] = json!({});
    let reply = asked(
        grants,
        &mut store(),
        &Asks::with("POST", "/Observation", new),
    );
    assert_eq!(told(&reply), (403, "not-granted Observation".to_owned()));
}

#[test]
fn a_patch_makes_nothing_that_could_not_be_sent() {
    let text = "n".repeat(1 << 20);
    let mut wide = row(Some("wide"), "final", "n");
    wide["note"] = json!([{"text": text}]);
    let copy = |times: usize| {
        json!(vec![
            json!({"op": "copy", "from": "/note/0", "path": "/note/-"});
            times
        ])
    };
    for (times, status) in [(2, 200), (4, 413)] {
        let mut server = Store::of(std::slice::from_ref(&wide));
        let reply = ask(
            "all",
            &mut server,
            &Asks::with("PATCH", "/Observation/wide", copy(times)),
        );
        assert_eq!(reply.status, status, "{times}");
    }
}

#[test]
fn nothing_that_is_aimed_at_a_hidden_row_tells_that_it_is_there() {
    let grants = r#"
  [[role.grant]]
  on = ["Observation"]
  can = ["read", "search", "history", "create", "update", "patch", "delete"]
  where = "status=final"
"#;
    type Aim = (&'static str, String, Option<Value>);
    let aims = |id: &str| -> Vec<Aim> {
        let (by_id, found) = (
            format!("/Observation/{id}"),
            format!("/Observation?_id={id}"),
        );
        let named = format!("/Observation?identifier={id}");
        let patch = json!([{"op": "test", "path": "/status", "value": "final"}]);
        let body = row(Some(id), "final", "n");
        vec![
            ("GET", by_id.clone(), None),
            ("GET", format!("{by_id}/_history"), None),
            ("GET", format!("{by_id}/_history/1"), None),
            ("GET", format!("{by_id}/_history/2"), None),
            ("PUT", by_id.clone(), Some(body)),
            ("PATCH", by_id.clone(), Some(patch.clone())),
            ("DELETE", by_id, None),
            ("PUT", found.clone(), Some(row(None, "final", "n"))),
            ("PUT", found.clone(), Some(row(Some(id), "final", "n"))),
            ("PATCH", found.clone(), Some(patch.clone())),
            ("DELETE", found, None),
            ("PUT", named.clone(), Some(row(None, "final", "n"))),
            ("PATCH", named.clone(), Some(patch)),
            ("DELETE", named, None),
        ]
    };
    // hidden by a condition now, by a label, deleted, visible once; and never there
    let seen = |id: &str, if_match: Option<&str>, at: usize| {
        let mut server = store();
        let gone = ("Observation".to_owned(), "erased".to_owned());
        server
            .rows
            .insert(gone, vec![Some(row(Some("erased"), "final", "n")), None]);
        let mut once = row(Some("change"), "final", "n");
        once["meta"] = json!({"versionId": "1"});
        let mut now = row(Some("change"), "preliminary", "n");
        now["meta"] = json!({"versionId": "2"});
        let changed = ("Observation".to_owned(), "change".to_owned());
        server.rows.insert(changed, vec![Some(once), Some(now)]);
        let before = server.rows.clone();
        let (method, target, body) = aims(id).swap_remove(at);
        let asks = Asks {
            method,
            target: &target,
            body,
            if_match,
            if_none_exist: None,
        };
        let reply = asked(grants, &mut server, &asks);
        assert_eq!(server.rows, before, "{method} {target}");
        let trace: Vec<String> = server.trace.iter().map(|t| t.replace(id, "ID")).collect();
        (reply, trace)
    };
    let mut told = 0;
    for at in 0..aims("x").len() {
        for if_match in [None, Some("W/\"1\""), Some("W/\"2\"")] {
            let missing = seen("nobody", if_match, at);
            // a read hangs on no version
            let is_odd = if_match.is_some() && aims("x")[at].0 == "GET";
            let due = if is_odd { 400 } else { 404 };
            assert_eq!(missing.0.status, due, "{if_match:?} {:?}", aims("x")[at]);
            for id in ["hidden", "labelled", "erased", "change"] {
                assert_eq!(
                    seen(id, if_match, at),
                    missing,
                    "{id} {if_match:?} {:?}",
                    aims(id)[at]
                );
                told += 1;
            }
        }
    }
    assert_eq!(told, 14 * 3 * 4);
}
