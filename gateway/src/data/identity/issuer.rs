//! One trusted issuer, ready for use: its keys, what its tokens must say, how its claims are read.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use chartward_rules::refusal::No;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::runtime::Handle;

use super::check::{Place, SettingsError};
use super::claims::Expected;
use super::fetch::{Endpoint, Source};
use super::jws::Jws;
use super::keyring::Keyring;
use super::keys::{KeyId, NoKey};
use super::settings::{self, Settings, Timing};
use super::subject::Reading;
use super::{Readiness, invalid, no_keys};

pub(super) struct Trusted {
    pub expected: Expected,
    pub reading: Reading,
    pub keys: Arc<Keyring>,
    origin: Origin,
}

/// Where keys come from and how: equal ones may share a ring.
#[derive(PartialEq)]
struct Origin {
    url: String,
    jwks: Option<String>,
    /// DER of the authorities.
    ca: Option<Vec<CertificateDer<'static>>>,
    timing: Timing,
}

/// An issuer that was read, whose fetching hasn't begun.
pub(super) struct Prepared {
    expected: Expected,
    reading: Reading,
    origin: Origin,
    source: Source,
}

impl Trusted {
    /// Checks the signature, after a fetch where the key isn't known yet.
    pub async fn verify(&self, token: &Jws<'_>) -> Result<KeyId, No> {
        let mut asked = false;
        loop {
            let set = self.keys.current(Instant::now());
            let unknown = match &set {
                None => no_keys(),
                Some(set) => match set.select(token) {
                    Ok(key) if key.verifies(token) => return Ok(key.id()),
                    Ok(_) => return Err(invalid("signature is not the key's")),
                    Err(NoKey::Unfit(detail)) => return Err(invalid(detail)),
                    Err(NoKey::Unknown) => invalid("key is not known"),
                },
            };
            if asked {
                return Err(unknown);
            }
            asked = true;
            self.keys.refetch(Instant::now()).await;
        }
    }

    pub fn readiness(&self, now: Instant) -> Readiness {
        Readiness {
            issuer: Arc::clone(&self.reading.issuer),
            ready: self.keys.ready(now),
            fetches: self.keys.fetches(),
            failures: self.keys.failures(),
        }
    }
}

impl Prepared {
    /// Begins to fetch, or goes on with the keys of an equal issuer of `before`.
    pub fn start(self, timing: Timing, control: &Handle, before: &[Trusted]) -> Trusted {
        let known = before.iter().find(|issuer| issuer.origin == self.origin);
        let keys = match known {
            Some(known) => Arc::clone(&known.keys),
            None => Keyring::start(self.source, timing, control),
        };
        Trusted {
            expected: self.expected,
            reading: self.reading,
            keys,
            origin: self.origin,
        }
    }
}

/// Reads every issuer; what is wrong is added to `errors`.
pub(super) fn prepare(settings: &Settings, errors: &mut Vec<SettingsError>) -> Vec<Prepared> {
    let mut platform = None;
    let mut prepared = Vec::new();
    for (at, issuer) in settings.issuers.iter().enumerate() {
        let place = Place::Issuer(at);
        let (ca, tls) = match &issuer.ca {
            None if plain(issuer) => (None, tls(RootCertStore::empty())),
            None => {
                let tls = platform.get_or_insert_with(|| tls(platform_roots()));
                (None, tls.clone())
            }
            Some(path) => match authorities(path) {
                Ok((listed, roots)) => (Some(listed), tls(roots)),
                Err(problem) => {
                    errors.push(SettingsError::new(place, "ca", problem));
                    continue;
                }
            },
        };
        let Some(tls) = tls else {
            errors.push(SettingsError::new(place, "url", "TLS could not be set up"));
            continue;
        };
        prepared.push(Prepared {
            expected: Expected {
                audience: issuer.audience.clone(),
                token_type: issuer.token_type.iter().map(|typ| short(typ)).collect(),
                leeway: i64::try_from(issuer.leeway.as_secs()).unwrap_or(0),
            },
            reading: Reading {
                issuer: Arc::from(issuer.url.as_str()),
                roles: issuer.roles.clone(),
                map: issuer
                    .map
                    .iter()
                    .map(|(value, role)| (value.clone(), Arc::from(role.as_str())))
                    .collect(),
                scopes: issuer.scopes,
                is_resource: settings.is_resource,
            },
            source: Source {
                issuer: issuer.url.clone(),
                jwks: issuer.jwks.as_deref().and_then(Endpoint::read),
                tls,
            },
            origin: Origin {
                url: issuer.url.clone(),
                jwks: issuer.jwks.clone(),
                ca,
                timing: settings.timing,
            },
        });
    }
    prepared
}

/// Whether its keys come without TLS; discovery of a plain issuer may still lead to `https`.
fn plain(issuer: &settings::Issuer) -> bool {
    issuer
        .jwks
        .as_ref()
        .is_some_and(|url| url.starts_with("http:"))
}

fn short(typ: &str) -> String {
    let typ = typ.to_ascii_lowercase();
    typ.strip_prefix("application/").unwrap_or(&typ).to_owned()
}

fn tls(roots: RootCertStore) -> Option<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Some(Arc::new(config))
}

fn platform_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, unusable) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!(
            unusable,
            problems = found.errors.len(),
            "the platform has no trusted roots; issuers over `https` need a `ca`"
        );
    }
    roots
}

type Authorities = (Vec<CertificateDer<'static>>, RootCertStore);

fn authorities(path: &Path) -> Result<Authorities, String> {
    let listed = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("`ca` could not be read: {error}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in &listed {
        roots
            .add(certificate.clone())
            .map_err(|error| format!("`ca` holds an unusable certificate: {error}"))?;
    }
    if listed.is_empty() {
        return Err("`ca` holds no certificate".to_owned());
    }
    Ok((listed, roots))
}
