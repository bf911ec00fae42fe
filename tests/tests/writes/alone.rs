//! One resource at a time: create, update, patch, delete.

use chartward_tests::{Request, need};
use serde_json::{Value, json};

use super::stage::{
    Behind, Chart, behind, fresh, labelled, observation, own, patch, patient, resource, word,
};

fn without_id(mut resource: Value) -> Value {
    resource.as_object_mut().expect("an object").remove("id");
    resource
}

#[test]
fn what_is_created_is_what_was_sent_and_has_its_records() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let sent = without_id(patient("none"));
        let answer = chart.write("editor", "POST", "/fhir/Patient", &sent);
        assert_eq!(answer.status, 201, "{behind:?} {}", answer.text());
        let made = answer.json();
        let id = word(&made["id"]).to_owned();
        let location = answer.header("location");
        assert_eq!(
            location,
            format!("{}/Patient/{id}/_history/1", chart.gateway.base())
        );
        assert_eq!(own(made), sent);
        let (status, stored) = chart.stored(&format!("Patient/{id}"));
        assert_eq!((status, own(stored)), (200, sent));

        let records = chart.records(&answer);
        let phases: Vec<&str> = records.iter().map(|r| word(&r["phase"])).collect();
        assert_eq!(phases, ["attempt", "disclosure", "closing"], "{records:?}");
        assert_eq!(records[0]["action"]["interaction"], "create");
        assert_eq!(records[1]["disclosed"]["resources"][0]["id"], *id);
        assert_eq!(records[2]["outcome"], "complete");
        assert_eq!(records[2]["upstream"]["status"], 201);
        assert_eq!(records[2]["status"], 201);
    }
}

#[test]
fn an_update_is_the_callers_version_and_a_stale_one_is_refused() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let id = fresh("update");
        let mut row = patient(&id);
        chart.put(&row);
        let target = format!("/fhir/Patient/{id}");
        row["gender"] = json!("other");
        let answer = chart.write("clerk", "PUT", &target, &row);
        assert_eq!(answer.status, 200, "{behind:?} {}", answer.text());
        assert_eq!(chart.stored(&format!("Patient/{id}")).1["gender"], "other");
        row["gender"] = json!("male");
        let stale = resource("PUT", &target, &row).header("if-match", "W/\"1\"");
        let answer = chart.send("clerk", stale);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (412, "version-conflict")
        );
        assert_eq!(chart.stored(&format!("Patient/{id}")).1["gender"], "other");
        let current = resource("PUT", &target, &row).header("if-match", "W/\"2\"");
        assert_eq!(chart.send("clerk", current).status, 200);
        assert_eq!(chart.stored(&format!("Patient/{id}")).1["gender"], "male");
    }
}

#[test]
fn who_does_not_see_all_of_a_row_cannot_overwrite_it() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let id = fresh("merge");
        chart.put(&patient(&id));
        let mut row = patient(&id);
        row.as_object_mut().expect("an object").remove("telecom");
        row["gender"] = json!("other");
        let target = format!("/fhir/Patient/{id}");
        let answer = chart.write("desk", "PUT", &target, &row);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (422, "write-needs-merge")
        );
        let change = json!([{ "op": "replace", "path": "/gender", "value": "other" }]);
        let answer = chart.send("desk", patch(&target, &change));
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (422, "write-needs-merge")
        );
        // nor can he find out by trying whether it is there
        let missing = patient("nobody");
        let other = chart.write("desk", "PUT", "/fhir/Patient/nobody", &missing);
        assert_eq!(
            (other.status, other.reason().as_str()),
            (422, "write-needs-merge")
        );
        let (_, stored) = chart.stored(&format!("Patient/{id}"));
        assert_eq!(own(stored), own(patient(&id)));
    }
}

#[test]
fn labels_cannot_be_taken_off_by_an_update() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let id = fresh("label");
        chart.put(&labelled(patient(&id)));
        let answer = chart.write(
            "editor",
            "PUT",
            &format!("/fhir/Patient/{id}"),
            &patient(&id),
        );
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (422, "write-needs-merge")
        );
        let (_, stored) = chart.stored(&format!("Patient/{id}"));
        assert_eq!(stored["meta"]["security"][0]["code"], "PSY");
        let same = chart.write(
            "editor",
            "PUT",
            &format!("/fhir/Patient/{id}"),
            &labelled(patient(&id)),
        );
        assert_eq!(same.status, 200, "{}", same.text());
    }
}

#[test]
fn a_hidden_row_and_a_missing_one_answer_a_write_alike() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let id = fresh("hidden");
        chart.put(&labelled(patient(&id)));
        let change = json!([{ "op": "replace", "path": "/gender", "value": "other" }]);
        type Ask = Box<dyn Fn(&str) -> Request>;
        let asks: Vec<(&str, Ask)> = vec![
            (
                "read",
                Box::new(|id| Request::get(&format!("/fhir/Patient/{id}"))),
            ),
            (
                "vread",
                Box::new(|id| Request::get(&format!("/fhir/Patient/{id}/_history/1"))),
            ),
            (
                "history",
                Box::new(|id| Request::get(&format!("/fhir/Patient/{id}/_history"))),
            ),
            (
                "put",
                Box::new(|id| resource("PUT", &format!("/fhir/Patient/{id}"), &patient(id))),
            ),
            (
                "put if",
                Box::new(|id| {
                    resource("PUT", &format!("/fhir/Patient/{id}"), &patient(id))
                        .header("if-match", "W/\"1\"")
                }),
            ),
            (
                "patch",
                Box::new(move |id| patch(&format!("/fhir/Patient/{id}"), &change)),
            ),
            (
                "delete",
                Box::new(|id| Request::new("DELETE", &format!("/fhir/Patient/{id}"))),
            ),
            (
                "delete if",
                Box::new(|id| Request::new("DELETE", &format!("/fhir/Patient?_id={id}"))),
            ),
        ];
        for (name, ask) in asks {
            let told = |id: &str| {
                let answer = chart.send("clerk", ask(id).header("x-request-id", "same"));
                let mut headers: Vec<(String, String)> = answer
                    .headers
                    .iter()
                    .filter(|(name, _)| *name != "date")
                    .map(|(n, v)| {
                        (
                            n.to_string(),
                            String::from_utf8_lossy(v.as_bytes()).into_owned(),
                        )
                    })
                    .collect();
                headers.sort();
                (answer.status, headers, answer.body)
            };
            // of the same length, so that nothing but being there differs
            let missing = "x".repeat(id.len());
            let (hidden, missing) = (told(&id), told(&missing));
            assert_eq!(hidden, missing, "{behind:?} {name}");
            assert_eq!(hidden.0, 404, "{behind:?} {name}");
        }
        assert_eq!(chart.stored(&format!("Patient/{id}")).0, 200);
    }
}

#[test]
fn a_patch_changes_what_it_names_and_keeps_numbers_as_they_are_written() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let id = fresh("patch");
        let mut row = observation(&id, "p", "laboratory");
        row["valueQuantity"]["value"] = serde_json::from_str("1.0500").expect("a number");
        chart.put(&row);
        let target = format!("/fhir/Observation/{id}");
        let change = json!([
            { "op": "test", "path": "/status", "value": "final" },
            { "op": "replace", "path": "/status", "value": "amended" },
            { "op": "add", "path": "/note", "value": [{ "text": "seen" }] },
        ]);
        let answer = chart.send("clerk", patch(&target, &change));
        assert_eq!(answer.status, 200, "{behind:?} {}", answer.text());
        let (_, stored) = chart.stored(&format!("Observation/{id}"));
        assert_eq!(
            (&stored["status"], &stored["note"][0]["text"]),
            (&json!("amended"), &json!("seen"))
        );
        // the real server itself writes 1.05
        if behind == Behind::Sandbox {
            assert_eq!(stored["valueQuantity"]["value"].to_string(), "1.0500");
        }
        // what a patch makes of a row is judged as if it had been sent
        let label =
            json!([{ "op": "add", "path": "/meta/security", "value": [{ "code": "PSY" }] }]);
        let answer = chart.send("clerk", patch(&target, &label));
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (403, "not-granted")
        );
        let answer = chart.send("editor", patch(&target, &label));
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (422, "write-needs-merge")
        );
        let unknown = json!([{ "op": "add", "path": "/nonsense", "value": 1 }]);
        assert_eq!(chart.send("clerk", patch(&target, &unknown)).status, 400);
        let (_, after) = chart.stored(&format!("Observation/{id}"));
        assert_eq!(after, stored);
    }
}

#[test]
fn a_feed_writes_what_its_grant_names_and_sees_nothing() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let sent = without_id(observation("none", "p", "laboratory"));
        let answer = chart.write("feed", "POST", "/fhir/Observation", &sent);
        assert_eq!(answer.status, 201, "{behind:?} {}", answer.text());
        assert!(answer.body.is_empty(), "{}", answer.text());
        let place = answer.header("location").to_owned();
        let below = place.split("/fhir/").nth(1).expect("a place");
        let id = below.split('/').nth(1).expect("an id");
        assert_eq!(own(chart.stored(&format!("Observation/{id}")).1), sent);
        assert_eq!(
            chart
                .send("feed", Request::get(&format!("/fhir/Observation/{id}")))
                .status,
            403
        );

        let mut noted = sent.clone();
        noted["note"] = json!([{ "text": "hidden from feeds" }]);
        let answer = chart.write("feed", "POST", "/fhir/Observation", &noted);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (422, "element-not-writable")
        );
        let vital = without_id(observation("none", "p", "vital-signs"));
        let answer = chart.write("feed", "POST", "/fhir/Observation", &vital);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (403, "not-granted")
        );
        let secret = labelled(sent.clone());
        let answer = chart.write("feed", "POST", "/fhir/Observation", &secret);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (403, "not-granted")
        );
    }
}

#[test]
fn what_is_deleted_is_gone() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let id = fresh("delete");
        chart.put(&patient(&id));
        let target = format!("/fhir/Patient/{id}");
        let stale = Request::new("DELETE", &target).header("if-match", "W/\"7\"");
        assert_eq!(chart.send("clerk", stale).status, 412);
        let answer = chart.send("clerk", Request::new("DELETE", &target));
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{behind:?}");
        assert_eq!(chart.stored(&format!("Patient/{id}")).0, 410);
        assert_eq!(chart.send("clerk", Request::get(&target)).status, 404);
    }
}

#[test]
fn roles_write_only_what_they_are_granted() {
    if !need("binary") {
        return;
    }
    let chart = Chart::open(Behind::Sandbox);
    let row = patient("p1");
    chart.put(&row);
    let change = json!([{ "op": "replace", "path": "/gender", "value": "other" }]);
    let asks = [
        resource("POST", "/fhir/Patient", &row),
        resource("PUT", "/fhir/Patient/p1", &row),
        resource("PUT", "/fhir/Patient?identifier=urn:mrn%7Cp1", &row),
        patch("/fhir/Patient/p1", &change),
        Request::new("DELETE", "/fhir/Patient/p1"),
        Request::new("DELETE", "/fhir/Patient?_id=p1"),
        Request::get("/fhir/Patient/_history"),
        Request::get("/fhir/Patient/p1/_history"),
    ];
    for ask in asks {
        let answer = chart.send("reader", ask.clone());
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (403, "not-granted"),
            "{ask:?}"
        );
        // scopes count, whatever the role
        let token = chart.tokens.token("someone", &["editor"], "user/*.r");
        let answer = chart.client.send(ask.clone().bearer(&token));
        if !answer.status.eq(&200) {
            assert_eq!(
                (answer.status, answer.reason().as_str()),
                (403, "insufficient-scope"),
                "{ask:?}"
            );
        }
    }
    assert_eq!(chart.stored("Patient/p1").1["meta"]["versionId"], "1");
}

#[test]
fn a_patient_writes_into_his_own_chart_only() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let (mine, other) = (fresh("mine"), fresh("other"));
        chart.put(&patient(&mine));
        chart.put(&patient(&other));
        let token = chart.tokens.claims(&json!({
            "sub": "me", "roles": ["editor"], "scope": "patient/*.cruds", "patient": mine,
        }));
        let create = |about: &str| {
            let row = without_id(observation("none", about, "laboratory"));
            chart
                .client
                .send(resource("POST", "/fhir/Observation", &row).bearer(&token))
        };
        assert_eq!(create(&mine).status, 201, "{behind:?}");
        let answer = create(&other);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (403, "insufficient-scope")
        );
        // nor is a row of his moved into another chart
        let id = fresh("own");
        chart.put(&observation(&id, &mine, "laboratory"));
        let moved = observation(&id, &other, "laboratory");
        let target = format!("/fhir/Observation/{id}");
        let answer = chart
            .client
            .send(resource("PUT", &target, &moved).bearer(&token));
        assert_eq!(answer.status, 403, "{}", answer.text());
        let (_, stored) = chart.stored(&format!("Observation/{id}"));
        assert_eq!(stored["subject"]["reference"], format!("Patient/{mine}"));
    }
}
