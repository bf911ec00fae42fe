//! HEAD is GET without a body, and what isn't JSON is never asked for.

use chartward_tests::{Request, Response, Script, need};

use super::stage::{Stage, bundle, labelled, observation};

fn stage() -> Stage {
    Stage::open(|seen| {
        let path = seen.target.split('?').next().unwrap_or_default();
        match path {
            "/fhir/Observation/hidden" => Script::json(200, &labelled("hidden", "PSY")),
            "/fhir/Observation/o1" => Script::json(200, &observation("o1", "p1", "")),
            "/fhir/Observation/broken" => Script::json(200, "{"),
            "/fhir/Observation" => {
                Script::json(200, &bundle(&[&observation("o1", "p1", "")], None))
            }
            _ => Script::json(404, "{}"),
        }
    })
}

fn head(answer: &Response) -> (u16, Vec<String>) {
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    headers.sort();
    (answer.status, headers)
}

#[test]
fn head_gives_the_head_of_get_and_no_body() {
    if !need("binary") {
        return;
    }
    let stage = stage();
    let nurse = stage.token("nurse");
    for client in [stage.gateway.client(), stage.gateway.client_h2()] {
        for (target, token, status) in [
            ("/fhir/Observation/o1", Some(&nurse), 200),
            ("/fhir/Observation", Some(&nurse), 200),
            ("/fhir/Observation?code=x", Some(&nurse), 200),
            ("/fhir/metadata", Some(&nurse), 200),
            ("/fhir/metadata", None, 200),
            ("/fhir/Observation/hidden", Some(&nurse), 404),
            ("/fhir/Observation/missing", Some(&nurse), 404),
            ("/fhir/Observation/broken", Some(&nurse), 502),
            ("/fhir/Coverage/x", Some(&nurse), 403),
            ("/fhir/Patient?identifier=x", Some(&nurse), 403),
            ("/fhir/Observation?_include=*", Some(&nurse), 400),
            ("/fhir/Observation?_format=xml", Some(&nurse), 406),
            ("/fhir/Observation/o1", None, 401),
            ("/elsewhere", Some(&nurse), 400),
        ] {
            let ask = |method: &str| {
                let request = Request::new(method, target).header("x-request-id", "the-same");
                client.send(match token {
                    Some(token) => request.bearer(token),
                    None => request,
                })
            };
            let (got, without) = (ask("GET"), ask("HEAD"));
            assert_eq!(got.status, status, "{target}: {}", got.text());
            assert_eq!(head(&without), head(&got), "{target}");
            assert!(without.body.is_empty(), "{target}");
            assert!(!got.body.is_empty(), "{target}");
        }
    }
}

#[test]
fn only_json_is_answered_and_asked_for() {
    if !need("binary") {
        return;
    }
    let stage = stage();
    let nurse = stage.token("nurse");
    let ask = |target: &str, accept: &str| {
        stage
            .client
            .send(Request::get(target).bearer(&nurse).header("accept", accept))
    };
    for (target, accept, status) in [
        ("/fhir/Observation/o1", "application/fhir+json", 200),
        ("/fhir/Observation/o1", "application/json", 200),
        ("/fhir/Observation/o1", "*/*", 200),
        ("/fhir/Observation/o1", "text/html, */*;q=0.1", 200),
        ("/fhir/Observation/o1", "application/fhir+xml", 406),
        (
            "/fhir/Observation/o1",
            "application/fhir+json;q=0, application/fhir+xml",
            406,
        ),
        ("/fhir/Observation/o1", "text/html", 406),
        ("/fhir/Observation/o1", "", 406),
        (
            "/fhir/Observation/o1?_format=json",
            "application/fhir+xml",
            200,
        ),
        (
            "/fhir/Observation/o1?_format=application/fhir%2Bjson",
            "text/html",
            200,
        ),
        (
            "/fhir/Observation/o1?_format=xml",
            "application/fhir+json",
            406,
        ),
        (
            "/fhir/Observation/o1?_format=application/fhir%2Bxml",
            "*/*",
            406,
        ),
        ("/fhir/Observation/o1?_format=text/turtle", "*/*", 406),
        ("/fhir/Observation/o1?_format=html/json", "*/*", 406),
        ("/fhir/Observation/o1?_format=json&_format=xml", "*/*", 406),
        ("/fhir/Observation/o1?_format=", "*/*", 406),
        ("/fhir/Observation?_format=xml", "*/*", 406),
        ("/fhir/Observation?_format=json&_pretty=true", "*/*", 200),
        ("/fhir/metadata?_format=xml", "*/*", 406),
    ] {
        let answer = ask(target, accept);
        assert_eq!(
            answer.status,
            status,
            "{target} {accept}: {}",
            answer.text()
        );
        assert!(
            answer
                .header("content-type")
                .starts_with("application/fhir+json")
        );
    }
    for seen in stage.upstream.seen() {
        assert_eq!(seen.header("accept"), Some("application/fhir+json"));
        assert!(!seen.target.contains("_format"), "{}", seen.target);
    }
}
