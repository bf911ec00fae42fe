//! Batches and transactions: each entry is decided and judged as a request of its own.

mod alike;
mod hostile;
#[path = "../support/mod.rs"]
mod support;

use std::sync::{Arc, OnceLock};

use chartward_rules::pack::Program;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::store::{Asks, Reply, Store, request};
use support::{pack, subject};

const PACK: &str = r#"
pack = "batches"
fhir = "R4"

[[role]]
name = "all"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Patient", "Observation"]
  can = ["read", "search", "history", "create", "update", "patch", "delete"]
  sensitive = ["*"]

[[role]]
name = "some"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Observation"]
  can = ["read", "search", "history", "create", "update", "patch", "delete"]
  where = "status=final"
  [[role.grant]]
  on = ["Patient"]
  can = ["read", "search", "create"]
  show = ["name"]
"#;

fn store() -> Store {
    let row = |id: &str, status: &str| {
        json!({
            "resourceType": "Observation", "id": id, "status": status, "identifier": [{"value": id}],
            "code": {"text": "c"}, "subject": {"reference": "Patient/p1"},
        })
    };
    Store::of(&[
        row("open", "final"),
        row("second", "final"),
        row("hidden", "preliminary"),
        json!({"resourceType": "Patient", "id": "p1", "name": [{"family": "A"}], "birthDate": "1970-01-01"}),
    ])
}

fn observation(id: Option<&str>, status: &str) -> Value {
    let mut row = json!({"resourceType": "Observation", "status": status, "code": {"text": "n"}});
    if let Some(id) = id {
        row["id"] = json!(id);
    }
    row
}

/// What an entry can ask.
#[derive(Debug, Clone)]
struct Entry {
    method: &'static str,
    url: String,
    resource: Option<Value>,
    if_match: Option<&'static str>,
    if_none_exist: Option<&'static str>,
}

impl Entry {
    fn new(method: &'static str, url: impl Into<String>, resource: Option<Value>) -> Self {
        let (if_match, if_none_exist) = (None, None);
        Self {
            method,
            url: url.into(),
            resource,
            if_match,
            if_none_exist,
        }
    }

    fn json(&self) -> Value {
        let mut entry = json!({"request": {"method": self.method, "url": self.url}});
        if let Some(resource) = &self.resource {
            entry["resource"] = match self.method {
                // a patch in a Bundle is a Binary
                "PATCH" => json!({
                    "resourceType": "Binary", "contentType": "application/json-patch+json",
                    "data": base64(resource.to_string().as_bytes()),
                }),
                _ => resource.clone(),
            };
        }
        if let Some(version) = self.if_match {
            entry["request"]["ifMatch"] = json!(version);
        }
        if let Some(condition) = self.if_none_exist {
            entry["request"]["ifNoneExist"] = json!(condition);
        }
        entry
    }

    fn alone(&self) -> Asks<'_> {
        Asks {
            method: self.method,
            target: &self.url,
            body: self.resource.clone(),
            if_match: self.if_match,
            if_none_exist: self.if_none_exist,
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * i) & 63) as usize] as char;
            out.push(if i <= chunk.len() { letter } else { '=' });
        }
    }
    out
}

/// Every kind of entry, for rows that are there, hidden and missing.
fn kinds() -> Vec<Entry> {
    let mut all = vec![
        Entry::new("GET", "Observation?status=final", None),
        Entry::new("GET", "Observation?nonsense=1", None),
        Entry::new("GET", "Observation?note=1", None),
        Entry::new("GET", "Patient/p1", None),
        Entry::new("GET", "Patient?birthdate=1970-01-01", None),
        Entry::new("GET", "Organization/o1", None),
        Entry::new("GET", "Patient/p1/Observation", None),
        Entry::new("GET", "?_type=Observation,Patient&_id=open,hidden,p1", None),
        Entry::new("GET", "Observation/_history", None),
        Entry::new("POST", "Observation", Some(observation(None, "final"))),
        Entry::new(
            "POST",
            "Observation",
            Some(observation(None, "preliminary")),
        ),
        Entry::new(
            "POST",
            "Patient",
            Some(json!({"resourceType": "Patient", "birthDate": "1970-01-01"})),
        ),
        Entry::new(
            "PUT",
            "Patient/p1",
            Some(json!({"resourceType": "Patient", "id": "p1"})),
        ),
        Entry {
            if_none_exist: Some("identifier=open"),
            ..Entry::new("POST", "Observation", Some(observation(None, "final")))
        },
    ];
    for id in ["open", "hidden", "missing"] {
        let patch = json!([{"op": "add", "path": "/note", "value": [{"text": "n"}]}]);
        for entry in [
            Entry::new("GET", format!("Observation/{id}"), None),
            Entry::new("GET", format!("Observation/{id}/_history/1"), None),
            Entry::new("GET", format!("Observation/{id}/_history"), None),
            Entry::new(
                "PUT",
                format!("Observation/{id}"),
                Some(observation(Some(id), "final")),
            ),
            Entry::new(
                "PUT",
                format!("Observation/{id}"),
                Some(observation(Some(id), "amended")),
            ),
            Entry::new(
                "PUT",
                format!("Observation?identifier={id}"),
                Some(observation(None, "final")),
            ),
            Entry::new("PATCH", format!("Observation/{id}"), Some(patch.clone())),
            Entry::new(
                "PATCH",
                format!("Observation?identifier={id}"),
                Some(patch.clone()),
            ),
            Entry::new("DELETE", format!("Observation/{id}"), None),
            Entry::new("DELETE", format!("Observation?identifier={id}"), None),
        ] {
            let stale = Entry {
                if_match: Some("W/\"9\""),
                ..entry.clone()
            };
            if matches!(entry.method, "PUT" | "PATCH" | "DELETE") {
                all.push(stale);
            }
            all.push(entry);
        }
    }
    all
}

fn bundle(kind: &str, entries: &[Entry]) -> Value {
    let entries: Vec<Value> = entries.iter().map(Entry::json).collect();
    json!({"resourceType": "Bundle", "type": kind, "entry": entries})
}

fn program() -> Arc<Program> {
    static PROGRAM: OnceLock<Arc<Program>> = OnceLock::new();
    PROGRAM.get_or_init(|| pack(PACK)).clone()
}

fn send(role: &str, store: &mut Store, kind: &str, entries: &[Entry]) -> Reply {
    let body = bundle(kind, entries);
    request(
        &program(),
        &subject(&[role]),
        store,
        &Asks::with("POST", "/", body),
    )
}

/// What a single request's answer is as an entry.
fn as_entry(reply: &Reply) -> Value {
    let body = reply.json();
    let mut entry = json!({"response": {"status": reply.status.to_string()}});
    if let Some((_, location)) = reply.headers.iter().find(|(name, _)| *name == "location") {
        entry["response"]["location"] = json!(location);
    }
    if reply.status >= 400 {
        entry["response"]["outcome"] = body;
    } else if !body.is_null() {
        entry["resource"] = body;
    }
    entry
}

#[test]
fn a_batch_of_one_is_the_request_alone() {
    for role in ["all", "some"] {
        for entry in kinds() {
            let (mut one, mut other) = (store(), store());
            let mut asks = entry.alone();
            let target = format!("/{}", entry.url);
            asks.target = &target;
            let alone = request(&program(), &subject(&[role]), &mut one, &asks);
            let reply = send(role, &mut other, "batch", std::slice::from_ref(&entry));
            assert_eq!(reply.status, 200, "{role} {entry:?} {reply:?}");
            let bundle = reply.json();
            assert_eq!(bundle["type"], "batch-response");
            assert_eq!(
                bundle["entry"],
                json!([as_entry(&alone)]),
                "{role} {entry:?}"
            );
            assert_eq!(one.rows, other.rows, "{role} {entry:?}");
            let questions = |store: &Store| -> Vec<String> {
                store
                    .trace
                    .iter()
                    .filter(|t| t.starts_with('?'))
                    .cloned()
                    .collect()
            };
            assert_eq!(questions(&one), questions(&other), "{role} {entry:?}");
            assert_eq!(one.trace.len(), other.trace.len(), "{role} {entry:?}");
        }
    }
}

#[test]
fn a_transaction_with_a_refused_entry_is_refused_whole() {
    let write = Entry::new("POST", "Observation", Some(observation(None, "final")));
    for (role, entry, status, reason) in [
        (
            "some",
            Entry::new("GET", "Organization/o1", None),
            403,
            "not-granted Organization",
        ),
        (
            "some",
            Entry::new("GET", "Observation/hidden", None),
            404,
            "not-found",
        ),
        (
            "some",
            Entry::new("GET", "Observation/missing", None),
            404,
            "not-found",
        ),
        (
            "some",
            Entry::new("DELETE", "Observation/hidden", None),
            404,
            "not-found",
        ),
        (
            "some",
            Entry::new("GET", "Observation/open/_history/1", None),
            400,
            "not-supported vread in a transaction",
        ),
        (
            "some",
            Entry::new(
                "PUT",
                "Patient/p1",
                Some(json!({"resourceType": "Patient", "id": "p1"})),
            ),
            403,
            "not-granted Patient",
        ),
        (
            "some",
            Entry::new(
                "POST",
                "Patient",
                Some(json!({"resourceType": "Patient", "gender": "male"})),
            ),
            422,
            "element-not-writable Patient.gender",
        ),
    ] {
        let mut server = store();
        let before = server.rows.clone();
        let reply = send(
            role,
            &mut server,
            "transaction",
            &[write.clone(), entry.clone()],
        );
        assert_eq!(
            (reply.status, reply.reason().as_str()),
            (status, reason),
            "{entry:?}"
        );
        assert_eq!(server.rows, before, "{entry:?}");
        assert!(
            server.trace.iter().all(|t| t.starts_with("? GET")),
            "{:?}",
            server.trace
        );
    }
    let mut server = store();
    let read = Entry::new("GET", "Observation/open", None);
    let reply = send("some", &mut server, "transaction", &[write, read]);
    assert_eq!(reply.json()["type"], "transaction-response");
    let statuses = ["201", "200"].map(|s| json!(s));
    let entries = reply.json()["entry"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    assert!(
        entries
            .iter()
            .map(|e| &e["response"]["status"])
            .eq(&statuses),
        "{reply:?}"
    );
    assert_eq!(server.trace, ["? GET /Observation/open", "POST /"]);
}

#[test]
fn a_batch_that_is_refused_whole_reaches_no_server() {
    let entries = [
        Entry::new("GET", "Organization/o1", None),
        Entry::new("GET", "Nonsense/1", None),
    ];
    let mut server = store();
    let reply = send("some", &mut server, "batch", &entries);
    assert_eq!(reply.status, 200);
    let codes: Vec<Value> = (0..2)
        .map(|i| reply.json()["entry"][i]["response"]["status"].clone())
        .collect();
    assert_eq!(codes, ["403", "400"]);
    assert!(server.trace.is_empty());
    let reply = send("some", &mut server, "batch", &[]);
    assert_eq!(
        reply.body,
        r#"{"resourceType":"Bundle","type":"batch-response"}"#
    );
}

#[test]
fn answers_that_cannot_be_paired_are_a_fault() {
    let read = Entry::new("GET", "Observation/open", None);
    let entries = [read.clone(), read];
    let answer = |statuses: &[&str]| {
        let entries: Vec<Value> = statuses
            .iter()
            .map(|status| json!({"resource": observation(Some("open"), "final"), "response": {"status": status}}))
            .collect();
        json!({"resourceType": "Bundle", "type": "batch-response", "entry": entries})
    };
    for (said, status) in [
        (answer(&["200 OK", "200"]), 200),
        (answer(&["200"]), 502),
        (answer(&["200", "200", "200"]), 502),
        (answer(&["200", "fine"]), 502),
        (answer(&["200", "2000"]), 502),
        (json!({"resourceType": "Bundle", "type": "searchset"}), 502),
    ] {
        let mut server = store();
        server.instead = Some((200, said.clone()));
        let reply = send("some", &mut server, "batch", &entries);
        assert_eq!(reply.status, status, "{said} {reply:?}");
    }
    // another's row in an entry's place
    let mut server = store();
    let mut swapped = answer(&["200", "200"]);
    swapped["entry"][1]["resource"]["id"] = json!("second");
    server.instead = Some((200, swapped));
    assert_eq!(send("some", &mut server, "batch", &entries).status, 502);
}

#[test]
fn the_servers_own_words_do_not_leave() {
    let words = json!({"resourceType": "OperationOutcome", "issue": [{"diagnostics": "secret"}]});
    let mut server = store();
    server.instead = Some((
        200,
        json!({
            "resourceType": "Bundle", "type": "batch-response", "id": "secret", "meta": {"tag": [{"code": "secret"}]},
            "link": [{"relation": "self", "url": "http://secret"}],
            "entry": [
                {"fullUrl": "http://secret", "response": {"status": "422 secret", "outcome": words, "location": "http://secret/Observation/1"}},
                {"response": {"status": "201 secret", "outcome": words, "location": "http://secret/Observation/7/_history/1"}},
            ],
        }),
    ));
    let create = Entry::new("POST", "Observation", Some(observation(None, "final")));
    let reply = send("some", &mut server, "batch", &[create.clone(), create]);
    assert_eq!(reply.status, 200);
    assert!(!reply.body.contains("secret"), "{}", reply.body);
    let entry = &reply.json()["entry"][1];
    let location = "https://gw/fhir/Observation/7/_history/1";
    assert_eq!(
        *entry,
        json!({"response": {"status": "201", "location": location}})
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is refused in between, each entry's answer stands where the entry stood, and is
    /// what the entry alone would have got.
    #[test]
    fn the_order_of_entries_is_kept(picks in prop::collection::vec(0usize..200, 0..12), all in any::<bool>()) {
        let role = if all { "all" } else { "some" };
        let kinds: Vec<Entry> = kinds().into_iter().filter(|e| e.method == "GET").collect();
        let entries: Vec<Entry> = picks.iter().map(|i| kinds[i % kinds.len()].clone()).collect();
        let reply = send(role, &mut store(), "batch", &entries);
        let got = reply.json()["entry"].as_array().cloned().unwrap_or_default();
        let expected: Vec<Value> = entries
            .iter()
            .map(|entry| {
                let target = format!("/{}", entry.url);
                as_entry(&request(&program(), &subject(&[role]), &mut store(), &Asks::new("GET", &target)))
            })
            .collect();
        prop_assert_eq!(got, expected);
    }
}
