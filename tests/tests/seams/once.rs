//! A write goes out once, whatever the server behind does with it; a question may go out again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chartward_tests::need;

use super::*;

/// How a server fails at a write that reached it.
fn faults() -> [(&'static str, Script); 6] {
    let begun =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 500\r\n\r\n{";
    let busy = r#"{"resourceType":"OperationOutcome"}"#;
    [
        ("close", Script::new().close()),
        ("reset", Script::new().reset()),
        ("half a head", Script::new().send(&begun[..20]).reset()),
        ("half a body", Script::new().send(begun).reset()),
        ("busy", Script::json(503, busy)),
        ("too many", Script::json(429, busy)),
    ]
}

#[test]
fn a_write_that_reached_a_server_goes_to_none_again() {
    if !need("binary") {
        return;
    }
    let next = Arc::new(AtomicUsize::new(0));
    let server = |next: Arc<AtomicUsize>| {
        Upstream::start(move |seen| match seen.method.as_str() {
            "GET" => chart(seen),
            _ => faults()[next.load(Ordering::SeqCst)].1.clone(),
        })
    };
    let (one, two) = (server(next.clone()), server(next.clone()));
    let tokens = Tokens::start();
    let setup = Setup::new(PACK, one.url())
        .another_upstream(two.url())
        .issuer(tokens.trusted(&ROLES));
    let stage = Stage {
        gateway: Gateway::start(setup),
        upstream: one,
        tokens,
    };
    let client = stage.gateway.client();
    let row = patient("w").to_string();
    let requests = || {
        [
            Request::new("PUT", "/fhir/Patient/w").body(FHIR, row.as_bytes()),
            Request::new("POST", "/fhir/Patient")
                .body(FHIR, row.replace(r#""id":"w","#, "").as_bytes()),
            Request::new("DELETE", "/fhir/Patient/w"),
        ]
    };
    for (n, (what, _)) in faults().into_iter().enumerate() {
        next.store(n, Ordering::SeqCst);
        // warm connections are the ones that may be stale
        for _ in 0..4 {
            let read = client.get("/fhir/Patient/a", &stage.token("editor"));
            assert_eq!(read.status, 200, "{what}: {}", read.text());
        }
        for (m, request) in requests().into_iter().enumerate() {
            stage.upstream.forget();
            two.forget();
            let answer = client.send(request.bearer(&stage.token("editor")));
            assert!(
                matches!(answer.status, 502..=504),
                "{what} {m}: {}",
                answer.status
            );
            let writes = [stage.upstream.seen(), two.seen()].concat();
            let writes = writes.iter().filter(|seen| seen.method != "GET").count();
            assert_eq!(writes, 1, "{what} {m}");
        }
        stage.at_rest(what);
    }
}

#[test]
fn a_question_goes_out_again_and_the_write_after_it_once() {
    if !need("binary") {
        return;
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let stage = Stage::before("", move |seen| {
        // each other answer closes a connection that the next question would have taken
        let closes = seen.method == "GET" && count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        match closes {
            true => chart(seen).close(),
            false => chart(seen),
        }
    });
    let client = stage.gateway.client();
    let mut whole = 0;
    for n in 0..40 {
        let id = format!("q{n}");
        let request = Request::new("PUT", &format!("/fhir/Patient/{id}"));
        let request = request.body(FHIR, patient(&id).to_string().as_bytes());
        let answer = client.send(request.bearer(&stage.token("editor")));
        // a write that was on its way into a connection when that closed isn't made again
        assert!(
            [200, 502].contains(&answer.status),
            "{} {}",
            answer.status,
            answer.text()
        );
        let seen = stage.upstream.seen();
        let puts = seen
            .iter()
            .filter(|s| s.method == "PUT" && s.target.ends_with(&format!("/{id}")));
        let puts = puts.count();
        assert!(
            puts <= 1 && (puts == 1 || answer.status == 502),
            "{id}: {puts} times, told as {}",
            answer.status
        );
        whole += usize::from(answer.status == 200);
    }
    // half of the questions close nothing, and those that find theirs closed go out again
    assert!(whole >= 15, "{whole} of 40");
    stage.at_rest("the writes");
}

#[test]
fn what_is_missing_costs_no_connection_that_what_is_hidden_keeps() {
    if !need("binary") {
        return;
    }
    let psy =
        json!([{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY" }]);
    let stage = Stage::before("", move |seen| {
        let mut row = patient("hidden");
        row["meta"]["security"] = psy.clone();
        match seen.target.contains("hidden") {
            true => Script::json(200, &row.to_string()),
            false => chart(seen),
        }
    });
    let client = stage.gateway.client();
    let mut connections = Vec::new();
    for id in ["hidden", "missing"] {
        stage.upstream.forget();
        let row = patient(id).to_string();
        let at = format!("/fhir/Patient/{id}");
        for _ in 0..4 {
            for request in [
                Request::get(&at),
                Request::new("HEAD", &at),
                Request::get(&format!("{at}/_history")),
                Request::get(&format!("{at}/_history/1")),
                Request::new("PUT", &at).body(FHIR, row.as_bytes()),
                Request::new("PATCH", &at).body("application/json-patch+json", b"[]"),
                Request::new("DELETE", &at),
            ] {
                let answer = client.send(request.bearer(&stage.token("clerk")));
                assert_eq!(answer.status, 404);
            }
        }
        let seen = stage.upstream.seen();
        connections.push(seen.iter().map(|seen| seen.connection).max());
    }
    // else the time of the next answer would tell which it was
    assert_eq!(connections[0], connections[1]);
}
