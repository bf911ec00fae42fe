//! Batches and transactions: each entry is decided as its own request.

use chartward_tests::{Response, need};
use serde_json::{Value, json};

use super::stage::{Chart, behind, fresh, labelled, observation, own, patient, word};

fn bundle(kind: &str, entries: &[Value]) -> Value {
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries })
}

fn ask(method: &str, url: &str) -> Value {
    json!({ "request": { "method": method, "url": url } })
}

fn write(method: &str, url: &str, resource: &Value) -> Value {
    json!({ "request": { "method": method, "url": url }, "resource": resource })
}

fn statuses(answer: &Response) -> Vec<String> {
    let body = answer.json();
    let entries = body["entry"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|e| word(&e["response"]["status"]).chars().take(3).collect())
        .collect()
}

#[test]
fn each_entry_of_a_batch_is_decided_alone_and_answered_in_its_place() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let (seen, hidden) = (fresh("seen"), fresh("hidden"));
        chart.put(&patient(&seen));
        chart.put(&labelled(patient(&hidden)));
        let mut changed = patient(&seen);
        changed["gender"] = json!("other");
        let sent = bundle(
            "batch",
            &[
                ask("GET", &format!("Patient/{hidden}")),
                ask("GET", &format!("Patient/{seen}")),
                ask("GET", "Nonsense/1"),
                ask("GET", &format!("Patient?_id={seen},{hidden}")),
                ask("DELETE", &format!("Patient/{hidden}")),
                write("PUT", &format!("Patient/{seen}"), &changed),
                ask("GET", "Organization/1"),
                write(
                    "POST",
                    "Observation",
                    &observation("x", &seen, "laboratory"),
                ),
                ask("GET", "Patient/nobody"),
            ],
        );
        let answer = chart.write("clerk", "POST", "/fhir", &sent);
        assert_eq!(answer.status, 200, "{behind:?} {}", answer.text());
        let body = answer.json();
        assert_eq!(body["type"], "batch-response");
        assert_eq!(
            statuses(&answer),
            [
                "404", "200", "400", "200", "404", "200", "403", "201", "404"
            ],
            "{behind:?} {body:#}"
        );
        let rows = body["entry"][3]["resource"]["entry"]
            .as_array()
            .expect("rows");
        let found: Vec<_> = rows
            .iter()
            .filter(|e| e["search"]["mode"] == "match")
            .map(|e| word(&e["resource"]["id"]))
            .collect();
        assert_eq!(found, [seen.as_str()]);
        // hidden and missing: the same entry
        assert_eq!(body["entry"][0], body["entry"][8]);
        assert_eq!(chart.stored(&format!("Patient/{hidden}")).0, 200);
        assert_eq!(
            chart.stored(&format!("Patient/{seen}")).1["gender"],
            "other"
        );
        let records = chart.records(&answer);
        assert_eq!(records[0]["action"]["interaction"], "batch", "{records:?}");
        assert_eq!(
            records[0]["action"]["entries"][5]["interaction"], "update",
            "{records:?}"
        );
        assert!(!answer.text().contains("\"PSY\""));
    }
}

#[test]
fn a_transaction_is_whole_or_refused() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let (mine, hidden) = (fresh("whole"), fresh("hidden"));
        chart.put(&labelled(patient(&hidden)));
        let urn = "urn:uuid:6d2f3b1c-9a51-4d55-9f5c-0d9f0f3f3a10";
        let mut result = observation("x", "y", "laboratory");
        result.as_object_mut().expect("an object").remove("id");
        result["subject"]["reference"] = json!(urn);
        let mut person = patient(&mine);
        person.as_object_mut().expect("an object").remove("id");
        let mut entry = write("POST", "Patient", &person);
        entry["fullUrl"] = json!(urn);
        let good = [write("POST", "Observation", &result), entry];
        let answer = chart.write("clerk", "POST", "/fhir", &bundle("transaction", &good));
        assert_eq!(answer.status, 200, "{behind:?} {}", answer.text());
        assert_eq!(statuses(&answer), ["201", "201"]);
        let body = answer.json();
        let place = |n: usize| {
            let location = word(&body["entry"][n]["response"]["location"]).to_owned();
            let below = location
                .rsplit("/fhir/")
                .next()
                .unwrap_or_default()
                .to_owned();
            below
                .split("/_history")
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let (_, stored) = chart.stored(&place(0));
        assert_eq!(stored["subject"]["reference"], place(1), "{body:#}");
        assert_eq!(own(chart.stored(&place(1)).1), person);

        for (bad, status, reason) in [
            (
                ask("DELETE", &format!("Patient/{hidden}")),
                404,
                "not-found",
            ),
            (
                write(
                    "POST",
                    "Organization",
                    &json!({ "resourceType": "Organization", "name": "x" }),
                ),
                403,
                "not-granted",
            ),
            (ask("GET", "Nonsense/1"), 400, "not-understood"),
            (
                write("PUT", &format!("Patient/{hidden}"), &patient(&hidden)),
                404,
                "not-found",
            ),
        ] {
            let mrn = fresh("never");
            let mut person = patient(&mrn);
            person.as_object_mut().expect("an object").remove("id");
            let entries = [write("POST", "Patient", &person), bad.clone()];
            let answer = chart.write("clerk", "POST", "/fhir", &bundle("transaction", &entries));
            assert_eq!(
                (answer.status, answer.reason().as_str()),
                (status, reason),
                "{behind:?} {bad}"
            );
            let (_, found) = chart.stored(&format!("Patient?identifier={mrn}"));
            assert_eq!(found["total"], 0, "{behind:?} {found}");
        }
        assert_eq!(chart.stored(&format!("Patient/{hidden}")).0, 200);
    }
}

#[test]
fn a_batch_of_which_nothing_is_permitted_never_reaches_the_server() {
    if !need("binary") {
        return;
    }
    let chart = Chart::open(super::stage::Behind::Sandbox);
    let sent = bundle(
        "batch",
        &[ask("GET", "Organization/1"), ask("DELETE", "Encounter/1")],
    );
    let answer = chart.write("clerk", "POST", "/fhir", &sent);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(statuses(&answer), ["403", "403"]);
}

#[test]
fn bundles_that_are_none_are_refused() {
    if !need("binary") {
        return;
    }
    let chart = Chart::open(super::stage::Behind::Sandbox);
    for sent in [
        bundle("document", &[]),
        bundle("searchset", &[]),
        json!({ "resourceType": "Bundle" }),
        json!({ "resourceType": "Patient" }),
        bundle("batch", &[json!({})]),
        bundle(
            "transaction",
            &[ask("GET", "https://elsewhere/fhir/Patient/1")],
        ),
        bundle(
            "transaction",
            &[
                write("PUT", "Patient/a", &patient("a")),
                write("PUT", "Patient/a", &patient("a")),
            ],
        ),
    ] {
        let answer = chart.write("editor", "POST", "/fhir", &sent);
        let refused =
            answer.status == 400 || (answer.status == 200 && statuses(&answer) == ["400"]);
        assert!(refused, "{sent} {} {}", answer.status, answer.text());
    }
}
