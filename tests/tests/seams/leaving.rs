//! Callers who leave at any moment, among sheddings and reloads: what is in the journal of each
//! request that was begun has one end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use chartward_tests::need;

use super::*;

/// Callers at once.
const CALLERS: u64 = 6;
/// For how long.
const TIME: Duration = Duration::from_secs(4);

/// Even enough to leave at different moments (xorshift).
fn draw(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

fn jittery(seen: &Seen) -> Script {
    let mut state = seen.head.iter().fold(7, |all: u64, byte| {
        all.wrapping_mul(31).wrapping_add(u64::from(*byte))
    }) | 1;
    let pause = Duration::from_millis(draw(&mut state, 25));
    Script::new().wait(pause).then(chart(seen))
}

#[test]
fn each_request_that_was_begun_has_one_end_whenever_its_caller_left() {
    if !need("binary") {
        return;
    }
    let mut stage = Stage::before("[reload]\npoll = \"0s\"\n[limits]\nrequests = 8", jittery);
    let over = AtomicBool::new(false);
    let (host, ca) = (
        stage.gateway.address(),
        stage.gateway.authority().pem().to_owned(),
    );
    let tokens = ["editor", "clerk"].map(|role| stage.token(role));
    let sent: u64 = thread::scope(|scope| {
        let (over, ca, tokens) = (&over, &ca, &tokens);
        let callers: Vec<_> = (1..=CALLERS)
            .map(|caller| {
                scope.spawn(move || {
                    let (mut state, mut count) = (caller * 7919, 0);
                    while !over.load(Ordering::Relaxed) {
                        let id = format!("c{caller}-{count}");
                        let row = patient(&id).to_string();
                        let (line, body, token) = match draw(&mut state, 5) {
                            0 => (format!("GET /fhir/Patient/{id}"), "", &tokens[0]),
                            1 => (format!("GET /fhir/Patient/{id}/_history/1"), "", &tokens[1]),
                            2 => ("GET /fhir/Patient?family=x".to_owned(), "", &tokens[0]),
                            _ => (format!("PUT /fhir/Patient/{id}"), &*row, &tokens[0]),
                        };
                        let length = match body.len() {
                            0 => String::new(),
                            n => format!("Content-Type: {FHIR}\r\nContent-Length: {n}\r\n"),
                        };
                        let whole = format!(
                            "{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nX-Request-Id: {id}\r\n{length}\r\n{body}"
                        );
                        let mut raw = chartward_tests::Raw::open(host, ca);
                        // now and then not all of it
                        let cut = match draw(&mut state, 6) {
                            0 => whole.len() - body.len() / 2,
                            _ => whole.len(),
                        };
                        raw.send(&whole.as_bytes()[..cut]);
                        match draw(&mut state, 4) {
                            0 if cut == whole.len() => drop(raw.read_answer()),
                            _ => thread::sleep(Duration::from_millis(draw(&mut state, 40))),
                        }
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let begun = Instant::now();
        while begun.elapsed() < TIME {
            reloads::edit(&mut stage.gateway, str::to_owned);
            thread::sleep(Duration::from_millis(100));
        }
        over.store(true, Ordering::Relaxed);
        callers
            .into_iter()
            .map(|one| one.join().expect("a caller"))
            .sum()
    });
    assert!(sent > 100, "{sent}");
    stage.at_rest("the callers");
    stage.gateway.process().signal("TERM");
    assert!(stage.gateway.process().ended(PATIENCE).success());
    let mut of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in stage.gateway.records() {
        if let (Some(id), Some(phase)) = (record["request_id"].as_str(), record["phase"].as_str()) {
            of.entry(id.to_owned()).or_default().push(phase.to_owned());
        }
    }
    assert!(of.len() > 100, "{} of {sent}", of.len());
    for (id, phases) in &of {
        let ends = |phase: &&String| matches!(phase.as_str(), "closing" | "refusal");
        assert_eq!(phases.iter().filter(ends).count(), 1, "{id}: {phases:?}");
    }
    let mut writes: BTreeMap<String, usize> = BTreeMap::new();
    for seen in stage.upstream.seen().iter().filter(|s| s.method == "PUT") {
        *writes.entry(seen.target.clone()).or_default() += 1;
    }
    assert_eq!(writes.values().max(), Some(&1), "a write twice");
    let (holds, said) = stage.gateway.verify();
    assert!(holds, "{said}");
}
