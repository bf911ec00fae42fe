//! An upstream that answers a search carelessly or with malice.

use std::time::Duration;

use chartward_tests::client::Error;
use chartward_tests::{PATIENCE, Request, Response, Script, need};

use super::stage::{Stage, bundle, entry, ids, labelled, observation};

const HIDDEN: &[u8] = b"Hidden-4711";

fn search(body: &str) -> Response {
    Stage::fixed(body).get("nurse", "/fhir/Observation")
}

fn clean(answer: &Response, what: &str) {
    assert!(!answer.holds(HIDDEN), "{what}: {}", answer.text());
    for (name, value) in &answer.headers {
        assert!(
            !String::from_utf8_lossy(value.as_bytes()).contains("Hidden-4711"),
            "{what}: {name}"
        );
    }
}

#[test]
fn only_rows_of_the_type_that_the_caller_may_see_leave() {
    if !need("binary") {
        return;
    }
    let h = r#""note":[{"text":"Hidden-4711"}]"#;
    let rows = [
        observation("o1", "p1", ""),
        format!(r#"{{"resourceType":"Condition","id":"c1",{h}}}"#),
        r#"{"resourceType":"Patient","id":"p1","identifier":[{"value":"Hidden-4711"}],"name":[{"family":"Hidden-4711"}]}"#.to_owned(),
        r#"{"resourceType":"Coverage","id":"x","subscriberId":"Hidden-4711"}"#.to_owned(),
        r#"{"resourceType":"Nonsense","id":"x","a":"Hidden-4711"}"#.to_owned(),
        r#"{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"x","diagnostics":"Hidden-4711"}]}"#.to_owned(),
        format!(r#"{{"resourceType":"Bundle","id":"b","type":"searchset","entry":[{{"resource":{}}}]}}"#, labelled("x", "PSY")),
        format!(r#"{{"resourceType":"Parameters","id":"b","parameter":[{{"name":"x","resource":{}}}]}}"#, labelled("x", "PSY")),
        labelled("h1", "PSY"),
        labelled("h2", "HIV"),
        observation("o2", "p2", ""),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let answer = search(&bundle(&rows, None));
    assert_eq!(
        ids(&answer),
        ["Observation/o1", "Observation/o2"],
        "{}",
        answer.text()
    );
    clean(&answer, "rows");
    assert!(
        !answer.holds(b"upstream.invalid") && !answer.holds(b"0.5"),
        "{}",
        answer.text()
    );
    assert!(answer.json().get("total").is_none());
}

#[test]
fn what_was_not_asked_for_does_not_leave() {
    if !need("binary") {
        return;
    }
    let row = observation("o9", "p1", r#","note":[{"text":"Hidden-4711"}]"#);
    let good = entry(&observation("o1", "p1", ""));
    for odd in [
        format!(r#"{{"resource":{row},"search":{{"mode":"include"}}}}"#),
        format!(r#"{{"search":{{"mode":"include"}},"resource":{row}}}"#),
        format!(r#"{{"resource":{row},"search":{{"mode":"outcome"}}}}"#),
        format!(r#"{{"resource":{row},"search":{{"mode":"in\u0063lude"}}}}"#),
        format!(r#"{{"resource":{row},"search":{{"mode":"Match"}}}}"#),
        format!(r#"{{"resource":{row},"search":{{"mode":null}}}}"#),
        format!(r#"{{"response":{{"outcome":{row}}}}}"#),
        format!(r#"{{"x":{row}}}"#),
        r#"{"link":[{"relation":"Hidden-4711","url":"Hidden-4711"}],"fullUrl":"Hidden-4711","extension":[{"url":"Hidden-4711"}]}"#.to_owned(),
        r#"{}"#.to_owned(),
    ] {
        let answer = search(&format!(
            r#"{{"resourceType":"Bundle","type":"searchset","entry":[{odd},{good}]}}"#
        ));
        assert_eq!(answer.status, 200, "{odd}: {}", answer.text());
        assert_eq!(ids(&answer), ["Observation/o1"], "{odd}");
        clean(&answer, &odd);
    }
}

#[test]
fn the_bundle_around_the_rows_is_the_gateways_own() {
    if !need("binary") {
        return;
    }
    let good = entry(&observation("o1", "p1", ""));
    let body = format!(
        r#"{{"id":"Hidden-4711","meta":{{"tag":[{{"display":"Hidden-4711"}}]}},"resourceType":"Bundle","identifier":{{"value":"Hidden-4711"}},"timestamp":"Hidden-4711","total":4711,"implicitRules":"Hidden-4711","link":[{{"relation":"self","url":"http://upstream.invalid/fhir/Observation?Hidden-4711"}},{{"relation":"previous","url":"http://upstream.invalid/Hidden-4711"}},{{"relation":"last","url":"Hidden-4711"}}],"entry":[{good}],"signature":{{"data":"Hidden-4711"}},"extension":[{{"url":"Hidden-4711"}}],"type":"searchset"}}"#
    );
    let answer = search(&body);
    assert_eq!(ids(&answer), ["Observation/o1"]);
    clean(&answer, "the bundle");
    assert!(
        !answer.holds(b"4711") && !answer.holds(b"upstream.invalid"),
        "{}",
        answer.text()
    );
    let relations: Vec<String> = answer.json()["link"]
        .as_array()
        .expect("links")
        .iter()
        .map(|link| link["relation"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(relations, ["self"]);
}

#[test]
fn a_bundle_that_is_no_search_set_is_refused() {
    if !need("binary") {
        return;
    }
    let row = observation("o1", "p1", "");
    let one = entry(&row);
    let entries = format!(r#""entry":[{one}]"#);
    let head = r#""resourceType":"Bundle","type":"searchset""#;
    for (what, body) in [
        ("history", format!(r#"{{"resourceType":"Bundle","type":"history",{entries}}}"#)),
        ("collection", format!(r#"{{"resourceType":"Bundle","type":"collection",{entries}}}"#)),
        ("batch-response", format!(r#"{{"resourceType":"Bundle","type":"batch-response",{entries}}}"#)),
        ("no type", format!(r#"{{"resourceType":"Bundle",{entries}}}"#)),
        ("two types", format!(r#"{{{head},"type":"history",{entries}}}"#)),
        ("no bundle", format!(r#"{{"resourceType":"List","type":"searchset",{entries}}}"#)),
        ("a row", row.clone()),
        ("an outcome", r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"x","diagnostics":"Hidden-4711"}]}"#.to_owned()),
        ("entry twice", format!(r#"{{{head},{entries},{entries}}}"#)),
        ("entry twice, escaped", format!(r#"{{{head},{entries},"\u0065ntry":[{one}]}}"#)),
        ("an entry object", format!(r#"{{{head},"entry":{one}}}"#)),
        ("entries in entries", format!(r#"{{{head},"entry":[[{one}]]}}"#)),
        ("a null entry", format!(r#"{{{head},"entry":[null]}}"#)),
        ("two resources", format!(r#"{{{head},"entry":[{{"resource":{row},"resource":{}}}]}}"#, labelled("x", "PSY"))),
        ("two resources, escaped", format!(r#"{{{head},"entry":[{{"resource":{row},"r\u0065source":{}}}]}}"#, labelled("x", "PSY"))),
        ("a resource array", format!(r#"{{{head},"entry":[{{"resource":[{row}]}}]}}"#)),
        ("no resource type", format!(r#"{{{head},"entry":[{{"resource":{{"id":"x"}}}}]}}"#)),
        ("two resource types", format!(r#"{{{head},"entry":[{{"resource":{{"resourceType":"Observation","id":"x","resourceType":"Patient"}}}}]}}"#)),
        ("trailing data", format!(r#"{{{head},{entries}}}{{"Hidden-4711":1}}"#)),
        ("trailing rows", format!(r#"{{{head},{entries}}} {row}"#)),
        ("cut", format!(r#"{{{head},{entries}"#)),
        ("cut in an entry", format!(r#"{{{head},"entry":[{}"#, &one[..one.len() - 9])),
        ("an array", format!(r#"[{{{head},{entries}}}]"#)),
        ("a byte order mark", format!("\u{feff}{{{head},{entries}}}")),
        ("a comment", format!(r#"{{{head},/*x*/{entries}}}"#)),
        ("single quotes", format!(r#"{{{head},'entry':[]}}"#)),
        ("a trailing comma", format!(r#"{{{head},{entries},}}"#)),
        ("a bad number", format!(r#"{{{head},"entry":[{{"resource":{}}}]}}"#, observation("x", "p1", r#","valueInteger":01"#))),
        ("a bare word", format!(r#"{{{head},"entry":[{{"resource":{}}}]}}"#, observation("x", "p1", r#","valueInteger":NaN"#))),
        ("a control character", format!(r#"{{{head},"entry":[{{"resource":{}}}]}}"#, observation("x", "p1", ",\"valueString\":\"a\nb\""))),
        ("a lone surrogate", format!(r#"{{{head},"entry":[{{"resource":{}}}]}}"#, observation("x", "p1", r#","valueString":"\ud800","\ud800":1"#))),
        ("empty", String::new()),
        ("spaces", "   ".to_owned()),
        ("xml", "<Bundle xmlns=\"http://hl7.org/fhir\">Hidden-4711</Bundle>".to_owned()),
    ] {
        let answer = search(&body);
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream-invalid"), "{what}: {}", answer.text());
        clean(&answer, what);
    }
}

#[test]
fn a_row_without_a_good_id_does_not_leave() {
    if !need("binary") {
        return;
    }
    for odd in [
        r#"{"resourceType":"Observation","status":"final","code":{"text":"Hidden-4711"}}"#,
        r#"{"resourceType":"Observation","id":"","status":"final","code":{"text":"Hidden-4711"}}"#,
        r#"{"resourceType":"Observation","id":null,"status":"final","code":{"text":"Hidden-4711"}}"#,
        r#"{"resourceType":"Observation","id":{"value":"x"},"status":"final","code":{"text":"Hidden-4711"}}"#,
        r#"{"resourceType":"Observation","id":"a/b?c=\"d","status":"final","code":{"text":"Hidden-4711"}}"#,
        r#"{"resourceType":"Observation","id":"../../x","status":"final","code":{"text":"Hidden-4711"}}"#,
        r#"{"resourceType":"Observation","id":["x"],"status":"final","code":{"text":"Hidden-4711"}}"#,
    ] {
        let answer = search(&bundle(&[odd, &observation("o1", "p1", "")], None));
        assert!(
            !answer.holds(b"../") && !answer.holds(b"a/b"),
            "{odd}: {}",
            answer.text()
        );
        if answer.status == 200 && !odd.contains("[\"x\"]") {
            assert_eq!(ids(&answer), ["Observation/o1"], "{odd}");
            clean(&answer, odd);
        }
    }
}

#[test]
fn no_status_and_no_media_type_but_the_right_ones_is_an_answer() {
    if !need("binary") {
        return;
    }
    let page = bundle(
        &[&observation(
            "o1",
            "p1",
            r#","note":[{"text":"Hidden-4711"}]"#,
        )],
        None,
    );
    let json = "Content-Type: application/fhir+json\r\n";
    let outcome = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"x","diagnostics":"Hidden-4711"}]}"#;
    let gzip: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03Hidden-4711";
    let whole = |status: u16, headers: &str, body: &[u8]| Script::whole(status, headers, body);
    let scripts: Vec<(String, Script)> = vec![
        ("201".into(), whole(201, json, page.as_bytes())),
        ("203".into(), whole(203, json, page.as_bytes())),
        ("204".into(), Script::new().send(b"HTTP/1.1 204 No Content\r\n\r\n")),
        ("206".into(), whole(206, &format!("{json}Content-Range: bytes 0-1/2\r\n"), page.as_bytes())),
        ("300".into(), whole(300, json, page.as_bytes())),
        ("302".into(), whole(302, "Location: http://127.0.0.1:1/Hidden-4711\r\n", b"")),
        ("307".into(), whole(307, "Location: /fhir/Patient\r\n", page.as_bytes())),
        ("304".into(), Script::new().send(b"HTTP/1.1 304 Not Modified\r\nETag: W/\"Hidden-4711\"\r\n\r\n")),
        ("400".into(), whole(400, json, outcome.as_bytes())),
        ("401".into(), whole(401, &format!("{json}WWW-Authenticate: Basic realm=\"Hidden-4711\"\r\n"), outcome.as_bytes())),
        ("403".into(), whole(403, json, outcome.as_bytes())),
        ("404".into(), whole(404, json, outcome.as_bytes())),
        ("410".into(), whole(410, json, outcome.as_bytes())),
        ("412".into(), whole(412, json, outcome.as_bytes())),
        ("422".into(), whole(422, json, outcome.as_bytes())),
        ("429".into(), whole(429, &format!("{json}Retry-After: 4711\r\n"), outcome.as_bytes())),
        ("500".into(), whole(500, json, outcome.as_bytes())),
        ("503".into(), whole(503, json, page.as_bytes())),
        ("999".into(), whole(999, json, page.as_bytes())),
        ("html".into(), whole(200, "Content-Type: text/html\r\n", page.as_bytes())),
        ("xml".into(), whole(200, "Content-Type: application/fhir+xml\r\n", page.as_bytes())),
        ("ndjson".into(), whole(200, "Content-Type: application/fhir+ndjson\r\n", page.as_bytes())),
        ("no type".into(), whole(200, "", page.as_bytes())),
        ("two types".into(), whole(200, "Content-Type: application/fhir+json\r\nContent-Type: text/html\r\n", page.as_bytes())),
        ("a list of types".into(), whole(200, "Content-Type: application/fhir+json, text/html\r\n", page.as_bytes())),
        ("multipart".into(), whole(200, "Content-Type: multipart/mixed; boundary=x\r\n", page.as_bytes())),
        ("latin1".into(), whole(200, "Content-Type: application/fhir+json; charset=iso-8859-1\r\n", page.as_bytes())),
        ("utf-7".into(), whole(200, "Content-Type: application/fhir+json; charset=utf-7\r\n", page.as_bytes())),
        ("utf-16".into(), whole(200, "Content-Type: application/fhir+json; charset=\"utf-16\"\r\n", page.as_bytes())),
        ("two charsets".into(), whole(200, "Content-Type: application/fhir+json; charset=utf-8; charset=utf-7\r\n", page.as_bytes())),
        ("gzip".into(), whole(200, &format!("{json}Content-Encoding: gzip\r\n"), gzip)),
        ("gzip unsaid".into(), whole(200, json, gzip)),
        ("br".into(), whole(200, &format!("{json}Content-Encoding: br\r\n"), page.as_bytes())),
        ("two encodings".into(), whole(200, &format!("{json}Content-Encoding: identity, gzip\r\n"), page.as_bytes())),
        ("latin1 bytes".into(), whole(200, json, &[&page.as_bytes()[..page.len() - 40], b"\xe4", &page.as_bytes()[page.len() - 40..]].concat())),
        ("101".into(), Script::new().send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nHidden-4711").close()),
        ("too short".into(), Script::new().send(format!("HTTP/1.1 200 OK\r\n{json}Content-Length: {}\r\n\r\n{page}", page.len() + 1).as_bytes()).close()),
        ("two lengths".into(), Script::new().send(format!("HTTP/1.1 200 OK\r\n{json}Content-Length: {}\r\nContent-Length: 5\r\n\r\n{page}", page.len()).as_bytes()).close()),
    ];
    let names: Vec<String> = scripts.iter().map(|(name, _)| name.clone()).collect();
    let stage = Stage::open(move |seen| {
        let n: usize = seen
            .target
            .split_once("code=")
            .and_then(|(_, rest)| rest.split('&').next())
            .and_then(|n| n.parse().ok())
            .unwrap_or_default();
        scripts[n].1.clone()
    });
    let nurse = stage.token("nurse");
    for (n, name) in names.iter().enumerate() {
        let request = Request::get(&format!("/fhir/Observation?code={n}")).bearer(&nurse);
        let answer = match stage.client.try_send(request, PATIENCE) {
            Ok(answer) => answer,
            Err(Error::Broken(_)) => panic!("{name}: a clean refusal was possible"),
            Err(error) => panic!("{name}: {error}"),
        };
        assert!(
            [400, 502, 504].contains(&answer.status),
            "{name}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(
            answer.reason().starts_with("upstream-"),
            "{name}: {}",
            answer.text()
        );
        clean(&answer, name);
        assert!(
            answer.header("location").is_empty() && answer.header("etag").is_empty(),
            "{name}"
        );
        assert_ne!(answer.header("retry-after"), "4711", "{name}");
    }
    assert_eq!(
        stage
            .upstream
            .seen()
            .iter()
            .filter(|seen| seen.target.contains("Hidden-4711"))
            .count(),
        0,
        "a redirect was followed"
    );
}

#[test]
fn nothing_of_a_searchs_head_leaves() {
    if !need("binary") {
        return;
    }
    let page = bundle(&[&observation("o1", "p1", "")], None);
    let stage = Stage::open(move |_| {
        let headers = "Content-Type: application/fhir+json; charset=UTF-8; fhirVersion=4.0\r\nSet-Cookie: a=Hidden-4711\r\nETag: W/\"Hidden-4711\"\r\nLast-Modified: Hidden-4711\r\nLocation: http://Hidden-4711\r\nContent-Location: Hidden-4711\r\nLink: <Hidden-4711>\r\nServer: Hidden-4711\r\nX-Powered-By: Hidden-4711\r\nVia: Hidden-4711\r\nWarning: Hidden-4711\r\nDigest: Hidden-4711\r\nContent-MD5: Hidden-4711\r\nCache-Control: public, max-age=4711\r\nX-Request-Id: Hidden-4711\r\nAccess-Control-Allow-Origin: Hidden-4711\r\nTrailer: Hidden-4711\r\n";
        Script::whole(200, headers, page.as_bytes())
    });
    let answer = stage.get("nurse", "/fhir/Observation");
    assert_eq!(ids(&answer), ["Observation/o1"]);
    clean(&answer, "headers");
    let mut names: Vec<&str> = answer
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "cache-control",
            "content-length",
            "content-type",
            "date",
            "x-content-type-options",
            "x-request-id"
        ]
    );
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[test]
fn cuts_between_any_two_bytes_change_nothing() {
    if !need("binary") {
        return;
    }
    let rows = [
        observation("o1", "p1", ""),
        labelled("h", "PSY"),
        observation("o2", "p1", ""),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let page = bundle(&rows, None);
    let whole = search(&page);
    for size in [1, 7, 64] {
        let page = page.clone();
        let stage = Stage::open(move |_| {
            let parts: Vec<&[u8]> = page.as_bytes().chunks(size).collect();
            Script::chunks(200, &parts)
        });
        let answer = stage.get("nurse", "/fhir/Observation");
        assert_eq!(ids(&answer), ids(&whole), "{size}");
        assert_eq!(answer.body.len(), whole.body.len(), "{size}");
        clean(&answer, "pieces");
    }
}

#[test]
fn an_answer_that_nobody_asked_for_answers_nobody() {
    if !need("binary") {
        return;
    }
    for wait in [0, 30] {
        let stage = Stage::open(move |seen| {
            let id = seen.target.rsplit('/').next().unwrap_or_default();
            let script = Script::json(200, &observation(id, "p1", ""));
            if id == "o1" {
                let smuggled = observation("o2", "p1", r#","note":[{"text":"Hidden-4711"}]"#);
                script
                    .wait(Duration::from_millis(wait))
                    .then(Script::json(200, &smuggled))
            } else {
                script
            }
        });
        let nurse = stage.token("nurse");
        for _ in 0..5 {
            let first = stage.client.get("/fhir/Observation/o1", &nurse);
            // sent while nothing is asked, it is no answer to what is asked then
            std::thread::sleep(Duration::from_millis(wait * 3));
            let second = stage.client.get("/fhir/Observation/o2", &nurse);
            assert!([200, 502].contains(&first.status), "{}", first.text());
            assert!([200, 502].contains(&second.status), "{}", second.text());
            clean(&second, "the next caller's answer");
        }
    }
}
