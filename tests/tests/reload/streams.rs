//! Answers that are under way when the rights change.

use chartward_tests::client::holds;
use chartward_tests::raw::End;
use chartward_tests::{Gateway, Request, Script, Tokens, Upstream, need};
use serde_json::Value;

use super::*;

/// Rows of each half. One half is more than a window, and the second begins after a pause.
const HALF: usize = 400;
const PAUSE: Duration = Duration::from_millis(2500);
/// The first window is here by then, and the second half isn't.
const QUIET: Duration = Duration::from_millis(500);

/// A search set in two halves.
fn slow() -> Upstream {
    let row = |n: usize| {
        let pad = "x".repeat(1000);
        format!(
            r#"{{"resource":{{"resourceType":"Observation","id":"o{n}","meta":{{"versionId":"1"}},"status":"final","code":{{"text":"{pad}"}},"subject":{{"reference":"Patient/p1"}},"note":[{{"text":"remark {n}"}}]}},"search":{{"mode":"match"}}}}"#
        )
    };
    let half = |from: usize| (from..from + HALF).map(row).collect::<Vec<_>>().join(",");
    let first = format!(
        r#"{{"resourceType":"Bundle","type":"searchset","entry":[{},"#,
        half(0)
    );
    let second = format!("{}]}}", half(HALF));
    Upstream::start(move |_| {
        let length = first.len() + second.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: {length}\r\n\r\n"
        );
        Script::new()
            .send(head.as_bytes())
            .send(first.as_bytes())
            .wait(PAUSE)
            .send(second.as_bytes())
    })
}

fn records_of(gateway: &Gateway, request: &str) -> Vec<Value> {
    let all = gateway.records().into_iter();
    all.filter(|r| r["request_id"] == request).collect()
}

fn phases(records: &[Value]) -> Vec<&str> {
    let words = records.iter().map(|r| r["phase"].as_str().unwrap_or(""));
    words.collect()
}

#[test]
fn a_stream_ends_where_its_grant_was_taken_away_and_says_so() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), slow());
    let mut gateway = start(&tokens, &upstream, "");
    let token = token(&tokens);
    let mut raw = gateway.raw();
    let request = format!(
        "GET /fhir/Observation HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nx-request-id: long-one\r\n\r\n"
    );
    assert!(raw.send(request.as_bytes()));
    let (before, end) = raw.read_all(QUIET);
    assert_eq!(end, End::Silent);
    assert!(before.len() > 256 << 10 && holds(&before, b"remark 1\""));
    write(&gateway, "pack-0.toml", WITHOUT);
    reload(&mut gateway);
    let (after, end) = raw.read_all(PATIENCE);
    assert_ne!(end, End::Silent);
    assert_eq!(after, b"", "something left after the reload");
    until("the end is recorded", || {
        phases(&records_of(&gateway, "long-one")).contains(&"closing")
    });
    let records = records_of(&gateway, "long-one");
    assert_eq!(
        phases(&records),
        ["attempt", "disclosure", "refusal", "closing"]
    );
    assert_eq!(records[2]["decision"]["reason"], "not-granted");
    let pack = records[2]["decision"]["pack"].as_str();
    assert!(
        pack.is_some_and(|pack| pack.starts_with("third@")),
        "{pack:?}"
    );
    assert_eq!(records[3]["outcome"], "broken");
}

#[test]
fn a_stream_over_http2_ends_as_well() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), slow());
    let mut gateway = start(&tokens, &upstream, "");
    let (client, token) = (gateway.client_h2(), token(&tokens));
    let asked = thread::spawn(move || {
        client.try_send(Request::get("/fhir/Observation").bearer(&token), PATIENCE)
    });
    until("the upstream is asked", || !upstream.seen().is_empty());
    thread::sleep(QUIET);
    write(&gateway, "pack-0.toml", WITHOUT);
    reload(&mut gateway);
    let answer = asked.join().expect("a client that didn't panic");
    assert!(answer.is_err(), "the answer looks complete");
}

#[test]
fn rows_after_a_reload_are_seen_under_the_new_rights() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), slow());
    let mut gateway = start(&tokens, &upstream, "");
    let (client, token) = (gateway.client(), token(&tokens));
    let asked = thread::spawn(move || {
        let request = Request::get("/fhir/Observation").bearer(&token);
        client.send(request.header("x-request-id", "long-two"))
    });
    until("the upstream is asked", || !upstream.seen().is_empty());
    thread::sleep(QUIET);
    write(&gateway, "pack-0.toml", NARROWER);
    reload(&mut gateway);
    let answer = asked.join().expect("a client that didn't panic");
    let bundle = answer.json();
    let entries = bundle["entry"].as_array().expect("entries");
    let rows: Vec<&Value> = entries
        .iter()
        .map(|entry| &entry["resource"])
        .filter(|row| row["resourceType"] == "Observation")
        .collect();
    assert_eq!(rows.len(), 2 * HALF);
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(row["id"], format!("o{n}"));
        assert_eq!(row["note"].is_null(), n >= HALF, "row {n}");
    }
    // not every row was complete after all, and that is said, once
    assert_eq!(answer.text().matches("rows-may-be-withheld").count(), 1);
    until("the end is recorded", || {
        phases(&records_of(&gateway, "long-two")).contains(&"closing")
    });
    let records = records_of(&gateway, "long-two");
    let packs: Vec<String> = records
        .iter()
        .filter(|r| r["phase"] == "disclosure")
        .map(|r| r["decision"]["pack"].to_string())
        .collect();
    assert!(packs[0].contains("first@"), "{packs:?}");
    assert!(packs.iter().skip(1).all(|pack| pack.contains("second@")));
    assert_eq!(records.last().expect("a record")["outcome"], "complete");
}

#[test]
fn an_answer_that_has_not_begun_is_refused_under_the_new_rights() {
    if !need("binary") {
        return;
    }
    let tokens = Tokens::start();
    let upstream = Upstream::start(|_| Script::new().wait(PAUSE).then(Script::json(200, PATIENT)));
    let mut gateway = start(&tokens, &upstream, "");
    let (client, token) = (gateway.client(), token(&tokens));
    let asked = thread::spawn(move || client.get("/fhir/Patient/p1", &token));
    until("the upstream is asked", || !upstream.seen().is_empty());
    write(&gateway, "pack-0.toml", WITHOUT);
    reload(&mut gateway);
    let answer = asked.join().expect("a client that didn't panic");
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (403, "not-granted")
    );
}
