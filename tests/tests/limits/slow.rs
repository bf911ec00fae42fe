//! Callers who take their time.

use std::io::Read as _;
use std::net::TcpStream;

use chartward_tests::need;
use chartward_tests::raw::End;

use super::*;

const LONG: Duration = Duration::from_secs(10);

/// Sends a byte every 20 ms until the connection ends.
fn drip(raw: &mut Raw) -> Vec<u8> {
    let begun = Instant::now();
    let mut answer = Vec::new();
    loop {
        let sent = raw.send(b"a");
        let (bytes, end) = raw.read_all(Duration::from_millis(20));
        answer.extend(bytes);
        if !sent || end != End::Silent {
            return answer;
        }
        assert!(begun.elapsed() < LONG, "the connection stays open");
    }
}

#[test]
fn a_handshake_or_a_head_that_does_not_end_is_cut() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("handshake = \"300ms\"\nheaders = \"300ms\"");
    let mut silent = TcpStream::connect(stage.gateway.address()).expect("a connection");
    silent.set_read_timeout(Some(LONG)).expect("a timeout");
    assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0);
    stage.until_exceeded("handshake", 1);

    assert_eq!(drip(&mut stage.raw()), b"");
    stage.until_exceeded("headers", 1);
    let mut second = stage.raw();
    second.send(stage.get().as_bytes());
    assert_eq!(status(&second.read_answer().expect("an answer")), 200);
    assert_eq!(drip(&mut second), b"");
    stage.until_exceeded("headers", 2);
    stage.serves();
}

#[test]
fn a_connection_without_requests_is_closed() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("idle = \"300ms\"");
    let mut raw = stage.raw();
    raw.send(stage.get().as_bytes());
    assert_eq!(status(&raw.read_answer().expect("an answer")), 200);
    assert_eq!(raw.read_all(LONG), (Vec::new(), End::Closed));
    stage.until_exceeded("idle", 1);
    stage.serves();
}

#[test]
fn a_body_that_trickles_is_refused() {
    if !need("binary") {
        return;
    }
    for (limits, limit) in [
        ("headers = \"400ms\"", "body_rate"),
        // each byte pays for a second, and there is an end to that
        (
            "headers = \"400ms\"\nbody_rate = \"1B\"\nbody = \"600ms\"",
            "body",
        ),
    ] {
        let stage = Stage::new(limits);
        let begun = Instant::now();
        let mut raw = stage.raw();
        raw.send(stage.form(4000).as_bytes());
        let answer = drip(&mut raw);
        assert_eq!(status(&answer), 400, "{}", text(&answer));
        assert!(text(&answer).contains("not-understood"));
        assert!(begun.elapsed() > Duration::from_millis(400));
        assert_eq!(stage.exceeded(limit), 1, "{limit}");
        assert_eq!(stage.upstream.seen().len(), 0);
        stage.serves();
        assert_eq!(stage.figure("chartward_requests_open"), 0);
    }
}

#[test]
fn a_body_that_comes_fast_enough_is_taken_however_it_is_cut() {
    if !need("binary") {
        return;
    }
    let stage = Stage::before("headers = \"400ms\"\nbody_rate = \"100B\"", |_| {
        Script::json(200, r#"{"resourceType":"Bundle","type":"searchset"}"#)
    });
    let mut raw = stage.raw();
    let form = format!("name={}", "a".repeat(395));
    raw.send(stage.form(form.len()).as_bytes());
    let begun = Instant::now();
    for piece in form.as_bytes().chunks(20) {
        std::thread::sleep(Duration::from_millis(50));
        assert!(raw.send(piece));
    }
    assert!(begun.elapsed() > Duration::from_millis(900));
    let answer = raw.read_answer().expect("an answer");
    assert_eq!(status(&answer), 200, "{}", text(&answer));
    assert_eq!(stage.exceeded("body_rate") + stage.exceeded("body"), 0);
}

/// A search with an answer of some 25 MB.
fn long_answer(limits: &str) -> Stage {
    let name = "x".repeat(500 << 10);
    let row = |i: usize| {
        format!(
            r#"{{"resource":{{"resourceType":"Patient","id":"p{i}","name":[{{"text":"{name}"}}]}}}}"#
        )
    };
    let rows: Vec<String> = (0..50).map(row).collect();
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"searchset","entry":[{}]}}"#,
        rows.join(",")
    );
    Stage::before(limits, move |seen| {
        if seen.target.contains("/p1") {
            Script::json(200, PATIENT)
        } else {
            Script::json(200, &bundle)
        }
    })
}

#[test]
fn an_answer_that_is_not_taken_is_cut() {
    if !need("binary") {
        return;
    }
    let stage = long_answer("write_stall = \"500ms\"");
    let mut raw = stage.raw();
    raw.send(stage.head("GET /fhir/Patient HTTP/1.1", "").as_bytes());
    stage.until_exceeded("write_stall", 1);
    stage.serves();
    let (bytes, end) = raw.read_all(LONG);
    assert_ne!(end, End::Silent);
    assert!(!bytes.ends_with(b"0\r\n\r\n"), "it looks complete");
}

#[test]
fn an_answer_that_is_taken_by_drips_is_cut_and_one_at_a_good_rate_is_not() {
    if !need("binary") {
        return;
    }
    let stage = long_answer("write_stall = \"500ms\"\nbody_rate = \"4MiB\"");
    let mut raw = stage.raw();
    raw.send(stage.head("GET /fhir/Patient HTTP/1.1", "").as_bytes());
    let begun = Instant::now();
    while stage.exceeded("write_stall") == 0 {
        assert!(begun.elapsed() < LONG, "it goes on");
        let _ = raw.read_some(Duration::from_millis(10));
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut raw = stage.raw();
    raw.send(stage.head("GET /fhir/Patient HTTP/1.1", "").as_bytes());
    let answer = raw.read_answer().expect("a whole answer");
    assert!(answer.len() > 20 << 20);
    assert_eq!(stage.exceeded("write_stall"), 1);
}
