//! A server that has a row `x` of every type and does everything that it is asked.

use chartward_tests::{Script, Seen};
use serde_json::{Value, json};

fn row(kind: &str, id: &str) -> Value {
    json!({ "resourceType": kind, "id": id, "meta": { "versionId": "1" } })
}

fn set(kind: &str, rows: &[Value]) -> Value {
    let entries: Vec<Value> = rows
        .iter()
        .map(|row| {
            let name = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let url = format!("{}/{}", name("resourceType"), name("id"));
            match kind {
                "history" => json!({
                    "fullUrl": format!("http://server.invalid/{url}"),
                    "resource": row,
                    "request": { "method": "PUT", "url": url },
                    "response": { "status": "200", "etag": "W/\"1\"" },
                }),
                _ => json!({ "resource": row }),
            }
        })
        .collect();
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries })
}

/// Status, the place of a new row, and the body of an answer to a request or an entry.
fn act(method: &str, url: &str) -> (u16, Option<String>, Value) {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let found = |kind: &str| {
        let id = query.split('&').find_map(|pair| pair.strip_prefix("_id="));
        match id {
            Some("none") => Vec::new(),
            id => vec![row(kind, id.unwrap_or("x"))],
        }
    };
    match (method, parts.as_slice()) {
        ("GET", []) | ("POST", ["_search"]) => (200, None, set("searchset", &found("Patient"))),
        ("GET", ["_history"]) => (200, None, set("history", &[row("Patient", "x")])),
        ("GET", [kind, "_history"]) => (200, None, set("history", &[row(kind, "x")])),
        ("GET", [kind, id, "_history"]) => (200, None, set("history", &[row(kind, id)])),
        ("GET", [kind, id, "_history", _]) => (200, None, row(kind, id)),
        ("GET", [kind]) => (200, None, set("searchset", &found(kind))),
        ("POST", [kind, "_search"] | [_, _, kind, "_search"]) | ("GET", [_, _, kind]) => {
            (200, None, set("searchset", &[row(kind, "x")]))
        }
        ("GET" | "PUT" | "PATCH", [kind, id]) => (200, None, row(kind, id)),
        ("POST", [kind]) => {
            let place = format!("{kind}/new/_history/1");
            (201, Some(place), row(kind, "new"))
        }
        ("DELETE", _) => (204, None, Value::Null),
        _ => (400, None, Value::Null),
    }
}

/// The whole answer to a request.
pub fn answer(seen: &Seen) -> Script {
    let below = seen.target.strip_prefix("/fhir").unwrap_or("");
    if seen.method == "POST" && below.trim_matches('/').is_empty() {
        return Script::json(200, &process(&seen.body).to_string());
    }
    let met = seen
        .header("if-none-exist")
        .is_some_and(|query| query.contains("_id=x"));
    let (status, place, body) = if seen.method == "POST" && met {
        act("GET", &format!("{below}/x"))
    } else {
        act(&seen.method, below)
    };
    let mut headers = "Content-Type: application/fhir+json\r\nETag: W/\"1\"\r\n".to_owned();
    if let Some(place) = place {
        headers.push_str(&format!("Location: /fhir/{place}\r\n"));
    }
    if body.is_null() {
        Script::new().send(format!("HTTP/1.1 {status} Scripted\r\n\r\n").as_bytes())
    } else {
        Script::whole(status, &headers, body.to_string().as_bytes())
    }
}

/// A batch or a transaction, entry by entry.
fn process(body: &[u8]) -> Value {
    let bundle: Value = serde_json::from_slice(body).unwrap_or_default();
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let done: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let word = |key: &str| entry["request"][key].as_str().unwrap_or_default();
            let (status, place, resource) = act(word("method"), word("url"));
            let mut response = json!({ "status": status.to_string(), "etag": "W/\"1\"" });
            if let Some(place) = place {
                response["location"] = json!(place);
            }
            let mut out = json!({ "response": response });
            if !resource.is_null() {
                out["resource"] = resource;
            }
            out
        })
        .collect();
    let kind = bundle["type"].as_str().unwrap_or_default();
    json!({ "resourceType": "Bundle", "type": format!("{kind}-response"), "entry": done })
}
