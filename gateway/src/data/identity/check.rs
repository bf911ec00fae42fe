//! What can't stand in settings: told all at once, each by its table and key.

use std::collections::HashSet;
use std::time::Duration;

use http::Uri;

use super::fetch::{self, Endpoint};
use super::settings::{Issuer, Matcher, Settings};

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

#[cfg(test)]
mod tests {
    use super::super::settings::Service;
    use super::*;

    #[test]
    fn what_cannot_stand_is_told_all_at_once() {
        let good = || Issuer::new("https://idp.example", vec!["a".to_owned()]);
        type Change = fn(&mut Issuer);
        let table: [(&str, Change); 13] = [
            ("url", |i| i.url = "http://idp.example".to_owned()),
            ("url", |i| i.url = "https://idp.example/?x".to_owned()),
            ("jwks", |i| {
                i.jwks = Some("http://idp.example/jwks".to_owned())
            }),
            ("jwks", |i| i.jwks = Some("file:///jwks".to_owned())),
            ("audience", |i| i.audience.clear()),
            ("audience", |i| i.audience = vec![String::new()]),
            ("leeway", |i| i.leeway = Duration::from_secs(61)),
            ("token_type", |i| i.token_type.clear()),
            ("token_type", |i| i.token_type = vec!["DPoP+jwt".to_owned()]),
            ("token_type", |i| {
                i.token_type = vec!["application/secevent+jwt".to_owned()]
            }),
            ("token_type", |i| i.token_type = vec![String::new()]),
            ("map", |i| {
                i.map = [("RN".to_owned(), "nurse".to_owned())].into()
            }),
            ("roles", |i| i.roles = Some("a..b".to_owned())),
        ];
        let mut settings = Settings::new(|_| true);
        for (at, (_, change)) in table.iter().enumerate() {
            let mut issuer = good();
            issuer.url = format!("https://idp.example/{at}");
            change(&mut issuer);
            settings.issuers.push(issuer);
        }
        let found: Vec<_> = problems(&settings)
            .into_iter()
            .map(|p| (p.place, p.key))
            .collect();
        let expected: Vec<_> = table
            .iter()
            .enumerate()
            .map(|(at, (key, _))| (Place::Issuer(at), *key))
            .collect();
        assert_eq!(found, expected);

        let mut twice = Settings::new(|_| true);
        twice.issuers = vec![good(), good()];
        twice.services.push(Service {
            name: "ehr".to_owned(),
            base: "https://fhir.example/fhir".to_owned(),
            issuers: vec!["https://idp.example/".to_owned()],
        });
        let found: Vec<_> = problems(&twice)
            .into_iter()
            .map(|p| (p.place, p.key))
            .collect();
        assert_eq!(
            found,
            [(Place::Issuer(1), "url"), (Place::Service(0), "issuers")]
        );
    }
}
