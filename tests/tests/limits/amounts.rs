//! Too much of something, in one request or over all of them.

use std::io::Read as _;
use std::net::TcpStream;

use chartward_tests::raw::End;
use chartward_tests::{Request, Script, h2, need};

use super::*;

/// The reason in the OperationOutcome of a whole answer.
fn reason(answer: &[u8]) -> String {
    let text = text(answer);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let outcome: serde_json::Value = serde_json::from_str(body).expect("an OperationOutcome");
    let code = &outcome["issue"][0]["details"]["coding"][0]["code"];
    code.as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_head_over_its_limits_is_refused_with_a_record() {
    if !need("binary") {
        return;
    }
    let limits =
        "url_bytes = \"256B\"\nheader_count = 8\nheader_bytes = \"2KiB\"\ntoken_bytes = \"1KiB\"";
    let stage = Stage::new(limits);
    let long = format!("GET /fhir/Patient/{} HTTP/1.1", "a".repeat(300));
    let plain = "GET /fhir/Patient/p1 HTTP/1.1";
    let many: String = (0..10).map(|n| format!("x{n}: a\r\n")).collect();
    let large = format!("x: {}\r\n", "b".repeat(1900));
    for (line, more, wanted, limit) in [
        (long.as_str(), "", 414, "url_bytes"),
        (plain, many.as_str(), 431, "header_count"),
        (plain, large.as_str(), 431, "header_bytes"),
    ] {
        let mut raw = stage.raw();
        raw.send(stage.head(line, more).as_bytes());
        let (answer, end) = raw.read_all(Duration::from_secs(5));
        assert_eq!((status(&answer), end), (wanted, End::Closed), "{limit}");
        assert_eq!(reason(&answer), "too-large", "{limit}");
        assert_eq!(stage.exceeded(limit), 1, "{limit}");
        let head = text(&answer);
        let id = head
            .lines()
            .find_map(|line| line.strip_prefix("x-request-id: "));
        let id = id.expect("a request id");
        let records = stage.gateway.records();
        let record = records.iter().find(|record| record["request_id"] == id);
        let record = record.unwrap_or_else(|| panic!("no record of {id}"));
        assert_eq!(record["decision"]["reason"], "too-large", "{record}");
    }
    let client = stage.gateway.client_h2();
    let request = Request::get("/fhir/Patient/p1").bearer(&stage.token);
    let answer = client.send(request.header("x", &"b".repeat(1900)));
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (431, "too-large")
    );
    // so far over it that it isn't read
    let mut raw = stage.raw();
    raw.send(format!("{plain}\r\nx: {}", "b".repeat(900_000)).as_bytes());
    let (answer, end) = raw.read_all(Duration::from_secs(5));
    assert!([0, 431].contains(&status(&answer)), "{}", text(&answer));
    assert_ne!(end, End::Silent);
    stage.until_exceeded("header_bytes", 3);
    assert_eq!(stage.upstream.seen().len(), 0);
    stage.serves();
}

#[test]
fn a_body_over_its_limit_is_refused_announced_or_not() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("body_bytes = \"2KiB\"");
    let mut raw = stage.raw();
    raw.send(stage.form(4000).as_bytes());
    let (answer, end) = raw.read_all(Duration::from_secs(5));
    assert_eq!((status(&answer), end), (413, End::Closed));
    assert_eq!(reason(&answer), "too-large");
    let more = "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n";
    let mut raw = stage.raw();
    let head = stage.head("POST /fhir/Patient/_search HTTP/1.1", more);
    raw.send(format!("{head}c00\r\n{}\r\n", "a".repeat(0xc00)).as_bytes());
    let (answer, end) = raw.read_all(Duration::from_secs(5));
    assert_eq!((status(&answer), end), (413, End::Closed));
    assert_eq!(stage.exceeded("body_bytes"), 2);
    assert_eq!(stage.upstream.seen().len(), 0);
    stage.serves();
}

#[test]
fn a_bundle_over_its_limit_is_refused() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("body_bytes = \"1KiB\"\nbundle_bytes = \"2KiB\"");
    let client = stage.gateway.client();
    let bundle = |pad: usize| {
        let text = format!(
            r#"{{"resourceType":"Bundle","type":"batch","entry":[]{}}}"#,
            " ".repeat(pad)
        );
        let post = Request::new("POST", "/fhir").bearer(&stage.token);
        client.send(post.body("application/fhir+json", text.as_bytes()))
    };
    assert_ne!(bundle(1500).status, 413);
    let answer = bundle(2500);
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (413, "too-large")
    );
    assert_eq!(stage.exceeded("bundle_bytes"), 1);
    assert_eq!(stage.exceeded("body_bytes"), 0);
    stage.serves();
}

#[test]
fn a_row_over_its_limit_is_no_answer_in_one_piece_or_several() {
    if !need("binary") {
        return;
    }
    let note = "n".repeat(3000);
    let row = format!(r#"{{"resourceType":"Patient","id":"p1","name":[{{"text":"{note}"}}]}}"#);
    let set =
        format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{row}}}]}}"#);
    let stage = Stage::before("row_bytes = \"2KiB\"", move |seen| {
        let body = if seen.target.contains('?') {
            &set
        } else {
            &row
        };
        match seen.target.contains("p2") {
            true => Script::chunks(200, &[&body.as_bytes()[..1500], &body.as_bytes()[1500..]]),
            false => Script::json(200, body),
        }
    });
    for (n, target) in [
        "Patient/p1",
        "Patient/p2",
        "Patient?_id=p1",
        "Patient?_id=p2",
    ]
    .iter()
    .enumerate()
    {
        let answer = stage
            .gateway
            .client()
            .get(&format!("/fhir/{target}"), &stage.token);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (502, "upstream-invalid"),
            "{target}"
        );
        assert_eq!(stage.exceeded("row_bytes"), n as u64 + 1, "{target}");
    }
}

#[test]
fn a_stream_beyond_those_that_a_connection_may_have_is_refused() {
    if !need("binary") {
        return;
    }
    let stage = Stage::before("h2_streams = 2", |_| {
        Script::new()
            .wait(Duration::from_millis(500))
            .then(Script::json(200, PATIENT))
    });
    let mut frames = h2::Frames::open(stage.gateway.raw_h2());
    let token = format!("Bearer {}", stage.token);
    let host = stage.gateway.address().to_string();
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", &host),
        (":path", "/fhir/Patient/p1"),
        ("authorization", &token),
    ];
    let head = h2::block(&fields);
    for stream in [1, 3, 5] {
        let flags = h2::END_HEADERS | h2::END_STREAM;
        frames.send(&h2::frame(h2::kind::HEADERS, flags, stream, &head));
    }
    assert!(frames.wait(&[1, 3, 5], Duration::from_secs(5)));
    // REFUSED_STREAM: it may be asked again
    assert_eq!(frames.streams[&5].reset, Some(7));
    assert_eq!([1, 3].map(|id| frames.streams[&id].status), [Some(200); 2]);
    assert!(stage.exceeded("h2_streams") >= 1);
    stage.serves();
}

#[test]
fn nothing_is_decompressed() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("");
    for coding in ["gzip", "br", "deflate", "identity", "gzip, gzip"] {
        let form = Request::form("/fhir/Patient/_search", "name=a").bearer(&stage.token);
        let answer = stage
            .gateway
            .client()
            .send(form.header("content-encoding", coding));
        let found = (answer.status, answer.reason());
        assert_eq!(
            found,
            (415, "unsupported-media-type".to_owned()),
            "{coding}"
        );
    }
    assert_eq!(stage.upstream.seen().len(), 0);
}

#[test]
fn what_no_client_of_a_fhir_server_sends_is_refused() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("");
    let host = stage.gateway.address();
    let absolute = format!("GET https://{host}/fhir/Patient/p1 HTTP/1.1");
    for (line, more) in [
        (absolute.as_str(), ""),
        ("GET http://elsewhere/fhir/Patient/p1 HTTP/1.1", ""),
        ("OPTIONS * HTTP/1.1", ""),
        ("CONNECT elsewhere:443 HTTP/1.1", ""),
        ("TRACE /fhir/Patient/p1 HTTP/1.1", ""),
        ("TRACK /fhir/Patient/p1 HTTP/1.1", ""),
        (
            "GET /fhir/Patient/p1 HTTP/1.1",
            "Upgrade: h2c\r\nConnection: upgrade\r\n",
        ),
        ("GET /fhir/Patient/p1 HTTP/1.1", "Upgrade: websocket\r\n"),
        ("GET /fhir/Patient/p1 HTTP/1.1", "Expect: 100-continue\r\n"),
        ("GET /fhir/Patient/p1 HTTP/1.1", "Expect: 200-maybe\r\n"),
        ("PRI * HTTP/2.0", ""),
    ] {
        let mut raw = stage.raw();
        raw.send(
            stage
                .head(line, &format!("{more}Connection: close\r\n"))
                .as_bytes(),
        );
        let (answer, end) = raw.read_all(Duration::from_secs(5));
        assert!(
            (400..500).contains(&status(&answer)),
            "{line}: {}",
            text(&answer)
        );
        assert_ne!(end, End::Silent, "{line}");
        assert!(!text(&answer).contains("100 Continue"), "{line}");
    }
    assert_eq!(stage.upstream.seen().len(), 0);
    // a range is the gateway's business, and it answers whole
    let request = Request::get("/fhir/Patient/p1").bearer(&stage.token);
    let answer = stage
        .gateway
        .client()
        .send(request.header("range", "bytes=0-1"));
    assert_eq!(answer.status, 200);
    let seen = stage.upstream.seen();
    assert_eq!((seen.len(), seen[0].header("range")), (1, None));
}

#[test]
fn connections_of_one_address_are_bounded() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("connections_per_address = 5");
    let held: Vec<Raw> = (0..5).map(|_| stage.raw()).collect();
    for n in 1..=3 {
        let mut over = TcpStream::connect(stage.gateway.address()).expect("a connection");
        over.set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout");
        assert_eq!(over.read(&mut [0]).unwrap_or(0), 0);
        stage.until_exceeded("connections_per_address", n);
    }
    assert_eq!(stage.figure("chartward_connections_refused_total"), 3);
    drop(held);
    // the gateway sees them go in its own time
    let deadline = Instant::now() + Duration::from_secs(5);
    while stage.figure("chartward_connections_open") > 0 {
        assert!(Instant::now() < deadline, "connections stay open");
    }
    stage.serves();
}

#[test]
fn connections_and_handshakes_are_bounded_over_all() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("handshakes = 3\nconnections = 6");
    let mut served = stage.raw();
    served.send(stage.get().as_bytes());
    assert_eq!(status(&served.read_answer().expect("an answer")), 200);
    let connect = || TcpStream::connect(stage.gateway.address()).expect("a connection");
    let shaking: Vec<TcpStream> = (0..3).map(|_| connect()).collect();
    let mut over = connect();
    over.set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    assert_eq!(over.read(&mut [0]).unwrap_or(0), 0);
    stage.until_exceeded("handshakes", 1);
    // who is in is served
    served.send(stage.get().as_bytes());
    assert_eq!(status(&served.read_answer().expect("an answer")), 200);
    drop(shaking);
    let deadline = Instant::now() + Duration::from_secs(5);
    while stage.figure("chartward_connections_open") > 1 {
        assert!(Instant::now() < deadline, "connections stay open");
    }
    let held: Vec<Raw> = (0..5).map(|_| stage.raw()).collect();
    let mut over = connect();
    over.set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    assert_eq!(over.read(&mut [0]).unwrap_or(0), 0);
    stage.until_exceeded("connections", 1);
    drop(held);
}

#[test]
fn bodies_in_memory_are_bounded_together() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("buffered_bytes = \"1MiB\"\nbody_bytes = \"1MiB\"");
    let part = vec![b'a'; 700 << 10];
    let mut first = stage.raw();
    first.send(stage.form(800 << 10).as_bytes());
    first.send(&part);
    let deadline = Instant::now() + Duration::from_secs(10);
    while stage.figure("chartward_buffered_bytes") < 600 << 10 {
        assert!(Instant::now() < deadline, "the body is not read");
    }
    let mut second = stage.raw();
    second.send(stage.form(800 << 10).as_bytes());
    second.send(&part);
    let (answer, _) = second.read_all(Duration::from_secs(5));
    assert_eq!(status(&answer), 503, "{}", text(&answer));
    assert_eq!(reason(&answer), "overloaded");
    assert!(text(&answer).contains("retry-after: 1\r\n"));
    assert_eq!(stage.exceeded("buffered_bytes"), 1);
    stage.serves();
    drop(first);
    let deadline = Instant::now() + Duration::from_secs(10);
    while stage.figure("chartward_buffered_bytes") > 0 {
        assert!(Instant::now() < deadline, "the room is not given back");
    }
}
