//! Bodies at their bounds, where none belong, and before anybody is asked whether they may come.

use chartward_tests::flood::{END_HEADERS, END_STREAM, block, frame, kind, preface};
use chartward_tests::raw::End;
use chartward_tests::{Raw, need};

use super::*;

const QUIET: Duration = Duration::from_millis(300);
const CAP: usize = 4 << 10;

fn status(answer: &[u8]) -> u16 {
    let code = answer
        .get(9..12)
        .and_then(|code| std::str::from_utf8(code).ok());
    code.and_then(|code| code.parse().ok()).unwrap_or(0)
}

fn next(raw: &mut Raw, what: &str) -> u16 {
    match raw.read_answer() {
        Ok(answer) => status(&answer),
        Err((bytes, end)) => panic!("{what}: {end:?} {}", String::from_utf8_lossy(&bytes)),
    }
}

/// Either the next request is answered, or the connection is closed: never a wrong answer.
fn goes_on_or_ends(stage: &Stage, raw: &mut Raw, what: &str) {
    raw.send(&stage.bytes("editor", "GET /fhir/Patient/next", "", "", 0));
    match raw.read_answer_within(PATIENCE) {
        Ok(answer) => assert_eq!(status(&answer), 200, "{what}"),
        Err((bytes, end)) => assert!(bytes.is_empty() && end != End::Silent, "{what}: {end:?}"),
    }
}

#[test]
fn a_refusal_before_the_body_is_had_whether_or_not_it_comes() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("[limits]\nbody_bytes = \"4KiB\"\nheaders = \"2s\"");
    let body = patient("a").to_string();
    let long = body.len() + 100_000;
    let head = |credential: &str, line: &str, more: &str, length: usize| {
        format!(
            "{line} HTTP/1.1\r\nHost: h\r\n{credential}Content-Type: {FHIR}\r\n{more}Content-Length: {length}\r\n\r\n"
        )
    };
    let put = "PUT /fhir/Patient/a";
    let known = format!("Authorization: Bearer {}\r\n", stage.token("editor"));
    let expect = "Expect: 100-continue\r\n";
    for (what, head, want) in [
        ("nobody", head("", put, "", body.len()), 401),
        ("nobody who expects", head("", put, expect, body.len()), 401),
        (
            "not granted",
            head(&known, "PUT /fhir/Slot/a", expect, body.len()),
            403,
        ),
        ("too long", head(&known, put, expect, long), 413),
        (
            "a get that expects",
            head(&known, "GET /fhir/Patient/a", expect, 4),
            400,
        ),
        (
            "a coding",
            head(
                &known,
                put,
                "Expect: 100-continue\r\nContent-Encoding: gzip\r\n",
                10,
            ),
            415,
        ),
        (
            "another expectation",
            head(&known, put, "Expect: 200-ok\r\n", 10),
            400,
        ),
        (
            "no service",
            head(&known, "PUT /other/Patient/a", expect, 10),
            400,
        ),
    ] {
        for sends in [false, true] {
            let mut raw = stage.gateway.raw();
            assert!(raw.send(head.as_bytes()), "{what}");
            if sends {
                // a refused caller may not have heard it yet
                raw.send(&vec![b'x'; body.len()]);
            }
            assert_eq!(next(&mut raw, what), want, "{what}");
            if !sends {
                goes_on_or_ends(&stage, &mut raw, what);
            }
        }
    }
    assert!(
        stage
            .upstream
            .seen()
            .iter()
            .all(|seen| seen.target.ends_with("/next"))
    );
    // who may is asked to go on, and answered on a connection that goes on
    let mut raw = stage.gateway.raw();
    assert!(raw.send(head(&known, put, expect, body.len()).as_bytes()));
    assert_eq!(next(&mut raw, "to go on"), 100);
    assert!(raw.send(body.as_bytes()));
    assert_eq!(next(&mut raw, "the write"), 200);
    assert!(raw.send(&stage.bytes("editor", "GET /fhir/Patient/next", "", "", 0)));
    assert_eq!(next(&mut raw, "the next"), 200);
    stage.at_rest("the refusals");
}

#[test]
fn a_body_is_taken_to_its_cap_and_no_byte_further() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("[limits]\nbody_bytes = \"4KiB\"\nbundle_bytes = \"8KiB\"");
    let exactly = |length: usize| {
        let mut row = patient("cap");
        row["name"][0]["family"] = "".into();
        let left = length - row.to_string().len();
        row["name"][0]["family"] = "x".repeat(left).into();
        row.to_string()
    };
    let bundle = |length: usize| {
        let of = |text: String| {
            let row =
                json!({ "resourceType": "Patient", "id": "cap", "name": [{ "family": text }] });
            json!({ "resourceType": "Bundle", "type": "batch", "entry": [{
                "resource": row, "request": { "method": "PUT", "url": "Patient/cap" } }] })
            .to_string()
        };
        of("x".repeat(length - of(String::new()).len()))
    };
    let mut raw = stage.gateway.raw();
    let line = "PUT /fhir/Patient/cap";
    for (body, line, want) in [
        (exactly(CAP - 1), line, 200),
        (exactly(CAP), line, 200),
        (bundle(2 * CAP), "POST /fhir", 200),
    ] {
        assert!(raw.send(&stage.bytes("editor", line, "", &body, body.len())));
        assert_eq!(next(&mut raw, line), want, "{} bytes", body.len());
    }
    for (body, line) in [
        (exactly(CAP + 1), line),
        (bundle(2 * CAP + 1), "POST /fhir"),
    ] {
        let mut raw = stage.gateway.raw();
        raw.send(&stage.bytes("editor", line, "", &body, body.len()));
        assert_eq!(next(&mut raw, line), 413);
        // the same in chunks, whose length nobody announces
        let mut raw = stage.gateway.raw();
        let bytes = stage.bytes("editor", line, "Transfer-Encoding: chunked\r\n", "", 0);
        let text = String::from_utf8(bytes).expect("text");
        let text = text.replacen("Transfer", &format!("Content-Type: {FHIR}\r\nTransfer"), 1);
        raw.send(format!("{text}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes());
        assert_eq!(next(&mut raw, line), 413);
    }
    stage.at_rest("the bodies");
}

#[test]
fn nothing_is_read_where_no_body_belongs() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("");
    let get = |more: &str, body: &str| {
        let bytes = stage.bytes("editor", "GET /fhir/Patient/a", more, "", 0);
        [&bytes[..], body.as_bytes()].concat()
    };
    for (what, bytes, want) in [
        ("no length", get("", ""), 200),
        ("a length of none", get("Content-Length: 0\r\n", ""), 200),
        (
            "no chunk",
            get("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            200,
        ),
        ("a body", get("Content-Length: 2\r\n", "{}"), 400),
        (
            "a chunk",
            get("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
            400,
        ),
        (
            "a length and nothing",
            get("Content-Length: 2\r\n", ""),
            400,
        ),
        (
            "a form",
            get(
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 5\r\n",
                "_id=b",
            ),
            400,
        ),
    ] {
        let before = stage.reached("GET", "/Patient/a");
        let mut raw = stage.gateway.raw();
        assert!(raw.send(&bytes), "{what}");
        assert_eq!(next(&mut raw, what), want, "{what}");
        let reached = stage.reached("GET", "/Patient/a") - before;
        assert_eq!(reached, usize::from(want == 200), "{what}");
    }
    // HTTP/2: DATA with nothing in it is no body, any other is
    for (what, data, want) in [("nothing", &b""[..], "200"), ("a body", b"{}", "400")] {
        let mut raw = stage.gateway.raw_h2();
        let fields = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", &stage.gateway.address().to_string()),
            (":path", "/fhir/Patient/a"),
            (
                "authorization",
                &format!("Bearer {}", stage.token("editor")),
            ),
            ("x-request-id", &format!("h2-{want}")),
        ];
        let mut bytes = preface();
        bytes.extend(frame(kind::HEADERS, END_HEADERS, 1, &block(&fields)));
        bytes.extend(frame(kind::DATA, END_STREAM, 1, data));
        assert!(raw.send(&bytes));
        let (answer, _) = raw.read_all(QUIET);
        let row = holds(&answer, b"\"family\":\"Doe\"");
        assert_eq!(row, want == "200", "{what}");
        assert!(row || holds(&answer, b"not-understood"), "{what}");
    }
    stage.at_rest("the bodies");
}

#[test]
fn a_body_that_ends_too_early_writes_nothing() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("");
    let body = patient("cut").to_string();
    let length = stage.bytes("editor", "PUT /fhir/Patient/cut", "", &body, body.len() - 1);
    let chunks = {
        let head = stage.bytes(
            "editor",
            "PUT /fhir/Patient/cut",
            "Transfer-Encoding: chunked\r\n",
            "",
            0,
        );
        let text = String::from_utf8(head).expect("text");
        let text = text.replacen("Transfer", &format!("Content-Type: {FHIR}\r\nTransfer"), 1);
        format!("{text}{:x}\r\n{body}\r\n", body.len()).into_bytes()
    };
    for bytes in [length, chunks] {
        let refused = stage.sum("chartward_refusals_total", "not-understood");
        let mut raw = stage.gateway.raw();
        assert!(raw.send(&bytes));
        until("the body is held", || {
            stage.sum("chartward_buffered_bytes", "") > 0
        });
        drop(raw);
        stage.at_rest("a body that was cut");
        assert!(stage.sum("chartward_refusals_total", "not-understood") <= refused + 1);
    }
    assert!(
        stage.upstream.seen().is_empty(),
        "{:?}",
        stage.upstream.seen()
    );
}

#[test]
fn slow_bodies_that_hold_all_room_leave_everything_else_to_others() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("[limits]\nbuffered_bytes = \"1MiB\"\nbody_bytes = \"1MiB\"");
    let body = patient("slow").to_string();
    let padded = format!("{body}{}", " ".repeat(1000 << 10));
    let line = "PUT /fhir/Patient/slow";
    let mut slow = stage.gateway.raw();
    assert!(slow.send(&stage.bytes("editor", line, "", &padded, padded.len() - 1)));
    until("its room is taken", || {
        stage.sum("chartward_buffered_bytes", "") > 1_000_000
    });
    let mut other = stage.gateway.raw();
    other.send(&stage.bytes("editor", line, "", &padded, padded.len()));
    assert_eq!(next(&mut other, "without room"), 503);
    let mut small = stage.gateway.raw();
    assert!(small.send(&stage.put("small")));
    assert_eq!(next(&mut small, "with little room"), 200);
    for client in [stage.gateway.client(), stage.gateway.client_h2()] {
        let answer = client.get("/fhir/Patient/a", &stage.token("editor"));
        assert_eq!(answer.status, 200);
    }
    assert!(slow.send(b" "));
    assert_eq!(next(&mut slow, "the slow one"), 200);
    stage.at_rest("the slow one");
}
