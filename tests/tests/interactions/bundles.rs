//! Every kind of entry, in a batch and in a transaction.

use chartward_tests::{Response, Seen};
use serde_json::{Value, json};

/// Which right an entry needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Read,
    More,
    /// Refused to everybody with 400.
    Never,
}
use Needs::{More, Never, Read};

/// A kind of entry: its name, method and URL, what it carries, what it needs, and its status
/// where it is permitted.
struct Kind {
    name: &'static str,
    method: &'static str,
    url: &'static str,
    /// The id of a resource that is carried; empty for one without an id.
    row: Option<&'static str>,
    more: Option<(&'static str, &'static str)>,
    needs: Needs,
    status: &'static [&'static str],
}

const fn kind(
    name: &'static str,
    method: &'static str,
    url: &'static str,
    needs: Needs,
    status: &'static [&'static str],
) -> Kind {
    Kind {
        name,
        method,
        url,
        row: None,
        more: None,
        needs,
        status,
    }
}

impl Kind {
    const fn row(mut self, id: &'static str) -> Self {
        self.row = Some(id);
        self
    }

    const fn more(mut self, name: &'static str, value: &'static str) -> Self {
        self.more = Some((name, value));
        self
    }

    fn entry(&self, of: &str) -> Value {
        let mut request = json!({ "method": self.method, "url": self.url.replace("{T}", of) });
        if let Some((name, value)) = self.more {
            request[name] = json!(value);
        }
        let mut entry = json!({ "request": request });
        match self.row {
            Some("") => entry["resource"] = json!({ "resourceType": of }),
            Some("patch") => {
                // [{"op":"add","path":"/language","value":"en"}]
                let data = "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2xhbmd1YWdlIiwidmFsdWUiOiJlbiJ9XQ==";
                entry["resource"] = json!({
                    "resourceType": "Binary",
                    "contentType": "application/json-patch+json",
                    "data": data,
                });
            }
            Some(id) => entry["resource"] = json!({ "resourceType": of, "id": id }),
            None => {}
        }
        entry
    }

    fn statuses(&self, caller: &str) -> &'static [&'static str] {
        match (self.needs, caller) {
            (Never, _) => &["400"],
            (Read, "reader") | (_, "all") => self.status,
            _ => &["403"],
        }
    }
}

const OK: &[&str] = &["200"];
const MADE: &[&str] = &["201"];
const GONE: &[&str] = &["200", "204"];

const KINDS: [Kind; 15] = [
    kind("read", "GET", "{T}/x", Read, OK),
    kind("head", "HEAD", "{T}/x", Never, &[]),
    kind("search", "GET", "{T}?_id=x", More, OK),
    kind("create", "POST", "{T}", More, MADE).row(""),
    kind("create-if-none", "POST", "{T}", More, MADE)
        .row("")
        .more("ifNoneExist", "_id=none"),
    kind("update", "PUT", "{T}/u1", More, OK).row("u1"),
    kind("update-if-match", "PUT", "{T}/u2", More, OK)
        .row("u2")
        .more("ifMatch", "W/\"1\""),
    kind("update-found", "PUT", "{T}?_id=u3", More, OK).row(""),
    kind("patch", "PATCH", "{T}/p1", More, OK).row("patch"),
    kind("delete", "DELETE", "{T}/d1", More, GONE),
    kind("delete-found", "DELETE", "{T}?_id=d2", More, GONE),
    kind("operation", "GET", "{T}/$x", Never, &[]),
    kind("unknown-type", "GET", "Nonsense/x", Never, &[]),
    kind("unknown-method", "BREW", "{T}/x", Never, &[]),
    kind(
        "elsewhere",
        "GET",
        "https://other.invalid/fhir/{T}/x",
        Never,
        &[],
    ),
];

fn bundle(kind: &str, entries: &[Value]) -> Value {
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries })
}

/// One batch of all kinds: each entry is answered in its place, as is due to the caller.
pub fn batch(of: &str, caller: &str, send: impl Fn(&str, &Value) -> Response) -> Vec<String> {
    let entries: Vec<Value> = KINDS.iter().map(|kind| kind.entry(of)).collect();
    let id = format!("{caller}.batch.{of}");
    let answer = send(&id, &bundle("batch", &entries));
    if answer.status != 200 {
        return vec![format!("{id}: {} {}", answer.status, answer.text())];
    }
    let body = answer.json();
    let came = body["entry"].as_array().cloned().unwrap_or_default();
    let mut faults = Vec::new();
    if came.len() != KINDS.len() {
        faults.push(format!("{id}: {} entries", came.len()));
    }
    for (kind, entry) in KINDS.iter().zip(&came) {
        let status = entry["response"]["status"].as_str().unwrap_or_default();
        let code = status.get(..3).unwrap_or_default();
        if !kind.statuses(caller).contains(&code) {
            faults.push(format!("{id} {}: {entry}", kind.name));
        }
    }
    faults
}

/// A transaction for each kind, beside a good entry where the caller has one: it is whole or
/// refused.
pub fn transactions(
    of: &str,
    caller: &str,
    send: impl Fn(&str, &Value) -> Response,
) -> Vec<String> {
    let mut faults = Vec::new();
    for kind in &KINDS {
        let id = format!("{caller}.transaction.{}.{of}", kind.name);
        let id = &id[..id.len().min(64)];
        let answer = send(id, &bundle("transaction", &[kind.entry(of)]));
        let due = kind.statuses(caller);
        let permitted = due == kind.status && kind.needs != Never;
        let fits = if permitted {
            let body = answer.json();
            let status = body["entry"][0]["response"]["status"].as_str();
            let code = status.and_then(|s| s.get(..3)).unwrap_or_default();
            answer.status == 200 && due.contains(&code)
        } else {
            due.contains(&answer.status.to_string().as_str())
        };
        if !fits {
            faults.push(format!("{id}: {} {}", answer.status, answer.text()));
        }
    }
    faults
}

/// What of a request at the upstream its caller has no right to; and how many entries it has.
pub fn undecided(id: &str, seen: &Seen) -> (usize, Vec<String>) {
    let caller = id.split('.').next().unwrap_or_default();
    let may = |method: &str, url: &str| match caller {
        "reader" => method == "GET" && url.ends_with("/x"),
        "all" => !url.contains('$') && !url.contains("Nonsense") && !url.contains("://"),
        _ => false,
    };
    let mut faults = Vec::new();
    if seen.method != "POST" {
        // a question of the gateway's own: it asks, and changes nothing
        if seen.method != "GET" {
            faults.push(format!("{id}: {} {}", seen.method, seen.target));
        }
        return (0, faults);
    }
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let entries = body["entry"].as_array().cloned().unwrap_or_default();
    if entries.is_empty() {
        faults.push(format!("{id}: a Bundle of nothing"));
    }
    for entry in &entries {
        let word = |key: &str| entry["request"][key].as_str().unwrap_or_default();
        if !may(word("method"), word("url")) {
            faults.push(format!("{id}: {}", entry["request"]));
        }
    }
    (entries.len(), faults)
}
