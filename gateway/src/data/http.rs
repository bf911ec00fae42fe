//! A request's head before anybody is asked: what is ambiguous is refused, what goes upstream is
//! picked by name.
//!
//! In: the head. Out: the service it is for, its request id, the headers that pass. **Never
//! here:** a header that passes because nobody thought of it.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand;
use bytes::{Bytes, BytesMut};
use chartward_rules::refusal::{No, Reason};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use http_body::Body;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

/// The caller's own id for a request, and the gateway's answer to it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The purpose of use that the caller names (D2).
pub const PURPOSE: HeaderName = HeaderName::from_static("x-purpose-of-use");

/// The search that must find nothing for a create to happen (http.html#ccreate).
pub const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Headers by which a request would say that it is another (D22).
const OVERRIDES: [&str; 5] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// Makes request ids: a random part for the core, and a count.
#[derive(Debug)]
pub struct Ids {
    prefix: u64,
    next: AtomicU64,
}

impl Ids {
    /// With a random part of its own.
    pub fn new() -> Self {
        let mut bytes = [0; 8];
        // where no random bytes are to be had, ids are still unique on this core
        let _ = rand::fill(&mut bytes);
        Self {
            prefix: u64::from_be_bytes(bytes),
            next: AtomicU64::new(1),
        }
    }

    /// The caller's id where it is well-formed, else one made here.
    pub fn of(&self, headers: &HeaderMap) -> Box<str> {
        let mut named = headers.get_all(REQUEST_ID).iter();
        if let (Some(value), None) = (named.next(), named.next())
            && let Ok(text) = value.to_str()
            && (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        {
            return text.into();
        }
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}-{count:x}", self.prefix).into()
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self::new()
    }
}

/// Refuses a head that can be read in two ways.
pub fn unambiguous(head: &Parts) -> Result<(), No> {
    let no = |detail| Err(No::new(Reason::NotUnderstood).because(detail));
    if head.version <= Version::HTTP_11
        && (head.uri.scheme().is_some() || head.uri.authority().is_some())
    {
        return no("an absolute target");
    }
    if head.uri.path_and_query().is_none() || !head.uri.path().starts_with('/') {
        return no("a target without a path");
    }
    if head.headers.get_all(header::HOST).iter().count() > 1 {
        return no("several `Host` headers");
    }
    for name in OVERRIDES {
        if head.headers.contains_key(name) {
            return Err(No::named(Reason::NotUnderstood, name));
        }
    }
    if head.headers.contains_key(header::UPGRADE) {
        return no("`Upgrade`");
    }
    if head.headers.contains_key(header::EXPECT) && !expects_to_continue(head) {
        return no("`Expect`");
    }
    Ok(())
}

/// Whether the connection ends with this request: a body in chunks may have come with a length
/// too, which the parser drops unseen, so that what follows may not be a request (RFC 9112 §6.1).
pub fn ends_connection(head: &Parts) -> bool {
    head.version <= Version::HTTP_11 && head.headers.contains_key(header::TRANSFER_ENCODING)
}

/// Whether the caller takes FHIR's JSON. A `_format` in the query counts instead, and is
/// understood with it.
pub fn acceptable(head: &Parts) -> Result<(), No> {
    let by_format = head
        .uri
        .query()
        .is_some_and(|q| q.split('&').any(|pair| pair.starts_with("_format=")));
    if by_format || !head.headers.contains_key(header::ACCEPT) {
        return Ok(());
    }
    let takes = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or("").to_ascii_lowercase();
        let known = [
            "application/fhir+json",
            "application/json",
            "text/json",
            "application/*",
            "*/*",
        ];
        let none = parts.any(|p| {
            let weight = p.strip_prefix("q=").or_else(|| p.strip_prefix("Q="));
            weight.is_some_and(|w| w.trim().parse::<f32>().is_ok_and(|w| w <= 0.0))
        });
        known.contains(&kind.as_str()) && !none
    };
    let values = head.headers.get_all(header::ACCEPT).iter();
    let mut ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','));
    if ranges.any(takes) {
        Ok(())
    } else {
        Err(No::new(Reason::NotAcceptable))
    }
}

/// The one value of a header that may be there once.
pub fn once<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, No> {
    let mut values = headers.get_all(name).iter();
    let not = || No::named(Reason::NotUnderstood, name.as_str());
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| not()),
        _ => Err(not()),
    }
}

/// What of the caller's headers goes upstream, with the request's id.
pub fn passed_on(headers: &HeaderMap, request_id: &str) -> Vec<(HeaderName, HeaderValue)> {
    let mut out = Vec::with_capacity(3);
    out.extend(
        HeaderValue::from_str(request_id)
            .ok()
            .map(|id| (REQUEST_ID, id)),
    );
    if let Ok(Some(parent)) = once(headers, &TRACEPARENT)
        && is_traceparent(parent)
        && let Ok(value) = HeaderValue::from_str(parent)
    {
        out.push((TRACEPARENT, value));
        if let Ok(Some(state)) = once(headers, &TRACESTATE)
            && state.len() <= 512
            && let Ok(value) = HeaderValue::from_str(state)
        {
            out.push((TRACESTATE, value));
        }
    }
    out
}

/// W3C Trace Context §3.2, version 00.
fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let lengths = [2, 32, 16, 2];
    let hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    lengths
        .iter()
        .all(|length| parts.next().is_some_and(|p| p.len() == *length && hex(p)))
        && parts.next().is_none()
        && text.starts_with("00")
}

/// Whether the caller waits for a `100 Continue` before the body. Any other expectation can't be
/// met (RFC 9110 section 10.1.1).
fn expects_to_continue(head: &Parts) -> bool {
    let mut values = head.headers.get_all(header::EXPECT).iter();
    matches!(
        (values.next(), values.next()),
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"100-continue")
    )
}

/// Refuses by the head alone a body that is encoded, larger than `most`, or there where none
/// belongs (`most` is 0): such a one another reader of the same bytes could see differently.
pub fn announced<B: Body>(head: &Parts, body: &B, most: usize) -> Result<(), No> {
    if most == 0 {
        return match body.size_hint().lower() == 0 && !head.headers.contains_key(header::EXPECT) {
            true => Ok(()),
            false => Err(No::new(Reason::NotUnderstood).because("a body where none belongs")),
        };
    }
    if head.headers.contains_key(header::CONTENT_ENCODING) {
        let due = "Content-Encoding: identity";
        return Err(No::named(Reason::UnsupportedMediaType, due));
    }
    if body.size_hint().lower() > most as u64 {
        return Err(No::new(Reason::TooLarge));
    }
    Ok(())
}

/// A body, read whole, under the cap and the deadline. `most` is 0 where there must be none.
pub async fn whole<B>(mut body: B, most: usize, within: Duration) -> Result<Bytes, No>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let over = match most {
        0 => Reason::NotUnderstood,
        _ => Reason::TooLarge,
    };
    let read = async {
        let mut whole = BytesMut::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let frame =
                frame.map_err(|_| No::new(Reason::NotUnderstood).because("the body broke off"))?;
            if let Ok(data) = frame.into_data() {
                if whole.len() + data.len() > most {
                    return Err(No::new(over));
                }
                whole.extend_from_slice(&data);
            }
        }
        Ok(whole.freeze())
    };
    tokio::time::timeout(within, read)
        .await
        .map_err(|_| No::new(Reason::NotUnderstood).because("the body took too long"))?
}

/// Whether the body says that it is a form.
pub fn is_form(head: &Parts) -> Result<(), No> {
    let kind = once(&head.headers, &header::CONTENT_TYPE)?.unwrap_or("");
    let essence = kind.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Ok(())
    } else {
        let due = "application/x-www-form-urlencoded";
        Err(No::named(Reason::UnsupportedMediaType, due))
    }
}

/// A form's bytes as the text they must be.
pub fn text(whole: &Bytes) -> Result<&str, No> {
    std::str::from_utf8(whole)
        .map_err(|_| No::new(Reason::NotUnderstood).because("the form is not text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(build: impl FnOnce(http::request::Builder) -> http::request::Builder) -> Parts {
        build(http::Request::builder().uri("/fhir/Patient"))
            .body(())
            .unwrap()
            .into_parts()
            .0
    }

    #[test]
    fn accept_headers_that_leave_json_out_are_refused() {
        for (accept, ok) in [
            ("application/fhir+json", true),
            ("application/json;q=0.9, text/html", true),
            ("*/*", true),
            ("text/html, application/*;q=0.1", true),
            ("Application/FHIR+JSON; fhirVersion=4.0", true),
            ("application/fhir+xml", false),
            ("text/html", false),
            ("application/json;q=0", false),
            ("application/jsonp", false),
        ] {
            assert_eq!(
                acceptable(&head(|b| b.header("accept", accept))).is_ok(),
                ok,
                "{accept}"
            );
        }
        assert!(acceptable(&head(|b| b)).is_ok());
        assert!(
            acceptable(&head(|b| b
                .uri("/fhir/Patient?_format=json")
                .header("accept", "text/html")))
            .is_ok()
        );
    }

    #[test]
    fn request_ids_are_taken_only_where_they_are_plain() {
        let ids = Ids::new();
        assert_eq!(
            &*ids.of(&head(|b| b.header("x-request-id", "a-1.b_2")).headers),
            "a-1.b_2"
        );
        for odd in ["", "a b", "a\"b", "é", &"x".repeat(65)] {
            let made = ids.of(&head(|b| b.header("x-request-id", odd.as_bytes())).headers);
            assert!(made.len() > 17 && *made != *odd, "{odd} {made}");
        }
        let twice = head(|b| b.header("x-request-id", "a").header("x-request-id", "b"));
        assert!(ids.of(&twice.headers).len() > 17);
        assert_ne!(ids.of(&HeaderMap::new()), ids.of(&HeaderMap::new()));
    }

    #[test]
    fn only_listed_headers_pass() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let head = head(|b| {
            b.header("traceparent", parent)
                .header("tracestate", "a=b")
                .header("authorization", "Bearer x")
                .header("x-forwarded-for", "1.2.3.4")
                .header("x-forwarded-client-cert", "x")
                .header("cookie", "a")
                .header("if-none-match", "W/\"1\"")
                .header("range", "bytes=0-1")
                .header("prefer", "handling=lenient")
        });
        let names: Vec<String> = passed_on(&head.headers, "r1")
            .iter()
            .map(|(n, _)| n.to_string())
            .collect();
        assert_eq!(names, ["x-request-id", "traceparent", "tracestate"]);
        for odd in [
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-",
            "x",
            "00-1-2-3",
        ] {
            assert!(!is_traceparent(odd), "{odd}");
        }
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        assert!(unambiguous(&head(|b| b)).is_ok());
        for (name, value) in [
            ("x-http-method-override", "DELETE"),
            ("x-method-override", "PUT"),
            ("x-original-url", "/admin"),
            ("upgrade", "h2c"),
            ("expect", "200-ok"),
            ("expect", "100-continue, 100-continue"),
        ] {
            assert!(
                unambiguous(&head(|b| b.header(name, value))).is_err(),
                "{name}"
            );
        }
        assert!(unambiguous(&head(|b| b.header("host", "a").header("host", "b"))).is_err());
        assert!(unambiguous(&head(|b| b.uri("https://other/fhir/Patient"))).is_err());
        assert!(unambiguous(&head(|b| b.uri("*"))).is_err());
    }
}
