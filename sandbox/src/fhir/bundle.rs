//! Batch and transaction Bundles: their entries in, as acts; their answers out, in the order of the entries
//! (FHIR R4 §3.1.0.11).

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Method;
use serde_json::{Map, Value, json};

use super::act::{Act, Back, Fault, Payload, Place, Reply, Tags, Terms};
use super::{dates, links, page, patch, route};

/// A Bundle that asks for something.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) kind: Kind,
    pub(crate) entries: Vec<Entry>,
}

/// How its entries hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Batch,
    Transaction,
}

/// One entry; it may be refused by itself.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) full_url: Option<String>,
    pub(crate) act: Result<Act, Fault>,
}

/// Reads a Bundle. `outer` are the preferences of its request.
pub(crate) fn read(bundle: Value, base: &str, outer: &Terms) -> Result<Bundle, Fault> {
    let Value::Object(mut bundle) = bundle else {
        return Err(Fault::bad("structure", "the body isn't a Bundle"));
    };
    if bundle.get("resourceType").and_then(Value::as_str) != Some("Bundle") {
        return Err(Fault::bad("invalid", "the body isn't a Bundle"));
    }
    let kind = match bundle.get("type").and_then(Value::as_str) {
        Some("batch") => Kind::Batch,
        Some("transaction") => Kind::Transaction,
        _ => {
            let text = "the Bundle is neither a batch nor a transaction";
            return Err(Fault::bad("invalid", text));
        }
    };
    let mut entries = Vec::new();
    let mut named = HashSet::new();
    let held = match bundle.remove("entry") {
        None => Vec::new(),
        Some(Value::Array(held)) => held,
        Some(_) => return Err(Fault::bad("structure", "`entry` isn't an array")),
    };
    for entry in held {
        let Value::Object(mut entry) = entry else {
            return Err(Fault::bad("structure", "an entry isn't an object"));
        };
        let full_url = match entry.remove("fullUrl") {
            None => None,
            Some(Value::String(url)) if !url.is_empty() => Some(url),
            Some(_) => return Err(Fault::bad("structure", "a `fullUrl` is malformed")),
        };
        // bdl-7
        if full_url
            .as_ref()
            .is_some_and(|url| !named.insert(url.clone()))
        {
            return Err(Fault::bad("duplicate", "two entries have one `fullUrl`"));
        }
        entries.push(Entry {
            full_url,
            act: act(entry, base, outer),
        });
    }
    if kind == Kind::Batch {
        apart(&mut entries, &named);
    }
    Ok(Bundle { kind, entries })
}

/// Entries of a batch know nothing of one another: refuses those that do.
fn apart(entries: &mut [Entry], named: &HashSet<String>) {
    for entry in entries {
        let refers = match &mut entry.act {
            Ok(Act {
                payload: Payload::Resource(resource),
                ..
            }) => links::refers(resource, named.iter().map(String::as_str)),
            _ => false,
        };
        if refers {
            let text = "an entry of a batch refers to another";
            entry.act = Err(Fault::bad("invalid", text));
        }
    }
}

fn act(mut entry: Map<String, Value>, base: &str, outer: &Terms) -> Result<Act, Fault> {
    let Some(Value::Object(request)) = entry.remove("request") else {
        return Err(Fault::bad("required", "an entry has no `request`"));
    };
    let text = |key: &str| match request.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(malformed(key)),
    };
    let method = match text("method")? {
        Some("GET") => Method::GET,
        Some("HEAD") => Method::HEAD,
        Some("POST") => Method::POST,
        Some("PUT") => Method::PUT,
        Some("PATCH") => Method::PATCH,
        Some("DELETE") => Method::DELETE,
        _ => return Err(malformed("method")),
    };
    let url = text("url")?.ok_or_else(|| malformed("url"))?;
    let url = url.strip_prefix(base).unwrap_or(url);
    let url = url.strip_prefix('/').unwrap_or(url);
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let place = route::place(path)?;
    route::allow(&method, &place)?;
    if method == Method::POST && place == Place::Base {
        let text = "a Bundle in a Bundle is not supported";
        return Err(Fault::bad("not-supported", text));
    }
    let tags = |key: &str| match text(key)? {
        None => Ok(None),
        Some(tags) => Tags::parse(tags).map(Some).ok_or_else(|| malformed(key)),
    };
    let since = match text("ifModifiedSince")? {
        None => None,
        Some(since) => {
            let span = dates::span(since).filter(|_| since.contains('T'));
            Some(span.ok_or_else(|| malformed("ifModifiedSince"))?.0)
        }
    };
    let terms = Terms {
        if_match: tags("ifMatch")?,
        if_none_match: tags("ifNoneMatch")?,
        if_modified_since: since,
        if_none_exist: text("ifNoneExist")?.map(str::to_owned),
        // Answers of a Bundle are short unless told otherwise.
        back: match outer.back {
            Back::Unsaid => Back::Minimal,
            back => back,
        },
        handling: outer.handling,
    };
    let payload = payload(&method, &place, entry.remove("resource"))?;
    Ok(Act {
        method,
        place,
        query: query.to_owned(),
        terms,
        payload,
    })
}

fn payload(method: &Method, place: &Place, resource: Option<Value>) -> Result<Payload, Fault> {
    let writes = matches!(place, Place::Type(_) | Place::Instance(..))
        && (method == Method::POST || method == Method::PUT);
    match resource {
        Some(resource) if writes => Ok(Payload::Resource(resource)),
        Some(resource) if method == Method::PATCH => {
            let text = |key| resource.get(key).and_then(Value::as_str);
            let json = text("resourceType") == Some("Binary")
                && text("contentType") == Some("application/json-patch+json");
            if !json {
                return Err(patch::unsupported());
            }
            let document = text("data").and_then(|data| STANDARD.decode(data).ok());
            let document = document.ok_or_else(|| malformed("data"))?;
            Ok(Payload::Patch(patch::read(&document)?))
        }
        Some(_) => Err(Fault::bad("invalid", "the entry takes no `resource`")),
        None if writes || method == Method::PATCH => {
            Err(Fault::bad("required", "an entry has no `resource`"))
        }
        None => Ok(Payload::None),
    }
}

fn malformed(key: &str) -> Fault {
    Fault::bad(
        "value",
        format!("`{key}` of an entry is missing or malformed"),
    )
}

/// The Bundle that answers, with an entry for each that was asked.
pub(crate) fn answer(kind: Kind, replies: &[Result<Reply, Fault>]) -> Bytes {
    let kind = match kind {
        Kind::Batch => "batch-response",
        Kind::Transaction => "transaction-response",
    };
    let mut out = Vec::new();
    page::start(&mut out, kind, None, &[]);
    for (place, reply) in replies.iter().enumerate() {
        let start: &[u8] = if place == 0 { br#","entry":["# } else { b"," };
        out.extend_from_slice(start);
        entry(&mut out, reply);
    }
    if !replies.is_empty() {
        out.push(b']');
    }
    out.push(b'}');
    out.into()
}

fn entry(out: &mut Vec<u8>, reply: &Result<Reply, Fault>) {
    let mut response = Map::new();
    let (status, body, outcome) = match reply {
        Ok(reply) => {
            if let Some(location) = &reply.location {
                response.insert("location".into(), json!(location));
            }
            if let Some(etag) = reply.etag.as_ref().and_then(|etag| etag.to_str().ok()) {
                response.insert("etag".into(), json!(etag));
            }
            if let Some(updated) = &reply.updated {
                response.insert("lastModified".into(), json!(updated));
            }
            (reply.status, reply.body.clone(), reply.outcome.clone())
        }
        Err(fault) => (fault.status, None, Some(fault.outcome(None))),
    };
    // `status` first, as everybody writes it.
    let mut whole = Map::from_iter([("status".to_owned(), json!(status.to_string()))]);
    whole.extend(response);
    out.push(b'{');
    if let Some(body) = body {
        out.extend_from_slice(br#""resource":"#);
        out.extend_from_slice(&body);
        out.push(b',');
    }
    let mut response = Value::Object(whole).to_string().into_bytes();
    if let Some(outcome) = outcome {
        response.pop();
        response.extend_from_slice(br#","outcome":"#);
        response.extend_from_slice(&outcome);
        response.push(b'}');
    }
    out.extend_from_slice(br#""response":"#);
    out.extend_from_slice(&response);
    out.push(b'}');
}
