//! `[[issuer]]` and `[[workload]]`: whom the gateway believes.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use chartward_rules::source::{Named, Span, Spanned, Table, Words};

use super::{Url, place::Place};

/// A trusted authorization server.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The token's `iss`, compared to the letter.
    pub url: Url,
    /// Where `url` stands in the file.
    pub span: Span,
    /// One of them must be in the token's `aud`; at least one.
    pub audience: Vec<Spanned<String>>,
    /// Where its keys are; `None`: by discovery.
    pub jwks: Option<Url>,
    /// Claim that holds roles, its steps parted by dots.
    pub roles: Option<Spanned<String>>,
    /// Claim value → role; what isn't here gives nothing (D30).
    pub map: Vec<Named<Spanned<String>>>,
    /// Whether tokens carry SMART scopes. Default required.
    pub scopes: ScopeRule,
    /// `typ` headers that count, in lower case. Default `at+jwt`.
    pub token_type: Vec<String>,
    /// How far clocks may differ. Default 5 s.
    pub leeway: Duration,
    /// PEM of the roots its `https` must lead to; `None`: the platform's.
    pub ca: Option<Spanned<PathBuf>>,
}

/// What the scopes of an issuer's tokens mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeRule {
    /// They limit; a token without any is refused.
    Required,
    /// Its tokens carry no SMART scopes: no limit.
    Ignored,
}

impl Issuer {
    pub(super) fn read(mut t: Table<'_>, place: &Place<'_>) -> Option<Self> {
        t.not_enforced(&["binding"]);
        let text = t.required_str("url");
        let span = text.as_ref().map_or(t.span(), |text| text.span);
        let url = text.and_then(|text| safe(&t, "url", &text));
        let audience = t.required_string_or_list("audience");
        let jwks = t.str("jwks").and_then(|text| safe(&t, "jwks", &text));
        let roles = t.str("roles");
        let map = t.map("map");
        match (&roles, t.key_span("map")) {
            (Some(roles), None) if !t.has("map") => {
                let help = "what `map` doesn't name gives nothing";
                t.error_with_help(roles.span, "`roles` has no effect without `map`", help);
            }
            (None, Some(span)) if !t.has("roles") => {
                let help = "the claim that holds roles, such as `realm_access.roles`";
                t.error_with_help(span, "`map` has no effect without `roles`", help);
            }
            _ => {}
        }
        let scopes = t.choice(
            "scopes",
            &[
                ("required", ScopeRule::Required),
                ("ignored", ScopeRule::Ignored),
            ],
        );
        let token_type = t.string_or_list("token_type");
        let leeway = t.duration("leeway", Duration::ZERO..=Duration::from_secs(60));
        let ca = t.str("ca").and_then(|path| place.file(&t, &path));
        Some(Self {
            url: url?,
            span,
            audience: audience?.value,
            jwks,
            roles,
            map: map.map(|found| found.value).unwrap_or_default(),
            scopes: scopes.map_or(ScopeRule::Required, |found| found.value),
            token_type: token_type.map_or(vec!["at+jwt".to_owned()], lower),
            leeway: leeway.map_or(Duration::from_secs(5), |found| found.value),
            ca,
        })
    }

    /// The roles it may assert (D30).
    pub fn asserts(&self) -> BTreeSet<&str> {
        self.map.iter().map(|(_, role)| role.as_str()).collect()
    }
}

/// A machine that is known by its certificate.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its name in records.
    pub name: Spanned<String>,
    /// What its certificate must say.
    pub certificate: Spanned<CertificateName>,
    /// Its roles, at least one.
    pub roles: Vec<Spanned<String>>,
}

/// The one thing by which a certificate is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// A URI among its alternative names, to the letter.
    Uri(String),
    /// A DNS name among its alternative names, in lower case.
    Dns(String),
    /// Its subject, as RFC 4514 writes it.
    Subject(String),
    /// SHA-256 of the certificate in DER.
    Sha256([u8; 32]),
}

impl Workload {
    pub(super) fn read(mut t: Table<'_>) -> Option<Self> {
        let name = t.required_str("name");
        let certificate = t.required_table("certificate").and_then(certificate);
        let roles = t.required_strings("roles");
        Some(Self {
            name: name?,
            certificate: certificate?,
            roles: roles?.value,
        })
    }
}

fn certificate(mut t: Table<'_>) -> Option<Spanned<CertificateName>> {
    let keys = ["uri", "dns", "subject", "sha256"];
    let given = keys.iter().filter(|key| t.has(key)).count();
    let uri = t.str("uri");
    let dns = t.str("dns");
    let subject = t.str("subject");
    let sha256 = t.str("sha256");
    if given != 1 {
        let message = "`certificate` must have one of `uri`, `dns`, `subject`, `sha256`";
        t.error(t.span(), message);
        return None;
    }
    if let Some(uri) = uri {
        if !uri.contains(':') {
            t.error(uri.span, "`uri` must be absolute");
            return None;
        }
        return Some(uri.map(CertificateName::Uri));
    }
    if let Some(dns) = dns {
        if dns.contains('*') {
            t.error(dns.span, "`dns` must be one name, without `*`");
            return None;
        }
        return Some(dns.map(|dns| CertificateName::Dns(dns.to_ascii_lowercase())));
    }
    if let Some(subject) = subject {
        return Some(subject.map(CertificateName::Subject));
    }
    let text = sha256?;
    match digest(&text) {
        Some(digest) => Some(text.map(|_| CertificateName::Sha256(digest))),
        None => {
            t.error(text.span, "`sha256` must be 64 hexadecimal digits");
            None
        }
    }
}

/// 64 hexadecimal digits; colons between bytes are allowed, as openssl prints.
pub(super) fn digest(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = match text.contains(':') {
        true if text.split(':').all(|byte| byte.len() == 2) => text.replace(':', "").into_bytes(),
        true => return None,
        false => text.as_bytes().to_vec(),
    };
    let (pairs, rest) = digits.as_chunks::<2>();
    let mut digest = [0; 32];
    if pairs.len() != digest.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        let high = char::from(*high).to_digit(16)?;
        let low = char::from(*low).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(digest)
}

/// A URL that is `https`, or stays on this machine.
fn safe(t: &Table<'_>, key: &str, text: &Spanned<String>) -> Option<Url> {
    let url = Url::read(t, key, text)?;
    if url.is_https() || url.is_loopback() {
        return Some(url);
    }
    let message = format!("`{key}` must be `https` or on loopback");
    t.error(text.span, message);
    None
}

fn lower(words: Words) -> Vec<String> {
    let words = words.value.into_iter();
    words.map(|word| word.value.to_ascii_lowercase()).collect()
}
