//! The server behind the gateway: connections to it, requests, answers piece by piece.
//!
//! In: an [`Ask`]. Out: an [`Answer`] whose body is read a piece at a time, or a [`Fault`].
//! HTTP/1.1, on connections that each core keeps for itself. **Never here:** a caller's header
//! that isn't in the ask, a redirect followed, a decompressed body.

mod answer;
mod connect;
mod pool;
mod target;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};

pub use answer::{Answer, ReadBody, is_json};
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
    /// No connection, or no TLS on it.
    #[error("no connection to the upstream: {0}")]
    Connect(std::io::Error),
    /// No connection in `limits.upstream_connect`.
    #[error("no connection to the upstream in time")]
    ConnectTimeout,
    /// Silence for `limits.upstream_response`.
    #[error("the upstream is silent for too long")]
    Timeout,
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
        matches!(self, Self::ConnectTimeout | Self::Timeout)
    }

    /// Whether no connection came about.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::ConnectTimeout | Self::Connect(_))
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
