//! A request's head before anybody is asked: what is ambiguous is refused, what goes upstream is
//! picked by name.
//!
//! In: the head. Out: the service it is for, its request id, the headers that pass. **Never
//! here:** a header that passes because nobody thought of it.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand;
use chartward_rules::refusal::{No, Reason};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use http_body::Body;

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

/// Headers that change what a write does, and aren't understood: conditions (RFC 9110 section 13),
/// a part of a whole (section 14.5), a Provenance to be made beside it (D22).
const NOT_OF_WRITES: [HeaderName; 6] = [
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::CONTENT_RANGE,
    HeaderName::from_static("x-provenance"),
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
    // known where `:authority` is there
    if head.uri.scheme().is_some_and(|s| *s != Scheme::HTTPS) {
        return no("another scheme than `https`");
    }
    addressed(head)?;
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

/// Refuses a request that doesn't say, in one way, which host it is for (RFC 9112 §3.2, RFC 9113
/// §8.3.1). Which one is not looked at: services are told apart by path.
fn addressed(head: &Parts) -> Result<(), No> {
    let no = |detail| Err(No::new(Reason::NotUnderstood).because(detail));
    let mut named = head.headers.get_all(header::HOST).iter();
    let host = named.next().map(HeaderValue::as_bytes);
    if named.next().is_some() {
        return no("several `Host` headers");
    }
    let authority = head.uri.authority().map(|a| a.as_str().as_bytes());
    match (authority, host) {
        (Some(one), Some(other)) if !one.eq_ignore_ascii_case(other) => no("two hosts"),
        (Some(one), _) | (None, Some(one)) if !is_authority(one) => no("an odd host"),
        (None, None) if head.version != Version::HTTP_10 => no("no host"),
        _ => Ok(()),
    }
}

/// A name or an address, and perhaps a port (RFC 9110 §4.2), in the characters that hosts have.
fn is_authority(text: &[u8]) -> bool {
    let in_brackets = text.strip_prefix(b"[");
    let end = if in_brackets.is_some() { b']' } else { b':' };
    let rest = in_brackets.unwrap_or(text);
    let at = rest.iter().position(|b| *b == end).unwrap_or(rest.len());
    let (host, after) = rest.split_at(at);
    let port = match (in_brackets, after) {
        (Some(_), [b']', port @ ..]) => port,
        (Some(_), _) => return false,
        (None, port) => port,
    };
    let fits = |b: &u8| match in_brackets {
        Some(_) => b.is_ascii_hexdigit() || matches!(b, b':' | b'.'),
        None => b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'),
    };
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => {
            let text = std::str::from_utf8(digits).unwrap_or_default();
            digits.iter().all(u8::is_ascii_digit) && text.parse::<u16>().is_ok()
        }
        _ => false,
    };
    !host.is_empty() && host.iter().all(fits) && is_port
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

/// Refuses what a write would be made to hang on, or mean, by headers that don't count here: to
/// leave one out could do what its sender ruled out.
pub fn unconditioned(head: &Parts) -> Result<(), No> {
    let named = NOT_OF_WRITES
        .into_iter()
        .find(|n| head.headers.contains_key(n));
    match named {
        Some(name) => Err(No::named(Reason::NotSupported, name.as_str())),
        None => Ok(()),
    }
}

/// A body where none belongs: such a one another reader of the same bytes could see differently.
pub fn misplaced() -> No {
    No::new(Reason::NotUnderstood).because("a body where none belongs")
}

/// Whether the head announces no body.
pub fn bodiless<B: Body>(head: &Parts, body: &B) -> bool {
    body.size_hint().lower() == 0 && !head.headers.contains_key(header::EXPECT)
}

/// Refuses by the head alone a body that is encoded.
pub fn not_encoded(head: &Parts) -> Result<(), No> {
    if head.headers.contains_key(header::CONTENT_ENCODING) {
        let due = "Content-Encoding: identity";
        return Err(No::named(Reason::UnsupportedMediaType, due));
    }
    Ok(())
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
pub fn text(whole: &[u8]) -> Result<&str, No> {
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

    fn hosted(build: impl FnOnce(http::request::Builder) -> http::request::Builder) -> Parts {
        head(|b| build(b.header("host", "fhir.example")))
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
        assert!(unambiguous(&hosted(|b| b)).is_ok());
        for (name, value) in [
            ("x-http-method-override", "DELETE"),
            ("x-method-override", "PUT"),
            ("x-original-url", "/admin"),
            ("upgrade", "h2c"),
            ("expect", "200-ok"),
            ("expect", "100-continue, 100-continue"),
        ] {
            assert!(
                unambiguous(&hosted(|b| b.header(name, value))).is_err(),
                "{name}"
            );
        }
        assert!(unambiguous(&head(|b| b.header("host", "a").header("host", "b"))).is_err());
        assert!(unambiguous(&hosted(|b| b.uri("https://other/fhir/Patient"))).is_err());
        assert!(unambiguous(&hosted(|b| b.uri("*"))).is_err());
    }

    #[test]
    fn a_request_is_for_one_host() {
        let refused = |build: fn(http::request::Builder) -> http::request::Builder| {
            unambiguous(&head(build)).is_err()
        };
        assert!(refused(|b| b));
        assert!(!refused(|b| b.version(Version::HTTP_10)));
        for (host, fits) in [
            ("fhir.example", true),
            ("FHIR_1.example:8443", true),
            ("127.0.0.1:8443", true),
            ("[::1]", true),
            ("[2001:db8::1]:443", true),
            ("", false),
            (" ", false),
            (":443", false),
            ("fhir.example:", false),
            ("fhir.example:x", false),
            ("fhir.example:+1", false),
            ("fhir.example:65536", false),
            ("fhir.example:443:443", false),
            ("user@fhir.example", false),
            ("fhir.example/x", false),
            ("fhir.example?", false),
            ("fhir.example#", false),
            ("fhir.example\\x", false),
            ("fhir.example, other", false),
            ("https://fhir.example", false),
            ("[::1", false),
            ("[]", false),
            ("[::1]x", false),
            ("[fhir.example]", false),
            ("\u{e9}", false),
        ] {
            let head = head(|b| b.header("host", host.as_bytes()));
            assert_eq!(unambiguous(&head).is_ok(), fits, "{host}");
        }
        let h2 = |uri: &str, host: Option<&str>| {
            let head = head(|b| {
                let b = b.version(Version::HTTP_2).uri(uri);
                host.into_iter().fold(b, |b, host| b.header("host", host))
            });
            unambiguous(&head).is_ok()
        };
        assert!(h2("https://fhir.example/fhir/Patient", None));
        assert!(h2(
            "https://fhir.example/fhir/Patient",
            Some("FHIR.example")
        ));
        assert!(!h2(
            "https://fhir.example/fhir/Patient",
            Some("other.example")
        ));
        assert!(!h2("https://user@fhir.example/fhir/Patient", None));
        assert!(!h2("http://fhir.example/fhir/Patient", None));
    }
}
