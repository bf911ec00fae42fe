//! An upstream that fails or lies: no body ever looks whole when it isn't, and no word of the
//! upstream's own leaves.

use std::time::Duration;

use chartward_tests::client::Error;
use chartward_tests::{Gateway, PATIENCE, Request, Script, Setup, Tokens, Upstream, need};

const PACK: &str = include_str!("packs/ward.toml");
const SECRET: &str = "Hidden-4711";

/// A script for each id: the fault is chosen by what is read.
fn faults() -> Vec<(&'static str, Script)> {
    let patient = |id: &str, rest: &str| {
        format!(r#"{{"resourceType":"Patient","id":"{id}","meta":{{"versionId":"1"}}{rest}}}"#)
    };
    let telecom = format!(r#","telecom":[{{"value":"{SECRET}"}}]"#);
    let json = "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\n";
    let whole = patient("cut-length", &telecom);
    vec![
        (
            "cut-length",
            Script::new()
                .send(
                    format!("{json}Content-Length: {}\r\n\r\n{whole}", whole.len() + 5).as_bytes(),
                )
                .close(),
        ),
        (
            "cut-chunk",
            Script::new()
                .send(
                    format!(
                        "{json}Transfer-Encoding: chunked\r\n\r\n20\r\n{}",
                        &whole[..20]
                    )
                    .as_bytes(),
                )
                .reset(),
        ),
        (
            "cut-head",
            Script::new().send(b"HTTP/1.1 200 OK\r\nContent-Ty").close(),
        ),
        ("no-answer", Script::new().close()),
        (
            "not-json",
            Script::whole(
                200,
                "Content-Type: text/html\r\n",
                format!("<html>{SECRET}</html>").as_bytes(),
            ),
        ),
        (
            "lies-json",
            Script::json(200, &format!("<html>{SECRET}</html>")),
        ),
        (
            "half-json",
            Script::json(200, &patient("half-json", &telecom)[..60]),
        ),
        (
            "two-values",
            Script::json(
                200,
                &format!("{}{}", patient("two-values", ""), patient("x", &telecom)),
            ),
        ),
        (
            "twice-key",
            Script::json(
                200,
                &patient(
                    "twice-key",
                    &format!(r#","gender":"male","gender":"{SECRET}""#),
                ),
            ),
        ),
        (
            "twice-type",
            Script::json(
                200,
                &patient("twice-type", &format!(r#","resourceType":"{SECRET}""#)),
            ),
        ),
        (
            "other-id",
            Script::json(
                200,
                &patient(
                    "someone-else",
                    &format!(r#","name":[{{"family":"{SECRET}"}}]"#),
                ),
            ),
        ),
        (
            "other-type",
            Script::json(
                200,
                &format!(
                    r#"{{"resourceType":"Procedure","id":"other-type","note":[{{"text":"{SECRET}"}}]}}"#
                ),
            ),
        ),
        (
            "a-bundle",
            Script::json(
                200,
                &format!(
                    r#"{{"resourceType":"Bundle","id":"a-bundle","type":"searchset","entry":[{{"resource":{}}}]}}"#,
                    patient("x", &telecom)
                ),
            ),
        ),
        ("empty", Script::json(200, "")),
        (
            "an-array",
            Script::json(200, &format!("[{}]", patient("an-array", &telecom))),
        ),
        (
            "gzip",
            Script::whole(
                200,
                "Content-Type: application/fhir+json\r\nContent-Encoding: gzip\r\n",
                &[0x1f, 0x8b, 8, 0],
            ),
        ),
        (
            "redirect",
            Script::whole(
                302,
                &format!("Location: http://127.0.0.1/{SECRET}\r\n"),
                b"",
            ),
        ),
        (
            "not-utf8",
            Script::whole(
                200,
                "Content-Type: application/fhir+json\r\n",
                b"{\"resourceType\":\"Patient\",\"id\":\"not-utf8\",\"gender\":\"\xff\"}",
            ),
        ),
        (
            "error-500",
            Script::json(
                500,
                &format!(
                    r#"{{"resourceType":"OperationOutcome","issue":[{{"severity":"error","code":"exception","diagnostics":"{SECRET}"}}]}}"#
                ),
            ),
        ),
        (
            "error-403",
            Script::json(
                403,
                &format!(r#"{{"resourceType":"OperationOutcome","text":"{SECRET}"}}"#),
            ),
        ),
    ]
}

#[test]
fn no_fault_of_the_upstream_looks_like_an_answer() {
    if !need("binary") {
        return;
    }
    let scripts = faults();
    let upstream = Upstream::start(move |seen| {
        scripts
            .iter()
            .find(|(name, _)| seen.target.ends_with(name))
            .map_or_else(|| Script::json(404, "{}"), |(_, script)| script.clone())
    });
    let tokens = Tokens::start();
    let token = tokens.token("dr", &["physician"], "user/*.rs");
    let mut gateway =
        Gateway::start(Setup::new(PACK, upstream.url()).issuer(tokens.trusted(&["physician"])));
    let client = gateway.client();
    for (name, _) in faults() {
        let request = Request::get(&format!("/fhir/Patient/{name}")).bearer(&token);
        match client.try_send(request, PATIENCE) {
            Ok(answer) => {
                assert!(
                    [502, 503, 504].contains(&answer.status),
                    "{name}: {} {}",
                    answer.status,
                    answer.text()
                );
                assert!(
                    answer.reason().starts_with("upstream-"),
                    "{name}: {}",
                    answer.reason()
                );
                assert!(
                    !answer.holds(SECRET.as_bytes()),
                    "{name}: the upstream's words left"
                );
                assert!(!answer.headers.iter().any(|(_, value)| {
                    value
                        .as_bytes()
                        .windows(SECRET.len())
                        .any(|w| w == SECRET.as_bytes())
                }));
            }
            Err(Error::Broken(_)) => {}
            Err(error) => panic!("{name}: {error}"),
        }
        assert!(gateway.process().runs(), "{name}: the gateway ended");
    }
    let missing = client.get("/fhir/Patient/nobody", &token);
    assert_eq!(
        (missing.status, missing.reason().as_str()),
        (404, "not-found")
    );
    assert!(
        !gateway.process().stderr().contains(SECRET),
        "the upstream's words are in the log"
    );
}

#[test]
fn a_long_answer_that_breaks_is_seen_to_break() {
    if !need("binary") {
        return;
    }
    // Larger than any window: part of it has left when the upstream breaks.
    let upstream = Upstream::start(|_| {
        let mut script = Script::new().send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 9000000\r\n\r\n\
              {\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"entry\":[",
        );
        for n in 0..2_000 {
            let row = format!(
                r#"{{"fullUrl":"http://127.0.0.1/fhir/Observation/o{n}","resource":{{"resourceType":"Observation","id":"o{n}","meta":{{"versionId":"1"}},"status":"final","code":{{"text":"{}"}}}},"search":{{"mode":"match"}}}},"#,
                "x".repeat(400)
            );
            script = script.send(row.as_bytes());
        }
        script.wait(Duration::from_millis(50)).close()
    });
    let tokens = Tokens::start();
    let token = tokens.token("dr", &["physician"], "user/*.rs");
    let gateway =
        Gateway::start(Setup::new(PACK, upstream.url()).issuer(tokens.trusted(&["physician"])));
    for client in [gateway.client(), gateway.client_h2()] {
        let request = Request::get("/fhir/Observation?_count=500").bearer(&token);
        match client.try_send(request, PATIENCE) {
            Err(Error::Broken(_)) => {}
            Ok(answer) => assert_eq!(answer.status, 502, "a broken answer looks whole"),
            Err(error) => panic!("{error}"),
        }
    }
}
