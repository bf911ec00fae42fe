//! What the configuration says about callers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::config::{CertificateName, Config, ScopeRule};

/// Everything that telling a caller needs from the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The services, each with the issuers that it trusts.
    pub services: Vec<Service>,
    /// `[[issuer]]`
    pub issuers: Vec<Issuer>,
    /// `[[workload]]`
    pub workloads: Vec<Workload>,
    /// Longest token that is read, in bytes.
    pub token_bytes: usize,
    /// Most verified tokens that are remembered.
    pub cached_tokens: u64,
    /// How keys are fetched and how long they hold.
    pub timing: Timing,
    /// Whether a resource type of that name exists; for scopes.
    pub is_resource: fn(&str) -> bool,
}

/// A service as far as its callers are concerned.
#[derive(Debug, Clone)]
pub struct Service {
    /// `name`
    pub name: String,
    /// Its base as callers see it, without a trailing slash: `https://fhir.hospital.example/fhir`.
    pub base: String,
    /// URLs of the issuers that it trusts.
    pub issuers: Vec<String>,
}

/// `[[issuer]]`
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Compared with `iss` byte by byte.
    pub url: String,
    /// A token must name one of these.
    pub audience: Vec<String>,
    /// Where its keys are; by discovery where absent.
    pub jwks: Option<String>,
    /// Path of the claim that holds roles, dotted.
    pub roles: Option<String>,
    /// Claim value to role; what isn't here gives nothing (D30).
    pub map: BTreeMap<String, String>,
    /// Whether tokens are limited by their scopes.
    pub scopes: ScopeMode,
    /// `typ` values that its access tokens have; `at+jwt` by default.
    pub token_type: Vec<String>,
    /// How far its clock may be from ours, for `nbf` and `iat`.
    pub leeway: Duration,
    /// PEM file of the authorities that its TLS certificate is checked against; the platform's
    /// where absent.
    pub ca: Option<PathBuf>,
}

/// `scopes = "required" | "ignored"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScopeMode {
    /// A token allows what its scopes say; without scopes, nothing.
    #[default]
    Required,
    /// The issuer's tokens carry no SMART scopes.
    Ignored,
}

/// `[[workload]]`
#[derive(Debug, Clone)]
pub struct Workload {
    /// `name`; its subject's `sub`.
    pub name: String,
    /// `certificate`
    pub certificate: Matcher,
    /// Its roles, for requests without a token (D2).
    pub roles: Vec<String>,
}

/// `certificate = { uri | dns | subject | sha256 = "…" }`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Matcher {
    /// The certificate's only URI SAN, such as a SPIFFE id.
    Uri(String),
    /// One of its DNS SANs.
    Dns(String),
    /// Its subject: as RFC 4514 writes it, or where there is no `=`, its only common name.
    Subject(String),
    /// SHA-256 of its DER.
    Sha256([u8; 32]),
}

impl Matcher {
    /// The form in which two that mean the same are equal.
    pub(super) fn normal(&self) -> Self {
        match self {
            Self::Dns(name) => Self::Dns(name.to_ascii_lowercase()),
            other => other.clone(),
        }
    }
}

/// How keys are fetched and how long they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// One fetch of an issuer's keys, discovery included.
    pub timeout: Duration,
    /// Least time from the beginning of one fetch to that of the next.
    pub cool_down: Duration,
    /// Time from one good fetch to the next.
    pub refresh: Duration,
    /// How long fetched keys hold where no later fetch succeeds.
    pub keep: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            cool_down: Duration::from_secs(10),
            refresh: Duration::from_secs(300),
            keep: Duration::from_secs(3600),
        }
    }
}

impl Settings {
    /// Nothing configured, everything else at its default.
    pub fn new(is_resource: fn(&str) -> bool) -> Self {
        Self {
            services: Vec::new(),
            issuers: Vec::new(),
            workloads: Vec::new(),
            token_bytes: 16 * 1024,
            cached_tokens: 20_000,
            timing: Timing::default(),
            is_resource,
        }
    }
}

impl Settings {
    /// What a configuration says about callers. `is_resource` tells the resource types.
    pub fn of(config: &Config, is_resource: fn(&str) -> bool) -> Self {
        let public = config.listen.public_url.text().trim_end_matches('/');
        let services = config.services.iter().map(|service| Service {
            name: service.name.value.clone(),
            base: format!("{public}{}", service.path.value),
            issuers: service.issuers.iter().map(|i| i.value.clone()).collect(),
        });
        let issuers = config.issuers.iter().map(|issuer| Issuer {
            url: issuer.url.text().to_owned(),
            audience: issuer.audience.iter().map(|a| a.value.clone()).collect(),
            jwks: issuer.jwks.as_ref().map(|url| url.text().to_owned()),
            roles: issuer.roles.as_ref().map(|path| path.value.clone()),
            map: issuer
                .map
                .iter()
                .map(|(value, role)| (value.value.clone(), role.value.clone()))
                .collect(),
            scopes: match issuer.scopes {
                ScopeRule::Required => ScopeMode::Required,
                ScopeRule::Ignored => ScopeMode::Ignored,
            },
            token_type: issuer.token_type.clone(),
            leeway: issuer.leeway,
            ca: issuer.ca.as_ref().map(|path| path.value.clone()),
        });
        let workloads = config.workloads.iter().map(|workload| Workload {
            name: workload.name.value.clone(),
            certificate: match &workload.certificate.value {
                CertificateName::Uri(uri) => Matcher::Uri(uri.clone()),
                CertificateName::Dns(name) => Matcher::Dns(name.clone()),
                CertificateName::Subject(subject) => Matcher::Subject(subject.clone()),
                CertificateName::Sha256(hash) => Matcher::Sha256(*hash),
            },
            roles: workload.roles.iter().map(|r| r.value.clone()).collect(),
        });
        Self {
            services: services.collect(),
            issuers: issuers.collect(),
            workloads: workloads.collect(),
            token_bytes: config.limits.token_bytes,
            ..Self::new(is_resource)
        }
    }
}

impl Issuer {
    /// An issuer with every default.
    pub fn new(url: impl Into<String>, audience: Vec<String>) -> Self {
        Self {
            url: url.into(),
            audience,
            jwks: None,
            roles: None,
            map: BTreeMap::new(),
            scopes: ScopeMode::default(),
            token_type: vec!["at+jwt".to_owned()],
            leeway: Duration::from_secs(30),
            ca: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chartward_rules::source::Source;

    use super::*;

    #[test]
    fn a_configuration_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["server.pem", "server.key", "ca.pem", "pack.toml"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let settings = read(
            r#"
            [listen]
            https = "127.0.0.1:0"
            public_url = "https://fhir.example/"
            [limits]
            token_bytes = "4KiB"
            [tls]
            certificate = "server.pem"
            key = "server.key"
            client_ca = "ca.pem"
            client_auth = "optional"
            [[service]]
            name = "ehr"
            path = "/fhir"
            upstream = "http://127.0.0.1:8080/fhir"
            packs = ["pack.toml"]
            [[issuer]]
            url = "https://idp.example/a"
            audience = ["https://fhir.example/fhir"]
            jwks = "https://idp.example/a/jwks"
            roles = "realm_access.roles"
            map = { RN = "nurse" }
            scopes = "ignored"
            token_type = ["JWT"]
            leeway = "7s"
            ca = "ca.pem"
            [[workload]]
            name = "lab"
            certificate = { uri = "spiffe://hospital.example/lab" }
            roles = ["lab-feed"]
            "#,
            folder.path(),
        );
        assert_eq!(super::super::problems(&settings), []);
        assert_eq!(settings.token_bytes, 4096);
        assert_eq!(settings.services[0].base, "https://fhir.example/fhir");
        assert_eq!(settings.services[0].issuers, ["https://idp.example/a"]);
        let issuer = &settings.issuers[0];
        assert_eq!(issuer.url, "https://idp.example/a");
        assert_eq!(issuer.jwks.as_deref(), Some("https://idp.example/a/jwks"));
        assert_eq!(issuer.roles.as_deref(), Some("realm_access.roles"));
        assert_eq!(issuer.map["RN"], "nurse");
        assert_eq!(issuer.scopes, ScopeMode::Ignored);
        assert_eq!(issuer.token_type, ["jwt"]);
        assert_eq!(issuer.leeway, Duration::from_secs(7));
        assert_eq!(
            issuer.ca.as_deref(),
            Some(folder.path().join("ca.pem").as_path())
        );
        let lab = Matcher::Uri("spiffe://hospital.example/lab".to_owned());
        assert_eq!(settings.workloads[0].certificate, lab);
        assert_eq!(settings.workloads[0].roles, ["lab-feed"]);
    }

    fn read(text: &str, folder: &Path) -> Settings {
        let source = Source::new("c.toml", text);
        let config = Config::read(&source, folder).into_result().unwrap();
        Settings::of(&config, |_| true)
    }
}
