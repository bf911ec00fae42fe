//! Who asks: from a request's headers and its connection's certificate to a [`Subject`].
//!
//! What comes in: headers, the verified client certificate, the time. What goes out: a shared
//! [`Subject`], or a [`No`] whose detail the record keeps and the caller never sees.
//! **Never here:** a claim believed before its signature, a bound token without its proof, a fetch
//! that a caller can cause more often than once per cool-down.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)
)]

mod bearer;
mod certificate;
mod check;
mod claims;
mod fetch;
mod issuer;
mod json;
mod jws;
mod keyring;
mod keys;
mod settings;
mod subject;
mod workload;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use chartward_rules::record::Time;
use chartward_rules::refusal::{No, Reason};
use chartward_rules::subject::Subject;
use http::HeaderMap;
use moka::sync::Cache;
use serde_json::Value;
use tokio::runtime::Handle;

pub use certificate::{PeerCertificate, UnreadableCertificate};
pub use check::{Place, SettingsError, problems};
pub use settings::{Issuer, Matcher, ScopeMode, Service, Settings, Timing, Workload};

use issuer::Trusted;
use jws::Jws;
use keys::KeyId;
use workload::Workloads;

/// Tells callers by one configuration. A reload builds a new one, with an empty cache (D28).
pub struct Identity {
    services: Vec<Realm>,
    issuers: Vec<Trusted>,
    workloads: Workloads,
    token_bytes: usize,
    verified: Cache<CacheKey, Arc<Verified>>,
    tally: Arc<Tally>,
}

/// What is counted from the process's start on, whatever is in force.
#[derive(Default)]
struct Tally {
    hits: AtomicU64,
    misses: AtomicU64,
    /// Fetches of issuers that are no more.
    fetches: AtomicU64,
    /// Those of them that failed.
    failures: AtomicU64,
}

/// A service's place in the [`Identity`] that named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServiceId(usize);

/// Whether an issuer's tokens can be checked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// The issuer's URL.
    pub issuer: Arc<str>,
    /// Whether its keys are there and hold.
    pub ready: bool,
    /// How many fetches of its keys have begun.
    pub fetches: u64,
    /// How many of them have failed.
    pub failures: u64,
}

struct Realm {
    name: String,
    base: String,
    /// Issuers by their URL.
    trusts: HashMap<String, usize>,
}

#[derive(PartialEq, Eq, Hash)]
struct CacheKey {
    service: usize,
    token: [u8; 32],
    /// The subject names the certificate beside its token.
    certificate: Option<[u8; 32]>,
}

/// A token whose signature and claims were good; what may change since is checked at each use.
struct Verified {
    subject: Arc<Subject>,
    issuer: usize,
    key: KeyId,
    /// SHA-256 of the certificate that the token is bound to.
    binding: Option<[u8; 32]>,
    /// Seconds since the epoch.
    deadline: i64,
}

impl Identity {
    /// Builds what `settings` say and begins to fetch keys on `control`. Issuers that are as they
    /// were in `previous` keep their keys. All errors at once.
    pub fn new(
        settings: &Settings,
        control: &Handle,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<SettingsError>> {
        let mut errors = problems(settings);
        let before = previous.map_or(&[][..], |previous| &previous.issuers);
        let prepared = issuer::prepare(settings, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let issuers: Vec<Trusted> = prepared
            .into_iter()
            .map(|prepared| prepared.start(settings.timing, control, before))
            .collect();
        let tally = previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.tally));
        for gone in before {
            if !issuers
                .iter()
                .any(|kept| Arc::ptr_eq(&kept.keys, &gone.keys))
            {
                let add = |to: &AtomicU64, count| to.fetch_add(count, Ordering::Relaxed);
                add(&tally.fetches, gone.keys.fetches());
                add(&tally.failures, gone.keys.failures());
            }
        }
        let place: HashMap<&str, usize> = settings
            .issuers
            .iter()
            .enumerate()
            .map(|(at, issuer)| (issuer.url.as_str(), at))
            .collect();
        let services = settings
            .services
            .iter()
            .map(|service| Realm {
                name: service.name.clone(),
                base: service.base.trim_end_matches('/').to_owned(),
                trusts: service
                    .issuers
                    .iter()
                    .filter_map(|url| Some((url.clone(), *place.get(url.as_str())?)))
                    .collect(),
            })
            .collect();
        Ok(Self {
            services,
            issuers,
            workloads: Workloads::new(&settings.workloads),
            token_bytes: settings.token_bytes,
            verified: Cache::new(settings.cached_tokens),
            tally,
        })
    }

    /// The service of that name.
    pub fn service(&self, name: &str) -> Option<ServiceId> {
        self.services
            .iter()
            .position(|s| s.name == name)
            .map(ServiceId)
    }

    /// Tokens that were known, and tokens that had to be verified.
    pub fn cached(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.tally.hits), read(&self.tally.misses))
    }

    /// Fetches of keys that began and those that failed, of issuers that are no more too.
    pub fn fetches(&self) -> (u64, u64) {
        let gone = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let of = |count: fn(&keyring::Keyring) -> u64| {
            let each = self.issuers.iter().map(|issuer| count(&issuer.keys));
            each.sum::<u64>()
        };
        (
            gone(&self.tally.fetches) + of(keyring::Keyring::fetches),
            gone(&self.tally.failures) + of(keyring::Keyring::failures),
        )
    }

    /// Waits until each issuer's keys are there, or were asked for once in vain. A configuration
    /// that is about to take another's place has its keys before it does.
    pub async fn prepared(&self) {
        for issuer in &self.issuers {
            if !issuer.keys.ready(Instant::now()) {
                issuer.keys.refetch(Instant::now()).await;
            }
        }
    }

    /// Whether each issuer's tokens can be checked now.
    pub fn ready(&self) -> Vec<Readiness> {
        let now = Instant::now();
        self.issuers
            .iter()
            .map(|issuer| issuer.readiness(now))
            .collect()
    }

    /// Who asks. A token names its subject, with or without a certificate beside it; a certificate
    /// alone names a workload (D2). Waits only where keys have to be fetched.
    ///
    /// Errors: `unauthenticated` without a usable credential, `invalid-token`, `token-binding`,
    /// and `facts-unavailable` while an issuer's keys could not be fetched.
    pub async fn resolve(
        &self,
        service: ServiceId,
        headers: &HeaderMap,
        peer: Option<&PeerCertificate>,
        now: Time,
    ) -> Result<Arc<Subject>, No> {
        let token = bearer::token(headers, self.token_bytes)?;
        let lapsed = peer.is_some_and(|peer| !peer.valid_at(now));
        let Some(token) = token else {
            return match peer {
                None => Err(No::new(Reason::Unauthenticated)),
                Some(_) if lapsed => Err(No::new(Reason::Unauthenticated)
                    .because("the client certificate is not valid now")),
                Some(peer) => self.workloads.subject(peer),
            };
        };
        if lapsed {
            return Err(
                No::new(Reason::TokenBinding).because("the client certificate is not valid now")
            );
        }
        let key = CacheKey {
            service: service.0,
            token: sha256(token.as_bytes()),
            certificate: peer.map(|peer| peer.sha256),
        };
        let verified = match self.verified.get(&key) {
            Some(verified) if self.still_signed(&verified)? => {
                self.tally.hits.fetch_add(1, Ordering::Relaxed);
                verified
            }
            _ => {
                self.tally.misses.fetch_add(1, Ordering::Relaxed);
                // boxed: the many requests whose token is known don't carry its size
                let verified = Box::pin(self.verify(service, token, peer, now)).await?;
                let verified = Arc::new(verified);
                self.verified.insert(key, Arc::clone(&verified));
                verified
            }
        };
        if now.0 >= verified.deadline * 1000 {
            return Err(invalid("expired"));
        }
        check_binding(verified.binding.as_ref(), peer)?;
        Ok(Arc::clone(&verified.subject))
    }

    /// Whether the key that verified it is still the issuer's.
    fn still_signed(&self, verified: &Verified) -> Result<bool, No> {
        let issuer = self.issuers.get(verified.issuer).ok_or_else(no_keys)?;
        let keys = issuer.keys.current(Instant::now()).ok_or_else(no_keys)?;
        Ok(keys.holds(&verified.key))
    }

    async fn verify(
        &self,
        service: ServiceId,
        token: &str,
        peer: Option<&PeerCertificate>,
        now: Time,
    ) -> Result<Verified, No> {
        let jws = Jws::parse(token).map_err(invalid)?;
        let claims = json::object(&jws.payload)
            .ok_or_else(|| invalid("claims are not a strict JSON object"))?;
        let realm = self
            .services
            .get(service.0)
            .ok_or_else(|| invalid("the service is not known"))?;
        let place = *claims
            .get("iss")
            .and_then(Value::as_str)
            .and_then(|iss| realm.trusts.get(iss))
            .ok_or_else(|| invalid("`iss` is not trusted"))?;
        let issuer = self
            .issuers
            .get(place)
            .ok_or_else(|| invalid("`iss` is not trusted"))?;

        let typ = jws.typ.as_deref();
        issuer.expected.check_type(typ, &claims).map_err(invalid)?;
        let key = issuer.verify(&jws).await?;
        let expires = issuer.expected.check(&claims, now).map_err(invalid)?;
        let binding = claims::binding(&claims)
            .map_err(|detail| No::new(Reason::TokenBinding).because(detail))?;

        let mut subject = issuer
            .reading
            .subject(&claims, &realm.base, expires)
            .map_err(invalid)?;
        subject.certificate = peer.map(|peer| Arc::clone(&peer.sha256_hex));
        if let (Some(_), Some(peer)) = (binding, peer) {
            subject.expires = expires.min(peer.not_after().seconds());
        }
        Ok(Verified {
            subject: Arc::new(subject),
            issuer: place,
            key,
            binding,
            deadline: expires,
        })
    }
}

/// A bound token counts only beside its certificate (RFC 8705 §3).
fn check_binding(binding: Option<&[u8; 32]>, peer: Option<&PeerCertificate>) -> Result<(), No> {
    let binding_refused = |detail| Err(No::new(Reason::TokenBinding).because(detail));
    match (binding, peer) {
        (None, _) => Ok(()),
        (Some(_), None) => binding_refused("the token is bound and no certificate was presented"),
        (Some(bound), Some(peer)) => match verify_slices_are_equal(bound, &peer.sha256) {
            Ok(()) => Ok(()),
            Err(_) => binding_refused("the token is bound to another certificate"),
        },
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

fn invalid(detail: &'static str) -> No {
    No::new(Reason::InvalidToken).because(detail)
}

fn no_keys() -> No {
    No::new(Reason::FactsUnavailable).because("the issuer's keys could not be fetched")
}
