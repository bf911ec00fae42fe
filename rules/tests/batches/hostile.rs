//! Callers who use a Bundle against what single requests are refused, and to wear the gateway out.

use chartward_rules::decide::{Facts, Service, Verdict, decide};
use chartward_rules::fhir::interaction::{Interaction, Request, understand};
use chartward_rules::proof::Raw;
use chartward_rules::record::{Call, Time};

use super::support::{call, mint, service};
use super::*;

fn statuses(reply: &Reply) -> Vec<String> {
    let entries = reply.json()["entry"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let of = |entry: &Value| entry["response"]["status"].as_str().map(str::to_owned);
    entries.iter().filter_map(of).collect()
}

#[test]
fn a_record_says_which_entries_were_refused() {
    let entries = [
        Entry::new("GET", "Observation/open", None),
        Entry::new("GET", "Organization/o1", None),
        Entry::new("DELETE", "Observation/hidden", None),
        Entry::new("GET", "Observation?note=1", None),
    ];
    let mut server = store();
    let reply = send("some", &mut server, "batch", &entries);
    assert_eq!(statuses(&reply), ["200", "403", "404", "400"]);
    let last = server.records.last().expect("a disclosure");
    let refused: Vec<&Value> = last["action"]["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| &entry["refused"])
        .collect();
    assert_eq!(
        refused,
        [
            &Value::Null,
            &json!("not-granted"),
            &json!("not-found"),
            &json!("not-understood")
        ],
        "{last:#}"
    );
    assert_eq!(last["action"]["entries"][1]["type"], "Organization");
    // one of which nothing was permitted
    let mut server = store();
    let _ = send("some", &mut server, "batch", &entries[1..2]);
    let last = server.records.last().expect("a disclosure");
    assert_eq!(
        last["action"]["entries"][0]["refused"], "not-granted",
        "{last:#}"
    );
}

#[test]
fn a_row_that_does_not_leave_a_batch_is_counted() {
    for (id, withheld) in [("hidden", 1), ("missing", 0), ("open", 0)] {
        let mut server = store();
        let entries = [
            Entry::new("GET", format!("Observation/{id}"), None),
            Entry::new("GET", "Observation/second", None),
        ];
        let _ = send("some", &mut server, "batch", &entries);
        let last = server.records.last().expect("a disclosure");
        assert_eq!(last["disclosed"]["withheld"], withheld, "{id}");
        let rows = last["disclosed"]["resources"].as_array().expect("rows");
        assert!(rows.iter().any(|row| row["id"] == "second"));
        assert!(rows.iter().all(|row| row["id"] != "hidden"));
    }
}

#[test]
fn what_is_asked_is_recorded_once_and_not_with_each_window() {
    let mut rows: Vec<Value> = Vec::new();
    for n in 0..6 {
        let mut row = observation(Some(&format!("o{n}")), "final");
        row["code"]["text"] = json!("x".repeat(150_000));
        rows.push(row);
    }
    let mut server = Store::of(&rows);
    let mut entries = vec![Entry::new("GET", "Observation", None)];
    entries.extend((0..200).map(|n| Entry::new("GET", format!("Observation/none-{n}"), None)));
    let reply = send("some", &mut server, "batch", &entries);
    assert_eq!(reply.status, 200);
    let windows: Vec<&Value> = server
        .records
        .iter()
        .filter(|record| record["phase"] == "disclosure")
        .collect();
    assert!(windows.len() > 2, "{}", windows.len());
    let named = windows
        .iter()
        .filter(|record| record["action"]["entries"].is_array());
    assert_eq!(named.count(), 1);
    assert!(
        windows
            .iter()
            .all(|w| w["action"]["interaction"] == "batch")
    );
}

#[test]
fn the_compartment_of_a_missing_patient_looks_like_that_of_a_hidden_one() {
    let patient = |id: &str| json!({"resourceType": "Patient", "id": id, "meta": {"security": [{"code": "R"}]}});
    let open = observation(Some("open"), "final");
    let asked = |store: &mut Store, how: usize| {
        let url = "Patient/secret/Observation?status=final";
        match how {
            0 => {
                let target = format!("/{url}");
                let asks = Asks::new("GET", &target);
                request(&program(), &subject(&["some"]), store, &asks)
            }
            1 => send("some", store, "batch", &[Entry::new("GET", url, None)]),
            _ => send(
                "some",
                store,
                "transaction",
                &[Entry::new("GET", url, None)],
            ),
        }
    };
    for how in 0..3 {
        let mut there = Store::of(&[patient("secret"), open.clone()]);
        let mut missing = Store::of(std::slice::from_ref(&open));
        missing.strict_compartments = true;
        there.strict_compartments = true;
        let (one, other) = (asked(&mut there, how), asked(&mut missing, how));
        assert_eq!(one.status, 200, "{one:?}");
        assert_eq!(one, other, "{how}");
    }
}

#[test]
fn a_transaction_writes_no_row_twice_under_two_names() {
    let put = Entry::new(
        "PUT",
        "Observation/open",
        Some(observation(Some("open"), "final")),
    );
    let found = Entry::new("DELETE", "Observation?identifier=open", None);
    let again = Entry::new(
        "PUT",
        "Observation?identifier=open",
        Some(observation(None, "final")),
    );
    let listed = Entry::new("DELETE", "Observation?identifier=open&_id=open", None);
    for pair in [
        [put.clone(), found.clone()],
        [found.clone(), put.clone()],
        [put.clone(), again.clone()],
        [found.clone(), again.clone()],
        [found.clone(), listed.clone()],
    ] {
        for role in ["all", "some"] {
            let mut server = store();
            let before = server.rows.clone();
            let reply = send(role, &mut server, "transaction", &pair);
            assert_eq!(
                (reply.status, reply.reason().as_str()),
                (400, "not-understood Bundle.entry.request.url"),
                "{role} {pair:?} {reply:?}"
            );
            assert_eq!(server.rows, before, "{role} {pair:?}");
        }
    }
}

/// The verdict on a batch where the upstream has `row` wherever it is asked.
fn decided(service: &Service, entries: &[Entry], row: Option<&Value>) -> (Vec<String>, usize) {
    let body = bytes::Bytes::from(bundle("batch", entries).to_string());
    let interaction = understand(Request {
        body: Some(&body),
        content_type: Some("application/fhir+json"),
        ..Request::new("POST", "", "")
    })
    .expect("a batch");
    let seal = |_: &Call, _: &Interaction| -> chartward_rules::decide::Sealer {
        std::sync::Arc::new(|_: &str| String::new())
    };
    let mut facts = Facts::none();
    for _ in 0..3 {
        let call = Box::new(call(subject(&["some"])));
        match decide(&program(), service, &interaction, call, None, &facts, seal) {
            Verdict::Ask(asked) => {
                for question in asked.questions() {
                    match row {
                        Some(row) => {
                            facts.learn(question.clone(), Raw::new(row.to_string().into()));
                        }
                        None => facts.learn_missing(question.clone()),
                    }
                }
            }
            Verdict::Permit(permit) => {
                let (json, claim) = permit.attempt(Time(1)).split();
                let record: Value = serde_json::from_slice(&json).expect("JSON");
                let receipt = mint().receipt(claim);
                let (outbound, _) = permit.open(Some(receipt)).expect("its receipt");
                let of = |entry: &Value| entry["refused"].as_str().unwrap_or("sent").to_owned();
                let entries = record["action"]["entries"].as_array().expect("entries");
                return (entries.iter().map(of).collect(), outbound.body().len());
            }
            Verdict::Answer(_) => return (vec!["all refused".to_owned()], 0),
            Verdict::Refuse(no, _) => return (vec![no.reason.code().to_owned()], 0),
        }
    }
    panic!("more than three rounds of questions")
}

#[test]
fn the_patches_of_a_bundle_make_no_more_than_one_row_may_have() {
    let service = Service {
        row_max: 256 << 10,
        ..service()
    };
    let mut row = observation(Some("open"), "final");
    row["meta"] = json!({"versionId": "1"});
    row["note"] = json!([{"text": "x".repeat(1000)}]);
    // each makes a hundred times the row
    let copies: Vec<Value> = (0..100)
        .map(|_| json!({"op": "copy", "from": "/note/0", "path": "/note/-"}))
        .collect();
    // and these fail at their very end
    let mut failing = copies.clone();
    failing.push(json!({"op": "test", "path": "/status", "value": "no"}));
    for (what, patch) in [("made", copies), ("failing", failing)] {
        let entry = Entry::new("PATCH", "Observation/open", Some(json!(patch)));
        let mut entries = vec![entry; 20];
        entries.push(Entry::new("GET", "Observation/open", None));
        let (outcomes, sent) = decided(&service, &entries, Some(&row));
        assert!(sent < 400 << 10, "{what}: {sent} bytes");
        assert_eq!(outcomes.len(), 21, "{what}: {outcomes:?}");
        let large = outcomes.iter().filter(|o| *o == "too-large").count();
        assert_eq!(large, 18, "{what}: {outcomes:?}");
        let first = if what == "made" {
            "sent"
        } else {
            "patch-failed"
        };
        assert_eq!([&*outcomes[0], &*outcomes[20]], [first, "sent"], "{what}");
    }
}

#[test]
fn one_row_is_looked_at_for_so_many_entries_and_no_more() {
    let hidden = observation(Some("x"), "preliminary");
    for entry in [
        Entry::new("DELETE", "Observation/x", None),
        Entry::new("GET", "Observation/x/_history/1", None),
        Entry::new(
            "PUT",
            "Observation/x",
            Some(observation(Some("x"), "final")),
        ),
    ] {
        let mut outcomes = Vec::new();
        for row in [Some(&hidden), None] {
            let mut entries = vec![entry.clone(); 999];
            entries.push(Entry::new("GET", "Observation/open", None));
            outcomes.push(decided(&service(), &entries, row));
        }
        // whether there is anything doesn't count
        assert_eq!(outcomes[0], outcomes[1], "{entry:?}");
        let of = |reason: &str| outcomes[0].0.iter().filter(|o| *o == reason).count();
        let counts = (of("not-found"), of("too-costly"), of("sent"));
        assert_eq!(counts, (32, 967, 1), "{entry:?}");
    }
}
