//! Answers as they are framed and timed, on each way that leads to one.

use chartward_tests::need;

use super::*;

const QUANTUM: Duration = Duration::from_millis(200);

/// A server whose patients whose ids begin with `labelled` are none of the clerk's.
fn labelled(seen: &Seen) -> Script {
    let path = seen.target.split('?').next().unwrap_or_default();
    let id = path.split('/').nth(3).unwrap_or_default();
    let mut row = patient(id);
    match id {
        "labelled" => {
            row["meta"]["security"] = json!([{
                "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY",
            }]);
        }
        "missing" | "gone" => {
            let status = if id == "gone" { 410 } else { 404 };
            return Script::json(status, r#"{"resourceType":"OperationOutcome"}"#);
        }
        _ => {}
    }
    if seen.target.contains("_history") && !seen.target.contains("_history/") {
        let entry = json!([{ "resource": row, "request": { "method": "PUT", "url": "Patient/x" },
            "response": { "status": "200" } }]);
        let bundle = json!({ "resourceType": "Bundle", "type": "history", "entry": entry });
        return Script::json(200, &bundle.to_string());
    }
    Script::json(200, &row.to_string())
}

#[test]
fn every_not_found_leaves_at_a_tick_and_is_the_same() {
    if !need("binary") {
        return;
    }
    let upstream = Upstream::start(labelled);
    let tokens = Tokens::start();
    let setup = Setup::new(PACK, upstream.url())
        .issuer(tokens.trusted(&ROLES))
        .listen("refusal_quantum = \"200ms\"");
    let stage = Stage {
        gateway: Gateway::start(setup),
        upstream,
        tokens,
    };
    let client = stage.gateway.client();
    let token = stage.token("clerk");
    assert_eq!(client.get("/fhir/Patient/a", &token).status, 200);
    let mut bodies = Vec::new();
    for id in ["missing", "gone", "labelled"] {
        let row = patient(id).to_string();
        let patch = br#"[{"op":"add","path":"/active","value":true}]"#;
        let at = format!("/fhir/Patient/{id}");
        for (what, request) in [
            ("read", Request::get(&at)),
            ("head", Request::new("HEAD", &at)),
            ("vread", Request::get(&format!("{at}/_history/1"))),
            ("history", Request::get(&format!("{at}/_history"))),
            (
                "update",
                Request::new("PUT", &at).body(FHIR, row.as_bytes()),
            ),
            (
                "patch",
                Request::new("PATCH", &at).body("application/json-patch+json", patch),
            ),
            ("delete", Request::new("DELETE", &at)),
        ] {
            let named = format!("{what}-{id}");
            let begun = Instant::now();
            let answer = client.send(request.header("x-request-id", &named).bearer(&token));
            let took = begun.elapsed();
            assert_eq!(
                answer.status,
                404,
                "{named}: {}",
                String::from_utf8_lossy(&answer.body)
            );
            assert!(took >= QUANTUM, "{named}: {took:?}");
            assert_eq!(answer.header("x-request-id"), named);
            let text = answer.text().replace(&named, "");
            if what != "head" {
                bodies.push((named, text));
            }
        }
    }
    for (what, body) in &bodies {
        assert_eq!(*body, bodies[0].1, "{what}");
    }
    assert!(
        stage
            .upstream
            .seen()
            .iter()
            .all(|seen| seen.method == "GET")
    );
    stage.at_rest("the refusals");
}

#[test]
fn answers_follow_each_other_whatever_they_hold() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("");
    let mut raw = stage.gateway.raw();
    let line = |line: &str| stage.bytes("editor", line, "", "", 0);
    // sent at once: each answer must end where the next begins
    let mut all = Vec::new();
    for request in [
        line("HEAD /fhir/Patient/a"),
        line("GET /fhir/Patient/a"),
        line("OPTIONS /fhir/Patient"),
        line("HEAD /fhir/Patient/missing"),
        line("HEAD /fhir/Patient?family=x"),
        stage.put("a"),
        line("HEAD /fhir/Nothing/x"),
        stage.bytes(
            "editor",
            "GET /fhir/Patient/missing",
            "Connection: close\r\n",
            "",
            0,
        ),
    ] {
        all.extend(request);
    }
    assert!(raw.send(&all));
    let (bytes, end) = raw.read_all(PATIENCE);
    assert_eq!(end, chartward_tests::raw::End::Closed);
    let text = String::from_utf8(bytes).expect("text");
    let mut rest = text.as_str();
    let mut seen = Vec::new();
    for is_bare in [true, false, true, true, true, false, true, false] {
        let (head, after) = rest.split_once("\r\n\r\n").expect("a head");
        let head = head.to_ascii_lowercase();
        let field = |name: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        assert!(field("x-request-id").is_some(), "{head}");
        let length: Option<usize> = field("content-length").map(|n| n.parse().expect("a length"));
        let status = head.get(9..12).unwrap_or_default().to_owned();
        if status == "204" {
            assert_eq!((length, field("transfer-encoding")), (None, None), "{head}");
        }
        let body = if is_bare {
            0
        } else {
            length.expect("a length")
        };
        let (body, next) = after.split_at(body);
        assert!(is_bare || body.ends_with('}'), "{body}");
        seen.push((status, length, field("connection").map(str::to_owned)));
        rest = next;
    }
    assert_eq!(rest, "");
    let statuses: Vec<&str> = seen.iter().map(|(status, ..)| status.as_str()).collect();
    assert_eq!(
        statuses[..6],
        ["200", "200", "204", "404", "200", "200"],
        "{text}"
    );
    assert_eq!(statuses[7], "404", "{text}");
    // a HEAD has the length of what a GET would bring
    assert_eq!(seen[0].1, seen[1].1);
    assert!(
        seen[..7]
            .iter()
            .all(|(.., connection)| connection.is_none())
    );
    assert_eq!(seen[7].2.as_deref(), Some("close"));
    stage.at_rest("the answers");
}

#[test]
fn a_journal_that_fails_during_a_write_is_told_and_leaves_nothing_behind() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("");
    let before = stage.sum("chartward_requests_total", "");
    let mut raw = stage.gateway.raw();
    assert!(raw.send(&stage.put("written1")));
    until("the write is sent", || {
        stage.reached("PUT", "written1") == 1
    });
    let folder = stage.gateway.folder();
    std::fs::rename(folder.join("journal"), folder.join("away")).expect("moved");
    // and nothing can be made in its place
    std::fs::write(folder.join("journal"), "").expect("a file");
    until("the journal is found gone", || {
        let ready = plain::get(stage.gateway.metrics(), "/readyz");
        ready.status == 503
    });
    let answer = raw.read_answer().expect("an answer");
    assert!(holds(&answer, b"HTTP/1.1 503 ") && holds(&answer, b"journal-unavailable"));
    assert!(holds(&answer, b"put-written1"), "no request id");
    // nothing is answered or written while it lasts, and health answers throughout
    let client = stage.gateway.client();
    for _ in 0..50 {
        let read = client.get("/fhir/Patient/a", &stage.token("editor"));
        assert_eq!(
            (read.status, read.reason().as_str()),
            (503, "journal-unavailable")
        );
        assert_eq!(plain::get(stage.gateway.metrics(), "/livez").status, 200);
    }
    stage.at_rest("the refusals");
    assert_eq!(stage.reached("PUT", ""), 1);
    assert_eq!(stage.sum("chartward_requests_total", "") - before, 51);
    assert_eq!(
        stage.sum("chartward_refusals_total", "journal-unavailable"),
        51
    );
}
