//! `[limits]`: how long and how much, each with a default.

use std::{ops::RangeInclusive, time::Duration};

use chartward_rules::source::Table;

/// Deadlines and caps. Each has a default, and none can be turned off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the connection to the end of the TLS handshake. 10 s.
    pub handshake: Duration,
    /// From the first byte of a request, or from the handshake, to the end of its
    /// headers. 10 s.
    pub headers: Duration,
    /// From the end of the headers to the end of the request's body. 30 s.
    pub body: Duration,
    /// A connection without a request is closed after this. 60 s.
    pub idle: Duration,
    /// Client connections at once, over all workers. 10,000.
    pub connections: usize,
    /// Request headers by number. 100.
    pub header_count: usize,
    /// Request headers by size, names and values together. 32 KiB.
    pub header_bytes: usize,
    /// The request's target. 8 KiB.
    pub url_bytes: usize,
    /// The request's body. 4 MiB.
    pub body_bytes: usize,
    /// The body of a batch or transaction. 16 MiB.
    pub bundle_bytes: usize,
    /// One resource of an answer. 32 MiB.
    pub row_bytes: usize,
    /// An access token. 8 KiB.
    pub token_bytes: usize,
    /// To a connection with the upstream, TLS included. 5 s.
    pub upstream_connect: Duration,
    /// The longest silence of an upstream: until its headers, and between two
    /// pieces of its body. 30 s.
    pub upstream_response: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            headers: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            connections: 10_000,
            header_count: 100,
            header_bytes: 32 << 10,
            url_bytes: 8 << 10,
            body_bytes: 4 << 20,
            bundle_bytes: 16 << 20,
            row_bytes: 32 << 20,
            token_bytes: 8 << 10,
            upstream_connect: Duration::from_secs(5),
            upstream_response: Duration::from_secs(30),
        }
    }
}

/// No deadline is shorter than a tenth of a second or longer than an hour.
const SPAN: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);

impl Limits {
    pub(super) fn read(mut t: Table<'_>) -> Self {
        let usual = Self::default();
        let mut time = |key, usual| t.duration(key, SPAN).map_or(usual, |found| found.value);
        let handshake = time("handshake", usual.handshake);
        let headers = time("headers", usual.headers);
        let body = time("body", usual.body);
        let idle = time("idle", usual.idle);
        let upstream_connect = time("upstream_connect", usual.upstream_connect);
        let upstream_response = time("upstream_response", usual.upstream_response);
        let mut count = |key, most, usual| {
            let found = t.integer(key, 1..=most);
            found.map_or(usual, |found| found.value as usize)
        };
        let connections = count("connections", 1_000_000, usual.connections);
        let header_count = count("header_count", 1000, usual.header_count);
        let mut bytes = |key, range, usual| {
            let found = t.size(key, range);
            found.map_or(usual, |found| found.value as usize)
        };
        let header_bytes = bytes("header_bytes", 1 << 10..=1 << 20, usual.header_bytes);
        let url_bytes = bytes("url_bytes", 256..=64 << 10, usual.url_bytes);
        let body_bytes = bytes("body_bytes", 1 << 10..=1 << 30, usual.body_bytes);
        let bundle_bytes = bytes("bundle_bytes", 1 << 10..=1 << 30, usual.bundle_bytes);
        let row_bytes = bytes("row_bytes", 1 << 10..=1 << 30, usual.row_bytes);
        let token_bytes = bytes("token_bytes", 256..=64 << 10, usual.token_bytes);
        if token_bytes > header_bytes {
            let span = t.key_span("token_bytes").or(t.key_span("header_bytes"));
            let message = "`token_bytes` must not be more than `header_bytes`";
            t.error(span.unwrap_or(t.span()), message);
        }
        Self {
            handshake,
            headers,
            body,
            idle,
            connections,
            header_count,
            header_bytes,
            url_bytes,
            body_bytes,
            bundle_bytes,
            row_bytes,
            token_bytes,
            upstream_connect,
            upstream_response,
        }
    }
}
