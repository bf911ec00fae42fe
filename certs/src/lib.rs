//! Development PKI: a certificate authority, the certificates it issues and the lists of those it takes back.
//!
//! In: names and times. Out: PEM and DER. ECDSA P-256 throughout.
//! For demos, tests and benchmarks: the authority's key lives in the process that made it, without
//! a passphrase, and nothing here belongs in production.

mod authority;
mod issued;

pub use authority::{Authority, ClientSpec};
pub use issued::Issued;

use std::path::PathBuf;
use time::{Duration, OffsetDateTime};

/// When a certificate or a revocation list holds, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before: OffsetDateTime,
    /// Last second.
    pub not_after: OffsetDateTime,
}

impl Validity {
    /// From an hour ago, for clocks that run behind, to `days` from now.
    pub fn days(days: i64) -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            not_before: now - Duration::hours(1),
            not_after: now + Duration::days(days),
        }
    }

    /// Ended a day ago.
    pub fn expired() -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            not_before: now - Duration::days(2),
            not_after: now - Duration::days(1),
        }
    }

    /// Begins in a day.
    pub fn future() -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            not_before: now + Duration::days(1),
            not_after: now + Duration::days(2),
        }
    }
}

impl Default for Validity {
    /// Thirty days, as development certificates should not outlive their purpose.
    fn default() -> Self {
        Self::days(30)
    }
}

/// Why something could not be made or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that a certificate can't carry, or a key or file that isn't one.
    #[error("certificate can't be made")]
    Make(#[from] rcgen::Error),
    /// The system's random source failed.
    #[error("no randomness for a serial number")]
    Random,
    /// A file could not be written.
    #[error("can't write `{}`", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
