//! What the configuration says about callers, and what is wrong with it.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use super::fetch::{self, Endpoint};

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

/// Something that can't stand in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct SettingsError {
    /// Where it is.
    pub place: Place,
    /// The key that it is about.
    pub key: &'static str,
    /// What is wrong.
    pub problem: String,
}

/// A table of the configuration, by its position among its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `[[service]]`
    Service(usize),
    /// `[[issuer]]`
    Issuer(usize),
    /// `[[workload]]`
    Workload(usize),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (table, at) = match self {
            Self::Service(at) => ("service", at),
            Self::Issuer(at) => ("issuer", at),
            Self::Workload(at) => ("workload", at),
        };
        write!(f, "[[{table}]] number {}", at + 1)
    }
}

impl SettingsError {
    pub(super) fn new(place: Place, key: &'static str, problem: impl Into<String>) -> Self {
        Self {
            place,
            key,
            problem: problem.into(),
        }
    }
}

/// Every problem that shows without opening a file or a connection.
pub fn problems(settings: &Settings) -> Vec<SettingsError> {
    let mut found = Vec::new();
    let mut urls = HashSet::new();
    for (at, issuer) in settings.issuers.iter().enumerate() {
        let mut wrong = |key, problem: &str| {
            found.push(SettingsError::new(Place::Issuer(at), key, problem));
        };
        if !urls.insert(issuer.url.as_str()) {
            wrong("url", "another `[[issuer]]` has this `url`");
        }
        check_issuer(issuer, &mut wrong);
    }
    let mut names = HashSet::new();
    for (at, service) in settings.services.iter().enumerate() {
        let place = Place::Service(at);
        if !names.insert(service.name.as_str()) {
            let problem = "another `[[service]]` has this `name`";
            found.push(SettingsError::new(place, "name", problem));
        }
        if !service.base.starts_with("http") {
            let problem = "the base that callers see is no URL";
            found.push(SettingsError::new(place, "path", problem));
        }
        if service
            .issuers
            .iter()
            .any(|url| !urls.contains(url.as_str()))
        {
            let problem = "`issuers` names one that no `[[issuer]]` has as its `url`";
            found.push(SettingsError::new(place, "issuers", problem));
        }
    }
    let (mut names, mut matchers) = (HashSet::new(), HashSet::new());
    for (at, workload) in settings.workloads.iter().enumerate() {
        let place = Place::Workload(at);
        if workload.name.is_empty() || !names.insert(workload.name.as_str()) {
            let problem = "`name` is empty, or another `[[workload]]` has it";
            found.push(SettingsError::new(place, "name", problem));
        }
        if !matchers.insert(workload.certificate.normal()) {
            let problem = "another `[[workload]]` has the same `certificate`";
            found.push(SettingsError::new(place, "certificate", problem));
        }
        if let Some(problem) = unmatchable(&workload.certificate) {
            found.push(SettingsError::new(place, "certificate", problem));
        }
    }
    found
}

fn check_issuer(issuer: &Issuer, wrong: &mut impl FnMut(&'static str, &str)) {
    let plain = |url: &str| {
        url.parse::<Uri>()
            .is_ok_and(|uri| uri.query().is_none() && !url.contains('#'))
    };
    if Endpoint::read(&issuer.url).is_none() || !plain(&issuer.url) {
        wrong("url", fetch::WANTED);
    }
    if issuer
        .jwks
        .as_deref()
        .is_some_and(|url| Endpoint::read(url).is_none())
    {
        wrong("jwks", fetch::WANTED);
    }
    if issuer.audience.is_empty() || issuer.audience.iter().any(String::is_empty) {
        wrong(
            "audience",
            "`audience` must name at least one, and no empty one",
        );
    }
    if issuer.leeway > Duration::from_secs(60) {
        wrong("leeway", "`leeway` is at most 60 seconds");
    }
    if issuer.token_type.is_empty() || issuer.token_type.iter().any(|typ| never_access(typ)) {
        wrong(
            "token_type",
            "`token_type` must name at least one type, and none that is another kind of token",
        );
    }
    if issuer.roles.is_none() && !issuer.map.is_empty() {
        wrong("map", "`map` has no effect without `roles`");
    }
    if issuer
        .roles
        .as_ref()
        .is_some_and(|path| path.split('.').any(str::is_empty))
    {
        wrong(
            "roles",
            "`roles` is a claim's name, or names joined by dots",
        );
    }
}

/// Types that mark something else than an access token, whatever an issuer is told to send.
fn never_access(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    typ.is_empty() || ["dpop+jwt", "secevent+jwt", "logout+jwt"].contains(&typ)
}

fn unmatchable(matcher: &Matcher) -> Option<&'static str> {
    match matcher {
        Matcher::Uri(uri) if uri.starts_with("spiffe:") => {
            let rest = uri.strip_prefix("spiffe://").unwrap_or_default();
            let path = rest
                .split_once('/')
                .map(|(domain, path)| (domain.is_empty(), path));
            (!matches!(path, Some((false, path)) if !path.is_empty()))
                .then_some("a SPIFFE id has a trust domain and a path")
        }
        Matcher::Uri(text) | Matcher::Dns(text) | Matcher::Subject(text) if text.is_empty() => {
            Some("`certificate` is empty")
        }
        _ => None,
    }
}
