//! kill -9 under load: whatever a client received whole has its record.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chartward_tests::{Client, Gateway, PATIENCE, Request, Script, Setup, Tokens, Upstream, need};
use serde_json::Value;

const KILLS: usize = 10;
const CLIENTS: usize = 24;
const WHOLE_EACH: usize = 1_050;
const PACK: &str = r#"
pack = "crash"
fhir = "R4"
[[role]]
name     = "nurse"
purposes = ["TREAT"]
  [[role.grant]]
  on   = ["Patient"]
  can  = ["read"]
  hide = ["birthDate"]
"#;

/// What the clients saw of one life of the gateway.
#[derive(Default)]
struct Life {
    /// X-Request-Id of each whole answer → the id that it disclosed.
    whole: Mutex<HashMap<String, String>>,
    in_flight: AtomicUsize,
    over: AtomicBool,
}

#[test]
fn every_whole_response_has_its_record_after_kill_9() {
    if !need("binary") {
        return;
    }
    let upstream = Upstream::start(|seen| {
        let id = seen.target.rsplit('/').next().unwrap_or_default();
        let body = format!(
            r#"{{"resourceType":"Patient","id":"{id}","meta":{{"versionId":"1"}},"birthDate":"1970-01-01","active":true}}"#
        );
        Script::json(200, &body)
    });
    let tokens = Tokens::start();
    let token = tokens.token("nina", &["nurse"], "user/*.rs");
    let setup = Setup::new(PACK, upstream.url()).issuer(tokens.trusted(&["nurse"]));
    let mut gateway = Gateway::start(setup);
    let (mut whole, mut fewest) = (0, usize::MAX);
    for kill in 0..KILLS {
        if kill > 0 {
            gateway.again();
        }
        let (life, in_flight) = live_and_die(&mut gateway, &token, kill);
        let (holds, said) = gateway.verify();
        assert!(holds, "after kill {kill} the journal doesn't hold:\n{said}");
        let records = disclosures(&gateway.records());
        for (request, id) in &life {
            let disclosed = records.get(request).unwrap_or_else(|| {
                panic!("kill {kill}: {request} has no record of what it disclosed")
            });
            assert!(
                disclosed.contains(id),
                "kill {kill}: {request} disclosed {id}, its record says {disclosed:?}"
            );
        }
        whole += life.len();
        fewest = fewest.min(in_flight);
    }
    println!(
        "{KILLS} kills: {whole} whole responses, each with its record; at least {fewest} in flight at each kill"
    );
    assert!(whole >= 10_000, "{whole} whole responses");
    assert!(fewest >= 8, "{fewest} in flight");
}

/// Loads the gateway, kills it in the middle, and answers what was whole and how many were in flight.
fn live_and_die(
    gateway: &mut Gateway,
    token: &str,
    kill: usize,
) -> (HashMap<String, String>, usize) {
    let life = Arc::new(Life::default());
    let threads: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (life, client, token) = (Arc::clone(&life), gateway.client(), token.to_owned());
            thread::spawn(move || read_on(&life, &client, &token, &format!("p-{kill}-{number}")))
        })
        .collect();
    let deadline = Instant::now() + PATIENCE * 4;
    // Each life ends at another point of the clients' cycle.
    while life.whole.lock().expect("no panic while held").len() < WHOLE_EACH + 7 * kill {
        let stuck = Instant::now() > deadline || threads.iter().any(JoinHandle::is_finished);
        assert!(!stuck, "the load doesn't come along");
        thread::sleep(Duration::from_millis(1));
    }
    let in_flight = life.in_flight.load(Ordering::SeqCst);
    gateway.kill();
    life.over.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().expect("a client that didn't panic");
    }
    let whole = std::mem::take(&mut *life.whole.lock().expect("no panic while held"));
    (whole, in_flight)
}

fn read_on(life: &Life, client: &Client, token: &str, prefix: &str) {
    for count in 0.. {
        if life.over.load(Ordering::SeqCst) {
            return;
        }
        let id = format!("{prefix}-{count}");
        life.in_flight.fetch_add(1, Ordering::SeqCst);
        let answer = client.try_send(
            Request::get(&format!("/fhir/Patient/{id}")).bearer(token),
            PATIENCE,
        );
        life.in_flight.fetch_sub(1, Ordering::SeqCst);
        // The broken ones are those that the kill cut.
        let Ok(answer) = answer else { return };
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.holds(id.as_bytes()) && !answer.holds(b"1970-01-01"));
        let request = answer.header("x-request-id").to_owned();
        let before = life
            .whole
            .lock()
            .expect("no panic while held")
            .insert(request, id);
        assert!(before.is_none(), "two answers with one request id");
    }
}

/// Request id → the ids of the resources that its records say were disclosed.
fn disclosures(records: &[Value]) -> HashMap<String, Vec<String>> {
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    for record in records {
        let Some(request) = record["request_id"].as_str() else {
            continue;
        };
        for resource in record["disclosed"]["resources"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let id = resource["id"].as_str().unwrap_or_default().to_owned();
            found.entry(request.to_owned()).or_default().push(id);
        }
    }
    found
}
