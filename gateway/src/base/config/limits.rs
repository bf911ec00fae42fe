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
    /// How long a caller may take nothing of an answer. 30 s.
    pub write_stall: Duration,
    /// Bytes a second at which bodies move at least, in either direction: a request's once
    /// `headers` has passed, an answer's once `write_stall` has. 1 KiB.
    pub body_rate: usize,
    /// Client connections at once, over all workers. 10,000.
    pub connections: usize,
    /// The same from one address (IPv6: one /64). 2,500.
    pub connections_per_address: usize,
    /// TLS handshakes at once. 2,000.
    pub handshakes: usize,
    /// Requests that are being answered at once, over all workers. 2,000.
    pub requests: usize,
    /// Bodies of requests that are held in memory, all together. 256 MiB.
    pub buffered_bytes: usize,
    /// HTTP/2: requests at once on a connection. 100.
    pub h2_streams: usize,
    /// HTTP/2: requests of a connection that may break the protocol. 200.
    pub h2_resets: usize,
    /// HTTP/2: frames that ask for nothing, beyond what the requests of a connection explain.
    /// 1,000.
    pub h2_frames: usize,
    /// Request headers by number. 64.
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
    /// The longest that a request to an upstream takes, to the last byte of its answer, waiting
    /// and slow callers included. 5 min.
    pub upstream_total: Duration,
    /// A connection to an upstream rests no longer. 4 s: below the 5 s after which uvicorn, and
    /// HAPI's usual proxies, close.
    pub upstream_idle: Duration,
    /// Connections that rest, of each worker to each server. 64.
    pub upstream_idle_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            headers: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            write_stall: Duration::from_secs(30),
            body_rate: 1 << 10,
            connections: 10_000,
            connections_per_address: 2500,
            handshakes: 2000,
            requests: 2000,
            buffered_bytes: 256 << 20,
            h2_streams: 100,
            h2_resets: 200,
            h2_frames: 1000,
            header_count: 64,
            header_bytes: 32 << 10,
            url_bytes: 8 << 10,
            body_bytes: 4 << 20,
            bundle_bytes: 16 << 20,
            row_bytes: 32 << 20,
            token_bytes: 8 << 10,
            upstream_connect: Duration::from_secs(5),
            upstream_response: Duration::from_secs(30),
            upstream_total: Duration::from_secs(300),
            upstream_idle: Duration::from_secs(4),
            upstream_idle_connections: 64,
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
        let write_stall = time("write_stall", usual.write_stall);
        let upstream_connect = time("upstream_connect", usual.upstream_connect);
        let upstream_response = time("upstream_response", usual.upstream_response);
        let upstream_total = time("upstream_total", usual.upstream_total);
        let upstream_idle = time("upstream_idle", usual.upstream_idle);
        let mut count = |key, most, usual| {
            let found = t.integer(key, 1..=most);
            found.map_or(usual, |found| found.value as usize)
        };
        let connections = count("connections", 1_000_000, usual.connections);
        let connections_per_address = count(
            "connections_per_address",
            1_000_000,
            usual.connections_per_address,
        );
        let handshakes = count("handshakes", 1_000_000, usual.handshakes);
        let requests = count("requests", 1_000_000, usual.requests);
        let h2_streams = count("h2_streams", 10_000, usual.h2_streams);
        let h2_resets = count("h2_resets", 1_000_000, usual.h2_resets);
        let h2_frames = count("h2_frames", 1_000_000, usual.h2_frames);
        let header_count = count("header_count", 1000, usual.header_count);
        let upstream_idle_connections = count(
            "upstream_idle_connections",
            10_000,
            usual.upstream_idle_connections,
        );
        let mut bytes = |key, range, usual| {
            let found = t.size(key, range);
            found.map_or(usual, |found| found.value as usize)
        };
        let header_bytes = bytes("header_bytes", 1 << 10..=1 << 20, usual.header_bytes);
        let url_bytes = bytes("url_bytes", 256..=64 << 10, usual.url_bytes);
        let body_bytes = bytes("body_bytes", 1 << 10..=1 << 30, usual.body_bytes);
        let bundle_bytes = bytes("bundle_bytes", 1 << 10..=1 << 30, usual.bundle_bytes);
        let row_bytes = bytes("row_bytes", 1 << 10..=1 << 30, usual.row_bytes);
        let body_rate = bytes("body_rate", 1..=1 << 30, usual.body_rate);
        let buffered_bytes = bytes("buffered_bytes", 1 << 20..=1 << 40, usual.buffered_bytes);
        let token_bytes = bytes("token_bytes", 256..=64 << 10, usual.token_bytes);
        if token_bytes > header_bytes {
            let span = t.key_span("token_bytes").or(t.key_span("header_bytes"));
            let message = "`token_bytes` must not be more than `header_bytes`";
            t.error(span.unwrap_or(t.span()), message);
        }
        if body_bytes > buffered_bytes {
            let span = t.key_span("buffered_bytes").or(t.key_span("body_bytes"));
            let message = "`buffered_bytes` must hold a body of `body_bytes`";
            t.error(span.unwrap_or(t.span()), message);
        }
        Self {
            handshake,
            headers,
            body,
            idle,
            write_stall,
            body_rate,
            connections,
            connections_per_address,
            handshakes,
            requests,
            buffered_bytes,
            h2_streams,
            h2_resets,
            h2_frames,
            header_count,
            header_bytes,
            url_bytes,
            body_bytes,
            bundle_bytes,
            row_bytes,
            token_bytes,
            upstream_connect,
            upstream_response,
            upstream_total,
            upstream_idle,
            upstream_idle_connections,
        }
    }
}

/// What of [`Limits`] is counted when it bites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is the key of its name
pub enum Limit {
    Handshake,
    Headers,
    Body,
    Idle,
    WriteStall,
    BodyRate,
    Connections,
    ConnectionsPerAddress,
    Handshakes,
    Requests,
    BufferedBytes,
    H2Streams,
    H2Resets,
    H2Frames,
    HeaderCount,
    HeaderBytes,
    UrlBytes,
    BodyBytes,
    BundleBytes,
    RowBytes,
}

impl Limit {
    /// Every one, in the order of the enum.
    pub const ALL: [(Self, &'static str); 20] = [
        (Self::Handshake, "handshake"),
        (Self::Headers, "headers"),
        (Self::Body, "body"),
        (Self::Idle, "idle"),
        (Self::WriteStall, "write_stall"),
        (Self::BodyRate, "body_rate"),
        (Self::Connections, "connections"),
        (Self::ConnectionsPerAddress, "connections_per_address"),
        (Self::Handshakes, "handshakes"),
        (Self::Requests, "requests"),
        (Self::BufferedBytes, "buffered_bytes"),
        (Self::H2Streams, "h2_streams"),
        (Self::H2Resets, "h2_resets"),
        (Self::H2Frames, "h2_frames"),
        (Self::HeaderCount, "header_count"),
        (Self::HeaderBytes, "header_bytes"),
        (Self::UrlBytes, "url_bytes"),
        (Self::BodyBytes, "body_bytes"),
        (Self::BundleBytes, "bundle_bytes"),
        (Self::RowBytes, "row_bytes"),
    ];
}
