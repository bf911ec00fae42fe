//! Where parts meet: what a request holds is given back, and how it ended is said once, whichever
//! way it ends.

mod answers;
mod bodies;
mod counts;
mod drains;
mod figures;
mod leaving;
mod once;
mod places;
mod reloads;

use std::thread;
use std::time::{Duration, Instant};

use chartward_tests::client::holds;
use chartward_tests::{Gateway, PATIENCE, Request, Script, Seen, Setup, Tokens, Upstream, plain};
use serde_json::{Value, json};

const PACK: &str = include_str!("packs/writes.toml");
const ROLES: [&str; 2] = ["editor", "clerk"];
const FHIR: &str = "application/fhir+json";
/// The answer to a batch of one write.
const BATCH: &str =
    r#"{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"200"}}]}"#;
/// What a slow answer of the upstream takes.
const SLOW: Duration = Duration::from_millis(800);

struct Stage {
    gateway: Gateway,
    upstream: Upstream,
    tokens: Tokens,
}

impl Stage {
    fn new(sections: &str) -> Self {
        Self::before(sections, chart)
    }

    fn before(sections: &str, answer: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> Self {
        let upstream = Upstream::start(answer);
        let tokens = Tokens::start();
        let setup = Setup::new(PACK, upstream.url())
            .issuer(tokens.trusted(&ROLES))
            .section(sections);
        Self {
            gateway: Gateway::start(setup),
            upstream,
            tokens,
        }
    }

    fn token(&self, role: &str) -> String {
        self.tokens.token("someone", &[role], "user/*.cruds")
    }

    /// The bytes of a request of a role's; the whole body is announced, `sent` of it is there.
    fn bytes(&self, role: &str, line: &str, more: &str, body: &str, sent: usize) -> Vec<u8> {
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Type: {FHIR}\r\nContent-Length: {length}\r\n"),
        };
        format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n{length}{more}\r\n{}",
            self.gateway.address(),
            self.token(role),
            body.get(..sent).unwrap_or_default()
        )
        .into_bytes()
    }

    fn put(&self, id: &str) -> Vec<u8> {
        let body = patient(id).to_string();
        let named = format!("X-Request-Id: put-{id}\r\n");
        let line = format!("PUT /fhir/Patient/{id}");
        self.bytes("editor", &line, &named, &body, body.len())
    }

    /// How many requests of this method reached the upstream under this id.
    fn reached(&self, method: &str, id: &str) -> usize {
        let seen = self.upstream.seen();
        let of = |seen: &&Seen| seen.method == method && seen.target.contains(id);
        seen.iter().filter(of).count()
    }

    /// The sum of all figures of this name whose labels hold this.
    fn sum(&self, name: &str, label: &str) -> u64 {
        sum(&self.gateway, name, label)
    }

    /// Waits until nothing is held for any request.
    fn at_rest(&self, what: &str) {
        for name in [
            "chartward_requests_open",
            "chartward_buffered_bytes",
            "chartward_upstream_requests_in_flight",
            "chartward_upstream_requests_waiting",
        ] {
            until(&format!("{name} after {what}"), || self.sum(name, "") == 0);
        }
    }

    fn closing(&self, id: &str) -> Value {
        closing(&self.gateway, id)
    }
}

fn sum(gateway: &Gateway, name: &str, label: &str) -> u64 {
    let text = plain::get(gateway.metrics(), "/metrics").text();
    let of = |line: &&str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(label))
    };
    let value = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
    let values = text.lines().filter(of).map(value);
    values
        .map(|value| value.expect("a whole number"))
        .reduce(|all, one| all + one)
        .unwrap_or_else(|| panic!("no `{name}` with `{label}` in\n{text}"))
}

fn closing(gateway: &Gateway, id: &str) -> Value {
    let records = gateway.records();
    let of = |r: &&Value| r["request_id"] == *id && r["phase"] == "closing";
    let found: Vec<&Value> = records.iter().filter(of).collect();
    match found[..] {
        [one] => one.clone(),
        _ => panic!("{} closing records of `{id}`: {records:#?}", found.len()),
    }
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn patient(id: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "id": id,
        "meta": { "versionId": "1" },
        "name": [{ "family": "Doe" }],
    })
}

/// A server with every patient but `missing`. What is slow waits: the question before a write of
/// `asked…`, the write of `written…`, the answer about `slow…`, the end of a search for `slow`.
fn chart(seen: &Seen) -> Script {
    let path = seen.target.split('?').next().unwrap_or_default();
    let id = path.split('/').nth(3).unwrap_or_default();
    let slow = match seen.method.as_str() {
        "GET" => id.starts_with("slow") || id.starts_with("asked"),
        _ => id.starts_with("written"),
    };
    let answer = match (seen.method.as_str(), id) {
        ("GET", "missing") => Script::json(404, r#"{"resourceType":"OperationOutcome"}"#),
        ("GET", "reset") => Script::new().reset(),
        ("GET", "") => return search(seen.target.contains("slow"), seen.target.contains("broken")),
        ("GET", id) => Script::json(200, &patient(id).to_string()),
        _ if path.trim_end_matches('/') == "/fhir" => Script::json(200, BATCH),
        _ => Script::json(200, &String::from_utf8_lossy(&seen.body)),
    };
    if slow {
        Script::new().wait(SLOW).then(answer)
    } else {
        answer
    }
}

/// More rows than a window holds, the end of them late or never.
fn search(slow: bool, broken: bool) -> Script {
    let row = json!({ "resource": {
        "resourceType": "Patient", "id": "many", "name": [{ "family": "x".repeat(8000) }],
    }, "search": { "mode": "match" } });
    let rows = vec![row.to_string(); 40].join(",");
    let first = format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{rows}"#);
    let whole = format!("{first}]}}");
    if broken {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 999999\r\n\r\n";
        let begun = Script::new().send(head.as_bytes()).send(first.as_bytes());
        return begun.wait(SLOW / 4).reset();
    }
    if slow {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: {}\r\n\r\n",
            whole.len()
        );
        let begun = Script::new().send(head.as_bytes()).send(first.as_bytes());
        return begun.wait(SLOW).send(b"]}");
    }
    Script::json(200, &whole)
}
