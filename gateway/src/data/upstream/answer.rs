//! An upstream's answer: its head at once, its body piece by piece.

use std::{future::poll_fn, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED, LOCATION},
};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::{Fault, connections::Lease, pool::Place};

/// The longest value of a header that is told.
const VALUE_BYTES: usize = 2 << 10;
/// The longest body that is read though nobody wants it.
const UNWANTED_BYTES: usize = 64 << 10;
/// How long that may take.
const UNWANTED: Duration = Duration::from_secs(1);

/// The head of an answer, and its body to be read.
pub struct Answer {
    /// Never below 200.
    pub status: StatusCode,
    headers: HeaderMap,
    /// What follows.
    pub body: ReadBody,
}

impl Answer {
    pub(super) fn new(
        response: Response<Incoming>,
        lease: Lease,
        silence: Duration,
        deadline: Instant,
    ) -> Result<Self, Fault> {
        let (head, incoming) = response.into_parts();
        if head.status.is_informational() {
            return Err(Fault::NotFinal);
        }
        let identity = |coding: &[u8]| coding.eq_ignore_ascii_case(b"identity");
        let mut codings = head.headers.get_all(CONTENT_ENCODING).iter();
        if !codings.all(|coding| identity(coding.as_bytes())) {
            return Err(Fault::Encoded);
        }
        let mut body = ReadBody {
            incoming,
            lease: Some(lease),
            ended: false,
            distrusted: false,
            place: None,
            silence,
            deadline,
        };
        body.settle();
        Ok(Self {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Whether the body says that it is JSON.
    pub fn is_json(&self) -> bool {
        is_json(&self.headers)
    }

    /// Where what was created is, as the upstream says it.
    pub fn location(&self) -> Option<&str> {
        self.one(&LOCATION)
    }

    /// The version, as the upstream says it: `W/"1"`.
    pub fn etag(&self) -> Option<&str> {
        self.one(&ETAG)
    }

    /// When it last changed, as the upstream says it.
    pub fn last_modified(&self) -> Option<&str> {
        self.one(&LAST_MODIFIED)
    }

    /// Nobody wants the body: a short one is read to its end by a task of its own, so that what is
    /// refused doesn't cost the connection, and the next caller can't tell by the time it takes to
    /// open one.
    pub fn discard(self) {
        let mut body = self.body;
        let length = body.announced();
        if body.ended || length.is_some_and(|length| length > UNWANTED_BYTES as u64) {
            return;
        }
        tokio::spawn(async move {
            let mut left = UNWANTED_BYTES;
            let until = Instant::now() + UNWANTED;
            while let Ok(Ok(Some(piece))) = timeout_at(until, body.next()).await {
                match left.checked_sub(piece.len()) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        });
    }

    /// A header that is there once, is not long, and is visible ASCII.
    fn one(&self, name: &HeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let (Some(only), None) = (values.next(), values.next()) else {
            return None;
        };
        let text = only.to_str().ok()?;
        (!text.is_empty() && text.len() <= VALUE_BYTES && !text.contains('\t')).then_some(text)
    }
}

/// A body that is read a piece at a time. When this is dropped its connection serves again, if the
/// end was read and nobody distrusts it; else it is closed.
pub struct ReadBody {
    incoming: Incoming,
    lease: Option<Lease>,
    ended: bool,
    distrusted: bool,
    place: Option<Place>,
    silence: Duration,
    deadline: Instant,
}

impl ReadBody {
    /// The next piece, never empty; `None` at the end. Nothing for `limits.upstream_response` is a
    /// fault, and so are an end before its time, and one that isn't there after
    /// `limits.upstream_total`. After a fault there is nothing more to read.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            if self.ended {
                return Ok(None);
            }
            let incoming = &mut self.incoming;
            let frame = poll_fn(|cx| Pin::new(&mut *incoming).poll_frame(cx));
            let now = Instant::now();
            // what is there already would never be late: a slow caller finds something each time
            if now >= self.deadline {
                return Err(Fault::TotalTimeout);
            }
            let until = self.deadline.min(now + self.silence);
            let frame = match timeout_at(until, frame).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => {
                    self.end();
                    return Ok(None);
                }
                Ok(Some(Err(error))) => return Err(Fault::of(error)),
                Err(_) => return Err(Fault::late(self.deadline)),
            };
            self.settle();
            // trailers say nothing that is understood here
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                return Ok(Some(data));
            }
        }
    }

    /// The length that the head announced, where it did.
    pub fn announced(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    /// What was read isn't what was asked for: what this connection brings next may be the answer
    /// to something else, too.
    pub fn distrust(&mut self) {
        self.distrusted = true;
    }

    /// Keeps the request's place until the end.
    pub(super) fn hold(&mut self, place: Place) {
        self.place = (!self.ended).then_some(place);
    }

    fn settle(&mut self) {
        if self.incoming.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.place = None;
    }
}

impl Drop for ReadBody {
    fn drop(&mut self) {
        if self.ended
            && !self.distrusted
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }
}

/// Whether a `Content-Type` says FHIR's JSON: `application/fhir+json` or `application/json`, in
/// UTF-8. Exactly one, or it doesn't count.
pub fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let Ok(text) = only.to_str() else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or("");
    let known = ["application/fhir+json", "application/json"];
    known
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
        && parts.all(is_harmless)
}

/// Whether a parameter of a media type leaves the body UTF-8; others than `charset` don't touch it.
fn is_harmless(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return parameter.is_empty();
    };
    !name.trim().eq_ignore_ascii_case("charset")
        || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
}
