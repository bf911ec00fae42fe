//! A server that answers a write in an odd way: what its author is told, and what the journal
//! says. A write that may have been done is never told as one that wasn't, nor the reverse.

use std::time::{Duration, Instant};

use chartward_tests::{Gateway, Request, Response, Script, Seen, Setup, Tokens, Upstream, need};
use serde_json::{Value, json};

use super::stage::{PACK, ROLES, SCOPES, observation, patient, resource, word};

/// A server whose rows are all there, in version 1, and which answers writes by a script.
struct Odd {
    upstream: Upstream,
    gateway: Gateway,
    tokens: Tokens,
}

impl Odd {
    fn open(write: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> Self {
        let upstream = Upstream::start(move |seen| match seen.method.as_str() {
            "GET" => {
                let id = seen.target.rsplit('/').next().unwrap_or_default();
                Script::json(200, &stored(id).to_string())
            }
            _ => write(seen),
        });
        let tokens = Tokens::start();
        let setup = Setup::new(PACK, upstream.url())
            .issuer(tokens.trusted(&ROLES))
            .section("[limits]\nupstream_response = \"1s\"\n");
        Self {
            gateway: Gateway::start(setup),
            upstream,
            tokens,
        }
    }

    fn send(&self, role: &str, request: Request) -> Response {
        let token = self.tokens.token("someone", &[role], SCOPES);
        self.gateway.client().send(request.bearer(&token))
    }

    fn records(&self, answer: &Response) -> Vec<Value> {
        let id = answer.header("x-request-id").to_owned();
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let mut records = self.gateway.records();
            records.retain(|r| r["request_id"] == *id);
            // nobody waits for the last one
            if records.iter().any(|r| r["phase"] == "closing") || Instant::now() > until {
                return records;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How many writes reached the server.
    fn writes(&self) -> usize {
        let seen = self.upstream.seen();
        seen.iter().filter(|seen| seen.method != "GET").count()
    }
}

fn stored(id: &str) -> Value {
    let mut row = patient(id);
    row["meta"] = json!({ "versionId": "1" });
    row
}

fn asks() -> [(&'static str, Request); 3] {
    let mut new = patient("x");
    new.as_object_mut().expect("an object").remove("id");
    [
        ("create", resource("POST", "/fhir/Patient", &new)),
        ("update", resource("PUT", "/fhir/Patient/x", &patient("x"))),
        ("delete", Request::new("DELETE", "/fhir/Patient/x")),
    ]
}

#[test]
fn what_does_not_say_that_it_was_written_is_not_told_as_written() {
    if !need("binary") {
        return;
    }
    let page = b"<html>sign in, secret</html>";
    let html = Script::whole(200, "Content-Type: text/html\r\n", page);
    let other = json!({ "resourceType": "Encounter", "id": "x", "status": "planned" }).to_string();
    let another = json!({ "resourceType": "Patient", "id": "secret" }).to_string();
    // the answer, and for which writes it is one
    let table: Vec<(&str, Script, &[&str])> = vec![
        ("a page", html, &[]),
        (
            "created with a page",
            Script::whole(201, "Content-Type: text/html\r\n", page),
            &[],
        ),
        ("another type", Script::json(200, &other), &["delete"]),
        ("cut", Script::json(200, "{\"resourceType\":\"Patient\""), &["delete"]),
        ("two", Script::json(200, "{\"resourceType\":\"Patient\",\"id\":\"x\"}{}"), &["delete"]),
        ("made by a delete", Script::json(201, &stored("x").to_string()), &["create", "update"]),
        ("another row", Script::json(200, &another), &["create", "delete"]),
        (
            "another place",
            Script::whole(200, "Location: http://up/fhir/Patient/secret/_history/2\r\n", b""),
            &["create", "delete"],
        ),
        ("empty", Script::whole(200, "", b""), &["create", "update", "delete"]),
        ("no content", Script::whole(204, "", b""), &["delete"]),
        ("found", Script::whole(302, "Location: /fhir/Patient/secret\r\n", b""), &[]),
        ("encoded", Script::whole(200, "Content-Encoding: gzip\r\n", b"secret"), &[]),
        ("broken", Script::new().close(), &[]),
        ("reset", Script::new().reset(), &[]),
        (
            "half",
            Script::new().send(b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 99\r\n\r\n{").close(),
            &[],
        ),
        ("failed", Script::json(500, "{\"secret\":1}"), &[]),
        ("busy", Script::whole(503, "Retry-After: 7\r\n", b"secret"), &[]),
        ("silent", Script::new().wait(Duration::from_secs(3)), &[]),
    ];
    for (name, script, fits) in table {
        let odd = Odd::open(move |_| script.clone());
        for (word_of, ask) in asks() {
            let before = odd.writes();
            let answer = odd.send("clerk", ask);
            let label = format!("{name} {word_of}: {} {}", answer.status, answer.text());
            // never again by itself, whatever it answers
            assert_eq!(odd.writes(), before + 1, "{label}");
            assert!(
                !format!("{:?}", answer.headers).contains("secret"),
                "{label}"
            );
            let records = odd.records(&answer);
            let phases: Vec<&str> = records.iter().map(|r| word(&r["phase"])).collect();
            assert_eq!(phases[0], "attempt", "{label}");
            let closing = records.iter().find(|r| r["phase"] == "closing");
            let closing = closing.unwrap_or_else(|| panic!("no closing: {label} {records:?}"));
            assert_eq!(closing["status"], answer.status, "{label}");
            if fits.contains(&word_of) {
                assert!(answer.status < 300, "{label}");
                assert_eq!(closing["outcome"], "complete", "{label}");
                continue;
            }
            assert!(matches!(answer.status, 502 | 504), "{label}");
            assert!(!answer.text().contains("secret"), "{label}");
            assert_eq!(answer.header("retry-after"), "", "{label}");
            assert_eq!(closing["outcome"], "unknown", "{label} {closing}");
            assert!(phases.contains(&"refusal"), "{label} {phases:?}");
        }
    }
}

#[test]
fn what_the_server_rejected_is_recorded_as_that() {
    if !need("binary") {
        return;
    }
    for status in [400, 404, 405, 409, 412, 422] {
        let odd = Odd::open(move |_| Script::json(status, "{\"secret\":1}"));
        for (name, ask) in asks() {
            let answer = odd.send("clerk", ask);
            let records = odd.records(&answer);
            let closing = records.iter().find(|r| r["phase"] == "closing");
            let closing = closing.unwrap_or_else(|| panic!("{status} {name} {records:?}"));
            assert!(!answer.text().contains("secret"), "{status} {name}");
            assert_eq!(closing["outcome"], "rejected", "{status} {name}");
            assert_eq!(closing["upstream"]["status"], status, "{status} {name}");
            assert_eq!(closing["status"], answer.status, "{status} {name}");
        }
    }
}

#[test]
fn a_write_that_was_never_sent_is_not_recorded_as_sent() {
    if !need("binary") {
        return;
    }
    let tokens = Tokens::start();
    // nobody listens there
    let setup = Setup::new(PACK, "http://127.0.0.1:9/fhir").issuer(tokens.trusted(&ROLES));
    let gateway = Gateway::start(setup);
    let token = tokens.token("someone", &["editor"], SCOPES);
    let ask = Request::new("DELETE", "/fhir/Patient/x").bearer(&token);
    let answer = gateway.client().send(ask);
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (502, "upstream-unavailable")
    );
    let id = answer.header("x-request-id").to_owned();
    let all = gateway.records();
    let phases: Vec<&str> = all
        .iter()
        .filter(|r| r["request_id"] == *id)
        .map(|r| word(&r["phase"]))
        .collect();
    assert_eq!(phases, ["attempt", "refusal"]);
}

#[test]
fn the_record_names_what_was_written_though_its_author_may_not_see_it() {
    if !need("binary") {
        return;
    }
    let odd = Odd::open(|_| {
        let mut made = observation("made-7", "p", "laboratory");
        made["meta"] = json!({ "versionId": "3" });
        let head = "Content-Type: application/fhir+json\r\n\
                    Location: http://up.example/fhir/Observation/made-7/_history/3\r\n\
                    ETag: W/\"3\"\r\nServer: secret\r\nSet-Cookie: a=secret\r\n";
        Script::whole(201, head, made.to_string().as_bytes())
    });
    let mut new = observation("x", "p", "laboratory");
    new.as_object_mut().expect("an object").remove("id");
    let answer = odd.send("feed", resource("POST", "/fhir/Observation", &new));
    assert_eq!(
        (answer.status, answer.body.len()),
        (201, 0),
        "{}",
        answer.text()
    );
    let place = format!("{}/Observation/made-7/_history/3", odd.gateway.base());
    assert_eq!(answer.header("location"), place);
    let told = format!("{:?}", answer.headers);
    assert!(
        !told.contains("secret") && !told.contains("up.example"),
        "{told}"
    );
    let records = odd.records(&answer);
    let disclosure = records.iter().find(|r| r["phase"] == "disclosure");
    let disclosure = disclosure.expect("a disclosure");
    assert_eq!(disclosure["disclosed"]["resources"], json!([]));
    assert_eq!(
        disclosure["written"],
        json!({ "type": "Observation", "id": "made-7", "version": "3" })
    );
}

#[test]
fn a_place_that_is_none_is_not_told() {
    if !need("binary") {
        return;
    }
    for place in [
        "http://up/fhir/Encounter/9",
        "http://up/fhir/Patient/a%2Fb",
        "http://up/fhir/Patient/a?b",
        "http://up/fhir/Patient/",
        "http://up/fhir/Patient",
        "javascript:alert(1)",
        "http://up/fhir/Patient/a\"b",
        "http://up/fhir/Patient/a\tb",
        &format!("http://up/fhir/Patient/{}", "9".repeat(65)),
    ] {
        let head = format!("Location: {place}\r\n");
        let odd = Odd::open(move |_| Script::whole(201, &head, b""));
        let [(_, create), ..] = asks();
        let answer = odd.send("editor", create);
        assert_eq!(
            (answer.status, answer.header("location")),
            (201, ""),
            "{place}"
        );
    }
}
