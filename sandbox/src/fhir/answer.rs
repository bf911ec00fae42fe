//! Answers as HTTP: what was done and what was refused, with the header fields that say so.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED, LOCATION};
use hyper::{Response, StatusCode};

use super::act::{Fault, Reply};
use crate::http1::Answer;

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");
/// RFC 5789 §3.1.
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// What was done; `base` starts locations.
pub(crate) fn reply(reply: Reply, base: &str) -> Answer {
    let mut answer = match reply.body.or(reply.outcome) {
        Some(body) => json(reply.status, body),
        None => empty(reply.status),
    };
    let headers = answer.headers_mut();
    let location = reply
        .location
        .and_then(|place| HeaderValue::try_from(format!("{base}/{place}")).ok());
    for (name, value) in [
        (ETAG, reply.etag),
        (LAST_MODIFIED, reply.modified),
        (LOCATION, location),
    ] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    answer
}

/// What was refused; `at` is where in the body.
pub(crate) fn fault(fault: &Fault, at: Option<&str>) -> Answer {
    let mut answer = json(fault.status, fault.outcome(at));
    let headers = answer.headers_mut();
    if let Some(allow) = fault.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if fault.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        let taken = HeaderValue::from_static("application/json-patch+json");
        headers.insert(ACCEPT_PATCH, taken);
    }
    answer
}

/// What may be asked at a place.
pub(crate) fn options(allow: &'static str) -> Answer {
    let mut answer = empty(StatusCode::NO_CONTENT);
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

fn json(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, FHIR_JSON);
    answer
}
