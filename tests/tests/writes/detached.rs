//! What was begun ends, though the caller leaves; and what has no record isn't begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chartward_tests::{Gateway, Script, Setup, Tokens, Upstream, need};
use serde_json::{Value, json};

use super::stage::{PACK, ROLES, SCOPES, patient, word};

const SLOW: Duration = Duration::from_millis(700);

fn raw_put(gateway: &Gateway, token: &str, id: &str) -> Vec<u8> {
    let body = patient(id).to_string();
    format!(
        "PUT /fhir/Patient/{id} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/fhir+json\r\nX-Request-Id: gone-{id}\r\nContent-Length: {}\r\n\r\n{body}",
        gateway.address(),
        body.len()
    )
    .into_bytes()
}

fn server(slow: Duration, written: Arc<AtomicUsize>) -> Upstream {
    Upstream::start(move |seen| match seen.method.as_str() {
        "GET" => {
            let id = seen.target.rsplit('/').next().unwrap_or_default();
            let mut row = patient(id);
            row["meta"] = json!({ "versionId": "1" });
            Script::json(200, &row.to_string())
        }
        _ => {
            written.fetch_add(1, Ordering::SeqCst);
            Script::new()
                .wait(slow)
                .then(Script::json(200, &String::from_utf8_lossy(&seen.body)))
        }
    })
}

fn wait_for(gateway: &Gateway, id: &str, phase: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let records = gateway.records();
        let found = records
            .iter()
            .find(|r| r["request_id"] == *id && r["phase"] == *phase);
        if let Some(record) = found {
            return record.clone();
        }
        assert!(
            Instant::now() < until,
            "no `{phase}` of `{id}`: {records:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_write_runs_to_its_true_outcome_when_the_caller_leaves() {
    if !need("binary") {
        return;
    }
    let written = Arc::new(AtomicUsize::new(0));
    let upstream = server(SLOW, written.clone());
    let tokens = Tokens::start();
    let gateway = Gateway::start(Setup::new(PACK, upstream.url()).issuer(tokens.trusted(&ROLES)));
    let token = tokens.token("someone", &["editor"], SCOPES);
    let mut raw = gateway.raw();
    raw.send(&raw_put(&gateway, &token, "left"));
    let until = Instant::now() + Duration::from_secs(5);
    while written.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < until, "nothing was written");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(raw);
    let closing = wait_for(&gateway, "gone-left", "closing");
    assert_eq!(closing["upstream"]["status"], 200, "{closing}");
    assert_eq!(closing["outcome"], "abandoned", "{closing}");
    assert_eq!(written.load(Ordering::SeqCst), 1);
}

#[test]
fn a_drain_waits_for_a_write_whose_caller_left() {
    if !need("binary") {
        return;
    }
    let written = Arc::new(AtomicUsize::new(0));
    let upstream = server(SLOW, written.clone());
    let tokens = Tokens::start();
    let mut gateway =
        Gateway::start(Setup::new(PACK, upstream.url()).issuer(tokens.trusted(&ROLES)));
    let token = tokens.token("someone", &["editor"], SCOPES);
    let mut raw = gateway.raw();
    raw.send(&raw_put(&gateway, &token, "drained"));
    let until = Instant::now() + Duration::from_secs(5);
    while written.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < until, "nothing was written");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(raw);
    gateway.process().signal("TERM");
    let status = gateway.process().ended(Duration::from_secs(10));
    assert!(status.success(), "{status}");
    let closing = wait_for(&gateway, "gone-drained", "closing");
    assert_eq!(closing["upstream"]["status"], 200, "{closing}");
}

#[test]
fn nothing_is_written_without_the_record_of_the_attempt() {
    if !need("binary") {
        return;
    }
    let written = Arc::new(AtomicUsize::new(0));
    let upstream = server(Duration::ZERO, written.clone());
    let tokens = Tokens::start();
    let gateway = Gateway::start(Setup::new(PACK, upstream.url()).issuer(tokens.trusted(&ROLES)));
    let token = tokens.token("someone", &["editor"], SCOPES);
    let client = gateway.client();
    let put = |id: &str| {
        client.send(
            super::stage::resource("PUT", &format!("/fhir/Patient/{id}"), &patient(id))
                .bearer(&token),
        )
    };
    assert_eq!(put("before").status, 200);
    let before = written.load(Ordering::SeqCst);
    std::fs::rename(
        gateway.folder().join("journal"),
        gateway.folder().join("away"),
    )
    .expect("moved");
    let until = Instant::now() + Duration::from_secs(5);
    let answer = loop {
        let answer = put("without");
        if answer.status == 503 || Instant::now() > until {
            break answer;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let after = written.load(Ordering::SeqCst);
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (503, "journal-unavailable")
    );
    upstream.forget();
    assert_eq!(
        word(&put("without").json()["resourceType"]),
        "OperationOutcome"
    );
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
    assert_eq!(written.load(Ordering::SeqCst), after);
    assert!(after >= before);
}
