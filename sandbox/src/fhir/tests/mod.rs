//! The server over real sockets, concern by concern.

mod batches;
mod conditions;
mod histories;
mod model;
mod races;
mod reads;
mod running;
mod searches;
mod transactions;
mod writes;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{HeaderMap, Request};
use serde_json::{Value, json};

use super::{Server, Store};
use crate::client::send;

const PATCH: (&str, &str) = ("content-type", "application/json-patch+json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const ALL: (&str, &str) = ("prefer", "return=representation");

/// An answer, its body parsed.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: HeaderMap,
    bytes: Bytes,
    body: Value,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default()
    }

    /// The issue type of an OperationOutcome.
    fn code(&self) -> &str {
        let code = self.body["issue"][0]["code"].as_str();
        code.unwrap_or_default()
    }

    /// Ids of the resources of a Bundle.
    fn ids(&self) -> Vec<&str> {
        let entries = self.body["entry"].as_array().map_or(&[][..], Vec::as_slice);
        let ids = entries.iter().map(|entry| entry["resource"]["id"].as_str());
        ids.map(Option::unwrap).collect()
    }

    /// Path and query of the link to the next page.
    fn next(&self, server: &Server) -> Option<String> {
        let links = self.body["link"].as_array().unwrap();
        let next = links.iter().find(|link| link["relation"] == "next")?;
        let url = next["url"].as_str().unwrap();
        let origin = format!("http://{}", server.addr());
        Some(url.strip_prefix(&origin).unwrap().to_owned())
    }
}

/// Asks with a body of bytes.
async fn raw(
    server: &Server,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Got {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    let answer = send(server.addr(), request).await;
    Got {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: serde_json::from_slice(answer.body()).unwrap_or(Value::Null),
        bytes: answer.into_body(),
    }
}

/// Asks with FHIR JSON, unless the fields say another type.
async fn ask(
    server: &Server,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Got {
    let mut headers = headers.to_vec();
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        headers.push(("content-type", "application/fhir+json"));
    }
    raw(server, method, target, &headers, body.to_string()).await
}

async fn get(server: &Server, target: &str) -> Got {
    raw(server, "GET", target, &[], "").await
}

async fn start(store: Store) -> Server {
    Server::start(store, "127.0.0.1:0".parse().unwrap())
        .await
        .unwrap()
}

/// Patients `a`, `b` and `c`; `a` has an Observation `o`.
async fn server() -> Server {
    let mut store = Store::new();
    for id in ["a", "b", "c"] {
        store.insert(patient(id)).unwrap();
    }
    store.insert(observation("o", "Patient/a")).unwrap();
    start(store).await
}

fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "gender": "female", "active": id == "a",
        "identifier": [{"system": "urn:mrn", "value": id}]})
}

/// A patient who has no id yet.
fn newcomer(mrn: &str) -> Value {
    json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": mrn}]})
}

fn observation(id: &str, subject: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
        "subject": {"reference": subject}})
}

/// Everything that tests compare: rows and versions.
fn whole(server: &Server) -> (Value, Value) {
    let store = server.store();
    (store.dump(), store.dump_versions())
}
