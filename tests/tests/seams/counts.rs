//! Each request counts once, by how it ended, and holds nothing afterwards.

use chartward_tests::flood::{END_HEADERS, block, frame, kind, preface};
use chartward_tests::need;

use super::*;

const REQUESTS: &str = "chartward_requests_total";

impl Stage {
    /// Sends these bytes, waits until `begun`, and leaves.
    fn leave(&self, bytes: &[u8], begun: impl FnMut() -> bool) {
        let mut raw = self.gateway.raw();
        assert!(raw.send(bytes));
        until("the request has begun", begun);
        drop(raw);
    }

    fn get(&self, role: &str, target: &str) -> Vec<u8> {
        self.bytes(role, &format!("GET {target}"), "", "", 0)
    }

    /// Sends these bytes and reads one answer, or what came of it.
    fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        let mut raw = self.gateway.raw();
        assert!(raw.send(bytes));
        match raw.read_answer() {
            Ok(answer) | Err((answer, _)) => answer,
        }
    }
}

#[test]
fn each_request_counts_once_and_leaves_nothing_behind() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("[limits]\nbody_bytes = \"4KiB\"");
    let answered = |bytes: Vec<u8>| {
        stage.answer(&bytes);
    };
    let open = || stage.sum("chartward_requests_open", "") == 1;
    let at = |method: &'static str, id: &'static str| {
        let stage = &stage;
        move || stage.reached(method, id) == 1
    };
    let body = patient("half").to_string();
    let half = |id: &str| {
        let line = format!("PUT /fhir/Patient/{id}");
        stage.bytes("editor", &line, "", &body, body.len() / 2)
    };
    let large = "x".repeat(5000);
    type Case<'c> = (&'c str, &'c str, Box<dyn Fn() + 'c>);
    let cases: Vec<Case> = vec![
        (
            "a read",
            "answered",
            Box::new(|| answered(stage.get("editor", "/fhir/Patient/a"))),
        ),
        (
            "a head",
            "answered",
            Box::new(|| {
                let head = stage.bytes(
                    "editor",
                    "HEAD /fhir/Patient/a",
                    "Connection: close\r\n",
                    "",
                    0,
                );
                let mut raw = stage.gateway.raw();
                assert!(raw.send(&head));
                raw.read_all(PATIENCE);
            }),
        ),
        ("a write", "answered", Box::new(|| answered(stage.put("a")))),
        (
            "what is missing",
            "refused",
            Box::new(|| answered(stage.get("editor", "/fhir/Patient/missing"))),
        ),
        (
            "what isn't granted",
            "refused",
            Box::new(|| answered(stage.get("clerk", "/fhir/Slot/a"))),
        ),
        (
            "nobody",
            "refused",
            Box::new(|| answered(b"GET /fhir/Patient/a HTTP/1.1\r\nHost: h\r\n\r\n".to_vec())),
        ),
        (
            "a long body",
            "refused",
            Box::new(|| {
                answered(stage.bytes("editor", "PUT /fhir/Patient/a", "", &large, large.len()))
            }),
        ),
        (
            "a body that is no resource",
            "refused",
            Box::new(|| answered(stage.bytes("editor", "PUT /fhir/Patient/a", "", "no", 2))),
        ),
        (
            "a body where none belongs",
            "refused",
            Box::new(|| answered(stage.bytes("editor", "GET /fhir/Patient/a", "", "no", 2))),
        ),
        (
            "an upstream that resets",
            "refused",
            Box::new(|| answered(stage.get("editor", "/fhir/Patient/reset"))),
        ),
        (
            "an upstream that breaks off",
            "broken",
            Box::new(|| answered(stage.get("editor", "/fhir/Patient?family=broken"))),
        ),
        (
            "a caller who leaves half a body",
            "",
            Box::new(|| stage.leave(&half("half1"), open)),
        ),
        (
            "a caller of HTTP/2 who takes half a body back",
            "abandoned",
            Box::new(|| {
                let mut raw = stage.gateway.raw_h2();
                let fields = [
                    (":method", "PUT"),
                    (":scheme", "https"),
                    (":authority", &stage.gateway.address().to_string()),
                    (":path", "/fhir/Patient/half2"),
                    (
                        "authorization",
                        &format!("Bearer {}", stage.token("editor")),
                    ),
                    ("content-type", FHIR),
                ];
                let mut bytes = preface();
                bytes.extend(frame(kind::HEADERS, END_HEADERS, 1, &block(&fields)));
                bytes.extend(frame(kind::DATA, 0, 1, &body.as_bytes()[..20]));
                assert!(raw.send(&bytes));
                until("some of the body is held", || {
                    stage.sum("chartward_buffered_bytes", "") > 0
                });
                assert!(raw.send(&frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8])));
                stage.at_rest("the reset");
            }),
        ),
        (
            "a caller who leaves while a question is asked",
            "abandoned",
            Box::new(|| {
                let read = stage.get("clerk", "/fhir/Patient/slow1/_history/1");
                stage.leave(&read, at("GET", "slow1"));
            }),
        ),
        (
            "a caller who leaves while the upstream thinks",
            "abandoned",
            Box::new(|| {
                stage.leave(
                    &stage.get("editor", "/fhir/Patient/slow2"),
                    at("GET", "slow2"),
                )
            }),
        ),
        (
            "a caller who leaves while the answer comes",
            "abandoned",
            Box::new(|| {
                let mut raw = stage.gateway.raw();
                assert!(raw.send(&stage.get("editor", "/fhir/Patient?family=slow")));
                assert!(raw.read_some(PATIENCE).is_ok());
            }),
        ),
        (
            "a caller who leaves before a write",
            "abandoned",
            Box::new(|| stage.leave(&stage.put("asked1"), at("GET", "asked1"))),
        ),
        (
            "a caller who leaves during a write",
            "abandoned",
            Box::new(|| stage.leave(&stage.put("written1"), at("PUT", "written1"))),
        ),
    ];
    for (what, outcome, act) in cases {
        let before = (stage.sum(REQUESTS, ""), stage.sum(REQUESTS, outcome));
        act();
        until(what, || stage.sum(REQUESTS, "") > before.0);
        stage.at_rest(what);
        let after = (stage.sum(REQUESTS, ""), stage.sum(REQUESTS, outcome));
        assert_eq!(after, (before.0 + 1, before.1 + 1), "{what}");
    }
}

#[test]
fn what_was_asked_for_a_caller_who_left_is_closed_in_the_journal() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("");
    let read = "GET /fhir/Patient/slow1/_history/1";
    let bytes = stage.bytes("clerk", read, "X-Request-Id: asked\r\n", "", 0);
    stage.leave(&bytes, || stage.reached("GET", "slow1") == 1);
    stage.at_rest("leaving");
    let phases = || -> Vec<String> {
        let records = stage.gateway.records();
        let of = records.iter().filter(|r| r["request_id"] == "asked");
        of.map(|r| r["phase"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    until("its record is closed", || phases().len() > 1);
    assert_eq!(phases().len(), 2, "{:?}", phases());
    assert_eq!(stage.closing("asked")["outcome"], "abandoned");
}
