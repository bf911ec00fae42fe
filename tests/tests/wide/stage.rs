//! A scripted upstream that answers Bundles entry by entry, and a pack with a narrow role.

use chartward_tests::{Client, Gateway, Request, Response, Script, Seen, Setup, Tokens, Upstream};
use serde_json::{Value, json};

pub const PACK: &str = include_str!("../packs/writes.toml");
pub const ROLES: [&str; 5] = ["editor", "clerk", "desk", "feed", "reader"];
/// In everything that must not leave.
pub const MARKER: &str = "zq7-hidden";

pub struct Wide {
    pub gateway: Gateway,
    pub upstream: Upstream,
    pub tokens: Tokens,
    pub client: Client,
}

impl Wide {
    pub fn open(
        more: impl FnOnce(Setup) -> Setup,
        answer: impl Fn(&Seen) -> Script + Send + Sync + 'static,
    ) -> Self {
        let upstream = Upstream::start(answer);
        let tokens = Tokens::start();
        let setup = Setup::new(PACK, upstream.url()).issuer(tokens.trusted(&ROLES));
        let gateway = Gateway::start(more(setup));
        let client = gateway.client();
        Self {
            gateway,
            upstream,
            tokens,
            client,
        }
    }

    pub fn token(&self, role: &str) -> String {
        self.tokens.token("someone", &[role], "user/*.cruds")
    }

    pub fn send(&self, role: &str, request: Request) -> Response {
        self.client.send(request.bearer(&self.token(role)))
    }

    pub fn get(&self, role: &str, target: &str) -> Response {
        self.send(role, Request::get(target))
    }

    pub fn post(&self, role: &str, bundle: &Value) -> Response {
        self.send(role, posted(bundle))
    }

    /// The records of one request.
    pub fn records(&self, answer: &Response) -> Vec<Value> {
        let id = answer.header("x-request-id").to_owned();
        let all = self.gateway.records().into_iter();
        all.filter(|r| r["request_id"] == *id).collect()
    }
}

pub fn posted(bundle: &Value) -> Request {
    Request::new("POST", "/fhir").body("application/fhir+json", bundle.to_string().as_bytes())
}

pub fn bundle(kind: &str, entries: &[Value]) -> Value {
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries })
}

pub fn ask(method: &str, url: &str) -> Value {
    json!({ "request": { "method": method, "url": url } })
}

pub fn write(method: &str, url: &str, resource: &Value) -> Value {
    json!({ "request": { "method": method, "url": url }, "resource": resource })
}

pub fn patient(id: &str) -> Value {
    json!({ "resourceType": "Patient", "id": id, "meta": { "versionId": "1" }, "gender": "female" })
}

/// A row that only the editor sees, full of what must not leave.
pub fn secret(id: &str) -> Value {
    json!({
        "resourceType": "Patient", "id": id,
        "meta": { "versionId": "1", "security": [{ "code": "PSY" }] },
        "name": [{ "family": MARKER }],
    })
}

pub fn set(rows: &[Value], next: Option<&str>) -> Value {
    let rows = rows.iter();
    let entries: Vec<Value> = rows
        .map(|row| json!({ "resource": row, "search": { "mode": "match" } }))
        .collect();
    let mut set =
        json!({ "resourceType": "Bundle", "type": "searchset", "total": 4711, "entry": entries });
    if let Some(next) = next {
        set["link"] = json!([{ "relation": "next", "url": next }]);
    }
    set
}

pub fn statuses(answer: &Response) -> Vec<String> {
    let body = answer.json();
    let entries = body["entry"].as_array().cloned().unwrap_or_default();
    let of = |entry: &Value| {
        entry["response"]["status"]
            .as_str()
            .unwrap_or("")
            .to_owned()
    };
    entries.iter().map(of).collect()
}

/// The entries of a Bundle that reached the upstream.
pub fn sent(seen: &Seen) -> Vec<Value> {
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or(Value::Null);
    body["entry"].as_array().cloned().unwrap_or_default()
}
