//! Writes aimed by a condition: it is the caller's own search (D20).

use chartward_tests::{Request, need};
use serde_json::json;

use super::stage::{Chart, behind, fresh, labelled, patch, patient, resource, word};

#[test]
fn a_condition_finds_what_the_caller_would_find() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let (seen, hidden) = (fresh("seen"), fresh("hidden"));
        chart.put(&patient(&seen));
        chart.put(&labelled(patient(&hidden)));
        let aim = |id: &str| format!("/fhir/Patient?identifier=urn:mrn%7C{id}");
        let mut row = patient(&seen);
        row["gender"] = json!("other");
        let answer = chart.write("clerk", "PUT", &aim(&seen), &row);
        assert_eq!(answer.status, 200, "{behind:?} {}", answer.text());
        assert_eq!(
            chart.stored(&format!("Patient/{seen}")).1["gender"],
            "other"
        );
        let change = json!([{ "op": "replace", "path": "/gender", "value": "male" }]);
        let answer = chart.send("clerk", patch(&aim(&seen), &change));
        assert_eq!(answer.status, 200, "{behind:?} {}", answer.text());
        assert_eq!(chart.stored(&format!("Patient/{seen}")).1["gender"], "male");
        // what is hidden is not found, and so is not there
        for id in [hidden.as_str(), "nobody"] {
            let mut row = patient(id);
            row.as_object_mut().expect("an object").remove("id");
            assert_eq!(
                chart.write("clerk", "PUT", &aim(id), &row).status,
                404,
                "{id}"
            );
            assert_eq!(
                chart.send("clerk", patch(&aim(id), &change)).status,
                404,
                "{id}"
            );
            assert_eq!(
                chart.send("clerk", Request::new("DELETE", &aim(id))).status,
                404,
                "{id}"
            );
        }
        assert_eq!(
            chart.stored(&format!("Patient/{hidden}")).1["gender"],
            "female"
        );
        assert_eq!(
            chart
                .send("clerk", Request::new("DELETE", &aim(&seen)))
                .status,
            204
        );
        assert_eq!(chart.stored(&format!("Patient/{seen}")).0, 410);
    }
}

#[test]
fn several_matches_change_nothing() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let family = fresh("Twins");
        for _ in 0..2 {
            let mut row = patient(&fresh("twin"));
            row["name"][0]["family"] = json!(family);
            chart.put(&row);
        }
        let aim = format!("/fhir/Patient?family={family}");
        let row = patient("any");
        let change = json!([{ "op": "remove", "path": "/gender" }]);
        let mut anonymous = row.clone();
        anonymous.as_object_mut().expect("an object").remove("id");
        for ask in [
            resource("PUT", &aim, &anonymous),
            patch(&aim, &change),
            Request::new("DELETE", &aim),
        ] {
            let answer = chart.send("editor", ask);
            assert_eq!(
                (answer.status, answer.reason().as_str()),
                (412, "multiple-matches"),
                "{behind:?}"
            );
        }
        let found = chart.send("editor", Request::get(&aim)).json();
        assert_eq!(found["total"], 2, "{found}");
        let rows = found["entry"].as_array().expect("rows");
        for entry in rows.iter().filter(|e| e["search"]["mode"] == "match") {
            assert_eq!(entry["resource"]["meta"]["versionId"], "1");
        }
    }
}

#[test]
fn a_conditional_create_needs_a_search_that_misses_nothing() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let id = fresh("once");
        let mut row = patient(&id);
        row.as_object_mut().expect("an object").remove("id");
        let ask = || {
            resource("POST", "/fhir/Patient", &row)
                .header("if-none-exist", &format!("identifier=urn:mrn|{id}"))
        };
        let answer = chart.send("clerk", ask());
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (403, "not-granted"),
            "{behind:?}"
        );
        let answer = chart.send(
            "desk",
            resource(
                "POST",
                "/fhir/Patient",
                &json!({
                    "resourceType": "Patient", "gender": "female",
                }),
            )
            .header("if-none-exist", "phone=555-0199"),
        );
        assert_eq!(answer.status, 403, "a condition over what is hidden");
        let first = chart.send("editor", ask());
        assert_eq!(first.status, 201, "{behind:?} {}", first.text());
        let again = chart.send("editor", ask());
        assert_eq!(again.status, 200, "{behind:?} {}", again.text());
        assert_eq!(word(&first.json()["id"]), word(&again.json()["id"]));
    }
}

#[test]
fn an_update_creates_only_where_nothing_could_be_hidden() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let id = fresh("made");
        let row = patient(&id);
        let target = format!("/fhir/Patient/{id}");
        assert_eq!(
            chart.write("clerk", "PUT", &target, &row).status,
            404,
            "{behind:?}"
        );
        let answer = chart.write("editor", "PUT", &target, &row);
        assert_eq!(answer.status, 201, "{behind:?} {}", answer.text());
        assert_eq!(chart.stored(&format!("Patient/{id}")).0, 200);
        let mrn = fresh("made-by-condition");
        let mut row = patient(&mrn);
        row.as_object_mut().expect("an object").remove("id");
        let aim = format!("/fhir/Patient?identifier=urn:mrn%7C{mrn}");
        assert_eq!(chart.write("clerk", "PUT", &aim, &row).status, 404);
        let answer = chart.write("editor", "PUT", &aim, &row);
        assert_eq!(answer.status, 201, "{behind:?} {}", answer.text());
    }
}

#[test]
fn conditions_that_are_none_are_refused() {
    if !need("binary") {
        return;
    }
    let chart = Chart::open(super::stage::Behind::Sandbox);
    let mut row = patient("x");
    row.as_object_mut().expect("an object").remove("id");
    for (ask, status) in [
        (resource("PUT", "/fhir/Patient", &row), 400),
        (resource("PUT", "/fhir/Patient?_count=1", &row), 400),
        (resource("PUT", "/fhir/Patient?nonsense=1", &row), 400),
        (Request::new("DELETE", "/fhir/Patient"), 400),
        (Request::new("DELETE", "/fhir/Patient?_format=json"), 400),
        (
            resource("POST", "/fhir/Patient", &row).header("if-none-exist", ""),
            400,
        ),
        (
            resource("POST", "/fhir/Patient", &row).header("if-none-exist", "?identifier=a&x=1"),
            400,
        ),
        (
            resource("PUT", "/fhir/Patient/x", &patient("x")).header("if-match", "*"),
            400,
        ),
        (
            resource("PUT", "/fhir/Patient/x", &patient("x"))
                .header("if-match", "W/\"1\", W/\"2\""),
            400,
        ),
        (resource("PUT", "/fhir/Patient/x", &patient("y")), 400),
        (resource("PUT", "/fhir/Observation/x", &patient("x")), 400),
    ] {
        let answer = chart.send("editor", ask.clone());
        assert_eq!(answer.status, status, "{ask:?} {}", answer.text());
    }
}
