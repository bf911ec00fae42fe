//! What an upstream says of a Bundle's entries: told lies, the gateway tells nothing.

use std::time::{Duration, Instant};

use chartward_tests::{Request, Script, need};
use serde_json::{Value, json};

use super::stage::*;

fn outcome() -> Value {
    json!({ "resourceType": "OperationOutcome", "issue": [{ "severity": "error", "code": "invalid",
        "diagnostics": MARKER, "details": { "text": MARKER } }] })
}

/// Answers that are no answer to what was asked, or hold what nobody may see.
fn lies() -> Vec<Value> {
    let nested = json!({ "resourceType": "Bundle", "type": "batch-response",
        "entry": [{ "resource": secret("p1"), "response": { "status": "200" } }] });
    let mut lies = vec![
        json!({}),
        json!({ "response": {} }),
        json!({ "response": { "status": 200 }, "resource": secret("p1") }),
        json!({ "response": "200", "resource": secret("p1") }),
        json!({ "response": [{ "status": "200" }], "resource": secret("p1") }),
        json!({ "resource": secret("p1") }),
        json!({ "resource": [secret("p1")], "response": { "status": "200" } }),
        json!({ "resource": MARKER, "response": { "status": "200" } }),
        json!({ "resource": null, "response": { "status": "200" } }),
        json!({ "resource": { "resourceType": MARKER, "id": "p1" }, "response": { "status": "200" } }),
        json!({ "resource": { "id": "p1", "name": MARKER }, "response": { "status": "200" } }),
        json!({ "resource": nested, "response": { "status": "200" } }),
        json!({ "resource": set(&[set(&[secret("p1")], None)], None), "response": { "status": "200" } }),
        json!({ "response": { "status": MARKER } }),
        json!({ "response": { "status": "200 ".to_owned() + MARKER }, "resource": secret("p1") }),
    ];
    for status in [
        "200",
        "201 Created",
        "202",
        "204",
        "206",
        "304",
        "400",
        "401",
        "403",
        "404",
        "409",
        "410",
        "412",
        "422",
        "429",
        "500",
        "503",
    ] {
        for resource in [
            secret("p1"),
            secret("other"),
            outcome(),
            set(
                &[secret("p1"), secret("p2")],
                Some("http://x/fhir?zq7-hidden"),
            ),
        ] {
            lies.push(json!({
                "fullUrl": MARKER, "link": [{ "relation": MARKER, "url": MARKER }],
                "resource": resource,
                "search": { "mode": "match", "score": 0.5 },
                "request": { "method": "GET", "url": MARKER },
                "response": { "status": status, "location": format!("Patient/{MARKER}"), "etag": MARKER,
                    "lastModified": MARKER, "outcome": outcome() },
            }));
        }
    }
    lies
}

#[test]
fn lies_about_entries_tell_nothing() {
    if !need("binary") {
        return;
    }
    let asked = [
        ask("GET", "Patient/p1"),
        ask("GET", "Patient?_id=p1"),
        ask("GET", "?_type=Patient&_id=p1"),
        ask("GET", "Patient/p1/Observation"),
        write(
            "POST",
            "Observation",
            &json!({ "resourceType": "Observation", "status": "final", "code": {} }),
        ),
    ];
    let lies = lies();
    let count = lies.len();
    // the target of a first entry says which lie it is
    let wide = Wide::open(
        |setup| setup,
        move |seen| {
            let entries = sent(seen);
            let which = entries[0]["request"]["url"].as_str().unwrap_or("");
            let which: usize = which
                .rsplit('-')
                .next()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0);
            let good = json!({ "response": { "status": "404" } });
            let body = bundle("batch-response", &[good, lies[which].clone()]);
            Script::json(200, &body.to_string())
        },
    );
    let (mut answered, mut faults) = (0, 0);
    for entry in &asked {
        for which in 0..count {
            let first = ask("GET", &format!("Patient/lie-{which}"));
            let request = posted(&bundle("batch", &[first, entry.clone()]));
            let token = wide.token("clerk");
            let answer = wide.client.send(request.bearer(&token));
            assert!(
                !answer.holds(MARKER.as_bytes()),
                "{entry} {which}: {}",
                answer.text()
            );
            assert!(!answer.holds(b"4711"), "{entry} {which}: {}", answer.text());
            match answer.status {
                200 => {
                    answered += 1;
                    let statuses = statuses(&answer);
                    assert_eq!(statuses.len(), 2, "{entry} {which}");
                    assert_eq!(statuses[0], "404");
                }
                502 => faults += 1,
                other => panic!("{entry} {which}: {other} {}", answer.text()),
            }
        }
    }
    assert!(answered > 100 && faults > 50, "{answered} {faults}");
    println!("{answered} answered, {faults} faults");
}

#[test]
fn answers_in_another_order_or_number_are_no_answer() {
    if !need("binary") {
        return;
    }
    let good = |id: &str| json!({ "resource": patient(id), "response": { "status": "200" } });
    let three = [
        ask("GET", "Patient/a"),
        ask("GET", "Organization/1"),
        ask("GET", "Patient/b"),
    ];
    for (what, entries, status) in [
        ("as asked", vec![good("a"), good("b")], 200),
        ("swapped", vec![good("b"), good("a")], 502),
        (
            "the refused one answered, too",
            vec![good("a"), good("x"), good("b")],
            502,
        ),
        ("one", vec![good("a")], 502),
        ("none", vec![], 502),
        ("one twice", vec![good("a"), good("a")], 502),
        (
            "versions apart",
            vec![
                good("a"),
                json!({ "resource": { "resourceType": "Observation", "id": "b" }, "response": { "status": "200" } }),
            ],
            502,
        ),
    ] {
        let body = bundle("batch-response", &entries).to_string();
        let wide = Wide::open(|setup| setup, move |_| Script::json(200, &body));
        let answer = wide.post("clerk", &bundle("batch", &three));
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        if status == 200 {
            assert_eq!(statuses(&answer), ["200", "403", "200"], "{what}");
        }
        let upstream = wide.upstream.seen();
        assert_eq!(sent(&upstream[0]).len(), 2, "{what}");
    }
}

#[test]
fn frames_of_another_kind_are_no_answer() {
    if !need("binary") {
        return;
    }
    let one = r#"{"resource":{"resourceType":"Patient","id":"a"},"response":{"status":"200"}}"#;
    for (body, status) in [
        (format!(r#"{{"entry":[{one}],"type":"batch-response","resourceType":"Bundle"}}"#), 200),
        (format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{one}]}}"#), 502),
        (format!(r#"{{"resourceType":"Bundle","type":"transaction-response","entry":[{one}]}}"#), 502),
        (format!(r#"{{"resourceType":"Bundle","type":"batch-response","entry":[{one}],"entry":[{one}]}}"#), 502),
        (format!(r#"{{"resourceType":"Bundle","type":"batch-response","type":"batch-response","entry":[{one}]}}"#), 502),
        (format!(r#"{{"resourceType":"Bundle","type":"batch-response","entry":[{one}]}}{one}"#), 502),
        (format!(r#"{{"resourceType":"Bundle","type":"batch-response","entry":[{one}]"#), 502),
        (format!(r#"{{"resourceType":"Bundle","type":"batch-response","entry":{one}}}"#), 502),
        (format!(r#"[{one}]"#), 502),
        (r#"{"resourceType":"OperationOutcome","issue":[{"diagnostics":"zq7-hidden"}]}"#.to_owned(), 502),
        (r#"{"resourceType":"Bundle","type":"batch-response","entry":[{"resource":{"resourceType":"Patient","id":"a"},"resource":{"resourceType":"Patient","id":"a"},"response":{"status":"200"}}]}"#.to_owned(), 502),
        (r#"{"resourceType":"Bundle","type":"batch-response","entry":[{"resource":{"resourceType":"Patient","id":"a"},"response":{"status":"200","status":"404"}}]}"#.to_owned(), 502),
    ] {
        let shown = body.clone();
        let wide = Wide::open(|setup| setup, move |_| Script::json(200, &body));
        let answer = wide.post("clerk", &bundle("batch", &[ask("GET", "Patient/a")]));
        assert_eq!(answer.status, status, "{shown}: {}", answer.text());
        assert!(!answer.holds(MARKER.as_bytes()), "{shown}");
    }
}

#[test]
fn what_was_judged_is_what_is_written() {
    if !need("binary") {
        return;
    }
    // visible when it is asked for; whatever it is by then, the server is told the version
    let wide = Wide::open(
        |setup| setup,
        |seen| match seen.method.as_str() {
            "GET" if seen.target.contains('?') => {
                Script::json(200, &set(&[patient("found")], None).to_string())
            }
            "GET" => {
                let id = seen.target.rsplit('/').next().unwrap_or("");
                Script::json(200, &patient(id).to_string())
            }
            _ => Script::json(412, "{}"),
        },
    );
    let patch = "W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9nZW5kZXIiLCJ2YWx1ZSI6Im90aGVyIn1d";
    let binary = json!({ "resourceType": "Binary", "contentType": "application/json-patch+json", "data": patch });
    let entries = [
        write("PUT", "Patient/a", &patient("a")),
        write("PATCH", "Patient/b", &binary),
        ask("DELETE", "Patient/c"),
        ask("DELETE", "Patient?identifier=x"),
    ];
    for kind in ["batch", "transaction"] {
        wide.upstream.forget();
        let answer = wide.post("clerk", &bundle(kind, &entries));
        let posts = wide.upstream.seen();
        let posts: Vec<_> = posts.iter().filter(|seen| seen.method == "POST").collect();
        assert_eq!(posts.len(), 1, "{kind} {}", answer.text());
        let sent = sent(posts[0]);
        let targets: Vec<&Value> = sent.iter().map(|entry| &entry["request"]["url"]).collect();
        assert_eq!(
            targets,
            ["Patient/a", "Patient/b", "Patient/c", "Patient/found"]
        );
        for entry in &sent {
            assert_eq!(entry["request"]["ifMatch"], "W/\"1\"", "{entry}");
            assert_ne!(
                entry["request"]["method"], "PATCH",
                "a patch is applied here"
            );
        }
        // whole or nothing
        if kind == "transaction" {
            assert_eq!(
                (answer.status, answer.reason().as_str()),
                (412, "version-conflict")
            );
        }
    }
}

#[test]
fn a_transaction_with_a_refused_entry_asks_and_sends_nothing_for_hidden_or_missing() {
    if !need("binary") {
        return;
    }
    let traces: Vec<(Vec<String>, u16, String)> = [true, false]
        .into_iter()
        .map(|hidden| {
            let wide = Wide::open(
                |setup| setup,
                move |seen| match hidden && seen.target.ends_with("/secret") {
                    true => Script::json(200, &secret("secret").to_string()),
                    false => Script::json(404, &outcome().to_string()),
                },
            );
            let entries = [
                write(
                    "POST",
                    "Observation",
                    &json!({ "resourceType": "Observation", "status": "final", "code": {} }),
                ),
                ask("DELETE", "Patient/secret"),
                ask("GET", "Patient/secret"),
            ];
            let request = posted(&bundle("transaction", &entries)).header("x-request-id", "same");
            let answer = wide.send("clerk", request);
            let seen = wide.upstream.seen();
            let trace = seen
                .iter()
                .map(|s| format!("{} {}", s.method, s.target))
                .collect();
            (trace, answer.status, answer.text().to_owned())
        })
        .collect();
    assert_eq!(traces[0], traces[1]);
    assert_eq!(traces[0].0, ["GET /fhir/Patient/secret"]);
    assert_eq!(traces[0].1, 404);
}

#[test]
fn the_compartment_of_a_missing_patient_is_as_empty_as_that_of_a_hidden_one() {
    if !need("binary") {
        return;
    }
    let answers: Vec<Vec<(u16, String)>> = [true, false]
        .into_iter()
        .map(|there| {
            let wide = Wide::open(
                |setup| setup,
                move |seen| {
                    let (status, body) = match there {
                        true => (200, set(&[], None)),
                        false => (404, outcome()),
                    };
                    match seen.method.as_str() {
                        "POST" if sent(seen).is_empty() => Script::json(status, &body.to_string()),
                        "POST" => {
                            let entry = json!({ "resource": body, "response": { "status": status.to_string() } });
                            let entry = bundle("batch-response", &[entry]);
                            Script::json(200, &entry.to_string())
                        }
                        _ => Script::json(status, &body.to_string()),
                    }
                },
            );
            let place = "/fhir/Patient/secret/Observation";
            let entry = ask("GET", "Patient/secret/Observation");
            [
                Request::get(place),
                Request::get(&format!("{place}?code=x")),
                Request::form(&format!("{place}/_search"), "code=x"),
                posted(&bundle("batch", &[entry])),
            ]
            .into_iter()
            .map(|request| {
                let answer = wide.send("reader", request.header("x-request-id", "same"));
                (answer.status, answer.text().replace(&wide.gateway.base(), ""))
            })
            .collect()
        })
        .collect();
    assert_eq!(answers[0], answers[1]);
    assert!(
        answers[0]
            .iter()
            .all(|(status, body)| *status == 200 && !body.contains(MARKER)),
        "{answers:?}"
    );
}

#[test]
fn an_entry_whose_question_is_rejected_is_refused_alone() {
    if !need("binary") {
        return;
    }
    let wide = Wide::open(
        |setup| setup,
        |seen| match (seen.method.as_str(), seen.target.contains("odd")) {
            ("GET", true) => Script::json(400, &outcome().to_string()),
            ("GET", false) => Script::json(200, &patient("a").to_string()),
            _ => {
                let good = json!({ "resource": patient("a"), "response": { "status": "200" } });
                Script::json(200, &bundle("batch-response", &[good]).to_string())
            }
        },
    );
    let entries = [
        ask("DELETE", "Patient?identifier=odd"),
        ask("GET", "Patient/a"),
    ];
    let answer = wide.post("clerk", &bundle("batch", &entries));
    assert_eq!(statuses(&answer), ["400", "200"], "{}", answer.text());
    assert!(!answer.holds(MARKER.as_bytes()));
    let answer = wide.post("clerk", &bundle("transaction", &entries));
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (400, "upstream-rejected"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_batch_that_may_miss_a_row_comes_at_a_tick() {
    if !need("binary") {
        return;
    }
    const TICK: Duration = Duration::from_millis(250);
    let wide = Wide::open(
        |setup| setup.listen("refusal_quantum = \"250ms\""),
        |seen| match (seen.method.as_str(), seen.target.as_str()) {
            ("GET", "/fhir/Patient/secret") => Script::json(200, &secret("secret").to_string()),
            ("POST", _) => {
                let answers: Vec<Value> = sent(seen)
                    .iter()
                    .map(|entry| match entry["request"]["url"].as_str() {
                        Some("Patient/secret") => {
                            json!({ "resource": secret("secret"), "response": { "status": "200" } })
                        }
                        Some(url) if url.contains('?') => {
                            json!({ "resource": set(&[], None), "response": { "status": "200" } })
                        }
                        _ => json!({ "response": { "status": "404" } }),
                    })
                    .collect();
                Script::json(200, &bundle("batch-response", &answers).to_string())
            }
            _ => Script::json(404, "{}"),
        },
    );
    let _ = wide.get("clerk", "/fhir/metadata");
    for method in ["GET", "DELETE"] {
        for id in ["secret", "missing"] {
            let entry = ask(method, &format!("Patient/{id}"));
            let began = Instant::now();
            let answer = wide.post("clerk", &bundle("batch", &[entry]));
            let took = began.elapsed();
            assert_eq!(statuses(&answer), ["404"], "{method} {id}");
            assert!(took >= TICK, "{method} {id}: {took:?}");
        }
    }
    // what misses nothing doesn't wait
    let quick = (0..5).any(|_| {
        let began = Instant::now();
        let entry = ask("GET", "Patient?gender=female");
        let answer = wide.post("clerk", &bundle("batch", &[entry]));
        assert_eq!(answer.status, 200);
        began.elapsed() < TICK
    });
    assert!(quick);
}
