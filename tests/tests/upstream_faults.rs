//! An upstream that fails or lies: no body ever looks whole when it isn't, no word of the
//! upstream's own leaves, the record says how it ended, and the next caller is served.

mod connections;
mod several;
mod table;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use chartward_tests::client::{Error, holds};
use chartward_tests::raw::End;
use chartward_tests::{
    Client, Gateway, PATIENCE, Request, Response, Script, Seen, Setup, Tokens, Upstream, need,
    plain,
};
use serde_json::Value;

use table::{Fault, Wanted, bodies, breaks, heads, in_chunks};

const PACK: &str = include_str!("packs/ward.toml");
/// Stands in elements that the pack hides, and in whatever the upstream says of its own.
const SECRET: &str = "Hidden-4711";

/// Times short enough for a table: silence 500 ms, all in all 2 s.
const LIMITS: &str = "[limits]\nupstream_response = \"500ms\"\nupstream_total = \"2s\"\n\
                      row_bytes = \"128KiB\"\n";

fn patient(id: &str) -> String {
    format!(
        r#"{{"resourceType":"Patient","id":"{id}","meta":{{"versionId":"1"}},"name":[{{"family":"Shown"}}],"telecom":[{{"value":"{SECRET}"}}]}}"#
    )
}

fn entry(id: &str) -> String {
    let row = patient(id);
    format!(
        r#"{{"fullUrl":"http://127.0.0.1/fhir/Patient/{id}","resource":{row},"search":{{"mode":"match"}}}}"#
    )
}

fn bundle(id: &str, rows: usize) -> String {
    let rows: Vec<String> = (0..rows).map(|n| entry(&format!("{id}-{n}"))).collect();
    format!(
        r#"{{"resourceType":"Bundle","type":"searchset","entry":[{}]}}"#,
        rows.join(",")
    )
}

/// Right answers, as an upstream without faults gives them: by the id of a read, or by the family
/// that is searched.
fn right(seen: &Seen) -> (String, String) {
    match seen.target.split_once("family=") {
        Some((_, rest)) => {
            let name = rest.split('&').next().unwrap_or_default();
            (name.to_owned(), bundle(name, 3))
        }
        None => {
            let name = seen.target.rsplit('/').next().unwrap_or_default();
            (name.to_owned(), patient(name))
        }
    }
}

struct Stage {
    _upstream: Upstream,
    gateway: Gateway,
    token: String,
    _tokens: Tokens,
}

fn stage(upstream: Upstream, service: &str) -> Stage {
    let tokens = Tokens::start();
    let token = tokens.token("dr", &["physician"], "user/*.rs");
    let setup = Setup::new(PACK, upstream.url())
        .issuer(tokens.trusted(&["physician"]))
        .service(service)
        .section(LIMITS);
    Stage {
        gateway: Gateway::start(setup),
        _upstream: upstream,
        token,
        _tokens: tokens,
    }
}

impl Stage {
    /// A request whose record is found by `id`.
    fn request(&self, target: &str, id: &str) -> Request {
        Request::get(target)
            .bearer(&self.token)
            .header("x-request-id", id)
    }

    /// The next caller is served, and with what he asked for.
    fn is_well(&self, client: &Client, after: &str) {
        let answer = client.send(self.request("/fhir/Patient/healthy", &format!("after-{after}")));
        assert_eq!(answer.status, 200, "after {after}: {}", answer.text());
        assert_eq!(answer.json()["id"], "healthy", "after {after}");
        clean(&answer, after);
    }

    fn goes_on(&self, client: &Client, fault: &Fault, after: &str) {
        // while the next request is under way there is no telling whose answer comes
        if fault.name == "another-answer-after-a-moment" {
            self.is_not_poisoned(client, after);
        }
        self.is_well(client, after);
    }

    /// Whoever asks next gets what he asked for, or nothing.
    fn is_not_poisoned(&self, client: &Client, by: &str) {
        let request = self.request("/fhir/Patient/healthy", &format!("next-{by}"));
        let answer = client.send(request);
        clean(&answer, by);
        match answer.status {
            200 => assert_eq!(answer.json()["id"], "healthy", "after {by}"),
            status => assert_eq!(
                (status, answer.reason().as_str()),
                (502, "upstream-invalid")
            ),
        }
    }

    /// Refusals' reasons and closings' outcomes, by request id.
    fn said(&self) -> HashMap<String, Vec<String>> {
        let mut said: HashMap<String, Vec<String>> = HashMap::new();
        for record in self.gateway.records() {
            assert!(
                !record.to_string().contains(SECRET),
                "the journal repeats the upstream: {record}"
            );
            let word = match record["phase"].as_str() {
                Some("refusal") => &record["decision"]["reason"],
                Some("closing") => &record["outcome"],
                _ => continue,
            };
            let word = word.as_str().unwrap_or_default().to_owned();
            let id = record["request_id"].as_str().unwrap_or_default().to_owned();
            said.entry(id).or_default().push(word);
        }
        said
    }
}

fn clean(answer: &Response, name: &str) {
    assert!(
        !answer.holds(SECRET.as_bytes()),
        "{name}: hidden bytes left"
    );
    for (header, value) in &answer.headers {
        assert!(
            !holds(value.as_bytes(), SECRET.as_bytes()),
            "{name}: {header} holds hidden bytes"
        );
    }
}

/// What is asked, and what its answer must be.
fn forms(fault: &Fault) -> [(&'static str, String, Wanted); 2] {
    let name = fault.name;
    [
        ("read", format!("/fhir/Patient/{name}"), fault.read),
        (
            "search",
            format!("/fhir/Patient?family={name}"),
            fault.search,
        ),
    ]
}

fn meets_the_table(faults: fn() -> Vec<Fault>) {
    if !need("binary") {
        return;
    }
    let scripts = faults();
    let mut stage = stage(
        Upstream::start(move |seen| {
            let (name, body) = right(seen);
            match scripts.iter().find(|fault| fault.name == name) {
                Some(fault) => (fault.script)(body.as_bytes()),
                None => Script::json(200, &body),
            }
        }),
        "",
    );
    let (http1, http2) = (stage.gateway.client(), stage.gateway.client_h2());
    let mut wrong = Vec::new();
    for fault in faults() {
        for (form, target, wanted) in forms(&fault) {
            for (client, protocol) in [(&http1, "h1"), (&http2, "h2")] {
                let id = format!("{}.{form}.{protocol}", fault.name);
                let answer = match client.try_send(stage.request(&target, &id), PATIENCE) {
                    Ok(answer) => answer,
                    Err(error) => {
                        wrong.push(format!("{id}: {error}"));
                        continue;
                    }
                };
                clean(&answer, &id);
                let found = match answer.status {
                    200 => Wanted::Answer,
                    status => Wanted::Refusal(status, known(&answer.reason())),
                };
                if found != wanted {
                    wrong.push(format!("{id}: {found:?} instead of {wanted:?}"));
                }
                if found == Wanted::Answer {
                    is_whole(form, fault.name, &answer.json());
                }
                stage.goes_on(client, &fault, &id);
            }
            // asked for the head alone, nobody gets a body
            let id = format!("{}.{form}.head", fault.name);
            let head = Request::new("HEAD", &target)
                .bearer(&stage.token)
                .header("x-request-id", &id);
            match http1.try_send(head, PATIENCE) {
                Ok(answer) => {
                    clean(&answer, &id);
                    assert!(answer.body.is_empty(), "{id}: a body");
                }
                Err(error) => wrong.push(format!("{id}: {error}")),
            }
            stage.goes_on(&http1, &fault, &id);
        }
        assert!(stage.gateway.process().runs(), "{}: it ended", fault.name);
    }
    let said = stage.said();
    for fault in faults() {
        for (form, _, wanted) in forms(&fault) {
            for client in ["h1", "h2", "head"] {
                let id = format!("{}.{form}.{client}", fault.name);
                let wanted = match wanted {
                    Wanted::Answer => "complete",
                    Wanted::Refusal(_, reason) => reason,
                };
                let found = said.get(&id).cloned().unwrap_or_default();
                if found != [wanted] {
                    wrong.push(format!("{id}: the journal says {found:?}, not {wanted}"));
                }
            }
        }
    }
    let log = stage.gateway.process().stderr();
    assert!(!log.contains(SECRET), "the upstream's words are in the log");
    assert!(!log.contains("panicked"), "{log}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn known(reason: &str) -> &'static str {
    let reasons = [
        "upstream-unavailable",
        "upstream-invalid",
        "upstream-rejected",
        "not-found",
        "overloaded",
    ];
    reasons
        .into_iter()
        .find(|known| *known == reason)
        .unwrap_or("another")
}

/// An answer is the one that was asked for; of a search, rows of another type may lack.
fn is_whole(form: &str, name: &str, answer: &Value) {
    if form == "read" {
        assert_eq!(answer["id"], name, "{name}: another row");
        return;
    }
    assert_eq!(answer["resourceType"], "Bundle", "{name}");
    for entry in answer["entry"].as_array().into_iter().flatten() {
        let row = &entry["resource"];
        if row["resourceType"] == "Patient" {
            let id = row["id"].as_str().unwrap_or_default();
            assert!(id.trim_start_matches('x').starts_with(name), "{name}: {id}");
        }
    }
}

#[test]
fn no_fault_of_the_head_looks_like_an_answer() {
    meets_the_table(heads);
}

#[test]
fn no_fault_of_the_body_looks_like_an_answer() {
    meets_the_table(bodies);
}

#[test]
fn a_long_answer_that_breaks_is_seen_to_break() {
    if !need("binary") {
        return;
    }
    // larger than any window: part of it has left when the upstream breaks
    let upstream = Upstream::start(|seen| {
        let (name, right) = right(seen);
        let Some((_, end)) = breaks().into_iter().find(|(known, _)| *known == name) else {
            return Script::json(200, &right);
        };
        let rows: Vec<String> = (0..4_000).map(|n| entry(&format!("long-{n}"))).collect();
        let open = r#"{"resourceType":"Bundle","type":"searchset","entry":["#;
        let text = format!("{open}{}", rows.join(","));
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        in_chunks(Script::new().send(head.as_bytes()), text.as_bytes()).then(end)
    });
    let mut stage = stage(upstream, "");
    let (http1, http2) = (stage.gateway.client(), stage.gateway.client_h2());
    for (name, _) in breaks() {
        let target = format!("/fhir/Patient?family={name}&_count=500");
        // every byte that leaves
        let id = format!("{name}.raw");
        let host = stage.gateway.address();
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nX-Request-Id: {id}\r\n\r\n",
            stage.token
        );
        let mut raw = stage.gateway.raw();
        assert!(raw.send(head.as_bytes()));
        let (bytes, end) = raw.read_all(PATIENCE);
        assert!(bytes.starts_with(b"HTTP/1.1 200 "), "{name}");
        assert!(holds(&bytes, b"Shown"), "{name}: nothing left before");
        assert!(
            !holds(&bytes, SECRET.as_bytes()),
            "{name}: hidden bytes left"
        );
        assert!(!bytes.ends_with(b"0\r\n\r\n"), "{name}: it looks whole");
        assert_ne!(end, End::Silent, "{name}");
        let request = stage.request(&target, &format!("{name}.h2"));
        match http2.try_send(request, PATIENCE) {
            Err(Error::Broken(_)) => {}
            other => panic!("{name}: {other:?}"),
        }
        stage.is_well(&http1, name);
        stage.is_well(&http2, name);
    }
    let said = stage.said();
    for (name, _) in breaks() {
        for client in ["raw", "h2"] {
            assert_eq!(said[&format!("{name}.{client}")], ["broken"], "{name}");
        }
    }
    assert!(stage.gateway.process().runs());
}

#[test]
fn a_connection_that_is_one_answer_behind_is_left_at_once() {
    if !need("binary") {
        return;
    }
    // each connection: the first answer is right, every other one is that to the question before
    let before: Mutex<HashMap<usize, String>> = Mutex::default();
    let upstream = Upstream::start(move |seen| {
        let (_, body) = right(seen);
        let mut before = before.lock().expect("no panic while held");
        let last = before.insert(seen.connection, body.clone());
        Script::json(200, &last.unwrap_or(body))
    });
    let stage = stage(upstream, "");
    let client = stage.gateway.client();
    for n in 0..6 {
        let id = format!("p{n}");
        let answer = client.send(stage.request(&format!("/fhir/Patient/{id}"), &id));
        clean(&answer, &id);
        if n % 2 == 0 {
            assert_eq!(answer.status, 200, "{id}: {}", answer.text());
            assert_eq!(answer.json()["id"], id.as_str());
        } else {
            let found = (answer.status, answer.reason());
            assert_eq!(found, (502, "upstream-invalid".to_owned()), "{id}");
        }
    }
}

/// A figure of the metrics listener.
fn figure(stage: &Stage, name: &str) -> u64 {
    let text = plain::get(stage.gateway.metrics(), "/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("no `{name}`")).trim();
    value.parse().expect("a number")
}

/// Waits until something holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}
