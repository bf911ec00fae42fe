//! Rights that change while the answer to a batch is under way.

use std::fs;
use std::thread;
use std::time::Duration;

use chartward_tests::{PATIENCE, Script, need};
use serde_json::{Value, json};

use super::stage::*;
use crate::reload::{generation, until};

/// The rest of the answer comes after the reload.
const PAUSE: Duration = Duration::from_millis(2500);

fn row(resource: &str, id: &str, text: &str) -> Value {
    json!({ "resourceType": resource, "id": id, "meta": { "versionId": "1" }, "text": {
        "status": "generated", "div": format!("<div>{text}</div>") } })
}

fn answer(rows: &[Value]) -> String {
    json!({ "resource": set(rows, None), "response": { "status": "200" } }).to_string()
}

/// The first entry's answer is more than a window; those of the others come after a pause.
fn slow(first: String, rest: String) -> impl Fn(&chartward_tests::Seen) -> Script + Send + Sync {
    let begin = format!(r#"{{"resourceType":"Bundle","type":"batch-response","entry":[{first},"#);
    let end = format!("{rest}]}}");
    let length = begin.len() + end.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: {length}\r\n\r\n"
    );
    move |_| {
        Script::new()
            .send(head.as_bytes())
            .send(begin.as_bytes())
            .wait(PAUSE)
            .send(end.as_bytes())
    }
}

/// Replaces what `role` has while a batch of it is answered.
fn changed(
    role: &str,
    entries: &[Value],
    grant: &str,
    rest: String,
) -> (Wide, Result<Value, String>) {
    let many: Vec<Value> = (0..400)
        .map(|n| row("Patient", &format!("p{n}"), &"x".repeat(1000)))
        .collect();
    let mut wide = Wide::open(
        |setup| setup.section("[reload]\npoll = \"0s\""),
        slow(answer(&many), rest),
    );
    let (client, token) = (wide.gateway.client(), wide.token(role));
    let request = posted(&bundle("batch", entries)).bearer(&token);
    let outcome = thread::scope(|scope| {
        let asked = scope.spawn(move || client.try_send(request, PATIENCE));
        until("it is sent", || !wide.upstream.seen().is_empty());
        let (before, after) = PACK.split_at(PACK.find("name     = \"reader\"").expect("the role"));
        let narrower = after.replacen("[\"Patient\", \"Observation\"]", grant, 1);
        fs::write(
            wide.gateway.folder().join("pack-0.toml"),
            format!("{before}{narrower}"),
        )
        .expect("a pack");
        let generation_before = generation(&wide.gateway);
        wide.gateway.process().signal("HUP");
        until("the reload", || {
            generation(&wide.gateway) > generation_before
        });
        asked.join().expect("an end")
    });
    let outcome = outcome.map(|answer| answer.json());
    (wide, outcome.map_err(|error| error.to_string()))
}

#[test]
fn entries_after_a_reload_are_judged_under_the_new_rights() {
    if !need("binary") {
        return;
    }
    let entries = [
        ask("GET", "Patient?gender=female"),
        ask("GET", "Organization/1"),
        ask("GET", "Observation?code=x"),
        ask("GET", "Patient?_id=late"),
        ask("GET", "Patient/late"),
    ];
    let single =
        json!({ "resource": row("Patient", "late", MARKER), "response": { "status": "200" } });
    let rest = [
        answer(&[row("Observation", "o1", "kept")]),
        answer(&[row("Patient", "late", MARKER)]),
        single.to_string(),
    ];
    let (_wide, outcome) = changed("reader", &entries, "[\"Observation\"]", rest.join(","));
    let body = outcome.expect("a whole answer");
    let entries = body["entry"].as_array().expect("entries");
    let statuses: Vec<&Value> = entries.iter().map(|e| &e["response"]["status"]).collect();
    assert_eq!(statuses, ["200", "403", "200", "403", "403"]);
    let text = body.to_string();
    assert!(!text.contains(MARKER) && text.contains("kept"));
    // what had left before stays as it was judged then
    assert!(text.contains("\"p399\""));
}

#[test]
fn a_batch_of_which_nothing_is_permitted_any_more_breaks_off() {
    if !need("binary") {
        return;
    }
    let entries = [
        ask("GET", "Patient?gender=female"),
        ask("GET", "Patient/late"),
    ];
    let rest =
        json!({ "resource": row("Patient", "late", MARKER), "response": { "status": "200" } });
    let (wide, outcome) = changed("reader", &entries, "[\"Encounter\"]", rest.to_string());
    let error = match outcome {
        Err(error) => error,
        // the reload came before anything had left: a clean refusal
        Ok(body) => {
            assert_eq!(body["resourceType"], "OperationOutcome", "{body}");
            return assert!(!body.to_string().contains(MARKER));
        }
    };
    println!("{error}");
    let ended = || {
        let records = wide.gateway.records();
        records
            .iter()
            .any(|r| r["phase"] == "closing" && r["outcome"] == "broken")
    };
    until("the end is recorded", ended);
    let records = wide.gateway.records();
    assert!(records.iter().any(|r| r["phase"] == "refusal"));
}
