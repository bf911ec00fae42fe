//! Client certificates: workloads without a token, proof beside one.

use chartward_rules::record::Time;
use chartward_rules::refusal::{No, Reason};
use chartward_rules::subject::{Authority, Kind, Subject};
use http::HeaderMap;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, DnValue, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::json;
use std::sync::Arc;

use super::super::{Identity, Matcher, PeerCertificate, Place, Settings, Workload, problems};
use super::support::*;

/// A leaf that may sign, as a SPIFFE authority issues it.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let moment = |second| time::OffsetDateTime::from_unix_timestamp(second).unwrap();
    params.not_before = moment(NOW - 3600);
    params.not_after = moment(NOW + 3600);
    params
}

fn uri(params: &mut CertificateParams, uri: &str) {
    let uri = SanType::URI(uri.try_into().unwrap());
    params.subject_alt_names.push(uri);
}

fn peer(params: &CertificateParams) -> PeerCertificate {
    let key = KeyPair::generate().unwrap();
    PeerCertificate::read(params.self_signed(&key).unwrap().der()).unwrap()
}

fn lab() -> PeerCertificate {
    let mut params = params();
    uri(&mut params, "spiffe://hospital.example/lab");
    peer(&params)
}

fn workload(name: &str, certificate: Matcher) -> Workload {
    Workload {
        name: name.to_owned(),
        certificate,
        roles: vec!["lab-feed".to_owned(), "lab-feed".to_owned()],
    }
}

fn of_uri() -> Matcher {
    Matcher::Uri("spiffe://hospital.example/lab".to_owned())
}

async fn identity(workloads: Vec<Workload>) -> (Identity, Server) {
    let server = Server::start().await;
    server.answer("/jwks", 200, jwks());
    let mut settings = settings(&server);
    settings.workloads = workloads;
    (build(&settings), server)
}

async fn alone(identity: &Identity, peer: &PeerCertificate, at: Time) -> Result<Arc<Subject>, No> {
    let service = identity.service("ehr").unwrap();
    identity
        .resolve(service, &HeaderMap::new(), Some(peer), at)
        .await
}

#[tokio::test]
async fn a_certificate_alone_is_its_workload() {
    let (identity, _server) = identity(vec![workload("lab-analyzer", of_uri())]).await;
    let peer = lab();
    let subject = alone(&identity, &peer, now()).await.unwrap();
    assert_eq!(subject.kind, Kind::Workload);
    assert_eq!(subject.sub.as_ref(), "lab-analyzer");
    assert_eq!(subject.roles, [Arc::from("lab-feed")]);
    assert_eq!(subject.scopes, Authority::Unscoped);
    assert_eq!(subject.certificate.as_ref(), Some(peer.sha256()));
    assert_eq!(subject.expires, NOW + 3600);
}

#[tokio::test]
async fn only_a_proper_svid_is_known_by_its_uri() {
    let (identity, _server) = identity(vec![workload("lab", of_uri())]).await;
    let no_workload = "the client certificate stands for no workload";
    let authority = "the client certificate is an authority's";
    type Change = fn(&mut CertificateParams);
    let table: [(&str, Change, &str); 8] = [
        (
            "two URIs",
            |p| uri(p, "spiffe://hospital.example/ward"),
            no_workload,
        ),
        (
            "the same URI twice",
            |p| uri(p, "spiffe://hospital.example/lab"),
            no_workload,
        ),
        (
            "no digitalSignature",
            |p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment],
            no_workload,
        ),
        ("no key usage", |p| p.key_usages.clear(), no_workload),
        (
            "cA",
            |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            authority,
        ),
        (
            "keyCertSign",
            |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign),
            authority,
        ),
        (
            "cRLSign",
            |p| p.key_usages.push(KeyUsagePurpose::CrlSign),
            authority,
        ),
        (
            "another path",
            |p| {
                p.subject_alt_names = vec![SanType::URI(
                    "spiffe://hospital.example/lab/2".try_into().unwrap(),
                )]
            },
            no_workload,
        ),
    ];
    for (name, change, detail) in table {
        let mut params = params();
        uri(&mut params, "spiffe://hospital.example/lab");
        change(&mut params);
        let refused = alone(&identity, &peer(&params), now()).await.unwrap_err();
        assert_eq!(refused.reason, Reason::Unauthenticated, "{name}");
        assert_eq!(refused.detail, Some(detail), "{name}");
    }
}

#[tokio::test]
async fn workloads_are_known_by_dns_subject_and_hash() {
    let mut named = params();
    named.distinguished_name.push(DnType::CountryName, "GB");
    named
        .distinguished_name
        .push(DnType::OrganizationName, "Hospital, North");
    named.distinguished_name.push(
        DnType::CommonName,
        DnValue::Utf8String("analyzer-1".to_owned()),
    );
    named.subject_alt_names.push(SanType::DnsName(
        "Analyzer.Hospital.example".try_into().unwrap(),
    ));
    let named = peer(&named);
    let hash = named.sha256;
    for (matcher, known) in [
        (Matcher::Dns("analyzer.hospital.EXAMPLE".to_owned()), true),
        (Matcher::Dns("hospital.example".to_owned()), false),
        (Matcher::Dns("*.hospital.example".to_owned()), false),
        (
            Matcher::Subject("CN=analyzer-1,O=Hospital\\, North,C=GB".to_owned()),
            true,
        ),
        (
            Matcher::Subject("CN=analyzer-1,O=Hospital, North,C=GB".to_owned()),
            false,
        ),
        (Matcher::Subject("analyzer-1".to_owned()), true),
        (Matcher::Subject("analyzer".to_owned()), false),
        (Matcher::Subject("CN=analyzer-1".to_owned()), false),
        (Matcher::Uri("analyzer-1".to_owned()), false),
        (Matcher::Sha256(hash), true),
        (Matcher::Sha256([0; 32]), false),
    ] {
        let (identity, _server) = identity(vec![workload("w", matcher.clone())]).await;
        let found = alone(&identity, &named, now()).await;
        assert_eq!(found.is_ok(), known, "{matcher:?}");
    }
    // types without a short name of RFC 4514 are written by number, their value as DER
    let mut other = params();
    let email = [1, 2, 840, 113549, 1, 9, 1];
    other.distinguished_name.push(
        DnType::CustomDnType(email.to_vec()),
        DnValue::Utf8String("a@b".to_owned()),
    );
    assert_eq!(peer(&other).subject, "1.2.840.113549.1.9.1=#0c03614062");
    // a common name that reads as a whole subject is none
    let mut tricky = params();
    tricky.distinguished_name.push(
        DnType::CommonName,
        DnValue::Utf8String("CN=analyzer-1".to_owned()),
    );
    let (identity, _server) = identity(vec![workload(
        "w",
        Matcher::Subject("CN=analyzer-1".to_owned()),
    )])
    .await;
    assert!(alone(&identity, &peer(&tricky), now()).await.is_err());
}

#[tokio::test]
async fn a_certificate_that_stands_for_two_workloads_is_refused() {
    let peer = lab();
    let (identity, _server) = identity(vec![
        workload("by-uri", of_uri()),
        workload("by-hash", Matcher::Sha256(peer.sha256)),
    ])
    .await;
    let refused = alone(&identity, &peer, now()).await.unwrap_err();
    assert_eq!(
        refused.detail,
        Some("the client certificate stands for two workloads")
    );
}

#[test]
fn workloads_that_cannot_be_told_apart_are_configuration_errors() {
    let mut settings = Settings::new(is_resource);
    settings.workloads = vec![
        workload("a", Matcher::Dns("lab.example".to_owned())),
        workload("b", Matcher::Dns("LAB.example".to_owned())),
        workload("b", Matcher::Uri("spiffe://hospital.example".to_owned())),
    ];
    let found: Vec<_> = problems(&settings)
        .into_iter()
        .map(|p| (p.place, p.key))
        .collect();
    assert_eq!(
        found,
        [
            (Place::Workload(1), "certificate"),
            (Place::Workload(2), "name"),
            (Place::Workload(2), "certificate"),
        ]
    );
}

#[tokio::test]
async fn a_connection_does_not_outlive_its_certificate() {
    let (identity, server) = identity(vec![workload("lab", of_uri())]).await;
    let peer = lab();
    let mut claims = claims(&server.url);
    claims["exp"] = json!(NOW + 9000);
    claims["cnf"] = json!({"x5t#S256": b64(peer.sha256)});
    let headers = bearer(&KEYS.es.token("ES256", "es", &claims));
    let service = identity.service("ehr").unwrap();
    for (second, good) in [
        (-3601, false),
        (-3600, true),
        (0, true),
        (3600, true),
        (3601, false),
    ] {
        let at = Time((NOW + second) * 1000);
        assert_eq!(
            alone(&identity, &peer, at).await.is_ok(),
            good,
            "workload, {second}"
        );
        if second >= 0 {
            let found = identity.resolve(service, &headers, Some(&peer), at).await;
            assert_eq!(found.is_ok(), good, "bound token, {second}");
            if let Ok(subject) = found {
                assert_eq!(subject.expires, NOW + 3600);
            }
        }
    }
}

#[tokio::test]
async fn a_token_beside_a_certificate_names_the_subject_and_its_roles() {
    let (identity, server) = identity(vec![workload("lab", of_uri())]).await;
    let peer = lab();
    let token = KEYS.es.token("ES256", "es", &claims(&server.url));
    let subject = resolve(&identity, &token, Some(&peer)).await.unwrap();
    assert_eq!(subject.kind, Kind::Person);
    assert_eq!(subject.roles, [Arc::from("nurse")]);
    assert_eq!(subject.certificate.as_ref(), Some(peer.sha256()));
    // and without it, the same token's subject has none
    let bare = resolve(&identity, &token, None).await.unwrap();
    assert_eq!(bare.certificate, None);
    // a bad token isn't made good by a certificate
    let forged = KEYS.attacker.token("ES256", "es", &claims(&server.url));
    assert!(resolve(&identity, &forged, Some(&peer)).await.is_err());
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "Basic dTpw".parse().unwrap());
    let service = identity.service("ehr").unwrap();
    let basic = identity
        .resolve(service, &headers, Some(&peer), now())
        .await;
    assert_eq!(basic.unwrap_err().reason, Reason::Unauthenticated);
}

#[tokio::test]
async fn a_bound_token_is_checked_against_its_certificate_each_time() {
    let (identity, server) = identity(Vec::new()).await;
    let (mine, thiefs) = (lab(), lab());
    let mut claims = claims(&server.url);
    claims["cnf"] = json!({"x5t#S256": b64(mine.sha256)});
    let token = KEYS.es.token("ES256", "es", &claims);
    for _ in 0..2 {
        resolve(&identity, &token, Some(&mine)).await.unwrap();
        let stolen = resolve(&identity, &token, Some(&thiefs)).await.unwrap_err();
        assert_eq!(stolen.reason, Reason::TokenBinding);
        assert_eq!(
            stolen.detail,
            Some("the token is bound to another certificate")
        );
        let bare = resolve(&identity, &token, None).await.unwrap_err();
        assert_eq!(bare.reason, Reason::TokenBinding);
    }
}

#[tokio::test]
async fn an_unmapped_certificate_is_nobody() {
    let (identity, _server) = identity(Vec::new()).await;
    let refused = alone(&identity, &lab(), now()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Unauthenticated);
}

#[test]
fn what_is_no_certificate_is_not_read() {
    let mut params = params();
    uri(&mut params, "spiffe://hospital.example/lab");
    let key = KeyPair::generate().unwrap();
    let mut der = params.self_signed(&key).unwrap().der().to_vec();
    assert!(PeerCertificate::read(&der).is_ok());
    der.push(0);
    assert!(PeerCertificate::read(&der).is_err());
    assert!(PeerCertificate::read(&der[..40]).is_err());
    assert!(PeerCertificate::read(b"").is_err());
}
