//! The servers behind the gateway: connections to them, requests, answers piece by piece.
//!
//! In: an [`Ask`]. Out: an [`Answer`] whose body is read a piece at a time, or a [`Fault`].
//! HTTP/1.1, on connections that each core keeps for itself; how many requests are under way and
//! which servers are well is known to all cores. **Never here:** a caller's header that isn't in
//! the ask, a redirect followed, a decompressed body, an unsafe request sent twice.

mod answer;
mod budget;
mod connect;
mod connections;
mod health;
mod line;
mod pool;
mod server;
mod standing;
mod target;
mod trust;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};

pub use answer::{Answer, ReadBody, is_json};
pub use health::watch;
pub use pool::Pool;
pub use target::Target;

/// A request to an upstream.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// The method; GET by default.
    pub method: Method,
    /// Below the service's base, with its leading `/`, and the query; empty for the base itself.
    /// Already in the form it is sent in.
    pub path_and_query: String,
    /// What `body` is.
    pub content_type: Option<&'static str>,
    /// The whole body; empty where there is none.
    pub body: Bytes,
    /// Headers of the caller's that may pass. Those that the gateway makes itself win.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// A search: the upstream must not overlook a parameter, and asking twice is harmless.
    pub search: bool,
    /// The answer to a write must hold what was written (`Prefer: return=representation`).
    pub representation: bool,
    /// The version that a write may replace (FHIR R4 http.html#concurrency).
    pub if_match: Option<HeaderValue>,
    /// The search that must find nothing for a create to happen (FHIR R4 http.html#ccreate).
    pub if_none_exist: Option<HeaderValue>,
    /// A write must make something that isn't there yet (`If-None-Match: *`).
    pub if_none_match: bool,
}

impl Ask {
    /// Whether asking twice is harmless (RFC 9110 section 9.2.1; a `_search` is one, whatever its
    /// method).
    fn is_safe(&self) -> bool {
        self.search || self.method == Method::GET || self.method == Method::HEAD
    }
}

/// Why an upstream gave no answer, or not the whole of it.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No place among the requests under way, not even after waiting.
    #[error("too many requests are under way to the upstream")]
    Overloaded,
    /// The service has no server.
    #[error("no upstream")]
    NoServer,
    /// No connection.
    #[error("no connection to the upstream: {0}")]
    Connect(std::io::Error),
    /// No TLS on it: another name, root or certificate than wanted, or none.
    #[error("no TLS with the upstream: {0}")]
    Tls(std::io::Error),
    /// No connection in `limits.upstream_connect`.
    #[error("no connection to the upstream in time")]
    ConnectTimeout,
    /// Silence for `limits.upstream_response`.
    #[error("the upstream is silent for too long")]
    Timeout,
    /// No end within `limits.upstream_total`.
    #[error("the upstream takes too long in all")]
    TotalTimeout,
    /// The connection closed or broke before the answer was whole.
    #[error("the upstream's connection broke: {0}")]
    Closed(hyper::Error),
    /// What came isn't HTTP as it should be.
    #[error("the upstream's answer is malformed: {0}")]
    Malformed(hyper::Error),
    /// A status below 200, or a switch of protocols.
    #[error("the upstream's answer is not a final one")]
    NotFinal,
    /// A content coding, though none is accepted.
    #[error("the upstream's answer is encoded")]
    Encoded,
    /// The ask can't be written as a request.
    #[error("the request can't be written: {0}")]
    Request(http::Error),
}

impl Fault {
    /// Whether the upstream took too long, as against anything else (504, not 502).
    pub fn is_timeout(&self) -> bool {
        matches!(
            self,
            Self::ConnectTimeout | Self::Timeout | Self::TotalTimeout
        )
    }

    /// Whether no connection came about.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::ConnectTimeout | Self::Connect(_) | Self::Tls(_) | Self::NoServer
        )
    }

    /// Whether nothing of the request can have reached the upstream.
    pub fn is_unsent(&self) -> bool {
        self.is_unreachable() || matches!(self, Self::Overloaded | Self::Request(_))
    }

    /// What the record of a refusal says of it, without a value of anybody's.
    pub fn detail(&self) -> &'static str {
        match self {
            Self::Overloaded => "too many requests under way",
            Self::NoServer => "no upstream",
            Self::Connect(_) => "no connection",
            Self::Tls(_) => "no tls",
            Self::ConnectTimeout => "no connection in time",
            Self::Timeout => "silent for too long",
            Self::TotalTimeout => "too long in all",
            Self::Closed(_) => "the connection broke",
            Self::Malformed(_) | Self::NotFinal => "malformed http",
            Self::Encoded => "an encoded answer",
            Self::Request(_) => "a request that can't be written",
        }
    }

    /// Of a wait that is over: for the whole answer, or for a sign of life.
    fn late(deadline: tokio::time::Instant) -> Self {
        if tokio::time::Instant::now() >= deadline {
            Self::TotalTimeout
        } else {
            Self::Timeout
        }
    }

    fn of(error: hyper::Error) -> Self {
        if error.is_parse() {
            Self::Malformed(error)
        } else {
            Self::Closed(error)
        }
    }
}

#[cfg(test)]
mod tests;
